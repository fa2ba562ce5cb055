//! The signer of the demo: a process of its own beside this one, with the publicly known keys of
//! the local nodes, a list of the simulated venues' addresses, and limits.
//!
//! Invariant: this process starts it and never sees a key of it: the secrets go in over its
//! standard input, sealed into a file only it can open.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use settlement::treasury::TreasurySettings;
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use super::private_file;
use crate::{config::Config, wiring};

const START: Duration = Duration::from_secs(60);
/// Keys of local nodes, known to everybody.
const SECRETS: &str = include_str!("../../../signer/sandbox-secrets.json");
const PASSPHRASE: &str = "the passphrase of a sandbox";

/// The process, and where it listens.
pub(crate) struct Signer {
    child: Child,
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
    pub(crate) async fn start(dir: &Path, config: &Config) -> anyhow::Result<Self> {
        let program = program()?;
        let dir = dir.join("signer");
        if dir.is_dir() {
            tokio::fs::remove_dir_all(&dir).await?;
        }
        tokio::fs::create_dir_all(&dir).await?;
        private_file(&dir.join("passphrase"), &format!("{PASSPHRASE}\n")).await?;
        private_file(&dir.join("allow.toml"), &allow_list(config).await?).await?;
        private_file(&dir.join("signer.toml"), &settings(config)?).await?;
        make_keys(&program, &dir).await?;
        let log = std::fs::File::create(dir.join("signer.out"))?;
        let child = Command::new(&program)
            .args(["serve", "--config", "signer.toml"])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let mut signer = Self { child };
        signer.wait_until_open(&dir).await?;
        Ok(signer)
    }

    async fn wait_until_open(&mut self, dir: &Path) -> anyhow::Result<()> {
        let started = tokio::time::Instant::now();
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

/// The signer's own binary, beside this one: no other links a signing key.
fn program() -> anyhow::Result<PathBuf> {
    let mine = std::env::current_exe()?;
    let program = mine.with_file_name("chukta-signer");
    ensure!(
        program.is_file(),
        "there is no chukta-signer beside {}: build all of it (`cargo build --workspace --bins`)",
        mine.display()
    );
    Ok(program)
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

/// Where each swept asset may go: what the venues themselves name.
async fn allow_list(config: &Config) -> anyhow::Result<String> {
    let connectors = wiring::connectors(config)?;
    let treasury: &TreasurySettings = &config.settlement.treasury;
    let mut lines = vec!["version = 1".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    for (network, asset) in treasury.sweeps() {
        let venues = treasury.venues.iter().filter(|(_, v)| v.targets.contains_key(&asset));
        for (venue, _) in venues {
            let custody = connectors.custody.get(venue);
            let custody = custody.with_context(|| format!("venue {venue} takes no coins"))?;
            let address = custody.deposit_address(asset, network).await?.address;
            if !seen.insert((network.clone(), address.clone())) {
                continue;
            }
            lines.push(format!(
                "[[allow]]\nnetwork = \"{network}\"\npurpose = \"fund_venue\"\n\
                 address = \"{address}\"\nnote = \"{venue}\""
            ));
        }
    }
    Ok(lines.join("\n"))
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
