//! The control server: faults, prices, deposits, settings and everybody's books.
//!
//! Invariant: it is the only way besides the vendors' own calls to change the simulated world,
//! and every change of a balance still goes through the journal. It has no authentication: it is
//! for loopback. Coins in and out, orders behind the vendor's back, sockets and chains are in
//! `custody.rs`.

mod coinbase;
mod custody;

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use rust_decimal::Decimal;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    World, binance, chains, coinbase as coinbase_venue,
    fault::{COMMON, Fault, UnknownFault},
    merchant,
    prices::{ModeRequest, Prices},
    razorpayx,
    serving::BODY_LIMIT,
    wazirx,
};

/// What the control server reaches into.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) world: Arc<World>,
    pub(crate) bank: Arc<razorpayx::Bank>,
    pub(crate) inbox: Arc<merchant::Inbox>,
    pub(crate) wazirx: Arc<wazirx::Exchange>,
    pub(crate) binance: Arc<binance::Exchange>,
    pub(crate) coinbase: Arc<coinbase_venue::Exchange>,
    pub(crate) chains: Arc<chains::Watchers>,
}

/// Why a control call did nothing.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

fn bad(message: impl ToString) -> Refused {
    Refused(StatusCode::BAD_REQUEST, message.to_string())
}

type Answer = Result<Json<Value>, Refused>;
type Body = Result<Json<Value>, JsonRejection>;

fn done() -> Answer {
    Ok(Json(json!({"status": "ok"})))
}

fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    let Json(value) = body.map_err(|rejection| bad(rejection.body_text()))?;
    serde_json::from_value(value).map_err(bad)
}

pub(crate) fn router(parts: Parts) -> Router {
    let bank = razorpayx::control_router(Arc::clone(&parts.bank));
    let inbox = merchant::control_router(Arc::clone(&parts.inbox));
    let custody = custody::router(parts.clone());
    let coinbase = coinbase::router(parts.clone());
    Router::new()
        .route("/healthz", get(health))
        .route("/faults", post(add_faults).get(list_faults).delete(clear_faults))
        .route("/prices", post(set_prices).get(show_prices))
        .route("/price_mode", post(set_price_mode))
        .route("/liquidity", post(set_liquidity))
        .route("/match", post(match_resting))
        .route("/limits", post(set_limits))
        .route("/books/{simulator}", get(book))
        .route("/wazirx/settings", get(wazirx_settings).post(set_wazirx_settings))
        .route("/binance/settings", get(binance_settings).post(set_binance_settings))
        .route("/webhook_target", post(set_webhook_target))
        .with_state(parts)
        .merge(custody)
        .merge(coinbase)
        .nest("/razorpayx", bank)
        .nest("/merchant", inbox)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

async fn health(State(parts): State<Parts>) -> Answer {
    parts.world.run_due();
    Ok(Json(json!({"status": "ok", "seed": parts.world.seed})))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Fault),
    Many(Vec<Fault>),
}

async fn add_faults(State(parts): State<Parts>, body: Body) -> Answer {
    let faults = match read(body)? {
        OneOrMany::One(fault) => vec![fault],
        OneOrMany::Many(faults) => faults,
    };
    let unknown = |unknown: UnknownFault| bad(format!("unknown {}", unknown.0));
    // All or none.
    for fault in &faults {
        parts.world.faults.check(fault).map_err(unknown)?;
    }
    for fault in faults {
        parts.world.faults.queue(fault).map_err(unknown)?;
    }
    done()
}

async fn list_faults(State(parts): State<Parts>) -> Answer {
    let faults = &parts.world.faults;
    Ok(Json(json!({
        "waiting": faults.waiting(),
        "struck": faults.struck(),
        "common": COMMON,
        "targets": faults.declared(),
    })))
}

async fn clear_faults(State(parts): State<Parts>) -> Answer {
    parts.world.faults.clear();
    done()
}

/// A decimal in a string or in digits without a string; `null` where the caller allows it.
fn decimal(value: &Value) -> Result<Decimal, Refused> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(bad("a decimal string is needed")),
    };
    Decimal::from_str(&text).map_err(|_| bad("a decimal string is needed"))
}

async fn set_prices(State(parts): State<Parts>, body: Body) -> Answer {
    let wanted: BTreeMap<String, Value> = read(body)?;
    let mut prices = Vec::new();
    for (pair, price) in wanted {
        let price = if price.is_null() { None } else { Some(decimal(&price)?) };
        Prices::check(&pair, price).map_err(bad)?;
        prices.push((pair, price));
    }
    for (pair, price) in prices {
        match price {
            None => parts.world.prices.unpin(&pair),
            Some(price) => parts.world.prices.pin(&pair, price).map_err(bad)?,
        }
    }
    // Resting orders meet the new prices at once.
    parts.wazirx.match_resting();
    parts.binance.match_resting();
    parts.coinbase.match_resting();
    done()
}

async fn show_prices(State(parts): State<Parts>) -> Answer {
    let (prices, now) = (&parts.world.prices, parts.world.now());
    let mids = |source: &str, pairs: &[&str]| -> BTreeMap<String, Option<String>> {
        let mid = |pair: &&str| {
            ((*pair).to_owned(), prices.mid(source, pair, now).map(|mid| mid.to_string()))
        };
        pairs.iter().map(mid).collect()
    };
    Ok(Json(json!({
        "pinned": prices.pins(),
        "wazirx": mids("wazirx", &["BTCINR", "ETHINR", "SOLINR", "USDTINR", "USDCINR"]),
        "binance": mids("binance", &["BTCUSDT", "ETHUSDT", "SOLUSDT", "USDCUSDT"]),
        "coinbase": mids("coinbase", COINBASE_PAIRS),
        "coingecko": mids("coingecko", &["BTCINR", "ETHINR", "SOLINR", "USDTINR", "USDCINR"]),
    })))
}

async fn set_price_mode(State(parts): State<Parts>, body: Body) -> Answer {
    let request: ModeRequest = read(body)?;
    parts.world.prices.set_mode(&request, parts.world.now()).map_err(bad)?;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Liquidity {
    source: String,
    pair: String,
    scale: Value,
}

async fn set_liquidity(State(parts): State<Parts>, body: Body) -> Answer {
    let Liquidity { source, pair, scale } = read(body)?;
    parts.world.prices.set_liquidity(&source, &pair, decimal(&scale)?).map_err(bad)?;
    done()
}

async fn match_resting(State(parts): State<Parts>) -> Answer {
    parts.wazirx.match_resting();
    parts.binance.match_resting();
    parts.coinbase.match_resting();
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    limits: bool,
}

async fn set_limits(State(parts): State<Parts>, body: Body) -> Answer {
    let Limits { limits } = read(body)?;
    parts.wazirx.set_settings(wazirx::Settings { limits, ..parts.wazirx.settings() });
    parts.binance.set_settings(binance::Settings { limits, ..parts.binance.settings() });
    let settings = coinbase_venue::Settings { limits, ..parts.coinbase.settings() };
    parts.coinbase.set_settings(settings);
    parts.world.set_limits(limits);
    done()
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: u64,
    #[serde(default = "page_length")]
    limit: usize,
}

/// Rates in rupees, and what its engine trades.
const COINBASE_PAIRS: &[&str] = &[
    "BTCINR", "ETHINR", "SOLINR", "USDTINR", "USDCINR", "BTCUSDT", "ETHUSDT", "SOLUSDT", "USDTUSD",
];

const fn page_length() -> usize {
    10_000
}

async fn book(
    State(parts): State<Parts>,
    Path(simulator): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    parts.world.run_due();
    let journal = &parts.world.journal;
    let mut body = match simulator.as_str() {
        "wazirx" => parts.wazirx.book(),
        "binance" => parts.binance.book(),
        "coinbase" => parts.coinbase.book(),
        "razorpayx" | "merchant" => json!({"simulator": simulator}),
        _ => {
            return Err(Refused(StatusCode::NOT_FOUND, "no such simulator".to_owned()));
        }
    };
    if let Some(fields) = body.as_object_mut() {
        let sums = journal.balances(&simulator);
        fields.insert("journal_balances".to_owned(), json!(sums));
        let entries = journal.entries(&simulator, page.after, page.limit.min(page_length()));
        fields.insert("entries".to_owned(), json!(entries));
    }
    Ok(Json(body))
}

async fn wazirx_settings(State(parts): State<Parts>) -> Answer {
    Ok(Json(json!(parts.wazirx.settings())))
}

async fn binance_settings(State(parts): State<Parts>) -> Answer {
    Ok(Json(json!(parts.binance.settings())))
}

/// The settings with the fields of `changes` replaced.
fn merged<T: DeserializeOwned>(current: Value, changes: Body) -> Result<T, Refused> {
    let changes: serde_json::Map<String, Value> = read(changes)?;
    let mut merged = current;
    if let Some(fields) = merged.as_object_mut() {
        fields.extend(changes);
    }
    serde_json::from_value(merged).map_err(bad)
}

fn set(taken: bool) -> Answer {
    if taken {
        done()
    } else {
        Err(bad("a number in it makes no sense, such as a rate above 100 %"))
    }
}

async fn set_wazirx_settings(State(parts): State<Parts>, body: Body) -> Answer {
    set(parts.wazirx.set_settings(merged(json!(parts.wazirx.settings()), body)?))
}

async fn set_binance_settings(State(parts): State<Parts>, body: Body) -> Answer {
    set(parts.binance.set_settings(merged(json!(parts.binance.settings()), body)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    url: Option<String>,
}

async fn set_webhook_target(State(parts): State<Parts>, body: Body) -> Answer {
    let Target { url } = read(body)?;
    let plain = |url: &String| url.len() <= 2048 && url.starts_with("http://");
    if !url.as_ref().is_none_or(plain) {
        return Err(bad("not a plain http URL"));
    }
    parts.world.set_webhook_url(url);
    done()
}
