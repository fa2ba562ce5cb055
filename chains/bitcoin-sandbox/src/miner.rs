//! Making blocks on regtest, and replacing them.
//!
//! Invariant: every branch pays its miner at an address of its own, so two branches never hold the
//! same block by accident.

use std::collections::HashSet;

use bitcoin::{
    Address, Block, Network, ScriptBuf, Transaction, Txid, WPubkeyHash, consensus::encode,
    hashes::Hash as _,
};
use chains::sandbox::Keep;
use primitives::Entropy;
use serde_json::{Value, json};

use super::{Payer, SandboxError, sentence};

impl Payer {
    pub(super) async fn mine_blocks(&self, blocks: u32) -> Result<(), SandboxError> {
        self.mine_to(&nobody()?, blocks).await
    }

    /// Blocks whose reward goes to `address`.
    ///
    /// # Errors
    /// When the node refuses.
    pub async fn mine_to(&self, address: &str, blocks: u32) -> Result<(), SandboxError> {
        let params = vec![json!(blocks), json!(address)];
        self.call::<Value>("generatetoaddress", params).await?;
        Ok(())
    }

    /// The last `depth` blocks give way to `depth + 1` others.
    pub(super) async fn reorganise(&self, depth: u32, keep: Keep) -> Result<(), SandboxError> {
        let tip: u64 = self.call("getblockcount", vec![]).await?;
        let first = tip.saturating_add(1).checked_sub(u64::from(depth)).filter(|h| *h > 0);
        let first = first.ok_or_else(|| SandboxError("deeper than the chain".to_owned()))?;
        if depth == 0 {
            return Ok(());
        }
        // Read before they go: the node forgets the transactions of blocks further down than ten.
        let dropped = self.transactions_from(first, tip).await?;
        let hash: String = self.call("getblockhash", vec![json!(first)]).await?;
        self.call::<Value>("invalidateblock", vec![json!(hash)]).await?;
        if keep == Keep::Everything {
            for tx in &dropped {
                let params = vec![json!(encode::serialize_hex(tx)), json!(0)];
                // The ones the node remembered are known already; that is no harm.
                drop(self.call::<Value>("sendrawtransaction", params).await);
            }
            return self.mine_blocks(depth.saturating_add(1)).await;
        }
        // Only a block that spends the same coins otherwise makes them go for good.
        let ids: HashSet<Txid> = dropped.iter().map(Transaction::compute_txid).collect();
        let hangs_on_another = |tx: &Transaction| {
            tx.input.iter().any(|input| ids.contains(&input.previous_output.txid))
        };
        let mut conflicts = Vec::new();
        for tx in dropped.iter().filter(|tx| !hangs_on_another(tx)) {
            // The fleet's own moves: nobody but the fleet can spend those coins otherwise.
            if !self.can_spend(tx).await? {
                continue;
            }
            let back: &[(ScriptBuf, u64)] = &[];
            let conflict = self.conflicting(tx, back, 5_000).await?;
            conflicts.push(encode::serialize_hex(&conflict));
        }
        let params = vec![json!(nobody()?), json!(conflicts)];
        self.call::<Value>("generateblock", params).await?;
        for _ in 0..depth {
            let params = vec![json!(nobody()?), json!([])];
            self.call::<Value>("generateblock", params).await?;
        }
        Ok(())
    }

    /// A block of these signed transactions and no others: what waits in the mempool does not
    /// matter, and what it replaced may be mined all the same.
    ///
    /// # Errors
    /// When the node refuses, as where they spend the same.
    pub async fn mine_these(&self, raw: &[&str]) -> Result<(), SandboxError> {
        let params = vec![json!(nobody()?), json!(raw)];
        self.call::<Value>("generateblock", params).await?;
        Ok(())
    }

    /// Hands the blocks of this node up to a height to another one.
    ///
    /// # Errors
    /// When one of the nodes refuses.
    pub async fn copy_blocks(&self, to: &Self, up_to: u64) -> Result<(), SandboxError> {
        let has: u64 = to.call("getblockcount", vec![]).await?;
        for height in has.saturating_add(1)..=up_to {
            let hash: String = self.call("getblockhash", vec![json!(height)]).await?;
            let hex: String = self.call("getblock", vec![json!(hash), json!(0)]).await?;
            let refused: Option<String> = to.call("submitblock", vec![json!(hex)]).await?;
            if let Some(why) = refused {
                return Err(SandboxError(format!("block {height}: {why}")));
            }
        }
        Ok(())
    }

    /// The last `depth` blocks give way to one more, all empty: what they held waits again.
    ///
    /// # Errors
    /// When the chain is not that long, or the node refuses.
    pub async fn empty_blocks(&self, depth: u32) -> Result<(), SandboxError> {
        let tip: u64 = self.call("getblockcount", vec![]).await?;
        let first = tip.saturating_add(1).checked_sub(u64::from(depth)).filter(|h| *h > 0);
        let first = first.ok_or_else(|| SandboxError("deeper than the chain".to_owned()))?;
        if depth == 0 {
            return Ok(());
        }
        let hash: String = self.call("getblockhash", vec![json!(first)]).await?;
        self.call::<Value>("invalidateblock", vec![json!(hash)]).await?;
        for _ in 0..=depth {
            let params = vec![json!(nobody()?), json!([])];
            self.call::<Value>("generateblock", params).await?;
        }
        Ok(())
    }

    /// What the blocks between two heights hold beside their miners' rewards, in order.
    async fn transactions_from(
        &self,
        first: u64,
        last: u64,
    ) -> Result<Vec<Transaction>, SandboxError> {
        let mut transactions = Vec::new();
        for height in first..=last {
            let hash: String = self.call("getblockhash", vec![json!(height)]).await?;
            let hex: String = self.call("getblock", vec![json!(hash), json!(0)]).await?;
            let block: Block = encode::deserialize_hex(&hex).map_err(sentence)?;
            transactions.extend(block.txdata.into_iter().filter(|tx| !tx.is_coinbase()));
        }
        Ok(transactions)
    }
}

/// An address nobody has the key of, another one every time.
fn nobody() -> Result<String, SandboxError> {
    let hash = WPubkeyHash::hash(&Entropy::system().bytes::<32>());
    let script = ScriptBuf::new_p2wpkh(&hash);
    Ok(Address::from_script(&script, Network::Regtest).map_err(sentence)?.to_string())
}
