//! A second node that is silent, and a first that tells nonsense: no move ends by its word alone.

use anyhow::Result;
use primitives::Asset;
use settlement::treasury;

use super::{
    net::Kind,
    world::{World, amount},
};

const HELD: &str = "select count(*) from ledger.balances where credits_pending > 0";

#[tokio::test]
async fn a_move_is_final_when_every_node_has_it() -> Result<()> {
    for kind in [Kind::Addresses, Kind::Outputs] {
        let w = World::open(kind).await?;
        w.net.state().doubts = Some("no connection".to_owned());
        w.deposit(1, amount("1", w.net.native())).await?;
        w.turn(1).await?;
        w.net.mine(9);
        w.turn(60).await?;
        assert_eq!(w.moves().await?, ["included"], "one node has it deep enough, one is silent");
        assert!(w.count(HELD).await? > 0);
        assert!(w.cases().await?.is_empty());
        // It lasts: somebody is told which node and why.
        w.turn(4 * 60 * 60).await?;
        let shown = w.cases().await?;
        assert!(shown.contains(&"move_stuck".to_owned()), "{shown:?}");
        assert_eq!(w.moves().await?, ["included"]);
        let why = "select count(*) from cases
             where detail->>'why' like '%two: node unavailable: no connection%'";
        assert_eq!(w.count(why).await?, 1);
        w.net.state().doubts = None;
        w.settle().await?;
        assert_eq!((w.moves().await?, w.net.mined()), (names("credited"), 1));
        let open = "select count(*) from cases where kind = 'move_stuck' and closed_at is null";
        assert_eq!(w.count(open).await?, 0);
        w.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hold_is_released_when_every_node_says_so() -> Result<()> {
    let w = World::open(Kind::Outputs).await?;
    w.deposit(1, amount("0.1", Asset::Btc)).await?;
    w.turn(1).await?;
    let ours = w.net.state().handed[0].clone();
    w.net.foreign(&ours);
    w.net.state().doubts = Some("no answer in time".to_owned());
    w.net.mine(5);
    w.turn(5).await?;
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["sent"], "one node's word is no proof");
    assert!(w.count(HELD).await? > 0);
    w.net.state().doubts = None;
    w.turn(5).await?;
    assert_eq!((w.moves().await?, w.cases().await?), (names("replaced"), names("move_overtaken")));
    assert_eq!(w.count(HELD).await?, 0);
    Ok(())
}

async fn retry(w: &World) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    treasury::retry_in(&mut tx, &w.base, w.the_move().await?, ("ops", "looked at")).await?;
    tx.commit().await?;
    Ok(())
}

/// Nothing is booked of a fee that could not have been paid.
#[tokio::test]
async fn a_fee_that_cannot_be_waits_for_a_person() -> Result<()> {
    for fails in [false, true] {
        let w = World::open(Kind::Addresses).await?;
        w.deposit(1, amount("1", Asset::Eth)).await?;
        w.turn(1).await?;
        w.net.state().reverts = fails;
        w.net.state().lie = 501;
        w.net.mine(9);
        w.turn(5).await?;
        assert_eq!(
            (w.moves().await?, w.cases().await?),
            (names("in_review"), names("move_differs"))
        );
        assert_eq!(w.escrow(Asset::Eth).await?, 10_i128.pow(18));
        let id = w.the_move().await?;
        let mut tx = w.base.pool.begin().await?;
        let no = treasury::abandon_in(&mut tx, &w.base, id, &[], ("ops", "no")).await;
        assert!(matches!(no, Err(treasury::PersonError::NotNow(..))), "{no:?}");
        drop(tx);
        w.net.state().lie = 0;
        retry(&w).await?;
        w.settle().await?;
        assert_eq!(
            w.moves().await?.first().map(String::as_str),
            Some(if fails { "failed" } else { "credited" })
        );
        w.check().await?;
    }
    Ok(())
}

/// Where the network really took more, a person says so by trying again.
#[tokio::test]
async fn a_fee_that_a_person_has_seen_is_booked() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().fee_percent = 150;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    // Too little to be moved: the fee is taken from it.
    w.deposit(2, amount("0.001", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(9);
    w.turn(5).await?;
    assert_eq!((w.moves().await?, w.cases().await?), (names("in_review"), names("move_differs")));
    retry(&w).await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.check().await
}

fn names(one: &str) -> Vec<String> {
    vec![one.to_owned()]
}
