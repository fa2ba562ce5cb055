//! `chukta treasury` and `chukta sweep`: our own coins on their way, and what a person may do.
//!
//! Invariant: showing asks nobody outside: it prints what rows and books say. A decision is signed
//! with name and reason. Nothing is moved here: `sweep` only asks the workers to look now.

use std::process::ExitCode;

use anyhow::Context as _;
use primitives::{Amount, Asset, MoveId, NetworkId, TransferId};
use settlement::{
    jobs,
    treasury::{self, Forecast, Item, Offer, Overview},
};
use workers::Connectors;

use crate::{config::Config, wiring};

/// Without a command: moves that are open, transit, gas, what may be swept, and forecasts.
#[derive(Debug, clap::Args)]
pub(crate) struct Treasury {
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Confirms a venue's deposit address, typed in full, so that coins go there again.
    ConfirmAddress(Confirm),
    /// Tries a parked move again; what the signer refused is drafted anew.
    Retry(Decision),
    /// Gives up a move of which nothing was ever sent.
    Cancel(Decision),
    /// Gives up a move of which the chain proves that it can never happen, or that brought nothing.
    Abandon(Decision),
    /// Declares, with the venue's word, that a transfer never left: its coins and lane are free.
    TransferNeverLeft(Declaration),
    /// Books what a venue has credited and no rule can read, with its own page as the proof.
    Credited(Credited),
}

#[derive(Debug, clap::Args)]
struct Credited {
    /// Of the move or the transfer: `mov_…` or `trf_…`.
    id: String,
    #[arg(long)]
    asset: String,
    /// What was credited, in units.
    #[arg(long)]
    amount: String,
    #[arg(long)]
    reason: String,
    /// Who decides it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
}

#[derive(Debug, clap::Args)]
struct Confirm {
    #[arg(long)]
    venue: String,
    #[arg(long)]
    network: String,
    #[arg(long)]
    asset: String,
    #[arg(long)]
    address: String,
    #[arg(long)]
    reason: String,
    /// Who decides it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
}

#[derive(Debug, clap::Args)]
struct Decision {
    /// The move's id, `mov_…`.
    id: MoveId,
    #[arg(long)]
    reason: String,
    /// Who decides it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
}

#[derive(Debug, clap::Args)]
struct Declaration {
    /// The transfer's id, `trf_…`.
    id: TransferId,
    #[arg(long)]
    reason: String,
    /// Who declares it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sweep {
    #[arg(long)]
    network: String,
    /// One asset; every one that is swept there when absent.
    #[arg(long)]
    asset: Option<String>,
}

fn network(name: &str) -> anyhow::Result<NetworkId> {
    NetworkId::new(name).with_context(|| format!("{name:?} is no name of a network"))
}

fn asset(code: &str) -> anyhow::Result<Asset> {
    code.to_ascii_uppercase().parse().with_context(|| format!("{code:?} is no asset"))
}

pub(crate) async fn run(config: &Config, options: Treasury) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    match options.command {
        None => {
            let all = treasury::overview_in(&mut tx, &base).await?;
            tx.commit().await?;
            if options.json {
                println!("{}", serde_json::to_string_pretty(&all)?);
            } else {
                print!("{}", tell(&all));
            }
        }
        Some(Command::ConfirmAddress(confirm)) => {
            let network = network(&confirm.network)?;
            let offer = Offer {
                venue: &confirm.venue,
                asset: asset(&confirm.asset)?,
                network: &network,
                address: &confirm.address,
            };
            let by = (confirm.by.as_str(), confirm.reason.as_str());
            treasury::confirm_in(&mut tx, &base, &offer, by).await?;
            tx.commit().await?;
            println!("confirmed: {} takes {} there", confirm.venue, offer.asset);
        }
        Some(Command::Retry(decision)) => {
            let by = (decision.by.as_str(), decision.reason.as_str());
            treasury::retry_in(&mut tx, &base, decision.id, by).await?;
            tx.commit().await?;
            println!("{} is tried again", decision.id);
        }
        Some(Command::Cancel(decision)) => {
            let by = (decision.by.as_str(), decision.reason.as_str());
            treasury::cancel_in(&mut tx, &base, decision.id, by).await?;
            tx.commit().await?;
            println!("{} is given up; its coins are free", decision.id);
        }
        Some(Command::Abandon(decision)) => {
            tx.rollback().await?;
            let by = (decision.by.as_str(), decision.reason.as_str());
            let wiring::Networks { chains, carriers } = wiring::networks(config)?;
            let connectors = Connectors { chains, carriers, ..Connectors::default() };
            workers::abandon(&connectors, &base, decision.id, by).await?;
            println!("{} is abandoned; its coins are free", decision.id);
        }
        Some(Command::TransferNeverLeft(declared)) => {
            let by = (declared.by.as_str(), declared.reason.as_str());
            treasury::transfer_never_left_in(&mut tx, &base, declared.id, by).await?;
            tx.commit().await?;
            println!("{} never left; its coins are free", declared.id);
        }
        Some(Command::Credited(seen)) => {
            let item = match (seen.id.parse(), seen.id.parse()) {
                (Ok(id), _) => Item::Move(id),
                (_, Ok(id)) => Item::Transfer(id),
                _ => anyhow::bail!("{:?} is no move and no transfer", seen.id),
            };
            let amount = Amount::parse_units(&seen.amount, asset(&seen.asset)?)?;
            let (by, reason) = (seen.by.as_str(), seen.reason.as_str());
            treasury::credited_by_hand_in(&mut tx, &base, item, amount, by, reason).await?;
            tx.commit().await?;
            println!("{}: {amount} is booked as credited", seen.id);
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn sweep(config: &Config, options: &Sweep) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let network = network(&options.network)?;
    let only = options.asset.as_deref().map(asset).transpose()?;
    let mut tx = base.pool.begin().await?;
    let mut asked = Vec::new();
    for (id, asset) in base.settings.treasury.sweeps() {
        if *id == network && only.is_none_or(|only| only == asset) {
            let job = jobs::Sweep { network: network.clone(), asset };
            queue::enqueue(&mut tx, &job, base.now()).await?;
            asked.push(asset.code());
        }
    }
    tx.commit().await?;
    anyhow::ensure!(!asked.is_empty(), "nothing of that is swept: see [settlement.treasury]");
    println!("looking now: {} on {network}", asked.join(", "));
    Ok(ExitCode::SUCCESS)
}

fn tell(all: &Overview) -> String {
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line(format!("open moves: {}", all.moves.len()));
    for open in &all.moves {
        let at = open.planned_at.format("%Y-%m-%d %H:%M:%S");
        let (id, state, amount) = (&open.id, open.state, open.amount);
        line(format!("  {at}  {id}  {state:9}  {amount}  {} > {}", open.from, open.to));
    }
    for (route, amount) in &all.transit {
        line(format!("in transit   {amount}  {route}"));
    }
    for gas in &all.gas {
        let low = if gas.held.minor() < gas.least.minor() { "  LOW" } else { "" };
        line(format!("fees         {}  {} (at least {}){low}", gas.held, gas.account, gas.least));
    }
    for there in &all.sweepable {
        line(format!("may be swept {}  on {}", there.amount, there.network));
    }
    for forecast in &all.forecasts {
        line(tell_forecast(forecast));
    }
    let rupees = |paise: i64| format!("₹{}.{:02}", paise / 100, paise % 100);
    let (spent, budget) = (rupees(all.fees_paise), rupees(all.fee_budget_paise));
    line(format!("fees of 24 h {spent} of {budget}"));
    page
}

fn tell_forecast(f: &Forecast) -> String {
    let hours = f.hours_left.map_or_else(|| "no sales".to_owned(), |h| format!("{h} h left"));
    let short = if f.short.is_zero() { String::new() } else { format!("  SHORT {}", f.short) };
    format!(
        "{:12} {}  on the way {}  wanted {}  {} an hour, {hours}{short}",
        f.venue,
        f.held,
        f.on_the_way.to_units(),
        f.wanted.to_units(),
        f.per_hour.to_units(),
    )
}
