//! Orders at Binance: placed once, found by our reference, cancelled, and what was executed.
//!
//! Invariants: nothing is retried here; executions that do not cover their order yet, and pages
//! that may hide one, are no answer.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use outbound::Effect;
use primitives::{Asset, Bps, CallError, CallResult};
use rust_decimal::Decimal;

use super::{
    Binance, NAME, call::Endpoint, limits::Count, map, mapped, periods, read, refusal,
    refusal::Refusal, rejected, symbol, wire,
};
use crate::{
    Book, ClientRef, Exchange, Fill, Holding, Levies, MarketRules, NewOrder, Order, OrderKind,
    OrderState, Pair, Resting, decimal::print, mapping::covers,
};

/// The most the venue gives at once.
const TRADES_PER_PAGE: usize = 1_000;
const PAGES_MAX: usize = 20;
/// The longest period of executions the venue tells at once.
const TRADES_WINDOW: TimeDelta = TimeDelta::hours(24);

impl Binance {
    async fn trades(
        &self,
        endpoint: Endpoint,
        params: &[(&'static str, String)],
    ) -> CallResult<Vec<wire::Trade>> {
        let response = self.caller.signed(endpoint, params).await?;
        read(&response, Effect::None)
    }

    /// Every trade of an order: one page for nearly all, else walked upwards by trade id.
    async fn trades_of(&self, symbol: &str, order_id: u64) -> CallResult<Vec<wire::Trade>> {
        let mut found = BTreeMap::new();
        let mut from_id = None;
        for _ in 0..PAGES_MAX {
            let mut params = vec![
                ("symbol", symbol.to_owned()),
                ("orderId", order_id.to_string()),
                ("limit", TRADES_PER_PAGE.to_string()),
            ];
            params.extend(from_id.map(|id: u64| ("fromId", id.to_string())));
            let page = self.trades(Endpoint::TradesOfOrder, &params).await?;
            let full = page.len() >= TRADES_PER_PAGE;
            let last = page.iter().map(|trade| trade.id).max().unwrap_or(0);
            found.extend(page.into_iter().map(|trade| (trade.id, trade)));
            if !full {
                return Ok(found.into_values().filter(|t| t.order_id == order_id).collect());
            }
            // A first page without `fromId` holds the latest trades: start again at the oldest.
            from_id = Some(from_id.map_or(0, |_| last.saturating_add(1)));
        }
        Err(Effect::None.failed("binance: more executions than can be read"))
    }

    /// The kind-dependent half of an order's parameters.
    fn terms(order: &NewOrder) -> Vec<(&'static str, String)> {
        let limit = |in_force: &str| {
            vec![
                ("type", "LIMIT".to_owned()),
                ("timeInForce", in_force.to_owned()),
                ("price", print(order.price)),
            ]
        };
        match order.kind {
            OrderKind::Limit => limit("GTC"),
            OrderKind::ImmediateOrCancel => limit("IOC"),
            OrderKind::Market => vec![("type", "MARKET".to_owned())],
        }
    }

    fn learn_limits(&self, info: &wire::ExchangeInfo) {
        for limit in &info.rate_limits {
            let kind = (limit.rate_limit_type.as_str(), limit.interval.as_str());
            let count = match (kind, limit.interval_num) {
                (("REQUEST_WEIGHT", "MINUTE"), 1) => Count::Weight,
                (("ORDERS", "SECOND"), 10) => Count::OrdersShort,
                (("ORDERS", "DAY"), 1) => Count::OrdersLong,
                _ => continue,
            };
            self.caller.limits.learn(count, limit.limit);
        }
    }
}

#[async_trait]
impl Exchange for Binance {
    fn venue(&self) -> &'static str {
        NAME
    }

    fn market(&self, sell: Asset) -> Option<Pair> {
        map::market(sell)
    }

    fn takes(&self, kind: OrderKind) -> bool {
        matches!(kind, OrderKind::Limit | OrderKind::ImmediateOrCancel | OrderKind::Market)
    }

    fn recv_window(&self) -> TimeDelta {
        self.caller.recv_window()
    }

    async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        self.caller.server_time().await
    }

    async fn rules(&self, pair: Pair) -> CallResult<MarketRules> {
        let name = symbol(pair)?;
        if let Some(rules) = self.rules.get(&pair, self.caller.now()) {
            return Ok(rules);
        }
        let asked_at = self.caller.now();
        let response = self.caller.public(Endpoint::ExchangeInfo, format!("symbol={name}")).await?;
        let info: wire::ExchangeInfo = read(&response, Effect::None)?;
        self.learn_limits(&info);
        let rules = mapped(map::rules(&info, pair), Effect::None)?;
        let rules = rules.ok_or_else(|| rejected("no_market", "no such market"))?;
        self.rules.put(pair, rules.clone(), asked_at);
        Ok(rules)
    }

    /// What the account pays, as the venue tells; its setting where the venue refuses to tell.
    async fn levies(&self, pair: Pair) -> CallResult<Levies> {
        let name = symbol(pair)?;
        let now = self.caller.now();
        if let Some(levies) = self.commissions.get(&pair, now) {
            return Ok(levies);
        }
        let levies = match self.caller.signed(Endpoint::Commission, &[("symbol", name)]).await {
            Ok(response) => {
                let told = read(&response, Effect::None)?;
                mapped(map::levies(&told), Effect::None)?
            }
            Err(Refusal::Other(CallError::Rejected { .. })) => {
                Levies { fee: self.fee_bps, gst: Bps::ZERO, tds: Bps::ZERO }
            }
            Err(refusal) => return Err(refusal.into()),
        };
        self.commissions.put(pair, levies, now);
        Ok(levies)
    }

    async fn book(&self, pair: Pair) -> CallResult<Book> {
        let query = format!("symbol={}&limit=100", symbol(pair)?);
        let asked_at = self.caller.now();
        let response = self.caller.public(Endpoint::Depth, query).await?;
        mapped(map::book(&read(&response, Effect::None)?, asked_at), Effect::None)
    }

    async fn place_order(&self, order: &NewOrder) -> CallResult<Order> {
        let has_price = order.price > Decimal::ZERO || order.kind == OrderKind::Market;
        if order.quantity <= Decimal::ZERO || !has_price {
            return Err(rejected("invalid_order", "quantity and price must be positive"));
        }
        let mut params = vec![("symbol", symbol(order.pair)?), ("side", "SELL".to_owned())];
        params.extend(Self::terms(order));
        params.extend([
            ("quantity", print(order.quantity)),
            ("newClientOrderId", order.client_ref.as_str().to_owned()),
            ("newOrderRespType", "FULL".to_owned()),
        ]);
        let answer = self.caller.decided(Endpoint::PlaceOrder, &params, order.stamp).await;
        let response = answer.map_err(|refusal| {
            // That no order is known answers another question than ours: it proves nothing here.
            let error = match refusal {
                Refusal::NoSuchOrder | Refusal::NotCancelled => {
                    Effect::Money.failed("binance: an answer to another question")
                }
                refusal => CallError::from(refusal),
            };
            if refusal::is_about_rules(&error) {
                self.rules.clear();
            }
            error
        })?;
        let placed = read(&response, Effect::Money)?;
        let placed = mapped(map::order(&placed, order.pair, &order.client_ref), Effect::Money)?;
        if placed.quantity != order.quantity {
            return Err(Effect::Money.failed("binance: answered with another order"));
        }
        Ok(placed)
    }

    async fn find_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Option<Order>> {
        let params =
            [("symbol", symbol(pair)?), ("origClientOrderId", client_ref.as_str().to_owned())];
        match self.caller.signed(Endpoint::ShowOrder, &params).await {
            Ok(response) => {
                let wire = read(&response, Effect::None)?;
                mapped(map::order(&wire, pair, client_ref), Effect::None).map(Some)
            }
            Err(Refusal::NoSuchOrder) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// "Unknown order" also means closed already, so a refusal is answered by looking.
    async fn cancel_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Order> {
        let params =
            [("symbol", symbol(pair)?), ("origClientOrderId", client_ref.as_str().to_owned())];
        let refused = match self.caller.signed(Endpoint::CancelOrder, &params).await {
            Ok(response) => {
                let wire = read(&response, Effect::Money)?;
                return mapped(map::order(&wire, pair, client_ref), Effect::Money);
            }
            Err(refusal @ (Refusal::NotCancelled | Refusal::NoSuchOrder)) => refusal,
            Err(refusal) => return Err(refusal.into()),
        };
        match self.find_order(pair, client_ref).await? {
            Some(order) if order.state != OrderState::Open => Ok(order),
            Some(_) => Err(refused.into()),
            None => Err(Refusal::NoSuchOrder.into()),
        }
    }

    /// Refuses while the list of executions lags behind what the order says was executed.
    async fn fills(&self, order: &Order) -> CallResult<Vec<Fill>> {
        let unreadable = || Effect::None.failed("binance: not one of this venue's order ids");
        let order_id = order.venue_order_id.parse().map_err(|_| unreadable())?;
        let trades = self.trades_of(&symbol(order.pair)?, order_id).await?;
        if !covers(trades.iter().map(|trade| trade.qty.0), order.executed) {
            return Err(Effect::None.failed("binance: executions lag behind their order"));
        }
        mapped(trades.iter().map(|trade| map::fill(trade, order.pair)).collect(), Effect::None)
    }

    async fn fills_since(&self, pair: Pair, since: DateTime<Utc>) -> CallResult<Vec<Fill>> {
        let name = symbol(pair)?;
        let until = self.caller.server_time().await?;
        let mut fills = Vec::new();
        for (from, to) in periods(since, until, TRADES_WINDOW)? {
            let params = [
                ("symbol", name.clone()),
                ("startTime", from.timestamp_millis().to_string()),
                ("endTime", to.timestamp_millis().to_string()),
                ("limit", TRADES_PER_PAGE.to_string()),
            ];
            let trades = self.trades(Endpoint::Trades, &params).await?;
            // A full page may hide the very execution that is looked for.
            if trades.len() >= TRADES_PER_PAGE {
                return Err(Effect::None.failed("binance: too many executions since then"));
            }
            let sales = trades.iter().filter(|trade| !trade.is_buyer);
            let page: Vec<Fill> =
                mapped(sales.map(|trade| map::fill(trade, pair)).collect(), Effect::None)?;
            fills.extend(page);
        }
        Ok(fills)
    }

    async fn open_orders(&self, pair: Pair) -> CallResult<Vec<Resting>> {
        let params = [("symbol", symbol(pair)?)];
        let response = self.caller.signed(Endpoint::OpenOrders, &params).await?;
        let orders: Vec<wire::Order> = read(&response, Effect::None)?;
        let sales = orders.iter().filter(|order| order.side == "SELL");
        mapped(sales.map(|order| map::resting(order, pair)).collect(), Effect::None)
    }

    async fn holdings(&self) -> CallResult<Vec<Holding>> {
        let response = self.caller.signed(Endpoint::Account, &[]).await?;
        mapped(map::holdings(&read(&response, Effect::None)?), Effect::None)
    }
}
