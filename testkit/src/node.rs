//! A real chain node of the test's own: it mines a block per transaction, and more by command.
//!
//! Invariant: its clock runs with the fleet's, a few seconds ahead at most.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use chains::Chain;
use chains_evm::{EvmChain, EvmConfig, TokenConfig};
use chains_evm_sandbox::{Anvil, AnvilOptions, Payer, dev_payer_key, dev_xpub};
use chrono::{DateTime, Utc};
use primitives::{Amount, Asset};
use serde_json::json;

use crate::{Http, Other, settings};

/// The contracts the payer's tokens live in.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub usdc: String,
    pub usdt: String,
}

/// Node, payer and tokens.
pub struct Node {
    anvil: Anvil,
    pub payer: Payer,
    pub tokens: Tokens,
    /// Chains beside this one.
    pub others: Vec<Other>,
    rpc: Http,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("url", &self.anvil.rpc_url()).finish_non_exhaustive()
    }
}

impl Node {
    /// # Errors
    /// When there is no anvil: run `make test`.
    pub(crate) async fn start(now: DateTime<Utc>) -> anyhow::Result<Self> {
        let anvil = Anvil::start(AnvilOptions::default()).await?;
        let rpc = Http::new(anvil.rpc_url(), None)?;
        rpc.rpc("evm_setTime", json!([now.timestamp()])).await?;
        let payer = Payer::connect(anvil.rpc_url(), dev_payer_key()).await?;
        let tokens = Tokens {
            usdc: token(&payer, "USD Coin", Asset::Usdc).await?,
            usdt: token(&payer, "Tether USD", Asset::Usdt).await?,
        };
        Ok(Self { anvil, payer, tokens, others: Vec::new(), rpc })
    }

    /// A token that calls itself USDC and is listed nowhere, full in the payer's hands.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn lookalike(&self) -> anyhow::Result<String> {
        token(&self.payer, "USD Coin", Asset::Usdc).await
    }

    /// The product's own view of this node, through its own adapter.
    ///
    /// # Errors
    /// When the adapter refuses the settings.
    pub(crate) fn chain(&self) -> anyhow::Result<Arc<dyn Chain>> {
        let url = self.anvil.rpc_url().parse()?;
        let mut config = EvmConfig::new(settings::network()?, 31_337, url, dev_xpub());
        for (asset, contract) in
            [(Asset::Usdc, &self.tokens.usdc), (Asset::Usdt, &self.tokens.usdt)]
        {
            config.tokens.push(TokenConfig { asset, contract: contract.clone(), decimals: 6 });
        }
        Ok(Arc::new(EvmChain::connect(&config)?))
    }

    /// Sends from the payer's wallet; answers the transaction's id, which is in a block.
    ///
    /// # Errors
    /// When the node refuses or the transaction fails.
    pub async fn send(&self, to: &str, amount: Amount) -> anyhow::Result<String> {
        let sent = match amount.asset() {
            Asset::Eth => self.payer.send_native(to, amount).await?,
            Asset::Usdc => self.payer.send_token(&self.tokens.usdc, to, amount).await?,
            Asset::Usdt => self.payer.send_token(&self.tokens.usdt, to, amount).await?,
            other => anyhow::bail!("the payer holds no {other}"),
        };
        ensure!(self.payer.wait(&sent).await?, "the payer's transaction failed");
        Ok(sent)
    }

    /// # Errors
    /// When the node refuses.
    pub(crate) async fn pass_time(&self, seconds: i64) -> anyhow::Result<()> {
        self.rpc.rpc("evm_increaseTime", json!([seconds])).await?;
        Ok(())
    }

    /// Sends signed bytes as they are.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn send_raw(&self, raw: &str) -> anyhow::Result<String> {
        let answer = self.rpc.rpc("eth_sendRawTransaction", json!([raw])).await?;
        let id = answer.as_str().context("a transaction id")?.to_owned();
        self.payer.wait(&id).await?;
        Ok(id)
    }
}

async fn token(payer: &Payer, name: &str, asset: Asset) -> anyhow::Result<String> {
    let contract = payer.deploy_token(name, asset.code(), 6).await?;
    let plenty = Amount::try_new(1_000_000_000_000, asset)?;
    let minted = payer.mint(&contract, &payer.address(), plenty).await?;
    ensure!(payer.wait(&minted).await?, "the sandbox token was not minted");
    Ok(contract)
}
