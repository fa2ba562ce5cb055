//! `chukta simulate`: the outside world on loopback. Needs no database.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use primitives::SystemClock;
use simulators::{Options, Ports};

use crate::shutdown;

#[derive(Debug, clap::Args)]
pub(crate) struct Simulate {
    /// Decides credentials, books and ids: the same seed gives the same world.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The interface to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The host name to print in base URLs, when it is not the interface's.
    #[arg(long)]
    advertise: Option<String>,
    /// Six or seven ports, comma separated: wazirx, binance, coinbase, razorpayx, merchant,
    /// control, coingecko. Free ones when absent.
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
    /// Local nodes that stand for networks: a file with what `POST /chains` takes, as a list.
    #[arg(long)]
    chains: Option<PathBuf>,
    /// Where the rail sends its webhooks.
    #[arg(long)]
    webhook_url: Option<String>,
}

fn chains(file: &Path) -> anyhow::Result<Vec<simulators::chains::Spec>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

pub(crate) async fn run(options: Simulate) -> anyhow::Result<ExitCode> {
    let mut told = shutdown::listen()?;
    let ports = match options.ports.as_slice() {
        [wazirx, binance, coinbase, razorpayx, merchant, control, rest @ ..] if rest.len() <= 1 => {
            Ports {
                wazirx: *wazirx,
                binance: *binance,
                coinbase: *coinbase,
                razorpayx: *razorpayx,
                merchant: *merchant,
                control: *control,
                coingecko: rest.first().copied().unwrap_or(0),
            }
        }
        [] => Ports::default(),
        some => anyhow::bail!("--ports takes six numbers or seven, not {}", some.len()),
    };
    let running = simulators::start(Options {
        seed: options.seed,
        host: options.host,
        advertised_host: options.advertise,
        ports,
        webhook_url: options.webhook_url,
        chains: options.chains.as_deref().map(chains).transpose()?.unwrap_or_default(),
        ..Options::new(Arc::new(SystemClock))
    })
    .await
    .context("starting the simulators")?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", running.first_line())?;
    out.flush()?;
    while !*told.borrow_and_update() {
        if told.changed().await.is_err() {
            break;
        }
    }
    running.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
