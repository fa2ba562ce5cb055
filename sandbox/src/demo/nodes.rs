//! The local chains of the demo: bitcoind, two anvils, a Solana; and the settings that reach them.
//!
//! Invariant: every node listens on loopback, at a port of its own choice, and ends with this
//! process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chains::sandbox::Sandbox as _;
use chains_bitcoin_sandbox::{self as bitcoin, Bitcoind, BitcoindOptions};
use chains_evm_sandbox::{self as evm, Anvil, AnvilOptions};
use chains_solana_sandbox::{self as solana, Surfnet, SurfnetOptions};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Between two blocks, on every chain: fast enough to watch, slow enough to see states.
const BLOCK: Duration = Duration::from_millis(1_000);

const BASE: &str = "base";

/// Everything that makes blocks.
pub(crate) struct Nodes {
    bitcoind: Bitcoind,
    ethereum: Evm,
    base: Evm,
    surfnet: Surfnet,
    miner: JoinHandle<()>,
    is_held: Arc<AtomicBool>,
}

/// An EVM network and its tokens.
struct Evm {
    network: &'static str,
    chain_id: u64,
    account: u32,
    anvil: Anvil,
    usdc: String,
    usdt: String,
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.miner.abort();
    }
}

impl Nodes {
    /// # Errors
    /// A sentence naming the node that did not start.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let solana = async {
            let block_time_ms = Some(400);
            let options = SurfnetOptions { block_time_ms, ..SurfnetOptions::default() };
            let surfnet = Surfnet::start(options).await?;
            // Makes the tokens the settings list.
            let wallet = solana::dev_wallet();
            solana::Payer::connect(surfnet.rpc_url(), &wallet).await?;
            anyhow::Ok(surfnet)
        };
        let bitcoin = async {
            let bitcoind = Bitcoind::start(BitcoindOptions::default()).await?;
            let payer = bitcoin::Payer::connect(bitcoind.rpc_url()).await?;
            anyhow::Ok((bitcoind, payer))
        };
        let (surfnet, (bitcoind, payer), ethereum, base) = tokio::try_join!(
            solana,
            bitcoin,
            Evm::start("ethereum", 31_337, 0),
            Evm::start(BASE, 84_532, 1),
        )?;
        let is_held = Arc::<AtomicBool>::default();
        let held = Arc::clone(&is_held);
        let miner = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BLOCK).await;
                if held.load(Ordering::Relaxed) {
                    continue;
                }
                if let Err(error) = payer.mine(1).await {
                    tracing::warn!(%error, "no block of bitcoin");
                }
            }
        });
        Ok(Self { bitcoind, ethereum, base, surfnet, miner, is_held })
    }

    /// No more blocks of Bitcoin, or again: what is sent meanwhile waits.
    pub(crate) fn hold_bitcoin(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Where each node listens, for a person.
    pub(crate) fn told(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("bitcoin", self.bitcoind.rpc_url()),
            ("ethereum", self.ethereum.anvil.rpc_url()),
            ("base", self.base.anvil.rpc_url()),
            ("solana", self.surfnet.rpc_url()),
        ]
    }

    /// The same nodes as the simulated venues watch them for what comes to their addresses.
    pub(crate) fn watched(&self) -> Value {
        let of = |network: &str, kind: &str, rpc_url: &str, confirmations: u32, tokens: Value| {
            json!({
                "network": network, "kind": kind, "rpc_url": rpc_url,
                "confirmations": confirmations, "tokens": tokens,
            })
        };
        let mints: serde_json::Map<String, Value> = solana::dev_mints()
            .iter()
            .map(|listed| (listed.asset.to_string(), json!(listed.mint)))
            .collect();
        let mut all = vec![
            of("bitcoin", "bitcoind", self.bitcoind.rpc_url(), 2, json!({})),
            of("solana", "surfnet", self.surfnet.rpc_url(), 10, json!(mints)),
        ];
        for evm in [&self.ethereum, &self.base] {
            let mut tokens = json!({ "USDC": evm.usdc, "USDT": evm.usdt });
            // No venue takes this one there.
            if evm.network == BASE
                && let Some(tokens) = tokens.as_object_mut()
            {
                tokens.remove("USDT");
            }
            all.push(of(evm.network, "anvil", evm.anvil.rpc_url(), 3, tokens));
        }
        Value::Array(all)
    }

    /// The tables of these chains: networks, nodes, payers.
    pub(crate) fn settings(&self) -> anyhow::Result<String> {
        let mut text = format!(
            r#"[settlement.networks.bitcoin]
assets = ["BTC"]
confirm = {{ rule = "depth", blocks = 3 }}
poll_ms = 500
batch_blocks = 50
reorg_limit = 32
[settlement.treasury.networks.bitcoin]
sweep = ["BTC"]
[[bitcoin]]
network = "bitcoin"
chain = "regtest"
rpc_urls = ["{rpc}"]
xpub = "{xpub}"
[[sandbox]]
network = "bitcoin"
kind = "bitcoind"
rpc_url = "{rpc}"
"#,
            rpc = self.bitcoind.rpc_url(),
            xpub = bitcoin::dev_xpub(),
        );
        for network in [&self.ethereum, &self.base] {
            text.push_str(&network.settings()?);
        }
        text.push_str(&self.solana_settings());
        Ok(text)
    }

    fn solana_settings(&self) -> String {
        let mints: Vec<String> = solana::dev_mints()
            .iter()
            .map(|listed| {
                let (asset, mint, decimals) = (listed.asset, &listed.mint, listed.decimals);
                format!(r#"{{ asset = "{asset}", mint = "{mint}", decimals = {decimals} }}"#)
            })
            .collect();
        format!(
            r#"[settlement.networks.solana]
assets = ["SOL", "USDC", "USDT"]
confirm = {{ rule = "finalized" }}
poll_ms = 400
batch_blocks = 100
reorg_limit = 64
[settlement.treasury.networks.solana]
sweep = ["SOL", "USDC", "USDT"]
wallet = "{wallet}"
[[solana]]
network = "solana"
genesis_hash = "{genesis}"
rpc_urls = ["{rpc}"]
ws_urls = ["{ws}"]
wallet = "{wallet}"
reference_seed = "the seed of a sandbox"
mints = [{mints}]
[[sandbox]]
network = "solana"
kind = "surfnet"
rpc_url = "{rpc}"
"#,
            genesis = self.surfnet.genesis_hash(),
            rpc = self.surfnet.rpc_url(),
            ws = self.surfnet.ws_url(),
            wallet = solana::dev_wallet(),
            mints = mints.join(", "),
        )
    }
}

impl Evm {
    async fn start(network: &'static str, chain_id: u64, account: u32) -> anyhow::Result<Self> {
        let block_time_secs = Some(BLOCK.as_secs());
        let options = AnvilOptions { block_time_secs, chain_id, ..AnvilOptions::default() };
        let anvil = Anvil::start(options).await?;
        let payer = evm::Payer::connect(anvil.rpc_url(), evm::dev_payer_key()).await?;
        let usdc = payer.deploy_token("USD Coin", "USDC", 6).await?;
        let usdt = payer.deploy_token("Tether USD", "USDT", 6).await?;
        Ok(Self { network, chain_id, account, anvil, usdc, usdt })
    }

    fn settings(&self) -> anyhow::Result<String> {
        Ok(format!(
            r#"[settlement.networks.{network}]
assets = ["ETH", "USDC", "USDT"]
confirm = {{ rule = "depth", blocks = 3 }}
poll_ms = 300
batch_blocks = 50
reorg_limit = 32
[settlement.treasury.networks.{network}]
sweep = [{sweep}]
gas_min = {{ ETH = "0.05" }}
[[evm]]
network = "{network}"
chain_id = {chain_id}
rpc_urls = ["{rpc}"]
ws_urls = ["{ws}"]
xpub = "{xpub}"
tokens = [
  {{ asset = "USDC", contract = "{usdc}", decimals = 6 }},
  {{ asset = "USDT", contract = "{usdt}", decimals = 6 }},
]
[[sandbox]]
network = "{network}"
kind = "anvil"
rpc_url = "{rpc}"
"#,
            network = self.network,
            sweep =
                if self.network == BASE { r#""ETH", "USDC""# } else { r#""ETH", "USDC", "USDT""# },
            chain_id = self.chain_id,
            rpc = self.anvil.rpc_url(),
            ws = self.anvil.rpc_url().replace("http://", "ws://"),
            xpub = evm::dev_account(self.account)?,
            usdc = self.usdc,
            usdt = self.usdt,
        ))
    }
}
