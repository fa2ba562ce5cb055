//! Signed calls to WazirX: HMAC-SHA256 over the parameter string exactly as sent, and the clock
//! those parameters are stamped with.
//!
//! Invariant: the venue accepts a stamp only within its receiving window, so a stamp is the
//! venue's time as we last measured it. A refused stamp proves that nothing happened.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use outbound::{BaseUrl, Body, BuildError, Client, Effect, Response, Target, vendor_text};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use primitives::{CallError, CallResult, Clock, Secret};
use sha2::Sha256;

use super::{Config, wire};
use crate::venue_clock::VenueClock;

/// RFC 3986 unreserved characters stay as they are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The calls we make, with the venue's limit of each a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Time,
    ExchangeInfo,
    Depth,
    Tickers,
    PlaceOrder,
    ShowOrder,
    CancelOrder,
    OpenOrders,
    MyTrades,
    Funds,
    Coins,
    DepositAddress,
    AddressBook,
    Withdraw,
    Withdrawals,
}

impl Endpoint {
    const fn path(self) -> &'static str {
        match self {
            Self::Time => "/sapi/v1/time",
            Self::ExchangeInfo => "/sapi/v1/exchangeInfo",
            Self::Depth => "/sapi/v1/depth",
            Self::Tickers => "/sapi/v1/tickers/24hr",
            Self::PlaceOrder | Self::ShowOrder | Self::CancelOrder => "/sapi/v1/order",
            Self::OpenOrders => "/sapi/v1/openOrders",
            Self::MyTrades => "/sapi/v1/myTrades",
            Self::Funds => "/sapi/v1/funds",
            Self::Coins => "/sapi/v1/coins",
            Self::DepositAddress => "/sapi/v1/crypto/deposits/address",
            Self::AddressBook => "/sapi/v1/crypto/withdraw/address-book",
            Self::Withdraw => "/sapi/v1/crypto/withdraw",
            Self::Withdrawals => "/sapi/v1/crypto/withdraws",
        }
    }

    const fn lane(self) -> &'static str {
        match self {
            Self::PlaceOrder => "POST order",
            Self::CancelOrder => "DELETE order",
            _ => self.path(),
        }
    }

    const fn per_second(self) -> u32 {
        match self {
            Self::Depth | Self::ShowOrder | Self::MyTrades => 2,
            Self::PlaceOrder | Self::CancelOrder => 10,
            _ => 1,
        }
    }

    /// Where the venue counts by the minute.
    const fn per_minute(self) -> Option<u32> {
        match self {
            Self::DepositAddress => Some(1),
            Self::Coins | Self::Withdrawals => Some(5),
            _ => None,
        }
    }

    const fn effect(self) -> Effect {
        match self {
            Self::PlaceOrder | Self::CancelOrder | Self::Withdraw => Effect::Money,
            _ => Effect::None,
        }
    }
}

/// Invalid symbol, stamp or window, failed validation, too little balance, wrong or no signature,
/// too small, no permission, no stop price.
const SAYS_NO: [&str; 11] =
    ["-1121", "-1021", "1999", "2002", "2005", "2031", "2078", "2098", "2113", "2115", "94001"];

/// What a 4xx of this venue says, before it becomes ours.
#[derive(Debug)]
pub(super) enum Refusal {
    NoSuchOrder,
    Other(CallError),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchOrder => Self::Rejected {
                code: "no_such_order".into(),
                reason: "order does not exist".into(),
            },
            Refusal::Other(error) => error,
        }
    }
}

/// A refusal of an order or of a withdrawal: only what the venue documents as refused proves that
/// nothing happened. "Order does not exist" answers another question than ours.
pub(super) fn of_money(refusal: Refusal) -> CallError {
    match CallError::from(refusal) {
        CallError::Rejected { code, .. } if !SAYS_NO.contains(&code.as_str()) => {
            Effect::Money.failed(format!("wazirx: {code}: not a refusal we know"))
        }
        error => error,
    }
}

#[derive(Debug)]
pub(super) struct Caller {
    http: Client,
    base: BaseUrl,
    api_key: Secret,
    secret: Secret,
    recv_window_ms: u32,
    paced: bool,
    clock: Arc<dyn Clock>,
    theirs: VenueClock,
    /// Calls of the running minute, where the venue counts by it.
    minutes: Mutex<BTreeMap<&'static str, (i64, u32)>>,
}

impl Caller {
    pub(super) fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        Ok(Self {
            http: Client::try_new("wazirx", &config.http, Arc::clone(&clock))?,
            base: config.base_url.clone(),
            api_key: config.api_key.clone(),
            secret: config.secret.clone(),
            recv_window_ms: config.recv_window_ms,
            paced: config.paced,
            clock,
            theirs: VenueClock::default(),
            minutes: Mutex::default(),
        })
    }

    pub(super) fn recv_window(&self) -> TimeDelta {
        TimeDelta::milliseconds(i64::from(self.recv_window_ms))
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A call without key or signature.
    pub(super) async fn public(
        &self,
        endpoint: Endpoint,
        query: Option<String>,
    ) -> CallResult<Response> {
        self.take_turn(endpoint).await?;
        let target = Target::new(&self.base, endpoint.path());
        let target = match query {
            Some(query) => target.query(query),
            None => target,
        };
        let response = self.http.get(target).await?;
        if response.is_success() {
            return Ok(response);
        }
        Err(read_refusal(&response, Effect::None).1.into())
    }

    /// A signed call. A read whose stamp was refused is repeated once with the clock re-measured;
    /// a call with an effect is handed back as `NotSent` for the caller to decide.
    pub(super) async fn signed(
        &self,
        endpoint: Endpoint,
        params: &[(&str, String)],
    ) -> Result<Response, Refusal> {
        match self.signed_once(endpoint, params, None).await? {
            Ok(response) => Ok(response),
            Err(Stale) if endpoint.effect() == Effect::None => {
                match self.signed_once(endpoint, params, None).await? {
                    Ok(response) => Ok(response),
                    Err(Stale) => Err(stale()),
                }
            }
            Err(Stale) => Err(stale()),
        }
    }

    /// A call that creates something, stamped with the time it was decided at, so that the venue
    /// refuses it when it comes late.
    pub(super) async fn decided(
        &self,
        endpoint: Endpoint,
        params: &[(&str, String)],
        decided_at: DateTime<Utc>,
    ) -> Result<Response, Refusal> {
        let placed = self.signed_once(endpoint, params, Some(decided_at)).await?;
        placed.map_err(|Stale| stale())
    }

    async fn signed_once(
        &self,
        endpoint: Endpoint,
        params: &[(&str, String)],
        decided_at: Option<DateTime<Utc>>,
    ) -> Result<Result<Response, Stale>, Refusal> {
        let offset = self.measured_offset().await?;
        self.take_turn(endpoint).await?;
        let ours = decided_at.unwrap_or_else(|| self.clock.now());
        let stamp = ours.checked_add_signed(offset).unwrap_or(ours);
        let mut pairs: Vec<(&str, String)> = params.to_vec();
        pairs.push(("recvWindow", self.recv_window_ms.to_string()));
        pairs.push(("timestamp", stamp.timestamp_millis().to_string()));
        let text = sign(&self.secret, pairs);
        let target =
            Target::new(&self.base, endpoint.path()).header("x-api-key", self.api_key.clone());
        let effect = endpoint.effect();
        let response = match endpoint {
            Endpoint::PlaceOrder => self.http.post(target, Body::Form(text), effect).await?,
            // The venue refuses the signature of a withdrawal whose parameters are in the body.
            Endpoint::Withdraw => {
                self.http.post(target.query(text), Body::Form(String::new()), effect).await?
            }
            Endpoint::CancelOrder => self.http.delete(target.query(text), effect).await?,
            _ => self.http.get(target.query(text)).await?,
        };
        if response.is_success() {
            return Ok(Ok(response));
        }
        let (stale, refusal) = read_refusal(&response, effect);
        if stale {
            tracing::warn!(vendor = "wazirx", "timestamp refused; measuring the clock again");
            self.theirs.forget();
            return Ok(Err(Stale));
        }
        Err(refusal)
    }

    pub(super) async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        let time: wire::Time = self.public(Endpoint::Time, None).await?.json(Effect::None)?;
        DateTime::from_timestamp_millis(time.server_time)
            .ok_or_else(|| Effect::None.failed("wazirx: server time out of range"))
    }

    async fn take_turn(&self, endpoint: Endpoint) -> CallResult<()> {
        if self.paced {
            self.count_minute(endpoint)?;
            self.http.take_turn(endpoint.lane(), endpoint.per_second()).await?;
        }
        Ok(())
    }

    /// Refuses what the venue would answer with a pause for everything.
    fn count_minute(&self, endpoint: Endpoint) -> CallResult<()> {
        let Some(most) = endpoint.per_minute() else {
            return Ok(());
        };
        let now = self.clock.now().timestamp();
        let minute = now.div_euclid(60);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let (counted, calls) = minutes.entry(endpoint.lane()).or_insert((minute, 0));
        if *counted != minute {
            (*counted, *calls) = (minute, 0);
        }
        if *calls >= most {
            let left = 60_i64.saturating_sub(now.rem_euclid(60));
            return Err(CallError::RateLimited {
                retry_after_s: u64::try_from(left).unwrap_or(60),
            });
        }
        *calls = calls.saturating_add(1);
        Ok(())
    }

    async fn measured_offset(&self) -> CallResult<TimeDelta> {
        self.theirs.offset(self.clock.as_ref(), self.server_time()).await
    }
}

/// The venue refused the timestamp: nothing happened.
struct Stale;

fn stale() -> Refusal {
    Refusal::Other(CallError::NotSent("wazirx: timestamp refused, clock measured again".into()))
}

/// Parameters sorted by name and percent-encoded, with their signature last.
pub(super) fn sign(secret: &Secret, mut pairs: Vec<(&str, String)>) -> String {
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    let encode = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let text = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&");
    let signature = hmac_hex(secret, &text);
    format!("{text}&signature={signature}")
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
pub(super) fn hmac_hex(secret: &Secret, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Whether the stamp was refused, and the refusal. A 4xx that does not speak the venue's language
/// comes from somebody in between and proves nothing.
fn read_refusal(response: &Response, effect: Effect) -> (bool, Refusal) {
    let failure: wire::Failure = match response.json(effect) {
        Ok(failure) => failure,
        Err(error) => return (false, Refusal::Other(error)),
    };
    // In the venue's own words: our key, its rights or our address are not good. Nothing happened.
    if matches!(response.status, 401 | 403) {
        let why = format!("{} {}", failure.code, vendor_text(&failure.message));
        return (false, Refusal::Other(crate::access_refused("wazirx", &why)));
    }
    let stale = matches!(failure.code, 2098 | -1021);
    (stale, words(&failure, effect))
}

fn words(failure: &wire::Failure, effect: Effect) -> Refusal {
    let message = failure.message.to_ascii_lowercase();
    let is_repeated = message.contains("already exists") || message.contains("duplicate");
    match failure.code {
        2136 => Refusal::Other(CallError::RateLimited { retry_after_s: 1 }),
        -2013 => Refusal::NoSuchOrder,
        _ if message.contains("order does not exist") => Refusal::NoSuchOrder,
        // A refused reference is proof that an order carries it: not "it did not happen".
        _ if effect == Effect::Money && is_repeated => {
            Refusal::Other(effect.failed("wazirx: an order with this reference exists already"))
        }
        code => Refusal::Other(CallError::Rejected {
            code: code.to_string(),
            reason: vendor_text(&failure.message),
        }),
    }
}
