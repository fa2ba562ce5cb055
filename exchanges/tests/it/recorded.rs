//! The same promises against recorded answers: shapes as the vendors document and their own clients
//! show them, values invented, one story a promise. `recorded/<venue>.json` holds the answers of
//! each call in their order; the last of them stands.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use chrono::DateTime;
use exchanges::{
    NewOrder, OrderKind, OrderState, Pair,
    conformance::*,
    custody::NewWithdrawal,
    registry::{self, Connector},
};
use primitives::{Amount, Asset, ManualClock, NetworkId};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::{
    vendor::{Say, Vendor},
    world::client_ref,
};

const NOW_MS: i64 = 1_767_607_200_000;
const RECORDED: [&str; 3] = ["binance", "coinbase", "wazirx"];
/// RFC 8037, A.1: seed and public half.
pub(crate) const ED25519: &str =
    "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";

#[derive(Deserialize)]
struct Answer {
    call: String,
    status: u16,
    body: serde_json::Value,
}

/// A venue that answers as recorded in one story.
async fn told(kind: &str, story: &str) -> (Vendor, Connector) {
    let recorded = match kind {
        "binance" => include_str!("recorded/binance.json"),
        "coinbase" => include_str!("recorded/coinbase.json"),
        _ => include_str!("recorded/wazirx.json"),
    };
    let mut stories: BTreeMap<String, Vec<Answer>> = serde_json::from_str(recorded).unwrap();
    let mut calls: BTreeMap<String, VecDeque<Say>> = BTreeMap::new();
    for answer in stories.remove(story).unwrap() {
        let status = match answer.status {
            200 => "200 OK",
            201 => "201 Created",
            _ => "400 Bad Request",
        };
        let say = Say::Status(status, answer.body.to_string());
        calls.entry(answer.call).or_default().push_back(say);
    }
    let vendor = Vendor::replay(calls).await;
    let mut json = serde_json::json!({
        "kind": kind, "base_url": vendor.base_url(), "api_key": "key", "paced": false,
    });
    if kind == "coinbase" {
        json["private_key"] = ED25519.into();
        json["send_fees"] = serde_json::json!({"ethereum": {"ETH": "0.00096"}});
    } else {
        json["secret"] = "s3cret".into();
    }
    let config: registry::Config = serde_json::from_value(json).unwrap();
    let clock = ManualClock::new(DateTime::from_timestamp_millis(NOW_MS).unwrap());
    let connector = registry::connect(&config, Arc::new(clock)).unwrap();
    (vendor, connector)
}

fn order(kind: &str) -> NewOrder {
    let (quote, price) = match kind {
        "binance" | "coinbase" => (Asset::Usdt, Decimal::new(3_000, 0)),
        _ => (Asset::Inr, Decimal::new(250_000, 0)),
    };
    NewOrder {
        client_ref: client_ref("c-0001-1"),
        pair: Pair { base: Asset::Eth, quote },
        kind: OrderKind::Limit,
        quantity: Decimal::new(5, 1),
        price,
        stamp: DateTime::from_timestamp_millis(NOW_MS).unwrap(),
    }
}

#[tokio::test]
async fn every_promise_holds_against_recorded_answers() {
    for kind in RECORDED {
        let order = order(kind);
        let venue = async |story: &str| {
            let (vendor, connector) = told(kind, story).await;
            (vendor, connector.exchange.unwrap())
        };
        let (_vendor, it) = venue("reads").await;
        reads_make_sense(it.as_ref(), order.pair).await.unwrap();
        let (_vendor, it) = venue("unused").await;
        unused_reference_finds_nothing(it.as_ref(), order.pair, &order.client_ref).await.unwrap();
        let (_vendor, it) = venue("sells").await;
        assert_eq!(sells_what_is_bid_for(it.as_ref(), &order).await.unwrap().len(), 2, "{kind}");
        let (_vendor, it) = venue("cancels").await;
        cancels_what_rests(it.as_ref(), &order, 2).await.unwrap();
        let (_vendor, it) = venue("refuses").await;
        refuses_in_words(it.as_ref(), &order).await.unwrap();
    }
}

#[tokio::test]
async fn an_immediate_order_that_expired_in_part_sold_a_part() {
    for kind in ["binance", "coinbase"] {
        let (_vendor, connector) = told(kind, "at_once").await;
        let order = NewOrder { kind: OrderKind::ImmediateOrCancel, ..order(kind) };
        let sold = never_rests(connector.exchange.unwrap().as_ref(), &order).await;
        let (sold, fills) = sold.unwrap_or_else(|broken| panic!("{kind}: {broken}"));
        assert_eq!((sold.state, fills.len()), (OrderState::Closed, 1));
        assert_eq!(fills[0].sold.minor(), 200_000_000_000_000_000);
    }
}

#[tokio::test]
async fn every_promise_of_prices_and_doors_holds_against_recorded_answers() {
    let now = DateTime::from_timestamp_millis(NOW_MS).unwrap();
    let network = NetworkId::new("ethereum").unwrap();
    for kind in RECORDED {
        let (_vendor, connector) = told(kind, "quotes").await;
        let source = connector.rates.unwrap();
        quotes_make_sense(source.as_ref(), &[Asset::Eth], now).await.unwrap();
        let (_vendor, connector) = told(kind, "doors").await;
        let custody = connector.custody.unwrap();
        doors_make_sense(custody.as_ref(), Asset::Eth, &network, now).await.unwrap();
        let (_vendor, connector) = told(kind, "withdraws").await;
        let (exchange, custody) = (connector.exchange.unwrap(), connector.custody.unwrap());
        let new = NewWithdrawal {
            client_ref: client_ref("w-0001-1"),
            network: network.clone(),
            amount: Amount::try_new(250_000_000_000_000_000, Asset::Eth).unwrap(),
            to: "0x788cabe9236ce061e5a892e1a59395a81fc8d62c".to_owned(),
            stamp: now,
        };
        let checked = withdraws_once((exchange.as_ref(), custody.as_ref()), &new).await;
        checked.unwrap_or_else(|broken| panic!("{kind}: {broken}"));
    }
}
