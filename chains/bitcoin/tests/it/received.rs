//! What a block brings, and what only looks like it.

use bitcoin::{
    Address, Network, PubkeyHash, ScriptBuf, ScriptHash, WPubkeyHash, hashes::Hash as _,
};
use chains::{Arrived, Chain as _, Outgoing, sandbox::Sandbox as _};
use primitives::Asset;

use crate::world::{World, sats};

#[tokio::test]
async fn two_outputs_of_one_transaction_are_two_deposits() {
    let world = World::start().await;
    let (a, b) = (world.address(0), world.address(1));
    let tx = world.payer.pay_many(&[(&a, 10_000), (&a, 20_000), (&b, 30_000)]).await.unwrap();
    world.payer.mine(1).await.unwrap();
    let seen = world.seen(&tx).await;
    let short: Vec<_> = seen.iter().map(|s| (s.ordinal, s.to.as_str())).collect();
    assert_eq!(short, [(0, a.as_str()), (1, a.as_str()), (2, b.as_str())]);
    assert_eq!(world.chain.held(&[a], Asset::Btc).await, Ok(sats(30_000)));
}

// Each is something a careless reader credits.
#[tokio::test]
async fn what_only_looks_like_a_payment_is_none() {
    let world = World::start().await;
    let (ours, theirs) = (world.address(0), "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080");
    // Waits, and never comes into a block.
    let waits = world.payer.pay(&ours, sats(10_000)).await.unwrap();
    // Taken back for a higher fee though it signalled nothing worth trusting.
    let replacement = world.payer.replace(&waits, &[(theirs, 9_000)]).await.unwrap();
    // The same coins to somebody else.
    world.payer.pay(theirs, sats(50_000)).await.unwrap();
    world.payer.mine(1).await.unwrap();
    assert!(world.seen(&replacement).await.is_empty());
    assert_eq!(world.chain.held(&[ours], Asset::Btc).await, Ok(sats(0)));
}

// It may vanish for a hundred blocks, and somebody sent it to us: a person looks.
#[tokio::test]
async fn a_mined_reward_is_no_payment() {
    let world = World::start().await;
    let ours = world.address(0);
    world.payer.mine_to(&ours, 1).await.unwrap();
    let tip = world.chain.head().await.unwrap().latest;
    let facts = world.chain.read_block(&tip, &world.watched()).await.unwrap();
    let [reward] = facts.sightings.as_slice() else { panic!("{facts:?}") };
    let (contract, minor) = ("coinbase".to_owned(), "5000000000".to_owned());
    assert_eq!(reward.arrived, Arrived::UnknownToken { contract, minor });
    assert_eq!((reward.to.as_str(), reward.ordinal), (ours.as_str(), 0));
}

#[tokio::test]
async fn three_thousand_payments_in_a_block_are_read_in_two_calls() {
    let world = World::start().await;
    let addresses: Vec<String> = (0..10).map(|index| world.address(index)).collect();
    for _ in 0..6 {
        let outputs: Vec<(&str, u64)> =
            (0..500).map(|n| (addresses[n % 10].as_str(), 1_000)).collect();
        world.payer.pay_many(&outputs).await.unwrap();
    }
    world.payer.mine(1).await.unwrap();
    let tip = world.chain.head().await.unwrap().latest;
    let before = world.chain.calls();
    let facts = world.chain.read_block(&tip, &world.watched()).await.unwrap();
    assert_eq!(facts.sightings.len(), 3_000);
    assert_eq!(world.chain.calls() - before, 2);
}

/// Addresses of every kind a payer's wallet may have.
fn kinds() -> Vec<String> {
    let scripts = [
        ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array([1; 20])),
        ScriptBuf::new_p2sh(&ScriptHash::from_byte_array([2; 20])),
        ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([3; 20])),
        ScriptBuf::from_bytes([&[0x00, 0x20][..], &[4; 32]].concat()),
        ScriptBuf::from_bytes([&[0x51, 0x20][..], &[5; 32]].concat()),
    ];
    let address = |script: &ScriptBuf| Address::from_script(script, Network::Regtest).unwrap();
    scripts.iter().map(|script| address(script).to_string()).collect()
}

// What goes back to a payer can be shown whatever kind of address he has.
#[tokio::test]
async fn what_went_out_is_seen_at_any_kind_of_address() {
    let world = World::start().await;
    let kinds = kinds();
    let mut outputs: Vec<(&str, u64)> = kinds.iter().map(|to| (to.as_str(), 10_000)).collect();
    // Two to one address are two.
    outputs.push((&kinds[4], 20_000));
    let tx = world.payer.pay_many(&outputs).await.unwrap();
    let ask = |to: &str| {
        let (chain, tx, to) = (&world.chain, tx.to_uppercase(), to.to_owned());
        async move { chain.outgoing(&tx, &to, Asset::Btc).await }
    };
    assert_eq!(ask(&kinds[0]).await, Ok(vec![]), "it waits");
    world.payer.mine(1).await.unwrap();
    let block = world.chain.head().await.unwrap().latest;
    let out = |ordinal, minor| {
        let (tx_id, block) = (tx.clone(), block.clone());
        Outgoing { tx_id, block, ordinal, amount: sats(minor) }
    };
    for (ordinal, to) in (0_u32..4).zip(&kinds) {
        assert_eq!(ask(to).await, Ok(vec![out(ordinal, 10_000)]), "{to}");
    }
    assert_eq!(ask(&kinds[4]).await, Ok(vec![out(4, 10_000), out(5, 20_000)]));
    assert_eq!(ask(&world.address(0)).await, Ok(vec![]), "somebody else");
    assert!(ask("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu").await.is_err());
    assert!(world.chain.outgoing(&tx, &kinds[0], Asset::Eth).await.is_err());
}
