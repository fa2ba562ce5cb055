//! The shape of the request, and what each ticker becomes.

use chrono::DateTime;
use primitives::Asset;

use super::{map, wire};
use crate::decimal::parse;

#[test]
fn asks_for_what_is_listed_only() {
    assert_eq!(map::symbol(Asset::Usdt), None);
    assert_eq!(map::symbol(Asset::Inr), None);
    let symbols = [Asset::Btc, Asset::Eth].map(|base| map::symbol(base).unwrap());
    assert_eq!(map::symbols_query(&symbols), "symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D");
}

#[test]
fn maps_the_documented_ticker() {
    let json = include_str!("fixtures/book_ticker.many.json");
    let tickers: Vec<wire::BookTicker> = serde_json::from_str(json).unwrap();
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let quotation = map::quotation(&tickers[0], Asset::Btc, at).unwrap();
    assert_eq!((quotation.bid, quotation.ask), (parse("4").unwrap(), parse("4.000002").unwrap()));
    assert_eq!((quotation.quote, quotation.at), (Asset::Usdt, at));
    // A halted market shows zeros; a crossed one cannot be true.
    assert_eq!(map::quotation(&tickers[1], Asset::Eth, at), None);
    assert_eq!(map::quotation(&tickers[2], Asset::Sol, at), None);
}

#[test]
fn the_settings_have_no_room_for_surprises() {
    let read = |json: &str| serde_json::from_str::<super::Config>(json);
    assert!(read(r#"{"base_url":"https://api.binance.com"}"#).is_ok());
    assert!(read(r#"{"base_url":"https://api.binance.com","key":"x"}"#).is_err());
    assert!(read(r#"{"base_url":"http://api.binance.com"}"#).is_err());
}
