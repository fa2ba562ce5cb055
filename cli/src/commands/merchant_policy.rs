//! `chukta merchant-policy`: what a shop wants done with money that is late, short, too much, in
//! another asset, or after the end. Every change is a new version.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use primitives::{Bps, MerchantId};
use settlement::merchant_policy::{self, Action, Choices, MerchantPolicy};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Prints every version, the one that acts first.
    Show {
        /// The shop, `mer_…`.
        merchant: String,
    },
    /// Adds a version; what is not named stays as it is.
    Set(Box<Change>),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// The shop, `mer_…`.
    merchant: String,
    /// honour, requote, refund or review
    #[arg(long)]
    late: Option<String>,
    /// topup, honour, refund or review
    #[arg(long)]
    short: Option<String>,
    /// honour, refund or review
    #[arg(long)]
    surplus: Option<String>,
    /// requote, refund or review
    #[arg(long)]
    wrong_asset: Option<String>,
    /// refund or review
    #[arg(long)]
    after_end: Option<String>,
    /// Payments above so many paise are not honoured or quoted anew without a person.
    #[arg(long)]
    auto_max_paise: Option<i64>,
    /// Seconds after the end of a rate in which late money is honoured.
    #[arg(long)]
    late_grace_s: Option<i64>,
    /// How far the market may have fallen for that, in hundredths of a percent.
    #[arg(long)]
    late_slip_bps: Option<u32>,
    /// How much too little or too much is honoured, in hundredths of a percent.
    #[arg(long)]
    tolerance_bps: Option<u32>,
    /// Seconds a payment stays open for the rest after a part came.
    #[arg(long)]
    topup_s: Option<i64>,
    /// What is worth fewer paise is dust.
    #[arg(long)]
    dust_paise: Option<i64>,
    /// Who wanted it, and why.
    #[arg(long)]
    note: String,
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    match command {
        Command::Show { merchant } => {
            let merchant: MerchantId = merchant.parse()?;
            let mut conn = base.pool.acquire().await?;
            for policy in merchant_policy::list(&mut conn, merchant).await? {
                print(&policy);
            }
            print(&MerchantPolicy::house());
        }
        Command::Set(change) => {
            let merchant: MerchantId = change.merchant.parse()?;
            let mut tx = base.pool.begin().await?;
            let current = merchant_policy::current_in(&mut tx, merchant).await?;
            let choices = changed(current.choices, &change)?;
            let note = change.note.trim();
            let set = merchant_policy::set_in(&mut tx, &base, merchant, choices, note).await?;
            tx.commit().await?;
            print(&set);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn changed(mut choices: Choices, change: &Change) -> anyhow::Result<Choices> {
    for (wanted, action) in [
        (&change.late, &mut choices.late),
        (&change.short, &mut choices.short),
        (&change.surplus, &mut choices.surplus),
        (&change.wrong_asset, &mut choices.wrong_asset),
        (&change.after_end, &mut choices.after_end),
    ] {
        if let Some(name) = wanted {
            let Some(known) = Action::parse(name) else {
                bail!("{name}: honour, requote, topup, refund or review")
            };
            *action = known;
        }
    }
    for (wanted, limit) in [
        (change.auto_max_paise, &mut choices.auto_max_paise),
        (change.late_grace_s, &mut choices.late_grace_s),
        (change.topup_s, &mut choices.topup_s),
        (change.dust_paise, &mut choices.dust_paise),
    ] {
        *limit = wanted.unwrap_or(*limit);
    }
    for (wanted, limit) in [
        (change.late_slip_bps, &mut choices.late_slip_bps),
        (change.tolerance_bps, &mut choices.tolerance_bps),
    ] {
        if let Some(bps) = wanted {
            *limit = Bps::new(bps).context("hundredths of a percent above 10000")?;
        }
    }
    Ok(choices)
}

fn print(policy: &MerchantPolicy) {
    let c = &policy.choices;
    println!(
        "version {}  late {}  short {}  surplus {}  wrong asset {}  after end {}  up to {} paise  \
         grace {} s  slip {} bps  tolerance {} bps  top-up {} s  dust {} paise  ({})",
        policy.version,
        c.late.name(),
        c.short.name(),
        c.surplus.name(),
        c.wrong_asset.name(),
        c.after_end.name(),
        c.auto_max_paise,
        c.late_grace_s,
        c.late_slip_bps.get(),
        c.tolerance_bps.get(),
        c.topup_s,
        c.dust_paise,
        policy.note,
    );
}
