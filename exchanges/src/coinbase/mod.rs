//! Coinbase: sells for USDT with limit, immediate and market orders (Advanced Trade v3), takes and
//! gives coins over chains (wallet API v2), and quotes rupee and dollar prices.
//!
//! Invariants: placing an order and cancelling one are asked for with one word and answered with
//! another, so both are read again; a client order id names one order for ever, and a second one
//! with it is answered with the first. That is a net, not a method: nobody sends an id again.

mod call;
mod config;
mod custody;
mod key;
mod map;
mod rates;
mod refusal;
mod selling;
mod source;
#[cfg(test)]
mod tests;
mod wallet;
mod wallet_wire;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use outbound::{BuildError, Effect, Response};
use primitives::{Asset, Bps, CallError, CallResult, Clock, NetworkId};
use serde::de::DeserializeOwned;

use crate::{
    Levies, MarketRules, Pair, custody::VenueAddress, mapping::Mapped, registry::Connector,
    shelf::Shelf,
};
use call::Caller;
pub use config::{Config, Fee};

const NAME: &str = "coinbase";
const RULES_AGE_MAX: TimeDelta = TimeDelta::minutes(10);
const COMMISSION_AGE_MAX: TimeDelta = TimeDelta::hours(1);
/// An account and an address stay what they are; an hour bounds what a person changes by hand.
const WALLET_AGE_MAX: TimeDelta = TimeDelta::hours(1);
/// Longer than any order of ours lives.
const PLACED_AGE_MAX: TimeDelta = TimeDelta::hours(6);

#[derive(Debug)]
pub struct Coinbase {
    caller: Caller,
    usd_books: bool,
    fee_bps: Bps,
    look_back: TimeDelta,
    networks: BTreeMap<NetworkId, String>,
    send_fees: BTreeMap<NetworkId, BTreeMap<Asset, Fee>>,
    rules: Shelf<Pair, MarketRules>,
    commissions: Shelf<(), Levies>,
    wallets: Shelf<Asset, String>,
    addresses: Shelf<(Asset, NetworkId), VenueAddress>,
    /// The venue's id of an order of ours: it is looked up by that alone.
    placed: Shelf<String, String>,
}

/// Everything the settings make of this vendor: without a key a source of rates, with one a venue.
///
/// # Errors
/// `BuildError` when the settings cannot work.
pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Connector, BuildError> {
    let venue = Arc::new(Coinbase::try_new(config, clock)?);
    let mut connector =
        Connector { rates: Some(Arc::<Coinbase>::clone(&venue)), ..Connector::default() };
    if venue.is_venue() {
        connector.exchange = Some(Arc::<Coinbase>::clone(&venue));
        connector.custody = Some(venue);
    }
    Ok(connector)
}

impl Coinbase {
    /// # Errors
    /// `BuildError` when a key cannot be read or a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        config.check()?;
        Ok(Self {
            caller: Caller::try_new(config, clock)?,
            usd_books: config.usd_books,
            fee_bps: config.fee_bps,
            look_back: TimeDelta::days(i64::from(config.look_back_days)),
            networks: config.networks.clone(),
            send_fees: config.send_fees.clone(),
            rules: Shelf::new(RULES_AGE_MAX),
            commissions: Shelf::new(COMMISSION_AGE_MAX),
            wallets: Shelf::new(WALLET_AGE_MAX),
            addresses: Shelf::new(WALLET_AGE_MAX),
            placed: Shelf::new(PLACED_AGE_MAX),
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

fn product(pair: Pair) -> CallResult<String> {
    map::product(pair).ok_or_else(|| rejected("no_market", "no such market, or it does not trade"))
}

fn rejected(code: &str, reason: &str) -> CallError {
    CallError::Rejected { code: code.to_owned(), reason: reason.to_owned() }
}
