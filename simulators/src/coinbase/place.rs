//! Placing an order: what is in the body, what it must keep to, and what it becomes.
//!
//! Invariant: a `client_order_id` names one order for ever: sent again, whatever else is in the
//! body, the order that is there is answered and nothing is traded. Sizes and prices are strings;
//! a field that the vendor does not have is refused before anything is looked at.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, Exchange, NAME,
    engine::{State, WHOLE},
    market,
    order::{InForce, Kind, Order, Status},
    settings::{Duplicates, Mode},
    wire::{Refusal, Rejection, body, decimal, uuid},
};
use crate::{
    fault::Fault,
    serving::Call,
    venue::{Side, is_multiple},
};

const CLIENT_ID_MAX: usize = 128;
const UNSUPPORTED: [&str; 9] = [
    "stop_limit_stop_limit_gtc",
    "stop_limit_stop_limit_gtd",
    "trigger_bracket_gtc",
    "trigger_bracket_gtd",
    "twap_limit_gtd",
    "scaled_limit_gtc",
    "limit_limit_bracket_gtc",
    "market_market_fok",
    "spread_limit_gtc",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placed {
    #[serde(default)]
    client_order_id: String,
    #[serde(default)]
    product_id: String,
    #[serde(default)]
    side: String,
    #[serde(default)]
    order_configuration: Map<String, Value>,
    #[serde(default, rename = "self_trade_prevention_id")]
    _prevention: Option<String>,
    #[serde(default, rename = "leverage")]
    _leverage: Option<String>,
    #[serde(default, rename = "margin_type")]
    _margin_type: Option<String>,
    #[serde(default, rename = "retail_portfolio_id")]
    _portfolio: Option<String>,
    #[serde(default, rename = "preview_id")]
    _preview: Option<String>,
}

/// The inside of every configuration this world trades.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    base_size: Option<String>,
    quote_size: Option<String>,
    limit_price: Option<String>,
    #[serde(default)]
    post_only: bool,
    end_time: Option<DateTime<Utc>>,
}

/// What a configuration asks for.
struct Terms {
    kind: Kind,
    in_force: InForce,
    price: Option<Decimal>,
    quantity: Decimal,
    quote_size: Option<Decimal>,
    post_only: bool,
}

pub(super) fn place(ex: &Exchange, state: &mut State, call: &Call, _: &[&str]) -> Answer {
    let placed: Placed = body(call)?;
    let id = placed.client_order_id.as_str();
    if id.is_empty() || id.len() > CLIENT_ID_MAX {
        return Err(Refusal::invalid("client_order_id is required"));
    }
    let configuration = Value::Object(placed.order_configuration.clone());
    if let Some(known) = state.by_client_id(id) {
        if state.settings.duplicates == Duplicates::Reject {
            let text = "Duplicate client order id";
            let rejection = Rejection::new("DUPLICATE_CLIENT_ORDER_ID", text);
            return Ok(rejection.to_json(&configuration));
        }
        return Ok(success(known));
    }
    let order = match read_order(ex, state, &placed, configuration.clone())? {
        Ok(order) => order,
        Err(rejection) => return Ok(rejection.to_json(&configuration)),
    };
    match state.accept(order) {
        Ok(order) => Ok(success(&order)),
        Err(rejection) => Ok(rejection.to_json(&configuration)),
    }
}

fn success(order: &Order) -> Value {
    json!({
        "success": true,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "order_id": order.id,
        "success_response": {
            "order_id": order.id,
            "product_id": order.product.id(),
            "side": order.side.upper(),
            "client_order_id": order.client_id,
        },
        "order_configuration": order.configuration,
    })
}

pub(super) fn value_bps(fault: &Fault, default: u32) -> u32 {
    fault.value.as_ref().and_then(|text| text.parse().ok()).unwrap_or(default).min(WHOLE)
}

pub(super) fn later(fault: &Fault, default_ms: u64) -> TimeDelta {
    TimeDelta::from_std(fault.delay(default_ms)).unwrap_or_default()
}

/// The outer refusal is of the call, the inner one of the order.
fn read_order(
    ex: &Exchange,
    state: &State,
    placed: &Placed,
    configuration: Value,
) -> Result<Result<Order, Rejection>, Refusal> {
    let side = match placed.side.as_str() {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err(Refusal::invalid("side is required")),
    };
    let Some(product) = market::find(&placed.product_id) else {
        return Ok(Err(Rejection::new("INVALID_PRODUCT_ID", "Invalid product id")));
    };
    let terms = match read_terms(&placed.order_configuration)? {
        Ok(terms) => terms,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if let Err(rejection) = permit(state, product, &terms) {
        return Ok(Err(rejection));
    }
    let now = ex.world.now();
    if let Err(rejection) = check(product, side, &terms, now) {
        return Ok(Err(rejection));
    }
    let named = |name| ex.world.faults.take_named(NAME, "place_order", name);
    let appetite = match named("no_fill") {
        Some(_) => 0,
        None => named("partial_fill").map_or(WHOLE, |fault| value_bps(&fault, 5000)),
    };
    let wait = |fault: Option<Fault>| fault.map_or(TimeDelta::zero(), |fault| later(&fault, 2_000));
    let (slow, failing) = (wait(named("slow_accept")), named("fails_later"));
    let (fails, slow) = (failing.is_some(), slow.max(wait(failing)));
    let lag = wait(named("query_lag"));
    let (taker_rate, maker_rate) = state.settings.rates(product.is_stable);
    Ok(Ok(Order {
        number: state.next_number(),
        id: uuid(ex.world.entropy.bytes()),
        client_id: placed.client_order_id.clone(),
        product,
        side,
        kind: terms.kind,
        in_force: terms.in_force,
        post_only: terms.post_only,
        price: terms.price,
        quantity: terms.quantity,
        quote_size: terms.quote_size,
        configuration,
        taker_rate,
        maker_rate,
        executed: Decimal::ZERO,
        quote_executed: Decimal::ZERO,
        fees: Decimal::ZERO,
        fills: 0,
        status: Status::Pending,
        locked: Decimal::ZERO,
        created: now,
        last_fill: None,
        starts: now + slow,
        appetite,
        fails,
        cancelled_at: None,
        visible_from: now + lag,
        reject_reason: "REJECT_REASON_UNSPECIFIED",
        cancel_message: "",
    }))
}

fn read_terms(configuration: &Map<String, Value>) -> Result<Result<Terms, Rejection>, Refusal> {
    let mut named = configuration.iter();
    let (Some((name, inside)), None) = (named.next(), named.next()) else {
        return Err(Refusal::invalid("exactly one order configuration is required"));
    };
    if UNSUPPORTED.contains(&name.as_str()) {
        let text = "Order configuration is not supported";
        return Ok(Err(Rejection::new("UNSUPPORTED_ORDER_CONFIGURATION", text)));
    }
    let sizes: Sizes = serde_json::from_value(inside.clone())
        .map_err(|error| Refusal::unreadable(format!("proto: {name}: {error}")))?;
    let (kind, in_force) = match (name.as_str(), sizes.end_time) {
        ("market_market_ioc", None) => (Kind::Market, InForce::Ioc),
        ("sor_limit_ioc", None) => (Kind::Limit, InForce::Ioc),
        ("limit_limit_fok", None) => (Kind::Limit, InForce::Fok),
        ("limit_limit_gtc", None) => (Kind::Limit, InForce::Gtc),
        ("limit_limit_gtd", Some(end)) => (Kind::Limit, InForce::Gtd(end)),
        _ => return Err(Refusal::unreadable(format!("proto: unknown field \"{name}\""))),
    };
    let rests = matches!(in_force, InForce::Gtc | InForce::Gtd(_));
    let read = |text: &Option<String>| text.as_deref().map(decimal);
    let (base, quote, price) =
        (read(&sizes.base_size), read(&sizes.quote_size), read(&sizes.limit_price));
    let terms = match (kind, base, quote, price) {
        (_, Some(None), _, _) | (_, _, Some(None), _) => {
            return Ok(Err(Rejection::preview("PREVIEW_INVALID_ORDER_CONFIG", "Invalid size")));
        }
        (_, _, _, Some(None)) => {
            return Ok(Err(Rejection::new("INVALID_LIMIT_PRICE", "Invalid limit price")));
        }
        (Kind::Limit, Some(Some(quantity)), None, Some(Some(price))) => {
            (quantity, None, Some(price))
        }
        (Kind::Market, Some(Some(quantity)), None, None) => (quantity, None, None),
        (Kind::Market, None, Some(Some(quote)), None) => (Decimal::ZERO, Some(quote), None),
        _ => return Err(Refusal::invalid("sizes and prices do not fit the configuration")),
    };
    if sizes.post_only && !rests {
        return Err(Refusal::unreadable(format!("proto: {name}: unknown field \"post_only\"")));
    }
    let (quantity, quote_size, price) = terms;
    let post_only = sizes.post_only;
    Ok(Ok(Terms { kind, in_force, price, quantity, quote_size, post_only }))
}

/// Whether the venue and the product take such orders at the moment.
fn permit(state: &State, product: &market::Product, terms: &Terms) -> Result<(), Rejection> {
    if state.settings.maintenance {
        return Err(Rejection::new("ORDER_ENTRY_DISABLED", "Order entry is disabled"));
    }
    let takes = match state.settings.mode(&product.id()) {
        Mode::Online => true,
        Mode::LimitOnly => terms.kind == Kind::Limit,
        Mode::PostOnly => terms.post_only,
        Mode::TradingDisabled | Mode::CancelOnly | Mode::ViewOnly => false,
    };
    if takes {
        return Ok(());
    }
    Err(Rejection::preview(
        "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE",
        "The product does not take such orders at the moment",
    ))
}

/// Increments and sizes.
fn check(
    product: &market::Product,
    side: Side,
    terms: &Terms,
    now: DateTime<Utc>,
) -> Result<(), Rejection> {
    let market = &product.market;
    if matches!(terms.in_force, InForce::Gtd(end) if end <= now) {
        return Err(Rejection::preview("PREVIEW_INVALID_END_TIME", "Invalid end time"));
    }
    if terms.price.is_some_and(|price| !is_multiple(price, market.tick)) {
        return Err(Rejection::new("INVALID_PRICE_PRECISION", "Too many decimals in order price"));
    }
    if let Some(quote) = terms.quote_size {
        if side == Side::Sell {
            let text = "A market order that sells needs a base size";
            return Err(Rejection::preview("PREVIEW_INVALID_ORDER_CONFIG", text));
        }
        if !is_multiple(quote, market.tick) {
            let text = "Too many decimals in order amount";
            return Err(Rejection::preview("PREVIEW_INVALID_QUOTE_SIZE_PRECISION", text));
        }
        if quote < market.min_notional {
            let text = "Order size is too small";
            return Err(Rejection::preview("PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL", text));
        }
        return Ok(());
    }
    if !is_multiple(terms.quantity, market.step) {
        return Err(Rejection::new("INVALID_SIZE_PRECISION", "Too many decimals in order amount"));
    }
    let is_little = terms.price.is_some_and(|price| price * terms.quantity < market.min_notional);
    if terms.quantity < product.least || is_little {
        let text = "Order size is too small";
        return Err(Rejection::preview("PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", text));
    }
    if terms.quantity > product.most {
        let text = "Order size is too large";
        return Err(Rejection::preview("PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", text));
    }
    Ok(())
}
