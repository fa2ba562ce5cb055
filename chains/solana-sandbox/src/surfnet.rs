//! Starting a local Solana: loopback, free ports, gone when dropped.
//!
//! Invariant: the node ends with the process that started it, however that ends: it reads a pipe
//! that closes then. What it is made of: `node/surfnet.mjs`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;

use super::{PAYER, SandboxError, keypair, sentence};

const PROGRAM: &str = include_str!("../node/surfnet.mjs");
const RUNTIME: &str = "CHUKTA_SURFPOOL";
const START: Duration = Duration::from_secs(30);

/// How the node behaves. The default makes a block per transaction.
#[derive(Debug, Clone, Default)]
pub struct SurfnetOptions {
    /// The runtime's module; by default what the environment variable `CHUKTA_SURFPOOL` says.
    pub runtime: Option<PathBuf>,
    /// By default any free port.
    pub port: u16,
    /// Milliseconds between blocks; none makes a block per transaction only.
    pub block_time_ms: Option<u64>,
}

/// A running node. Dropping it ends it.
#[derive(Debug)]
pub struct Surfnet {
    child: Child,
    /// Held open: the node ends when it closes.
    _stdin: Option<ChildStdin>,
    words: Words,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Words {
    rpc_url: String,
    ws_url: String,
    genesis: String,
}

impl Surfnet {
    /// Starts a node and waits until it listens.
    ///
    /// # Errors
    /// When there is no runtime, or it does not start within half a minute.
    pub async fn start(options: SurfnetOptions) -> Result<Self, SandboxError> {
        let started = tokio::task::spawn_blocking(move || Self::start_blocking(&options)).await;
        started.map_err(sentence)?
    }

    fn start_blocking(options: &SurfnetOptions) -> Result<Self, SandboxError> {
        let runtime = options.runtime.clone().map_or_else(runtime, Ok)?;
        let settings = json!({
            "port": options.port, "interval": options.block_time_ms,
            "payer": keypair(PAYER).to_bytes().to_vec(),
        });
        let mut program = tempfile::Builder::new()
            .prefix("chukta-surfnet-")
            .suffix(".mjs")
            .tempfile()
            .map_err(sentence)?;
        program.write_all(PROGRAM.as_bytes()).map_err(sentence)?;
        let mut child = Command::new("node")
            .arg(program.path())
            .arg(settings.to_string())
            .env(RUNTIME, runtime)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| SandboxError(format!("starting the local Solana: {error}")))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut node = Self { child, _stdin: stdin, words: Words::default() };
        let (sender, receiver) = mpsc::channel();
        if let Some(stdout) = stdout {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Ok(words) = serde_json::from_str::<Words>(&line) {
                        drop(sender.send(words));
                    }
                }
            });
        }
        let words = receiver.recv_timeout(START);
        node.words = words.map_err(|_| {
            SandboxError("the local Solana did not start; it needs node 20 or later".to_owned())
        })?;
        Ok(node)
    }

    #[must_use]
    pub fn rpc_url(&self) -> &str {
        &self.words.rpc_url
    }

    #[must_use]
    pub fn ws_url(&self) -> &str {
        &self.words.ws_url
    }

    /// Another one for every node.
    #[must_use]
    pub fn genesis_hash(&self) -> &str {
        &self.words.genesis
    }

    /// The process, for a test that stops or freezes it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Surfnet {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            // Reaps it: otherwise a long test run collects dead processes.
            drop(self.child.wait());
        }
    }
}

fn runtime() -> Result<PathBuf, SandboxError> {
    std::env::var_os(RUNTIME).map(PathBuf::from).ok_or_else(|| {
        let sentence = "needs a local Solana: CHUKTA_SURFPOOL must name the module of surfpool. \
            Run `make test`, which installs it and sets this";
        SandboxError(sentence.to_owned())
    })
}
