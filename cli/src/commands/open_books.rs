//! `chukta open-books`: what venues, rail and gas stations hold before the first payment becomes
//! the owners' capital in the books, once per account.

use std::process::ExitCode;

use primitives::Amount;
use settlement::{Base, bookkeeping, chart};
use workers::Connectors;

use crate::{config::Config, wiring};

/// Books every opening balance whose account is still empty; answers what was booked.
///
/// # Errors
/// When venue, rail or database do not answer.
pub async fn open(base: &Base, connectors: &Connectors) -> anyhow::Result<Vec<Amount>> {
    let mut opening = Vec::new();
    for (venue, exchange) in &connectors.exchanges {
        for held in exchange.holdings().await? {
            opening.push((chart::venue_free(venue, held.asset), held.free));
        }
    }
    for (name, rail) in &connectors.rails {
        opening.push((chart::bank(name), rail.balance().await?.available));
    }
    for (network, carrier) in &connectors.carriers {
        let Some(station) = carrier.gas_station() else { continue };
        for held in carrier.movable(&[station], carrier.native()).await? {
            opening.push((chart::gas(network, held.amount.asset()), held.amount));
        }
    }
    let mut booked = Vec::new();
    let mut tx = base.pool.begin().await?;
    for (account, amount) in opening {
        let used = ledger::balance(&mut tx, &account.code).await?.is_some_and(|b| b.version > 0);
        if amount.is_positive() && !used {
            let key = format!("opening:{}", account.code);
            bookkeeping::capital_paid_in(&mut tx, base, account, amount, &key).await?;
            booked.push(amount);
        }
    }
    tx.commit().await?;
    Ok(booked)
}

pub async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    for amount in open(&base, &wiring::connectors(config)?).await? {
        println!("booked {amount}");
    }
    Ok(ExitCode::SUCCESS)
}
