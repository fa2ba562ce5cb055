//! What stops moves: the switch, a frozen venue, a network that refuses, a stranger with our keys.

use anyhow::Result;
use primitives::Asset;
use settlement::{
    switch::{self, Switch},
    venue_freeze,
};

use super::{
    net::{Kind, SendFault},
    world::{World, amount},
};

async fn turn_switch(w: &World, closed: bool) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    switch::set_in(&mut tx, &w.base, Switch::Moves, closed, "a test").await?;
    tx.commit().await?;
    Ok(())
}

async fn freeze(w: &World, venue: &str, frozen: bool) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    venue_freeze::set_in(&mut tx, &w.base, venue, frozen, ("ops", "a test")).await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_closed_switch_plans_nothing() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    turn_switch(&w, true).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    assert!(w.moves().await?.is_empty());
    turn_switch(&w, false).await?;
    w.settle().await?;
    w.check().await
}

/// What was planned is neither signed nor sent; what was sent is followed to its end.
#[tokio::test]
async fn a_closed_switch_stops_what_was_not_sent() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().silent_after = 1;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    turn_switch(&w, true).await?;
    w.turn(300).await?;
    assert_eq!((w.moves().await?, w.keys.desk().asked.len()), (vec!["planned".to_owned()], 1));
    turn_switch(&w, false).await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    turn_switch(&w, true).await?;
    w.net.mine(3);
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.check().await
}

#[tokio::test]
async fn nothing_goes_to_a_frozen_venue() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    freeze(&w, "near", true).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    assert!(w.moves().await?.is_empty());
    freeze(&w, "near", false).await?;
    w.keys.desk().silent_after = 1;
    w.turn(1).await?;
    freeze(&w, "near", true).await?;
    w.turn(300).await?;
    assert!(w.net.state().handed.is_empty(), "planned before, and not sent");
    freeze(&w, "near", false).await?;
    w.settle().await?;
    w.check().await
}

#[tokio::test]
async fn a_lost_send_is_sent_again() -> Result<()> {
    for fault in [SendFault::Lost, SendFault::AnswerLost] {
        let w = World::open(Kind::Addresses).await?;
        w.net.state().sends.push_back(fault);
        w.deposit(1, amount("1", Asset::Eth)).await?;
        w.settle().await?;
        assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
        let handed = w.net.state().handed.clone();
        assert!(handed.windows(2).all(|pair| pair[0] == pair[1]), "{handed:?}");
        w.check().await?;
    }
    Ok(())
}

/// Refused as it is, and nothing in its place: a higher fee, with the same fence.
#[tokio::test]
async fn a_refused_send_is_bumped() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().sends.push_back(SendFault::Refused);
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    assert_eq!(w.count("select count(*) from move_attempts where state = 'won'").await?, 1);
    assert_eq!(w.count("select count(*) from move_attempts").await?, 2);
    w.check().await
}

/// Somebody with our key spent it: over when that is final, and a person is called.
#[tokio::test]
async fn a_stranger_takes_what_ours_would_take() -> Result<()> {
    let w = World::open(Kind::Outputs).await?;
    w.deposit(1, amount("0.1", Asset::Btc)).await?;
    w.turn(1).await?;
    let ours = w.net.state().handed[0].clone();
    w.net.foreign(&ours);
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["sent"], "not final: ours may still win");
    w.net.mine(1);
    w.net.mine(1);
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["replaced"]);
    assert_eq!(w.cases().await?, ["move_overtaken"]);
    let held = "select count(*) from ledger.balances where credits_pending > 0";
    assert_eq!(w.count(held).await?, 0, "nothing is set aside for it");
    w.turn(60).await?;
    assert_eq!(w.moves().await?.len(), 1, "there is nothing to move");
    Ok(())
}

#[tokio::test]
async fn a_failed_transaction_costs_its_fee_and_nothing_else() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().reverts = true;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(3);
    w.turn(1).await?;
    assert_eq!(w.moves().await?[0], "failed");
    assert_eq!(w.cases().await?, ["move_reverted"]);
    assert_eq!(w.escrow(Asset::Eth).await?, 10_i128.pow(18) - 500);
    w.settle().await?;
    assert_eq!(w.moves().await?, ["failed", "credited"]);
    w.check().await
}
