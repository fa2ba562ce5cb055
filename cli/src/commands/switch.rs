//! `chukta switch`: stops or allows new work of one kind, within one transaction.

use std::process::ExitCode;

use anyhow::Context as _;
use settlement::switch::{self, Switch};

use crate::{config::Config, wiring};

pub(crate) async fn run(
    config: &Config,
    name: &str,
    closed: bool,
    reason: &str,
) -> anyhow::Result<ExitCode> {
    let switch =
        Switch::parse(name).context("there are three switches: quotes, conversions, payouts")?;
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    switch::set_in(&mut tx, &base, switch, closed, reason).await?;
    tx.commit().await?;
    println!("{name} {}", if closed { "closed" } else { "open" });
    Ok(ExitCode::SUCCESS)
}
