//! Starting a local bitcoind on regtest: loopback, a free port, gone when dropped.
//!
//! Invariants: it connects to nobody and nobody can connect to it; its password is its own, so no
//! other node is ever taken for it. Where the program comes from is the business of the set-up
//! scripts.

use std::{
    fmt::{self, Write as _},
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use primitives::Entropy;

use super::SandboxError;

const START: Duration = Duration::from_secs(60);
/// One question; whoever has taken the port may never answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How many ports are tried.
const TRIES: u32 = 5;
const PROGRAM: &str = "CHUKTA_BITCOIND";
const USER: &str = "chukta";

/// How the node is started.
#[derive(Debug, Clone, Default)]
pub struct BitcoindOptions {
    /// Where the program is; by default what the environment variable `CHUKTA_BITCOIND` says.
    pub binary: Option<PathBuf>,
    /// By default any free port.
    pub port: u16,
    /// Where it keeps its chain; by default a new folder that goes with it.
    pub home: Option<PathBuf>,
}

/// A running node. Dropping it kills it.
pub struct Bitcoind {
    rpc_url: String,
    child: Child,
    home: PathBuf,
    keeps_home: bool,
}

impl Bitcoind {
    /// Starts a node and waits until it answers.
    ///
    /// # Errors
    /// When there is no program, or it does not start within a minute.
    pub async fn start(options: BitcoindOptions) -> Result<Self, SandboxError> {
        // A port that was free a moment ago may be somebody else's by now: another one is tried.
        let tries = if options.port == 0 { TRIES } else { 1 };
        let mut ended = SandboxError("bitcoind was not started".to_owned());
        for _ in 0..tries {
            match Self::start_once(options.clone()).await {
                Ok(Some(node)) => return Ok(node),
                Ok(None) => ended = SandboxError("bitcoind ended as it started".to_owned()),
                Err(error) => return Err(error),
            }
        }
        Err(ended)
    }

    /// `None` when the program ended before it answered.
    async fn start_once(options: BitcoindOptions) -> Result<Option<Self>, SandboxError> {
        let mut node = tokio::task::spawn_blocking(move || Self::spawn(&options))
            .await
            .map_err(|_| SandboxError("bitcoind could not be started".to_owned()))??;
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            let asked = super::payer::answers(&node.rpc_url);
            let answers = tokio::time::timeout(ANSWER, asked).await.unwrap_or(false);
            // Also of one that answers: where ours ended, somebody else has its port.
            if !matches!(node.child.try_wait(), Ok(None)) {
                return Ok(None);
            }
            if answers {
                return Ok(Some(node));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(SandboxError("bitcoind did not answer in time".to_owned()))
    }

    fn spawn(options: &BitcoindOptions) -> Result<Self, SandboxError> {
        let program = options.binary.clone().map_or_else(program, Ok)?;
        let home = options.home.clone().map_or_else(new_home, Ok)?;
        let port = if options.port == 0 { free_port()? } else { options.port };
        let password = new_password()?;
        write_settings(&home, port, &password)?;
        let child = Command::new(program)
            .arg(format!("-datadir={}", home.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| SandboxError(format!("starting bitcoind: {error}")))?;
        let rpc_url = format!("http://{USER}:{password}@127.0.0.1:{port}");
        Ok(Self { rpc_url, child, home, keeps_home: options.home.is_some() })
    }

    /// With the login in it.
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

impl fmt::Debug for Bitcoind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, home) = (self.child.id(), &self.home);
        f.debug_struct("Bitcoind").field("pid", &pid).field("home", home).finish_non_exhaustive()
    }
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            // Reaps it: otherwise a long test run collects dead processes.
            drop(self.child.wait());
        }
        if !self.keeps_home {
            drop(fs::remove_dir_all(&self.home));
        }
    }
}

fn write_settings(home: &Path, port: u16, password: &str) -> Result<(), SandboxError> {
    let settings = format!(
        "regtest=1\nserver=1\ntxindex=1\nlisten=0\ndnsseed=0\nfixedseeds=0\nlistenonion=0\n\
         printtoconsole=0\nrpcuser={USER}\nrpcpassword={password}\nfallbackfee=0.0001\n\
         disablewallet=1\n[regtest]\nconnect=0\nrpcbind=127.0.0.1\nrpcallowip=127.0.0.1\n\
         rpcport={port}\nrpcthreads=16\nrpcworkqueue=128\n"
    );
    let path = home.join("bitcoin.conf");
    fs::write(path, settings)
        .map_err(|error| SandboxError(format!("settings of bitcoind: {error}")))
}

fn new_password() -> Result<String, SandboxError> {
    let mut text = String::new();
    for byte in Entropy::system().bytes::<16>() {
        write!(text, "{byte:02x}").map_err(super::sentence)?;
    }
    Ok(text)
}

/// bitcoind cannot choose a port itself. Between this and its start somebody else may take the
/// port: then it ends, and `start` tries another one.
fn free_port() -> Result<u16, SandboxError> {
    let listener = TcpListener::bind("127.0.0.1:0");
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| SandboxError(format!("no free port: {error}")))
}

fn new_home() -> Result<PathBuf, SandboxError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id();
    for _ in 0..1_000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("chukta-bitcoind-{process}-{number}"));
        if fs::create_dir(&home).is_ok() {
            return Ok(home);
        }
    }
    Err(SandboxError("no temporary folder for bitcoind".to_owned()))
}

fn program() -> Result<PathBuf, SandboxError> {
    std::env::var_os(PROGRAM).map(PathBuf::from).ok_or_else(|| {
        let sentence = "needs a local Bitcoin node: CHUKTA_BITCOIND must name the bitcoind \
            program. Run `make test`, which fetches it and sets this";
        SandboxError(sentence.to_owned())
    })
}
