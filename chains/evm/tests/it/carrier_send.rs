//! Sending: the same bytes twice are one transaction, a refusal is the network's own, and a node
//! that does not answer has refused nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, Draft, SendError, SignedTx},
};
use chains_evm::EvmChain;
use chains_evm_sandbox::dev_sign;
use primitives::Asset;
use serde_json::json;

use crate::{
    carrier::{ETHER, VENUE, everything, evm, held, movable, source},
    proxy::{Proxy, with_result},
    world::{World, config, wei},
};

/// A funded world and a sweep of its first address.
async fn sweep() -> (World, Draft) {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(&world.chain, &from, Asset::Eth).await;
    let draft = world.chain.draft(&everything(place, VENUE)).await.unwrap();
    (world, draft)
}

fn refused(sent: &Result<(), SendError>) -> bool {
    matches!(sent, Err(SendError::Refused(_)))
}

fn changed(draft: &Draft, change: impl Fn(&mut chains::carrier::EvmTransfer)) -> SignedTx {
    let mut transfer = evm(draft).clone();
    change(&mut transfer);
    let unsigned = chains::carrier::Unsigned::Evm(transfer);
    dev_sign(&Draft { unsigned, ..draft.clone() }).unwrap()
}

#[tokio::test]
async fn twice_is_once() {
    let (world, draft) = sweep().await;
    let (chain, signed) = (&world.chain, dev_sign(&draft).unwrap());
    world.payer.set_automine(false).await.unwrap();
    for _ in 0..3 {
        assert_eq!(chain.send(&signed).await, Ok(()));
    }
    world.payer.mine(1).await.unwrap();
    // Its nonce is used, by itself.
    let prefixed = SignedTx { raw: format!("0x{}", signed.raw), ..signed.clone() };
    for again in [&signed, &prefixed] {
        assert_eq!(chain.send(again).await, Ok(()));
    }
    world.payer.mine(1).await.unwrap();
    assert_eq!(held(&world, &draft.from[0].source.address, Asset::Eth).await, 0);
    let place = chain.locate(&signed.tx_id, &[]).await.unwrap();
    assert!(matches!(place, TxPlace::Included { succeeded: true, .. }), "{place:?}");
}

#[tokio::test]
async fn two_at_once_are_once() {
    let (world, draft) = sweep().await;
    let signed = dev_sign(&draft).unwrap();
    let (one, two) = tokio::join!(world.chain.send(&signed), world.chain.send(&signed));
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert!(world.payer.wait(&signed.tx_id).await.unwrap());
}

#[tokio::test]
async fn what_can_never_be_is_refused() {
    let (world, draft) = sweep().await;
    let chain = &world.chain;
    let poor = changed(&draft, |transfer| transfer.minor = (2 * ETHER).to_string());
    assert!(refused(&chain.send(&poor).await));
    world.payer.set_automine(false).await.unwrap();
    let signed = dev_sign(&draft).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));
    // Another one in its place that does not pay more.
    let cheap = changed(&draft, |transfer| transfer.minor = "1".to_owned());
    assert!(refused(&chain.send(&cheap).await));
    world.payer.mine(1).await.unwrap();
    let late = changed(&draft, |transfer| {
        transfer.fee_per_gas_max = "9000000000000".to_owned();
    });
    assert!(refused(&chain.send(&late).await), "the nonce is used");
}

#[tokio::test]
async fn only_a_transaction_of_this_chain_is_sent() {
    let (world, draft) = sweep().await;
    let good = dev_sign(&draft).unwrap();
    let proxy = Proxy::start(world.anvil.rpc_url(), |_, answer| Some(answer)).await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
    let long = "00".repeat(5_000);
    let trailing = format!("{}00", good.raw);
    let bad = [
        SignedTx { raw: String::new(), ..good.clone() },
        SignedTx { raw: "zz".to_owned(), ..good.clone() },
        SignedTx { raw: long, ..good.clone() },
        SignedTx { raw: trailing, ..good.clone() },
        SignedTx { tx_id: format!("0x{}", "5".repeat(64)), ..good.clone() },
        changed(&draft, |transfer| transfer.chain_id = 1),
    ];
    for tx in bad {
        assert!(refused(&chain.send(&tx).await), "{tx:?}");
    }
    assert_eq!(proxy.take_calls(), [] as [&str; 0], "no node was asked");
}

// The node takes it and its answer is lost: nobody knows, and sending again is harmless.
#[tokio::test]
async fn a_lost_answer_is_unknown() {
    let (world, draft) = sweep().await;
    let signed = dev_sign(&draft).unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let proxy = Proxy::start(world.anvil.rpc_url(), move |method, answer| {
        let lost = method == "eth_sendRawTransaction" && is_broken.load(Ordering::Relaxed);
        (!lost).then_some(answer)
    })
    .await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
    let sent = chain.send(&signed).await;
    assert!(matches!(sent, Err(SendError::Unknown(_))), "{sent:?}");
    assert!(world.payer.wait(&signed.tx_id).await.unwrap(), "it was taken");
    broken.store(false, Ordering::Relaxed);
    assert_eq!(chain.send(&signed).await, Ok(()));
}

#[tokio::test]
async fn words_that_are_no_refusal_are_unknown() {
    let (world, draft) = sweep().await;
    let signed = dev_sign(&draft).unwrap();
    let says = |code: i64, message: &'static str| {
        Proxy::start(world.anvil.rpc_url(), move |method, answer| {
            let id = answer["id"].clone();
            let error = json!({"code": code, "message": message});
            let refusal = json!({"jsonrpc": "2.0", "id": id, "error": error});
            match method {
                "eth_sendRawTransaction" => Some(refusal),
                "eth_getTransactionByHash" => Some(with_result(answer, json!(null))),
                _ => Some(answer),
            }
        })
    };
    for (code, message, definite) in [
        (-32005, "rate limit exceeded", false),
        (-32603, "internal error", false),
        (-32601, "the method does not exist", false),
        (-32000, "unknown transaction type", false),
        (-32000, "txpool is full", false),
        (-32000, "Nonce too low", true),
        (-32000, "replacement transaction underpriced", true),
        (-32003, "insufficient funds for gas * price + value", true),
    ] {
        let proxy = says(code, message).await;
        let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
        let sent = chain.send(&signed).await;
        assert_eq!(refused(&sent), definite, "{message}: {sent:?}");
        assert!(sent.is_err(), "{message}");
    }
    let known = says(-32000, "already known").await;
    let chain = EvmChain::connect(&config(&[&known.url], &world.usdc)).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));
}

// The first node is down: another one sends.
#[tokio::test]
async fn another_node_sends() {
    let (world, draft) = sweep().await;
    let urls = ["http://127.0.0.1:9", world.anvil.rpc_url()];
    let chain = EvmChain::connect(&config(&urls, &world.usdc)).unwrap();
    let signed = dev_sign(&draft).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));
    assert!(world.payer.wait(&signed.tx_id).await.unwrap());
}
