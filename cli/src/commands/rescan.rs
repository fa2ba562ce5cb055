//! `chukta rescan`: reads blocks again and records what was missed.

use std::process::ExitCode;

use primitives::NetworkId;

use crate::{config::Config, wiring};

/// Which blocks.
#[derive(Debug, clap::Args)]
pub(crate) struct Rescan {
    #[arg(long, value_parser = network)]
    network: NetworkId,
    /// The first height (on Solana: slot) to read again.
    #[arg(long)]
    from: u64,
}

fn network(text: &str) -> Result<NetworkId, String> {
    NetworkId::new(text).ok_or_else(|| "not the name of a network".to_owned())
}

pub(crate) async fn run(config: &Config, options: &Rescan) -> anyhow::Result<ExitCode> {
    let ctx = wiring::ctx(config).await?;
    let done = workers::rescan(&ctx, &options.network, options.from).await?;
    println!(
        "{}: {} blocks from {} on read again, {} sightings, {} of them new",
        options.network, done.blocks, options.from, done.seen, done.new
    );
    Ok(ExitCode::SUCCESS)
}
