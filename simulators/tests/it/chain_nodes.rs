//! Local nodes of a test's own, driven by raw JSON-RPC, and a world that watches them.
//!
//! A node ends with its handle. A missing program fails the test with a sentence, never skips it.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use primitives::SystemClock;
use serde_json::{Value, json};
use simulators::{Options, Running, chains::Spec};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running node, or a program that is about to be one.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
    _home: TempDir,
    http: reqwest::Client,
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

fn program(variable: &str) -> String {
    env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} names no local node: run `make test`, which sets it"))
        .into_string()
        .unwrap()
}

pub(crate) fn http() -> reqwest::Client {
    // Building a client panics where no provider is installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The first line of the program's words that holds `sign`, and the rest read away.
fn first_words(child: &mut Child, sign: &str) -> String {
    let mut words = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while words.read_line(&mut line).unwrap() > 0 {
        if line.contains(sign) {
            std::thread::spawn(move || words.lines().map_while(Result::ok).for_each(drop));
            return line;
        }
        line.clear();
    }
    panic!("the node ended before it listened");
}

impl Node {
    pub(crate) fn anvil() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new(program("CHUKTA_ANVIL"))
            .args(["--host", "127.0.0.1", "--port", "0"])
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let words = first_words(&mut child, "Listening on");
        let address = words.trim().rsplit(' ').next().unwrap();
        Self { child, url: format!("http://{address}"), _home: home, http: http() }
    }

    pub(crate) async fn bitcoind() -> Self {
        // Somebody else may take the port between choosing it and the start: another one is tried.
        for _ in 0..5 {
            if let Some(node) = Self::try_bitcoind().await {
                node.rpc("createwallet", json!(["w"])).await;
                return node;
            }
        }
        panic!("bitcoind did not start")
    }

    async fn try_bitcoind() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program("CHUKTA_BITCOIND"))
            .arg(format!("-datadir={}", home.path().display()))
            .args(["-regtest", "-server", "-listen=0", "-rpcuser=u", "-rpcpassword=p"])
            .args(["-fallbackfee=0.0001", "-printtoconsole=0", "-dnsseed=0", "-connect=0"])
            .arg(format!("-rpcport={port}"))
            .args(["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://u:p@127.0.0.1:{port}");
        let mut node = Self { child, url, _home: home, http: http() };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let answers = node.try_rpc("getblockcount", json!([])).await.is_some();
            // Also of one that answers: where ours ended, somebody else has its port.
            if !matches!(node.child.try_wait(), Ok(None)) {
                return None;
            }
            if answers {
                return Some(node);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    /// A local Solana whose payer is this key pair.
    pub(crate) fn surfnet(payer: &[u8]) -> Self {
        let runtime = program("CHUKTA_SURFPOOL");
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../chains/solana-sandbox/node/surfnet.mjs");
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new("node")
            .arg(script)
            .arg(json!({"port": 0, "payer": payer}).to_string())
            .env("CHUKTA_SURFPOOL", runtime)
            // It ends when this closes, with the handle.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().flush().unwrap();
        let words: Value = serde_json::from_str(&first_words(&mut child, "rpcUrl")).unwrap();
        let url = words["rpcUrl"].as_str().unwrap().to_owned();
        Self { child, url, _home: home, http: http() }
    }

    pub(crate) async fn try_rpc(&self, method: &str, params: Value) -> Option<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.http.post(&self.url).json(&body).send().await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        let error = answer.get("error").unwrap_or(&Value::Null);
        // It is still starting.
        if error["code"] == -28 {
            return None;
        }
        assert_eq!(error, &Value::Null, "{method}");
        Some(answer["result"].clone())
    }

    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params).await.unwrap_or_else(|| panic!("{method}: no answer"))
    }
}

/// A running world that watches the node.
pub(crate) async fn watching(spec: Value) -> Running {
    let mut spec = spec;
    spec["poll_ms"] = json!(20);
    let spec: Spec = serde_json::from_value(spec).unwrap();
    let options =
        Options { limits: false, chains: vec![spec], ..Options::new(Arc::new(SystemClock)) };
    simulators::start(options).await.unwrap()
}

/// Polls the venue's own view until the deposits are as wanted.
pub(crate) async fn until(sims: &Running, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let book = sims.binance.book();
        let deposits = book["deposits"].as_array().unwrap().clone();
        if wanted(&deposits) {
            return deposits;
        }
        let progress = sims.chains.progress();
        assert!(Instant::now() < deadline, "not in time: {deposits:?} {progress:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the chain has been read to this height at least.
pub(crate) async fn read_to(sims: &Running, network: &str, height: u64) {
    let deadline = Instant::now() + PATIENCE;
    while sims.chains.progress()[network].1.height < height {
        assert!(Instant::now() < deadline, "not read in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
