//! Blocks that held a move are gone: before they were final, after, and after the credit.

use anyhow::Result;
use primitives::{Amount, Asset};
use settlement::chart;

use chains::carrier::Draft;
use settlement::treasury;
use signing::{Intent, Purpose, SignError, Signer as _};

use super::{
    net::Kind,
    world::{World, amount},
};

#[tokio::test]
async fn before_it_is_final() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(2);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["included"]);
    w.net.reorg(2);
    w.turn(1).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    assert_eq!(w.keys.desk().signed.len(), 1, "nothing new is signed");
    w.check().await
}

/// The books take back what they posted, and the same bytes are sent again.
#[tokio::test]
async fn after_it_was_final() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.near.books().silent = true;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["final"]);
    w.net.reorg(4);
    w.blocks_gone(11, 14, 0).await?;
    w.turn(1).await?;
    assert_eq!(w.in_transit(Asset::Eth).await?, 0);
    assert_eq!(w.escrow(Asset::Eth).await?, 10_i128.pow(18));
    assert_eq!(w.cases().await?, ["move_unwound"]);
    w.near.books().silent = false;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    assert_eq!(w.keys.desk().signed.len(), 1, "nothing new is signed");
    let handed = w.net.state().handed.clone();
    assert!(handed.len() >= 2 && handed.windows(2).all(|pair| pair[0] == pair[1]));
    w.check().await
}

/// The scan stood still meanwhile: it never saw the block that held it.
#[tokio::test]
async fn after_a_block_the_scan_never_saw() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.near.books().silent = true;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["final"]);
    w.net.reorg(4);
    w.net.mine(4);
    w.others_stand_there(11, 14, 1).await?;
    w.net.state().doubts = Some("no connection".to_owned());
    w.turn(40).await?;
    assert_eq!((w.moves().await?, w.cases().await?), (vec!["final".to_owned()], vec![]));
    w.net.state().doubts = None;
    w.turn(40).await?;
    assert_eq!(w.cases().await?, ["move_unwound"]);
    w.near.books().silent = false;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    w.check().await
}

/// The scan stands on a block that came and went: the nodes hold the one of the move.
#[tokio::test]
async fn a_scan_that_stands_still_undoes_nothing() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.others_stand_there(11, 14, 1).await?;
    for _ in 0..3 {
        w.turn(60).await?;
    }
    assert_eq!((w.moves().await?, w.cases().await?), (vec!["credited".to_owned()], vec![]));
    w.check().await
}

#[tokio::test]
async fn after_the_credit() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.net.reorg(4);
    w.blocks_gone(11, 14, 0).await?;
    w.turn(1).await?;
    assert_eq!(w.at_near(Asset::Eth).await?, 0, "the venue took it back as well");
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    w.check().await
}

/// The venue's coins have been sold: the books wait until they can take it back.
#[tokio::test]
async fn after_the_credit_was_used() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(5).await?;
    let there = w.at_near(Asset::Eth).await?;
    let used = Amount::try_new(there, Asset::Eth)?;
    let mut tx = w.base.pool.begin().await?;
    let id = w.base.uuid();
    settlement::bookkeeping::order_placed(&mut tx, &w.base, "near", id, "o1", used).await?;
    tx.commit().await?;
    w.net.reorg(4);
    w.blocks_gone(11, 14, 0).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!(w.cases().await?, ["move_unwound"]);
    let mut tx = w.base.pool.begin().await?;
    settlement::bookkeeping::order_closed(&mut tx, &w.base, "near", id, "o1", used).await?;
    tx.commit().await?;
    w.turn(120).await?;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    assert_eq!(w.balance(&chart::venue_order("near", Asset::Eth)).await?, 0);
    w.check().await
}

/// A failure that was final is gone too: the transaction may succeed this time.
#[tokio::test]
async fn after_a_final_failure() -> Result<()> {
    let w = World::open(Kind::Outputs).await?;
    w.net.state().reverts = true;
    w.deposit(1, amount("0.1", Asset::Btc)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.near.books().address = "another".to_owned();
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["failed"]);
    w.near.books().address = "near-deposits".to_owned();
    w.net.reorg(4);
    w.blocks_gone(11, 14, 0).await?;
    w.turn(1).await?;
    let confirmed = ("ops", "as before");
    let network = w.network();
    let offer = treasury::Offer {
        venue: "near",
        asset: Asset::Btc,
        network: &network,
        address: "near-deposits",
    };
    let mut tx = w.base.pool.begin().await?;
    treasury::confirm_in(&mut tx, &w.base, &offer, confirmed).await?;
    tx.commit().await?;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    w.check().await
}

/// A bump won in the first chain, and the old one wins in the second: either is the same move.
#[tokio::test]
async fn another_attempt_wins_the_second_time() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.near.books().silent = true;
    w.net.state().block_fee = 1_500;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.turn(61).await?;
    w.net.mine(4);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["final"]);
    w.net.reorg(4);
    w.blocks_gone(11, 14, 0).await?;
    let first = w.net.state().handed[0].clone();
    w.net.mine_this(&first);
    w.near.books().silent = false;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    let won = "select count(*) from move_attempts where state = 'won' and attempt = 1";
    assert_eq!(w.count(won).await?, 1);
    w.check().await
}

/// The first one sent, a bump planned and not signed, and the first one in a block.
async fn in_a_block_with_a_bump_planned() -> Result<(World, String)> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().block_fee = 1_500;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    w.turn(61).await?;
    assert_eq!(w.moves().await?, ["planned"]);
    let first = w.net.state().handed[0].clone();
    w.net.mine_this(&first);
    w.turn(600).await?;
    assert_eq!(w.moves().await?, ["included"]);
    Ok((w, first))
}

#[tokio::test]
async fn while_a_bump_is_planned() -> Result<()> {
    let (w, first) = in_a_block_with_a_bump_planned().await?;
    w.net.reorg(1);
    w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["planned"]);
    let handed = w.net.state().handed.clone();
    assert!(handed.iter().filter(|id| **id == first).count() >= 2, "sent again: {handed:?}");
    w.turn(600).await?;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    assert_eq!(w.keys.desk().signed.len(), 2, "the bump was wanted again");
    w.check().await
}

#[tokio::test]
async fn while_a_bump_is_signed_and_not_sent() -> Result<()> {
    let (w, _) = in_a_block_with_a_bump_planned().await?;
    let mut tx = w.base.pool.begin().await?;
    let moved = treasury::get_in(&mut tx, w.the_move().await?).await?.unwrap();
    let bump = treasury::attempts_in(&mut tx, &moved).await?.pop().unwrap();
    let draft: Draft = serde_json::from_value(bump.draft.clone())?;
    let intent = Intent {
        id: bump.intent,
        purpose: Purpose::FundVenue,
        network: w.network(),
        to: moved.to.clone(),
        amount: bump.amount,
        fee_max: bump.fee_max,
        to_index: None,
        unsigned: draft.unsigned,
    };
    let signed = w.keys.sign(&intent).await?;
    treasury::signed_in(&mut tx, &w.base, &bump, &signed.tx_id, &signed.raw).await?;
    tx.commit().await?;
    w.net.reorg(1);
    w.turn(5).await?;
    w.turn(5).await?;
    assert_eq!(w.net.state().handed.last(), Some(&signed.tx_id), "the newest is handed out");
    w.settle().await?;
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    w.check().await
}
