//! What waits in a lane: where it may still go, how it is given up, and from when it counts.

use anyhow::Result;
use chrono::TimeDelta;
use exchanges::custody::Passage;
use primitives::{Asset, TransferId};
use serde_json::{Value, json};
use settlement::{
    switch::{self, Switch},
    treasury::{self, Item, Offer, PersonError, Transfer, WrittenOff},
};
use workers::Connectors;

use super::{
    net::Kind,
    outside::AskFault,
    world::{World, amount},
};

const LETTER: (&str, &str) = ("ops", "the venue's list of today");

/// A transfer that was planned, and did not leave this machine.
async fn planned(more: Value) -> Result<World> {
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
    confirmed(&w, "near-deposits").await?;
    w.far.books().asks.push_back(AskFault::NotSent);
    w.turn(1).await?;
    assert_eq!(w.transfers().await?, ["planned"]);
    Ok(w)
}

/// The venue names it, and a person confirms it.
async fn confirmed(w: &World, address: &str) -> Result<()> {
    let network = w.network();
    let offer = Offer { venue: "near", asset: Asset::Usdt, network: &network, address };
    address.clone_into(&mut w.near.books().address);
    let mut tx = w.base.pool.begin().await?;
    treasury::offered_in(&mut tx, &w.base, &offer).await?;
    treasury::confirm_in(&mut tx, &w.base, &offer, ("ops", "its own page says so")).await?;
    tx.commit().await?;
    Ok(())
}

async fn read(w: &World) -> Result<Transfer> {
    let id = sqlx::query_scalar("select id from venue_transfers order by planned_at desc limit 1")
        .fetch_one(&w.db.owner)
        .await?;
    let mut conn = w.base.pool.acquire().await?;
    Ok(treasury::get_transfer_in(&mut conn, TransferId::from_uuid(id)).await?)
}

async fn never_left(w: &World) -> Result<Result<(), PersonError>> {
    let mut connectors = Connectors::default();
    connectors.custody.insert("far".to_owned(), w.far.clone());
    let id = read(w).await?.id;
    Ok(workers::transfer_never_left((&connectors, &w.base), id, false, LETTER).await)
}

/// The lane leads to another address by now: the old one gets nothing, and a person frees the lane.
#[tokio::test]
async fn what_leads_elsewhere_by_now_is_given_up() -> Result<()> {
    let w = planned(json!({})).await?;
    confirmed(&w, "near-anew").await?;
    for _ in 0..3 {
        w.turn(61).await?;
    }
    assert_eq!((w.transfers().await?, w.far.books().asked), (vec!["planned".to_owned()], 1));
    w.far.books().silent = true;
    let silent = never_left(&w).await?;
    assert!(matches!(silent, Err(PersonError::VenueSilent(_))), "{silent:?}");
    w.far.books().silent = false;
    never_left(&w).await??;
    assert_eq!(w.transfers().await?, ["failed"]);
    w.check().await?;
    let twice = never_left(&w).await?;
    assert!(matches!(twice, Err(PersonError::NotNow("failed", _))), "{twice:?}");
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["failed", "leaving"], "the lane is free");
    assert_eq!(read(&w).await?.to_address, "near-anew");
    assert_eq!(w.far.books().withdrawals.len(), 1);
    Ok(())
}

/// The settings take the lane out, or name another address: nothing leaves, until they are back.
#[tokio::test]
async fn what_is_no_lane_any_more_carries_nothing() -> Result<()> {
    let w = planned(json!({})).await?;
    let none = w.otherwise(|t| t.lanes.clear())?;
    let another = w.otherwise(|t| {
        t.lanes.iter_mut().for_each(|lane| lane.to_address = Some("of-the-settings".to_owned()));
    })?;
    for runner in [&none, &another] {
        for _ in 0..2 {
            w.turn_by(runner, 61).await?;
        }
        assert_eq!((w.transfers().await?, w.far.books().asked), (vec!["planned".to_owned()], 1));
    }
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["leaving"]);
    Ok(())
}

/// The venue was asked before the transfer was: that it showed nothing says nothing any more.
#[tokio::test]
async fn a_word_about_what_was_asked_for_meanwhile_is_refused() -> Result<()> {
    let w = planned(json!({})).await?;
    let seen = read(&w).await?;
    w.far.books().asks.push_back(AskFault::AnswerLost);
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["unknown"]);
    let mut tx = w.base.pool.begin().await?;
    let late = treasury::transfer_never_left_in(&mut tx, &w.base, &seen, LETTER).await;
    tx.commit().await?;
    assert!(matches!(late, Err(PersonError::NotNow("unknown", _))), "{late:?}");
    assert_eq!(w.transfers().await?, ["unknown"], "it did leave");
    Ok(())
}

/// It waits behind the closed switch for so long; then it leaves.
async fn held_back(w: &World, seconds: i64) -> Result<()> {
    for (closed, waits) in [(true, seconds), (false, 61)] {
        let mut tx = w.base.pool.begin().await?;
        switch::set_in(&mut tx, &w.base, Switch::Moves, closed, "a test").await?;
        tx.commit().await?;
        w.turn(waits).await?;
        w.rate(Asset::Usdt, w.now()).await?;
        assert_eq!(w.transfers().await?, [if closed { "planned" } else { "leaving" }]);
    }
    Ok(())
}

/// What waited for longer than an hour is of the hour in which it leaves.
#[tokio::test]
async fn an_hour_counts_from_when_it_was_asked_for() -> Result<()> {
    let w = planned(json!({ "per_hour": "600", "per_day": "1100" })).await?;
    held_back(&w, 7_200).await?;
    let left_at = w.now();
    w.near.books().tells = false;
    w.far.books().passage = Some(Passage::Done);
    w.near.books().own.insert(Asset::Usdt, w.far.books().withdrawals[0].net.minor());
    while w.now() < left_at + TimeDelta::seconds(3_600) {
        let all = w.transfers().await?;
        assert_eq!(all.len(), 1, "{all:?} at {}", w.now() - left_at);
        w.turn(120).await?;
        w.rate(Asset::Usdt, w.now()).await?;
    }
    assert_eq!(w.transfers().await?[0], "credited");
    w.turn(120).await?;
    let asked: Vec<i128> = w.far.books().withdrawals.iter().map(|w| w.net.minor()).collect();
    assert_eq!(asked, [599_000_000, 499_000_000]);
    Ok(())
}

/// A transfer that was slow to leave is as patiently waited for as any other.
#[tokio::test]
async fn a_transfer_is_late_from_when_it_left() -> Result<()> {
    let w = planned(json!({})).await?;
    held_back(&w, 7_200).await?;
    assert_eq!(w.cases().await?, ["transit_old"]);
    w.near.books().tells = false;
    w.far.books().passage = Some(Passage::Done);
    w.turn(61).await?;
    assert_eq!(w.transfers().await?, ["left"]);
    let item = Item::Transfer(read(&w).await?.id);
    let sign = async || -> Result<Result<WrittenOff, PersonError>> {
        let mut tx = w.base.pool.begin().await?;
        let done = treasury::write_off_in(&mut tx, &w.base, item, LETTER).await;
        tx.commit().await?;
        Ok(done)
    };
    let no = sign().await?;
    assert!(matches!(no, Err(PersonError::NotThere(_))), "{no:?}");
    w.turn(3_700).await?;
    assert_eq!(sign().await??, WrittenOff::Signed(amount("2999", Asset::Usdt)));
    Ok(())
}
