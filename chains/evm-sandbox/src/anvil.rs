//! Starting a local anvil: loopback, a free port, gone when dropped.
//!
//! Invariant: the port is chosen by the node itself and read from its first words, so two nodes
//! never race for one. Where the binary comes from is the business of the set-up scripts.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::SandboxError;

const START: Duration = Duration::from_secs(30);
const BINARY: &str = "CHUKTA_ANVIL";

/// How the node behaves. The default mines a block per transaction, and calls a block final when
/// four more are on top.
#[derive(Debug, Clone)]
pub struct AnvilOptions {
    /// Where the program is; by default what the environment variable `CHUKTA_ANVIL` says.
    pub binary: Option<PathBuf>,
    pub chain_id: u64,
    /// `safe` is one of these behind the tip, `finalized` two.
    pub slots_in_an_epoch: u64,
    /// Seconds between blocks; none mines a block per transaction.
    pub block_time_secs: Option<u64>,
    /// By default any free port.
    pub port: u16,
}

impl Default for AnvilOptions {
    fn default() -> Self {
        Self {
            binary: None,
            chain_id: 31_337,
            slots_in_an_epoch: 2,
            block_time_secs: None,
            port: 0,
        }
    }
}

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub struct Anvil {
    rpc_url: String,
    child: Child,
    home: PathBuf,
}

impl Anvil {
    /// Starts a node and waits until it listens.
    ///
    /// # Errors
    /// When there is no binary, or it does not start within half a minute.
    pub async fn start(options: AnvilOptions) -> Result<Self, SandboxError> {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(&options)).await;
        started.map_err(|_| SandboxError("anvil could not be started".to_owned()))?
    }

    fn start_blocking(options: &AnvilOptions) -> Result<Self, SandboxError> {
        let binary = options.binary.clone().map_or_else(binary, Ok)?;
        let home = new_home()?;
        let mut command = Command::new(binary);
        command
            .args(["--host", "127.0.0.1"])
            .args(["--port", &options.port.to_string()])
            .args(["--chain-id", &options.chain_id.to_string()])
            .args(["--slots-in-an-epoch", &options.slots_in_an_epoch.to_string()])
            .args(["--order", "fifo"])
            // It keeps old states under its home, and a killed one leaves them there.
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(seconds) = options.block_time_secs {
            command.args(["--block-time", &seconds.to_string()]);
        }
        let spawned = command.spawn();
        let mut child = spawned.map_err(|error| {
            drop(fs::remove_dir_all(&home));
            SandboxError(format!("starting anvil: {error}"))
        })?;
        let listening = child.stdout.take().map(listen);
        // From here on dropping cleans up, also on the way out with an error.
        let mut anvil = Self { rpc_url: String::new(), child, home };
        let address = listening.and_then(|address| address.recv_timeout(START).ok());
        let address = address.ok_or_else(|| SandboxError("anvil did not start".to_owned()))?;
        anvil.rpc_url = format!("http://{address}");
        Ok(anvil)
    }

    #[must_use]
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// The process, for a test that stops or freezes it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            // Reaps it: otherwise a long test run collects dead processes.
            drop(self.child.wait());
        }
        drop(fs::remove_dir_all(&self.home));
    }
}

/// Reads the node's words for as long as it speaks: a full pipe would stop it.
fn listen(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("Listening on ") {
                drop(sender.send(address.trim().to_owned()));
            }
        }
    });
    receiver
}

/// A new folder of our own; whatever stands under a name already is not ours.
fn new_home() -> Result<PathBuf, SandboxError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id();
    for _ in 0..1_000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("chukta-anvil-{process}-{number}"));
        if fs::create_dir(&home).is_ok() {
            return Ok(home);
        }
    }
    Err(SandboxError("no temporary folder for anvil".to_owned()))
}

fn binary() -> Result<PathBuf, SandboxError> {
    std::env::var_os(BINARY).map(PathBuf::from).ok_or_else(|| {
        let sentence = "needs a local Ethereum node: CHUKTA_ANVIL must name the anvil program. \
            Run `make test`, which installs it and sets this";
        SandboxError(sentence.to_owned())
    })
}
