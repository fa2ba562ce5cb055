//! `chukta venues` and `chukta venue freeze|thaw`: where crypto is sold, and stopping one place.
//!
//! Invariant: `venues` asks nobody outside: it prints what our own rows say. A decision is a row
//! with a name and a reason, never changed, and counts from its commit on.

use std::process::ExitCode;

use settlement::{
    Base,
    venue_freeze::{self, Venue},
};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Sends a venue no new orders, and quotes nothing that only it can sell.
    Freeze(Decision),
    /// Lets a frozen venue take orders again.
    #[command(visible_alias = "unfreeze")]
    Thaw(Decision),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Decision {
    /// The venue's name, for example wazirx.
    venue: String,
    #[arg(long)]
    reason: String,
    /// Who decides it.
    #[arg(long, env = "USER", hide_env_values = true, default_value = "an operator")]
    by: String,
}

pub(crate) async fn decide(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    let (frozen, decision) = match command {
        Command::Freeze(decision) => (true, decision),
        Command::Thaw(decision) => (false, decision),
    };
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    let signed = (decision.by.as_str(), decision.reason.as_str());
    let changed = venue_freeze::set_in(&mut tx, &base, &decision.venue, frozen, signed).await?;
    tx.commit().await?;
    let state = match (frozen, changed) {
        (true, true) => "frozen: no new orders, and no quotes for what only it can sell",
        (true, false) => "was frozen already; noted",
        (false, true) => "takes orders again",
        (false, false) => "was not frozen; noted",
    };
    println!("{}  {state}", decision.venue);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn list(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    let venues = venue_freeze::list_in(&mut tx, &base).await?;
    tx.commit().await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&venues)?);
        return Ok(ExitCode::SUCCESS);
    }
    for venue in &venues {
        print!("{}", tell(&base, venue));
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(base: &Base, venue: &Venue) -> String {
    let state = match &venue.decision {
        Some(newest) if newest.frozen => format!(
            "FROZEN since {} by {}: {}",
            newest.at.format("%Y-%m-%d %H:%M:%S"),
            newest.by,
            newest.reason
        ),
        _ if venue.sells => "takes orders".to_owned(),
        _ => "not sold at by the settings".to_owned(),
    };
    let answer = venue.last_answer.map_or_else(
        || "no answer on record".to_owned(),
        |at| format!("last answer {} s ago", (base.now() - at).num_seconds()),
    );
    let mut text = format!(
        "{}  {state}  {answer}  orders open {}, of them unknown {}\n",
        venue.venue, venue.orders_open, venue.orders_unknown
    );
    let worth = venue.worth.map_or_else(
        || "of unknown worth: a rate of something there is missing".to_owned(),
        |worth| format!("worth ₹{}", worth.to_units()),
    );
    let cap = venue.cap.map_or_else(
        || "no cap".to_owned(),
        |cap| match venue.worth {
            Some(worth) if worth.minor() < cap.minor() => format!("cap ₹{}", cap.to_units()),
            _ => format!("cap ₹{}: REACHED, nothing more is sold there", cap.to_units()),
        },
    );
    text.push_str(&format!("      {worth}  {cap}\n"));
    for sale in &venue.waiting {
        text.push_str(&format!(
            "      WAITS since {}  {}: {}\n",
            sale.since.format("%Y-%m-%d %H:%M:%S"),
            sale.subject,
            sale.reason
        ));
    }
    for held in &venue.held {
        text.push_str(&format!(
            "      {:5} free {}  locked {}\n",
            held.asset.code(),
            held.free.to_units(),
            held.locked.to_units()
        ));
    }
    text
}
