//! What a job may use, and the one way it opens and closes transactions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chains::WatchSet;
use chrono::{DateTime, TimeDelta, Utc};
use outbound::webhook::Sender;
use primitives::NetworkId;
use queue::{Lease, Outcome};
use settlement::{Base, rates::Board};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{Connectors, WorkError};

/// Everything a job works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ctx {
    pub base: Base,
    pub board: Board,
    pub connectors: Arc<Connectors>,
    pub webhooks: Arc<Sender>,
    watched: Watched,
    /// Names this process among those that may lead a network's scan.
    holder: Arc<str>,
}

/// How far back rows are read again.
const LATE_ROWS: i64 = 200;

/// The watch set of each network with the row number of its newest address.
type Watched = Arc<Mutex<BTreeMap<NetworkId, (i64, Arc<WatchSet>)>>>;

impl Ctx {
    #[must_use]
    pub fn new(base: Base, board: Board, connectors: Connectors, webhooks: Sender) -> Self {
        let holder = Arc::from(base.uuid().to_string());
        Self {
            base,
            board,
            connectors: Arc::new(connectors),
            webhooks: Arc::new(webhooks),
            watched: Watched::default(),
            holder,
        }
    }

    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.base.now()
    }

    /// "Come back in so many seconds": waiting, not an attempt.
    pub(crate) fn again_in(&self, seconds: i64) -> Outcome {
        Outcome::Again(self.now() + TimeDelta::seconds(seconds))
    }

    /// A transaction that only the holder of the job can commit anything in.
    pub(crate) async fn begin(
        &self,
        lease: &Lease,
    ) -> Result<Transaction<'static, Postgres>, WorkError> {
        let mut tx = self.base.pool.begin().await?;
        lease.hold_in(&mut tx).await?;
        Ok(tx)
    }

    /// Commits the work and the end of the job together.
    pub(crate) async fn finish(
        &self,
        mut tx: Transaction<'static, Postgres>,
        lease: &Lease,
        outcome: Outcome,
    ) -> Result<Outcome, WorkError> {
        lease.finish_in(&mut tx, &outcome).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// A connection for reading outside any transaction; give it back before calling out.
    pub(crate) async fn conn(&self) -> Result<sqlx::pool::PoolConnection<Postgres>, WorkError> {
        Ok(self.base.pool.acquire().await?)
    }

    /// The addresses to watch on a network, grown by what was derived since the last look.
    pub(crate) async fn watch_set(
        &self,
        conn: &mut PgConnection,
        network: &NetworkId,
    ) -> Result<Arc<WatchSet>, WorkError> {
        let (after, known) = {
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.get(network).cloned().unwrap_or_default()
        };
        // Numbers are given before rows are committed: a lower one may become visible later.
        let from = after.saturating_sub(LATE_ROWS);
        let new = settlement::deposit::address_pool::watched_after(conn, network, from).await?;
        let Some((newest, _)) = new.last() else { return Ok(known) };
        if *newest == after && new.iter().all(|(_, address)| known.contains(address)) {
            return Ok(known);
        }
        let (newest, mut set) = (*newest, known);
        let grown = Arc::make_mut(&mut set);
        for (_, address) in new {
            grown.insert(address);
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.insert(network.clone(), (newest, Arc::clone(&set)));
        Ok(set)
    }
}
