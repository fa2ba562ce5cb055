//! `chukta exposure`: the price risk that is open now, per asset, and what its limit leaves.
//!
//! Invariant: counted from ledger rows, quotes and deposits while the command runs; rupees without
//! a rate are unknown and printed so.

use std::process::ExitCode;

use settlement::{
    Base,
    exposure::{self, Exposure, Room},
};

use crate::{config::Config, wiring};

pub(crate) async fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    let lines = exposure::list_in(&mut tx, &base).await?;
    tx.commit().await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
        return Ok(ExitCode::SUCCESS);
    }
    if lines.is_empty() {
        println!("no asset is offered, and nothing is open");
    }
    for line in &lines {
        print!("{}", tell(&base, line));
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(base: &Base, line: &Exposure) -> String {
    let rupees = match (line.rupees, line.rate, line.rate_at) {
        (Some(rupees), Some(rate), Some(at)) => {
            let age = (base.now() - at).num_seconds();
            format!("₹{} at ₹{}, {age} s old", rupees.to_units(), rate.normalize())
        }
        _ => "unknown in rupees: there never was a rate".to_owned(),
    };
    let room = match (line.limit, line.room) {
        (None, _) => "no limit".to_owned(),
        (Some(limit), room) => {
            let what = match room {
                Room::Open => "quotes as usual",
                Room::Narrow => "quotes hold half as long",
                Room::Full => "NO QUOTES",
            };
            format!("limit ₹{}: {what}", limit.to_units())
        }
    };
    format!(
        "{:5} open {}  {rupees}  {room}\n      quoted {}  arriving {}  unsold {}, in orders {}\n",
        line.asset.code(),
        line.total,
        line.quoted.to_units(),
        line.arriving.to_units(),
        line.accepted.to_units(),
        line.in_orders.to_units(),
    )
}
