//! `chukta risk` and `chukta honour-loss`: the house's limit for early acceptance, and what is done
//! when it was wrong.
//!
//! Invariant: both are decisions of a person, said with a name and a reason, and both are postings.

use std::process::ExitCode;

use anyhow::Context as _;
use ledger::LedgerError;
use primitives::PaymentId;
use settlement::{
    bookkeeping::risk,
    policy::early::{self, HonourError},
};

use super::policy::{network, rupees};
use crate::{config::Config, wiring};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Raises a network's limit by so many rupees.
    Grant(Change),
    /// Lowers it; never below what is taken.
    Withdraw(Change),
    /// Prints every limit, and what rides on it.
    Show,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    #[arg(long)]
    network: String,
    /// Rupees, for example 250000 or 2500.50.
    amount: String,
    /// Who decides it.
    #[arg(long)]
    by: String,
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HonourLoss {
    /// The payment's id, `pay_…`: accepted early, its crypto did not stay.
    payment: String,
    /// Who decides it.
    #[arg(long)]
    by: String,
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Grant(change) => self::change(config, &change, true).await?,
        Command::Withdraw(change) => self::change(config, &change, false).await?,
        Command::Show => show(config).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(config: &Config, change: &Change, raise: bool) -> anyhow::Result<()> {
    let (network, amount) = (network(&change.network)?, rupees(&change.amount)?);
    anyhow::ensure!(amount.is_positive(), "a limit changes by more than nothing");
    for (what, text) in [("--by", &change.by), ("--reason", &change.reason)] {
        anyhow::ensure!((1..=500).contains(&text.trim().chars().count()), "{what} is missing");
    }
    let base = wiring::base(config).await?;
    anyhow::ensure!(base.settings.networks.contains_key(&network), "no network {network}");
    let signed = (change.by.as_str(), change.reason.as_str());
    let mut tx = base.pool.begin().await?;
    let changed =
        risk::limit_changed(&mut tx, &base, &network, (amount, raise), base.uuid(), signed).await;
    match changed {
        Err(settlement::Error::Ledger(LedgerError::WouldOverdraw { .. })) => {
            anyhow::bail!("more of the limit of {network} is taken than would be left")
        }
        other => other?,
    }
    let limit = risk::limit_in(&mut tx, &network).await?;
    tx.commit().await?;
    println!("{network}: granted {}, taken {}", limit.granted, limit.taken);
    Ok(())
}

async fn show(config: &Config) -> anyhow::Result<()> {
    let base = wiring::base(config).await?;
    let mut conn = base.pool.acquire().await?;
    for network in base.settings.networks.keys() {
        let limit = risk::limit_in(&mut conn, network).await?;
        let risk::Limit { granted, taken, headroom } = limit;
        println!("{network}  granted {granted}  taken {taken}  headroom {headroom}");
    }
    for open in early::open_in(&mut conn).await? {
        let at = open.accepted_at.format("%Y-%m-%d %H:%M:%S");
        let early::Open { payment, network, asset, amount, .. } = open;
        println!("{at}  {payment}  {network} {asset}  {amount} at risk");
    }
    Ok(())
}

/// Keeps the house's word for a payment whose crypto did not stay.
pub(crate) async fn honour_loss(config: &Config, options: &HonourLoss) -> anyhow::Result<ExitCode> {
    let payment: PaymentId = options.payment.parse().context("the payment")?;
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    let signed = (options.by.as_str(), options.reason.as_str());
    let lost = match early::honour_in(&mut tx, &base, payment, signed).await {
        Err(HonourError::Internal(error)) => return Err(error.into()),
        refused_or_done => refused_or_done?,
    };
    tx.commit().await?;
    println!("{payment}: the house bears {lost}; the shop gets its rupees");
    Ok(ExitCode::SUCCESS)
}
