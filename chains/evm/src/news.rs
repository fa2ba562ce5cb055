//! News of blocks: a subscription to new heads where the node offers one.
//!
//! Invariant: news is a hint. A subscription that is silent, late or gone costs latency, never a
//! block: whoever waits here reads the chain afterwards either way.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use alloy::{
    providers::{Provider, ProviderBuilder, WsConnect},
    rpc::types::Header,
};
use chains::{BlockRef, NodeReport};
use futures::future::join_all;
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

    /// What is wrong with each node that should push: asked anew, no matter who listens.
    pub(crate) async fn examine(&self, chain_id: u64, at_most: Duration) -> Vec<NodeReport> {
        join_all(self.urls.iter().map(|url| report(url, chain_id, at_most))).await
    }
}

/// One node that pushes, and what is wrong with it.
async fn report(url: &Url, chain_id: u64, at_most: Duration) -> NodeReport {
    let node = format!("{} (ws)", chains::settings::host_of(url));
    let asked = tokio::time::timeout(at_most, ask(url, chain_id)).await;
    let (tip, problem) = match asked {
        Ok(Ok(tip)) => (Some(tip), None),
        Ok(Err(why)) => (None, Some(why)),
        Err(_) => (None, Some("no answer in time".to_owned())),
    };
    NodeReport { node, tip, problem: problem.map(|why| format!("new heads: {why}")) }
}

/// The tip of a node that is of our network and takes subscriptions.
async fn ask(url: &Url, chain_id: u64) -> Result<u64, String> {
    let node = connect(url).await?;
    let answered = node.get_chain_id().await.map_err(|_| "no chain id")?;
    if answered != chain_id {
        return Err(format!("chain id is {answered}, wanted {chain_id}"));
    }
    drop(node.subscribe_blocks().await.map_err(|_| "no subscription")?);
    Ok(node.get_block_number().await.map_err(|_| "no tip")?)
}

/// The error is the kind only: alloy's text may hold the URL.
async fn connect(url: &Url) -> Result<impl Provider, &'static str> {
    let connecting = ProviderBuilder::new().connect_ws(WsConnect::new(url.clone()));
    connecting.await.map_err(|_| "no connection")
}

async fn listen(url: Url, heard: Arc<watch::Sender<u64>>) {
    loop {
        if let Err(why) = subscribed(&url, &heard).await {
            let host = chains::settings::host_of(&url);
            tracing::debug!(host, why, "no news from this node");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Listens until the connection ends.
async fn subscribed(url: &Url, heard: &watch::Sender<u64>) -> Result<(), &'static str> {
    let node = connect(url).await?;
    let mut heads = node.subscribe_blocks().await.map_err(|_| "no subscription")?;
    loop {
        let head: Header = heads.recv().await.map_err(|_| "the subscription ended")?;
        let height = head.number;
        // A reorganisation announces a height we know with another hash: news as well, and the
        // poll that follows every wait finds it.
        heard.send_modify(|known| *known = (*known).max(height));
    }
}
