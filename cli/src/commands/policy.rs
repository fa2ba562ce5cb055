//! `chukta policy`: when deposits are shown, accepted and final, as versions of data.
//!
//! Invariant: a policy is never edited; `set` adds a version, which counts from its commit on.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use primitives::{Amount, Asset, NetworkId};
use settlement::policy::{self, Family, NewPolicy, Policy, Tier};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Prints the policy that counts for every network and asset of the settings.
    Show {
        /// Every version that was ever set, with who set it and why.
        #[arg(long)]
        history: bool,
    },
    /// Sets the policy of an asset on a network: a new version, whole.
    Set(Set),
    /// Lets a network credit again whose nodes disagreed: somebody has looked.
    Resume {
        network: String,
        /// What was found out.
        #[arg(long)]
        note: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[arg(long)]
    network: String,
    #[arg(long)]
    asset: String,
    /// `from:show:accept:final:witnesses`, for example `50000:mempool:1:3:2`: from ₹ 50,000 on,
    /// shown from the mempool, accepted early at 1 block, final at 3, two nodes must agree. Rules
    /// are
    /// `mempool`, a number of blocks, `safe`, `finalized`. Repeat for each tier, the first from 0.
    #[arg(
        long = "tier",
        required_unless_present = "start_values",
        conflicts_with = "start_values"
    )]
    tiers: Vec<String>,
    /// Begins with sound values instead: bitcoin, ethereum, sidechain, rollup or solana.
    #[arg(long)]
    start_values: Option<String>,
    /// Who sets it.
    #[arg(long)]
    by: String,
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Show { history } => show(config, history).await?,
        Command::Set(set) => self::set(config, &set).await?,
        Command::Resume { network, note } => resume(config, &network, &note).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(config: &Config, history: bool) -> anyhow::Result<()> {
    let base = wiring::base(config).await?;
    let mut conn = base.pool.acquire().await?;
    if history {
        for signed in policy::list_in(&mut conn).await? {
            let at = signed.at.format("%Y-%m-%d %H:%M:%S");
            println!("{at}  by {}: {}", signed.actor, signed.reason);
            print(&signed.policy);
        }
        return Ok(());
    }
    for (network, settings) in &base.settings.networks {
        for asset in &settings.assets {
            print(&policy::current_in(&mut conn, &base, network, *asset).await?);
        }
        if policy::stopped_in(&mut conn, network).await? {
            println!("{network}  CREDITS NOTHING: its nodes disagree (chukta cases)");
        }
    }
    Ok(())
}

fn print(policy: &Policy) {
    let Policy { network, asset, version, tiers } = policy;
    let from = if *version == 0 { "settings".to_owned() } else { format!("version {version}") };
    for tier in tiers {
        println!(
            "{network}  {asset}  {from}  from {}: show {}, accept {}, final {}, witnesses {}",
            tier.from, tier.show, tier.accept, tier.last, tier.min_witnesses
        );
    }
}

async fn set(config: &Config, set: &Set) -> anyhow::Result<()> {
    let asset: Asset = set.asset.parse().context("--asset")?;
    let network = network(&set.network)?;
    let tiers = match &set.start_values {
        Some(name) => {
            let family = Family::parse(name)
                .context("start values exist for bitcoin, ethereum, sidechain, rollup, solana")?;
            policy::start_values(family)
        }
        None => set.tiers.iter().map(|text| tier(text)).collect::<anyhow::Result<_>>()?,
    };
    let base = wiring::base(config).await?;
    let new =
        NewPolicy { network: &network, asset, tiers: &tiers, actor: &set.by, reason: &set.reason };
    let mut tx = base.pool.begin().await?;
    let version = policy::set_in(&mut tx, &base, &new).await?;
    tx.commit().await?;
    println!("{network} {asset}: version {version} counts from now on");
    Ok(())
}

async fn resume(config: &Config, network: &str, note: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!note.trim().is_empty(), "--note says what was found out");
    let network = self::network(network)?;
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    let ended = policy::resume_in(&mut tx, &base, &network, note).await?;
    tx.commit().await?;
    println!("{network}: {ended} disputes ended");
    Ok(())
}

pub(crate) fn network(name: &str) -> anyhow::Result<NetworkId> {
    NetworkId::new(name).with_context(|| format!("{name:?} is not the name of a network"))
}

/// Rupees as a person writes them: a number with at most two decimals.
pub(crate) fn rupees(text: &str) -> anyhow::Result<Amount> {
    Amount::parse_units(text, Asset::Inr).with_context(|| format!("{text:?} is not rupees"))
}

fn tier(text: &str) -> anyhow::Result<Tier> {
    let parts: Vec<&str> = text.split(':').collect();
    let [from, show, accept, last, witnesses] = parts.as_slice() else {
        bail!("a tier is from:show:accept:final:witnesses, and {text:?} has {} parts", parts.len());
    };
    let rule = |what: &str, text: &str| {
        text.parse::<policy::Rule>().with_context(|| format!("{what} rule {text:?}"))
    };
    Ok(Tier {
        from: rupees(from)?,
        show: rule("show", show)?,
        accept: rule("accept", accept)?,
        last: rule("final", last)?,
        min_witnesses: witnesses.parse().with_context(|| format!("witnesses {witnesses:?}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_read() {
        let read = tier("50000:mempool:1:3:2").unwrap();
        assert_eq!(read.from.minor(), 5_000_000);
        assert_eq!((read.last, read.min_witnesses), (policy::Rule::Depth(3), 2));
        assert_eq!(policy::check(&[tier("0:1:safe:finalized:1").unwrap()]), Ok(()));
    }

    #[test]
    fn what_is_no_tier_is_refused_with_a_reason() {
        for bad in ["", "0:1:2:3", "0:1:2:3:1:1", "x:1:2:3:1", "0:1:2:latest:1", "0:1:2:3:-1"] {
            assert!(!tier(bad).unwrap_err().to_string().is_empty(), "{bad}");
        }
    }
}
