//! Orders at Coinbase: placed once, found by our reference, cancelled, and what was executed.
//!
//! Invariants: nothing is retried here; executions that do not cover their order yet, and lists
//! that do not end, are no answer. The venue finds an order by its own id alone, so by our
//! reference it is looked for in the list of the last days: what is not there may still be.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use outbound::Effect;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use primitives::{Asset, Bps, CallError, CallResult};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Coinbase, NAME,
    call::{Call, Page, lost_thread},
    map, mapped, product, read,
    refusal::{self, Refusal, no_such_order},
    rejected,
    source::BOOK,
    wire,
};
use crate::{
    Book, ClientRef, Exchange, Fill, Holding, Levies, MarketRules, NewOrder, Order, OrderKind,
    OrderState, Pair, Resting,
    decimal::{print, units},
    mapping::covers,
};

const PRODUCTS: &str = "/api/v3/brokerage/market/products";
const ORDERS: &str = "/api/v3/brokerage/orders";
const CANCELS: &str = "/api/v3/brokerage/orders/batch_cancel";
const HISTORY: &str = "/api/v3/brokerage/orders/historical";
const LISTED: &str = "/api/v3/brokerage/orders/historical/batch";
const FILLS: &str = "/api/v3/brokerage/orders/historical/fills";
const ACCOUNTS: &str = "/api/v3/brokerage/accounts";
const SUMMARY: &str = "/api/v3/brokerage/transaction_summary";
const PAGES_MAX: usize = 40;
const PER_PAGE: usize = 250;

fn cursor(cursor: Option<String>) -> Option<String> {
    let cursor = cursor.filter(|cursor| !cursor.is_empty())?;
    Some(format!("cursor={}", utf8_percent_encode(&cursor, NON_ALPHANUMERIC)))
}

/// Where a list goes on that says whether it does: a page may be empty and not be the last.
fn told(has_next: bool, at: Option<String>) -> CallResult<Option<String>> {
    if has_next { cursor(at).ok_or_else(lost_thread).map(Some) } else { Ok(None) }
}

impl Page for wire::Orders {
    type Item = wire::Order;

    fn items(self) -> (Vec<wire::Order>, CallResult<Option<String>>) {
        (self.orders, told(self.has_next, self.cursor))
    }
}

impl Page for wire::Fills {
    type Item = wire::Fill;

    /// This list has a cursor on its last page, too: it ends with a page that is empty.
    fn items(self) -> (Vec<wire::Fill>, CallResult<Option<String>>) {
        let next = cursor(self.cursor).filter(|_| !self.fills.is_empty());
        (self.fills, Ok(next))
    }
}

impl Page for wire::Accounts {
    type Item = wire::Account;

    fn items(self) -> (Vec<wire::Account>, CallResult<Option<String>>) {
        (self.accounts, told(self.has_next, self.cursor))
    }
}

fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The venue's own id, which becomes part of a path or a query.
fn order_id(id: &str, effect: Effect) -> CallResult<&str> {
    let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let unreadable = || effect.failed("coinbase: not one of this venue's order ids");
    plain.then_some(id).ok_or_else(unreadable)
}

/// The kind-dependent part of an order.
fn configuration(order: &NewOrder) -> Value {
    let (size, price) = (print(order.quantity), print(order.price));
    match order.kind {
        OrderKind::Limit => {
            let terms = json!({"base_size": size, "limit_price": price, "post_only": false});
            json!({"limit_limit_gtc": terms})
        }
        OrderKind::ImmediateOrCancel => {
            json!({"sor_limit_ioc": {"base_size": size, "limit_price": price}})
        }
        OrderKind::Market => json!({"market_market_ioc": {"base_size": size}}),
    }
}

impl Coinbase {
    /// An order by the venue's own id, which is part of the path.
    async fn show(&self, id: &str) -> Result<wire::Order, Refusal> {
        order_id(id, Effect::None)?;
        let response = self.caller.signed(&Call::get(format!("{HISTORY}/{id}"), "")).await?;
        let shown: wire::Shown = read(&response, Effect::None)?;
        Ok(shown.order)
    }

    /// The order that carries our reference, newest days only.
    async fn look_for(&self, name: &str, client_ref: &str) -> CallResult<Option<wire::Order>> {
        let since = self.caller.now().checked_sub_signed(self.look_back).unwrap_or_default();
        let query = format!(
            "product_ids={name}&order_side=SELL&start_date={}&limit={PER_PAGE}",
            iso(since)
        );
        let is_ours = |order: &wire::Order| order.client_order_id == client_ref;
        let is_enough = |page: &[wire::Order]| page.iter().any(is_ours);
        let call = Call::get(LISTED, query);
        let orders = self.caller.walk::<wire::Orders>(&call, PAGES_MAX, is_enough).await?;
        Ok(orders.into_iter().find(is_ours))
    }

    async fn find(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Option<Order>> {
        let name = product(pair)?;
        let reference = client_ref.as_str();
        if let Some(id) = self.placed.get(&reference.to_owned(), self.caller.now()) {
            match self.show(&id).await {
                Ok(wire) => {
                    return mapped(map::order(&wire, pair, client_ref), Effect::None).map(Some);
                }
                Err(Refusal::NotFound) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let Some(wire) = self.look_for(&name, reference).await? else { return Ok(None) };
        let order = mapped(map::order(&wire, pair, client_ref), Effect::None)?;
        self.remember(&order);
        Ok(Some(order))
    }

    fn remember(&self, order: &Order) {
        let (reference, id) = (order.client_ref.as_str().to_owned(), order.venue_order_id.clone());
        self.placed.put(reference, id, self.caller.now());
    }

    /// The answer to a placement is an id alone, so the order is read. Where that fails it is open
    /// as far as we know: it was taken.
    async fn as_placed(&self, new: &NewOrder, taken: &wire::Taken) -> CallResult<Order> {
        let name = product(new.pair)?;
        let ours = taken.client_order_id == new.client_ref.as_str()
            && taken.product_id == name
            && taken.side == "SELL";
        let id = order_id(&taken.order_id, Effect::Money)?;
        if !ours {
            return Err(Effect::Money.failed("coinbase: answered with another order"));
        }
        let price = if new.kind == OrderKind::Market { Decimal::ZERO } else { new.price };
        let open = Order {
            venue_order_id: id.to_owned(),
            client_ref: new.client_ref.clone(),
            pair: new.pair,
            state: OrderState::Open,
            quantity: new.quantity,
            executed: Decimal::ZERO,
            price,
        };
        self.remember(&open);
        let Ok(wire) = self.show(&open.venue_order_id).await else { return Ok(open) };
        let order = mapped(map::order(&wire, new.pair, &new.client_ref), Effect::Money)?;
        if order.quantity != new.quantity {
            return Err(Effect::Money.failed("coinbase: answered with another order"));
        }
        Ok(order)
    }

    async fn listed_fills(&self, query: String, pair: Pair) -> CallResult<Vec<Fill>> {
        let call = Call::get(FILLS, query);
        let lines = self.caller.walk::<wire::Fills>(&call, PAGES_MAX, |_| false).await?;
        let sales: Vec<_> = lines.into_iter().filter(|line| line.side == "SELL").collect();
        mapped(map::fills(&sales, pair), Effect::None)
    }
}

#[async_trait]
impl Exchange for Coinbase {
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
        self.caller.fence()
    }

    async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        self.caller.server_time().await
    }

    async fn rules(&self, pair: Pair) -> CallResult<MarketRules> {
        let name = product(pair)?;
        let now = self.caller.now();
        if let Some(rules) = self.rules.get(&pair, now) {
            return Ok(rules);
        }
        let response = self.caller.public(&Call::get(format!("{PRODUCTS}/{name}"), "")).await?;
        let rules = mapped(map::rules(&read(&response, Effect::None)?, pair), Effect::None)?;
        self.rules.put(pair, rules.clone(), now);
        Ok(rules)
    }

    /// What the account pays, as the venue tells; its setting where the venue refuses to tell.
    async fn levies(&self, pair: Pair) -> CallResult<Levies> {
        product(pair)?;
        let now = self.caller.now();
        if let Some(levies) = self.commissions.get(&(), now) {
            return Ok(levies);
        }
        let levies = match self.caller.signed(&Call::get(SUMMARY, "product_type=SPOT")).await {
            Ok(response) => mapped(map::levies(&read(&response, Effect::None)?), Effect::None)?,
            Err(Refusal::NotFound | Refusal::Other(CallError::Rejected { .. })) => {
                Levies { fee: self.fee_bps, gst: Bps::ZERO, tds: Bps::ZERO }
            }
            Err(refusal) => return Err(refusal.into()),
        };
        self.commissions.put((), levies, now);
        Ok(levies)
    }

    async fn book(&self, pair: Pair) -> CallResult<Book> {
        let query = format!("product_id={}&limit=100", product(pair)?);
        let response = self.caller.public(&Call::get(BOOK, query)).await?;
        let told: wire::ProductBook = read(&response, Effect::None)?;
        mapped(map::book(&told.pricebook, pair), Effect::None)
    }

    async fn place_order(&self, order: &NewOrder) -> CallResult<Order> {
        let has_price = order.price > Decimal::ZERO || order.kind == OrderKind::Market;
        if order.quantity <= Decimal::ZERO || !has_price {
            return Err(rejected("invalid_order", "quantity and price must be positive"));
        }
        let body = json!({
            "client_order_id": order.client_ref.as_str(),
            "product_id": product(order.pair)?,
            "side": "SELL",
            "order_configuration": configuration(order),
        });
        let call = Call::post(ORDERS, &body, Effect::Money);
        let response = self.caller.decided(&call, order.stamp).await?;
        let placed: wire::Placed = read(&response, Effect::Money)?;
        match &placed.success_response {
            Some(taken) if placed.success => self.as_placed(order, taken).await,
            _ if placed.success => Err(Effect::Money.failed("coinbase: an order without an id")),
            _ => {
                let refused = refusal::not_placed(&placed);
                if refusal::is_about_rules(&refused) {
                    self.rules.clear();
                }
                Err(refused)
            }
        }
    }

    async fn find_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Option<Order>> {
        self.find(pair, client_ref).await
    }

    /// The venue cancels by its own id, so the order is found first. "Cancelled" only means that
    /// the wish was taken, so the order is read again; a refusal may mean that it has just ended.
    async fn cancel_order(&self, pair: Pair, client_ref: &ClientRef) -> CallResult<Order> {
        let order = self.find(pair, client_ref).await?.ok_or_else(no_such_order)?;
        if order.state != OrderState::Open {
            return Ok(order);
        }
        let body = json!({"order_ids": [order.venue_order_id]});
        let call = Call::post(CANCELS, &body, Effect::Money);
        let response = self.caller.decided(&call, self.caller.now()).await?;
        let told: wire::Cancels = read(&response, Effect::Money)?;
        let one = told.results.iter().find(|result| result.order_id == order.venue_order_id);
        let one = one.ok_or_else(|| Effect::Money.failed("coinbase: no word on the cancel"))?;
        let reason = one.failure_reason.as_deref().unwrap_or_default();
        let is_wished = one.success || reason == "DUPLICATE_CANCEL_REQUEST";
        match self.find(pair, client_ref).await {
            Ok(Some(now)) if is_wished || now.state != OrderState::Open => Ok(now),
            _ if is_wished => Ok(order),
            Err(error) => Err(error),
            Ok(_) => Err(rejected("not_cancelled", &outbound::vendor_text(reason))),
        }
    }

    /// Refuses while the list of executions lags behind what the order says was executed.
    async fn fills(&self, order: &Order) -> CallResult<Vec<Fill>> {
        product(order.pair)?;
        let id = order_id(&order.venue_order_id, Effect::None)?;
        let query = format!("order_ids={id}&limit={PER_PAGE}");
        let mut fills = self.listed_fills(query, order.pair).await?;
        fills.retain(|fill| fill.venue_order_id == id);
        let sold = fills.iter().map(|fill| units(fill.sold).unwrap_or_default());
        if !covers(sold, order.executed) {
            return Err(Effect::None.failed("coinbase: executions lag behind their order"));
        }
        Ok(fills)
    }

    async fn fills_since(&self, pair: Pair, since: DateTime<Utc>) -> CallResult<Vec<Fill>> {
        let name = product(pair)?;
        let from = iso(since);
        let query = format!("product_ids={name}&start_sequence_timestamp={from}&limit={PER_PAGE}");
        let mut fills = self.listed_fills(query, pair).await?;
        fills.retain(|fill| fill.executed_at >= since);
        Ok(fills)
    }

    async fn open_orders(&self, pair: Pair) -> CallResult<Vec<Resting>> {
        let name = product(pair)?;
        let query =
            format!("product_ids={name}&order_status=OPEN&order_side=SELL&limit={PER_PAGE}");
        let call = Call::get(LISTED, query);
        let orders = self.caller.walk::<wire::Orders>(&call, PAGES_MAX, |_| false).await?;
        let sales = orders.iter().filter(|order| order.side == "SELL");
        mapped(sales.map(|order| map::resting(order, pair)).collect(), Effect::None)
    }

    async fn holdings(&self) -> CallResult<Vec<Holding>> {
        let call = Call::get(ACCOUNTS, format!("limit={PER_PAGE}"));
        let accounts = self.caller.walk::<wire::Accounts>(&call, PAGES_MAX, |_| false).await?;
        mapped(map::holdings(&accounts), Effect::None)
    }
}
