//! What waits for a block, where the network shows it.
//!
//! Invariant: only a complete picture makes anything disappear, and then the node is asked what
//! became of it: another transaction that spends the same, or nothing it knows.

use std::collections::HashSet;

use chains::{Arrived, Chain, Sighting, TxPlace};
use settlement::deposit::{self, Gone, OnItsWay};

use super::{Scan, Trouble};

impl Scan<'_> {
    pub(super) async fn show_pending(&self, chain: &dyn Chain) -> Result<(), Trouble> {
        let watch = {
            let mut conn = self.ctx.conn().await?;
            self.ctx.watch_set(&mut conn, self.network).await?
        };
        let Some(pending) = chain.pending(&watch).await? else { return Ok(()) };
        let waiting = {
            let mut conn = self.ctx.conn().await?;
            deposit::waiting(&mut conn, self.network).await?
        };
        let known: HashSet<(&str, i64)> =
            waiting.iter().map(|w| (w.tx_id.as_str(), w.ordinal)).collect();
        for sighting in &pending {
            if !known.contains(&(sighting.tx_id.as_str(), i64::from(sighting.ordinal))) {
                self.show(sighting).await?;
            }
        }
        let now: HashSet<&str> = pending.iter().map(|s| s.tx_id.as_str()).collect();
        for gone in waiting.iter().filter(|w| !now.contains(w.tx_id.as_str())) {
            let what = match chain.locate(&gone.tx_id, &gone.spends).await? {
                // In a block the scan comes to, or back again: nothing is gone.
                TxPlace::Included { .. } | TxPlace::Pending => continue,
                TxPlace::Replaced { by, .. } => Gone::Replaced { by },
                TxPlace::Absent => Gone::Absent,
            };
            let mut tx = self.ctx.begin(self.lease).await?;
            deposit::not_coming_in(&mut tx, &self.ctx.base, gone.id, &what).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn show(&self, sighting: &Sighting) -> Result<(), Trouble> {
        let Arrived::Known(amount) = sighting.arrived else { return Ok(()) };
        let seen = OnItsWay {
            network: self.network.clone(),
            tx_id: sighting.tx_id.clone(),
            ordinal: i64::from(sighting.ordinal),
            address: sighting.to.clone(),
            amount,
            spends: sighting.spends.clone(),
        };
        let mut tx = self.ctx.begin(self.lease).await?;
        deposit::on_its_way_in(&mut tx, &self.ctx.base, &seen).await?;
        tx.commit().await?;
        Ok(())
    }
}
