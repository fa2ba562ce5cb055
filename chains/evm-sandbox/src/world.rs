//! The payer and miner of one anvil as every chain's sandbox is used: `chains::sandbox::Sandbox`.
//!
//! Invariant: a reorganisation keeps or drops exactly the transactions it replaces blocks of. What
//! only this family can do stays with [`Payer`].

use std::collections::HashMap;

use async_trait::async_trait;
use chains::sandbox::{Keep, Sandbox};
use primitives::{Amount, Asset};
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Payer, SandboxError};

/// What the payer makes of each of his tokens, in minor units.
const SUPPLY: i128 = 1_000_000_000_000_000;

/// A payer with tokens, on one anvil.
pub struct AnvilSandbox {
    payer: Payer,
    tokens: Vec<(Asset, String)>,
    lookalike: Mutex<Option<String>>,
    /// For a transaction that another one makes worth something: the other one, as it will be when
    /// both are included again.
    funding: Mutex<HashMap<String, String>>,
}

impl AnvilSandbox {
    /// The payer with tokens he can make: `tokens` are contracts anybody may mint.
    ///
    /// # Errors
    /// When the node refuses to mint.
    pub async fn open(payer: Payer, tokens: Vec<(Asset, String)>) -> Result<Self, SandboxError> {
        for (asset, contract) in &tokens {
            let supply = Amount::try_new(SUPPLY, *asset);
            let supply = supply.map_err(|error| SandboxError(error.to_string()))?;
            payer.mint(contract, &payer.address(), supply).await?;
        }
        let (lookalike, funding) = (Mutex::new(None), Mutex::new(HashMap::new()));
        Ok(Self { payer, tokens, lookalike, funding })
    }

    #[must_use]
    pub const fn payer(&self) -> &Payer {
        &self.payer
    }

    fn token(&self, asset: Asset) -> Option<&str> {
        self.tokens.iter().find(|(listed, _)| *listed == asset).map(|(_, token)| token.as_str())
    }

    /// Ids of the transactions of the last `depth` blocks, each block's in order.
    async fn ids(&self, depth: u32) -> Result<Vec<Vec<String>>, SandboxError> {
        let mut blocks = Vec::new();
        let tip = self.payer.height().await?;
        for height in tip.saturating_add(1).saturating_sub(u64::from(depth))..=tip {
            let block = self.payer.block(height).await?;
            let ids = block.get("transactions").and_then(Value::as_array).cloned();
            let ids = ids.unwrap_or_default();
            blocks.push(ids.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        }
        Ok(blocks)
    }
}

#[async_trait]
impl Sandbox for AnvilSandbox {
    async fn pay(&self, to: &str, amount: Amount) -> Result<String, SandboxError> {
        match self.token(amount.asset()) {
            Some(token) => self.payer.send_token(token, to, amount).await,
            None => self.payer.send_native(to, amount).await,
        }
    }

    async fn pay_lookalike(&self, to: &str, amount: Amount) -> Result<String, SandboxError> {
        let mut known = self.lookalike.lock().await;
        let contract = match &*known {
            Some(contract) => contract.clone(),
            None => {
                let contract = self.payer.deploy_token("USD Coin", "USDC", 6).await?;
                let supply = Amount::try_new(SUPPLY, amount.asset());
                let supply = supply.map_err(|error| SandboxError(error.to_string()))?;
                self.payer.mint(&contract, &self.payer.address(), supply).await?;
                known.insert(contract).clone()
            }
        };
        self.payer.send_token(&contract, to, amount).await
    }

    /// A wallet that leaves all it holds: how much that is was decided by whoever funded it.
    async fn pay_changeable(
        &self,
        to: &str,
        first: Amount,
        second: Amount,
    ) -> Result<Option<String>, SandboxError> {
        let wallet = self.payer.deploy_wallet().await?;
        let again = self.payer.signed_native(&wallet, second).await?;
        let funding = self.payer.send_native(&wallet, first).await?;
        self.funding.lock().await.insert(funding, again);
        Ok(Some(self.payer.wallet_destroy(&wallet, to).await?))
    }

    async fn mine(&self, blocks: u32) -> Result<(), SandboxError> {
        self.payer.mine(u64::from(blocks)).await
    }

    async fn reorg(&self, depth: u32, keep: Keep) -> Result<(), SandboxError> {
        let mut include = Vec::new();
        if keep == Keep::Everything {
            let funding = self.funding.lock().await;
            // One block later than before: they are in other blocks.
            for (position, ids) in (1_u64..).zip(self.ids(depth).await?) {
                let position = position.min(u64::from(depth).saturating_sub(1));
                for id in ids {
                    let raw = match funding.get(&id) {
                        Some(other) => other.clone(),
                        None => self.payer.raw_transaction(&id).await?,
                    };
                    include.push((raw, position));
                }
            }
        }
        self.payer.reorg(u64::from(depth), &include).await?;
        self.payer.mine(1).await
    }

    async fn finalize(&self) -> Result<(), SandboxError> {
        self.payer.mine_to_finality().await
    }

    fn assets(&self) -> Vec<Asset> {
        let tokens = self.tokens.iter().map(|(asset, _)| *asset);
        std::iter::once(Asset::Eth).chain(tokens).collect()
    }
}
