//! The signature vectors, and what every documented answer becomes.

use chrono::DateTime;
use primitives::{Asset, Bps, Secret};
use serde::de::DeserializeOwned;

use super::{Config, map, sign, wallet, wire};
use crate::{
    ClientRef, Levies, OrderState, Pair,
    custody::Passage,
    decimal::{parse, print},
};

fn fixture<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn client_ref() -> ClientRef {
    ClientRef::new("c-0001-1").unwrap()
}

fn inr(base: Asset) -> Pair {
    Pair { base, quote: Asset::Inr }
}

fn levies() -> Levies {
    let bps = |n| Bps::new(n).unwrap();
    Levies { fee: bps(20), gst: bps(1_800), tds: bps(100) }
}

// The published example pair of the scheme this venue copied: raw text in, lower-case hex out.
#[test]
fn signs_the_published_vectors() {
    let secret = Secret::new("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j");
    let order = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1\
        &recvWindow=5000&timestamp=1499827319559";
    let foreign = order.replace("LTCBTC", "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96");
    for (text, expected) in [
        (order, "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (&foreign, "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
        (
            &order.replace("GTC&quantity", "GTCquantity"),
            "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
        ),
    ] {
        assert_eq!(sign::hmac_hex(&secret, text), expected, "{text}");
    }
}

#[test]
fn signs_sorted_and_encoded_parameters() {
    let secret = Secret::new("s");
    let pairs = vec![("symbol", "eth inr".to_owned()), ("clientOrderId", "a-b_1".to_owned())];
    let text = sign::sign(&secret, pairs);
    let (signed, signature) = text.rsplit_once("&signature=").unwrap();
    assert_eq!(signed, "clientOrderId=a-b_1&symbol=eth%20inr");
    assert_eq!(signature, sign::hmac_hex(&secret, signed));
}

#[test]
fn maps_every_status() {
    let read = |json: &str| map::order(&fixture(json), inr(Asset::Eth), &client_ref()).unwrap();
    let wait = read(include_str!("fixtures/order.wait.json"));
    assert_eq!((wait.state, print(wait.executed).as_str()), (OrderState::Open, "0.2"));
    assert_eq!((wait.venue_order_id.as_str(), wait.pair), ("28", inr(Asset::Eth)));
    let done = read(include_str!("fixtures/order.done.json"));
    assert_eq!((done.state, done.executed), (OrderState::Filled, done.quantity));
    let cancelled = read(include_str!("fixtures/order.cancel_partly_filled.json"));
    assert_eq!((cancelled.state, print(cancelled.executed).as_str()), (OrderState::Closed, "0.2"));
    let unknown = read(include_str!("fixtures/order.unknown_status.json"));
    assert_eq!(unknown.state, OrderState::Open);
    let (half, whole) = (parse("0.5").unwrap(), parse("1").unwrap());
    for status in ["idle", "wait", "", "DONE", "cancelled", "done"] {
        assert_eq!(map::state(status, half, whole), OrderState::Open, "{status}");
    }
}

// What does not add up is unreadable, whatever the status says.
#[test]
fn refuses_orders_that_are_not_ours() {
    let json = include_str!("fixtures/order.wait.json");
    for (from, to) in [
        ("c-0001-1", "c-0001-2"),
        ("\"sell\"", "\"buy\""),
        ("ethinr", "ethusdt"),
        ("\"executedQty\": \"0.2\"", "\"executedQty\": \"0.6\""),
        ("\"executedQty\": \"0.2\"", "\"executedQty\": \"-0.2\""),
        ("\"price\": \"250000.0\"", "\"price\": \"0.0\""),
    ] {
        let changed = json.replace(from, to);
        assert_ne!(changed, json);
        assert!(map::order(&fixture(&changed), inr(Asset::Eth), &client_ref()).is_err(), "{to}");
    }
    for missing in ["\"id\": 28, ", "\"executedQty\": \"0.2\", ", "\"status\": \"wait\", "] {
        assert!(serde_json::from_str::<wire::Order>(&json.replace(missing, "")).is_err());
    }
}

// Gross down, fee, GST and TDS to the nearest paisa, execution by execution.
#[test]
fn computes_what_the_api_does_not_show() {
    let trades: Vec<wire::Trade> = fixture(include_str!("fixtures/my_trades.two.json"));
    let fill = |n: usize| map::fill(&trades[n], inr(Asset::Eth), levies()).unwrap();
    let minor = |f: &crate::Fill| [f.gross, f.fee, f.fee_gst, f.tds].map(|amount| amount.minor());
    // 0.2 × 250100 = 50020.00; stated fee 100.04; 18 % = 18.0072; 1 % = 500.20.
    assert_eq!(minor(&fill(0)), [5_002_000, 10_004, 1_801, 50_020]);
    assert_eq!(fill(0).sold.minor(), 200_000_000_000_000_000);
    // 0.00013 × 250100.05 = 32.5130065 → 32.51; 20 bps = 0.06502; of 0.07: 0.0126; 1 % = 0.3251.
    assert_eq!(minor(&fill(1)), [3_251, 7, 1, 33]);
    assert_eq!(fill(1).trade_id, "503");
    let at = DateTime::from_timestamp_millis(1_767_607_200_900).unwrap();
    assert_eq!(fill(1).executed_at, at);
}

#[test]
fn refuses_executions_that_do_not_add_up() {
    let json = include_str!("fixtures/my_trades.two.json");
    for (from, to) in [
        ("\"quoteQty\": \"50020.0\"", "\"quoteQty\": \"50.0\""),
        ("\"feeCurrency\": \"inr\"", "\"feeCurrency\": \"wrx\""),
        ("\"fee\": \"100.04\"", "\"fee\": \"-1\""),
        ("\"fee\": \"100.04\"", "\"fee\": \"60000\""),
        ("\"qty\": \"0.2\"", "\"qty\": \"0.2000000000000000001\""),
        ("\"qty\": \"0.2\"", "\"qty\": \"0\""),
        ("\"side\": \"sell\"", "\"side\": \"buy\""),
    ] {
        let trades: Vec<wire::Trade> = fixture(&json.replace(from, to));
        assert!(map::fill(&trades[0], inr(Asset::Eth), levies()).is_err(), "{to}");
    }
    let trades: Vec<wire::Trade> = fixture(json);
    assert!(map::fill(&trades[0], inr(Asset::Btc), levies()).is_err());
}

#[test]
fn maps_holdings_rules_book_and_prices() {
    let funds: Vec<wire::Fund> = fixture(include_str!("fixtures/funds.some.json"));
    let holdings = map::holdings(&funds).unwrap();
    let rupees = holdings.iter().find(|h| h.asset == Asset::Inr).unwrap();
    assert_eq!(rupees.free.minor(), 149_900, "part of a paisa cannot be used");
    let eth = holdings.iter().find(|h| h.asset == Asset::Eth).unwrap();
    assert_eq!(eth.locked.minor(), 500_000_000_000_000_000);
    assert_eq!(holdings.len(), 2);

    let info: wire::ExchangeInfo = fixture(include_str!("fixtures/exchange_info.two.json"));
    let minimum = parse("100").unwrap();
    let rules = map::rules(&info, inr(Asset::Eth), minimum).unwrap().unwrap();
    assert_eq!(
        (print(rules.price_tick), print(rules.quantity_step)),
        ("0.1".into(), "0.00001".into())
    );
    assert_eq!(rules.notional_min, minimum);
    assert!(rules.is_open && rules.quantity_max.is_none());
    assert_eq!(rules.quantity_min, rules.quantity_step);
    for absent in [Asset::Btc, Asset::Inr] {
        assert_eq!(map::rules(&info, inr(absent), minimum), Ok(None), "{absent}");
    }
    let halted = map::rules(&info, inr(Asset::Sol), minimum).unwrap().unwrap();
    assert!(!halted.is_open, "listed, and closed");

    let depth: wire::Depth = fixture(include_str!("fixtures/depth.some.json"));
    let now = DateTime::from_timestamp(1_767_607_299, 0).unwrap();
    let book = map::book(&depth, now).unwrap();
    let prices = |levels: &[crate::BookLevel]| {
        levels.iter().map(|level| print(level.price)).collect::<Vec<_>>()
    };
    assert_eq!(prices(&book.bids), ["250100", "249900"]);
    assert_eq!(prices(&book.asks), ["250150", "250200"]);
    assert_eq!(book.at.timestamp(), 1_767_607_200);
    let millis = include_str!("fixtures/depth.some.json").replace("1767607200,", "1767607200000,");
    assert_eq!(map::book(&fixture(&millis), now).unwrap().at, book.at);

    let tickers: Vec<wire::Ticker> = fixture(include_str!("fixtures/tickers.some.json"));
    let quoted = map::quotation(&tickers[0], Asset::Eth).unwrap();
    assert_eq!((print(quoted.bid), print(quoted.ask)), ("250100".into(), "250150".into()));
    assert_eq!(map::quotation(&tickers[1], Asset::Sol), None, "zero is no price");
    assert_eq!(map::quotation(&tickers[2], Asset::Btc), None, "crossed is no price");
}

#[test]
fn the_settings_keep_their_secrets_and_have_no_room_for_surprises() {
    let json = r#"{"base_url":"https://api.wazirx.com","api_key":"K3Y","secret":"S3CRET"}"#;
    let config: Config = fixture(json);
    assert!(config.check().is_ok());
    let shown = format!("{config:?}");
    assert!(!shown.contains("K3Y") && !shown.contains("S3CRET"), "{shown}");
    let surprise = json.replace('}', r#","api_token":"x"}"#);
    assert!(serde_json::from_str::<Config>(&surprise).is_err());
    let tagged = json.replacen('{', r#"{"kind":"wazirx","notional_inr_min":"50","#, 1);
    assert!(serde_json::from_str::<crate::registry::Config>(&tagged).is_ok());
    let surprise = tagged.replace('}', r#","api_token":"x"}"#);
    assert!(serde_json::from_str::<crate::registry::Config>(&surprise).is_err());
    for (from, to) in [("S3CRET", " "), ("\"secret\"", "\"recv_window_ms\":0,\"secret\"")] {
        assert!(fixture::<Config>(&json.replace(from, to)).check().is_err(), "{to}");
    }
}

// Words live, numbers in the documentation; neither may be mistaken.
#[test]
fn every_status_of_a_withdrawal_is_told() {
    let reference = ClientRef::new("w-0001-1").unwrap();
    let read = |status: &str| {
        let json = format!(
            r#"{{"id":"7213fea8","withdrawOrderId":"w-0001-1","amount":"0.249",
            "transactionFee":"0.001","coin":"eth","status":{status},"txId":null}}"#
        );
        wallet::withdrawal(&fixture(&json), Asset::Eth, &reference).unwrap()
    };
    for done in ["\"SUCCESS\"", "\"Completed\"", "6"] {
        assert_eq!(read(done).passage, Passage::Done, "{done}");
    }
    for failed in ["\"Failed\"", "\"Cancelled\"", "\"rejected\"", "1", "3", "5"] {
        assert_eq!(read(failed).passage, Passage::Failed, "{failed}");
    }
    for pending in ["\"Pending\"", "\"Approved\"", "\"\"", "null", "0", "2", "4", "7", "true"] {
        assert_eq!(read(pending).passage, Passage::Pending, "{pending}");
    }
    let told = read("\"SUCCESS\"");
    assert_eq!((told.net.minor(), told.fee.minor()), (249 * 10_i128.pow(15), 10_i128.pow(15)));
    assert_eq!(told.tx_id, None);
}

#[test]
fn addresses_and_terms_are_of_what_was_asked() {
    let network = primitives::NetworkId::new("ethereum").unwrap();
    let address = |json: &str| wallet::address(&fixture(json), Asset::Eth, &network);
    let told = address(r#"{"address":"0xabc","coin":"eth","tag":"","url":""}"#).unwrap();
    assert_eq!((told.address.as_str(), told.tag), ("0xabc", None));
    for bad in [
        r#"{"address":"","coin":"eth"}"#,
        r#"{"address":"0x abc","coin":"eth"}"#,
        r#"{"address":"0xabc","coin":"btc"}"#,
    ] {
        assert!(address(bad).is_err(), "{bad}");
    }
    let coins: Vec<wire::Coin> = fixture(
        r#"[{"currency":"eth","networkList":[
            {"network":"eth","withdrawEnable":true,"withdrawFee":"0.001","minWithdrawAmount":0.01},
            {"network":"bsc","withdrawEnable":false,"withdrawFee":"x","minWithdrawAmount":"1"}]}]"#,
    );
    let terms = wallet::terms(&coins, Asset::Eth, "eth").unwrap().unwrap();
    assert_eq!((print(terms.fee), print(terms.amount_min)), ("0.001".into(), "0.01".into()));
    assert!(terms.is_open);
    assert!(wallet::terms(&coins, Asset::Eth, "bsc").is_err(), "no number");
    assert_eq!(wallet::terms(&coins, Asset::Eth, "sol"), Ok(None));
    assert_eq!(wallet::terms(&coins, Asset::Btc, "eth"), Ok(None));
    for id in ["7", "\"a-b_1\""] {
        assert!(wallet::id(&fixture::<Box<serde_json::value::RawValue>>(id)).is_ok(), "{id}");
    }
    for id in ["null", "\"\"", "{}", "\"a b\""] {
        assert!(wallet::id(&fixture::<Box<serde_json::value::RawValue>>(id)).is_err(), "{id}");
    }
}
