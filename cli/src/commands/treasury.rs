//! `chukta treasury` and `chukta sweep`: our own coins on their way, and what a person may do.
//!
//! Invariant: showing asks nobody outside: it prints what rows and books say. A decision is signed
//! with name and reason. Nothing is moved here: `sweep` only asks the workers to look now.

use std::process::ExitCode;

use anyhow::Context as _;
use primitives::{Amount, Asset, MoveId, NetworkId, TransferId};
use settlement::{
    Base, jobs,
    treasury::{self, ColdStore, Evidence, Forecast, Item, Offer, Overview, WrittenOff},
};
use workers::{Connectors, Logged};

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
    /// Refused while the venue's own list shows it.
    TransferNeverLeft(Declaration),
    /// Declares, with the venue's own number, that a transfer left though its answer never came.
    /// Refused when the venue's own list says otherwise.
    TransferLeft(Left),
    /// After a restored database: brings the transaction that the signer's log holds under the id
    /// of an attempt (`id_reused`).
    Adopt(Adopt),
    /// Books what a venue has credited and no rule can read, with its own page as the proof.
    Credited(Credited),
    /// Signs that what is missing of a move or transfer will never be credited. The second person
    /// who signs books it as a loss.
    WriteOff(WriteOff),
}

#[derive(Debug, clap::Args)]
struct WriteOff {
    /// Of the move or the transfer: `mov_…` or `trf_…`.
    id: String,
    #[arg(long)]
    reason: String,
    /// Who signs it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
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
struct Adopt {
    /// The move's id, `mov_…`.
    id: MoveId,
    /// Its attempt, as the case `signer_refused` names it.
    #[arg(long)]
    attempt: i32,
    /// `tx_id` and `raw` of the line that the signer's log has under the attempt's intent.
    #[arg(long)]
    tx_id: String,
    #[arg(long)]
    raw: String,
    #[arg(long)]
    reason: String,
    /// Who decides it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
}

#[derive(Debug, clap::Args)]
struct Left {
    /// The transfer's id, `trf_…`.
    id: TransferId,
    /// The venue's own number of the withdrawal.
    #[arg(long)]
    venue_id: String,
    /// Its transaction: needed where the other venue lists its deposits.
    #[arg(long)]
    tx_id: Option<String>,
    /// What is to arrive, in units; the rest of the amount is the venue's fee.
    #[arg(long)]
    net: String,
    /// The venue will never answer again: its list is not asked.
    #[arg(long)]
    venue_is_gone: bool,
    #[arg(long)]
    reason: String,
    /// Who declares it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
}

#[derive(Debug, clap::Args)]
struct Declaration {
    /// The transfer's id, `trf_…`.
    id: TransferId,
    /// The venue will never answer again: its list is not asked.
    #[arg(long)]
    venue_is_gone: bool,
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

async fn confirm_in(
    conn: &mut sqlx::PgConnection,
    base: &Base,
    offered: &Confirm,
) -> anyhow::Result<()> {
    let network = network(&offered.network)?;
    let offer = Offer {
        venue: &offered.venue,
        asset: asset(&offered.asset)?,
        network: &network,
        address: &offered.address,
    };
    let by = (offered.by.as_str(), offered.reason.as_str());
    treasury::confirm_in(conn, base, &offer, by).await?;
    Ok(())
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
        Some(Command::ConfirmAddress(offered)) => {
            confirm_in(&mut tx, &base, &offered).await?;
            tx.commit().await?;
            println!("confirmed: {} takes {} there", offered.venue, offered.asset);
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
            tx.rollback().await?;
            never_left(config, &base, &declared).await?;
        }
        Some(Command::TransferLeft(said)) => {
            tx.rollback().await?;
            left(config, &base, &said).await?;
        }
        Some(Command::Adopt(logged)) => {
            tx.rollback().await?;
            adopt(config, &base, &logged).await?;
        }
        Some(Command::Credited(seen)) => {
            let item = item(&seen.id)?;
            let amount = Amount::parse_units(&seen.amount, asset(&seen.asset)?)?;
            let (by, reason) = (seen.by.as_str(), seen.reason.as_str());
            treasury::credited_by_hand_in(&mut tx, &base, item, amount, by, reason).await?;
            tx.commit().await?;
            println!("{}: {amount} is booked as credited", seen.id);
        }
        Some(Command::WriteOff(said)) => {
            tx.rollback().await?;
            write_off(&base, &said).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn item(id: &str) -> anyhow::Result<Item> {
    match (id.parse(), id.parse()) {
        (Ok(id), _) => Ok(Item::Move(id)),
        (_, Ok(id)) => Ok(Item::Transfer(id)),
        _ => anyhow::bail!("{id:?} is no move and no transfer"),
    }
}

async fn write_off(base: &Base, said: &WriteOff) -> anyhow::Result<()> {
    let by = (said.by.as_str(), said.reason.as_str());
    let mut tx = base.pool.begin().await?;
    let done = treasury::write_off_in(&mut tx, base, item(&said.id)?, by).await?;
    tx.commit().await?;
    match done {
        WrittenOff::Signed(missing) => println!(
            "{}: {missing} is missing; signed by {}, and booked when a second person signs",
            said.id, said.by
        ),
        WrittenOff::Booked(missing) => println!("{}: {missing} is written off", said.id),
    }
    Ok(())
}

async fn never_left(config: &Config, base: &Base, said: &Declaration) -> anyhow::Result<()> {
    let connectors = wiring::connectors(config)?;
    let by = (said.by.as_str(), said.reason.as_str());
    let outside = (&connectors, base);
    workers::transfer_never_left(outside, said.id, said.venue_is_gone, by).await?;
    println!("{} never left; its coins are free", said.id);
    Ok(())
}

async fn left(config: &Config, base: &Base, said: &Left) -> anyhow::Result<()> {
    let amount = {
        let mut conn = base.pool.acquire().await?;
        treasury::get_transfer_in(&mut conn, said.id).await.context("no such transfer")?.amount
    };
    let evidence = Evidence {
        venue_id: said.venue_id.clone(),
        tx_id: said.tx_id.clone(),
        net: Amount::parse_units(&said.net, amount.asset())?,
    };
    let connectors = wiring::connectors(config)?;
    let by = (said.by.as_str(), said.reason.as_str());
    let outside = (&connectors, base);
    workers::transfer_left(outside, said.id, &evidence, said.venue_is_gone, by).await?;
    println!("{} left; {} is on its way", said.id, evidence.net);
    Ok(())
}

async fn adopt(config: &Config, base: &Base, said: &Adopt) -> anyhow::Result<()> {
    let wiring::Networks { chains, carriers } = wiring::networks(config)?;
    let connectors = Connectors { chains, carriers, ..Connectors::default() };
    let logged = Logged { tx_id: said.tx_id.clone(), raw: said.raw.clone() };
    let by = (said.by.as_str(), said.reason.as_str());
    workers::adopt((&connectors, base), (said.id, said.attempt), &logged, by).await?;
    println!("{} is followed as an attempt of {}", said.tx_id, said.id);
    Ok(())
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
    for cold in &all.cold {
        line(tell_cold(cold));
    }
    for forecast in &all.forecasts {
        line(tell_forecast(forecast));
    }
    let rupees = |paise: i64| format!("₹{}.{:02}", paise / 100, paise % 100);
    let (spent, budget) = (rupees(all.fees_paise), rupees(all.fee_budget_paise));
    line(format!("fees of 24 h {spent} of {budget}"));
    page
}

fn tell_cold(cold: &ColdStore) -> String {
    let compared = if cold.is_compared { "" } else { "  by the books alone: nobody compares it" };
    format!(
        "cold storage {}  on {} at {}  {} of {} in 24 h{compared}",
        cold.held,
        cold.network,
        cold.address,
        cold.today.to_units(),
        cold.per_day.to_units(),
    )
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
