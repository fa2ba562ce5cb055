//! Binance: what happens to orders behind the caller's back, and fees in another asset.

use rust_decimal::Decimal;
use serde_json::json;
use simulators::binance::{FeeAsset, Settings};

use crate::venue_bench::{Venues, dec, number};

const ORDER: &str = "/api/v3/order";
const GTC: &str = "&timeInForce=GTC";

fn venues() -> Venues {
    let venues = Venues::new();
    venues.pin("BTCUSDT", "100000");
    venues
}

#[tokio::test]
async fn commission_comes_from_bnb_while_there_is_enough() {
    let venues = venues();
    let settings = Settings { fee_asset: FeeAsset::Bnb, ..venues.binance.settings() };
    assert!(venues.binance.set_settings(settings));
    assert_eq!(venues.binance.balance("BNB").free, dec("100"));
    let usdt = venues.binance.balance("USDT").free;
    let sold = venues.binance_order("SELL 0.5 BTCUSDT 99000", GTC).await.ok();
    let mut paid = Decimal::ZERO;
    for fill in sold["fills"].as_array().unwrap() {
        assert_eq!(fill["commissionAsset"], "BNB");
        let quote = number(fill, "price") * number(fill, "qty");
        // A quarter off, at 600 dollars for one.
        let expected = (quote * dec("0.00075") / dec("600")).trunc_with_scale(8);
        assert_eq!(number(fill, "commission"), expected);
        paid += expected;
    }
    assert_eq!(venues.binance.balance("BNB").free, dec("100") - paid);
    let gross = number(&sold, "cummulativeQuoteQty");
    assert_eq!(venues.binance.balance("USDT").free, usdt + gross, "nothing taken from the gain");
    let rates = venues.binance("GET", "/api/v3/account/commission", "symbol=BTCUSDT").await.ok();
    assert_eq!(rates["discount"]["enabledForAccount"], true);
    // Without enough of it the received asset pays.
    let dear = Settings { bnb_price: dec("0.0001"), ..venues.binance.settings() };
    assert!(venues.binance.set_settings(dear));
    let sold = venues.binance_order("SELL 0.5 BTCUSDT 99000", GTC).await.ok();
    assert_eq!(sold["fills"][0]["commissionAsset"], "USDT");
    let bought = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01";
    let bought = venues.binance("POST", ORDER, bought).await.ok();
    assert_eq!(bought["fills"][0]["commissionAsset"], "BTC");
    assert!(venues.binance.deposit("BNB", dec("1"), "gift"));
    assert!(
        !venues.binance.set_settings(Settings { bnb_price: Decimal::ZERO, ..Default::default() })
    );
    venues.assert_books_balance();
}

#[tokio::test]
async fn a_cancelled_order_can_still_fill() {
    let venues = venues();
    let more = format!("{GTC}&newClientOrderId=late");
    let id = venues.binance_order("SELL 0.4 BTCUSDT 120000", &more).await.ok()["orderId"].clone();
    let id = id.as_u64().unwrap();
    assert!(!venues.binance.fill_after_the_end(id, dec("0.1")), "it is open");
    let named = "symbol=BTCUSDT&origClientOrderId=late";
    assert_eq!(venues.binance("DELETE", ORDER, named).await.ok()["executedQty"], "0.00000000");
    assert!(venues.binance.fill_after_the_end(id, dec("0.1")));
    let order = venues.binance("GET", ORDER, named).await.ok();
    assert_eq!(
        (&order["status"], &order["executedQty"]),
        (&"CANCELED".into(), &"0.10000000".into())
    );
    let trades = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    assert_eq!(trades.as_array().unwrap().len(), 1);
    assert_eq!(venues.binance.balance("BTC").locked, Decimal::ZERO);
    assert_eq!(venues.binance.balance("BTC").free, dec("4.9"));
    // An order that expired fills late as well, and all of it is all of it.
    let ioc = venues.binance_order("SELL 0.1 BTCUSDT 120000", "&timeInForce=IOC").await.ok();
    assert_eq!(ioc["status"], "EXPIRED");
    let ioc = ioc["orderId"].as_u64().unwrap();
    assert!(venues.binance.fill_after_the_end(ioc, dec("9")));
    assert!(!venues.binance.fill_after_the_end(ioc, dec("1")), "nothing is left");
    venues.assert_books_balance();
}

#[tokio::test]
async fn the_venue_takes_an_execution_back() {
    let venues = venues();
    let before = (venues.binance.balance("BTC"), venues.binance.balance("USDT"));
    let sold = venues.binance_order("SELL 0.5 BTCUSDT 99000", GTC).await.ok();
    let trades = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    for trade in trades.as_array().unwrap() {
        assert!(venues.binance.take_trade_back(trade["id"].as_u64().unwrap()));
    }
    assert!(!venues.binance.take_trade_back(trades[0]["id"].as_u64().unwrap()), "once");
    let named = format!("symbol=BTCUSDT&orderId={}", sold["orderId"]);
    let order = venues.binance("GET", ORDER, &named).await.ok();
    assert_eq!(
        (&order["status"], &order["executedQty"], &order["cummulativeQuoteQty"]),
        (&"CANCELED".into(), &"0.00000000".into(), &"0.00000000".into())
    );
    let left = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    assert_eq!(left, json!([]));
    assert_eq!((venues.binance.balance("BTC"), venues.binance.balance("USDT")), before);
    // Of an order that is still open: what comes back is locked again.
    let open = venues.binance_order("SELL 0.5 BTCUSDT 120000", GTC).await.ok();
    let id = open["orderId"].as_u64().unwrap();
    assert!(venues.binance.force_fill(id, Some(dec("0.2"))));
    let trades = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    assert!(venues.binance.take_trade_back(trades[0]["id"].as_u64().unwrap()));
    assert_eq!(venues.binance.balance("BTC").locked, dec("0.5"));
    assert!(venues.binance.force_fill(id, None), "and executes again, under another number");
    let again = venues.binance("GET", "/api/v3/myTrades", "symbol=BTCUSDT").await.ok();
    assert_ne!(again[0]["id"], trades[0]["id"]);
    venues.assert_books_balance();
}
