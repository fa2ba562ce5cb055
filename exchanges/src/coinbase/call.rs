//! Calls to Coinbase: a token of its own for each, its time, and the venue's published pace.
//!
//! Invariants: a token is stamped with the venue's time as we last measured it, so one decided
//! earlier than its life ago is refused, and a refused token proves that nothing happened. A read
//! whose token was refused is tried once more with a fresh one: the vendor has refused good ones.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use outbound::{BaseUrl, Body, BuildError, Client, Effect, Response, Target};
use primitives::{CallError, CallResult, Clock, Entropy, Secret};
use serde::de::DeserializeOwned;

use super::{
    Config, NAME,
    key::{Key, Request, token},
    refusal::{self, Refusal},
    wire,
};
use crate::venue_clock::VenueClock;

const TIME: &str = "/api/v3/brokerage/time";
/// The vendor does not say how far beyond its end a token is taken; a minute is what libraries that
/// check tokens grant when nobody tells them otherwise.
const LEEWAY: TimeDelta = TimeDelta::minutes(1);

/// Whose published limit a call counts against, and calls a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Orders and accounts, by key.
    Private,
    /// Market data, by address.
    Public,
    /// The wallet's older API, by key: 10 000 an hour, and nothing of ours hurries there.
    Wallet,
}

impl Lane {
    /// `None` for the few public calls of the older API.
    fn of(call: &Call, is_public: bool) -> Option<Self> {
        match (is_public, call.path.starts_with("/v2/")) {
            (true, true) => None,
            (false, true) => Some(Self::Wallet),
            (true, false) => Some(Self::Public),
            (false, false) => Some(Self::Private),
        }
    }

    const fn limit(self) -> (&'static str, u32) {
        match self {
            Self::Private => ("private", 30),
            Self::Public => ("public", 10),
            Self::Wallet => ("wallet", 5),
        }
    }
}

/// One call: a GET, or with a body a POST.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) path: String,
    /// Percent-encoded already; not part of what is signed.
    pub(super) query: String,
    body: Option<String>,
    effect: Effect,
}

impl Call {
    pub(super) fn get(path: impl Into<String>, query: impl Into<String>) -> Self {
        Self { path: path.into(), query: query.into(), body: None, effect: Effect::None }
    }

    pub(super) fn post(path: impl Into<String>, body: &serde_json::Value, effect: Effect) -> Self {
        let body = Some(body.to_string());
        Self { path: path.into(), query: String::new(), body, effect }
    }

    const fn method(&self) -> &'static str {
        if self.body.is_some() { "POST" } else { "GET" }
    }
}

/// One page of a list, and how the next one is asked for.
pub(super) trait Page: DeserializeOwned {
    type Item;

    /// `None` where the list ends. Whether a page without items is its end, each list says in its
    /// own words; one that goes on and does not say where is no answer.
    fn items(self) -> (Vec<Self::Item>, CallResult<Option<String>>);
}

/// What a page is that says that more comes, and not how to ask for it.
pub(super) fn lost_thread() -> CallError {
    Effect::None.failed(format!("{NAME}: a list goes on without saying where"))
}

#[derive(Debug)]
pub(super) struct Caller {
    http: Client,
    base: BaseUrl,
    signer: Option<(Secret, Key)>,
    life: TimeDelta,
    paced: bool,
    clock: Arc<dyn Clock>,
    theirs: VenueClock,
    entropy: Entropy,
}

impl Caller {
    pub(super) fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        Ok(Self {
            http: Client::try_new(NAME, &config.http, Arc::clone(&clock))?,
            base: config.base_url.clone(),
            signer: config.key()?,
            life: TimeDelta::seconds(i64::from(config.token_life_s)),
            paced: config.paced,
            clock,
            theirs: VenueClock::default(),
            entropy: Entropy::system(),
        })
    }

    pub(super) const fn has_key(&self) -> bool {
        self.signer.is_some()
    }

    /// How long after its stamp a request may still be taken.
    pub(super) fn fence(&self) -> TimeDelta {
        self.life.checked_add(&LEEWAY).unwrap_or(TimeDelta::MAX)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A call without a key.
    pub(super) async fn public(&self, call: &Call) -> CallResult<Response> {
        self.take_turn(Lane::of(call, true)).await?;
        let response = self.http.get(self.target(call)).await?;
        if response.is_success() {
            return Ok(response);
        }
        Err(refusal::read(&response, Effect::None).into())
    }

    /// A call with a token of now. A read is tried again once when its token was refused.
    pub(super) async fn signed(&self, call: &Call) -> Result<Response, Refusal> {
        match self.signed_once(call, None).await {
            Err(Refusal::Unauthorized(_)) if call.effect == Effect::None => {
                self.signed_once(call, None).await
            }
            other => other,
        }
    }

    /// A call that creates something, stamped with the time it was decided at, so that the venue
    /// refuses it when it comes late.
    pub(super) async fn decided(
        &self,
        call: &Call,
        decided_at: DateTime<Utc>,
    ) -> Result<Response, Refusal> {
        let (from, until) = self.span(decided_at, self.offset().await?);
        match self.signed_once(call, Some(decided_at)).await {
            Err(Refusal::Unauthorized(why)) if self.is_outside(from, until).await => {
                tracing::warn!(vendor = NAME, why, "token refused for its time");
                Err(stale())
            }
            other => other,
        }
    }

    async fn signed_once(
        &self,
        call: &Call,
        decided_at: Option<DateTime<Utc>>,
    ) -> Result<Response, Refusal> {
        let (name, key) = self.signer.as_ref().ok_or_else(no_key)?;
        let offset = self.offset().await?;
        self.take_turn(Lane::of(call, false)).await?;
        let (not_before, expires) = self.span(decided_at.unwrap_or_else(|| self.now()), offset);
        let uri = format!("{} {}{}", call.method(), self.base.authority(), call.path);
        let nonce = hex::encode(self.entropy.bytes::<16>());
        let of = Request { uri: &uri, not_before, expires, nonce: &nonce };
        let bearer = Secret::new(format!("Bearer {}", token(name, key, &of)?));
        let target = self.target(call).header("authorization", bearer);
        let response = match call.body.clone() {
            Some(body) => self.http.post(target, Body::Json(body), call.effect).await?,
            None => self.http.get(target).await?,
        };
        if response.is_success() {
            return Ok(response);
        }
        let refused = refusal::read(&response, call.effect);
        if matches!(refused, Refusal::Unauthorized(_)) {
            self.theirs.forget();
        }
        Err(refused)
    }

    /// Seconds from and until which a token is good, on the venue's clock.
    fn span(&self, ours: DateTime<Utc>, offset: TimeDelta) -> (i64, i64) {
        let from = ours.checked_add_signed(offset).unwrap_or(ours).timestamp();
        (from, from.saturating_add(self.life.num_seconds()))
    }

    /// A token is refused with one word, whatever was wrong with it. Only the venue's clock, read
    /// again, can tell its time from everything else; either way nothing was done.
    async fn is_outside(&self, from: i64, until: i64) -> bool {
        let Ok(offset) = self.offset().await else { return true };
        let now = self.span(self.now(), offset).0;
        now < from || now >= until
    }

    /// Every item of a list, page after page, or enough of them. A list that does not end within
    /// the bound is no answer: it may hide the very thing that is looked for.
    pub(super) async fn walk<P: Page>(
        &self,
        call: &Call,
        pages_max: usize,
        is_enough: impl Fn(&[P::Item]) -> bool,
    ) -> Result<Vec<P::Item>, Refusal> {
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..pages_max {
            let mut asked = call.clone();
            if let Some(next) = &next {
                asked.query = format!("{}&{next}", call.query);
            }
            let page: P = self.signed(&asked).await?.json(Effect::None)?;
            let (items, more) = page.items();
            let done = is_enough(&items);
            found.extend(items);
            if done {
                return Ok(found);
            }
            next = more?;
            if next.is_none() {
                return Ok(found);
            }
        }
        Err(Effect::None.failed(format!("{NAME}: more than can be read")).into())
    }

    pub(super) async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        let response = self.public(&Call::get(TIME, "")).await?;
        let time: wire::Time = response.json(Effect::None)?;
        let millis = time.epoch_millis.parse().ok().and_then(DateTime::from_timestamp_millis);
        millis.ok_or_else(|| Effect::None.failed(format!("{NAME}: server time out of range")))
    }

    async fn offset(&self) -> CallResult<TimeDelta> {
        self.theirs.offset(self.clock.as_ref(), self.server_time()).await
    }

    fn target(&self, call: &Call) -> Target<'_> {
        let target = Target::new(&self.base, call.path.clone());
        if call.query.is_empty() { target } else { target.query(call.query.clone()) }
    }

    async fn take_turn(&self, lane: Option<Lane>) -> CallResult<()> {
        let Some((lane, per_second)) = lane.filter(|_| self.paced).map(Lane::limit) else {
            return Ok(());
        };
        self.http.take_turn(lane, per_second).await
    }
}

fn stale() -> Refusal {
    let why = format!("{NAME}: the token was refused for its time, clock to be measured again");
    Refusal::Other(CallError::NotSent(why))
}

fn no_key() -> CallError {
    crate::access_refused(NAME, "no api_key is configured")
}
