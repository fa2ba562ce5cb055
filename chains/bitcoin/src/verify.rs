//! What is wrong with a node, in sentences for whoever runs it.

use chains::{NodeReport, ReadError, nodes::Node as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{config::BitcoinNetwork, node::Node};

/// `gettxspendingprevout` and the mempool rules we rely on.
const OLDEST: u64 = 240_000;

#[derive(Deserialize)]
struct NetworkInfo {
    version: u64,
}

pub(crate) async fn examine(node: &Node, network: BitcoinNetwork) -> NodeReport {
    let tip = node.tip().await.ok();
    let problem = problem(node, network).await.err().map(|error| error.to_string());
    NodeReport { node: node.host().to_owned(), tip, problem }
}

/// # Errors
/// `Untrusted` with the first thing that is wrong, `Unavailable` when the node does not answer.
pub(crate) async fn problem(node: &Node, network: BitcoinNetwork) -> Result<(), ReadError> {
    let wrong = |why: String| Err(ReadError::Untrusted(why));
    node.check_genesis().await?;
    let info = node.info().await?;
    if info.chain != network.chain_name() {
        return wrong(format!("it follows another chain than {}", network.chain_name()));
    }
    let version = node.call::<NetworkInfo>("getnetworkinfo", Vec::new()).await?.version;
    if version < OLDEST {
        return wrong(format!("version {version} is too old, {OLDEST} is the oldest that will do"));
    }
    if info.pruned {
        return wrong("it is pruned: an old transaction cannot be found".to_owned());
    }
    let indexes: Value = node.call("getindexinfo", vec![json!("txindex")]).await?;
    match indexes.pointer("/txindex/synced").and_then(Value::as_bool) {
        Some(true) => {}
        Some(false) => return wrong("its index of transactions is still being built".to_owned()),
        None => {
            return wrong("it has no index of transactions: start it with txindex=1".to_owned());
        }
    }
    if info.initialblockdownload && network != BitcoinNetwork::Regtest {
        return wrong("it is still fetching the chain for the first time".to_owned());
    }
    Ok(())
}
