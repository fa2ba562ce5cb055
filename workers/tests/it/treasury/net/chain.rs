//! What the network answers to who looks at blocks and transactions.
//!
//! Invariant: only what the treasury asks is answered; deposits are seen by no scan here.

use std::time::Duration;

use async_trait::async_trait;
use chains::{
    BlockFacts, BlockRef, Chain, DepositAddress, Head, NodeReport, Outgoing, ReadError, Step,
    TxPlace, UriError, WatchSet, Witness,
};
use primitives::{Amount, Asset, NetworkId};

use super::{Kind, Net, Place, down};

#[async_trait]
impl Chain for Net {
    fn network(&self) -> &NetworkId {
        &self.id
    }

    fn assets(&self) -> Vec<Asset> {
        if self.kind == Kind::Outputs { vec![Asset::Btc] } else { vec![Asset::Eth, Asset::Usdc] }
    }

    async fn head(&self) -> Result<Head, ReadError> {
        let state = self.state();
        if state.is_down {
            return Err(down());
        }
        let latest = self.block(&state, state.height);
        Ok(Head { latest, safe: None, finalized: None })
    }

    async fn block_at(&self, _: u64) -> Result<Option<BlockRef>, ReadError> {
        Err(down())
    }

    async fn block(&self, _: &str) -> Result<BlockRef, ReadError> {
        Err(down())
    }

    async fn step(&self, _: &BlockRef) -> Result<Step, ReadError> {
        Err(down())
    }

    async fn read_block(&self, _: &BlockRef, _: &WatchSet) -> Result<BlockFacts, ReadError> {
        Err(down())
    }

    async fn locate(&self, tx_id: &str, spends: &[String]) -> Result<TxPlace, ReadError> {
        let state = self.state();
        if state.is_down {
            return Err(down());
        }
        match state.txs.get(tx_id).map(|tx| tx.place.clone()) {
            Some(Place::Block { height, ok }) => {
                let block_hash = self.hash(height, state.branch);
                return Ok(TxPlace::Included { height, block_hash, succeeded: ok });
            }
            Some(Place::Pool) => return Ok(TxPlace::Pending),
            _ => {}
        }
        let rival = state.txs.iter().find(|(id, tx)| {
            *id != tx_id && tx.place != Place::Out && tx.spends.iter().any(|s| spends.contains(s))
        });
        Ok(rival.map_or(TxPlace::Absent, |(id, tx)| {
            let mined = match tx.place {
                Place::Block { height, .. } => Some(height),
                _ => None,
            };
            TxPlace::Replaced { by: Some(id.clone()), mined }
        }))
    }

    async fn outgoing(
        &self,
        tx_id: &str,
        to: &str,
        asset: Asset,
    ) -> Result<Vec<Outgoing>, ReadError> {
        let mut state = self.state();
        if state.lags > 0 {
            state.lags -= 1;
            return Ok(Vec::new());
        }
        let Some(tx) = state.txs.get(tx_id) else { return Ok(Vec::new()) };
        let Place::Block { height, ok: true } = tx.place else { return Ok(Vec::new()) };
        if tx.to != to || tx.amount.asset() != asset || state.swallows {
            return Ok(Vec::new());
        }
        let block = self.block(&state, height);
        Ok(vec![Outgoing { tx_id: tx_id.to_owned(), block, ordinal: 0, amount: tx.amount }])
    }

    async fn witnesses(&self, _: &BlockRef) -> Vec<Witness> {
        Vec::new()
    }

    async fn wait_for_news(&self, _: &BlockRef, _: Duration) {}

    async fn examine(&self) -> Vec<NodeReport> {
        Vec::new()
    }

    async fn held(&self, addresses: &[String], asset: Asset) -> Result<Amount, ReadError> {
        let state = self.state();
        let sum = addresses.iter().map(|a| self.holds(&state, a, asset)).sum();
        Ok(Amount::try_new(sum, asset).unwrap())
    }

    fn calls(&self) -> u64 {
        0
    }

    fn canonical(&self, address: &str) -> Option<String> {
        (!address.is_empty() && address.len() < 100).then(|| address.to_owned())
    }

    fn derive(&self, index: u32) -> Result<DepositAddress, String> {
        Ok(DepositAddress { address: format!("addr{index}"), path: format!("m/0/{index}") })
    }

    fn payment_uri_template(&self, _: Asset) -> Result<String, UriError> {
        Err(UriError::UnknownAsset)
    }

    fn payment_uri(&self, _: &str, _: Amount) -> Result<String, UriError> {
        Err(UriError::UnknownAsset)
    }
}
