//! A node that answers everything, and one thing wrongly. Such an answer is an error or a "behind":
//! never an empty block, never "your branch is gone".

use chains::{BlockRef, Chain as _, ReadError, Says, Step, sandbox::Sandbox as _};
use chains_solana::{SolanaChain, SolanaConfig};
use serde_json::{Value, json};

use crate::{
    proxy::{Proxy, with_error, with_result},
    world::{World, config, lamports, usdc},
};

/// A block with a payment of coins and one of tokens under three more.
struct Bent {
    world: World,
    block: BlockRef,
}

impl Bent {
    async fn start() -> Self {
        let world = World::start().await;
        world.payer.set_automine(false).await.unwrap();
        world.payer.pay(&world.reference(0), lamports(5_000_000)).await.unwrap();
        world.payer.pay(&world.reference(1), usdc(7_000_000)).await.unwrap();
        world.payer.mine(1).await.unwrap();
        let block = world.chain.head().await.unwrap().latest;
        world.payer.mine(3).await.unwrap();
        Self { world, block }
    }

    async fn bend(
        &self,
        bend: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> (SolanaChain, Proxy) {
        let proxy = Proxy::start(self.world.node.rpc_url(), bend).await;
        // A path like providers have: their keys are in it.
        let url = format!("{}/very-secret-key", proxy.url).parse().unwrap();
        let settings =
            SolanaConfig { rpc_urls: vec![url], ws_urls: vec![], ..config(&self.world.node) };
        (SolanaChain::connect(&settings).unwrap(), proxy)
    }

    /// Every answer of this method, changed.
    async fn bent(
        &self,
        method: &'static str,
        change: impl Fn(Value) -> Value + Send + Sync + 'static,
    ) -> (SolanaChain, Proxy) {
        self.bend(move |asked, answer| Some(if asked == method { change(answer) } else { answer }))
            .await
    }

    async fn refuses_to_read(&self, name: &str, change: fn(&mut Value)) {
        let (chain, _proxy) = self
            .bent("getBlock", move |mut answer| {
                change(&mut answer["result"]);
                answer
            })
            .await;
        let facts = chain.read_block(&self.block, &self.world.watched()).await;
        let refused = matches!(facts, Err(ReadError::Unavailable(_) | ReadError::Untrusted(_)));
        assert!(refused, "{name}: {facts:?}");
    }
}

// The codes for "skipped" and "not available" also mean "lost it" and "not yet" (Agave says so in
// the message itself): taken as truth they would unwind deposits that are in the chain.
#[tokio::test]
async fn a_block_that_cannot_be_shown_is_not_gone() {
    let bent = Bent::start().await;
    for code in [-32004, -32007, -32009, -32014, -32001] {
        let (chain, _proxy) =
            bent.bent("getBlock", move |answer| with_error(&answer, code, "not here")).await;
        cannot_say(&bent, &chain, &code.to_string()).await;
    }
    let (chain, _proxy) = bent.bent("getBlock", |answer| with_result(answer, Value::Null)).await;
    cannot_say(&bent, &chain, "null").await;
}

async fn cannot_say(bent: &Bent, chain: &SolanaChain, name: &str) {
    let step = chain.step(&bent.block).await;
    assert!(matches!(step, Err(_) | Ok(Step::Behind)), "{name}: {step:?}");
    let at = chain.block_at(bent.block.height).await;
    assert!(at.is_err(), "{name}: {at:?}");
    let facts = chain.read_block(&bent.block, &bent.world.watched()).await;
    assert!(facts.is_err(), "{name}: {facts:?}");
    let said = chain.witnesses(&bent.block).await;
    assert!(matches!(said[0].says, Says::Silent(_)), "{name}: {said:?}");
}

// A list that is short proves nothing: what a later block calls its parent does.
#[tokio::test]
async fn a_list_that_leaves_out_a_block_is_found_out() {
    let bent = Bent::start().await;
    let ours = bent.block.height;
    let (chain, _proxy) = bent
        .bent("getBlocksWithLimit", move |mut answer| {
            let slots = answer["result"].as_array_mut().unwrap();
            slots.retain(|slot| *slot != json!(ours));
            answer
        })
        .await;
    // The child still names our block: it may be stepped to, but our slot is not empty.
    assert!(chain.block_at(ours).await.is_err());
    let (chain, _proxy) = bent
        .bent("getBlocksWithLimit", move |mut answer| {
            let slots = answer["result"].as_array_mut().unwrap();
            slots.retain(|slot| slot.as_u64().unwrap() > ours + 2);
            if slots.is_empty() {
                slots.push(json!(ours + 3));
            }
            answer
        })
        .await;
    let step = chain.step(&bent.block).await;
    assert!(matches!(step, Err(ReadError::Unavailable(_))), "{step:?}");
    let (chain, _proxy) =
        bent.bent("getBlocksWithLimit", |answer| with_result(answer, json!([]))).await;
    assert_eq!(chain.step(&bent.block).await, Ok(Step::Behind));
}

#[tokio::test]
async fn a_child_of_another_block_is_word_that_the_branch_was_left() {
    let bent = Bent::start().await;
    let other = BlockRef { hash: bent.block.parent_hash.clone(), ..bent.block.clone() };
    assert_eq!(bent.world.chain.step(&other).await, Ok(Step::Left));
}

#[tokio::test]
async fn blocks_that_lack_something_are_refused() {
    let bent = Bent::start().await;
    let facts = bent.world.chain.read_block(&bent.block, &bent.world.watched()).await.unwrap();
    assert_eq!(facts.sightings.len(), 2, "{facts:?}");
    bent.refuses_to_read("no time", |b| b["blockTime"] = Value::Null).await;
    bent.refuses_to_read("no transactions", |b| b["transactions"] = Value::Null).await;
    bent.refuses_to_read("a parent above", |b| b["parentSlot"] = json!(u64::MAX)).await;
    bent.refuses_to_read("no outcome", |b| b["transactions"][0]["meta"] = Value::Null).await;
    for field in ["err", "preBalances", "postBalances", "preTokenBalances", "postTokenBalances"] {
        let (chain, _proxy) = bent
            .bent("getBlock", move |mut answer| {
                for tx in answer["result"]["transactions"].as_array_mut().into_iter().flatten() {
                    tx["meta"].as_object_mut().unwrap().remove(field);
                }
                answer
            })
            .await;
        let facts = chain.read_block(&bent.block, &bent.world.watched()).await;
        assert!(matches!(facts, Err(ReadError::Unavailable(_))), "{field}: {facts:?}");
    }
    bent.refuses_to_read("fewer accounts", |b| {
        b["transactions"][0]["transaction"]["accountKeys"].as_array_mut().unwrap().pop();
    })
    .await;
    bent.refuses_to_read("other decimals", |b| {
        for tx in b["transactions"].as_array_mut().unwrap() {
            for balance in tx["meta"]["postTokenBalances"].as_array_mut().unwrap() {
                balance["uiTokenAmount"]["decimals"] = json!(9);
            }
        }
    })
    .await;
    let (chain, _proxy) = bent
        .bent("getBlock", |mut answer| {
            answer["result"]["blockhash"] = json!("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d");
            answer
        })
        .await;
    let facts = chain.read_block(&bent.block, &bent.world.watched()).await;
    assert_eq!(facts, Err(ReadError::UnknownBlock), "another block in our slot");
}

#[tokio::test]
async fn finality_never_goes_backwards_nor_ahead_of_the_tip() {
    let bent = Bent::start().await;
    bent.world.payer.finalize().await.unwrap();
    let finals = std::sync::Mutex::new(vec![json!(9_999_999), json!(1_000), json!(1_010)]);
    let (chain, _proxy) = bent
        .bend(move |method, answer| {
            // The proxy does not see parameters; the first slot asked for in a head is the final.
            let mut finals = finals.lock().unwrap();
            Some(match (method, finals.len() % 2) {
                ("getSlot", 1) => with_result(answer, finals.pop().unwrap()),
                ("getBlock", 0) if finals.len() == 2 => {
                    finals.push(json!(1_000));
                    answer
                }
                _ => answer,
            })
        })
        .await;
    assert_eq!(chain.head().await.unwrap().finalized, Some(1_010));
    let backwards = chain.head().await.unwrap_err();
    assert!(backwards.to_string().contains("backwards from 1010 to 1000"), "{backwards}");
    let (chain, _proxy) =
        bent.bent("getGenesisHash", |answer| with_result(answer, json!("not ours"))).await;
    assert!(matches!(chain.step(&bent.block).await, Err(ReadError::Untrusted(_))));
    assert!(matches!(chain.witnesses(&bent.block).await[0].says, Says::Silent(_)));
}

#[tokio::test]
async fn an_answer_without_a_result_is_none_and_a_key_is_never_repeated() {
    let bent = Bent::start().await;
    let (chain, _proxy) =
        bent.bent("getBlock", |answer| json!({"jsonrpc": "2.0", "id": answer["id"]})).await;
    let at = chain.block_at(bent.block.height).await;
    assert!(matches!(at, Err(ReadError::Unavailable(_))), "{at:?}");
    let (chain, _proxy) = bent
        .bent("getBlocksWithLimit", |answer| {
            with_error(&answer, -32005, "no plan for /very-secret-key at this node")
        })
        .await;
    let error = chain.step(&bent.block).await.unwrap_err().to_string();
    assert!(error.contains("-32005") && !error.contains("secret"), "{error}");
}

// A tip is announced a moment before its block can be had: the one below serves.
#[tokio::test]
async fn a_tip_that_cannot_be_shown_yet_is_passed_over() {
    let bent = Bent::start().await;
    let tip = bent.world.chain.head().await.unwrap().latest;
    let hash = tip.hash.clone();
    let (chain, _proxy) = bent
        .bent("getBlock", move |answer| {
            let late = answer["result"]["blockhash"] == json!(hash);
            if late { with_error(&answer, -32004, "Block not available") } else { answer }
        })
        .await;
    let head = chain.head().await.unwrap();
    assert!(head.latest.height < tip.height && head.latest.hash == tip.parent_hash, "{head:?}");
}

// One step and one block: three calls, whoever is watched, and no more for what they bring.
#[tokio::test]
async fn the_price_of_a_block_is_three_calls() {
    let bent = Bent::start().await;
    let parent = bent.world.chain.block(&bent.block.parent_hash).await.unwrap();
    let (chain, proxy) = bent.bend(|_, answer| Some(answer)).await;
    chain.head().await.unwrap();
    let asked = ["getBlock", "getGenesisHash", "getGenesisHash", "getSlot", "getSlot"];
    assert_eq!(proxy.take_calls(), asked, "first contact and a head");
    for count in [2, 100_000] {
        let others = (2..count).map(|n| format!("{n:0>42}"));
        let ours = (0..2).map(|index| bent.world.reference(index));
        let watch = ours.chain(others).collect();
        let step = chain.step(&parent).await.unwrap();
        assert_eq!(step, Step::Next(bent.block.clone()));
        let facts = chain.read_block(&bent.block, &watch).await.unwrap();
        assert_eq!(facts.sightings.len(), 2);
        assert_eq!(proxy.take_calls(), ["getBlock", "getBlock", "getBlocksWithLimit"]);
    }
}

// Same genesis, another history: nobody's answer is taken for that of the node we followed.
#[tokio::test]
async fn a_node_with_another_history_does_not_take_over() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    let bent = Bent::start().await;
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    let first = Proxy::start(bent.world.node.rpc_url(), move |_, answer| {
        (!is_cut.load(Ordering::Relaxed)).then_some(answer)
    })
    .await;
    let stranger = World::start().await;
    stranger.payer.mine(60).await.unwrap();
    let genesis = bent.world.node.genesis_hash().to_owned();
    let second = Proxy::start(stranger.node.rpc_url(), move |method, answer| {
        let same = method == "getGenesisHash";
        Some(if same { with_result(answer, json!(genesis)) } else { answer })
    })
    .await;
    let rpc_urls = [&first.url, &second.url].map(|url| url.parse().unwrap()).to_vec();
    let settings = SolanaConfig { rpc_urls, ws_urls: vec![], ..config(&bent.world.node) };
    let chain = SolanaChain::connect(&settings).unwrap();
    let tip = chain.head().await.unwrap().latest;
    let said = chain.witnesses(&tip).await;
    assert!(matches!(&said[1].says, Says::Other(_)) && said[0].says == Says::Same, "{said:?}");
    cut.store(true, Ordering::Relaxed);
    assert!(matches!(chain.head().await, Err(ReadError::Unavailable(_))));
    let facts = chain.read_block(&tip, &bent.world.watched()).await;
    assert!(matches!(facts, Err(ReadError::Unavailable(_))), "{facts:?}");
}
