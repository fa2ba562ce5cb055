//! How a move ends, by the word of every node: who used the nonce is looked up by name, and a node
//! that lies, lags or is not there is a reason to wait.

use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, Draft, NotYet, Ours, SignedTx, Standing, Tips, Wish, Witnessed},
};
use chains_evm::EvmChain;
use chains_evm_sandbox::dev_sign;
use primitives::Asset;
use serde_json::{Value, json};

use crate::{
    carrier::{ETHER, VENUE, everything, evm, movable, source},
    proxy::{Proxy, refusing, with_error, with_result},
    world::{World, config, place, wei},
};

pub(crate) fn ours(draft: &Draft, signed: &SignedTx) -> Ours {
    let transfer = evm(draft);
    let spends = vec![format!("{}:{}", transfer.from.address, transfer.nonce)];
    Ours { tx_id: signed.tx_id.clone(), spends }
}

pub(crate) async fn stands(chain: &EvmChain, tx: &str, at: &(u64, String)) -> Result<Tips, NotYet> {
    let standing = Standing { block_hash: &at.1, height: at.0, succeeded: true };
    Witnessed::new(chain).stands(tx, standing).await
}

fn both(world: &World, second: &str) -> EvmChain {
    let urls = [world.anvil.rpc_url(), second];
    EvmChain::connect(&config(&urls, &world.usdc)).unwrap()
}

/// Two transfers of one address with one nonce: the second one is in a block.
async fn outrun() -> (World, Ours, SignedTx) {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(chain, &from, Asset::Eth).await;
    let draft = chain.draft(&everything(place.clone(), VENUE)).await.unwrap();
    let part = Wish { from: vec![place], to: VENUE.to_owned(), amount: Some(wei(ETHER / 3)) };
    let other = dev_sign(&chain.draft(&part).await.unwrap()).unwrap();
    assert_eq!(chain.send(&other).await, Ok(()));
    assert!(world.payer.wait(&other.tx_id).await.unwrap());
    let signed = dev_sign(&draft).unwrap();
    assert!(chain.send(&signed).await.is_err());
    (world, ours(&draft, &signed), other)
}

#[tokio::test]
async fn who_took_the_nonce_is_named_however_long_ago() {
    let (world, mine, other) = outrun().await;
    let (height, _) = place(&world.chain, &other.tx_id).await;
    for more in [0, 1, 7, 60, 300, 600] {
        if more > 0 {
            world.payer.mine(more).await.unwrap();
        }
        let all = std::slice::from_ref(&mine);
        let over = Witnessed::new(&world.chain).overtaken(all).await.unwrap();
        assert_eq!((over.by.as_ref(), over.height), (Some(&other.tx_id), height), "{more}");
        assert_eq!(over.tips, Tips::from(&world.chain.head().await.unwrap()));
    }
    // Beyond the ladder there is a height, and no name.
    world.payer.mine(200).await.unwrap();
    let over = Witnessed::new(&world.chain).overtaken(std::slice::from_ref(&mine)).await;
    assert!(matches!(&over, Err(NotYet(why)) if why.contains("too little")), "{over:?}");
    // One of ours is no stranger.
    let version = Ours { tx_id: other.tx_id, spends: mine.spends.clone() };
    assert!(Witnessed::new(&world.chain).overtaken(&[mine, version]).await.is_err());
}

// A node without old state cannot name it; a second one that says the same is enough.
#[tokio::test]
async fn without_a_name_two_nodes_have_to_agree() {
    let (world, mine, _) = outrun().await;
    world.payer.mine(40).await.unwrap();
    let tip = format!("{:#x}", world.payer.height().await.unwrap());
    let pruned = |tip: String| {
        Proxy::start(world.anvil.rpc_url(), move |method, answer| {
            let block = answer["result"]["number"].as_str() == Some(tip.as_str());
            Some(match method {
                "eth_getTransactionCount" => answer,
                // It has its blocks, but no senders that can be told apart.
                "eth_getBlockByNumber" if !block => {
                    let mut answer = answer;
                    if answer["result"]["transactions"].is_array() {
                        answer["result"]["transactions"] = json!([]);
                    }
                    answer
                }
                _ => answer,
            })
        })
    };
    let (one, two) = (pruned(tip.clone()).await, pruned(tip).await);
    let alone = EvmChain::connect(&config(&[&one.url], &world.usdc)).unwrap();
    let over = Witnessed::new(&alone).overtaken(std::slice::from_ref(&mine)).await;
    assert!(matches!(&over, Err(NotYet(why)) if why.contains("too little")), "{over:?}");
    let urls = [one.url.as_str(), two.url.as_str()];
    let together = EvmChain::connect(&config(&urls, &world.usdc)).unwrap();
    let over = Witnessed::new(&together).overtaken(std::slice::from_ref(&mine)).await;
    assert_eq!(over.unwrap().by, None);
}

// Ours is in a block, and a node's index does not know it: its own block names it.
#[tokio::test]
async fn ours_is_never_taken_for_gone_by_a_node_that_hides_it() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let wish = everything(movable(chain, &from, Asset::Eth).await, VENUE);
    let draft = chain.draft(&wish).await.unwrap();
    let signed = dev_sign(&draft).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));
    assert!(world.payer.wait(&signed.tx_id).await.unwrap());
    world.payer.mine(40).await.unwrap();
    let mine = ours(&draft, &signed);
    let hides = |blocks_too: bool| {
        Proxy::start(world.anvil.rpc_url(), move |method, mut answer| {
            Some(match method {
                "eth_getTransactionReceipt" | "eth_getTransactionByHash" => {
                    with_result(answer, Value::Null)
                }
                "eth_getBlockByNumber" if blocks_too && answer["result"].is_object() => {
                    answer["result"]["transactions"] = json!([]);
                    answer
                }
                _ => answer,
            })
        })
    };
    let index = hides(false).await;
    let one = EvmChain::connect(&config(&[&index.url], &world.usdc)).unwrap();
    let place = one.locate(&mine.tx_id, &mine.spends).await;
    assert!(place.is_err(), "{place:?}");
    // One that lies about its blocks too is followed: the other one knows better.
    let liar = hides(true).await;
    let urls = [liar.url.as_str(), world.anvil.rpc_url()];
    let two = EvmChain::connect(&config(&urls, &world.usdc)).unwrap();
    let place = two.locate(&mine.tx_id, &mine.spends).await.unwrap();
    assert!(matches!(place, TxPlace::Replaced { by: None, mined: Some(_) }), "{place:?}");
    let over = Witnessed::new(&two).overtaken(std::slice::from_ref(&mine)).await;
    assert!(matches!(&over, Err(NotYet(why)) if why.contains("it is in block")), "{over:?}");
    let alone = EvmChain::connect(&config(&[&liar.url], &world.usdc)).unwrap();
    assert!(Witnessed::new(&alone).overtaken(&[mine]).await.is_err());
}

#[tokio::test]
async fn a_witness_that_lies_lags_or_is_away_is_waited_for() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let wish = everything(movable(chain, &from, Asset::Eth).await, VENUE);
    let signed = dev_sign(&chain.draft(&wish).await.unwrap()).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));
    assert!(world.payer.wait(&signed.tx_id).await.unwrap());
    let at = place(chain, &signed.tx_id).await;
    world.payer.mine(10).await.unwrap();
    let alone = stands(chain, &signed.tx_id, &at).await.unwrap();
    assert_eq!(alone, Tips::from(&chain.head().await.unwrap()));

    let no = |answer: Result<Tips, NotYet>, word: &str| {
        assert!(matches!(&answer, Err(NotYet(why)) if why.contains(word)), "{word}: {answer:?}");
    };
    let (url, _port) = refusing();
    no(stands(&both(&world, &url), &signed.tx_id, &at).await, "no connection");
    let hides = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        let about = method.starts_with("eth_getTransaction");
        Some(if about { with_result(answer, Value::Null) } else { answer })
    })
    .await;
    no(stands(&both(&world, &hides.url), &signed.tx_id, &at).await, "not known");
    let elsewhere = Proxy::start(world.anvil.rpc_url(), |method, mut answer| {
        if method == "eth_getTransactionReceipt" {
            answer["result"]["blockHash"] = json!(format!("0x{}", "3".repeat(64)));
        }
        Some(answer)
    })
    .await;
    no(stands(&both(&world, &elsewhere.url), &signed.tx_id, &at).await, "it is in block");
    let failed = Proxy::start(world.anvil.rpc_url(), |method, mut answer| {
        if method == "eth_getTransactionReceipt" {
            answer["result"]["status"] = json!("0x0");
        }
        Some(answer)
    })
    .await;
    no(stands(&both(&world, &failed.url), &signed.tx_id, &at).await, "it failed");
    // One that has it, but calls nothing final: not final there, so not final.
    let young = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        let tagged = method == "eth_getBlockByNumber" && answer["result"].is_object();
        let tip = answer["result"]["number"] == json!("0xe");
        let none = || with_error(&answer, -39001, "block not found");
        Some(if tagged && !tip { none() } else { answer })
    })
    .await;
    let together = stands(&both(&world, &young.url), &signed.tx_id, &at).await;
    assert!(alone.finalized.is_some());
    assert!(together.as_ref().is_ok_and(|tips| tips.finalized.is_none()), "{together:?}");
}
