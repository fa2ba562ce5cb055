//! How a move ends, by the word of every node: its own block, another one of ours, a stranger, a
//! block that goes; and nodes that lie, lag or are not there.

use bitcoin::{OutPoint, Txid};
use chains::{
    Chain as _, TxPlace,
    carrier::{
        Carrier as _, Draft, DraftError, Movable, NotYet, Ours, SendError, SignedTx, Standing,
        Witnessed,
    },
    sandbox::Sandbox as _,
};
use chains_bitcoin::BitcoinChain;
use chains_bitcoin_sandbox::{Bitcoind, BitcoindOptions, Payer, dev_sign};
use primitives::Asset;

use crate::{
    moving::{all, psbt, transaction, venue, wish},
    proxy::liar,
    world::{World, config, sats},
};

const DEAD: &str = "http://user:secret@127.0.0.1:9";

fn ours(draft: &Draft, signed: &SignedTx) -> Ours {
    let inputs = psbt(draft).unsigned_tx.input;
    let spends = inputs.iter().map(|input| input.previous_output.to_string()).collect();
    Ours { tx_id: signed.tx_id.clone(), spends }
}

async fn at(chain: &BitcoinChain, tx: &str) -> (u64, String) {
    match chain.locate(tx, &[]).await.unwrap() {
        TxPlace::Included { height, block_hash, .. } => (height, block_hash),
        elsewhere => panic!("{elsewhere:?}"),
    }
}

async fn stands(
    chain: &BitcoinChain,
    tx: &str,
    (height, hash): &(u64, String),
) -> Result<u64, NotYet> {
    let standing = Standing { block_hash: hash, height: *height, succeeded: true };
    Witnessed::new(chain).stands(tx, standing).await.map(|tips| tips.latest)
}

fn both<'a>(first: &'a str, second: &'a str) -> BitcoinChain {
    BitcoinChain::connect(&config(&[first, second])).unwrap()
}

/// A consolidation of three deposits that waits, and what replaced it.
async fn bumped(world: &World) -> [(Draft, SignedTx); 2] {
    let deposits = world.deposits(&[10_000, 20_000, 30_000]).await;
    let first = all(&world.chain, &deposits, &venue()).await;
    let old = world.sent(&first).await;
    let second = world.chain.bump(&first).await.unwrap();
    let new = world.sent(&second).await;
    [(first, old), (second, new)]
}

#[tokio::test]
async fn the_replacement_is_mined_and_costs_what_it_pays() {
    let world = World::start().await;
    let [(first, old), (second, new)] = bumped(&world).await;
    world.payer.mine(6).await.unwrap();
    let place = at(&world.chain, &new.tx_id).await;
    assert_eq!(stands(&world.chain, &new.tx_id, &place).await, Ok(place.0 + 5));
    // What went in less what came out, of the transaction in the block.
    let paid = 60_000 - i128::from(transaction(&new).output[0].value.to_sat());
    assert_eq!(world.chain.cost(&new.tx_id).await, Ok(Some(sats(paid))));
    assert_eq!(sats(paid), second.fee_max);
    assert_eq!(world.chain.cost(&old.tx_id).await, Ok(None));
    let out = world.chain.outgoing(&new.tx_id, &venue(), Asset::Btc).await.unwrap();
    assert_eq!(out.iter().map(|one| one.amount).collect::<Vec<_>>(), [second.amount]);
    // The first one lost to one of ours: that is no end of the move.
    let versions = [ours(&first, &old), ours(&second, &new)];
    let over = Witnessed::new(&world.chain).overtaken(&versions).await;
    assert!(matches!(&over, Err(NotYet(why)) if why.contains("ours stands")), "{over:?}");
}

// A miner who never heard of the replacement mines the original.
#[tokio::test]
async fn the_original_is_mined_after_its_replacement_was_sent() {
    let world = World::start().await;
    let [(first, old), (second, new)] = bumped(&world).await;
    world.payer.mine_these(&[&old.raw]).await.unwrap();
    world.payer.mine(5).await.unwrap();
    let place = at(&world.chain, &old.tx_id).await;
    assert!(stands(&world.chain, &old.tx_id, &place).await.is_ok());
    assert_eq!(world.chain.cost(&old.tx_id).await, Ok(Some(first.fee_max)));
    assert_eq!(world.chain.cost(&new.tx_id).await, Ok(None));
    // Nothing is sent a second time, and nothing new is made of it.
    assert_eq!(world.chain.send(&old).await, Ok(()), "it is there already");
    let gone = Err(SendError::Refused("inputs_spent".to_owned()));
    assert_eq!(world.chain.send(&new).await, gone);
    for draft in [&first, &second] {
        let bump = world.chain.bump(draft).await;
        assert!(matches!(bump, Err(DraftError::Refused(_))), "{bump:?}");
    }
    let lost = ours(&second, &new);
    let place = world.chain.locate(&lost.tx_id, &lost.spends).await.unwrap();
    let by = Some(old.tx_id.clone());
    assert!(matches!(&place, TxPlace::Replaced { by: b, mined: Some(_) } if *b == by), "{place:?}");
    let over = Witnessed::new(&world.chain).overtaken(&[lost, ours(&first, &old)]).await;
    assert!(over.is_err(), "{over:?}");
    let held = world.chain.held(&[venue()], Asset::Btc).await.unwrap();
    assert_eq!(held, first.amount, "once");
}

#[tokio::test]
async fn a_block_that_goes_takes_the_end_along() {
    let world = World::start().await;
    let [_, (second, new)] = bumped(&world).await;
    world.payer.mine(2).await.unwrap();
    let place = at(&world.chain, &new.tx_id).await;
    assert!(stands(&world.chain, &new.tx_id, &place).await.is_ok());
    world.payer.empty_blocks(2).await.unwrap();
    let gone = stands(&world.chain, &new.tx_id, &place).await;
    assert!(matches!(&gone, Err(NotYet(why)) if why.contains("waits for a block")), "{gone:?}");
    assert_eq!(world.chain.cost(&new.tx_id).await, Ok(None));
    // The same bytes again are no second move.
    assert_eq!(world.chain.send(&new).await, Ok(()));
    world.payer.mine(1).await.unwrap();
    let again = at(&world.chain, &new.tx_id).await;
    assert_ne!(again, place);
    assert!(stands(&world.chain, &new.tx_id, &place).await.is_err(), "another block");
    assert!(stands(&world.chain, &new.tx_id, &again).await.is_ok());
    assert_eq!(world.chain.cost(&new.tx_id).await, Ok(Some(second.fee_max)));
}

/// Somebody with the key of the last of many deposits takes it, and mines that.
async fn taken(world: &World, count: usize) -> (Ours, String) {
    let addresses: Vec<String> = (0_u32..).take(count).map(|index| world.address(index)).collect();
    let outputs: Vec<(&str, u64)> = addresses.iter().map(|to| (to.as_str(), 10_000)).collect();
    let tx = world.payer.pay_many(&outputs).await.unwrap();
    world.payer.mine(1).await.unwrap();
    let deposits: Vec<Movable> = (0_u32..)
        .take(count)
        .map(|index| Movable {
            source: world.source(index),
            amount: sats(10_000),
            outpoint: Some(format!("{tx}:{index}")),
        })
        .collect();
    let draft = all(&world.chain, &deposits, &venue()).await;
    let signed = world.sent(&draft).await;
    // By the order of the inputs: the one that is asked for last.
    let last = psbt(&draft).unsigned_tx.input[count - 1].previous_output.to_string();
    let one = deposits.iter().find(|one| one.outpoint.as_ref() == Some(&last)).unwrap();
    world.payer.mine(1).await.unwrap();
    world.payer.empty_blocks(1).await.unwrap();
    // Both wait now, or neither: the block decides.
    let stranger = BitcoinChain::connect(&config(&[&blind(world).await])).unwrap();
    let foreign = all(&stranger, std::slice::from_ref(one), &world.address(9)).await;
    let foreign = dev_sign(&foreign.unsigned).unwrap();
    world.payer.mine_these(&[&foreign.raw]).await.unwrap();
    (ours(&draft, &signed), foreign.tx_id)
}

/// The same node for somebody who does not know what waits.
async fn blind(world: &World) -> String {
    let none = |method: &str, real: &str| {
        let none = "[{\"txid\":\"00\",\"vout\":0}]".to_owned();
        Ok(if method == "gettxspendingprevout" { none } else { real.to_owned() })
    };
    liar(world.node.rpc_url(), none).await
}

#[tokio::test]
async fn a_stranger_is_named_whichever_output_he_took() {
    let world = World::start().await;
    let (ours, stranger) = taken(&world, 40).await;
    let over = Witnessed::new(&world.chain).overtaken(std::slice::from_ref(&ours)).await.unwrap();
    assert_eq!(over.by.as_deref(), Some(stranger.as_str()));
    assert_eq!((over.height, over.tips.latest), at_tip(&world).await);
    let cannot = world.chain.cost(&ours.tx_id).await;
    assert_eq!(cannot, Ok(None));
    // Still named when the fleet was away for a while.
    world.payer.mine(100).await.unwrap();
    let over = Witnessed::new(&world.chain).overtaken(std::slice::from_ref(&ours)).await.unwrap();
    assert_eq!(over.by.as_deref(), Some(stranger.as_str()));
    assert_eq!(over.tips.latest, over.height + 100);
    // After too long nobody names him, and then one node's word is too little.
    world.payer.mine(100).await.unwrap();
    let one = Witnessed::new(&world.chain).overtaken(std::slice::from_ref(&ours)).await;
    assert!(matches!(&one, Err(NotYet(why)) if why.contains("too little")), "{one:?}");
    let same = liar(world.node.rpc_url(), |_, real| Ok(real.to_owned())).await;
    let two = both(world.node.rpc_url(), &same);
    let over = Witnessed::new(&two).overtaken(std::slice::from_ref(&ours)).await.unwrap();
    assert_eq!(over.by, None);
}

async fn at_tip(world: &World) -> (u64, u64) {
    let tip = world.chain.head().await.unwrap().latest.height;
    (tip, tip)
}

// An index that is being built does not know what is in a block: that ends nothing.
#[tokio::test]
async fn ours_is_never_taken_for_gone_by_a_node_that_hides_it() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let draft = all(&world.chain, &deposits, &venue()).await;
    let signed = world.sent(&draft).await;
    world.payer.mine(1).await.unwrap();
    let hidden: Txid = signed.tx_id.parse().unwrap();
    let url = world.node.rpc_url();
    let hides = move |unsynced: bool| {
        liar(url, move |method, real| match method {
            "getrawtransaction" if real.contains(&hidden.to_string()) => {
                Err((-5, "No such mempool transaction".to_owned()))
            }
            "getindexinfo" if unsynced => Ok(real.replace("true", "false")),
            _ => Ok(real.to_owned()),
        })
    };
    let mine = ours(&draft, &signed);
    // Its own blocks give it away.
    let liar = BitcoinChain::connect(&config(&[&hides(false).await])).unwrap();
    let place = liar.locate(&mine.tx_id, &mine.spends).await.unwrap();
    assert!(matches!(place, TxPlace::Included { .. }), "{place:?}");
    world.payer.mine(150).await.unwrap();
    let building = BitcoinChain::connect(&config(&[&hides(true).await])).unwrap();
    let place = building.locate(&mine.tx_id, &mine.spends).await;
    assert!(place.is_err(), "{place:?}");
    // It lies well, and is followed: the other node has it.
    let liar = hides(false).await;
    let two = both(&liar, url);
    let place = two.locate(&mine.tx_id, &mine.spends).await.unwrap();
    assert!(matches!(place, TxPlace::Replaced { by: None, mined: Some(_) }), "{place:?}");
    let over = Witnessed::new(&two).overtaken(std::slice::from_ref(&mine)).await;
    assert!(matches!(&over, Err(NotYet(why)) if why.contains("it is in block")), "{over:?}");
    let alone = BitcoinChain::connect(&config(&[&liar])).unwrap();
    assert!(Witnessed::new(&alone).overtaken(&[mine]).await.is_err());
}

#[tokio::test]
async fn a_witness_that_is_behind_or_away_is_waited_for() {
    let world = World::start().await;
    let node = Bitcoind::start(BitcoindOptions::default()).await.unwrap();
    let second = Payer::connect_empty(node.rpc_url()).await.unwrap();
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let signed = world.sent(&all(&world.chain, &deposits, &venue()).await).await;
    let before = world.chain.head().await.unwrap().latest.height;
    world.payer.mine(6).await.unwrap();
    world.payer.copy_blocks(&second, before).await.unwrap();
    let place = at(&world.chain, &signed.tx_id).await;
    let two = both(world.node.rpc_url(), node.rpc_url());
    let behind = stands(&two, &signed.tx_id, &place).await;
    assert!(matches!(&behind, Err(NotYet(why)) if why.contains("not known")), "{behind:?}");
    // It comes nearer: as deep as it is there, not as it is here.
    world.payer.copy_blocks(&second, before + 2).await.unwrap();
    assert_eq!(stands(&two, &signed.tx_id, &place).await, Ok(before + 2));
    world.payer.copy_blocks(&second, before + 6).await.unwrap();
    assert_eq!(stands(&two, &signed.tx_id, &place).await, Ok(before + 6));
    let away = stands(&both(world.node.rpc_url(), DEAD), &signed.tx_id, &place).await;
    let sentence = "127.0.0.1:9: node unavailable: no connection".to_owned();
    assert_eq!(away, Err(NotYet(sentence)));
    // It holds the block, and says that ours is not in it.
    let hidden = signed.tx_id.clone();
    let denies = liar(world.node.rpc_url(), move |method, real| match method {
        "getrawtransaction" if real.contains(&hidden) => Err((-5, "no".to_owned())),
        _ => Ok(real.to_owned()),
    });
    let denied = stands(&both(world.node.rpc_url(), &denies.await), &signed.tx_id, &place).await;
    assert!(matches!(&denied, Err(NotYet(why)) if why.contains("not known")), "{denied:?}");
}

// What we sent is gone from every mempool, and its coins are spent by ourselves otherwise: the word
// "missing inputs" is about our own, and about no block.
#[tokio::test]
async fn coins_we_spent_ourselves_are_named() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let mine = all(&world.chain, &deposits, &venue()).await;
    let signed = dev_sign(&mine.unsigned).unwrap();
    let other = world.sent(&all(&world.chain, &deposits[..1], &venue()).await).await;
    world.payer.mine(1).await.unwrap();
    let gone = Err(SendError::Refused("inputs_spent".to_owned()));
    assert_eq!(world.chain.send(&signed).await, gone);
    let at = OutPoint { txid: transaction(&other).compute_txid(), vout: 0 };
    assert_eq!(at.txid.to_string(), other.tx_id);
    let mine = ours(&mine, &signed);
    let over = Witnessed::new(&world.chain).overtaken(std::slice::from_ref(&mine)).await.unwrap();
    assert_eq!(over.by, Some(other.tx_id.clone()));
    // Where that other one is a version of the same move, nothing is over.
    let version = Ours { tx_id: other.tx_id, spends: mine.spends.clone() };
    assert!(Witnessed::new(&world.chain).overtaken(&[mine, version]).await.is_err());
    assert!(world.chain.draft(&wish(&deposits, &venue(), None)).await.is_err());
}
