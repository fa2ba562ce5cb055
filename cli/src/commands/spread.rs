//! `chukta spread`: what quotes keep below the executable price, per shop and asset.
//!
//! Invariant: a rule is never edited; `set` adds one, and the newest of the most specific scope
//! counts from its commit on. What was quoted stays as it was.

use std::process::ExitCode;

use anyhow::Context as _;
use primitives::{Asset, Bps};
use settlement::rates::{self, NewSpread, Scope, SpreadRule};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sets the spread of a shop, an asset, both, or everybody.
    Set(Set),
    /// Prints the rules that count, and the settings behind them.
    List {
        /// Every rule that was ever set, with who set it and why.
        #[arg(long)]
        history: bool,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// One shop, `mer_…`; every shop when absent.
    #[arg(long)]
    merchant: Option<String>,
    /// One asset, `ETH`; every asset when absent.
    #[arg(long)]
    asset: Option<String>,
    /// Hundredths of a percent, 0 to 1000.
    #[arg(long, required_unless_present = "withdraw", conflicts_with = "withdraw")]
    bps: Option<u32>,
    /// Takes this scope's rule back: the next wider one counts.
    #[arg(long)]
    withdraw: bool,
    /// Who sets it.
    #[arg(long)]
    by: String,
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Set(set) => self::set(config, &set).await?,
        Command::List { history, json } => list(config, history, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(config: &Config, set: &Set) -> anyhow::Result<()> {
    let merchant = set.merchant.as_deref().map(str::parse).transpose().context("--merchant")?;
    let asset: Option<Asset> =
        set.asset.as_deref().map(str::parse).transpose().context("--asset")?;
    let scope = Scope { merchant, asset };
    let bps = set.bps.map(|bps| Bps::new(bps).context("--bps is 0 to 1000")).transpose()?;
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    let new = NewSpread { scope, bps, actor: &set.by, reason: &set.reason };
    let id = rates::set_in(&mut tx, &base, &new).await?;
    tx.commit().await?;
    println!("{}: {} (rule {id})", whom(scope), much(bps));
    Ok(())
}

async fn list(config: &Config, history: bool, json: bool) -> anyhow::Result<()> {
    let base = wiring::base(config).await?;
    let mut conn = base.pool.acquire().await?;
    let mut rules = rates::list_in(&mut conn).await?;
    rules.retain(|rule| history || (rule.counts && rule.bps.is_some()));
    if json {
        println!("{}", serde_json::to_string_pretty(&rules)?);
        return Ok(());
    }
    for rule in &rules {
        print!("{}", tell(rule));
    }
    let settings = &base.settings;
    println!("everybody, every asset: {} bps (the settings)", settings.spread_bps.get());
    if settings.volatility_share_percent > 0 {
        println!(
            "a restless price adds {} % of the range of ten minutes, {} bps at most",
            settings.volatility_share_percent,
            settings.volatility_max_bps.get()
        );
    }
    Ok(())
}

fn tell(rule: &SpreadRule) -> String {
    let at = rule.at.format("%Y-%m-%d %H:%M:%S");
    let past = if rule.counts { "" } else { "  (past)" };
    let (whom, much) = (whom(rule.scope), much(rule.bps));
    format!("{whom}: {much} (rule {})  {at}  by {}: {}{past}\n", rule.id, rule.actor, rule.reason)
}

fn whom(scope: Scope) -> String {
    let shop = scope.merchant.map_or_else(|| "everybody".to_owned(), |shop| shop.to_string());
    let asset = scope.asset.map_or("every asset", Asset::code);
    format!("{shop}, {asset}")
}

fn much(bps: Option<Bps>) -> String {
    bps.map_or_else(|| "withdrawn".to_owned(), |bps| format!("{} bps", bps.get()))
}
