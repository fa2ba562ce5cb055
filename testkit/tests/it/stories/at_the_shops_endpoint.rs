//! What the shop is told: every event once, signed, however long its endpoint was away.

use std::collections::BTreeMap;

use anyhow::Result;
use primitives::Asset;
use serde_json::json;
use testkit::Fleet;

#[tokio::test]
async fn away_and_back() -> Result<()> {
    let fleet = Fleet::open().await?;
    let away = json!({ "replies": [{ "status": 503, "times": 9 }, { "status": 302, "times": 2,
        "location": "http://127.0.0.1:1/" }] });
    fleet.outside.control.post("/merchant/replies", &away).await?;
    let asked = fleet.ask(110_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    fleet.advance(600).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    let received = fleet.outside.sims.inbox.received(0, None);
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for message in received["received"].as_array().unwrap() {
        assert_eq!(message["verified"], true);
        let id = message["headers"]["webhook-id"].as_str().unwrap().to_owned();
        let body = message["body"].as_str().unwrap().to_owned();
        assert_eq!(*bodies.entry(id.clone()).or_insert_with(|| body.clone()), body);
        *taken.entry(id).or_default() += u32::from(message["answered"] == 200);
    }
    let events = fleet.count("select count(*) from payment_events").await?;
    assert_eq!(i64::try_from(taken.len())?, events);
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    fleet.check_books().await
}

/// Away for good: given up after three days, and the payment does not care.
#[tokio::test]
async fn gone() -> Result<()> {
    let fleet = Fleet::open().await?;
    let gone = json!({ "replies": [{ "status": 500, "times": 100_000 }] });
    fleet.outside.control.post("/merchant/replies", &gone).await?;
    let asked = fleet.ask(110_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    fleet.until(&asked, "settled").await?;
    fleet.advance(400_000).await?;
    assert_eq!(fleet.count("select count(*) from deliveries where state <> 'dead'").await?, 0);
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.check_books().await
}
