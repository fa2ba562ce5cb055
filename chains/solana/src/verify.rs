//! What is wrong with a node, in sentences for whoever runs it.

use chains::{NodeReport, ReadError, nodes::Node as _};
use serde_json::{Value, json};
use solana_client::rpc_request::RpcRequest;

use crate::{node::Node, scan::Scope, wire::InContext};

/// Programs that may own a mint: SPL Token and Token-2022.
pub const TOKEN_PROGRAMS: [&str; 2] =
    ["TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"];
pub(crate) const SYSTEM: &str = "11111111111111111111111111111111";
/// Extensions of Token-2022 that let somebody else take, hold or hide what arrived. The last one is
/// how a node shows an extension it does not know.
const REFUSED: [&str; 6] = [
    "permanentDelegate",
    "transferHook",
    "confidentialTransferMint",
    "nonTransferable",
    "pausableConfig",
    "unparseableExtension",
];

pub(crate) async fn examine(node: &Node, scope: &Scope) -> NodeReport {
    let tip = node.tip().await.ok();
    let problem = problem(node, scope).await.err().map(|error| error.to_string());
    NodeReport { node: node.host().to_owned(), tip, problem }
}

/// # Errors
/// `Untrusted` with the first thing that is wrong, `Unavailable` when the node does not answer.
pub(crate) async fn problem(node: &Node, scope: &Scope) -> Result<(), ReadError> {
    node.check_genesis().await?;
    node.head().await?;
    wallets(node, scope).await?;
    for (mint, asset) in &scope.mints {
        let params = json!([mint, { "encoding": "jsonParsed", "commitment": "confirmed" }]);
        let account: InContext<Value> = node.call(RpcRequest::GetAccountInfo, params).await?;
        let wrong = |why: &str| Err(ReadError::Untrusted(format!("the mint of {asset} {why}")));
        let owner = account.value.get("owner").and_then(Value::as_str).unwrap_or("");
        if account.value.is_null() {
            return wrong("does not exist");
        }
        if !TOKEN_PROGRAMS.contains(&owner) {
            return wrong("is no token");
        }
        let info = account.value.pointer("/data/parsed/info").cloned().unwrap_or(Value::Null);
        let decimals = info.get("decimals").and_then(Value::as_u64);
        if decimals != Some(u64::from(asset.scale())) {
            return wrong("has other decimals than the asset");
        }
        let extensions = info.get("extensions").and_then(Value::as_array).cloned();
        for extension in extensions.unwrap_or_default() {
            let name = extension.get("extension").and_then(Value::as_str).unwrap_or("");
            if REFUSED.contains(&name) {
                return wrong(&format!(
                    "has the extension {name}: what arrives may be taken back, held or hidden"
                ));
            }
            // Every new account starts frozen: the issuer decides who may move what he got.
            let state = extension.pointer("/state/accountState").and_then(Value::as_str);
            if name == "defaultAccountState" && state != Some("initialized") {
                return wrong("has the extension defaultAccountState: what arrives is frozen");
            }
        }
    }
    Ok(())
}

/// A wallet is an account of the system program, or none yet. A token account in its place would
/// make every payment of coins vanish into rent.
async fn wallets(node: &Node, scope: &Scope) -> Result<(), ReadError> {
    for wallet in &scope.wallets {
        let params = json!([wallet, { "encoding": "base64", "commitment": "confirmed" }]);
        let account: InContext<Value> = node.call(RpcRequest::GetAccountInfo, params).await?;
        let owner = account.value.get("owner").and_then(Value::as_str);
        if !account.value.is_null() && owner != Some(SYSTEM) {
            let sentence = "the wallet is the account of a program, no wallet";
            return Err(ReadError::Untrusted(sentence.to_owned()));
        }
    }
    Ok(())
}
