//! The best prices of all our markets, pushed: the combined book-ticker stream.
//!
//! Invariant: the vendor's messages carry no time, so the time of their arrival by our clock
//! stands for it, and what may have waited in the line unread is stamped older, never younger.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use primitives::{Asset, Clock};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use super::{NAME, map};
use crate::{
    PriceStream, Quotation,
    decimal::WireDecimal,
    listening::{Door, Listener, listen},
    socket::{Heard, Line, Lost, WsUrl},
};

/// The stream of prices.
#[derive(Debug)]
pub struct BinancePrices {
    address: String,
    clock: Arc<dyn Clock>,
    door: Mutex<Door>,
}

#[derive(Deserialize)]
struct Push {
    /// Of a market: `data` holds the ticker.
    data: Option<Ticker>,
    /// Of the server itself.
    e: Option<String>,
}

#[derive(Deserialize)]
struct Ticker {
    s: Option<String>,
    b: Option<WireDecimal>,
    a: Option<WireDecimal>,
    e: Option<String>,
}

impl BinancePrices {
    pub(crate) fn new(url: &WsUrl, clock: Arc<dyn Clock>) -> Self {
        let symbols = Asset::ALL.into_iter().filter_map(|base| map::symbol(map::market(base)?));
        let streams: Vec<String> =
            symbols.map(|symbol| format!("{}@bookTicker", symbol.to_ascii_lowercase())).collect();
        let address = url.at(&format!("/stream?streams={}", streams.join("/")));
        Self { address, clock, door: Mutex::default() }
    }
}

impl Listener for BinancePrices {
    type Told = Quotation;

    const VENDOR: &'static str = NAME;
    const WHAT: &'static str = "price stream";

    fn door(&self) -> &Mutex<Door> {
        &self.door
    }

    async fn heard(&self, door: &mut Door, at_most: Duration) -> Result<Vec<Quotation>, Lost> {
        let started = Instant::now();
        let mut line = match door.line.take() {
            Some(line) => line,
            None => {
                let line = Line::open(&self.address, self.clock.as_ref(), at_most).await?;
                tracing::debug!(vendor = NAME, "price stream opened");
                line
            }
        };
        let left = at_most.saturating_sub(started.elapsed());
        let heard = line.hear(self.clock.as_ref(), left).await?;
        let newest = newest(&heard)?;
        if !heard.is_empty() {
            door.patience.went_well();
        }
        door.line = Some(line);
        Ok(newest)
    }
}

/// The newest price of each market; a market that became empty or crossed has none.
fn newest(heard: &[Heard]) -> Result<Vec<Quotation>, Lost> {
    let mut newest: BTreeMap<Asset, Option<Quotation>> = BTreeMap::new();
    for Heard { text, at } in heard {
        let push: Push = serde_json::from_str(text).map_err(|_| "spoke another language")?;
        let event = push.e.or_else(|| push.data.as_ref()?.e.clone());
        if event.as_deref() == Some("serverShutdown") {
            return Err("is being shut down");
        }
        let Some(Ticker { s: Some(symbol), b: Some(bid), a: Some(ask), .. }) = push.data else {
            continue;
        };
        let of = |base: &Asset| map::market(*base).and_then(map::symbol).as_ref() == Some(&symbol);
        if let Some(base) = Asset::ALL.into_iter().find(of) {
            newest.insert(base, map::quotation(base, (bid.0, ask.0), *at));
        }
    }
    Ok(newest.into_values().flatten().collect())
}

#[async_trait]
impl PriceStream for BinancePrices {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn next(&self, at_most: Duration) -> Vec<Quotation> {
        listen(self, at_most).await
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn heard(texts: &[&str]) -> Vec<Heard> {
        let at = DateTime::from_timestamp(1_767_607_200, 0).unwrap();
        texts.iter().map(|text| Heard { text: (*text).into(), at }).collect()
    }

    #[test]
    fn the_newest_of_each_market_counts() {
        let ticker = |symbol: &str, bid: &str, ask: &str| {
            format!(
                r#"{{"stream":"x@bookTicker","data":{{"u":400900217,"s":"{symbol}","b":"{bid}",
                "B":"31.21000000","a":"{ask}","A":"40.66000000"}}}}"#
            )
        };
        let texts = [
            ticker("BTCUSDT", "100.1", "100.2"),
            ticker("ETHUSDT", "4", "5"),
            ticker("BTCUSDT", "101.1", "101.2"),
            ticker("SOLUSDT", "0.00", "1"),
            ticker("BNBUSDT", "600", "601"),
            ticker("ETHUSDT", "5", "4"),
            r#"{"result":null,"id":1}"#.to_owned(),
        ];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let prices = newest(&heard(&texts)).unwrap();
        assert_eq!(prices.len(), 1, "empty and crossed markets have no price: {prices:?}");
        assert_eq!((prices[0].base, prices[0].quote), (Asset::Btc, Asset::Usdt));
        assert_eq!(prices[0].bid.to_string(), "101.1");
    }

    #[test]
    fn a_server_that_goes_is_left() {
        for text in [
            r#"{"e":"serverShutdown","E":1770123456789}"#,
            r#"{"stream":"","data":{"e":"serverShutdown","E":1770123456789}}"#,
            "<html>",
            "[]",
        ] {
            assert!(newest(&heard(&[text])).is_err(), "{text}");
        }
    }
}
