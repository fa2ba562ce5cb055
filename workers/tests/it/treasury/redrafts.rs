//! Top-ups that are drafted anew while others of their station go on: from what it holds by then,
//! and never with the nonce of one that was sent.

use std::collections::BTreeSet;

use anyhow::Result;
use primitives::{Asset, MoveId, derived_uuid};
use settlement::switch::{self, Switch};
use signing::SignError;
use uuid::Uuid;

use super::{
    net::Net,
    outside::refusal,
    stations::{SENT, all_come, freeze, tokens, turns, with_nonce},
    world::{World, amount},
};

const LIVE: &str = "select count(*) from move_sources where live and nonce is not null";

fn silence() -> SignError {
    SignError::Unavailable("no socket".to_owned())
}

async fn switch(w: &World, closed: bool) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    switch::set_in(&mut tx, &w.base, Switch::Moves, closed, "a test").await?;
    tx.commit().await?;
    Ok(())
}

/// What the signer is asked of a move first.
fn first_intent(of: MoveId) -> Uuid {
    derived_uuid(&["move", &of.to_string(), "1"])
}

/// For any move.
async fn nobody_is_called(w: &World) -> Result<()> {
    let cases = w.cases().await?;
    let of_moves = ["move_stuck", "move_overtaken", "signer_refused"];
    assert!(!cases.iter().any(|kind| of_moves.contains(&kind.as_str())), "{cases:?}");
    Ok(())
}

/// Those that were planned with it are in blocks: the station holds less than when it was planned.
#[tokio::test]
async fn one_that_was_refused_comes_after_the_others() -> Result<()> {
    let w = tokens(3, 8).await?;
    w.keys.desk().says.push_back(refusal("over_limit"));
    turns(&w, 8).await?;
    assert_eq!(w.count(SENT).await?, 2);
    w.net.mine(1);
    assert_eq!(w.net.mined(), 2);
    w.turn(61).await?;
    turns(&w, 2).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2]));
    all_come(&w, 3).await?;
    nobody_is_called(&w).await
}

/// Four are planned at once; the first is in a block when the signer refuses the second, and two
/// stand behind a nonce that nobody has.
async fn a_gap_below_two() -> Result<World> {
    let w = tokens(4, 8).await?;
    w.keys.desk().says.push_back(silence());
    w.turn(2).await?;
    assert!(w.keys.desk().signed.is_empty());
    let second = first_intent(with_nonce(&w, 1).await?);
    w.keys.desk().silent_for.insert(second);
    w.turn(200).await?;
    turns(&w, 2).await?;
    assert_eq!((w.count(SENT).await?, w.count(LIVE).await?), (1, 4));
    w.net.mine(1);
    w.keys.desk().silent_for.clear();
    w.keys.desk().refused.insert(second, refusal("over_limit"));
    for asset in [Asset::Eth, Asset::Usdc] {
        w.rate(asset, w.now()).await?;
    }
    Ok(w)
}

/// They move up at once, and the refused one comes behind them at its time.
#[tokio::test]
async fn those_behind_a_gap_move_up() -> Result<()> {
    let w = a_gap_below_two().await?;
    w.turn(200).await?;
    turns(&w, 6).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2]));
    all_come(&w, 4).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2, 3]));
    Ok(())
}

/// What cannot be drafted anew is shown, and nobody waits behind its nonce.
#[tokio::test]
async fn those_that_cannot_move_up_are_shown() -> Result<()> {
    let w = a_gap_below_two().await?;
    w.net.state().fee = 10_i128.pow(18);
    w.turn(200).await?;
    turns(&w, 6).await?;
    let cases = w.cases().await?;
    assert!(cases.contains(&"move_stuck".to_owned()), "{cases:?}");
    assert_eq!(w.count(LIVE).await?, 1, "the first, in its block");
    w.net.state().fee = 1_000;
    all_come(&w, 4).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2, 3]));
    nobody_is_called(&w).await
}

/// A bump that nobody was asked to sign yet has the nonce of what was sent before it.
#[tokio::test]
async fn a_closed_switch_frees_no_nonce_that_was_sent() -> Result<()> {
    let w = tokens(1, 8).await?;
    turns(&w, 3).await?;
    assert_eq!(w.count(SENT).await?, 1);
    w.net.state().block_fee = 1_050;
    w.net.state().bump_percent = 10;
    w.keys.desk().says.push_back(silence());
    w.turn(61).await?;
    // As if the process had died before it asked.
    let unasked = "update move_attempts set asked_at = null where attempt = 2 and tx_id is null";
    assert_eq!(sqlx::query(unasked).execute(&w.db.owner).await?.rows_affected(), 1);
    switch(&w, true).await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.turn(200).await?;
    w.turn(60).await?;
    let planned = "select count(*) from move_attempts where attempt = 2 and state = 'planned'";
    assert_eq!((w.count(LIVE).await?, w.count(planned).await?), (1, 1), "it is still its own");
    switch(&w, false).await?;
    for asset in [Asset::Eth, Asset::Usdc] {
        w.rate(asset, w.now()).await?;
    }
    turns(&w, 20).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1]));
    w.net.state().block_fee = 0;
    all_come(&w, 2).await?;
    nobody_is_called(&w).await
}

/// What the signer refused has no nonce: nothing is drafted in its place for a frozen venue.
#[tokio::test]
async fn no_new_draft_for_a_frozen_venue() -> Result<()> {
    let w = tokens(1, 8).await?;
    w.keys.desk().says.push_back(refusal("over_limit"));
    turns(&w, 2).await?;
    assert_eq!(w.keys.desk().asked.len(), 1);
    assert_eq!(w.count(LIVE).await?, 0);
    freeze(&w, true).await?;
    for _ in 0..4 {
        w.turn(61).await?;
    }
    assert_eq!(w.count("select count(*) from move_attempts").await?, 1);
    assert_eq!(w.keys.desk().asked.len(), 1);
    freeze(&w, false).await?;
    all_come(&w, 1).await
}
