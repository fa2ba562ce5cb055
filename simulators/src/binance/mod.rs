//! Binance's spot dialect: REST (`/api/v3`), the wallet (`/sapi`), the WebSocket API and the market
//! streams.
//!
//! Invariant: signatures are checked over query and body exactly as sent; a client order id is
//! unique among open orders only, as at the vendor; weights and order counts are on every answer.
//! Every transport calls the same handlers. RSA keys are deliberately not simulated: the account
//! has none, so an RSA signature is not valid.

mod account;
mod control;
mod engine;
mod events;
mod hub;
mod limits;
mod market;
mod order;
mod public;
mod settings;
mod socket;
mod streams;
mod trading;
mod wallet;
mod wire;
mod withdraw;
mod ws_api;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use chrono::{DateTime, TimeDelta, Utc};
use primitives::Secret;
use serde_json::Value;

pub use crate::keys::Ed25519Credentials;
use crate::{
    World,
    serving::{Call, faults},
    transit::Custodian,
    venue::Credentials,
};
use engine::State;
pub(crate) use hub::{Act, Deed};
use limits::Meter;
pub use settings::{DuplicateWithdrawals, FeeAsset, Settings};
use wire::{Refusal, check_signed, in_microseconds, known_key};

/// The simulator's name in journal, faults and prices.
pub(crate) const NAME: &str = "binance";
/// Faults beyond the common ones: what happens inside the engine.
const FAULTS: &[&str] =
    &["partial_fill", "no_fill", "late_fill", "query_lag", "stuck", "lost_event", "repeated_event"];
/// Operations without an endpoint: the sockets' own calls, and every event of the account.
const OPERATIONS: &[&str] = &["logon", "subscribe_user_data", "user_event", "connect"];

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Public,
    Key,
    Signed,
}

type Handler = fn(&Exchange, &mut State, &Call) -> Result<Value, Refusal>;

/// One endpoint: method, path, name in faults, request weight, access, what it does.
struct Endpoint(&'static str, &'static str, &'static str, u32, Access, Handler);

const fn open(path: &'static str, name: &'static str, weight: u32, handler: Handler) -> Endpoint {
    Endpoint("GET", path, name, weight, Access::Public, handler)
}

const fn signed(
    method: &'static str,
    path: &'static str,
    name: &'static str,
    weight: u32,
    handler: Handler,
) -> Endpoint {
    Endpoint(method, path, name, weight, Access::Signed, handler)
}

const ENDPOINTS: &[Endpoint] = &[
    open("/api/v3/ping", "ping", 1, public::ping),
    open("/api/v3/time", "time", 1, public::time),
    open("/api/v3/exchangeInfo", "exchange_info", 20, market::exchange_info),
    open("/api/v3/depth", "depth", 5, public::depth),
    open("/api/v3/ticker/bookTicker", "book_ticker", 2, public::book_ticker),
    open("/api/v3/ticker/price", "ticker_price", 2, public::ticker_price),
    open("/api/v3/ticker/24hr", "ticker", 2, public::ticker),
    open("/api/v3/avgPrice", "avg_price", 2, public::avg_price),
    open("/api/v3/trades", "trades", 25, public::trades),
    open("/api/v3/aggTrades", "agg_trades", 4, public::agg_trades),
    open("/api/v3/klines", "klines", 2, public::klines),
    open("/api/v3/uiKlines", "klines", 2, public::klines),
    Endpoint(
        "GET",
        "/api/v3/historicalTrades",
        "historical_trades",
        25,
        Access::Key,
        public::trades,
    ),
    signed("GET", "/api/v3/account", "account", 20, account::account),
    signed("GET", "/api/v3/account/commission", "commission", 20, account::commission),
    signed("GET", "/api/v3/rateLimit/order", "order_limits", 40, account::order_limits),
    signed("GET", "/api/v3/myFilters", "my_filters", 40, account::my_filters),
    signed("POST", "/api/v3/order", "place_order", 1, trading::place),
    signed("POST", "/api/v3/order/test", "test_order", 1, trading::test),
    signed("GET", "/api/v3/order", "get_order", 4, trading::get),
    signed("DELETE", "/api/v3/order", "cancel_order", 1, trading::cancel),
    signed("DELETE", "/api/v3/openOrders", "cancel_all", 1, trading::cancel_all),
    signed("GET", "/api/v3/openOrders", "open_orders", 6, trading::open_orders),
    signed("GET", "/api/v3/allOrders", "all_orders", 20, trading::all_orders),
    signed("GET", "/api/v3/myTrades", "my_trades", 20, trading::my_trades),
    open("/sapi/v1/system/status", "system_status", 1, wallet::system_status),
    signed("GET", "/sapi/v1/capital/config/getall", "coins", 10, wallet::coins),
    signed(
        "GET",
        "/sapi/v1/capital/deposit/address",
        "deposit_address",
        10,
        wallet::deposit_address,
    ),
    signed("GET", "/sapi/v1/capital/deposit/hisrec", "deposits", 1, wallet::deposits),
    signed("POST", "/sapi/v1/capital/withdraw/apply", "withdraw", 900, withdraw::apply),
    signed("GET", "/sapi/v1/capital/withdraw/history", "withdraws", 18_000, withdraw::history),
    signed(
        "GET",
        "/sapi/v1/localentity/questionnaire-requirements",
        "questionnaire",
        1,
        withdraw::questionnaire,
    ),
    signed("GET", "/sapi/v1/asset/tradeFee", "trade_fee", 1, wallet::trade_fee),
    signed("GET", "/sapi/v1/account/apiRestrictions", "restrictions", 1, wallet::restrictions),
    signed("GET", "/sapi/v1/account/status", "account_status", 1, wallet::account_status),
    signed("GET", "/sapi/v1/margin/allPairs", "margin_pairs", 1, wallet::no_margin),
    signed("GET", "/sapi/v1/margin/isolated/allPairs", "margin_pairs", 1, wallet::no_margin),
];

/// The simulated exchange and the one account on it.
#[derive(Debug)]
pub struct Exchange {
    world: Arc<World>,
    credentials: Credentials,
    ed25519: Ed25519Credentials,
    state: Mutex<State>,
    hub: hub::Hub,
}

/// Who sent a call, and how that is proven.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// The key in a header, the signature over query and body.
    Http,
    /// A socket: the key and the signature among the parameters, unless it logged on.
    Socket(ws_api::Signed),
}

/// The exchange's HTTP side and its handle.
pub fn router(world: Arc<World>) -> (Router, Arc<Exchange>) {
    let named = ENDPOINTS.iter().map(|endpoint| endpoint.2);
    let operations: Vec<&str> = named.chain(OPERATIONS.iter().copied()).collect();
    world.faults.declare(NAME, &operations, FAULTS);
    let credentials = Credentials {
        api_key: world.token("binance/api_key", 64),
        secret: Secret::new(world.token("binance/secret", 64)),
    };
    let api_key = world.token("binance/ed25519_api_key", 64);
    let ed25519 = Ed25519Credentials::derive(world.seed, "binance/api", api_key);
    let state = Mutex::new(State::open(&world));
    let hub = hub::Hub::default();
    let exchange = Arc::new(Exchange { world, credentials, ed25519, state, hub });
    let custodian: Arc<dyn Custodian> = Arc::<Exchange>::clone(&exchange);
    exchange.world.transit.register(Arc::downgrade(&custodian));
    let router = Router::new()
        .route("/ws-api/v3", any(ws_api::connect))
        .route("/ws", any(streams::connect))
        .route("/ws/{*streams}", any(streams::connect))
        .route("/stream", any(streams::connect_combined))
        .fallback(handle)
        .with_state(Arc::clone(&exchange));
    (router, exchange)
}

async fn handle(Shared(exchange): Shared<Arc<Exchange>>, request: Request) -> Response {
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(status) => return status.into_response(),
    };
    exchange.call(call, Proof::Http).await
}

fn find(method: &Method, path: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| method.as_str() == endpoint.0 && path == endpoint.1)
}

impl Exchange {
    /// The key pair of the account.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The account's second key, which signs with Ed25519.
    #[must_use]
    pub fn ed25519(&self) -> &Ed25519Credentials {
        &self.ed25519
    }

    /// Answers a call, or what a fault makes of it.
    async fn call(self: Arc<Self>, call: Call, proof: Proof) -> Response {
        let world = Arc::clone(&self.world);
        world.run_due();
        if call.path.starts_with("/api/v3/userDataStream") {
            // Listen keys went in February 2026.
            return StatusCode::GONE.into_response();
        }
        let Some(endpoint) = find(&call.method, &call.path) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let answer = move || self.answer(endpoint, &call, &proof);
        faults::respond(&world, wire::DIALECT, endpoint.2, answer).await
    }

    /// The venue's own clock.
    pub(crate) fn clock(&self, state: &State) -> DateTime<Utc> {
        self.world.now() + TimeDelta::milliseconds(state.settings.clock_offset_ms)
    }

    fn permit(
        &self,
        access: Access,
        call: &Call,
        proof: &Proof,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        match (access, proof) {
            (Access::Public, _) => Ok(()),
            (Access::Key, Proof::Http) => known_key(self, call.header("x-mbx-apikey")).map(drop),
            (Access::Signed, Proof::Http) => {
                check_signed(call, known_key(self, call.header("x-mbx-apikey"))?, now)
            }
            (_, Proof::Socket(signed)) => signed.check(self, call, now),
        }
    }

    fn answer(&self, endpoint: &Endpoint, call: &Call, proof: &Proof) -> Response {
        let now = self.world.now();
        let mut state = self.state();
        let enforced = state.settings.limits;
        let (meter, weight) = (Meter::of(&call.path), limits::weight(endpoint.3, call));
        let is_placing = endpoint.2 == "place_order";
        let handler = endpoint.5;
        let clock = self.clock(&state);
        let outcome = state
            .limits
            .charge(meter, weight, enforced, now)
            .and_then(|()| self.permit(endpoint.4, call, proof, clock))
            .and_then(|()| handler(self, &mut state, call));
        if is_placing && outcome.is_ok() {
            state.limits.refund(weight);
        }
        let mut response = match outcome {
            Ok(body) => Json(in_microseconds(call, body)).into_response(),
            Err(refusal) => refusal.into_response(),
        };
        for (name, value) in state.limits.headers(meter, is_placing, now) {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, HeaderValue::from(value));
        }
        response
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks every open socket: the world ends.
    pub(crate) fn hang_up(&self) {
        self.act(Act { deed: Deed::Break, delay: None });
    }
}
