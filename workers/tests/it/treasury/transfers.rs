//! From one venue to another: asked for once, whatever becomes of the answer.

use anyhow::Result;
use exchanges::custody::Passage;
use primitives::{Asset, TransferId};
use serde_json::json;
use settlement::{
    chart,
    treasury::{self, PersonError},
    venue_freeze,
};

use super::{
    net::Kind,
    outside::AskFault,
    world::{World, amount},
};

async fn lane() -> Result<World> {
    let w = World::with(Kind::Addresses, |t| {
        t["lanes"] = json!([{
            "asset": "USDT", "from": "far", "to": "near", "network": "net",
            "keep": "1000", "least": "500",
        }]);
    })
    .await?;
    w.stock(&w.far, amount("4000", Asset::Usdt)).await?;
    Ok(w)
}

/// The venue sends, and the other one has it.
async fn arrives(w: &World) -> Result<()> {
    let net = w.far.books().withdrawals[0].net;
    w.far.books().passage = Some(Passage::Done);
    w.near.books().tells = false;
    *w.near.books().own.entry(Asset::Usdt).or_default() += net.minor();
    for _ in 0..4 {
        w.turn(60).await?;
    }
    Ok(())
}

async fn ends_well(w: &World) -> Result<()> {
    arrives(w).await?;
    assert_eq!(w.transfers().await?, ["credited"]);
    assert_eq!(w.far.books().asked, 1, "asked for once");
    assert_eq!(w.at_near(Asset::Usdt).await?, 2_999_000_000);
    assert_eq!(w.balance(&chart::venue_free("far", Asset::Usdt)).await?, 1_000_000_000);
    assert_eq!(w.balance(&chart::venue_fee(Asset::Usdt)).await?, 1_000_000);
    assert_eq!(w.balance(&chart::transit("far", "near", Asset::Usdt)).await?, 0);
    assert_eq!(w.far.held(Asset::Usdt), 1_000_000_000);
    w.check().await
}

#[tokio::test]
async fn what_one_has_too_much_of() -> Result<()> {
    let w = lane().await?;
    w.turn(1).await?;
    assert_eq!(w.transfers().await?, ["leaving"]);
    assert_eq!(w.balance(&chart::venue_free("far", Asset::Usdt)).await?, 4_000_000_000);
    w.turn(60).await?;
    assert_eq!(w.transfers().await?, ["leaving"], "pending is not gone");
    ends_well(&w).await
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks.push_back(AskFault::AnswerLost);
    w.turn(1).await?;
    assert_eq!(w.transfers().await?, ["unknown"]);
    assert_eq!(w.cases().await?, ["transfer_unknown"]);
    w.turn(60).await?;
    assert_eq!(w.transfers().await?, ["leaving"]);
    assert!(w.cases().await?.is_empty());
    ends_well(&w).await
}

/// That nothing is found proves nothing, for however long.
#[tokio::test]
async fn what_is_never_found_stays_unknown() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks.push_back(AskFault::Lost);
    w.turn(1).await?;
    for _ in 0..20 {
        w.turn(3_600).await?;
        w.rate(Asset::Usdt, w.now()).await?;
    }
    assert_eq!(w.transfers().await?, ["unknown"]);
    assert_eq!(w.far.books().asked, 1);
    assert!(w.cases().await?.contains(&"transfer_unknown".to_owned()));
    let held = "select count(*) from ledger.balances where credits_pending > 0";
    assert_eq!(w.count(held).await?, 1, "its coins stay set aside");
    // Until a person says what the venue's people said.
    let id: uuid::Uuid =
        sqlx::query_scalar("select id from venue_transfers").fetch_one(&w.db.owner).await?;
    let (id, letter) = (TransferId::from_uuid(id), ("ops", "the venue's letter of today"));
    let mut tx = w.base.pool.begin().await?;
    let unsigned = treasury::transfer_never_left_in(&mut tx, &w.base, id, ("ops", "")).await;
    assert!(matches!(unsigned, Err(PersonError::Unsigned("--reason", 500))), "{unsigned:?}");
    treasury::transfer_never_left_in(&mut tx, &w.base, id, letter).await?;
    let twice = treasury::transfer_never_left_in(&mut tx, &w.base, id, letter).await;
    assert!(matches!(twice, Err(PersonError::NotNow("failed", _))), "{twice:?}");
    tx.commit().await?;
    let said = "select count(*) from transitions where event = 'never_left'
      and cause ->> 'by' = 'ops' and cause ->> 'reason' = 'the venue''s letter of today'";
    assert_eq!(w.count(said).await?, 1);
    assert!(!w.cases().await?.contains(&"transfer_unknown".to_owned()));
    w.check().await?;
    w.rate(Asset::Usdt, w.now()).await?;
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["failed", "leaving"], "the lane is free");
    Ok(())
}

#[tokio::test]
async fn a_refusal_frees_the_coins() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks.push_back(AskFault::Rejected);
    w.turn(1).await?;
    assert_eq!(w.transfers().await?, ["refused"]);
    assert_eq!(w.cases().await?, ["transfer_refused"]);
    w.check().await?;
    // Another one later, under a reference of its own.
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["refused", "leaving"]);
    let references = "select count(distinct client_ref) from venue_transfers";
    assert_eq!(w.count(references).await?, 2);
    Ok(())
}

#[tokio::test]
async fn what_never_left_this_machine_is_asked_again() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks.push_back(AskFault::NotSent);
    w.turn(1).await?;
    assert_eq!(w.transfers().await?, ["planned"]);
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["leaving"]);
    assert_eq!(w.count("select sends::bigint from venue_transfers").await?, 2);
    arrives(&w).await?;
    assert_eq!(w.transfers().await?, ["credited"]);
    w.check().await
}

#[tokio::test]
async fn a_withdrawal_that_failed_is_back() -> Result<()> {
    let w = lane().await?;
    w.turn(1).await?;
    w.far.books().passage = Some(Passage::Failed);
    w.far.books().own.insert(Asset::Usdt, 4_000_000_000);
    w.turn(12).await?;
    assert_eq!(w.transfers().await?[0], "failed");
    assert!(w.cases().await?.contains(&"transfer_refused".to_owned()));
    assert_eq!(w.balance(&chart::venue_free("far", Asset::Usdt)).await?, 4_000_000_000);
    Ok(())
}

#[tokio::test]
async fn a_frozen_venue_is_left_alone() -> Result<()> {
    for venue in ["far", "near"] {
        let w = lane().await?;
        let mut tx = w.base.pool.begin().await?;
        venue_freeze::set_in(&mut tx, &w.base, venue, true, ("ops", "a test")).await?;
        tx.commit().await?;
        w.turn(1).await?;
        w.turn(60).await?;
        assert!(w.transfers().await?.is_empty(), "{venue}");
    }
    Ok(())
}

/// Less than is worth the venue's fee stays where it is.
#[tokio::test]
async fn a_little_is_not_carried() -> Result<()> {
    let w = lane().await?;
    w.stock(&w.near, amount("4600", Asset::Usdt)).await?;
    w.turn(1).await?;
    assert!(w.transfers().await?.is_empty(), "400 are short, 500 are the least");
    w.check().await
}
