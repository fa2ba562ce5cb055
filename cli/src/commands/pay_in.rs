//! `chukta pay-in`: the owners put money in, at the bank or at a venue, and it becomes their
//! capital in the books.
//!
//! Invariant: booked once per reference, and only what the place itself holds more than the books
//! say: a typing error must not become money.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use primitives::{Amount, Asset, NetworkId};
use settlement::{bookkeeping, chart, reconcile::Scope};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Args)]
pub(crate) struct PayIn {
    /// Where it was paid in: `bank:<rail>`, `venue:<venue>`, `gas:<network>` for its gas station,
    /// `chain:<network>` for our deposit addresses or wallet there, or `cold:<network>`.
    #[arg(long)]
    into: String,
    /// How much, in units: 50000.00 rupees, 0.25 BTC.
    #[arg(long)]
    amount: String,
    #[arg(long, default_value = "INR")]
    asset: Asset,
    /// The transfer's own name: a UTR, a transaction id. The same one is booked once.
    #[arg(long)]
    reference: String,
    /// Book although work of ours is moving this balance, so that it cannot be compared now.
    #[arg(long)]
    while_moving: bool,
}

fn place(into: &str, asset: Asset) -> anyhow::Result<(ledger::Account, Scope)> {
    match into.split_once(':') {
        Some(("bank", rail)) if !rail.is_empty() => {
            ensure!(asset == Asset::Inr, "a bank holds INR");
            Ok((chart::bank(rail), Scope::Rail(rail.to_owned())))
        }
        Some(("venue", venue)) if !venue.is_empty() => {
            Ok((chart::venue_free(venue, asset), Scope::Venue(venue.to_owned(), asset)))
        }
        Some(("gas", network)) => {
            let network = NetworkId::new(network).context("--into: no name of a network")?;
            Ok((chart::gas(&network, asset), Scope::Gas(network, asset)))
        }
        Some(("chain", network)) => {
            let network = NetworkId::new(network).context("--into: no name of a network")?;
            Ok((chart::escrow(&network, asset), Scope::Escrow(network, asset)))
        }
        Some(("cold", network)) => {
            let network = NetworkId::new(network).context("--into: no name of a network")?;
            Ok((chart::cold(&network, asset), Scope::Cold(network, asset)))
        }
        _ => bail!("--into is bank:<rail>, venue:<venue>, gas:, chain: or cold:<network>"),
    }
}

pub(crate) async fn run(config: &Config, options: PayIn) -> anyhow::Result<ExitCode> {
    let amount = Amount::parse_units(&options.amount, options.asset).context("--amount")?;
    ensure!(amount.is_positive(), "--amount: more than nothing");
    let reference = options.reference.trim();
    ensure!((4..=64).contains(&reference.chars().count()), "--reference: 4 to 64 characters");
    let (account, scope) = place(&options.into, options.asset)?;
    let key = format!("pay-in:{}:{reference}", account.code);
    let ctx = wiring::ctx(config).await?;
    let mut conn = ctx.base.pool.acquire().await?;
    if let Some(known) = ledger::find(&mut conn, &format!("cap:{key}")).await? {
        let same = known.legs.iter().any(|leg| leg.amount == amount);
        ensure!(same, "the reference {reference} is booked with another amount");
        println!("was booked before: {amount} into {}", options.into);
        return Ok(ExitCode::SUCCESS);
    }
    drop(conn);
    is_there(&ctx, &scope, amount, options.while_moving).await?;
    let mut tx = ctx.base.pool.begin().await?;
    bookkeeping::capital_paid_in(&mut tx, &ctx.base, account, amount, &key).await?;
    tx.commit().await?;
    println!("booked {amount} into {}", options.into);
    Ok(ExitCode::SUCCESS)
}

/// The place holds just that much more than the books say.
async fn is_there(
    ctx: &workers::Ctx,
    scope: &Scope,
    amount: Amount,
    while_moving: bool,
) -> anyhow::Result<()> {
    let lines = workers::compare_all(ctx).await?;
    let line = lines.into_iter().find(|line| line.scope == *scope);
    let line = line.context("this place is not in the settings, or does not answer now")?;
    if line.in_flight {
        ensure!(
            while_moving,
            "work of ours is moving this balance: try again in a moment, or --while-moving"
        );
        return Ok(());
    }
    let more = line.other.checked_sub(line.books)?;
    ensure!(
        more == amount,
        "the place holds {}, the books say {}: {more} is not booked yet, not {amount}",
        line.other,
        line.books
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bank_or_a_venue() {
        assert!(place("bank:razorpayx", Asset::Inr).is_ok());
        assert!(place("venue:wazirx", Asset::Usdc).is_ok());
        assert!(place("gas:anvil", Asset::Eth).is_ok() && place("gas:", Asset::Eth).is_err());
        for (into, asset) in
            [("bank:razorpayx", Asset::Btc), ("bank:", Asset::Inr), ("elsewhere", Asset::Inr)]
        {
            assert!(place(into, asset).is_err(), "{into} {asset}");
        }
    }
}
