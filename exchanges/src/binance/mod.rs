//! Binance: sells for USDT with limit, immediate and market orders, quotes prices in USDT, and
//! takes and gives coins over chains.
//!
//! Invariants: a client order id is unique here among *open* orders only. Ours are derived and
//! used once, and a find answers with the open order that carries the id, else with the newest; so
//! it finds ours, and still nobody may send an id again "because it would be refused". The best
//! prices carry no time, so the time of asking stands for it: the answer cannot be older.

mod call;
mod config;
mod custody;
mod key;
mod limits;
mod map;
mod news;
mod prices;
mod refusal;
mod selling;
#[cfg(test)]
mod tests;
mod wallet;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use outbound::{BuildError, Effect, Response};
use primitives::{Asset, Bps, CallError, CallResult, Clock, NetworkId};
use serde::de::DeserializeOwned;

use crate::{
    Levies, MarketRules, Pair, Quotation, RateSource, mapping::Mapped, registry::Connector,
    shelf::Shelf,
};
use call::{Caller, Endpoint};
pub use config::Config;
pub use news::BinanceNews;
pub use prices::BinancePrices;

/// Everything the settings make of this vendor: without a key a source of rates, with one a venue.
///
/// # Errors
/// `BuildError` when the settings cannot work.
pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Connector, BuildError> {
    let venue = Arc::new(Binance::try_new(config, Arc::clone(&clock))?);
    let mut connector =
        Connector { rates: Some(Arc::<Binance>::clone(&venue)), ..Connector::default() };
    if let Some(url) = config.stream_url() {
        connector.stream = Some(Arc::new(BinancePrices::new(&url, clock)));
    }
    if !venue.is_venue() {
        return Ok(connector);
    }
    if let Some(url) = config.ws_api_url() {
        connector.news = Some(Arc::new(BinanceNews::new(Arc::clone(&venue), &url)));
    }
    connector.exchange = Some(Arc::<Binance>::clone(&venue));
    if config.has_wallet() {
        connector.custody = Some(venue);
    }
    Ok(connector)
}

const NAME: &str = "binance";
/// Further back than this many periods nobody looks.
const WINDOWS_MAX: usize = 8;
const RULES_AGE_MAX: TimeDelta = TimeDelta::minutes(10);
const COMMISSION_AGE_MAX: TimeDelta = TimeDelta::hours(1);
const COINS_AGE_MAX: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug)]
pub struct Binance {
    caller: Caller,
    fee_bps: Bps,
    networks: BTreeMap<NetworkId, String>,
    rules: Shelf<Pair, MarketRules>,
    commissions: Shelf<Pair, Levies>,
    coins: Shelf<(), Arc<Vec<wire::Coin>>>,
}

impl Binance {
    /// # Errors
    /// `BuildError` when a key cannot be read or a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        config.check()?;
        Ok(Self {
            caller: Caller::try_new(config, clock)?,
            fee_bps: config.fee_bps,
            networks: config.networks.clone(),
            rules: Shelf::new(RULES_AGE_MAX),
            commissions: Shelf::new(COMMISSION_AGE_MAX),
            coins: Shelf::new(COINS_AGE_MAX),
        })
    }

    /// True when orders can be placed: a key is configured.
    #[must_use]
    pub const fn is_venue(&self) -> bool {
        self.caller.has_key()
    }
}

fn read<T: DeserializeOwned>(response: &Response, effect: Effect) -> CallResult<T> {
    response.json(effect)
}

fn mapped<T>(result: Mapped<T>, effect: Effect) -> CallResult<T> {
    result.map_err(|why| effect.failed(format!("{NAME}: {why}")))
}

fn symbol(pair: Pair) -> CallResult<String> {
    map::symbol(pair).ok_or_else(|| rejected("no_market", "no such market, or it does not trade"))
}

fn rejected(code: &str, reason: &str) -> CallError {
    CallError::Rejected { code: code.to_owned(), reason: reason.to_owned() }
}

/// The time from `since` to a second after `until`, in pieces no longer than `longest`.
fn periods(
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    longest: TimeDelta,
) -> CallResult<Vec<(DateTime<Utc>, DateTime<Utc>)>> {
    let out_of_range = || Effect::None.failed("binance: too long a time to look back over");
    let end = until.checked_add_signed(TimeDelta::seconds(1)).ok_or_else(out_of_range)?;
    let mut pieces = Vec::new();
    let mut from = since;
    while from < end {
        if pieces.len() >= WINDOWS_MAX {
            return Err(out_of_range());
        }
        let to = from.checked_add_signed(longest).ok_or_else(out_of_range)?.min(end);
        pieces.push((from, to));
        from = to.checked_add_signed(TimeDelta::milliseconds(1)).ok_or_else(out_of_range)?;
    }
    Ok(pieces)
}

#[async_trait]
impl RateSource for Binance {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn quotations(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        let listed: Vec<(Asset, String)> = bases
            .iter()
            .filter_map(|base| Some((*base, map::symbol(map::market(*base)?)?)))
            .collect();
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let symbols: Vec<String> = listed.iter().map(|(_, symbol)| symbol.clone()).collect();
        let asked_at = self.caller.now();
        let query = map::symbols_query(&symbols);
        let response = self.caller.public(Endpoint::BookTicker, query).await?;
        let tickers: Vec<wire::BookTicker> = read(&response, Effect::None)?;
        let of = |(base, symbol): &(Asset, String)| {
            let ticker = tickers.iter().find(|ticker| ticker.symbol == *symbol)?;
            map::quotation(*base, (ticker.bid_price.0, ticker.ask_price.0), asked_at)
        };
        Ok(listed.iter().filter_map(of).collect())
    }
}
