//! News of blocks: a subscription to new heads where the node offers one.
//!
//! Invariant: news is a hint. A subscription that is silent, late or gone costs latency, never a
//! block: whoever waits here reads the chain afterwards either way.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use alloy::{
    providers::{Provider as _, ProviderBuilder, WsConnect},
    rpc::types::Header,
};
use chains::BlockRef;
use tokio::{sync::watch, task::JoinHandle};
use url::Url;

/// Between two tries to subscribe.
const PAUSE: Duration = Duration::from_secs(2);

/// Heads heard of, from every node that pushes them.
pub(crate) struct News {
    urls: Vec<Url>,
    heard: Arc<watch::Sender<u64>>,
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
    pub(crate) fn try_new(urls: &[Url]) -> Result<Self, String> {
        if urls.iter().any(|url| !matches!(url.scheme(), "ws" | "wss")) {
            return Err("ws_urls must be ws or wss".to_owned());
        }
        let heard = Arc::new(watch::Sender::new(0));
        Ok(Self { urls: urls.to_vec(), heard, listening: OnceLock::new() })
    }

    /// Until a head above `known` is heard of, and at the longest `at_most`.
    pub(crate) async fn wait(&self, known: &BlockRef, at_most: Duration) {
        self.listening.get_or_init(|| {
            let listen = |url: &Url| tokio::spawn(listen(url.clone(), Arc::clone(&self.heard)));
            Listeners(self.urls.iter().map(listen).collect())
        });
        let mut heard = self.heard.subscribe();
        // A timer that runs out is the normal end where nobody pushes.
        drop(tokio::time::timeout(at_most, heard.wait_for(|head| *head > known.height)).await);
    }
}

async fn listen(url: Url, heard: Arc<watch::Sender<u64>>) {
    loop {
        if let Err(why) = subscribed(&url, &heard).await {
            let host = crate::config::host_of(&url);
            tracing::debug!(host, why, "no news from this node");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Listens until the connection ends. The error is the kind only: alloy's text may hold the URL.
async fn subscribed(url: &Url, heard: &watch::Sender<u64>) -> Result<(), &'static str> {
    let node = ProviderBuilder::new()
        .connect_ws(WsConnect::new(url.clone()))
        .await
        .map_err(|_| "no connection")?;
    let mut heads = node.subscribe_blocks().await.map_err(|_| "no subscription")?;
    loop {
        let head: Header = heads.recv().await.map_err(|_| "the subscription ended")?;
        let height = head.number;
        // A reorganisation announces a height we know with another hash: news as well, and the
        // poll that follows every wait finds it.
        heard.send_modify(|known| *known = (*known).max(height));
    }
}
