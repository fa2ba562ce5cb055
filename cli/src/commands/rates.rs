//! `chukta rates`: the rate board as quotes see it, what each source said, and what changed lately.
//!
//! Invariant: read from the history in PostgreSQL, never from the cache; a rate that is missing or
//! too old is said to be so and has no number to misuse.

use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use serde::Serialize;
use settlement::{
    Base,
    conversion::route::{Candidate, Verdict as Choice},
    quote::{self, QuoteError},
    rates::{self, BoardRate, RateEvent, Verdict},
};
use sqlx::PgConnection;

use crate::{config::Config, wiring};

/// Changes shown below the board.
const SHOWN: i64 = 5;
/// Changes shown when they are asked for.
const ASKED: i64 = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Rates {
    /// Only what changed: verdicts, and the reasons why there was no price.
    #[arg(long)]
    events: bool,
    /// Show by which way a payment of so many rupees would be quoted.
    #[arg(long = "for", value_name = "RUPEES", default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    rupees: u32,
    #[arg(long)]
    json: bool,
}

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
    /// Every way a sale can take, with what the board has against it.
    routes: Vec<Route>,
    /// By which way so many rupees would be quoted now; or why they would not.
    quoted: Option<Quoted>,
    at: Option<DateTime<Utc>>,
    age_s: Option<i64>,
    sources: Vec<Source>,
}

/// One way of a sale: the venues it passes, its best bid, and why no quote is made from it.
#[derive(Debug, Serialize)]
struct Route {
    over: Vec<String>,
    bid: Option<String>,
    refused: Option<String>,
}

/// The way of a quote, chosen as a sale chooses it.
#[derive(Debug, Serialize)]
struct Quoted {
    rupees: u32,
    /// Of that way's own book, for this size, before the spread.
    price: Option<String>,
    /// The way, or why there is no quote.
    over: String,
    /// The other ways, and why they are not taken.
    others: Vec<String>,
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

pub(crate) async fn run(config: &Config, options: &Rates) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let mut conn = base.pool.acquire().await?;
    if options.events {
        return events(&mut conn, options.json).await;
    }
    let mut lines = Vec::new();
    for asset in Asset::ALL.into_iter().filter(|asset| asset.is_crypto()) {
        let offered = base.settings.networks.values().any(|n| n.assets.contains(&asset));
        match rates::latest_in(&mut conn, asset).await? {
            Some(rate) => {
                let quoted = quoted(&mut conn, &base, asset, options.rupees).await?;
                lines.push(Line { quoted: offered.then_some(quoted), ..line(&base, rate) });
            }
            None if offered => lines.push(missing(asset)),
            None => {}
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
        return Ok(ExitCode::SUCCESS);
    }
    if lines.is_empty() {
        println!("no asset is offered, and none has a rate");
    }
    for line in &lines {
        print!("{}", tell(line));
    }
    print!("{}", lately(&mut conn, base.now()).await?);
    Ok(ExitCode::SUCCESS)
}

/// By which way a payment would be quoted now, or why it would not.
async fn quoted(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    rupees: u32,
) -> anyhow::Result<Quoted> {
    let amount = Amount::try_new(i128::from(rupees) * 100, Asset::Inr)?;
    let (price, route) = match quote::preview_in(conn, base, asset, amount).await {
        Ok(found) => found,
        Err(QuoteError::Internal(error)) => return Err(error.into()),
        Err(why) => {
            let over = format!("NO QUOTES: {why}");
            return Ok(Quoted { rupees, price: None, over, others: Vec::new() });
        }
    };
    let taken = route.taken().map_or_else(String::new, |taken| taken.path.clone());
    let other = |way: &Candidate| match &way.verdict {
        Choice::Taken => None,
        Choice::Behind { reason } | Choice::Refused { reason, .. } => {
            Some(format!("{}: {reason}", way.path))
        }
    };
    let others = route.candidates.iter().filter_map(other).collect();
    let price = Some(price.round_dp(8).normalize().to_string());
    Ok(Quoted { rupees, price, over: taken, others })
}

async fn events(conn: &mut PgConnection, json: bool) -> anyhow::Result<ExitCode> {
    let events = rates::events_in(conn, ASKED).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&events)?);
    } else {
        events.iter().for_each(|event| print!("{}", happened(event)));
    }
    Ok(ExitCode::SUCCESS)
}

/// How often something got worse since midnight (UTC), and the last changes; nothing where there
/// never was one.
async fn lately(conn: &mut PgConnection, now: DateTime<Utc>) -> anyhow::Result<String> {
    let events = rates::events_in(conn, SHOWN).await?;
    if events.is_empty() {
        return Ok(String::new());
    }
    let midnight = now - TimeDelta::seconds(now.timestamp().rem_euclid(86_400));
    let (worse, lost) = rates::changes_since_in(conn, midnight).await?;
    let mut text = format!("today {worse} anomalies, {lost} of them without a price\n");
    text.extend(events.iter().map(happened));
    Ok(text)
}

fn happened(event: &RateEvent) -> String {
    let at = event.at.format("%Y-%m-%d %H:%M:%S");
    let from = event.from.as_deref().unwrap_or("nothing");
    let why = event.reason.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("      {at}  {:5} {from} → {}{why}\n", event.asset.code(), event.to)
}

const fn missing(asset: Asset) -> Line {
    Line {
        asset,
        verdict: "missing",
        reason: None,
        bid: None,
        ask: None,
        venue_bid: None,
        routes: Vec::new(),
        quoted: None,
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
    let routes = rate.routes.into_iter().map(|route| Route {
        bid: route.bids.first().map(|level| text(level.price)),
        over: route.venues,
        refused: route.refused,
    });
    Line {
        asset: rate.base,
        verdict,
        reason,
        bid: rate.bid.map(text),
        ask: rate.ask.map(text),
        venue_bid: rate.bids.first().map(|level| text(level.price)),
        routes: routes.collect(),
        quoted: None,
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
    for route in line.routes.iter().filter(|route| route.over.len() > 1 || route.refused.is_some())
    {
        let bid =
            route.bid.as_ref().map_or_else(|| "no bid".to_owned(), |bid| format!("bid ₹{bid}"));
        let refused =
            route.refused.as_ref().map_or_else(String::new, |why| format!("  refused: {why}"));
        text.push_str(&format!("      over {:15} {bid}{refused}\n", route.over.join(", ")));
    }
    if let Some(quoted) = &line.quoted {
        let at = quoted.price.as_ref().map_or_else(String::new, |price| format!(" at ₹{price}"));
        text.push_str(&format!("      ₹{} quoted{at}: {}\n", quoted.rupees, quoted.over));
        for other in &quoted.others {
            text.push_str(&format!("        not {other}\n"));
        }
    }
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
