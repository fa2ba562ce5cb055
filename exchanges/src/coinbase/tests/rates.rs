//! What each answer becomes, and how old it is.

use chrono::{DateTime, TimeDelta};
use primitives::Asset;

use super::super::{rates, wallet_wire, wire};
use crate::decimal::parse;

#[test]
fn maps_the_rupee_rate() {
    let json = include_str!("../fixtures/exchange_rates.btc.json");
    let told = serde_json::from_str::<wallet_wire::One<wallet_wire::Rates>>(json).unwrap().data;
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let quotation = rates::quotation(&told, Asset::Btc, at).unwrap();
    assert_eq!(quotation.bid, parse("8735217.5215456112").unwrap());
    assert_eq!((quotation.ask, quotation.quote), (quotation.bid, Asset::Inr));
    assert_eq!(rates::quotation(&told, Asset::Eth, at), None, "asked for another currency");
    let inr = |rate: &str| -> Option<crate::Quotation> {
        let json = format!(r#"{{"currency":"BTC","rates":{{"INR":{rate}}}}}"#);
        rates::quotation(&serde_json::from_str(&json).unwrap(), Asset::Btc, at)
    };
    for no_rate in ["\"0\"", "0", "\"-1\"", "\"NaN\"", "null", "\"\"", "[]"] {
        assert_eq!(inr(no_rate), None, "{no_rate}");
    }
    assert_eq!(inr("8735217.5").unwrap().bid, parse("8735217.5").unwrap(), "a bare number");
    assert_eq!(inr("1e-7").unwrap().bid, parse("0.0000001").unwrap());
    assert!(inr("\"0.0000110123456789012345678901234567\"").is_some(), "more digits than fit");
}

#[test]
fn a_cached_answer_is_as_old_as_the_cache_says() {
    let asked = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    assert_eq!(rates::spoken_at(asked, None), Some(asked));
    assert_eq!(rates::spoken_at(asked, Some("40")), Some(asked - TimeDelta::seconds(40)));
    assert_eq!(rates::spoken_at(asked, Some("old")), None);
}

// Dollars become USDT only over the source's own USDT-USD book, spread by spread.
#[test]
fn dollars_cross_the_bridge_with_both_spreads() {
    let book = |product: &str, bid: &str, ask: &str, time: &str| {
        let json = format!(
            r#"{{"pricebook":{{"product_id":"{product}","bids":[{{"price":"{bid}","size":"1"}}],
            "asks":[{{"price":"{ask}","size":"1"}}],"time":"{time}"}}}}"#
        );
        serde_json::from_str::<wire::ProductBook>(&json).unwrap().pricebook
    };
    let (early, late) = ("2026-01-05T10:00:00.250000Z", "2026-01-05T10:00:01Z");
    let read = |book: &wire::PriceBook, product: &str| rates::dollars(book, product);
    let coin = read(&book("BTC-USD", "99000", "99010", late), "BTC-USD").unwrap();
    let bridge = read(&book("USDT-USD", "0.9999", "1.0001", early), "USDT-USD").unwrap();
    let quotation = rates::over_bridge(Asset::Btc, &coin, &bridge).unwrap();
    assert_eq!((quotation.base, quotation.quote), (Asset::Btc, Asset::Usdt));
    assert_eq!(quotation.bid, parse("98990.1009899010").unwrap(), "99000 / 1.0001, down");
    assert_eq!(quotation.ask, parse("99019.9019901991").unwrap(), "99010 / 0.9999, up");
    assert_eq!(quotation.at, bridge.at, "as old as the older");
    assert_eq!(quotation.at.timestamp_subsec_millis(), 250);
    for (bid, ask, time) in [("0", "1", late), ("2", "1", late), ("1", "2", "yesterday")] {
        assert_eq!(read(&book("BTC-USD", bid, ask, time), "BTC-USD"), None, "{bid} {ask} {time}");
    }
    assert_eq!(read(&book("ETH-USD", "1", "2", late), "BTC-USD"), None);
    let mut empty = book("BTC-USD", "1", "2", late);
    empty.bids.clear();
    assert_eq!(read(&empty, "BTC-USD"), None);
}
