//! WazirX's REST dialect (`/sapi/v1`): the exchange the fleet sells on.
//!
//! Invariant: every request is checked over the bytes as sent, in the vendor's order (key,
//! signature, window), and only an accepted one enters the books. There is deliberately no way to
//! take rupees out over this API, no market order and no lot size; streams are not simulated.

mod account;
mod control;
mod direct;
mod engine;
mod market;
mod order;
mod settings;
mod trading;
mod wallet;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    extract::{Request, State as Shared},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use primitives::Secret;

use crate::{
    World,
    serving::{Call, faults},
    transit::Custodian,
    venue::{Credentials, Verdict},
};
pub use direct::{Execution, Sale, SaleOrder};
use engine::State;
pub use settings::{CancelReply, Duplicates, Settings};
use wire::{Refusal, check_signed, limited};

/// The simulator's name in journal, faults and prices.
pub(crate) const NAME: &str = "wazirx";
const PREFIX: &str = "/sapi/v1/";
/// Calls that may come at once before the vendor's rate counts.
const BURST: u32 = 20;
/// Faults beyond the common ones: what happens inside the engine.
const FAULTS: &[&str] = &["partial_fill", "no_fill", "late_fill", "slow_cancel", "stuck"];

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Public,
    Key,
    Signed,
}

type Handler = fn(&Exchange, &mut State, &Call) -> Result<Response, Refusal>;

/// One endpoint: method, path, name in faults, calls per minute, access, what it does.
struct Endpoint(&'static str, &'static str, &'static str, u32, Access, Handler);

const ENDPOINTS: &[Endpoint] = &[
    Endpoint("GET", "ping", "ping", 60, Access::Public, market::ping),
    Endpoint("GET", "time", "time", 60, Access::Public, market::time),
    Endpoint("GET", "systemStatus", "system_status", 60, Access::Public, market::system_status),
    Endpoint("GET", "exchangeInfo", "exchange_info", 60, Access::Public, market::exchange_info),
    Endpoint("GET", "tickers/24hr", "tickers", 60, Access::Public, market::tickers),
    Endpoint("GET", "ticker/24hr", "ticker", 60, Access::Public, market::ticker),
    Endpoint("GET", "depth", "depth", 120, Access::Public, market::depth),
    Endpoint("GET", "trades", "trades", 60, Access::Public, market::trades),
    Endpoint("GET", "historicalTrades", "historical_trades", 60, Access::Key, market::trades),
    Endpoint("GET", "klines", "klines", 60, Access::Public, market::klines),
    Endpoint("GET", "account", "account", 60, Access::Signed, account::account),
    Endpoint("GET", "funds", "funds", 60, Access::Signed, account::funds),
    Endpoint("POST", "order", "place_order", 600, Access::Signed, trading::place),
    Endpoint("POST", "order/test", "test_order", 120, Access::Signed, trading::test),
    Endpoint("GET", "order", "get_order", 120, Access::Signed, trading::get),
    Endpoint("DELETE", "order", "cancel_order", 600, Access::Signed, trading::cancel),
    Endpoint("DELETE", "openOrders", "cancel_all", 60, Access::Signed, trading::cancel_all),
    Endpoint("GET", "openOrders", "open_orders", 60, Access::Signed, trading::open_orders),
    Endpoint("GET", "allOrders", "all_orders", 60, Access::Signed, trading::all_orders),
    Endpoint("GET", "myTrades", "my_trades", 120, Access::Signed, trading::my_trades),
    Endpoint("GET", "coins", "coins", 5, Access::Signed, wallet::coins),
    Endpoint(
        "GET",
        "crypto/deposits/address",
        "deposit_address",
        1,
        Access::Signed,
        wallet::deposit_address,
    ),
    Endpoint("GET", "crypto/withdraws", "withdraws", 5, Access::Signed, wallet::withdraws),
    Endpoint("POST", "crypto/withdraw", "withdraw", 5, Access::Signed, wallet::withdraw),
    Endpoint(
        "GET",
        "crypto/withdraw/address-book",
        "address_book",
        5,
        Access::Signed,
        wallet::address_book,
    ),
    Endpoint("POST", "create_auth_token", "auth_token", 60, Access::Signed, account::auth_token),
];

/// The simulated exchange and the one account on it.
#[derive(Debug)]
pub struct Exchange {
    world: Arc<World>,
    credentials: Credentials,
    state: Mutex<State>,
}

/// The exchange's HTTP side and its handle.
pub fn router(world: Arc<World>) -> (Router, Arc<Exchange>) {
    let operations: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.2).collect();
    world.faults.declare(NAME, &operations, FAULTS);
    let exchange = Arc::new(Exchange::without_http(world));
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
    let Some(endpoint) = find(&call.method, &call.path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    faults::respond(&world, wire::DIALECT, endpoint.2, move || exchange.answer(endpoint, &call))
        .await
}

fn find(method: &Method, path: &str) -> Option<&'static Endpoint> {
    let path = path.strip_prefix(PREFIX)?;
    ENDPOINTS.iter().find(|endpoint| method.as_str() == endpoint.0 && path == endpoint.1)
}

impl Exchange {
    /// The exchange alone: engine and books, reached by the calls of `direct` and `control`.
    #[must_use]
    pub fn without_http(world: Arc<World>) -> Self {
        let credentials = Credentials {
            api_key: world.token("wazirx/api_key", 64),
            secret: Secret::new(world.token("wazirx/secret", 40)),
        };
        let state = Mutex::new(State::open(&world));
        Self { world, credentials, state }
    }

    /// The key pair of the account.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    fn answer(&self, endpoint: &Endpoint, call: &Call) -> Response {
        let now = self.world.now();
        let mut state = self.state();
        state.settle_cancels(now);
        if state.settings.limits {
            match state.limiter.take(endpoint.2, endpoint.3, BURST, now) {
                Verdict::Pass => {}
                Verdict::Slow(seconds) => return limited(false, seconds),
                Verdict::Banned(seconds) => return limited(true, seconds),
            }
        }
        let known = call.header("x-api-key") == Some(self.credentials.api_key.as_str());
        let checked = match endpoint.4 {
            Access::Public => Ok(()),
            _ if !known => Err(Refusal::unknown_key()),
            Access::Key => Ok(()),
            Access::Signed => check_signed(call, self.credentials.secret.expose(), now),
        };
        let handler = endpoint.5;
        checked
            .and_then(|()| handler(self, &mut state, call))
            .unwrap_or_else(Refusal::into_response)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
