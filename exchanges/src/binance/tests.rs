//! The vendor's signature vectors, and what every documented answer becomes.

use chrono::DateTime;
use outbound::Effect;
use primitives::{Asset, Bps, CallError, NetworkId, Secret};
use serde::de::DeserializeOwned;

use super::{
    Config, call,
    key::Key,
    map,
    refusal::{Refusal, classify},
    wallet, wire,
};
use crate::{
    ClientRef, OrderState, Pair,
    custody::Passage,
    decimal::{parse, print},
};

const API_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
/// RFC 8032, 7.1: the seed of the first test, as PKCS#8.
const PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const ORDER: &str = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1\
    &recvWindow=5000&timestamp=1499827319559";

fn fixture<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn client_ref() -> ClientRef {
    ClientRef::new("c-0001-1").unwrap()
}

fn usdt(base: Asset) -> Pair {
    Pair { base, quote: Asset::Usdt }
}

fn pairs(text: &'static str) -> Vec<(&'static str, String)> {
    let pair = |pair: &'static str| pair.split_once('=').map(|(k, v)| (k, v.to_owned())).unwrap();
    text.split('&').map(pair).collect()
}

// Vectors 1 to 3: the text as sent, percent-encoded first; query and body without a separator.
#[test]
fn signs_the_published_rest_vectors() {
    let key = Key::Hmac(Secret::new(SECRET));
    let signature = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
    assert_eq!(call::signed_text(&key, &pairs(ORDER)), format!("{ORDER}&signature={signature}"));
    let mut foreign = pairs(ORDER);
    foreign[0].1 = "１２３４５６".to_owned();
    let signed = call::signed_text(&key, &foreign);
    assert!(signed.starts_with("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&"));
    let signature = "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3";
    assert!(signed.ends_with(signature), "{signed}");
    assert_eq!(
        key.sign(&ORDER.replace("GTC&quantity", "GTCquantity")),
        "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"
    );
}

// Vectors 4 and 5: sorted by name and not encoded.
#[test]
fn signs_the_published_socket_vectors() {
    let key = Key::Hmac(Secret::new(SECRET));
    let text = |symbol: &str, side: &str, price: &str, quantity: &str, window: &str| {
        call::socket_text(&[
            ("symbol", symbol.to_owned()),
            ("side", side.to_owned()),
            ("type", "LIMIT".to_owned()),
            ("timeInForce", "GTC".to_owned()),
            ("quantity", quantity.to_owned()),
            ("price", price.to_owned()),
            ("apiKey", API_KEY.to_owned()),
            ("timestamp", "1645423376532".to_owned()),
            ("recvWindow", window.to_owned()),
        ])
    };
    let fourth = text("BTCUSDT", "SELL", "52000.00", "0.01000000", "100");
    assert_eq!(
        key.sign(&fourth),
        "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    );
    let fifth = text("１２３４５６", "BUY", "0.10000000", "1.00000000", "5000");
    assert_eq!(
        key.sign(&fifth),
        "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"
    );
    // Two independent programs agree on these of the RFC's key.
    let ed25519 = Key::from_pem(&Secret::new(PEM)).unwrap();
    assert_eq!(
        ed25519.sign(&fourth),
        "/RNKbCSA6iS23rmPP+v/A6061Gd8Cq3H5fR1YlWyOYP0CZ6Oq/+spQodx1F1B63EIhUSP2QmDaMDAMBFCTI+CQ=="
    );
    assert_eq!(
        ed25519.sign(ORDER),
        "3fhuDZ9nYMviDQ5OEtJBJS11jUZDTRzRQ+TQMarm+LErFiJvUiVPQjTzDoWZQe4miPX+yHk1v/Z7TWLYjIbmCA=="
    );
    let sent = call::signed_text(&ed25519, &pairs(ORDER));
    assert!(sent.ends_with("%2FZ7TWLYjIbmCA%3D%3D"), "base64 is encoded for the way: {sent}");
    assert!(!format!("{ed25519:?}").contains("nWGxne"));
}

#[test]
fn asks_for_what_is_listed_only() {
    for none in [Asset::Usdt, Asset::Inr, Asset::Bnb] {
        assert_eq!(map::market(none), None, "{none}");
    }
    assert_eq!(map::symbol(Pair { base: Asset::Btc, quote: Asset::Inr }), None);
    let symbols = [Asset::Btc, Asset::Eth].map(|base| map::symbol(usdt(base)).unwrap());
    assert_eq!(map::symbols_query(&symbols), "symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D");
}

#[test]
fn maps_every_status() {
    let read = |json: &str| map::order(&fixture(json), usdt(Asset::Eth), &client_ref()).unwrap();
    let told = |json: &str| {
        let order = read(json);
        (order.state, print(order.executed))
    };
    let of = |state, executed: &str| (state, executed.to_owned());
    for (json, expected) in [
        (include_str!("fixtures/order.new.json"), of(OrderState::Open, "0")),
        (include_str!("fixtures/order.partially_filled.json"), of(OrderState::Open, "0.2")),
        (include_str!("fixtures/order.filled_full.json"), of(OrderState::Filled, "0.5")),
        (include_str!("fixtures/order.market_filled.json"), of(OrderState::Filled, "0.5")),
        (include_str!("fixtures/order.expired_immediate.json"), of(OrderState::Closed, "0.2")),
        (include_str!("fixtures/order.canceled_reply.json"), of(OrderState::Closed, "0.2")),
        (include_str!("fixtures/order.unknown_status.json"), of(OrderState::Open, "0")),
    ] {
        assert_eq!(told(json), expected, "{json}");
    }
    let new = read(include_str!("fixtures/order.new.json"));
    assert_eq!((new.venue_order_id.as_str(), new.pair), ("28000000001", usdt(Asset::Eth)));
    let (half, whole) = (parse("0.5").unwrap(), parse("1").unwrap());
    for status in ["NEW", "PENDING_NEW", "PENDING_CANCEL", "FILLED", "", "canceled", "DONE"] {
        assert_eq!(map::state(status, half, whole), OrderState::Open, "{status}");
    }
    for status in ["CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"] {
        assert_eq!(map::state(status, half, whole), OrderState::Closed, "{status}");
    }
    // An ACK does not say what became of the order.
    let ack = include_str!("fixtures/order.ack.json");
    assert!(serde_json::from_str::<wire::Order>(ack).is_err());
}

#[test]
fn refuses_orders_that_are_not_ours() {
    let json = include_str!("fixtures/order.partially_filled.json");
    for (from, to) in [
        ("c-0001-1", "c-0001-2"),
        ("\"SELL\"", "\"BUY\""),
        ("ETHUSDT", "ETHUSDC"),
        ("\"executedQty\": \"0.20000000\"", "\"executedQty\": \"0.60000000\""),
        ("\"executedQty\": \"0.20000000\"", "\"executedQty\": \"-0.20000000\""),
        ("\"origQty\": \"0.50000000\"", "\"origQty\": \"0.00000000\""),
        ("\"price\": \"3000.00000000\"", "\"price\": \"-1\""),
    ] {
        let changed = json.replace(from, to);
        assert_ne!(changed, json, "{from}");
        let order = map::order(&fixture(&changed), usdt(Asset::Eth), &client_ref());
        assert!(order.is_err(), "{to}");
    }
    for name in ["orderId", "executedQty", "status", "side", "clientOrderId"] {
        let renamed = json.replacen(&format!("\"{name}\""), "\"gone\"", 1);
        assert!(serde_json::from_str::<wire::Order>(&renamed).is_err(), "{name}");
    }
    // A cancellation is known by the original reference, not by its own.
    let cancelled = include_str!("fixtures/order.canceled_reply.json").replace("c-0001-1", "x");
    assert!(map::order(&fixture(&cancelled), usdt(Asset::Eth), &client_ref()).is_err());
}

// What surely came is booked in whole minor units; a fee is in the asset it was taken in.
#[test]
fn fees_come_in_whatever_asset_the_venue_took() {
    let trades: Vec<wire::Trade> = fixture(include_str!("fixtures/my_trades.fees.json"));
    let fill = |n: usize| map::fill(&trades[n], usdt(Asset::Eth)).unwrap();
    let told = |n: usize| {
        let fill = fill(n);
        (fill.gross.minor(), fill.fee.asset(), fill.fee.minor())
    };
    assert_eq!(told(0), (600_020_000, Asset::Usdt, 600_020));
    // 0.30001300 − 0.00030001 = 0.29971299: 299712 whole, so the fee is 301.
    assert_eq!(told(1), (300_013, Asset::Usdt, 301));
    assert_eq!(told(2), (600_020_000, Asset::Bnb, 75_000));
    assert_eq!(told(3), (299_709_990, Asset::Usdt, 0));
    let first = fill(0);
    assert_eq!((first.trade_id.as_str(), first.sold.asset()), ("3000000001", Asset::Eth));
    assert!(first.fee_gst.is_zero() && first.tds.is_zero());
    // BTC has five places of quantity and two of price: a tenth of a minor unit stays there.
    let fine = include_str!("fixtures/my_trades.fees.json")
        .replace("\"qty\": \"0.00010000\"", "\"qty\": \"0.00001\"")
        .replace("\"0.30001300\"", "\"0.0300013\"");
    let trades: Vec<wire::Trade> = fixture(&fine);
    let fill = map::fill(&trades[1], usdt(Asset::Eth)).unwrap();
    assert_eq!((fill.gross.minor(), fill.fee.minor()), (30_001, 300));
}

#[test]
fn refuses_executions_that_do_not_add_up() {
    let json = include_str!("fixtures/my_trades.fees.json");
    for (from, to) in [
        ("\"quoteQty\": \"600.02000000\"", "\"quoteQty\": \"6.02\""),
        ("\"quoteQty\": \"600.02000000\"", "\"quoteQty\": \"0\""),
        ("\"commissionAsset\": \"USDT\"", "\"commissionAsset\": \"FDUSD\""),
        ("\"commission\": \"0.60002000\"", "\"commission\": \"-0.1\""),
        ("\"commission\": \"0.60002000\"", "\"commission\": \"601\""),
        ("\"qty\": \"0.20000000\"", "\"qty\": \"0\""),
        ("\"isBuyer\": false", "\"isBuyer\": true"),
        ("ETHUSDT", "BTCUSDT"),
    ] {
        let changed = json.replace(from, to);
        assert_ne!(changed, json, "{from}");
        let trades: Vec<wire::Trade> = fixture(&changed);
        assert!(map::fill(&trades[0], usdt(Asset::Eth)).is_err(), "{to}");
    }
}

#[test]
fn maps_holdings_rules_levies_and_book() {
    let account: wire::Account = fixture(include_str!("fixtures/account.some.json"));
    let held = map::holdings(&account).unwrap();
    let free = |asset| held.iter().find(|h| h.asset == asset).unwrap().free.minor();
    assert_eq!(held.len(), 4, "coins we do not know are none of our business");
    assert_eq!((free(Asset::Usdt), free(Asset::Bnb)), (1_499_450_699, 99_925_000));

    let info: wire::ExchangeInfo = fixture(include_str!("fixtures/exchange_info.three.json"));
    let rules = |base| map::rules(&info, usdt(base)).unwrap().unwrap();
    let eth = rules(Asset::Eth);
    let told = [eth.price_tick, eth.quantity_step, eth.quantity_min, eth.notional_min].map(print);
    assert_eq!(told, ["0.01", "0.0001", "0.0001", "5"]);
    assert_eq!(eth.quantity_max.map(print), Some("2519.60110583".to_owned()));
    assert!(eth.is_open && !rules(Asset::Btc).is_open, "cancel-only takes no orders");
    let sol = rules(Asset::Sol);
    let told = [sol.price_tick, sol.quantity_step, sol.quantity_min, sol.notional_min].map(print);
    assert_eq!(told, ["0.00000001", "0.01", "0.01", "10"], "zero switches a rule off");
    assert_eq!(sol.quantity_max.map(print), Some("500".to_owned()));
    assert_eq!(map::rules(&info, usdt(Asset::Usdc)), Ok(None));
    let without =
        include_str!("fixtures/exchange_info.three.json").replace("\"LOT_SIZE\"", "\"X\"");
    assert!(map::rules(&fixture(&without), usdt(Asset::Eth)).is_err());

    let levies = map::levies(&fixture(include_str!("fixtures/commission.some.json"))).unwrap();
    assert_eq!(levies.fee, Bps::new(11).unwrap(), "0.095 % and 0.011 %, rounded up");
    assert_eq!((levies.gst, levies.tds), (Bps::ZERO, Bps::ZERO));

    let at = DateTime::from_timestamp(1_767_607_200, 0).unwrap();
    let book = map::book(&fixture(include_str!("fixtures/depth.some.json")), at).unwrap();
    let prices = |levels: &[crate::BookLevel]| {
        levels.iter().map(|level| print(level.price)).collect::<Vec<_>>()
    };
    assert_eq!(prices(&book.bids), ["3000.1", "2999.9"]);
    assert_eq!((prices(&book.asks), book.at), (vec!["3000.2".into(), "3000.4".into()], at));
}

#[test]
fn maps_the_documented_ticker() {
    let json = include_str!("fixtures/book_ticker.many.json");
    let tickers: Vec<wire::BookTicker> = serde_json::from_str(json).unwrap();
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let of = |n: usize, base| {
        let ticker: &wire::BookTicker = &tickers[n];
        map::quotation(base, (ticker.bid_price.0, ticker.ask_price.0), at)
    };
    let quotation = of(0, Asset::Btc).unwrap();
    assert_eq!((quotation.bid, quotation.ask), (parse("4").unwrap(), parse("4.000002").unwrap()));
    assert_eq!((quotation.quote, quotation.at), (Asset::Usdt, at));
    // A halted market shows zeros; a crossed one cannot be true.
    assert_eq!(of(1, Asset::Eth), None);
    assert_eq!(of(2, Asset::Sol), None);
}

#[test]
fn every_deposit_status_is_told() {
    let network = NetworkId::new("ethereum").unwrap();
    let ours = |name: &str| (name == "ETH").then(|| network.clone());
    let lines: Vec<wire::Deposit> = fixture(include_str!("fixtures/deposits.every_status.json"));
    let told: Vec<_> = lines
        .iter()
        .map(|line| wallet::deposit(line, Asset::Eth, ours).unwrap().unwrap())
        .map(|deposit| (deposit.network.as_str().to_owned(), deposit.passage))
        .collect();
    let at_home = |passage| ("ethereum".to_owned(), passage);
    assert_eq!(
        told,
        [
            at_home(Passage::Pending),
            at_home(Passage::Done),
            at_home(Passage::Failed),
            at_home(Passage::Done),
            at_home(Passage::Failed),
            at_home(Passage::Pending),
            at_home(Passage::Pending),
            // A network we have no name for is not passed over.
            ("bsc".to_owned(), Passage::Done),
        ]
    );
    assert!(wallet::deposit(&lines[0], Asset::Btc, ours).is_err());
    let first = wallet::deposit(&lines[1], Asset::Eth, ours).unwrap().unwrap();
    assert_eq!(first.amount.minor(), 250_000_000_000_000_000);
    assert_eq!(first.at.timestamp_millis(), 1_767_607_200_001);
    // What a stranger sends from inside the venue: finer than our books, over no chain.
    let inside = |amount: &str| {
        let json = format!(
            r#"{{"id":"1","amount":"{amount}","coin":"USDT","network":"","status":1,
            "txId":"Off-chain transfer 113388","insertTime":1767607200000}}"#
        );
        wallet::deposit(&fixture(&json), Asset::Usdt, ours).unwrap()
    };
    let fine = inside("1.23456789").unwrap();
    assert_eq!((fine.amount.minor(), fine.network.as_str()), (1_234_567, "unnamed"));
    assert_eq!(inside("0.00000099"), None);
}

#[test]
fn every_withdrawal_status_is_told() {
    let reference = ClientRef::new("w-0001-1").unwrap();
    let json = include_str!("fixtures/withdrawals.every_status.json");
    let lines: Vec<wire::Withdrawal> = fixture(json);
    let read = |line: &wire::Withdrawal| wallet::withdrawal(line, Asset::Eth, &reference).unwrap();
    let told: Vec<Passage> = lines.iter().map(|line| read(line).passage).collect();
    let (pending, failed, done) = (Passage::Pending, Passage::Failed, Passage::Done);
    assert_eq!(told, [pending, failed, pending, failed, pending, failed, done, pending, done]);
    let last = read(&lines[8]);
    assert_eq!(last.net.minor(), 249_040_000_000_000_000);
    assert_eq!(last.fee.minor(), 960_000_000_000_000);
    assert!(last.tx_id.unwrap().starts_with("0xb5ef"));
    assert!(wallet::withdrawal(&lines[0], Asset::Btc, &reference).is_err());
}

#[test]
fn terms_are_of_one_coin_on_one_network() {
    let coins: Vec<wire::Coin> = fixture(include_str!("fixtures/coins.some.json"));
    let terms = |asset, network: &str| wallet::terms(&coins, asset, network).unwrap();
    let eth = terms(Asset::Eth, "ETH").unwrap();
    assert_eq!((print(eth.fee), print(eth.amount_min)), ("0.00096".into(), "0.00192".into()));
    assert!(eth.is_open);
    for (asset, network) in [(Asset::Eth, "BASE"), (Asset::Eth, "BSC"), (Asset::Btc, "BTC")] {
        assert!(!terms(asset, network).unwrap().is_open, "{asset} {network}");
    }
    assert_eq!(terms(Asset::Eth, "SOL"), None);
    assert_eq!(terms(Asset::Sol, "SOL"), None);
}

/// What a code makes of an order, and of a read.
fn told(status: u16, code: i64, msg: &str) -> (String, String) {
    let name = |effect| {
        let failure = wire::Failure { code, msg: msg.to_owned() };
        match classify(status, &failure, effect) {
            Refusal::NoSuchOrder => "no such order".to_owned(),
            Refusal::NotCancelled => "not cancelled".to_owned(),
            Refusal::Stale => "stale".to_owned(),
            Refusal::UsedUp(count) => format!("used up: {count:?}"),
            Refusal::Other(error) if crate::is_access_refusal(&error) => "refused us".to_owned(),
            Refusal::Other(CallError::Rejected { .. }) => "rejected".to_owned(),
            Refusal::Other(CallError::Unknown(_)) => "unknown".to_owned(),
            Refusal::Other(CallError::NotSent(_)) => "weather".to_owned(),
            Refusal::Other(error) => error.to_string(),
        }
    };
    (name(Effect::Money), name(Effect::None))
}

// The table of the vendor's errors, code by code.
#[test]
fn every_class_of_error_is_told_apart() {
    let both = |text: &str| (text.to_owned(), text.to_owned());
    let apart = |order: &str, read: &str| (order.to_owned(), read.to_owned());
    for code in [-1000, -1001, -1006, -1007, -1008] {
        assert_eq!(told(400, code, "?"), apart("unknown", "weather"), "{code}");
    }
    for code in [-1003, -1016, -1034] {
        assert_eq!(told(400, code, "?"), both("used up: Weight"), "{code}");
    }
    let limit = |per: &str| format!("Too many new orders; current limit is 50 orders per {per}.");
    assert_eq!(told(400, -1015, &limit("10 SECOND")), both("used up: OrdersShort"));
    assert_eq!(told(400, -1015, &limit("1 DAY")), both("used up: OrdersLong"));
    assert_eq!(told(400, -1021, "?"), both("stale"));
    for code in [-1013, -1100, -1102, -1111, -1121, -1130, -1220, -2010, -2026, -2039, -4026] {
        assert_eq!(told(400, code, "Filter failure: LOT_SIZE"), both("rejected"), "{code}");
    }
    for code in [-1002, -1022, -2014, -2015] {
        assert_eq!(told(400, code, "?"), both("refused us"), "{code}");
        assert_eq!(told(401, code, "?"), both("refused us"), "{code}");
    }
    assert_eq!(told(403, -1, "?"), both("refused us"));
    assert_eq!(told(400, -2010, "Duplicate order sent."), apart("unknown", "rejected"));
    assert_eq!(told(400, -4104, "withdrawOrderId already exists."), apart("unknown", "rejected"));
    assert_eq!(told(400, -2011, "Unknown order sent."), both("not cancelled"));
    assert_eq!(told(400, -2013, "Order does not exist."), both("no such order"));
    // Nobody has told us that this means no.
    assert_eq!(told(400, -9999, "?"), apart("unknown", "rejected"));
}

#[test]
fn the_settings_keep_their_secrets_and_have_no_room_for_surprises() {
    let read = |json: &str| serde_json::from_str::<Config>(json);
    let public = read(r#"{"base_url":"https://api.binance.com"}"#).unwrap();
    assert!(public.check().is_ok() && public.key().unwrap().is_none(), "a source of rates alone");
    assert!(read(r#"{"base_url":"https://api.binance.com","key":"x"}"#).is_err());
    assert!(read(r#"{"base_url":"http://api.binance.com"}"#).is_err());
    let json = r#"{"base_url":"https://api.binance.com","api_key":"K3Y","secret":"S3CRET"}"#;
    let config = read(json).unwrap();
    assert!(config.key().unwrap().is_some());
    let shown = format!("{config:?}");
    assert!(!shown.contains("K3Y") && !shown.contains("S3CRET"), "{shown}");
    for (from, to) in [
        ("\"api_key\":\"K3Y\",", ""),
        ("K3Y", " "),
        ("S3CRET", ""),
        (",\"secret\":\"S3CRET\"", ""),
        ("\"secret\"", "\"ed25519_pem\""),
        ("\"S3CRET\"", "\"S3CRET\",\"ed25519_pem\":\"x\""),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        assert!(read(&changed).unwrap().key().is_err(), "{to}");
    }
    for (from, to) in [
        ("\"secret\"", "\"recv_window_ms\":60001,\"secret\""),
        ("\"secret\"", "\"networks\":{\"ethereum\":\"a&b\"},\"secret\""),
    ] {
        assert!(read(&json.replacen(from, to, 1)).unwrap().check().is_err(), "{to}");
    }
}

// Live, test network or simulator: the address alone says which.
#[test]
fn the_streams_follow_from_the_address() {
    let config =
        |url: &str| serde_json::from_str::<Config>(&format!(r#"{{"base_url":"{url}"}}"#)).unwrap();
    let shown = |config: &Config| {
        let of = |url: Option<crate::WsUrl>| url.map(|url| format!("{url:?}"));
        (of(config.stream_url()), of(config.ws_api_url()), config.has_wallet())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        shown(&config("https://api.binance.com")),
        (some("wss://stream.binance.com:9443"), some("wss://ws-api.binance.com:443"), true)
    );
    assert_eq!(
        shown(&config("https://testnet.binance.vision")),
        (
            some("wss://stream.testnet.binance.vision"),
            some("wss://ws-api.testnet.binance.vision"),
            false
        )
    );
    let mut local = config("http://127.0.0.1:8080");
    assert_eq!(shown(&local), (None, None, true));
    local.stream_url = Some(crate::WsUrl::parse("ws://127.0.0.1:8080").unwrap());
    assert_eq!(shown(&local).0, some("ws://127.0.0.1:8080"));
}
