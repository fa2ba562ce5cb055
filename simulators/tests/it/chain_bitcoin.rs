//! Real coins on a regtest chain: pending, confirmed, credited once, and gone with their branch.

use serde_json::json;

use crate::{
    chain_nodes::{Node, read_to, until, watching},
    venue_bench::dec,
};

#[tokio::test]
async fn outputs_are_credited_after_their_confirmations() {
    let node = Node::bitcoind().await;
    let own = node.rpc("getnewaddress", json!([])).await;
    node.rpc("generatetoaddress", json!([101, own])).await;
    let spec = json!({
        "network": "bitcoin", "kind": "bitcoind", "rpc_url": node.url, "confirmations": 3,
    });
    let sims = watching(spec).await;
    let address = sims.world.deposit_address("binance", "bitcoin").unwrap();
    assert!(address.starts_with("bcrt1q"), "{address}");
    let other = sims.world.deposit_address("wazirx", "bitcoin").unwrap();
    assert_ne!(address, other);
    // Twice in one transaction's block, and once to the other venue.
    let sent = node.rpc("sendtoaddress", json!([address, "0.75000001"])).await;
    node.rpc("sendtoaddress", json!([other, "0.5"])).await;
    node.rpc("generatetoaddress", json!([1, own])).await;
    let seen = until(&sims, |all| all.len() == 1 && all[0]["confirmTimes"] == "1/3").await;
    assert_eq!((&seen[0]["status"], &seen[0]["txId"]), (&json!(0), &sent));
    assert_eq!((&seen[0]["amount"], &seen[0]["network"]), (&json!("0.75000001"), &json!("BTC")));
    assert_eq!(seen[0]["address"], address.as_str());
    assert_eq!(sims.binance.balance("BTC").free, dec("5"));
    node.rpc("generatetoaddress", json!([2, own])).await;
    until(&sims, |all| all[0]["status"] == 1 && all[0]["confirmTimes"] == "3/3").await;
    assert_eq!(sims.binance.balance("BTC").free, dec("5.75000001"));
    node.rpc("generatetoaddress", json!([3, own])).await;
    read_to(&sims, "bitcoin", 107).await;
    assert_eq!(sims.binance.balance("BTC").free, dec("5.75000001"), "once");
    assert_eq!(sims.wazirx.balance("BTC").free, dec("5.5"));
    sims.shutdown().await;
}

#[tokio::test]
async fn what_a_branch_took_back_is_pending_no_more() {
    let node = Node::bitcoind().await;
    let own = node.rpc("getnewaddress", json!([])).await;
    node.rpc("generatetoaddress", json!([101, own])).await;
    let spec = json!({
        "network": "bitcoin", "kind": "bitcoind", "rpc_url": node.url, "confirmations": 3,
    });
    let sims = watching(spec).await;
    let address = sims.world.deposit_address("binance", "bitcoin").unwrap();
    node.rpc("sendtoaddress", json!([address, "0.25"])).await;
    let block = node.rpc("generatetoaddress", json!([2, own])).await[0].clone();
    until(&sims, |all| all.len() == 1 && all[0]["confirmTimes"] == "2/3").await;
    node.rpc("invalidateblock", json!([block])).await;
    // Empty blocks: the transaction stays outside.
    for _ in 0..3 {
        node.rpc("generateblock", json!([own, []])).await;
    }
    until(&sims, |all| all.is_empty()).await;
    assert_eq!(sims.binance.balance("BTC").free, dec("5"));
    // It is mined again later, and counts from there.
    node.rpc("generatetoaddress", json!([1, own])).await;
    until(&sims, |all| all.len() == 1 && all[0]["confirmTimes"] == "1/3").await;
    node.rpc("generatetoaddress", json!([2, own])).await;
    until(&sims, |all| all[0]["status"] == 1).await;
    assert_eq!(sims.binance.balance("BTC").free, dec("5.25"));
    sims.shutdown().await;
}
