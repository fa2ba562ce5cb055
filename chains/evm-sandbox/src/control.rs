//! Commanding the local node: blocks, their pace, and reorganisations.

use alloy::primitives::{Bytes, U64};
use chains_evm::raw::hash_of;
use serde_json::Value;

use super::{Payer, SandboxError};

impl Payer {
    /// Mines `blocks` blocks now.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn mine(&self, blocks: u64) -> Result<(), SandboxError> {
        let _: Value = self.ask("anvil_mine", (U64::from(blocks),)).await?;
        Ok(())
    }

    /// The height of the tip.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn height(&self) -> Result<u64, SandboxError> {
        let height: U64 = self.ask("eth_blockNumber", ()).await?;
        Ok(height.to())
    }

    /// The block at a height, as the node shows it, with the ids of its transactions.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn block(&self, height: u64) -> Result<Value, SandboxError> {
        self.ask("eth_getBlockByNumber", (U64::from(height), false)).await
    }

    /// Mines until what is in a block now is final.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn mine_to_finality(&self) -> Result<(), SandboxError> {
        let now = self.height().await?;
        loop {
            let last: Option<Value> =
                self.ask("eth_getBlockByNumber", ("finalized", false)).await?;
            let last = last.and_then(|block| block.get("number").cloned());
            let last: U64 = serde_json::from_value(last.unwrap_or_default()).unwrap_or_default();
            match now.checked_sub(last.to::<u64>()).filter(|missing| *missing > 0) {
                Some(missing) => self.mine(missing).await?,
                None => return Ok(()),
            }
        }
    }

    /// A block per transaction, or only on command.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn set_automine(&self, on: bool) -> Result<(), SandboxError> {
        let _: Value = self.ask("evm_setAutomine", (on,)).await?;
        Ok(())
    }

    /// Whether there is a block per transaction.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn automine(&self) -> Result<bool, SandboxError> {
        self.ask("anvil_getAutomine", ()).await
    }

    /// A block every so many seconds; zero stops it.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn set_interval(&self, seconds: u64) -> Result<(), SandboxError> {
        let _: Value = self.ask("evm_setIntervalMining", (seconds,)).await?;
        Ok(())
    }

    /// The signed bytes of a transaction the node knows, for [`Payer::reorg`].
    ///
    /// # Errors
    /// When the node does not know it.
    pub async fn raw_transaction(&self, tx_id: &str) -> Result<String, SandboxError> {
        let unknown = || SandboxError("the node does not know this transaction".to_owned());
        let tx = hash_of(tx_id).ok_or_else(unknown)?;
        let raw: Option<Bytes> = self.ask("eth_getRawTransactionByHash", (tx,)).await?;
        raw.map(|raw| raw.to_string()).ok_or_else(unknown)
    }

    /// Throws a transaction out of the node's pool, as nodes do by themselves.
    ///
    /// # Errors
    /// When the node refuses, or has no such transaction waiting.
    pub async fn forget(&self, tx_id: &str) -> Result<(), SandboxError> {
        let unknown = || SandboxError("the node does not know this transaction".to_owned());
        let tx = hash_of(tx_id).ok_or_else(unknown)?;
        let dropped: Option<Value> = self.ask("anvil_dropTransaction", (tx,)).await?;
        dropped.map(|_| ()).ok_or_else(unknown)
    }

    /// What the network takes per gas from the next block on: the block after it goes on from
    /// there.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn set_base_fee(&self, wei: u64) -> Result<(), SandboxError> {
        let _: Value = self.ask("anvil_setNextBlockBaseFeePerGas", (U64::from(wei),)).await?;
        Ok(())
    }

    /// Replaces the last `depth` blocks. Their transactions are gone, except those given: signed
    /// bytes, and the block of the new branch (0 is the first) that includes them.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn reorg(&self, depth: u64, include: &[(String, u64)]) -> Result<(), SandboxError> {
        let _: Value = self.ask("anvil_reorg", (depth, include.to_vec())).await?;
        Ok(())
    }
}
