//! What each answer becomes, and how old it is.

use chrono::{DateTime, TimeDelta};
use primitives::Asset;

use super::{map, wire};
use crate::decimal::parse;

#[test]
fn maps_the_rupee_rate() {
    let json = include_str!("fixtures/exchange_rates.btc.json");
    let rates = serde_json::from_str::<wire::ExchangeRates>(json).unwrap().data;
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let quotation = map::quotation(&rates, Asset::Btc, at).unwrap();
    assert_eq!(quotation.bid, parse("8735217.5215456112").unwrap());
    assert_eq!((quotation.ask, quotation.quote), (quotation.bid, Asset::Inr));
    assert_eq!(map::quotation(&rates, Asset::Eth, at), None, "asked for another currency");
    let inr = |rate: &str| -> Option<crate::Quotation> {
        let json = format!(r#"{{"currency":"BTC","rates":{{"INR":{rate}}}}}"#);
        map::quotation(&serde_json::from_str(&json).unwrap(), Asset::Btc, at)
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
    assert_eq!(map::spoken_at(asked, None), Some(asked));
    assert_eq!(map::spoken_at(asked, Some("40")), Some(asked - TimeDelta::seconds(40)));
    assert_eq!(map::spoken_at(asked, Some("old")), None);
}
