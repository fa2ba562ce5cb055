//! News: new slots, and transactions that name the wallet or one of its token accounts, pushed by
//! nodes that do so.
//!
//! Invariant: news is a hint. A subscription that is silent, late or gone costs latency, never a
//! payment: whoever waits here reads the chain afterwards either way.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream::SelectAll};
use solana_client::{
    nonblocking::pubsub_client::PubsubClient,
    rpc_config::{RpcTransactionLogsConfig, RpcTransactionLogsFilter},
};
use solana_commitment_config::CommitmentConfig;
use tokio::{sync::watch, task::JoinHandle};
use url::Url;

use chains::settings::host_of;

/// Between two tries to subscribe.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct News {
    urls: Vec<Url>,
    /// The wallet, and its associated account of every listed mint.
    accounts: Vec<String>,
    heard: Arc<watch::Sender<u64>>,
    /// How much of it ended a wait: what comes while nobody waits ends the next one.
    told: AtomicU64,
    listening: OnceLock<Listeners>,
}

/// Ends with the chain that listens.
struct Listeners(Vec<JoinHandle<()>>);

impl Drop for Listeners {
    fn drop(&mut self) {
        for listener in &self.0 {
            listener.abort();
        }
    }
}

impl News {
    /// Connects to nothing yet.
    pub(crate) fn try_new(urls: &[Url], accounts: Vec<String>) -> Result<Self, String> {
        if urls.iter().any(|url| !matches!(url.scheme(), "ws" | "wss")) {
            return Err("ws_urls must be ws or wss".to_owned());
        }
        let heard = Arc::new(watch::Sender::new(0));
        let (told, listening) = (AtomicU64::new(0), OnceLock::new());
        Ok(Self { urls: urls.to_vec(), accounts, heard, told, listening })
    }

    /// Until something is heard, and at the longest `at_most`.
    pub(crate) async fn wait(&self, at_most: Duration) {
        self.listening.get_or_init(|| {
            let listen = |url: &Url| {
                let (url, accounts) = (url.clone(), self.accounts.clone());
                tokio::spawn(listen(url, accounts, Arc::clone(&self.heard)))
            };
            Listeners(self.urls.iter().map(listen).collect())
        });
        let mut heard = self.heard.subscribe();
        // A timer that runs out is the normal end where nobody pushes.
        let told = self.told.load(Ordering::Acquire);
        if let Ok(Ok(count)) =
            tokio::time::timeout(at_most, heard.wait_for(|count| *count > told)).await
        {
            self.told.fetch_max(*count, Ordering::AcqRel);
        }
    }
}

async fn listen(url: Url, accounts: Vec<String>, heard: Arc<watch::Sender<u64>>) {
    loop {
        if let Err(why) = subscribed(&url, &accounts, &heard).await {
            tracing::debug!(host = host_of(&url), why, "no news from this node");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Listens until the connection ends. The error is the kind only: the crate's text may hold the
/// URL.
async fn subscribed(
    url: &Url,
    accounts: &[String],
    heard: &watch::Sender<u64>,
) -> Result<(), &'static str> {
    let node = PubsubClient::new(url.as_str()).await.map_err(|_| "no connection")?;
    let mut all = SelectAll::new();
    let mut ends = Vec::new();
    for account in accounts {
        // One account per subscription: nodes refuse more.
        let filter = RpcTransactionLogsFilter::Mentions(vec![account.clone()]);
        let config = RpcTransactionLogsConfig { commitment: Some(CommitmentConfig::confirmed()) };
        let (stream, end) =
            node.logs_subscribe(filter, config).await.map_err(|_| "no subscription")?;
        all.push(stream);
        ends.push(end);
    }
    let (slots, end) = node.slot_subscribe().await.map_err(|_| "no subscription")?;
    ends.push(end);
    let mut slots = slots.fuse();
    loop {
        let alive = tokio::select! {
            payment = all.next() => payment.is_some(),
            slot = slots.next() => slot.is_some(),
        };
        if !alive {
            return Err("the subscription ended");
        }
        heard.send_modify(|count| *count = count.saturating_add(1));
    }
}
