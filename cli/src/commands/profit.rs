//! `chukta profit`: what a day earned and cost, line by line, and whether the lines explain what
//! the accounts changed by.
//!
//! Invariant: read from ledger rows alone; exit status 1 when they do not add up.

use std::process::ExitCode;

use chrono::{FixedOffset, NaiveDate};
use settlement::views::{Profit, profit_of_day};

use crate::{config::Config, wiring};

/// India's time zone, in seconds: a day of the books is a day there.
const IST_S: i32 = 19_800;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The day in India, as 2026-11-21; today when absent.
    #[arg(long)]
    day: Option<NaiveDate>,
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(config: &Config, options: &Options) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let today = FixedOffset::east_opt(IST_S).map(|zone| base.now().with_timezone(&zone));
    let day = options.day.or_else(|| today.map(|now| now.date_naive()));
    let day = day.ok_or_else(|| anyhow::anyhow!("which day?"))?;
    let mut conn = base.pool.acquire().await?;
    let profit = profit_of_day(&mut conn, day).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&profit)?);
    } else {
        print!("{}", tell(&profit)?);
    }
    Ok(if profit.adds_up { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(profit: &Profit) -> anyhow::Result<String> {
    let mut text = format!("{}, by Indian time\n", profit.day);
    for line in &profit.lines {
        let what = serde_json::to_value(line.what)?;
        let what = what.as_str().unwrap_or_default().replace('_', " ");
        let of = line.of.map_or_else(String::new, |asset| format!(" of {asset}"));
        text.push_str(&format!("  {:32} {:>32}\n", format!("{what}{of}"), line.amount.to_string()));
    }
    for total in &profit.totals {
        text.push_str(&format!("  {:32} {:>32}\n", "together", total.to_string()));
    }
    for tax in &profit.taxes {
        let of = format!("tax, no result: {}", tax.account);
        text.push_str(&format!("  {of:32} {:>32}\n", tax.change.to_string()));
    }
    text.push_str(if profit.adds_up {
        "adds up to what the accounts changed by\n"
    } else {
        "DOES NOT ADD UP to what the accounts changed by\n"
    });
    Ok(text)
}
