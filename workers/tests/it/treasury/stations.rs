//! Several top-ups of one gas station behind each other: nonces in order, none lost, none twice.

use std::collections::BTreeSet;

use anyhow::Result;
use primitives::{Asset, MoveId};
use serde_json::json;
use settlement::{treasury, venue_freeze};
use signing::SignError;

use super::{
    net::{Kind, Net},
    outside::refusal,
    world::{World, amount},
};

const GAS: &str = "select count(*) from moves where purpose = 'gas'";
pub(super) const SENT: &str = "select count(*) from moves where purpose = 'gas' and state = 'sent'";

/// Tokens at so many addresses, and coin at the station.
pub(super) async fn tokens(count: u32, most: usize) -> Result<World> {
    let w = World::with(Kind::Addresses, |t| t["top_ups_at_once"] = json!(most)).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    for index in 0..count {
        w.deposit(index, amount("500", Asset::Usdc)).await?;
    }
    Ok(w)
}

pub(super) async fn turns(w: &World, count: usize) -> Result<()> {
    for _ in 0..count {
        w.turn(2).await?;
    }
    Ok(())
}

pub(super) async fn all_come(w: &World, count: i128) -> Result<()> {
    for _ in 0..6 {
        w.settle().await?;
    }
    assert_eq!(w.at_near(Asset::Usdc).await?, count * 500_000_000, "{:?}", w.moves().await?);
    w.check().await
}

/// The move that has the lowest nonce, or the only one with this nonce.
pub(super) async fn with_nonce(w: &World, nonce: i64) -> Result<MoveId> {
    let id = sqlx::query_scalar("select move_id from move_sources where nonce = $1 and live")
        .bind(nonce)
        .fetch_one(&w.db.owner)
        .await?;
    Ok(MoveId::from_uuid(id))
}

/// Gas for tokens of a frozen venue is not signed; when it thaws, everything comes.
#[tokio::test]
async fn no_gas_for_a_frozen_venue() -> Result<()> {
    let w = tokens(1, 8).await?;
    w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    w.turn(2).await?;
    assert_eq!(w.count(GAS).await?, 1);
    // As if the process had died before it asked.
    sqlx::query("update move_attempts set asked_at = null").execute(&w.db.owner).await?;
    freeze(&w, true).await?;
    for _ in 0..4 {
        w.turn(60).await?;
    }
    assert!(w.keys.desk().signed.is_empty(), "nothing is signed for it");
    let live = "select count(*) from move_sources where live and nonce is not null";
    assert_eq!(w.count(live).await?, 0, "and nobody waits behind its nonce");
    freeze(&w, false).await?;
    all_come(&w, 1).await
}

pub(super) async fn freeze(w: &World, frozen: bool) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    venue_freeze::set_in(&mut tx, &w.base, "near", frozen, ("ops", "a test")).await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn they_stand_behind_each_other() -> Result<()> {
    let w = tokens(4, 8).await?;
    turns(&w, 8).await?;
    assert_eq!((w.count(GAS).await?, w.count(SENT).await?), (4, 4), "before any block");
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2, 3]));
    w.net.mine(1);
    assert_eq!(w.net.mined(), 4, "one block takes them all");
    all_come(&w, 4).await?;
    assert_eq!(w.count("select count(*) from moves where state = 'credited'").await?, 8);
    assert!(w.cases().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn no_more_of_them_than_is_said() -> Result<()> {
    let w = tokens(5, 2).await?;
    turns(&w, 8).await?;
    assert_eq!(w.count(GAS).await?, 2);
    all_come(&w, 5).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2, 3, 4]));
    Ok(())
}

/// The first is too cheap: its own bump frees it, and nobody behind it pays for that.
#[tokio::test]
async fn a_stuck_first_one_loses_none() -> Result<()> {
    let w = tokens(1, 8).await?;
    turns(&w, 3).await?;
    w.net.state().fee = 2_000;
    w.net.state().block_fee = 1_050;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.deposit(2, amount("500", Asset::Usdc)).await?;
    turns(&w, 8).await?;
    assert_eq!(w.count(SENT).await?, 3);
    w.net.mine(1);
    assert_eq!(w.net.mined(), 0, "all behind the first");
    w.net.state().bump_percent = 10;
    w.net.state().fee = 1_000;
    w.turn(61).await?;
    w.turn(2).await?;
    let bumps = "select count(*) from move_attempts where attempt > 1";
    assert_eq!(w.count(bumps).await?, 1, "the first alone");
    w.net.mine(1);
    assert_eq!(w.net.mined(), 3);
    // What was behind did not wait for itself.
    w.turn(2).await?;
    assert_eq!(w.count(bumps).await?, 1);
    w.net.state().block_fee = 0;
    all_come(&w, 3).await
}

/// The signer never signs the first: the others move up, and it goes last when a person says so.
#[tokio::test]
async fn a_refused_first_one_stands_in_nobodys_way() -> Result<()> {
    let w = tokens(3, 8).await?;
    w.keys.desk().says.push_back(refusal("not_allowed"));
    turns(&w, 12).await?;
    let parked = "select count(*) from moves where state = 'in_review'";
    assert_eq!((w.count(parked).await?, w.count(SENT).await?), (1, 2));
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1]), "they moved up");
    w.net.mine(1);
    assert_eq!(w.net.mined(), 2);
    let id = sqlx::query_scalar("select id from moves where state = 'in_review'")
        .fetch_one(&w.db.owner)
        .await?;
    let mut tx = w.base.pool.begin().await?;
    treasury::retry_in(&mut tx, &w.base, MoveId::from_uuid(id), ("ops", "listed now")).await?;
    tx.commit().await?;
    all_come(&w, 3).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2]));
    Ok(())
}

/// What is given up before it was sent leaves no hole, even if the signer has signed it.
#[tokio::test]
async fn a_cancelled_first_one_leaves_no_hole() -> Result<()> {
    let w = tokens(3, 8).await?;
    w.keys.desk().silent_after = 1;
    w.turn(1).await?;
    let first = with_nonce(&w, 0).await?;
    let mut tx = w.base.pool.begin().await?;
    treasury::cancel_in(&mut tx, &w.base, first, ("ops", "not wanted")).await?;
    tx.commit().await?;
    turns(&w, 12).await?;
    // The address is topped up anew: its need is still there.
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2]));
    all_come(&w, 3).await
}

/// A signer that says nothing keeps all of them waiting, and in order.
#[tokio::test]
async fn silence_changes_no_order() -> Result<()> {
    let w = tokens(3, 8).await?;
    for _ in 0..6 {
        w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    }
    for _ in 0..12 {
        w.turn(200).await?;
    }
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1, 2]));
    for asset in [Asset::Eth, Asset::Usdc] {
        w.rate(asset, w.now()).await?;
    }
    all_come(&w, 3).await
}

/// Somebody else used the nonce of the first: the others have theirs.
#[tokio::test]
async fn a_foreign_one_takes_one_nonce() -> Result<()> {
    let w = tokens(3, 8).await?;
    turns(&w, 8).await?;
    let first = with_nonce(&w, 0).await?;
    let tx_id: String = sqlx::query_scalar("select tx_id from move_attempts where move_id = $1")
        .bind(first.uuid())
        .fetch_one(&w.db.owner)
        .await?;
    w.net.foreign(&tx_id);
    for _ in 0..8 {
        w.turn(5).await?;
        w.net.mine(1);
    }
    let state: String = sqlx::query_scalar("select state from moves where id = $1")
        .bind(first.uuid())
        .fetch_one(&w.db.owner)
        .await?;
    assert_eq!(state, "replaced");
    assert!(w.cases().await?.contains(&"move_overtaken".to_owned()));
    for _ in 0..4 {
        w.settle().await?;
    }
    assert_eq!(w.at_near(Asset::Usdc).await?, 1_500_000_000, "topped up with another nonce");
    Ok(())
}

/// Its address cannot pay a higher fee: it gets what is missing, and is sent again.
#[tokio::test]
async fn a_stuck_token_gets_more_gas() -> Result<()> {
    let w = tokens(1, 8).await?;
    turns(&w, 3).await?;
    w.net.mine(3);
    turns(&w, 4).await?;
    assert_eq!(w.moves().await?, ["credited", "sent"]);
    w.net.state().block_fee = 1_900;
    w.net.state().fee = 2_500;
    for _ in 0..8 {
        w.turn(31).await?;
        w.net.mine(1);
    }
    let serving = "select count(*) from moves where serves is not null and state = 'credited'";
    assert_eq!(w.count(serving).await?, 1, "{:?} {:?}", w.moves().await?, w.cases().await?);
    assert!(w.cases().await?.is_empty(), "nobody is called: {:?}", w.cases().await?);
    all_come(&w, 1).await
}

/// Beyond the budget a person is called, and nothing is spent on what would not be allowed.
#[tokio::test]
async fn a_bump_beyond_the_budget_is_a_persons() -> Result<()> {
    // ₹ 200,000 an ETH: a fee of 0.0001 ETH is ₹ 20; the budget takes one top-up and one move.
    let w = World::with(Kind::Addresses, |t| t["fee_budget_paise"] = json!(5_000)).await?;
    w.net.state().fee = 10_i128.pow(14);
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    turns(&w, 3).await?;
    w.net.mine(3);
    turns(&w, 4).await?;
    assert_eq!(w.moves().await?, ["credited", "sent"]);
    w.net.state().block_fee = 2 * 10_i128.pow(14);
    for _ in 0..6 {
        w.turn(61).await?;
        w.net.mine(1);
    }
    assert_eq!(w.count("select count(*) from moves where serves is not null").await?, 0);
    assert_eq!(w.cases().await?, ["move_stuck"]);
    w.net.state().block_fee = 0;
    all_come(&w, 1).await
}
