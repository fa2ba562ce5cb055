//! `chukta rates`: the rate board as quotes see it, and what each source said.
//!
//! Invariant: read from the history in PostgreSQL, never from the cache; a rate that is missing or
//! too old is said to be so and has no number to misuse.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use primitives::Asset;
use rust_decimal::Decimal;
use serde::Serialize;
use settlement::{
    Base,
    rates::{self, BoardRate, Verdict},
};

use crate::{config::Config, wiring};

/// One asset's line.
#[derive(Debug, Serialize)]
struct Line {
    asset: Asset,
    /// good, degraded, unusable, stale or missing: the first two make quotes.
    verdict: &'static str,
    reason: Option<String>,
    bid: Option<String>,
    ask: Option<String>,
    /// The best bid of the venue's book that quotes walk.
    venue_bid: Option<String>,
    at: Option<DateTime<Utc>>,
    age_s: Option<i64>,
    sources: Vec<Source>,
}

/// What one source said, by its own clock.
#[derive(Debug, Serialize)]
struct Source {
    source: String,
    bid: String,
    ask: String,
    at: DateTime<Utc>,
    age_s: i64,
    /// Why it did not count, when it did not.
    refused: Option<String>,
}

pub(crate) async fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let mut conn = base.pool.acquire().await?;
    let mut lines = Vec::new();
    for asset in Asset::ALL.into_iter().filter(|asset| asset.is_crypto()) {
        let offered = base.settings.networks.values().any(|n| n.assets.contains(&asset));
        match rates::latest_in(&mut conn, asset).await? {
            Some(rate) => lines.push(line(&base, rate)),
            None if offered => lines.push(missing(asset)),
            None => {}
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
        return Ok(ExitCode::SUCCESS);
    }
    if lines.is_empty() {
        println!("no asset is offered, and none has a rate");
    }
    for line in &lines {
        print!("{}", tell(line));
    }
    Ok(ExitCode::SUCCESS)
}

const fn missing(asset: Asset) -> Line {
    Line {
        asset,
        verdict: "missing",
        reason: None,
        bid: None,
        ask: None,
        venue_bid: None,
        at: None,
        age_s: None,
        sources: Vec::new(),
    }
}

fn line(base: &Base, rate: BoardRate) -> Line {
    let now = base.now();
    let age_s = (now - rate.at).num_seconds();
    let (verdict, reason) = match rate.verdict {
        Verdict::Unusable(why) => ("unusable", Some(why)),
        _ if age_s > base.settings.rate_max_age_s => {
            ("stale", Some(format!("older than {} s", base.settings.rate_max_age_s)))
        }
        Verdict::Degraded(why) => ("degraded", Some(why)),
        Verdict::Good => ("good", None),
    };
    let text = |price: Decimal| price.normalize().to_string();
    let sources = rate.sources.into_iter().map(|said| Source {
        bid: text(said.bid),
        ask: text(said.ask),
        at: said.at,
        age_s: (now - said.at).num_seconds(),
        refused: said.refused,
        source: said.source,
    });
    Line {
        asset: rate.base,
        verdict,
        reason,
        bid: rate.bid.map(text),
        ask: rate.ask.map(text),
        venue_bid: rate.bids.first().map(|level| text(level.price)),
        at: Some(rate.at),
        age_s: Some(age_s),
        sources: sources.collect(),
    }
}

fn tell(line: &Line) -> String {
    let mut text = format!("{:5} {}", line.asset.code(), line.verdict);
    if let Some(reason) = &line.reason {
        text.push_str(&format!(" ({reason})"));
    }
    if let (Some(bid), Some(ask)) = (&line.bid, &line.ask) {
        text.push_str(&format!("  bid ₹{bid}  ask ₹{ask}"));
    }
    if let Some(bid) = &line.venue_bid {
        text.push_str(&format!("  venue bid ₹{bid}"));
    }
    if let Some(age) = line.age_s {
        text.push_str(&format!("  {age} s old"));
    }
    text.push('\n');
    for said in &line.sources {
        let refused =
            said.refused.as_ref().map_or_else(String::new, |why| format!("  refused: {why}"));
        text.push_str(&format!(
            "      {:20} bid ₹{}  ask ₹{}  {} s old{refused}\n",
            said.source, said.bid, said.ask, said.age_s
        ));
    }
    text
}
