//! CoinGecko's words into ours. Pure functions.
//!
//! Invariant: a price without a time, or that is not positive, is no price. Never through a float.

use chrono::DateTime;
use primitives::Asset;
use rust_decimal::Decimal;

use super::wire;
use crate::{Quotation, decimal::parse_rounded};

/// The vendor's name of a coin; `None` for what is not quoted.
pub(super) const fn id(base: Asset) -> Option<&'static str> {
    match base {
        Asset::Btc => Some("bitcoin"),
        Asset::Eth => Some("ethereum"),
        Asset::Sol => Some("solana"),
        Asset::Usdc => Some("usd-coin"),
        Asset::Usdt => Some("tether"),
        Asset::Inr | Asset::Bnb => None,
    }
}

/// Every coin of ours in rupees, with the time of each.
pub(super) fn query() -> String {
    let ids: Vec<&str> = Asset::ALL.into_iter().filter_map(id).collect();
    format!("ids={}&vs_currencies=inr&include_last_updated_at=true&precision=full", ids.join("%2C"))
}

pub(super) fn quotations(prices: &wire::Prices) -> Vec<Quotation> {
    Asset::ALL.into_iter().filter_map(|base| quotation(prices.get(id(base)?)?, base)).collect()
}

/// One price stands for both sides: this source publishes no spread.
fn quotation(price: &wire::Price, base: Asset) -> Option<Quotation> {
    let rate = parse_rounded(price.inr.as_ref()?).filter(|rate| *rate > Decimal::ZERO)?;
    let at = DateTime::from_timestamp(price.last_updated_at?, 0)?;
    Some(Quotation { source: super::NAME, base, quote: Asset::Inr, bid: rate, ask: rate, at })
}
