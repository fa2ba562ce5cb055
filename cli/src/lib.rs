//! `chukta`: one binary, many roles. This file only names the commands.
//!
//! A library, because the programs of the sandbox are wired like the product. They are another
//! binary (`sandbox/`): they pay with private keys, and this one has none.

pub mod beside;
pub mod commands;
pub mod config;
pub mod shutdown;
pub mod telemetry;
pub mod wiring;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Crypto in, rupees out: the settlement fleet.
#[derive(Debug, Parser)]
#[command(name = "chukta", version, about)]
struct Arguments {
    /// Settings file (TOML); every setting stands in config/default.toml.
    #[arg(long, global = true, env = "CHUKTA_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The API and every job in one process: what a small shop runs.
    Serve,
    /// The API alone.
    Api,
    /// Jobs, all kinds or the ones named.
    Work {
        /// Kinds of jobs, comma separated; all of them when absent.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Kinds of jobs left to other processes, comma separated.
        #[arg(long, value_delimiter = ',', conflicts_with = "only")]
        except: Vec<String>,
    },
    /// The jobs that need chain nodes, alone.
    Scan,
    /// Brings the database to this version, as its owner.
    Migrate,
    /// Makes a merchant with a payout destination and an API key, which is shown once.
    Seed(commands::seed::Seed),
    /// Books what venue and rail hold at the start as the owners' capital.
    OpenBooks,
    /// The outside world in the vendors' dialects, on loopback. First line: one JSON object.
    Simulate(commands::simulate::Simulate),
    /// Everything on this machine, with real payments on local chain nodes (chukta-sandbox).
    #[command(disable_help_flag = true)]
    Demo(Elsewhere),
    /// One payment explained to the paisa.
    Explain {
        /// The payment's id, `pay_…`.
        payment: String,
        #[arg(long)]
        json: bool,
    },
    /// Checks database, nodes, venue, rail and clocks, and says what is wrong.
    Doctor,
    /// Compares the books with the outside once; fails when they differ.
    Reconcile,
    /// Checks the books themselves; fails on any defect.
    Ledgerck,
    /// Lists what a person must look at; closes a case with a note.
    Cases(commands::cases::Cases),
    /// When deposits are shown, accepted and final.
    #[command(subcommand)]
    Policy(commands::policy::Command),
    /// The house's limit for early acceptance.
    #[command(subcommand)]
    Risk(commands::risk::Command),
    /// Pays a shop whose payment was accepted early and whose crypto did not stay.
    HonourLoss(commands::risk::HonourLoss),
    /// Reads blocks of a network again; what was missed is recorded, nothing twice.
    Rescan(commands::rescan::Rescan),
    /// Pays a payment from a local node's payer, right or wrong (chukta-sandbox).
    #[command(disable_help_flag = true)]
    Pay(Elsewhere),
    /// Adds blocks to a local chain (chukta-sandbox).
    #[command(disable_help_flag = true)]
    Mine(Elsewhere),
    /// Replaces the last blocks of a local chain (chukta-sandbox).
    #[command(disable_help_flag = true)]
    Reorg(Elsewhere),
    /// Books what the owners paid in at the bank or at a venue.
    PayIn(commands::pay_in::PayIn),
    /// Gives money that was set aside to the payment it is for.
    Attribute(commands::attribute::Attribute),
    /// What is owed back to payers.
    #[command(subcommand)]
    Refund(commands::refund::Command),
    /// Tries a parked payout or sale again.
    Retry(commands::retry::Retry),
    /// What a shop wants done with money that does not fit.
    #[command(subcommand)]
    MerchantPolicy(commands::merchant_policy::Command),
    /// What each asset is worth now, by whom, and why a source did not count.
    Rates(commands::rates::Rates),
    /// What quotes keep below the executable price, per shop and asset.
    #[command(subcommand)]
    Spread(commands::spread::Command),
    /// What is promised at a price and not sold yet, per asset, and its limit.
    Exposure {
        #[arg(long)]
        json: bool,
    },
    /// What a day earned and cost, explained from ledger rows to the paisa.
    Profit(commands::profit::Options),
    /// What the books say is at each venue, and whether it takes orders.
    Venues {
        #[arg(long)]
        json: bool,
    },
    /// Stops or allows new orders at one venue.
    #[command(subcommand)]
    Venue(commands::venues::Command),
    /// Our own coins on their way, and what a person may do about them.
    Treasury(commands::treasury::Treasury),
    /// Asks the workers to look for something to sweep now.
    Sweep(commands::treasury::Sweep),
    /// Opens or closes a kill switch.
    Switch {
        /// quotes, conversions, payouts or moves
        name: String,
        #[arg(value_parser = ["open", "close"])]
        to: String,
        #[arg(long)]
        reason: String,
    },
    /// Prints the API's OpenAPI document.
    Openapi,
    /// Prints docs/STATES.md.
    States,
    /// Asks a health endpoint; exit status 0 when it is healthy.
    Health { url: String },
}

/// A command of the sandbox's own program, as it was typed.
#[derive(Debug, clap::Args)]
struct Elsewhere {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

/// What the binary does.
#[must_use]
pub fn main() -> ExitCode {
    outbound::install_crypto();
    let arguments = Arguments::parse();
    if let Some(status) = elsewhere(&arguments) {
        return status;
    }
    telemetry::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chukta: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chukta: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Hands a command of the sandbox over to its program; `None` when it is one of ours.
fn elsewhere(arguments: &Arguments) -> Option<ExitCode> {
    let (name, Elsewhere { words }) = match &arguments.command {
        Command::Demo(given) => ("demo", given),
        Command::Pay(given) => ("pay", given),
        Command::Mine(given) => ("mine", given),
        Command::Reorg(given) => ("reorg", given),
        _ => return None,
    };
    let mut all: Vec<OsString> = vec![name.into()];
    let is_named = words.iter().any(|word| word.to_string_lossy().starts_with("--config"));
    if let Some(config) = arguments.config.as_ref().filter(|_| !is_named) {
        all.extend(["--config".into(), config.into()]);
    }
    all.extend(words.iter().cloned());
    let error = beside::become_program("chukta-sandbox", &all);
    eprintln!("chukta: {error:#}");
    Some(ExitCode::FAILURE)
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    use commands::{cases, check, explain, migrate, open_books, seed, serve, simulate, switch};
    match arguments.command {
        Command::Openapi => {
            println!("{}", api::openapi());
            return Ok(ExitCode::SUCCESS);
        }
        Command::States => {
            print!("{}", settlement::states_markdown());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Simulate(options) => return simulate::run(options).await,
        Command::Health { url } => return check::health(&url).await,
        _ => {}
    }
    let config = config::Config::load(arguments.config.as_deref())?;
    match arguments.command {
        Command::Serve => serve::run(&config, serve::Roles::everything()).await,
        Command::Api => serve::run(&config, serve::Roles::api()).await,
        Command::Work { only, except } => {
            serve::run(&config, serve::Roles::work(only, except)).await
        }
        Command::Scan => serve::run(&config, serve::Roles::scan()).await,
        Command::Migrate => migrate::run(&config).await,
        Command::Seed(options) => seed::run(&config, options).await,
        Command::OpenBooks => open_books::run(&config).await,
        Command::Explain { payment, json } => explain::run(&config, &payment, json).await,
        Command::Cases(options) => cases::run(&config, options).await,
        Command::Doctor => check::doctor(&config).await,
        Command::Reconcile => check::reconcile(&config).await,
        Command::Ledgerck => check::ledgerck(&config).await,
        Command::Rescan(options) => commands::rescan::run(&config, &options).await,
        Command::Switch { name, to, reason } => {
            switch::run(&config, &name, to == "close", &reason).await
        }
        Command::Rates(options) => commands::rates::run(&config, &options).await,
        Command::Spread(command) => commands::spread::run(&config, command).await,
        Command::Exposure { json } => commands::exposure::run(&config, json).await,
        Command::Treasury(options) => commands::treasury::run(&config, options).await,
        Command::Sweep(options) => commands::treasury::sweep(&config, &options).await,
        Command::Profit(options) => commands::profit::run(&config, &options).await,
        Command::Venues { json } => commands::venues::list(&config, json).await,
        Command::Venue(command) => commands::venues::decide(&config, command).await,
        Command::PayIn(options) => commands::pay_in::run(&config, options).await,
        Command::Attribute(options) => commands::attribute::run(&config, options).await,
        Command::Refund(command) => commands::refund::run(&config, command).await,
        Command::Retry(options) => commands::retry::run(&config, options).await,
        Command::MerchantPolicy(command) => commands::merchant_policy::run(&config, command).await,
        Command::Policy(command) => commands::policy::run(&config, command).await,
        Command::Risk(command) => commands::risk::run(&config, command).await,
        Command::HonourLoss(options) => commands::risk::honour_loss(&config, &options).await,
        // Each of these was answered above.
        Command::Openapi
        | Command::States
        | Command::Simulate(_)
        | Command::Health { .. }
        | Command::Demo(_)
        | Command::Pay(_)
        | Command::Mine(_)
        | Command::Reorg(_) => Ok(ExitCode::SUCCESS),
    }
}
