//! What a block brings, and what only looks like it.

use chains::{Chain as _, sandbox::Sandbox as _};

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
    assert_eq!(world.chain.held(&[a], primitives::Asset::Btc).await, Ok(sats(30_000)));
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
    assert_eq!(world.chain.held(&[ours], primitives::Asset::Btc).await, Ok(sats(0)));
}

#[tokio::test]
async fn a_mined_reward_is_no_payment() {
    let world = World::start().await;
    let ours = world.address(0);
    world.payer.mine_to(&ours, 1).await.unwrap();
    let tip = world.chain.head().await.unwrap().latest;
    let facts = world.chain.read_block(&tip, &world.watched()).await.unwrap();
    assert!(facts.sightings.is_empty(), "{facts:?}");
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
