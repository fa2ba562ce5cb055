//! Calls to Binance: what each weighs, how it is signed, and the clock it is stamped with.
//!
//! Invariant: the venue accepts a stamp only within its receiving window, so a stamp is the
//! venue's time as we last measured it, and a refused stamp proves that nothing happened. Nothing
//! is sent beyond the venue's limits, nor before a pause it asked for is over.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use outbound::{BaseUrl, Body, BuildError, Client, Effect, Response, Target};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use primitives::{CallError, CallResult, Clock, Secret};

use super::{
    Config, NAME,
    key::Key,
    limits::{Costs, Count, Limits},
    refusal::{self, Refusal},
    wire,
};
use crate::venue_clock::VenueClock;

/// RFC 3986 unreserved characters stay as they are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The calls we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Time,
    ExchangeInfo,
    Depth,
    BookTicker,
    PlaceOrder,
    ShowOrder,
    CancelOrder,
    OpenOrders,
    TradesOfOrder,
    Trades,
    Account,
    Commission,
    Restrictions,
    Coins,
    DepositAddress,
    Deposits,
    Questionnaire,
    Withdraw,
    Withdrawals,
}

impl Endpoint {
    const fn path(self) -> &'static str {
        match self {
            Self::Time => "/api/v3/time",
            Self::ExchangeInfo => "/api/v3/exchangeInfo",
            Self::Depth => "/api/v3/depth",
            Self::BookTicker => "/api/v3/ticker/bookTicker",
            Self::PlaceOrder | Self::ShowOrder | Self::CancelOrder => "/api/v3/order",
            Self::OpenOrders => "/api/v3/openOrders",
            Self::TradesOfOrder | Self::Trades => "/api/v3/myTrades",
            Self::Account => "/api/v3/account",
            Self::Commission => "/api/v3/account/commission",
            Self::Restrictions => "/sapi/v1/account/apiRestrictions",
            Self::Coins => "/sapi/v1/capital/config/getall",
            Self::DepositAddress => "/sapi/v1/capital/deposit/address",
            Self::Deposits => "/sapi/v1/capital/deposit/hisrec",
            Self::Questionnaire => "/sapi/v1/localentity/questionnaire-requirements",
            Self::Withdraw => "/sapi/v1/capital/withdraw/apply",
            Self::Withdrawals => "/sapi/v1/capital/withdraw/history",
        }
    }

    const fn costs(self) -> Costs {
        match self {
            Self::Time
            | Self::CancelOrder
            | Self::Restrictions
            | Self::Deposits
            | Self::Questionnaire => &[(Count::Weight, 1)],
            Self::BookTicker | Self::ShowOrder => &[(Count::Weight, 4)],
            Self::Depth | Self::TradesOfOrder => &[(Count::Weight, 5)],
            Self::OpenOrders => &[(Count::Weight, 6)],
            Self::Coins | Self::DepositAddress => &[(Count::Weight, 10)],
            Self::ExchangeInfo | Self::Trades | Self::Account | Self::Commission => {
                &[(Count::Weight, 20)]
            }
            Self::PlaceOrder => {
                &[(Count::Weight, 1), (Count::OrdersShort, 1), (Count::OrdersLong, 1)]
            }
            Self::Withdraw => &[(Count::Weight, 1), (Count::Wallet, 900)],
            Self::Withdrawals => &[(Count::Weight, 10), (Count::Wallet, 18_000)],
        }
    }

    pub(super) const fn effect(self) -> Effect {
        match self {
            Self::PlaceOrder | Self::CancelOrder | Self::Withdraw => Effect::Money,
            _ => Effect::None,
        }
    }
}

type Params = [(&'static str, String)];

#[derive(Debug)]
pub(super) struct Caller {
    http: Client,
    base: BaseUrl,
    signer: Option<(Secret, Key)>,
    recv_window_ms: u32,
    paced: bool,
    clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    theirs: VenueClock,
}

impl Caller {
    pub(super) fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        Ok(Self {
            http: Client::try_new(NAME, &config.http, Arc::clone(&clock))?,
            base: config.base_url.clone(),
            signer: config.key()?,
            recv_window_ms: config.recv_window_ms,
            paced: config.paced,
            clock,
            limits: Limits::new(),
            theirs: VenueClock::default(),
        })
    }

    pub(super) const fn has_key(&self) -> bool {
        self.signer.is_some()
    }

    pub(super) fn recv_window(&self) -> TimeDelta {
        TimeDelta::milliseconds(i64::from(self.recv_window_ms))
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The venue's time as far as we know it: its windows follow it.
    fn venue_now(&self) -> DateTime<Utc> {
        let now = self.clock.now();
        self.theirs.known().and_then(|offset| now.checked_add_signed(offset)).unwrap_or(now)
    }

    /// A call without key or signature. The query is percent-encoded already.
    pub(super) async fn public(&self, endpoint: Endpoint, query: String) -> CallResult<Response> {
        let target = Target::new(&self.base, endpoint.path());
        let target = if query.is_empty() { target } else { target.query(query) };
        self.sent(endpoint, self.http.get(target)).await.map_err(CallError::from)
    }

    /// A signed call. A read whose stamp was refused is repeated once with the clock re-measured;
    /// a call with an effect is handed back as `NotSent` for the caller to decide.
    pub(super) async fn signed(
        &self,
        endpoint: Endpoint,
        params: &Params,
    ) -> Result<Response, Refusal> {
        match self.signed_once(endpoint, params, None).await {
            Err(Refusal::Stale) if endpoint.effect() == Effect::None => {
                self.signed_once(endpoint, params, None).await
            }
            other => other,
        }
    }

    /// A call that creates something, stamped with the time it was decided at, so that the venue
    /// refuses it when it comes late.
    pub(super) async fn decided(
        &self,
        endpoint: Endpoint,
        params: &Params,
        decided_at: DateTime<Utc>,
    ) -> Result<Response, Refusal> {
        self.signed_once(endpoint, params, Some(decided_at)).await
    }

    async fn signed_once(
        &self,
        endpoint: Endpoint,
        params: &Params,
        decided_at: Option<DateTime<Utc>>,
    ) -> Result<Response, Refusal> {
        let (api_key, key) = self.signer.as_ref().ok_or_else(no_key)?;
        let offset = self.measured_offset().await?;
        if self.paced && endpoint == Endpoint::PlaceOrder {
            self.http.take_turn("POST order", self.limits.orders_per_second()).await?;
        }
        let ours = decided_at.unwrap_or_else(|| self.clock.now());
        let stamp = ours.checked_add_signed(offset).unwrap_or(ours);
        let mut pairs = params.to_vec();
        pairs.push(("recvWindow", self.recv_window_ms.to_string()));
        pairs.push(("timestamp", stamp.timestamp_millis().to_string()));
        let text = signed_text(key, &pairs);
        let target =
            Target::new(&self.base, endpoint.path()).header("x-mbx-apikey", api_key.clone());
        let effect = endpoint.effect();
        match endpoint {
            Endpoint::PlaceOrder | Endpoint::Withdraw => {
                self.sent(endpoint, self.http.post(target, Body::Form(text), effect)).await
            }
            Endpoint::CancelOrder => {
                self.sent(endpoint, self.http.delete(target.query(text), effect)).await
            }
            _ => self.sent(endpoint, self.http.get(target.query(text))).await,
        }
    }

    /// Sends what the limits have room for, learns from the answer what they have room for next,
    /// and sorts refusals.
    async fn sent(
        &self,
        endpoint: Endpoint,
        call: impl Future<Output = CallResult<Response>>,
    ) -> Result<Response, Refusal> {
        let ticket = self.limits.reserve(endpoint.costs(), self.venue_now())?;
        let response = call.await?;
        ticket.answered(&response, self.venue_now());
        if response.is_success() {
            return Ok(response);
        }
        match refusal::read(&response, endpoint.effect()) {
            Refusal::Stale => {
                tracing::warn!(vendor = NAME, "timestamp refused; measuring the clock again");
                self.theirs.forget();
                Err(Refusal::Stale)
            }
            Refusal::UsedUp(count) => Err(self.limits.used_up(count, self.venue_now()).into()),
            refusal => Err(refusal),
        }
    }

    pub(super) async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        let response = self.public(Endpoint::Time, String::new()).await?;
        let time: wire::Time = response.json(Effect::None)?;
        DateTime::from_timestamp_millis(time.server_time)
            .ok_or_else(|| Effect::None.failed("binance: server time out of range"))
    }

    async fn measured_offset(&self) -> CallResult<TimeDelta> {
        self.theirs.offset(self.clock.as_ref(), self.server_time()).await
    }

    /// The parameters of a signed request over the WebSocket API: sorted, signed as they are.
    pub(super) async fn subscription(&self) -> CallResult<serde_json::Value> {
        let (api_key, key) = self.signer.as_ref().ok_or_else(no_key)?;
        let offset = self.measured_offset().await?;
        let now = self.clock.now();
        let stamp = now.checked_add_signed(offset).unwrap_or(now).timestamp_millis();
        let text = socket_text(&[
            ("timestamp", stamp.to_string()),
            ("apiKey", api_key.expose().to_owned()),
            ("recvWindow", self.recv_window_ms.to_string()),
        ]);
        Ok(serde_json::json!({
            "apiKey": api_key.expose(),
            "recvWindow": self.recv_window_ms,
            "timestamp": stamp,
            "signature": key.sign(&text),
        }))
    }
}

fn no_key() -> CallError {
    crate::access_refused(NAME, "no api_key is configured")
}

/// Parameters in the order given, percent-encoded before they are signed, their signature last.
pub(super) fn signed_text(key: &Key, pairs: &[(&'static str, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let text = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&");
    let signature = encode(&key.sign(&text));
    format!("{text}&signature={signature}")
}

/// What the WebSocket API signs: sorted by name, joined, not encoded.
pub(super) fn socket_text(pairs: &[(&'static str, String)]) -> String {
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort();
    sorted.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}
