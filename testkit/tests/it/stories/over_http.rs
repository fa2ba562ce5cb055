//! The same through the front door: as a shop calls the API and as a payer reads the QR.

use anyhow::{Context as _, Result};
use primitives::{Amount, Asset};
use serde_json::{Value, json};
use testkit::Fleet;

use super::net;

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value.get(field).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {field} in {value}"))?.to_owned())
}

#[tokio::test]
async fn from_qr_to_utr() -> Result<()> {
    let fleet = Fleet::open().await?;
    let shop = fleet.shop()?.clone();
    let api = fleet.api(&shop)?;
    let new = json!({ "amount": { "amount_minor": "149900", "asset": "INR" },
        "reference": "table 4" });
    let payment = api.post("/v1/payments", &new).await?;
    let id = text(&payment, "id")?;
    let method = json!({ "network": "anvil", "asset": "ETH" });
    let quote = api.post(&format!("/v1/payments/{id}/quotes"), &method).await?;
    let minor = text(&quote["payable"], "amount_minor")?;
    let address = text(&quote, "address")?;
    assert_eq!(text(&quote, "uri")?, format!("ethereum:{address}@31337?value={minor}"));
    fleet.node.send(&address, Amount::parse_minor(&minor, Asset::Eth)?).await?;
    fleet.settle().await?;
    let shown = api.get(&format!("/v1/payments/{id}")).await?;
    assert_eq!(shown["state"], "settled");
    let story = api.get(&format!("/v1/payments/{id}/explain")).await?;
    assert_eq!(story["sums"]["adds_up"], true);
    assert!(story["payout"]["utr"].is_string());
    assert_eq!(fleet.received_by(&shop)?, net(149_900));
    let told = fleet.outside.sims.inbox.received(0, Some(&shop.hook));
    let kinds: Vec<&str> = told["received"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|message| message["json"]["type"].as_str())
        .collect();
    for kind in ["payment.created", "deposit.seen", "payment.accepted", "payment.settled"] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    fleet.check_books().await
}
