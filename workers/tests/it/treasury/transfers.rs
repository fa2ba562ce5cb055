//! From one venue to another: asked for once, whatever becomes of the answer.

use anyhow::Result;
use exchanges::custody::Passage;
use primitives::{Asset, TransferId};
use serde_json::json;
use settlement::{
    chart,
    treasury::{self, Evidence, Offer, PersonError},
    venue_freeze,
};
use workers::Connectors;

use super::{
    net::Kind,
    outside::AskFault,
    world::{World, amount},
};

async fn lane() -> Result<World> {
    let w = World::with(Kind::Addresses, |t| {
        t["lanes"] = json!([{
            "asset": "USDT", "from": "far", "to": "near", "network": "net",
            "keep": "1000", "least": "500", "to_address": "near-deposits",
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
    let seen = treasury::get_transfer_in(&mut tx, id).await?;
    let unsigned = treasury::transfer_never_left_in(&mut tx, &w.base, &seen, ("ops", "")).await;
    assert!(matches!(unsigned, Err(PersonError::Unsigned("--reason", 500))), "{unsigned:?}");
    treasury::transfer_never_left_in(&mut tx, &w.base, &seen, letter).await?;
    let twice = treasury::transfer_never_left_in(&mut tx, &w.base, &seen, letter).await;
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

fn outside(w: &World) -> Connectors {
    let mut connectors = Connectors::default();
    connectors.custody.insert("far".to_owned(), w.far.clone());
    connectors
}

async fn the_transfer(w: &World) -> Result<TransferId> {
    let id = sqlx::query_scalar("select id from venue_transfers").fetch_one(&w.db.owner).await?;
    Ok(TransferId::from_uuid(id))
}

fn evidence(tx_id: Option<&str>, net: &str) -> Evidence {
    let tx_id = tx_id.map(str::to_owned);
    Evidence { venue_id: "w0".to_owned(), tx_id, net: amount(net, Asset::Usdt) }
}

const LETTER: (&str, &str) = ("ops", "the venue's letter of today");

/// The API never shows it, and the venue's page does: a person says so, and its credit is awaited.
#[tokio::test]
async fn a_person_says_that_it_left() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks.push_back(AskFault::Lost);
    w.turn(1).await?;
    w.turn(600).await?;
    assert_eq!(w.transfers().await?, ["unknown"]);
    let (connectors, id) = (outside(&w), the_transfer(&w).await?);
    let here = (&connectors, &w.base);
    let left = async |said: Evidence| workers::transfer_left(here, id, &said, false, LETTER).await;
    let no = left(evidence(None, "2999")).await;
    assert!(matches!(no, Err(PersonError::NotThere(_))), "its credit needs a name: {no:?}");
    let no = left(evidence(Some("0xout0"), "3001")).await;
    assert!(matches!(no, Err(PersonError::NotThere(_))), "more than was asked for: {no:?}");
    left(evidence(Some("0xout0"), "2999")).await?;
    assert_eq!(w.transfers().await?, ["left"]);
    assert!(!w.cases().await?.contains(&"transfer_unknown".to_owned()));
    assert_eq!(w.balance(&chart::transit("far", "near", Asset::Usdt)).await?, 2_999_000_000);
    assert_eq!(w.balance(&chart::venue_free("far", Asset::Usdt)).await?, 1_000_000_000);
    let twice = left(evidence(Some("0xout0"), "2999")).await;
    assert!(matches!(twice, Err(PersonError::NotNow("left", _))), "{twice:?}");
    // It did leave, and the other venue credits it.
    w.far.books().own.insert(Asset::Usdt, 1_000_000_000);
    w.near.books().own.insert(Asset::Usdt, 2_999_000_000);
    w.near.books().extra = vec![("0xout0".to_owned(), amount("2999", Asset::Usdt))];
    w.turn(60).await?;
    assert_eq!(w.transfers().await?, ["credited"]);
    w.check().await
}

/// The venue's own list is believed before anybody's word.
#[tokio::test]
async fn a_word_that_the_venue_contradicts_is_refused() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks.push_back(AskFault::AnswerLost);
    w.turn(1).await?;
    assert_eq!(w.transfers().await?, ["unknown"]);
    let (connectors, id) = (outside(&w), the_transfer(&w).await?);
    let here = (&connectors, &w.base);
    let never = workers::transfer_never_left(here, id, false, LETTER).await;
    assert!(matches!(never, Err(PersonError::VenueSays(_))), "{never:?}");
    let said = evidence(Some("0xout0"), "2999");
    let pending = workers::transfer_left(here, id, &said, false, LETTER).await;
    assert!(matches!(pending, Err(PersonError::VenueSays(_))), "{pending:?}");
    w.far.books().passage = Some(Passage::Done);
    for wrong in [
        Evidence { venue_id: "w7".to_owned(), ..said.clone() },
        Evidence { tx_id: Some("0xelse".to_owned()), ..said.clone() },
        Evidence { net: amount("2998", Asset::Usdt), ..said.clone() },
    ] {
        let no = workers::transfer_left(here, id, &wrong, false, LETTER).await;
        assert!(matches!(no, Err(PersonError::VenueSays(_))), "{no:?}");
    }
    w.far.books().silent = true;
    let silent = workers::transfer_left(here, id, &said, false, LETTER).await;
    assert!(matches!(silent, Err(PersonError::VenueSilent(_))), "{silent:?}");
    assert_eq!(w.transfers().await?, ["unknown"], "nothing was booked");
    w.far.books().silent = false;
    workers::transfer_left(here, id, &said, false, LETTER).await?;
    assert_eq!(w.transfers().await?, ["left"]);
    Ok(())
}

/// A venue that is gone for good is not asked.
#[tokio::test]
async fn a_venue_that_is_gone_cannot_be_asked() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks.push_back(AskFault::Lost);
    w.turn(1).await?;
    w.far.books().silent = true;
    let (connectors, id) = (outside(&w), the_transfer(&w).await?);
    let here = (&connectors, &w.base);
    let silent = workers::transfer_never_left(here, id, false, LETTER).await;
    assert!(matches!(silent, Err(PersonError::VenueSilent(_))), "{silent:?}");
    workers::transfer_never_left(here, id, true, LETTER).await?;
    assert_eq!(w.transfers().await?, ["failed"]);
    w.check().await
}

/// A transaction is one movement's evidence.
#[tokio::test]
async fn one_transaction_is_no_proof_of_two() -> Result<()> {
    let w = lane().await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.far.books().asks.push_back(AskFault::Lost);
    w.turn(1).await?;
    let moved: String =
        sqlx::query_scalar("select tx_id from move_attempts").fetch_one(&w.db.owner).await?;
    let (connectors, id) = (outside(&w), the_transfer(&w).await?);
    let said = evidence(Some(&moved), "2999");
    let no = workers::transfer_left((&connectors, &w.base), id, &said, false, LETTER).await;
    assert!(matches!(no, Err(PersonError::NotThere(_))), "{no:?}");
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
    assert_eq!(w.cases().await?, ["transfer_refused"], "one case for the lane");
    assert_eq!(w.transfers().await?, ["refused", "leaving"]);
    let references = "select count(distinct client_ref) from venue_transfers";
    assert_eq!(w.count(references).await?, 2);
    Ok(())
}

/// A venue that says no again and again is asked less and less, and calls a person once.
#[tokio::test]
async fn a_refused_lane_waits_longer_each_time() -> Result<()> {
    let w = lane().await?;
    w.far.books().asks = [AskFault::Rejected; 9].into();
    for _ in 0..31 {
        w.turn(61).await?;
    }
    // After one minute, two, four, eight and sixteen more.
    let asked = w.transfers().await?.len();
    assert!((4..=6).contains(&asked), "{asked} times in half an hour");
    assert_eq!(w.cases().await?, ["transfer_refused"]);
    Ok(())
}

/// The other venue's first word is no proof that the address is ours: a person confirms it, or the
/// settings name it.
#[tokio::test]
async fn a_first_word_is_not_enough() -> Result<()> {
    let w = named(json!({})).await?;
    w.turn(1).await?;
    w.turn(61).await?;
    assert!(w.transfers().await?.is_empty());
    assert_eq!(w.cases().await?, ["lane_unconfirmed"]);
    let network = w.network();
    let (asset, address) = (Asset::Usdt, "near-deposits");
    let offer = Offer { venue: "near", asset, network: &network, address };
    let mut tx = w.base.pool.begin().await?;
    treasury::confirm_in(&mut tx, &w.base, &offer, ("ops", "its own page says so")).await?;
    tx.commit().await?;
    assert!(w.cases().await?.is_empty());
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["leaving"]);
    // Where the settings name another one, nobody's word counts.
    let w = named(json!({ "to_address": "of-the-settings" })).await?;
    w.turn(1).await?;
    let network = w.network();
    let offer = Offer { venue: "near", asset, network: &network, address };
    let mut tx = w.base.pool.begin().await?;
    treasury::confirm_in(&mut tx, &w.base, &offer, ("ops", "its own page says so")).await?;
    tx.commit().await?;
    w.turn(61).await?;
    assert!(w.transfers().await?.is_empty());
    Ok(())
}

/// No more than its hour and its day allow.
#[tokio::test]
async fn a_lane_has_limits() -> Result<()> {
    let w = named(json!({
        "to_address": "near-deposits", "per_hour": "600", "per_day": "1100",
    }))
    .await?;
    w.near.books().tells = false;
    w.far.books().passage = Some(Passage::Done);
    for _ in 0..90 {
        w.turn(120).await?;
        let there: i128 = w.far.books().withdrawals.iter().map(|w| w.net.minor()).sum();
        w.near.books().own.insert(Asset::Usdt, there);
        w.rate(Asset::Usdt, w.now()).await?;
    }
    let asked: Vec<String> =
        sqlx::query_scalar("select amount_minor::text from venue_transfers order by planned_at")
            .fetch_all(&w.db.owner)
            .await?;
    assert_eq!(asked, ["600000000", "500000000"], "600 in an hour, 1100 in a day");
    Ok(())
}

async fn named(more: serde_json::Value) -> Result<World> {
    let w = World::with(Kind::Addresses, |t| {
        let mut lane = json!({
            "asset": "USDT", "from": "far", "to": "near", "network": "net",
            "keep": "1000", "least": "500",
        });
        lane.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        t["lanes"] = json!([lane]);
    })
    .await?;
    w.stock(&w.far, amount("4000", Asset::Usdt)).await?;
    Ok(w)
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
