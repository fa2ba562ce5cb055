//! Binance's words into ours. Pure functions.
//!
//! Invariant: an empty or crossed market is left out; it is never a price of zero.

use chrono::{DateTime, Utc};
use primitives::Asset;
use rust_decimal::Decimal;

use super::wire;
use crate::Quotation;

/// `BTCUSDT`; `None` for what has no price in USDT here.
pub(super) fn symbol(base: Asset) -> Option<String> {
    match base {
        Asset::Inr | Asset::Usdt => None,
        Asset::Btc | Asset::Eth | Asset::Sol | Asset::Usdc => Some(format!("{}USDT", base.code())),
    }
}

/// The value of `symbols`, percent-encoded: `["BTCUSDT","ETHUSDT"]`.
pub(super) fn symbols_query(symbols: &[String]) -> String {
    format!("symbols=%5B%22{}%22%5D", symbols.join("%22%2C%22"))
}

pub(super) fn quotation(
    ticker: &wire::BookTicker,
    base: Asset,
    at: DateTime<Utc>,
) -> Option<Quotation> {
    let (bid, ask) = (ticker.bid_price.0, ticker.ask_price.0);
    if bid <= Decimal::ZERO || ask < bid {
        return None;
    }
    Some(Quotation { source: super::NAME, base, quote: Asset::Usdt, bid, ask, at })
}
