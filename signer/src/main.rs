//! The signer process: makes key files, serves the socket, shows the public side, checks the log.
//!
//! Invariant: secrets come from files or standard input, never from arguments or the environment,
//! and never go to standard output.

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Parser, Subcommand};
use primitives::{Entropy, SystemClock};
use signer::{Config, FileKeys, LocalSigner, Secrets, Server};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// A passphrase or secrets; longer is a mistake.
const MOST: u64 = 64 * 1024;

#[derive(Parser)]
#[command(name = "chukta-signer", version, about = "Holds the only private keys of the fleet")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an encrypted key file. An existing one is never written over.
    Init(Init),
    /// Sign what comes over the socket.
    Serve(Settings),
    /// Print the public keys and addresses the fleet's settings need, as JSON.
    Public(Settings),
    /// The signer's log.
    #[command(subcommand)]
    Log(LogCommand),
}

#[derive(Args)]
struct Init {
    /// The key file to make.
    #[arg(long)]
    keys: PathBuf,
    /// Where the passphrase is; without it, it is the first line of standard input.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Take the words of BIP39 from standard input instead of making new ones.
    #[arg(long, conflicts_with = "secrets_from_stdin")]
    mnemonic_from_stdin: bool,
    /// Take secrets from standard input as JSON: words or a seed, and imported keys.
    #[arg(long)]
    secrets_from_stdin: bool,
}

#[derive(Args)]
struct Settings {
    #[arg(long)]
    config: PathBuf,
}

#[derive(Subcommand)]
enum LogCommand {
    /// Check every line and the chain of hashes; print the last one.
    Verify {
        #[command(flatten)]
        settings: Settings,
    },
}

type Fault = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).init();
    let cli = Cli::parse();
    match run(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "chukta-signer: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Init(init) => make_keys(&init),
        Command::Serve(settings) => serve(&settings.config).await,
        Command::Public(settings) => {
            let (config, keys) = load(&settings.config)?;
            let public = signer::public(&config.networks, &keys);
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&public)?)?;
            Ok(())
        }
        Command::Log(LogCommand::Verify { settings }) => {
            let config = Config::load(&settings.config)?;
            let verified = signer::verify(&config.log)?;
            let (lines, hash) = (verified.lines, hex::encode(verified.hash));
            writeln!(io::stdout(), "{lines} lines, the last one is {hash}")?;
            if verified.torn > 0 {
                writeln!(io::stdout(), "and {} bytes of a line not whole", verified.torn)?;
            }
            Ok(())
        }
    }
}

fn make_keys(init: &Init) -> Result<(), Fault> {
    let mut stdin = io::stdin().lock();
    let passphrase = passphrase(init.passphrase_file.as_deref(), &mut stdin)?;
    let entropy = Entropy::system();
    let secrets = if init.secrets_from_stdin {
        Secrets::parse(std::mem::take(&mut *rest(stdin)?).into_bytes())?
    } else if init.mnemonic_from_stdin {
        Secrets::from_words(&rest(stdin)?)?
    } else {
        Secrets::fresh(&entropy)?
    };
    signer::seal(&init.keys, &secrets, &passphrase, &entropy)?;
    writeln!(io::stdout(), "made {}", init.keys.display())?;
    Ok(())
}

async fn serve(file: &Path) -> Result<(), Fault> {
    let (config, keys) = load(file)?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let service = LocalSigner::start(&config, Arc::new(keys), Arc::new(SystemClock))?;
    let server = Server::bind(&config.socket, config.clients)?;
    tracing::info!(socket = %config.socket.display(), "serving");
    let stop = async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    };
    Ok(server.serve(Arc::new(service), stop).await?)
}

fn load(file: &Path) -> Result<(Config, FileKeys), Fault> {
    let config = Config::load(file)?;
    let passphrase = passphrase(config.passphrase_file.as_deref(), &mut io::stdin().lock())?;
    let secrets = signer::open(&config.keys, &passphrase)?;
    let keys = FileKeys::new(&secrets, &config.networks)?;
    Ok((config, keys))
}

/// The first line of a file nobody else may open, or of standard input.
fn passphrase(
    file: Option<&Path>,
    stdin: &mut dyn io::BufRead,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut line = match file {
        Some(file) => signer::read_secret(file)?,
        None => Zeroizing::new(Vec::with_capacity(usize::try_from(MOST)?)),
    };
    if file.is_none() {
        stdin.take(MOST).read_until(b'\n', &mut line)?;
    }
    let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
    line.truncate(end);
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.is_empty() {
        return Err("there is no passphrase".into());
    }
    Ok(line)
}

fn rest(stdin: io::StdinLock<'_>) -> Result<Zeroizing<String>, Fault> {
    // With room for all of it: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(MOST)?));
    stdin.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}
