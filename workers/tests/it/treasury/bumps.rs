//! A transaction that waits too long is sent again at a higher fee; whichever wins, one wins.

use anyhow::Result;
use primitives::Asset;
use signing::SignError;

use super::{
    net::Kind,
    outside::refusal,
    world::{World, amount},
};

async fn stuck(kind: Kind) -> Result<World> {
    let w = World::open(kind).await?;
    w.net.state().block_fee = 1_500;
    let asset = w.net.native();
    w.deposit(1, amount("1", asset)).await?;
    w.turn(1).await?;
    w.net.mine(1);
    w.turn(30).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    Ok(w)
}

#[tokio::test]
async fn the_bump_wins() -> Result<()> {
    for kind in [Kind::Addresses, Kind::Outputs] {
        let w = stuck(kind).await?;
        w.turn(60).await?;
        assert_eq!(w.net.state().handed.len(), 2);
        w.settle().await?;
        assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
        let lost = "select count(*) from move_attempts where state = 'lost' and attempt = 1";
        assert_eq!(w.count(lost).await?, 1);
        w.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_old_one_wins_after_the_bump() -> Result<()> {
    for kind in [Kind::Addresses, Kind::Outputs] {
        let w = stuck(kind).await?;
        w.turn(60).await?;
        let first = w.net.state().handed[0].clone();
        w.net.mine_this(&first);
        w.settle().await?;
        assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
        let won = "select count(*) from move_attempts where state = 'won' and attempt = 1";
        assert_eq!(w.count(won).await?, 1);
        w.check().await?;
    }
    Ok(())
}

/// The old one is in a block while the signer thinks about the bump: the bump is never signed.
#[tokio::test]
async fn the_old_one_wins_while_the_bump_is_planned() -> Result<()> {
    let w = stuck(Kind::Addresses).await?;
    w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["planned"]);
    let first = w.net.state().handed[0].clone();
    w.net.mine_this(&first);
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!(w.keys.desk().signed.len(), 1);
    let dropped = "select count(*) from move_attempts where state = 'dropped' and attempt = 2";
    assert_eq!(w.count(dropped).await?, 1);
    w.check().await
}

#[tokio::test]
async fn a_bump_the_signer_refuses_is_dropped() -> Result<()> {
    let w = stuck(Kind::Addresses).await?;
    w.keys.desk().says.push_back(refusal("fee_too_high"));
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    assert_eq!(w.cases().await?, ["signer_refused"]);
    for _ in 0..5 {
        w.turn(5).await?;
    }
    assert_eq!(w.keys.desk().asked.len(), 2, "no other bump before its time");
    w.net.state().block_fee = 0;
    w.settle().await?;
    assert!(w.cases().await?.is_empty());
    assert_eq!((w.moves().await?, w.net.mined()), (vec!["credited".to_owned()], 1));
    w.check().await
}

#[tokio::test]
async fn bumps_end() -> Result<()> {
    let w = stuck(Kind::Addresses).await?;
    w.net.state().block_fee = 1_000_000;
    for _ in 0..10 {
        w.turn(61).await?;
        w.net.mine(1);
    }
    assert_eq!(w.count("select count(*) from move_attempts").await?, 4, "three bumps");
    assert_eq!(w.cases().await?, ["move_stuck"]);
    w.net.state().block_fee = 0;
    w.settle().await?;
    assert_eq!(w.net.mined(), 1);
    assert!(w.cases().await?.is_empty(), "in a block, nobody is needed");
    w.check().await
}

/// A fee that is out of proportion is not paid, whatever the network asks.
#[tokio::test]
async fn a_bump_has_a_limit() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().fee = 15 * 10_i128.pow(15);
    w.net.state().block_fee = 10_i128.pow(18);
    w.deposit(1, amount("1", Asset::Eth)).await?;
    for _ in 0..5 {
        w.turn(61).await?;
        w.net.mine(1);
    }
    // 1.5 % and 3 %; 6 % would be more than 5.
    assert_eq!(w.count("select count(*) from move_attempts").await?, 2);
    assert_eq!(w.cases().await?, ["move_stuck"]);
    w.net.state().block_fee = 0;
    w.settle().await?;
    w.check().await
}

/// Solana: an old blockhash that may still be good is no reason to sign anew.
#[tokio::test]
async fn what_cannot_be_replaced_yet_is_only_handed_out_again() -> Result<()> {
    let w = stuck(Kind::Addresses).await?;
    w.net.state().bump_refused = true;
    w.turn(61).await?;
    w.turn(61).await?;
    assert_eq!(w.keys.desk().signed.len(), 1);
    assert_eq!(w.cases().await?, ["move_stuck"]);
    w.net.state().bump_refused = false;
    w.settle().await?;
    assert_eq!(w.net.mined(), 1);
    w.check().await
}

/// What the signer refused was no bump, and the next one has another name.
#[tokio::test]
async fn refused_bumps_are_not_counted() -> Result<()> {
    let w = stuck(Kind::Addresses).await?;
    w.net.state().block_fee = 1_000_000;
    w.keys.desk().says.extend([refusal("over_limit"), refusal("over_limit")]);
    for _ in 0..12 {
        w.turn(61).await?;
        w.net.mine(1);
    }
    let of = |state| format!("select count(*) from move_attempts where state {state} 'dropped'");
    let (made, dropped) = (of("<>"), of("="));
    let count = async |sql: String| -> Result<i64> {
        Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&w.db.owner).await?)
    };
    assert_eq!((count(made).await?, count(dropped).await?), (4, 2));
    w.net.state().block_fee = 0;
    w.settle().await?;
    assert_eq!(w.net.mined(), 1);
    w.check().await
}

/// A top-up is small beside what it lets move: its bump is bounded by what it brings.
#[tokio::test]
async fn a_top_up_is_bumped() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().block_fee = 1_050;
    w.net.state().bump_percent = 10;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.deposit(2, amount("500", Asset::Usdc)).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    w.turn(61).await?;
    let cases = w.cases().await?;
    assert_eq!((w.net.state().handed.len(), cases.len()), (2, 0));
    w.net.state().block_fee = 2_000;
    w.turn(61).await?;
    w.turn(61).await?;
    assert_eq!(w.net.state().handed.len(), 2, "more than it brings");
    assert_eq!(w.cases().await?, ["move_stuck"]);
    w.net.state().block_fee = 0;
    w.settle().await?;
    w.check().await
}

#[tokio::test]
async fn a_bump_is_asked_of_the_budget() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| t["fee_budget_paise"] = 500_000.into()).await?;
    w.net.state().fee = 15 * 10_i128.pow(15);
    w.net.state().block_fee = 10_i128.pow(18);
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    for _ in 0..3 {
        w.turn(61).await?;
    }
    assert_eq!(w.count("select count(*) from move_attempts").await?, 1, "₹3000, and ₹6000 next");
    assert_eq!(w.cases().await?, ["move_stuck"]);
    w.net.state().block_fee = 0;
    w.settle().await?;
    w.check().await
}

/// Where the old one is proven to be over, the next one is no bump on top of it.
#[tokio::test]
async fn what_is_over_is_made_anew_as_often_as_needed() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().expires = true;
    w.net.state().block_fee = 1_000_000_000;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    for _ in 0..6 {
        w.net.expire();
        let failures = w.turn(61).await?;
        assert!(failures.is_empty(), "{failures:?}");
    }
    assert_eq!(w.count("select count(*) from move_attempts").await?, 7, "three bumps are allowed");
    assert!(w.cases().await?.is_empty());
    w.net.state().block_fee = 0;
    w.settle().await?;
    assert_eq!(w.net.mined(), 1);
    w.check().await
}
