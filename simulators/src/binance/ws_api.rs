//! The WebSocket API (`/ws-api/v3`): the same calls as over REST, a session that logs on, and the
//! user-data stream.
//!
//! Invariant: what is signed are the parameters in the order of their names, not percent-encoded,
//! without `signature`; only an Ed25519 key can log on; an event is sent once per subscription. A
//! fault aimed at an operation strikes here as over REST.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::to_bytes,
    extract::{Query, State as Shared, ws::WebSocketUpgrade},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{
    Exchange, Proof, events,
    limits::{ORDERS_PER_DAY, ORDERS_PER_TEN_SECONDS, WEIGHT_PER_MINUTE},
    socket::{Protocol, Say, accept},
    wire::{DIALECT, Key, Refusal, check_fresh, check_text, known_key},
};
use crate::serving::{Call, faults};

const ANSWER_LIMIT: usize = 64 << 20;

/// The vendor's method, and the REST call that does the same.
const METHODS: [(&str, &str, &str); 18] = [
    ("ping", "GET", "/api/v3/ping"),
    ("time", "GET", "/api/v3/time"),
    ("exchangeInfo", "GET", "/api/v3/exchangeInfo"),
    ("depth", "GET", "/api/v3/depth"),
    ("avgPrice", "GET", "/api/v3/avgPrice"),
    ("ticker.24hr", "GET", "/api/v3/ticker/24hr"),
    ("ticker.price", "GET", "/api/v3/ticker/price"),
    ("ticker.book", "GET", "/api/v3/ticker/bookTicker"),
    ("order.place", "POST", "/api/v3/order"),
    ("order.test", "POST", "/api/v3/order/test"),
    ("order.status", "GET", "/api/v3/order"),
    ("order.cancel", "DELETE", "/api/v3/order"),
    ("openOrders.status", "GET", "/api/v3/openOrders"),
    ("openOrders.cancelAll", "DELETE", "/api/v3/openOrders"),
    ("account.status", "GET", "/api/v3/account"),
    ("account.rateLimits.orders", "GET", "/api/v3/rateLimit/order"),
    ("allOrders", "GET", "/api/v3/allOrders"),
    ("myTrades", "GET", "/api/v3/myTrades"),
];

/// The parameters of a request as they were sent, and whether the session is logged on.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    params: BTreeMap<String, String>,
    logged_on: bool,
}

impl Signed {
    fn text(&self) -> String {
        let pairs = self.params.iter().filter(|(name, _)| *name != "signature");
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    pub(crate) fn check(
        &self,
        ex: &Exchange,
        call: &Call,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        match self.params.get("apiKey") {
            Some(key) => {
                let (key, text) = (known_key(ex, Some(key))?, self.text());
                check_text(call, now, |given| key.is_signed(&text, given))
            }
            None if self.logged_on => check_fresh(call, now),
            None => Err(Refusal::mandatory("apiKey")),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Address {
    #[serde(default, rename = "timeUnit")]
    time_unit: Option<String>,
}

pub(crate) async fn connect(
    Shared(exchange): Shared<Arc<Exchange>>,
    Query(address): Query<Address>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let world = Arc::clone(&exchange);
    accept(exchange, upgrade, move |replies| Session::new(world, address, replies)).await
}

#[derive(Debug)]
struct Session {
    exchange: Arc<Exchange>,
    replies: mpsc::Sender<Say>,
    time_unit: Option<String>,
    connected: i64,
    authorized: Option<i64>,
    /// Number, and whether it lives with the log-on.
    subscription: Option<(u64, bool)>,
    next: u64,
}

/// A request, read.
struct Request {
    id: Value,
    method: String,
    params: BTreeMap<String, String>,
    shows_limits: bool,
}

impl Request {
    fn read(text: &str) -> Result<Self, Value> {
        let invalid = |id: Value, text: String| {
            let error = json!({"code": -1135, "msg": text});
            json!({"id": id, "status": 400, "error": error})
        };
        let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text) else {
            return Err(invalid(Value::Null, "Invalid JSON Request".to_owned()));
        };
        let id = fields.get("id").cloned().unwrap_or(Value::Null);
        if !(id.is_null() || id.is_string() || id.is_number()) {
            return Err(invalid(Value::Null, "Invalid 'id' in JSON request".to_owned()));
        }
        let Some(method) = fields.get("method").and_then(Value::as_str) else {
            return Err(invalid(id, "Invalid 'method' in JSON request".to_owned()));
        };
        let method = method.strip_prefix("v3/").unwrap_or(method).to_owned();
        let params = match fields.get("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params.clone(),
            Some(_) => return Err(invalid(id, "Invalid 'params' in JSON request".to_owned())),
        };
        let shows_limits = params.get("returnRateLimits") != Some(&Value::Bool(false));
        let params = params.into_iter().map(|(name, value)| (name, plain(value))).collect();
        Ok(Self { id, method, params, shows_limits })
    }
}

/// A parameter as it stands in the signed text: booleans in lower case, lists as JSON.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

impl Session {
    fn new(exchange: Arc<Exchange>, address: Address, replies: mpsc::Sender<Say>) -> Self {
        let connected = exchange.world.now().timestamp_millis();
        Self {
            exchange,
            replies,
            time_unit: address.time_unit,
            connected,
            authorized: None,
            subscription: None,
            next: 0,
        }
    }

    /// Hands a call to the exchange; its answer comes when it comes.
    fn pass(&self, method: Method, path: &'static str, request: Request) {
        let signed =
            Signed { params: request.params.clone(), logged_on: self.authorized.is_some() };
        let call = Call::of_socket(method, path, request.params, self.time_unit.as_deref());
        let (exchange, replies) = (Arc::clone(&self.exchange), self.replies.clone());
        tokio::spawn(async move {
            let now = exchange.world.now();
            let response = exchange.call(call, Proof::Socket(signed)).await;
            let said = frame(&request.id, response, request.shows_limits, now).await;
            // An error means that the socket is closed.
            let _ = replies.send(said).await;
        });
    }

    /// What the session itself answers: log-on, log-out, subscriptions.
    fn own(&mut self, request: &Request) -> Option<Result<Value, Refusal>> {
        Some(match request.method.as_str() {
            "session.logon" => self.logon(&request.params),
            "session.status" => Ok(self.status()),
            "session.logout" => {
                self.authorized = None;
                Ok(self.status())
            }
            "userDataStream.subscribe" if self.authorized.is_none() => {
                Err(Refusal::not_permitted())
            }
            "userDataStream.subscribe" => self.subscribe(true),
            "userDataStream.subscribe.signature" => {
                self.check(&request.params).map(drop).and_then(|()| self.subscribe(false))
            }
            "userDataStream.unsubscribe" => self.unsubscribe(request),
            "session.subscriptions" => {
                let shown = |(number, _): &(u64, bool)| json!({"subscriptionId": number});
                Ok(Value::Array(self.subscription.iter().map(shown).collect()))
            }
            _ => return None,
        })
    }

    fn clock(&self) -> DateTime<Utc> {
        self.exchange.clock(&self.exchange.state())
    }

    /// Key and signature of a request that this session checks itself.
    fn check(&self, params: &BTreeMap<String, String>) -> Result<Key<'_>, Refusal> {
        let now = self.clock();
        let named = params.get("apiKey").ok_or_else(|| Refusal::mandatory("apiKey"))?;
        let key = known_key(&self.exchange, Some(named))?;
        let signed = Signed { params: params.clone(), logged_on: false };
        let call = Call::of_socket(Method::GET, "", params.clone(), None);
        signed.check(&self.exchange, &call, now)?;
        Ok(key)
    }

    fn logon(&mut self, params: &BTreeMap<String, String>) -> Result<Value, Refusal> {
        if matches!(self.check(params)?, Key::Hmac(_)) {
            return Err(Refusal::new(-4056, "HMAC_SHA256 API key is not supported."));
        }
        self.authorized = Some(self.clock().timestamp_millis());
        Ok(self.status())
    }

    fn status(&self) -> Value {
        let api_key = self.authorized.map(|_| self.exchange.ed25519.api_key.as_str());
        json!({
            "apiKey": api_key,
            "authorizedSince": self.authorized,
            "connectedSince": self.connected,
            "returnRateLimits": true,
            "serverTime": self.clock().timestamp_millis(),
            "userDataStream": self.subscription.is_some(),
        })
    }

    fn subscribe(&mut self, with_session: bool) -> Result<Value, Refusal> {
        if self.subscription.is_some() {
            let text = "User Data Stream subscription already active.";
            return Err(Refusal::new(-2035, text));
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        self.subscription = Some((number, with_session));
        Ok(json!({"subscriptionId": number}))
    }

    fn unsubscribe(&mut self, request: &Request) -> Result<Value, Refusal> {
        let named = request.params.get("subscriptionId");
        let active = self
            .subscription
            .is_some_and(|(number, _)| named.is_none_or(|named| *named == number.to_string()));
        if !active {
            let text = "User Data Stream subscription not active.";
            return Err(Refusal::new(-2036, text));
        }
        Ok(json!({}))
    }

    /// What follows the answer: subscriptions that ended by it.
    fn after(&mut self, request: &Request, fine: bool) -> Vec<String> {
        let with_session = self.subscription.is_some_and(|(_, with_session)| with_session);
        let ends = match request.method.as_str() {
            "userDataStream.unsubscribe" => fine,
            "session.logout" => with_session,
            _ => false,
        };
        if ends { self.terminate(self.exchange.world.now()) } else { Vec::new() }
    }
}

impl Protocol for Session {
    const MESSAGES: Option<usize> = None;

    async fn hear(&mut self, text: &str) -> Vec<String> {
        let request = match Request::read(text) {
            Ok(request) => request,
            Err(refusal) => return vec![refusal.to_string()],
        };
        if let Some(known) = METHODS.iter().find(|known| known.0 == request.method) {
            let method = Method::from_bytes(known.1.as_bytes()).unwrap_or(Method::GET);
            self.pass(method, known.2, request);
            return Vec::new();
        }
        let (exchange, now) = (Arc::clone(&self.exchange), self.exchange.world.now());
        exchange.world.run_due();
        let operation =
            if request.method.starts_with("session.") { "logon" } else { "subscribe_user_data" };
        let Some(outcome) = self.own(&request) else {
            let text = format!("Method {} is invalid", request.method);
            let error = json!({"code": -5000, "msg": text});
            return vec![json!({"id": request.id, "status": 400, "error": error}).to_string()];
        };
        let fine = outcome.is_ok();
        let answer = outcome.map_or_else(Refusal::into_response, |b| Json(b).into_response());
        let response = faults::respond(&exchange.world, DIALECT, operation, || answer).await;
        let mut said = match frame(&request.id, response, request.shows_limits, now).await {
            Say::Text(text) => vec![text],
            Say::Break => {
                // An error means that the socket is closed already.
                let _ = self.replies.send(Say::Break).await;
                return Vec::new();
            }
        };
        said.extend(self.after(&request, fine));
        said
    }

    fn tell(&mut self, event: &Value) -> Vec<String> {
        let told = |(number, _)| json!({"subscriptionId": number, "event": event}).to_string();
        self.subscription.map(told).into_iter().collect()
    }

    fn terminate(&mut self, now: DateTime<Utc>) -> Vec<String> {
        let said = self.tell(&events::terminated(now));
        self.subscription = None;
        said
    }

    fn shutdown(&self, now: DateTime<Utc>) -> String {
        json!({"event": events::shutdown(now)}).to_string()
    }

    fn tick(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// An answer of the exchange as the vendor puts it on a socket.
async fn frame(id: &Value, response: Response, shows_limits: bool, now: DateTime<Utc>) -> Say {
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_LIMIT).await else { return Say::Break };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let number = |name: &str| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()?.parse::<i64>().ok())
    };
    let is_fine = parts.status == StatusCode::OK;
    let body = match (serde_json::from_str::<Value>(&text), is_fine) {
        (Ok(body), _) => body,
        // An answer that a fault has spoilt stays spoilt.
        (Err(_), true) => return Say::Text(format!("{{\"id\":{id},\"status\":200,{text}")),
        (Err(_), false) => json!({
            "code": -1001,
            "msg": "Internal error; unable to process your request. Please try again.",
        }),
    };
    let mut answer = json!({"id": id, "status": parts.status.as_u16()});
    let Some(fields) = answer.as_object_mut() else { return Say::Break };
    if is_fine {
        fields.insert("result".to_owned(), body);
    } else {
        let mut error = body;
        if let (Some(seconds), Some(error)) =
            (number(header::RETRY_AFTER.as_str()), error.as_object_mut())
        {
            let server = now.timestamp_millis();
            let retry = server.saturating_add(seconds.saturating_mul(1000));
            error.insert("data".to_owned(), json!({"serverTime": server, "retryAfter": retry}));
        }
        fields.insert("error".to_owned(), error);
    }
    if shows_limits {
        fields.insert("rateLimits".to_owned(), rate_limits(number));
    }
    Say::Text(answer.to_string())
}

/// The counters on the answer, as the vendor lists them.
fn rate_limits(number: impl Fn(&str) -> Option<i64>) -> Value {
    let limits = [
        ("x-mbx-order-count-10s", "ORDERS", "SECOND", 10, ORDERS_PER_TEN_SECONDS),
        ("x-mbx-order-count-1d", "ORDERS", "DAY", 1, ORDERS_PER_DAY),
        ("x-mbx-used-weight-1m", "REQUEST_WEIGHT", "MINUTE", 1, WEIGHT_PER_MINUTE),
    ];
    let shown = limits.iter().filter_map(|(name, kind, interval, count, limit)| {
        let used = number(name)?;
        Some(json!({
            "rateLimitType": kind,
            "interval": interval,
            "intervalNum": count,
            "limit": limit,
            "count": used,
        }))
    });
    Value::Array(shown.collect())
}
