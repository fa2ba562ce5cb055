//! WazirX: sells for rupees with limit orders, and quotes rupee prices.
//!
//! Invariants: no market order exists here, a cancel is only a wish, and duplicate client ids are
//! undocumented, so an order is found by our reference before anybody thinks of sending it again.
//! GST and TDS are computed, because the venue's API does not show them.

mod config;
mod custody;
mod map;
mod sign;
#[cfg(test)]
mod tests;
mod wallet;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use outbound::{BuildError, Effect, Response};
use primitives::{Asset, CallError, CallResult, Clock, NetworkId};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;

use crate::{
    Book, ClientRef, Exchange, Fill, Holding, Levies, MarketRules, NewOrder, Order, OrderKind,
    OrderState, Pair, Quotation, RateSource, Resting,
    custody::VenueAddress,
    decimal::print,
    mapping::{Mapped, covers},
    registry::Connector,
    shelf::Shelf,
};
pub use config::Config;
use sign::{Caller, Endpoint, Refusal};

const NAME: &str = "wazirx";
/// The most the venue gives at once.
const TRADES_PER_PAGE: usize = 1_000;
const PAGES_MAX: usize = 20;
/// The venue tells its coins five times a minute, and an address once.
const WALLET_AGE_MAX: TimeDelta = TimeDelta::minutes(5);
/// All markets come in one answer, once a second at most: several sales look at them at once.
const RULES_AGE_MAX: TimeDelta = TimeDelta::minutes(1);

#[derive(Debug)]
pub struct Wazirx {
    caller: Caller,
    levies: Levies,
    notional_min: Decimal,
    networks: BTreeMap<NetworkId, String>,
    markets: Shelf<(), Arc<wire::ExchangeInfo>>,
    coins: Shelf<(), Arc<Vec<wire::Coin>>>,
    addresses: Shelf<(Asset, NetworkId), VenueAddress>,
}

/// A venue to sell at, its rupee prices, and the doors for its coins.
///
/// # Errors
/// `BuildError` when the settings cannot work.
pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Connector, BuildError> {
    let venue = Arc::new(Wazirx::try_new(config, clock)?);
    Ok(Connector {
        exchange: Some(Arc::<Wazirx>::clone(&venue)),
        rates: Some(Arc::<Wazirx>::clone(&venue)),
        custody: Some(venue),
        ..Connector::default()
    })
}

impl Wazirx {
    /// # Errors
    /// `BuildError` when a key is empty or a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        config.check()?;
        Ok(Self {
            caller: Caller::try_new(config, clock)?,
            levies: Levies { fee: config.fee_bps, gst: config.gst_bps, tds: config.tds_bps },
            notional_min: config.notional_inr_min,
            networks: config.networks.clone(),
            markets: Shelf::new(RULES_AGE_MAX),
            coins: Shelf::new(WALLET_AGE_MAX),
            addresses: Shelf::new(WALLET_AGE_MAX),
        })
    }

    async fn trades(&self, params: &[(&str, String)]) -> CallResult<Vec<wire::Trade>> {
        let response = self.caller.signed(Endpoint::MyTrades, params).await?;
        read(&response, Effect::None)
    }

    /// Every trade of an order: one page for nearly all, else walked upwards by trade id.
    async fn trades_of(&self, market: &str, order_id: u64) -> CallResult<Vec<wire::Trade>> {
        let mut found = BTreeMap::new();
        let mut from_id = None;
        for _ in 0..PAGES_MAX {
            let mut params = vec![
                ("symbol", market.to_owned()),
                ("orderId", order_id.to_string()),
                ("limit", TRADES_PER_PAGE.to_string()),
            ];
            params.extend(from_id.map(|id: u64| ("fromId", id.to_string())));
            let page = self.trades(&params).await?;
            let full = page.len() >= TRADES_PER_PAGE;
            let last = page.iter().map(|trade| trade.id).max().unwrap_or(0);
            found.extend(page.into_iter().map(|trade| (trade.id, trade)));
            if !full {
                return Ok(found.into_values().filter(|t| t.order_id == order_id).collect());
            }
            // A first page without `fromId` holds the latest trades: start again at the oldest.
            from_id = Some(from_id.map_or(0, |_| last.saturating_add(1)));
        }
        Err(Effect::None.failed("wazirx: more executions than can be read"))
    }

    async fn find(
        &self,
        pair: Pair,
        client_ref: &ClientRef,
    ) -> CallResult<Option<(wire::Order, Order)>> {
        symbol(pair)?;
        let params = [("clientOrderId", client_ref.as_str().to_owned())];
        match self.caller.signed(Endpoint::ShowOrder, &params).await {
            Ok(response) => {
                let wire: wire::Order = read(&response, Effect::None)?;
                let order = mapped(map::order(&wire, pair, client_ref), Effect::None)?;
                Ok(Some((wire, order)))
            }
            Err(Refusal::NoSuchOrder) => Ok(None),
            Err(Refusal::Other(error)) => Err(error),
        }
    }
}

fn read<T: DeserializeOwned>(response: &Response, effect: Effect) -> CallResult<T> {
    response.json(effect)
}

fn mapped<T>(result: Mapped<T>, effect: Effect) -> CallResult<T> {
    result.map_err(|why| effect.failed(format!("{NAME}: {why}")))
}

fn symbol(pair: Pair) -> CallResult<String> {
    map::symbol(pair).ok_or_else(no_market)
}

fn no_market() -> CallError {
    let reason = "no such market, or it does not trade".into();
    CallError::Rejected { code: "no_market".into(), reason }
}

#[async_trait]
impl Exchange for Wazirx {
    fn venue(&self) -> &'static str {
        NAME
    }

    fn market(&self, sell: Asset) -> Option<Pair> {
        map::market(sell)
    }

    /// The venue has limit orders and stops, nothing that sells at once by itself.
    fn takes(&self, kind: OrderKind) -> bool {
        kind == OrderKind::Limit
    }

    fn recv_window(&self) -> TimeDelta {
        self.caller.recv_window()
    }

    async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        self.caller.server_time().await
    }

    async fn rules(&self, pair: Pair) -> CallResult<MarketRules> {
        symbol(pair)?;
        let now = self.caller.now();
        let info = match self.markets.get(&(), now) {
            Some(info) => info,
            None => {
                let response = self.caller.public(Endpoint::ExchangeInfo, None).await?;
                let info = Arc::new(read(&response, Effect::None)?);
                self.markets.put((), Arc::clone(&info), now);
                info
            }
        };
        mapped(map::rules(&info, pair, self.notional_min), Effect::None)?.ok_or_else(no_market)
    }

    async fn levies(&self, pair: Pair) -> CallResult<Levies> {
        symbol(pair)?;
        Ok(self.levies)
    }

    async fn book(&self, pair: Pair) -> CallResult<Book> {
        let query = format!("symbol={}&limit=100", symbol(pair)?);
        let received_at = self.caller.now();
        let response = self.caller.public(Endpoint::Depth, Some(query)).await?;
        mapped(map::book(&read(&response, Effect::None)?, received_at), Effect::None)
    }

    async fn place_order(&self, order: &NewOrder) -> CallResult<Order> {
        if !self.takes(order.kind) {
            let reason = "this venue takes limit orders only".into();
            return Err(CallError::Rejected { code: "invalid_order".into(), reason });
        }
        if order.quantity <= Decimal::ZERO || order.price <= Decimal::ZERO {
            let reason = "quantity and price must be positive".into();
            return Err(CallError::Rejected { code: "invalid_order".into(), reason });
        }
        let params = [
            ("symbol", symbol(order.pair)?),
            ("side", "sell".to_owned()),
            ("type", "limit".to_owned()),
            ("quantity", print(order.quantity)),
            ("price", print(order.price)),
            ("clientOrderId", order.client_ref.as_str().to_owned()),
        ];
        let answer = self.caller.decided(Endpoint::PlaceOrder, &params, order.stamp).await;
        let response = answer.map_err(|refusal| {
            let refused = sign::of_money(refusal);
            if matches!(refused, CallError::Rejected { .. }) {
                self.markets.clear();
            }
            refused
        })?;
        let placed = read(&response, Effect::Money)?;
        let placed = mapped(map::order(&placed, order.pair, &order.client_ref), Effect::Money)?;
        if placed.quantity != order.quantity {
            return Err(Effect::Money.failed("wazirx: answered with another order"));
        }
        Ok(placed)
    }

    async fn find_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Option<Order>> {
        Ok(self.find(pair, client_ref).await?.map(|(_, order)| order))
    }

    /// The venue cancels by its own id, so the order is read first; a refusal is answered by
    /// reading again, because an order that has just been filled cannot be cancelled.
    async fn cancel_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Order> {
        let (wire, order) = self.find(pair, client_ref).await?.ok_or(Refusal::NoSuchOrder)?;
        if order.state != OrderState::Open {
            return Ok(order);
        }
        let params = [("symbol", wire.symbol), ("orderId", wire.id.to_string())];
        let refused = match self.caller.signed(Endpoint::CancelOrder, &params).await {
            Ok(response) => {
                let order = map::order(&read(&response, Effect::Money)?, pair, client_ref);
                return mapped(order, Effect::Money);
            }
            Err(refusal) => CallError::from(refusal),
        };
        if !matches!(refused, CallError::Rejected { .. }) {
            return Err(refused);
        }
        match self.find_order(pair, client_ref).await? {
            Some(order) if order.state != OrderState::Open => Ok(order),
            _ => Err(refused),
        }
    }

    /// Refuses while the list of executions lags behind what the order says was executed.
    async fn fills(&self, order: &Order) -> CallResult<Vec<Fill>> {
        let unreadable = || Effect::None.failed("wazirx: not one of this venue's order ids");
        let order_id = order.venue_order_id.parse().map_err(|_| unreadable())?;
        let trades = self.trades_of(&symbol(order.pair)?, order_id).await?;
        if !covers(trades.iter().map(|trade| trade.qty.0), order.executed) {
            return Err(Effect::None.failed("wazirx: executions lag behind their order"));
        }
        let fill = |trade| map::fill(trade, order.pair, self.levies);
        mapped(trades.iter().map(fill).collect(), Effect::None)
    }

    async fn fills_since(&self, pair: Pair, since: DateTime<Utc>) -> CallResult<Vec<Fill>> {
        let params = [
            ("symbol", symbol(pair)?),
            ("startTime", since.timestamp_millis().to_string()),
            ("limit", TRADES_PER_PAGE.to_string()),
        ];
        let trades = self.trades(&params).await?;
        // A full page may hide the very execution that is looked for.
        if trades.len() >= TRADES_PER_PAGE {
            return Err(Effect::None.failed("wazirx: too many executions since then"));
        }
        let wanted = trades
            .iter()
            .filter(|trade| trade.side == "sell" && trade.time >= since.timestamp_millis());
        mapped(wanted.map(|trade| map::fill(trade, pair, self.levies)).collect(), Effect::None)
    }

    async fn open_orders(&self, pair: Pair) -> CallResult<Vec<Resting>> {
        let params = [("symbol", symbol(pair)?), ("limit", TRADES_PER_PAGE.to_string())];
        let response = self.caller.signed(Endpoint::OpenOrders, &params).await?;
        let orders: Vec<wire::Order> = read(&response, Effect::None)?;
        // A full page may hide the very order that is looked for.
        if orders.len() >= TRADES_PER_PAGE {
            return Err(Effect::None.failed("wazirx: too many open orders"));
        }
        let sales = orders.iter().filter(|order| order.side == "sell");
        mapped(sales.map(|order| map::resting(order, pair)).collect(), Effect::None)
    }

    async fn holdings(&self) -> CallResult<Vec<Holding>> {
        let response = self.caller.signed(Endpoint::Funds, &[]).await?;
        let funds: Vec<wire::Fund> = read(&response, Effect::None)?;
        mapped(map::holdings(&funds), Effect::None)
    }
}

#[async_trait]
impl RateSource for Wazirx {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn quotations(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        let response = self.caller.public(Endpoint::Tickers, None).await?;
        let tickers: Vec<wire::Ticker> = read(&response, Effect::None)?;
        let of = |base: &Asset| {
            let symbol = map::symbol(map::market(*base)?)?;
            let ticker = tickers.iter().find(|ticker| ticker.symbol == symbol)?;
            map::quotation(ticker, *base)
        };
        Ok(bases.iter().filter_map(of).collect())
    }
}
