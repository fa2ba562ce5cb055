//! What the signer says: refusals, limits, silence; and what a person does about them.

use std::collections::BTreeSet;

use anyhow::Result;
use primitives::Asset;
use settlement::treasury::{self, PersonError};
use signing::SignError;

use super::{
    net::Kind,
    outside::refusal,
    world::{World, amount},
};

#[tokio::test]
async fn a_refusal_waits_for_a_person() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().says.push_back(refusal("not_allowed"));
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["in_review"]);
    assert_eq!(w.cases().await?, ["signer_refused"]);
    w.turn(600).await?;
    assert_eq!(w.keys.desk().asked.len(), 1, "not asked again by itself");
    let mut tx = w.base.pool.begin().await?;
    let id = w.the_move().await?;
    let unsigned = treasury::retry_in(&mut tx, &w.base, id, ("", "why")).await;
    assert!(matches!(unsigned, Err(PersonError::Unsigned("--by", 200))));
    treasury::retry_in(&mut tx, &w.base, id, ("ops", "the list was mended")).await?;
    tx.commit().await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    let asked = w.keys.desk().asked.clone();
    assert!(asked.len() == 2 && asked[0] != asked[1], "a refusal is for ever: {asked:?}");
    let dropped = "select count(*) from move_attempts where state = 'dropped' and attempt = 1
      and refused like 'not_allowed: %'";
    assert_eq!(w.count(dropped).await?, 1);
    assert!(w.cases().await?.is_empty());
    w.check().await
}

#[tokio::test]
async fn a_move_that_was_never_sent_can_be_given_up() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().says.push_back(refusal("not_allowed"));
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let mut tx = w.base.pool.begin().await?;
    let id = w.the_move().await?;
    treasury::cancel_in(&mut tx, &w.base, id, ("ops", "no")).await?;
    tx.commit().await?;
    w.check().await?;
    // Its source is free again.
    w.settle().await?;
    assert_eq!(w.moves().await?, ["cancelled", "credited"]);
    w.check().await
}

#[tokio::test]
async fn what_was_sent_cannot_be_given_up() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let mut tx = w.base.pool.begin().await?;
    let id = w.the_move().await?;
    let no = treasury::cancel_in(&mut tx, &w.base, id, ("ops", "no")).await;
    assert!(matches!(no, Err(PersonError::NotNow("sent", "cancelled"))), "{no:?}");
    drop(tx);
    w.settle().await?;
    w.check().await
}

#[tokio::test]
async fn a_limit_is_asked_again_later() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().says.extend([refusal("over_limit"), refusal("over_limit")]);
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["planned"]);
    assert_eq!(w.cases().await?, ["signer_refused"]);
    w.turn(30).await?;
    assert_eq!(w.keys.desk().asked.len(), 1, "not before its time");
    w.turn(40).await?;
    assert_eq!(w.keys.desk().asked.len(), 2);
    w.turn(100).await?;
    assert_eq!(w.keys.desk().asked.len(), 2, "less and less often");
    w.turn(30).await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    let asked: BTreeSet<_> = w.keys.desk().asked.iter().copied().collect();
    assert_eq!((asked.len(), w.keys.desk().asked.len()), (3, 3), "each under its own name");
    assert!(w.cases().await?.is_empty());
    w.check().await
}

/// It may have been signed and counted: asked again, it is the same intent and the same bytes.
#[tokio::test]
async fn silence_is_asked_again_with_the_same_intent() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().silent_after = 1;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    let failures = w.turn(1).await?;
    assert!(failures.iter().any(|f| f.contains("signer")), "{failures:?}");
    w.turn(300).await?;
    w.settle().await?;
    assert_eq!(w.keys.desk().signed.len(), 1);
    assert_eq!(w.net.mined(), 1);
    w.check().await
}

#[tokio::test]
async fn without_a_signer_it_waits() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["planned"]);
    assert_eq!(w.escrow(Asset::Eth).await?, 10_i128.pow(18));
    w.turn(300).await?;
    w.settle().await?;
    w.check().await
}

/// Signed, and a person says no before it was sent: the first move has no bytes on the network.
#[tokio::test]
async fn what_is_signed_and_not_sent_can_be_given_up() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    signed_only(&w).await?;
    let mut tx = w.base.pool.begin().await?;
    treasury::cancel_in(&mut tx, &w.base, w.the_move().await?, ("ops", "no")).await?;
    tx.commit().await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["cancelled", "credited"]);
    assert_eq!(w.net.mined(), 1);
    w.check().await
}

/// Where neither an output nor a nonce fences it, the signed one could come on top of the next.
#[tokio::test]
async fn what_is_signed_on_a_wallet_is_not_given_up_without_proof() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        t["networks"]["net"]["wallet"] = serde_json::json!("addr1");
    })
    .await?;
    signed_only(&w).await?;
    let mut tx = w.base.pool.begin().await?;
    let no = treasury::cancel_in(&mut tx, &w.base, w.the_move().await?, ("ops", "no")).await;
    assert!(matches!(no, Err(PersonError::Signed)), "{no:?}");
    Ok(())
}

/// The signer's socket closes, and its answer is found before the transaction is sent.
async fn signed_only(w: &World) -> Result<()> {
    w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let mut tx = w.base.pool.begin().await?;
    let moved = treasury::get_in(&mut tx, w.the_move().await?).await?.unwrap();
    let attempts = treasury::attempts_in(&mut tx, &moved).await?;
    treasury::signed_in(&mut tx, &w.base, &attempts[0], "0xsigned", "00").await?;
    tx.commit().await?;
    assert_eq!(w.moves().await?, ["signed"]);
    Ok(())
}
