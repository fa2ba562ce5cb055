//! Coinbase: the trading API (`/api/v3/brokerage`), the older API (`/v2`) with accounts, addresses
//! and transactions, and the older exchange's public data (`/products`).
//!
//! Invariant: a private call passes with a CDP key's token made for it (ES256 or Ed25519); rates
//! are decimal strings (JSON numbers only in the `numbers` mode); v2 rates carry no timestamp, as
//! at the vendor. OAuth, the keys of before (HMAC) and sockets are deliberately not simulated.

mod account;
mod auth;
mod behind;
mod control;
mod engine;
mod exchange;
mod market;
mod order;
mod place;
mod rates;
mod send;
mod settings;
mod trading;
mod transactions;
mod wallet;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::{
    World,
    serving::{Call, faults},
    transit::Custodian,
    venue::Verdict,
};
pub use auth::CdpKey;
use engine::State;
pub use settings::{Duplicates, Incoming, Mode, Reversals, Settings};
use wire::Refusal;

/// The simulator's name in journal, faults and prices.
pub(crate) const NAME: &str = "coinbase";
/// Faults beyond the common ones: what happens inside the engine.
const FAULTS: &[&str] = &[
    "partial_fill",
    "no_fill",
    "late_fill",
    "slow_accept",
    "fails_later",
    "slow_cancel",
    "query_lag",
    "unknown_status",
    "stuck",
];

/// What a handler answers: a body, or why not.
type Answer = Result<Value, Refusal>;
type Handler = fn(&Exchange, &mut State, &Call, &[&str]) -> Answer;

/// Who may call, and what limits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Anybody, ten times a second.
    Public,
    /// Anybody, and anybody with a key: the older API's hourly share.
    App,
    AppSigned,
    /// With a key, thirty times a second.
    Signed,
}

/// One endpoint: method, path with `*` for an id, name in faults, access, what it does.
struct Endpoint(&'static str, &'static str, &'static str, Access, Handler);

const fn get(path: &'static str, name: &'static str, access: Access, h: Handler) -> Endpoint {
    Endpoint("GET", path, name, access, h)
}

const fn post(path: &'static str, name: &'static str, access: Access, h: Handler) -> Endpoint {
    Endpoint("POST", path, name, access, h)
}

fn first<'a>(ids: &[&'a str]) -> &'a str {
    ids.first().copied().unwrap_or_default()
}

const TIME: Handler = |ex, state, _, _| Ok(market::time(&ex.world, &state.settings));
const LISTING: Handler = |ex, state, call, _| market::listing(&ex.world, &state.settings, call);
const LISTED: Handler = |ex, state, _, ids| market::listed(&ex.world, &state.settings, first(ids));
const TICKER: Handler = |ex, _, _, ids| market::ticker(&ex.world, first(ids));
const BOOK: Handler = |ex, _, call, _| market::book(&ex.world, call);
const BESTS: Handler = |ex, _, call, _| market::best_bid_ask(&ex.world, call);
const PRICE: Handler =
    |ex, _, _, ids| rates::price(&ex.world, first(ids), ids.get(1).copied().unwrap_or_default());

use Access::{App, AppSigned, Public, Signed};

/// The more exact path stands before the one with a `*` in its place.
const ENDPOINTS: &[Endpoint] = &[
    get("/v2/time", "time", App, |ex, _, _, _| rates::time(&ex.world)),
    get("/v2/currencies", "currencies", App, |_, _, _, _| rates::currencies()),
    get("/v2/currencies/crypto", "currencies", App, |ex, _, _, _| rates::coins(&ex.world)),
    get("/v2/exchange-rates", "exchange_rates", App, |ex, _, call, _| {
        rates::exchange_rates(&ex.world, call)
    }),
    get("/v2/prices/*/*", "price", App, PRICE),
    get("/api/v3/brokerage/time", "time", Public, TIME),
    get("/api/v3/brokerage/market/products", "products", Public, LISTING),
    get("/api/v3/brokerage/market/product_book", "book", Public, BOOK),
    get("/api/v3/brokerage/market/products/*", "product", Public, LISTED),
    get("/api/v3/brokerage/market/products/*/ticker", "ticker", Public, TICKER),
    get("/time", "time", Public, |ex, _, _, _| exchange::time(&ex.world)),
    get("/products", "products", Public, |_, _, _, _| exchange::products()),
    get("/products/*", "product", Public, |_, _, _, ids| exchange::product(first(ids))),
    get("/products/*/ticker", "ticker", Public, |ex, _, _, ids| {
        exchange::ticker(&ex.world, first(ids))
    }),
    get("/products/*/book", "book", Public, |ex, _, call, ids| {
        exchange::book(&ex.world, first(ids), call)
    }),
    get("/products/*/stats", "stats", Public, |ex, _, _, ids| {
        exchange::stats(&ex.world, first(ids))
    }),
    get("/api/v3/brokerage/products", "products", Signed, LISTING),
    get("/api/v3/brokerage/product_book", "book", Signed, BOOK),
    get("/api/v3/brokerage/best_bid_ask", "best_bid_ask", Signed, BESTS),
    get("/api/v3/brokerage/products/*", "product", Signed, LISTED),
    get("/api/v3/brokerage/products/*/ticker", "ticker", Signed, TICKER),
    get("/api/v3/brokerage/accounts", "account", Signed, account::accounts),
    get("/api/v3/brokerage/accounts/*", "account", Signed, account::account),
    get("/api/v3/brokerage/transaction_summary", "trade_fee", Signed, account::summary),
    get("/api/v3/brokerage/key_permissions", "restrictions", Signed, account::permissions),
    post("/api/v3/brokerage/orders", "place_order", Signed, place::place),
    post("/api/v3/brokerage/orders/batch_cancel", "cancel_order", Signed, trading::cancel),
    get("/api/v3/brokerage/orders/historical/batch", "all_orders", Signed, trading::list),
    get("/api/v3/brokerage/orders/historical/fills", "my_trades", Signed, trading::fills),
    get("/api/v3/brokerage/orders/historical/*", "get_order", Signed, trading::get),
    get("/v2/accounts", "wallets", AppSigned, wallet::accounts),
    get("/v2/accounts/*", "wallets", AppSigned, wallet::account),
    get("/v2/accounts/*/addresses", "deposit_address", AppSigned, wallet::addresses),
    post("/v2/accounts/*/addresses", "deposit_address", AppSigned, wallet::new_address),
    get("/v2/accounts/*/addresses/*", "deposit_address", AppSigned, wallet::address),
    get("/v2/accounts/*/transactions", "transactions", AppSigned, transactions::list),
    post("/v2/accounts/*/transactions", "withdraw", AppSigned, send::send),
    get("/v2/accounts/*/transactions/*", "transaction", AppSigned, transactions::one),
    get("/v2/accounts/*/deposits", "fiat_deposits", AppSigned, wallet::no_fiat),
    get("/v2/accounts/*/withdrawals", "fiat_withdrawals", AppSigned, wallet::no_fiat),
];

/// The simulated exchange and the one account on it.
#[derive(Debug)]
pub struct Exchange {
    world: Arc<World>,
    /// Since when the account is there.
    opened: DateTime<Utc>,
    es256: CdpKey,
    ed25519: CdpKey,
    state: Mutex<State>,
}

/// The exchange's HTTP side and its handle.
pub fn router(world: Arc<World>) -> (Router, Arc<Exchange>) {
    let operations: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.2).collect();
    world.faults.declare(NAME, &operations, FAULTS);
    let (es256, ed25519) = (CdpKey::es256(&world), CdpKey::ed25519(&world));
    let (opened, state) = (world.now(), Mutex::new(State::open(&world)));
    let exchange = Arc::new(Exchange { world, opened, es256, ed25519, state });
    let custodian: Arc<dyn Custodian> = Arc::<Exchange>::clone(&exchange);
    exchange.world.transit.register(Arc::downgrade(&custodian));
    let router = Router::new().fallback(handle).with_state(Arc::clone(&exchange));
    (router, exchange)
}

async fn handle(Shared(exchange): Shared<Arc<Exchange>>, request: Request) -> Response {
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(status) => return status.into_response(),
    };
    let world = Arc::clone(&exchange.world);
    world.run_due();
    let Some((endpoint, ids)) = find(&call.method, &call.path) else {
        return Refusal::absent("Not found").into_response(&call.path);
    };
    let answer = move || exchange.answer(endpoint, &call, &ids);
    faults::respond(&world, wire::DIALECT, endpoint.2, answer).await
}

/// The endpoint of a path, and the ids in it.
fn find(method: &Method, path: &str) -> Option<(&'static Endpoint, Vec<String>)> {
    let parts: Vec<&str> = path.split('/').collect();
    ENDPOINTS.iter().filter(|endpoint| method.as_str() == endpoint.0).find_map(|endpoint| {
        let pattern: Vec<&str> = endpoint.1.split('/').collect();
        let same =
            |(wanted, part): (&&str, &&str)| wanted == part || (*wanted == "*" && !part.is_empty());
        if pattern.len() != parts.len() || !pattern.iter().zip(&parts).all(same) {
            return None;
        }
        let ids = pattern.iter().zip(&parts).filter(|(wanted, _)| **wanted == "*");
        Some((endpoint, ids.map(|(_, part)| (*part).to_owned()).collect()))
    })
}

impl Exchange {
    /// The account's key that signs with ES256.
    #[must_use]
    pub fn key(&self) -> &CdpKey {
        &self.es256
    }

    /// The account's second key, which signs with Ed25519.
    #[must_use]
    pub fn ed25519(&self) -> &CdpKey {
        &self.ed25519
    }

    fn permit(&self, state: &mut State, access: Access, call: &Call) -> Result<(), Refusal> {
        let now = self.world.now();
        if matches!(access, Signed | AppSigned) {
            let clock = now + TimeDelta::milliseconds(state.settings.clock_offset_ms);
            let checked = auth::check(&[&self.es256, &self.ed25519], call, clock);
            if let Err(reason) = checked {
                tracing::debug!(?reason, path = call.path, "a token was not taken");
                return Err(Refusal::Unauthorized);
            }
        }
        if !state.settings.limits {
            return Ok(());
        }
        // Calls a minute, and at once. The older API counts 10,000 an hour.
        let (bucket, per_minute, burst) = match access {
            Public => ("public", 600, 10),
            App | AppSigned => ("app", 166, 100),
            Signed => ("private", 1_800, 30),
        };
        match state.limiter.take(bucket, per_minute, burst, now) {
            Verdict::Pass => Ok(()),
            Verdict::Slow(seconds) | Verdict::Banned(seconds) => Err(Refusal::Slow(seconds)),
        }
    }

    fn answer(&self, endpoint: &Endpoint, call: &Call, ids: &[String]) -> Response {
        let Endpoint(method, path, _, access, handler) = endpoint;
        let mut state = self.state();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let outcome = self
            .permit(&mut state, *access, call)
            .and_then(|()| handler(self, &mut state, call, &ids));
        match outcome {
            Ok(body) if *method == "POST" && path.starts_with("/v2") => {
                (StatusCode::CREATED, Json(body)).into_response()
            }
            Ok(body) => Json(body).into_response(),
            Err(refusal) => refusal.into_response(&call.path),
        }
    }

    /// What is due by the clock has happened when anybody looks.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up(self.world.now());
        state
    }
}
