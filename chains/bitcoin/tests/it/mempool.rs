//! Payments that wait: replaced, spent twice, brought back.

use chains::{Arrived, Chain as _, TxPlace, sandbox::Keep, sandbox::Sandbox as _};

use crate::world::{World, sats};

const ELSEWHERE: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

#[tokio::test]
async fn a_replaced_payment_is_named_with_its_replacement() {
    let world = World::start().await;
    let tx = world.payer.pay(&world.address(0), sats(10_000)).await.unwrap();
    let waiting = world.chain.pending(&world.watched()).await.unwrap().unwrap();
    let spends = waiting[0].spends.clone();
    let by = world.payer.replace(&tx, &[(ELSEWHERE, 5_000)]).await.unwrap();
    let place = world.chain.locate(&tx, &spends).await.unwrap();
    assert_eq!(place, TxPlace::Replaced { by: Some(by.clone()), mined: None });
    assert_eq!(world.chain.pending(&world.watched()).await.unwrap(), Some(vec![]));
    world.payer.mine(1).await.unwrap();
    let height = world.chain.head().await.unwrap().latest.height;
    let place = world.chain.locate(&tx, &spends).await.unwrap();
    assert_eq!(place, TxPlace::Replaced { by: Some(by), mined: Some(height) });
    // Without knowing what it spent, nobody can tell.
    assert_eq!(world.chain.locate(&tx, &[]).await.unwrap(), TxPlace::Absent);
}

// The replacement may pay us as well, less or more: it is another deposit.
#[tokio::test]
async fn a_replacement_that_pays_us_counts_by_itself() {
    let world = World::start().await;
    let to = world.address(0);
    let tx = world.payer.pay(&to, sats(10_000)).await.unwrap();
    let by = world.payer.replace(&tx, &[(&to, 4_000)]).await.unwrap();
    let waiting = world.chain.pending(&world.watched()).await.unwrap().unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0].tx_id, &waiting[0].arrived), (&by, &Arrived::Known(sats(4_000))));
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.seen(&by).await[0].arrived, Arrived::Known(sats(4_000)));
}

// The node's index still answers for a transaction of a lost branch: that proves nothing.
#[tokio::test]
async fn a_double_spend_on_the_new_branch_wins() {
    let world = World::start().await;
    let tx = world.payer.pay(&world.address(0), sats(10_000)).await.unwrap();
    let waiting = world.chain.pending(&world.watched()).await.unwrap().unwrap();
    world.payer.mine(2).await.unwrap();
    // In a block nobody asks what it spends.
    assert!(world.seen(&tx).await[0].spends.is_empty());
    world.payer.reorg(2, Keep::Nothing).await.unwrap();
    let place = world.chain.locate(&tx, &waiting[0].spends).await.unwrap();
    assert!(matches!(place, TxPlace::Replaced { by: Some(_), mined: Some(_) }), "{place:?}");
}

// Payments to addresses nobody watches are fetched once and stay out.
#[tokio::test]
async fn a_look_at_the_mempool_fetches_what_is_new() {
    let world = World::start().await;
    for _ in 0..5 {
        world.payer.pay(ELSEWHERE, sats(10_000)).await.unwrap();
    }
    let watch = world.watched();
    let before = world.chain.calls();
    assert_eq!(world.chain.pending(&watch).await.unwrap(), Some(vec![]));
    // The genesis, whether it is loaded, the list and one request for all five.
    assert!(world.chain.calls() - before <= 4);
    let before = world.chain.calls();
    assert_eq!(world.chain.pending(&watch).await.unwrap(), Some(vec![]));
    assert_eq!(world.chain.calls() - before, 2);
}

// Whoever names thousands of them does not make us ask for all.
#[tokio::test]
async fn only_so_many_outpoints_are_asked_for() {
    let world = World::start().await;
    let nobodys: Vec<String> = (0..5_000).map(|n| format!("{}:{n}", "ab".repeat(32))).collect();
    let never = "cd".repeat(32);
    let before = world.chain.calls();
    assert_eq!(world.chain.locate(&never, &nobodys).await.unwrap(), TxPlace::Absent);
    let asked = world.chain.calls() - before;
    assert!(asked <= 100, "{asked} calls");
}
