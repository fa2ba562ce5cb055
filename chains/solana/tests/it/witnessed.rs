//! How a move ends, by the word of every node: final where all of them have it, made anew where all
//! of them can tell that the old one never happened.

use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, DraftError, NotYet, Standing, Tips, Wish, Witnessed},
    sandbox::{Keep, Sandbox as _},
};
use chains_solana::{SolanaChain, SolanaConfig};
use chains_solana_sandbox::dev_sign;
use primitives::Asset;
use serde_json::Value;

use crate::{
    carrier::{arrived, carry, everything, funded, movable, solana, venue},
    proxy::{Proxy, refusing, with_result},
    world::{World, config, lamports, usdc},
};

fn among(world: &World, others: &[&str]) -> SolanaChain {
    let urls = [&[world.node.rpc_url()], others].concat();
    let rpc_urls = urls.iter().map(|url| url.parse().unwrap()).collect();
    let settings = SolanaConfig { rpc_urls, ws_urls: vec![], ..config(&world.node) };
    SolanaChain::connect(&settings).unwrap()
}

async fn place(chain: &SolanaChain, tx: &str) -> (u64, String) {
    match chain.locate(tx, &[]).await.unwrap() {
        TxPlace::Included { height, block_hash, .. } => (height, block_hash),
        elsewhere => panic!("{elsewhere:?}"),
    }
}

async fn stands(chain: &SolanaChain, tx: &str, at: &(u64, String)) -> Result<Tips, NotYet> {
    let standing = Standing { block_hash: &at.1, height: at.0, succeeded: true };
    Witnessed::new(chain).stands(tx, standing).await
}

#[tokio::test]
async fn a_move_is_final_where_every_node_has_it() {
    let world = funded(500_000_000, 0).await;
    world.payer.finalize().await.unwrap();
    let wish = everything(movable(&world.chain, Asset::Sol).await, &venue());
    let tx = carry(&world, &world.chain.draft(&wish).await.unwrap()).await;
    let at = place(&world.chain, &tx).await;
    let young = stands(&world.chain, &tx, &at).await.unwrap();
    assert!(young.finalized < Some(at.0), "in a block, not final: {young:?}");
    world.payer.finalize().await.unwrap();
    let alone = stands(&world.chain, &tx, &at).await.unwrap();
    assert!(alone.finalized >= Some(at.0), "{alone:?}");

    let no = |answer: Result<Tips, NotYet>, word: &str| {
        assert!(matches!(&answer, Err(NotYet(why)) if why.contains(word)), "{word}: {answer:?}");
    };
    let (url, _port) = refusing();
    no(stands(&among(&world, &[&url]), &tx, &at).await, "no connection");
    let ignorant = Proxy::start(world.node.rpc_url(), |method, mut answer| {
        if method == "getSignatureStatuses" {
            answer["result"]["value"][0] = Value::Null;
        }
        Some(answer)
    })
    .await;
    no(stands(&among(&world, &[&ignorant.url]), &tx, &at).await, "not known");
    let early = Proxy::start(world.node.rpc_url(), |method, mut answer| {
        if method == "getSignatureStatuses" {
            answer["result"]["value"][0]["confirmationStatus"] = "processed".into();
        }
        Some(answer)
    })
    .await;
    no(stands(&among(&world, &[&early.url]), &tx, &at).await, "waits");
    // One whose final blocks are not there yet: then it is not final.
    let behind = at.0 - 1;
    let slow = Proxy::start(world.node.rpc_url(), move |method, mut answer| {
        let slot = answer["result"].as_u64();
        if method == "getSlot" && slot.is_some_and(|slot| slot > behind) {
            answer["result"] = behind.into();
        }
        Some(answer)
    })
    .await;
    let together = stands(&among(&world, &[&slow.url]), &tx, &at).await.unwrap();
    assert!(together.finalized < Some(at.0), "{together:?}");
    assert_eq!(together.latest, behind);
    // The branch goes: what all of them had is nowhere.
    world.payer.reorg(1, Keep::Nothing).await.unwrap();
    assert!(stands(&world.chain, &tx, &(at.0, "other".to_owned())).await.is_err());
}

// Nobody ever got it, its time is over: signed anew with a blockhash of today, and carried once.
#[tokio::test]
async fn what_never_landed_is_made_anew_when_every_node_says_so() {
    let world = funded(500_000_000, 9_000_000).await;
    world.payer.finalize().await.unwrap();
    let (place, to) = (movable(&world.chain, Asset::Usdc).await, venue());
    let wish = Wish { from: vec![place], to: to.clone(), amount: Some(usdc(4_000_000)) };
    let draft = world.chain.draft(&wish).await.unwrap();
    let lost = dev_sign(&draft).unwrap();
    assert!(solana(&draft).token.as_ref().unwrap().create_account);
    world.payer.new_blockhash().await.unwrap();
    world.payer.mine(200).await.unwrap();
    // A third node that cannot tell: two that can are too few.
    let mute = Proxy::start(world.node.rpc_url(), |method, answer| {
        (method != "isBlockhashValid").then_some(answer)
    })
    .await;
    let same = Proxy::start(world.node.rpc_url(), |_, answer| Some(answer)).await;
    let bumped = among(&world, &[&same.url, &mute.url]).bump(&draft).await;
    let host = mute.url.trim_start_matches("http://").to_owned();
    assert!(
        matches!(&bumped, Err(DraftError::Read(why)) if why.to_string().contains(&host)),
        "{bumped:?}"
    );
    let again = among(&world, &[&same.url]).bump(&draft).await.unwrap();
    assert_ne!(solana(&again).blockhash, solana(&draft).blockhash);
    let tx = carry(&world, &again).await;
    assert_eq!(arrived(&world, &tx, &to, Asset::Usdc).await, Some(usdc(4_000_000)));
    assert!(world.chain.send(&lost).await.is_err());
    assert_eq!(world.chain.locate(&lost.tx_id, &[]).await, Ok(TxPlace::Absent));
    assert_eq!(arrived(&world, &lost.tx_id, &to, Asset::Usdc).await, None);
    // The account is there now: the next one does not make it.
    let place = movable(&world.chain, Asset::Usdc).await;
    let next = world.chain.draft(&everything(place, &to)).await.unwrap();
    assert!(!solana(&next).token.as_ref().unwrap().create_account);
}

// It landed and the answer was lost: nothing is made anew, whoever does not know it.
#[tokio::test]
async fn what_landed_without_an_answer_is_not_made_anew() {
    let world = funded(500_000_000, 0).await;
    world.payer.finalize().await.unwrap();
    let (place, to) = (movable(&world.chain, Asset::Sol).await, venue());
    let wish = Wish { from: vec![place], to: to.clone(), amount: Some(lamports(5_000_000)) };
    let draft = world.chain.draft(&wish).await.unwrap();
    let signed = dev_sign(&draft).unwrap();
    let deaf = Proxy::start(world.node.rpc_url(), |method, answer| {
        (method != "sendTransaction").then_some(answer)
    })
    .await;
    let alone = {
        let rpc_urls = vec![deaf.url.parse().unwrap()];
        SolanaChain::connect(&SolanaConfig { rpc_urls, ws_urls: vec![], ..config(&world.node) })
    };
    let sent = alone.unwrap().send(&signed).await;
    assert!(matches!(sent, Err(chains::carrier::SendError::Unknown(_))), "{sent:?}");
    assert_eq!(arrived(&world, &signed.tx_id, &to, Asset::Sol).await, Some(draft.amount));
    world.payer.new_blockhash().await.unwrap();
    world.payer.mine(200).await.unwrap();
    let ignorant = Proxy::start(world.node.rpc_url(), |method, answer| {
        let listed = method == "getSignaturesForAddress";
        Some(if listed { with_result(answer, serde_json::json!([])) } else { answer })
    })
    .await;
    let bumped = among(&world, &[&ignorant.url]).bump(&draft).await;
    assert!(matches!(&bumped, Err(DraftError::Refused(why)) if why.contains("in a block")));
    assert_eq!(world.chain.send(&signed).await, Ok(()), "it is there already");
    let cost = world.chain.cost(&signed.tx_id).await.unwrap().unwrap();
    assert_eq!(cost, draft.fee_max);
}
