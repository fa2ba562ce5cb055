//! Sending again and making anew: the same bytes twice are one transaction; another transaction is
//! made only once the old one can be proven to be over.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, Draft, DraftError, SendError, SignedTx, Unsigned, Wish},
    sandbox::{Keep, Sandbox as _},
};
use chains_solana::{SolanaChain, SolanaConfig};
use chains_solana_sandbox::{dev_sign, dev_wallet};
use primitives::Asset;

use crate::{
    carrier::{arrived, carry, everything, funded, held, movable, solana, venue, wallet},
    proxy::{Proxy, with_error, with_result},
    world::{World, config, lamports, usdc},
};

fn at(url: &str, world: &World) -> SolanaChain {
    let rpc_urls = vec![url.parse().unwrap()];
    let settings = SolanaConfig { rpc_urls, ws_urls: vec![], ..config(&world.node) };
    SolanaChain::connect(&settings).unwrap()
}

async fn sweep(asset: Asset) -> (World, Draft, String) {
    let world = funded(500_000_000, 9_000_000).await;
    // What a payer paid is final before we move it.
    world.payer.finalize().await.unwrap();
    let to = venue();
    let place = movable(&world.chain, asset).await;
    let draft = world.chain.draft(&everything(place, &to)).await.unwrap();
    (world, draft, to)
}

fn refused(drafted: &Result<Draft, DraftError>, word: &str) -> bool {
    matches!(drafted, Err(DraftError::Refused(why)) if why.contains(word))
}

#[tokio::test]
async fn twice_is_once() {
    for asset in [Asset::Sol, Asset::Usdc] {
        let (world, draft, to) = sweep(asset).await;
        let signed = dev_sign(&draft).unwrap();
        assert_eq!(carry(&world, &draft).await, signed.tx_id);
        let left = held(&world, Asset::Sol).await;
        for _ in 0..2 {
            assert_eq!(world.chain.send(&signed).await, Ok(()));
        }
        assert_eq!(held(&world, Asset::Sol).await, left);
        assert_eq!(arrived(&world, &signed.tx_id, &to, asset).await, Some(draft.amount));
        // Its blockhash is over by now, and still it is known.
        world.payer.new_blockhash().await.unwrap();
        world.payer.mine(200).await.unwrap();
        assert_eq!(world.chain.send(&signed).await, Ok(()));
    }
}

#[tokio::test]
async fn an_old_blockhash_is_refused_and_made_anew() {
    for asset in [Asset::Sol, Asset::Usdc] {
        let (world, draft, to) = sweep(asset).await;
        let chain = &world.chain;
        let signed = dev_sign(&draft).unwrap();
        assert!(refused(&chain.bump(&draft).await, "not over"), "it may still be sent");
        world.payer.new_blockhash().await.unwrap();
        world.payer.mine(150).await.unwrap();
        assert!(refused(&chain.bump(&draft).await, "not over"), "one more block may hold it");
        world.payer.mine(1).await.unwrap();
        let sent = chain.send(&signed).await;
        assert!(matches!(sent, Err(SendError::Unknown(_))), "over, but not finally: {sent:?}");
        assert!(refused(&chain.bump(&draft).await, "not over"));
        world.payer.mine(40).await.unwrap();
        let sent = chain.send(&signed).await;
        assert!(matches!(sent, Err(SendError::Refused(_))), "{sent:?}");
        assert_eq!(chain.locate(&signed.tx_id, &[]).await, Ok(TxPlace::Absent));

        let again = chain.bump(&draft).await.unwrap();
        assert_ne!(solana(&again).blockhash, solana(&draft).blockhash);
        assert!(solana(&again).unit_price > solana(&draft).unit_price);
        let total = |draft: &Draft| draft.amount.checked_add(draft.fee_max).ok();
        if asset == Asset::Sol {
            assert_eq!(total(&again), total(&draft), "everything, again");
        } else {
            assert_eq!(again.amount, draft.amount);
        }
        let tx = carry(&world, &again).await;
        assert_eq!(arrived(&world, &tx, &to, asset).await, Some(again.amount));
        assert_eq!(chain.cost(&signed.tx_id).await, Ok(None));
    }
}

// The wallet has enough for both, the blockhash is over: only that the old one happened speaks
// against a new one.
#[tokio::test]
async fn what_happened_is_not_made_anew() {
    let (world, _, _) = sweep(Asset::Sol).await;
    let to = venue();
    for (asset, part) in [(Asset::Sol, lamports(5_000_000)), (Asset::Usdc, usdc(1_000_000))] {
        let place = movable(&world.chain, asset).await;
        let wish = Wish { from: vec![place], to: to.clone(), amount: Some(part) };
        let draft = world.chain.draft(&wish).await.unwrap();
        carry(&world, &draft).await;
        // More of the receiver's life, and a look through it.
        for _ in 0..3 {
            let steps = world.payer.coins(&to, 1_000_000, &[]).unwrap();
            world.payer.send(steps, &[]).await.unwrap();
        }
        world.payer.new_blockhash().await.unwrap();
        world.payer.mine(200).await.unwrap();
        let bumped = world.chain.bump(&draft).await;
        assert!(refused(&bumped, "in a block"), "{bumped:?}");
    }
}

// A node whose final blocks have not come to the blockhash does not know it either.
#[tokio::test]
async fn a_node_that_lags_proves_nothing() {
    let (world, draft, _) = sweep(Asset::Sol).await;
    let mut transfer = solana(&draft).clone();
    transfer.blockhash_slot += 1_000;
    let ahead = Draft { unsigned: Unsigned::Solana(transfer), ..draft.clone() };
    world.payer.new_blockhash().await.unwrap();
    world.payer.mine(200).await.unwrap();
    let bumped = world.chain.bump(&ahead).await;
    assert!(matches!(bumped, Err(DraftError::Read(_))), "{bumped:?}");
    // One that does not heed the question.
    let slow = Proxy::start(world.node.rpc_url(), |method, mut answer| {
        if method == "isBlockhashValid" {
            answer["result"]["context"]["slot"] = 1.into();
        }
        Some(answer)
    })
    .await;
    let bumped = at(&slow.url, &world).bump(&draft).await;
    assert!(matches!(bumped, Err(DraftError::Read(_))), "{bumped:?}");
    // One that keeps the last blocks only.
    let short = Proxy::start(world.node.rpc_url(), |method, answer| {
        let first = method == "getFirstAvailableBlock";
        Some(if first { with_result(answer, 1_100.into()) } else { answer })
    })
    .await;
    let bumped = at(&short.url, &world).bump(&draft).await;
    assert!(matches!(bumped, Err(DraftError::Read(_))), "{bumped:?}");
    // One that is ill says nothing of a blockhash.
    let ill = Proxy::start(world.node.rpc_url(), |method, answer| {
        let sick = method == "getHealth";
        Some(if sick { with_error(&answer, -32005, "Node is behind by 42 slots") } else { answer })
    })
    .await;
    let sent = at(&ill.url, &world).send(&dev_sign(&draft).unwrap()).await;
    assert!(matches!(sent, Err(SendError::Unknown(_))), "{sent:?}");
    assert!(world.chain.bump(&draft).await.is_ok());
}

// A node that was started again from a snapshot has a gap, and does not know that it has one.
#[tokio::test]
async fn one_node_alone_proves_nothing_where_there_are_two() {
    let (world, _, _) = sweep(Asset::Sol).await;
    let place = movable(&world.chain, Asset::Sol).await;
    let wish = Wish { from: vec![place], to: venue(), amount: Some(lamports(5_000_000)) };
    let draft = world.chain.draft(&wish).await.unwrap();
    carry(&world, &draft).await;
    world.payer.new_blockhash().await.unwrap();
    world.payer.mine(200).await.unwrap();
    let gap = Proxy::start(world.node.rpc_url(), |method, answer| {
        let listed = method == "getSignaturesForAddress";
        Some(if listed { with_result(answer, serde_json::json!([])) } else { answer })
    })
    .await;
    let both = |second: &str| {
        let urls = [gap.url.as_str(), second];
        let rpc_urls = urls.iter().map(|url| url.parse().unwrap()).collect();
        let settings = SolanaConfig { rpc_urls, ws_urls: vec![], ..config(&world.node) };
        SolanaChain::connect(&settings).unwrap()
    };
    let bumped = both(world.node.rpc_url()).bump(&draft).await;
    assert!(refused(&bumped, "in a block"), "{bumped:?}");
    let mute = Proxy::start(world.node.rpc_url(), |method, answer| {
        (method != "isBlockhashValid").then_some(answer)
    })
    .await;
    let bumped = both(&mute.url).bump(&draft).await;
    assert!(matches!(bumped, Err(DraftError::Read(_))), "{bumped:?}");
}

#[tokio::test]
async fn a_draft_that_was_changed_is_refused() {
    let (world, good, _) = sweep(Asset::Usdc).await;
    world.payer.new_blockhash().await.unwrap();
    world.payer.mine(200).await.unwrap();
    assert!(world.chain.bump(&good).await.is_ok());
    let with = |change: fn(&mut chains::carrier::SolanaTransfer)| {
        let mut transfer = solana(&good).clone();
        change(&mut transfer);
        Draft { unsigned: Unsigned::Solana(transfer), ..good.clone() }
    };
    let bad = [
        with(|transfer| transfer.minor += 1),
        with(|transfer| transfer.token = None),
        with(|transfer| transfer.to = dev_wallet()),
        with(|transfer| transfer.blockhash = "soon".to_owned()),
        with(|transfer| transfer.from.key = chains::carrier::KeyRef::Gas),
        with(|transfer| transfer.token.as_mut().unwrap().program = dev_wallet()),
        Draft { unsigned: Unsigned::Bitcoin { psbt: String::new() }, ..good.clone() },
        Draft { from: vec![], ..good.clone() },
        Draft { fee_max: usdc(1), ..good.clone() },
        Draft { amount: lamports(1), ..good.clone() },
    ];
    for draft in bad {
        assert!(refused(&world.chain.bump(&draft).await, ""), "{draft:?}");
    }
}

// The node takes it and its answer is lost: nobody knows, and sending again is harmless.
#[tokio::test]
async fn a_lost_answer_is_unknown() {
    let (world, draft, to) = sweep(Asset::Sol).await;
    let signed = dev_sign(&draft).unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let proxy = Proxy::start(world.node.rpc_url(), move |method, answer| {
        let lost = method == "sendTransaction" && is_broken.load(Ordering::Relaxed);
        (!lost).then_some(answer)
    })
    .await;
    let chain = at(&proxy.url, &world);
    let sent = chain.send(&signed).await;
    assert!(matches!(sent, Err(SendError::Unknown(_))), "{sent:?}");
    broken.store(false, Ordering::Relaxed);
    assert_eq!(chain.send(&signed).await, Ok(()));
    assert_eq!(arrived(&world, &signed.tx_id, &to, Asset::Sol).await, Some(draft.amount));
}

#[tokio::test]
async fn words_that_are_no_refusal_are_unknown() {
    let (world, draft, _) = sweep(Asset::Sol).await;
    let signed = dev_sign(&draft).unwrap();
    for (code, message, definite) in [
        (-32005, "Node is unhealthy", false),
        (-32603, "Internal error", false),
        (-32016, "Minimum context slot has not been reached", false),
        (-32002, "Transaction simulation failed: Blockhash not found", false),
        (-32002, "Transaction simulation failed: Attempt to debit an account", true),
        (-32002, "Transaction simulation failed: insufficient funds for rent", true),
        (-32003, "Transaction signature verification failure", true),
    ] {
        // The node takes it before it speaks, at the first time.
        let proxy = Proxy::start(world.node.rpc_url(), move |method, mut answer| match method {
            "sendTransaction" => Some(with_error(&answer, code, message)),
            "getSignatureStatuses" => {
                answer["result"]["value"][0] = serde_json::Value::Null;
                Some(answer)
            }
            _ => Some(answer),
        })
        .await;
        let sent = at(&proxy.url, &world).send(&signed).await;
        let is_definite = matches!(sent, Err(SendError::Refused(_)));
        assert!(sent.is_err() && is_definite == definite, "{message}: {sent:?}");
    }
    // What it says of a transaction that it knows is no refusal.
    let proxy = Proxy::start(world.node.rpc_url(), |method, answer| {
        let no = "Transaction simulation failed: insufficient funds";
        Some(if method == "sendTransaction" { with_error(&answer, -32002, no) } else { answer })
    })
    .await;
    assert_eq!(at(&proxy.url, &world).send(&signed).await, Ok(()));
}

#[tokio::test]
async fn only_what_it_says_is_sent() {
    let (world, draft, _) = sweep(Asset::Sol).await;
    let good = dev_sign(&draft).unwrap();
    let proxy = Proxy::start(world.node.rpc_url(), |_, answer| Some(answer)).await;
    let chain = at(&proxy.url, &world);
    let other = {
        let mut transfer = solana(&draft).clone();
        transfer.minor -= 1;
        dev_sign(&Draft { unsigned: Unsigned::Solana(transfer), ..draft.clone() }).unwrap()
    };
    let two = format!("02{}", &good.raw[2..]);
    let bad = [
        SignedTx { raw: String::new(), ..good.clone() },
        SignedTx { raw: "zz".to_owned(), ..good.clone() },
        SignedTx { raw: "00".repeat(2_000), ..good.clone() },
        SignedTx { raw: good.raw[..200].to_owned(), ..good.clone() },
        SignedTx { raw: two, ..good.clone() },
        SignedTx { tx_id: other.tx_id, ..good.clone() },
        SignedTx { tx_id: "0x12".to_owned(), ..good.clone() },
    ];
    for tx in bad {
        let sent = chain.send(&tx).await;
        assert!(matches!(sent, Err(SendError::Refused(_))), "{tx:?}: {sent:?}");
    }
    assert_eq!(proxy.take_calls(), [] as [&str; 0], "no node was asked");
}

// More than the wallet holds by now: the node runs it and says no.
#[tokio::test]
async fn without_funds_it_is_refused() {
    let (world, draft, _) = sweep(Asset::Sol).await;
    let place = movable(&world.chain, Asset::Sol).await;
    let wish = Wish { from: vec![place], to: venue(), amount: Some(lamports(5_000_000)) };
    let other = world.chain.draft(&wish).await.unwrap();
    carry(&world, &draft).await;
    let part = solana(&other).clone();
    let more = chains::carrier::SolanaTransfer { minor: 400_000_000, ..part };
    let more = Draft { unsigned: Unsigned::Solana(more), ..other };
    let sent = world.chain.send(&dev_sign(&more).unwrap()).await;
    assert!(matches!(sent, Err(SendError::Refused(_))), "{sent:?}");
}

// A branch that is dropped takes the sweep along: it cost nothing, and the same bytes go again.
#[tokio::test]
async fn a_sweep_that_was_dropped_is_not_there() {
    let (world, draft, to) = sweep(Asset::Sol).await;
    let tx = carry(&world, &draft).await;
    world.payer.reorg(1, Keep::Nothing).await.unwrap();
    assert_eq!(world.chain.locate(&tx, &[]).await, Ok(TxPlace::Absent));
    assert_eq!(world.chain.cost(&tx).await, Ok(None));
    assert_eq!(arrived(&world, &tx, &to, Asset::Sol).await, None);
    let place = movable(&world.chain, Asset::Sol).await;
    assert_eq!((&place.source, place.amount), (&wallet(), draft.from[0].amount));
    assert_eq!(carry(&world, &draft).await, tx);
    assert_eq!(arrived(&world, &tx, &to, Asset::Sol).await, Some(draft.amount));
}
