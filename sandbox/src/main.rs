//! `chukta-sandbox`: the demo, and the drawer of commands that play payers, miners and bad luck.
//!
//! Invariant: whatever signs for a payer is here and in the crates `chains-*-sandbox`, whose keys
//! are everybody's and whose nodes are local. No process of the product links them: the product is
//! started beside this one, and asked like everybody asks it.

mod demo;
mod payers;
mod play;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Real payments on local chain nodes.
#[derive(Debug, Parser)]
#[command(name = "chukta-sandbox", version, about)]
struct Arguments {
    /// Settings file (TOML); every setting stands in config/default.toml.
    #[arg(long, global = true, env = "CHUKTA_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything on this machine, with real payments on local chain nodes.
    Demo(demo::Demo),
    /// Pays a payment from a local node's payer, right or wrong.
    Pay(play::Pay),
    /// Adds blocks to a local chain.
    Mine(play::Mine),
    /// Replaces the last blocks of a local chain.
    Reorg(play::Reorg),
}

fn main() -> ExitCode {
    outbound::install_crypto();
    let arguments = Arguments::parse();
    cli::telemetry::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chukta-sandbox: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(arguments)).unwrap_or_else(|error| {
        eprintln!("chukta-sandbox: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = cli::config::Config::load(arguments.config.as_deref())?;
    match arguments.command {
        Command::Demo(options) => demo::run(&config, options).await,
        Command::Pay(options) => play::pay(&config, &options).await,
        Command::Mine(options) => play::mine(&config, &options).await,
        Command::Reorg(options) => play::reorg(&config, &options).await,
    }
}
