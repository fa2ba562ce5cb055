//! The signer of the demo: a process of its own beside this one, with the publicly known keys of
//! the local nodes, a list of the simulated venues' addresses, and limits.
//!
//! Invariant: what signs is that process alone: this one hands it test keys that everybody has
//! (they stand in the repository, and in this program) over its standard input, and uses none.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use primitives::NetworkId;
use serde_json::Value;
use settlement::treasury::TreasurySettings;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use super::{http::Caller, private_file};
use cli::{beside, config::Config};

const START: Duration = Duration::from_secs(60);
/// Keys of local nodes, known to everybody.
const SECRETS: &str = include_str!("../../../signer/sandbox-secrets.json");
const PASSPHRASE: &str = "the passphrase of a sandbox";

/// The process, and where it listens.
pub(crate) struct Signer {
    child: Child,
    program: PathBuf,
    dir: PathBuf,
}

/// Where the signer of a demo in `dir` listens.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.join("signer/run/signer.sock")
}

impl Signer {
    /// Makes its keys, its list and its settings anew, and starts it.
    ///
    /// # Errors
    /// A sentence naming what does not work.
    pub(crate) async fn start(
        dir: &Path,
        config: &Config,
        control: &Caller,
    ) -> anyhow::Result<Self> {
        let program = beside::program("chukta-signer")?;
        let dir = dir.join("signer");
        if dir.is_dir() {
            tokio::fs::remove_dir_all(&dir).await?;
        }
        tokio::fs::create_dir_all(&dir).await?;
        private_file(&dir.join("passphrase"), &format!("{PASSPHRASE}\n")).await?;
        private_file(&dir.join("allow.toml"), &allow_list(config, control).await?).await?;
        private_file(&dir.join("signer.toml"), &settings(config)?).await?;
        make_keys(&program, &dir).await?;
        let child = serve(&program, &dir)?;
        let mut signer = Self { child, program, dir };
        signer.wait_until_open().await?;
        Ok(signer)
    }

    /// Kills it without a word and starts it again: what it knows is what its log says.
    ///
    /// # Errors
    /// When it does not serve again.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.child = serve(&self.program, &self.dir)?;
        self.wait_until_open().await
    }

    async fn wait_until_open(&mut self) -> anyhow::Result<()> {
        let started = tokio::time::Instant::now();
        let dir = &self.dir;
        let socket = dir.join("run/signer.sock");
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            let ended = self.child.try_wait()?.is_some();
            if ended || started.elapsed() > START {
                bail!("the signer does not serve; see {}", dir.join("signer.out").display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(crate) async fn end(&mut self) {
        super::scene::end(&mut self.child).await;
    }
}

fn serve(program: &Path, dir: &Path) -> anyhow::Result<Child> {
    let log = dir.join("signer.out");
    let log = std::fs::OpenOptions::new().append(true).create(true).open(log)?;
    let child = Command::new(program)
        .args(["serve", "--config", "signer.toml"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

async fn make_keys(program: &Path, dir: &Path) -> anyhow::Result<()> {
    let mut child = Command::new(program)
        .args(["init", "--keys", "keys.json", "--passphrase-file", "passphrase"])
        .arg("--secrets-from-stdin")
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("the signer's input")?;
    stdin.write_all(SECRETS.as_bytes()).await?;
    drop(stdin);
    let made = child.wait_with_output().await?;
    ensure!(made.status.success(), "no keys: {}", String::from_utf8_lossy(&made.stderr).trim());
    Ok(())
}

/// Where each swept asset may go, as a person copies it from the venues' own pages.
async fn allow_list(config: &Config, control: &Caller) -> anyhow::Result<String> {
    let pages = control.get("/chains").await?;
    let treasury: &TreasurySettings = &config.settlement.treasury;
    let mut all: BTreeMap<(NetworkId, &str), (&str, Vec<String>)> = BTreeMap::new();
    for (network, asset) in treasury.sweeps() {
        let venues = treasury.venues.iter().filter(|(_, v)| v.targets.contains_key(&asset));
        for (venue, _) in venues {
            let address = pages.pointer(&format!("/{network}/addresses/{venue}"));
            let address = address.and_then(Value::as_str);
            let address = address.with_context(|| format!("venue {venue} takes no coins"))?;
            let entry = all.entry((network.clone(), address)).or_insert((venue, Vec::new()));
            entry.1.push(format!("\"{asset}\""));
        }
    }
    let entry =
        |((network, address), (venue, assets)): (&(NetworkId, &str), &(&str, Vec<String>))| {
            let assets = assets.join(", ");
            format!(
                "[[allow]]\nnetwork = \"{network}\"\npurpose = \"fund_venue\"\n\
             assets = [{assets}]\naddress = \"{address}\"\nnote = \"{venue}\"\n"
            )
        };
    let entries: String = all.iter().map(entry).collect();
    Ok(format!("version = 1\n{entries}"))
}

fn settings(config: &Config) -> anyhow::Result<String> {
    let mut text = String::from(
        r#"socket = "run/signer.sock"
keys = "keys.json"
passphrase_file = "passphrase"
log = "signer.log"
allow_list = "allow.toml"
activation_delay_s = 0
"#,
    );
    for bitcoin in &config.bitcoin {
        text.push_str(&format!(
            "[[networks]]\nkind = \"bitcoin\"\nnetwork = \"{}\"\nchain = \"regtest\"\n\
             path = \"m/84'/0'/0'\"\n{}",
            bitcoin.network,
            fee("100000", "1000000", "10000000")
        ));
    }
    for (account, evm) in config.evm.iter().enumerate() {
        let tokens: Vec<String> = evm
            .tokens
            .iter()
            .map(|t| format!(r#"{{ asset = "{}", contract = "{}" }}"#, t.asset, t.contract))
            .collect();
        text.push_str(&format!(
            "[[networks]]\nkind = \"evm\"\nnetwork = \"{}\"\nchain_id = {}\n\
             path = \"m/44'/60'/{account}'\"\ntokens = [{}]\n{}",
            evm.network,
            evm.chain_id,
            tokens.join(", "),
            fee("100000000000000000", "1000000000000000000", "10000000000000000000")
        ));
    }
    for solana in &config.solana {
        let mints: Vec<String> = solana
            .mints
            .iter()
            .map(|m| {
                let (asset, mint, decimals) = (m.asset, &m.mint, m.decimals);
                format!(r#"{{ asset = "{asset}", mint = "{mint}", decimals = {decimals} }}"#)
            })
            .collect();
        text.push_str(&format!(
            "[[networks]]\nkind = \"solana\"\nnetwork = \"{}\"\ntokens = [{}]\n{}",
            solana.network,
            mints.join(", "),
            fee("10000000", "100000000", "1000000000")
        ));
    }
    for (purpose, asset, per_tx) in LIMITS {
        text.push_str(&limit(purpose, asset, per_tx)?);
    }
    Ok(text)
}

/// Minor units of one transaction; ten times that in an hour, a hundred times in a day.
const LIMITS: [(&str, &str, &str); 6] = [
    ("fund_venue", "BTC", "100000000"),
    ("fund_venue", "ETH", "10000000000000000000"),
    ("fund_venue", "SOL", "100000000000"),
    ("fund_venue", "USDC", "20000000000"),
    ("fund_venue", "USDT", "20000000000"),
    ("gas", "ETH", "100000000000000000"),
];

fn limit(purpose: &str, asset: &str, per_tx: &str) -> anyhow::Result<String> {
    let one: i128 = per_tx.parse()?;
    let (hour, day) = (one.saturating_mul(10), one.saturating_mul(100));
    Ok(format!(
        "[[limits]]\npurpose = \"{purpose}\"\nasset = \"{asset}\"\nper_tx = \"{one}\"\n\
         per_hour = \"{hour}\"\nper_day = \"{day}\"\n"
    ))
}

fn fee(per_tx: &str, per_hour: &str, per_day: &str) -> String {
    format!(
        "fee = {{ per_tx = \"{per_tx}\", per_hour = \"{per_hour}\", per_day = \"{per_day}\" }}\n"
    )
}
