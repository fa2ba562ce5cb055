//! What each answer becomes, and how old it is.

use primitives::Asset;

use super::{Config, map, wire};
use crate::decimal::print;

#[test]
fn reads_numbers_as_text_with_their_own_time() {
    let prices: wire::Prices =
        serde_json::from_str(include_str!("fixtures/price.some.json")).unwrap();
    let quotations = map::quotations(&prices);
    let told: Vec<_> =
        quotations.iter().map(|q| (q.base, q.quote, print(q.bid), q.at.timestamp())).collect();
    let expected = [
        (Asset::Btc, Asset::Inr, "8735217.521545611234567".to_owned(), 1_767_607_170),
        (Asset::Eth, Asset::Inr, "0.0000001".to_owned(), 1_767_607_165),
        (Asset::Usdt, Asset::Inr, "88.12".to_owned(), 1_767_607_150),
    ];
    assert_eq!(told, expected, "without a time or a price there is no quotation");
    assert!(quotations.iter().all(|q| q.ask == q.bid));
    for no_price in ["0", "-1", "null", "\"NaN\"", "[]"] {
        let json = format!(r#"{{"tether":{{"inr":{no_price},"last_updated_at":1767607150}}}}"#);
        assert!(map::quotations(&serde_json::from_str(&json).unwrap()).is_empty(), "{no_price}");
    }
}

#[test]
fn asks_for_every_coin_at_once() {
    assert_eq!(
        map::query(),
        "ids=bitcoin%2Cethereum%2Csolana%2Cusd-coin%2Ctether&vs_currencies=inr\
         &include_last_updated_at=true&precision=full"
    );
}

#[test]
fn a_key_goes_to_its_own_host_only() {
    let config = |host: &str| {
        let json = format!(r#"{{"base_url":"https://{host}","api_key":"K3Y"}}"#);
        serde_json::from_str::<Config>(&json).unwrap()
    };
    assert_eq!(config("api.coingecko.com").key_header(), "x-cg-demo-api-key");
    assert_eq!(config("pro-api.coingecko.com").key_header(), "x-cg-pro-api-key");
    assert!(!format!("{:?}", config("api.coingecko.com")).contains("K3Y"));
    let empty = r#"{"base_url":"https://api.coingecko.com","api_key":" "}"#;
    assert!(serde_json::from_str::<Config>(empty).unwrap().check().is_err());
}
