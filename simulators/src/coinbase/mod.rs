//! Coinbase's public data in its three dialects: v2 rates, Advanced Trade, Exchange.
//!
//! Invariant: rates are decimal strings (JSON numbers only in the `numbers` mode); v2 carries no
//! timestamp, as at the vendor. There is no account and nothing to trade here, so no books.

mod exchange;
mod rates;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    World,
    serving::{Call, Dialect, faults},
    venue::{Limiter, Verdict},
};

/// The simulator's name in faults and prices.
pub(crate) const NAME: &str = "coinbase";
const DIALECT: Dialect = Dialect { target: NAME, failure, rejection, limited };
const OPERATIONS: &[&str] =
    &["time", "exchange_rates", "price", "products", "product", "ticker", "book", "stats"];
/// Calls at once, and per minute after that.
const BURST: u32 = 100;
const PER_MINUTE: u32 = 600;

/// What a handler answers: a body, or why not.
type Answer = Result<Value, Absent>;

/// The thing asked for is not there.
#[derive(Debug)]
struct Absent(&'static str);

type Handler = fn(&World, &[&str], &Call) -> Answer;

#[derive(Debug)]
struct Source {
    world: Arc<World>,
    limiter: Mutex<Limiter>,
}

/// The HTTP side; there is nothing to hold on to.
pub fn router(world: Arc<World>) -> Router {
    world.faults.declare(NAME, OPERATIONS, &[]);
    let source = Arc::new(Source { world, limiter: Mutex::default() });
    Router::new().fallback(handle).with_state(source)
}

async fn handle(Shared(source): Shared<Arc<Source>>, request: Request) -> Response {
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(status) => return status.into_response(),
    };
    let world = Arc::clone(&source.world);
    world.run_due();
    let path = call.path.clone();
    let parts: Vec<String> =
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let found = if call.method == Method::GET { find(&names) } else { None };
    let Some((operation, handler)) = found else {
        return refuse(StatusCode::NOT_FOUND, "not_found", "Not found");
    };
    faults::respond(&world, DIALECT, operation, move || source.answer(handler, &parts, &call)).await
}

/// The operation's name and handler by the parts of the path.
fn find(parts: &[&str]) -> Option<(&'static str, Handler)> {
    Some(match parts {
        ["v2", "time"] => ("time", rates::time),
        ["v2", "exchange-rates"] => ("exchange_rates", rates::exchange_rates),
        ["v2", "prices", _, "spot" | "buy" | "sell"] => ("price", rates::price),
        ["api", "v3", "brokerage", "time"] => ("time", exchange::brokerage_time),
        ["api", "v3", "brokerage", "market", "products"] => ("products", exchange::listing),
        ["api", "v3", "brokerage", "market", "product_book"] => ("book", exchange::pricebook),
        ["api", "v3", "brokerage", "market", "products", _] => ("product", exchange::listed),
        ["api", "v3", "brokerage", "market", "products", _, "ticker"] => {
            ("ticker", exchange::brokerage_ticker)
        }
        ["time"] => ("time", exchange::time),
        ["products"] => ("products", exchange::products),
        ["products", _] => ("product", exchange::product),
        ["products", _, "ticker"] => ("ticker", exchange::ticker),
        ["products", _, "book"] => ("book", exchange::book),
        ["products", _, "stats"] => ("stats", exchange::stats),
        _ => return None,
    })
}

impl Source {
    fn answer(&self, handler: Handler, parts: &[String], call: &Call) -> Response {
        let now = self.world.now();
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = if self.world.limits() {
            limiter.take("all", PER_MINUTE, BURST, now)
        } else {
            Verdict::Pass
        };
        drop(limiter);
        if let Verdict::Slow(seconds) | Verdict::Banned(seconds) = verdict {
            return limited(false, seconds);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match handler(&self.world, &parts, call) {
            Ok(body) => Json(body).into_response(),
            Err(Absent(what)) => refuse(StatusCode::NOT_FOUND, "not_found", what),
        }
    }
}

fn refuse(status: StatusCode, id: &str, message: &str) -> Response {
    let body = json!({"errors": [{"id": id, "message": message}], "message": message});
    (status, Json(body)).into_response()
}

fn limited(_: bool, seconds: u64) -> Response {
    let body = json!({"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]});
    let mut response = (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn failure(status: StatusCode) -> Response {
    refuse(status, "internal_server_error", status.canonical_reason().unwrap_or("Error"))
}

fn rejection(code: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, code, "Request was rejected.")
}
