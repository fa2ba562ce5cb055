//! What the bank tells us on its own: forged it changes nothing, and however it comes (twice, out
//! of order, never) the end is the same.

use anyhow::Result;
use primitives::Asset;
use serde_json::{Value, json};
use testkit::{Fleet, Http};

use super::net;

/// Everything but the inbox, as one word.
const WORLD: &str = "select md5(string_agg(row::text, '|')) from (
    select * from (select id::text, state, updated_at::text from payments) p union all
    select * from (select id::text, state, updated_at::text from payouts) o union all
    select * from (select payout_id::text, state, coalesce(utr, '') from payout_attempts) a
    union all select 'ledger', count(*)::text, '' from ledger.legs order by 1, 2, 3) row";

async fn world(fleet: &Fleet) -> Result<String> {
    Ok(sqlx::query_scalar(WORLD).fetch_one(&fleet.db.owner).await?)
}

#[tokio::test]
async fn forged() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.outside.plan_payouts(&["stuck_processing"]).await?;
    let asked = fleet.ask(110_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.advance(20).await?;
    assert_eq!(fleet.story(&asked).await?.payout.unwrap().state, "processing");
    let before = world(&fleet).await?;
    let books = fleet.outside.sims.bank.books();
    let id = books["accepted"][0]["payout_id"].as_str().unwrap();
    let paid = json!({
        "entity": "event", "account_id": "acc_x", "event": "payout.processed",
        "contains": ["payout"], "created_at": 1,
        "payload": { "payout": { "entity": { "id": id, "entity": "payout", "status": "processed",
            "utr": "000000000000", "amount": 1, "reference_id": "x" } } },
    });
    let door = Http::new(&fleet.api_url, None)?;
    for signature in ["", "00", &"ab".repeat(32)] {
        let headers = [("x-razorpay-signature", signature), ("content-type", "application/json")];
        door.post_raw("/webhooks/razorpayx", &headers, paid.to_string()).await?;
    }
    fleet.round().await?;
    assert_eq!(world(&fleet).await?, before, "a forged webhook moved something");
    assert_eq!(
        fleet
            .count(
                "select count(*) from inbox where state = 'read' and note <> 'x'
        and received_at = (select max(received_at) from inbox)"
            )
            .await?,
        0
    );
    assert!(fleet.count("select count(*) from inbox where state = 'refused'").await? > 0);
    fleet.check_books().await
}

/// A payment that is returned, fails and is paid, under one misbehaviour of the bank's webhooks.
async fn ends_alike(mode: Value) -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.outside.control.post("/razorpayx/webhooks", &json!({ "mode": mode })).await?;
    let outcomes = ["reversed_after_processed", "failed:gateway_down", "processed"];
    fleet.outside.plan_payouts(&outcomes).await?;
    let asked = fleet.ask(110_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    fleet.advance(120).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.payout.unwrap().attempts.len(), 3);
    assert_eq!((fleet.payouts_at_bank()?, fleet.received_by(fleet.shop()?)?), (3, net(110_000)));
    fleet.check_books().await
}

#[tokio::test]
async fn as_they_should_be() -> Result<()> {
    ends_alike(json!({})).await
}

#[tokio::test]
async fn three_times_each() -> Result<()> {
    ends_alike(json!({ "duplicate": 2 })).await
}

#[tokio::test]
async fn newest_first() -> Result<()> {
    ends_alike(json!({ "reorder": true, "duplicate": 1, "reorder_ms": 3_000 })).await
}

#[tokio::test]
async fn lost() -> Result<()> {
    ends_alike(json!({ "drop": true })).await
}

#[tokio::test]
async fn badly_signed() -> Result<()> {
    ends_alike(json!({ "signature": "wrong" })).await
}

/// The webhook is there before the answer to the request that caused it.
#[tokio::test]
async fn before_the_answer() -> Result<()> {
    ends_alike(json!({ "before_reply": true })).await
}
