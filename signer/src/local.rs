//! The decision: one intent in, one answer out, and a line in the log between them.
//!
//! Invariants: decisions are made one after the other; a signature leaves only after its line is on
//! the disk; an id names one transaction for ever, and a refused intent stays refused, because
//! whoever was refused may have asked anew under another id. Time never runs backwards here: the
//! last line's counts when the clock says less; nor does it leap. What only a while stands against
//! (a list that is being saved, an address that waits, too much asked at once) is no refusal.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use chains::carrier::SignedTx;
use chrono::{DateTime, TimeDelta, Utc};
use primitives::Clock;
use sha2::{Digest as _, Sha256};
use signing::{Answer, Intent, Outcome, Purpose, SignError, Signer};
use tokio::sync::Mutex;

use crate::{
    allow::{AllowList, Unlisted},
    config::{AnswerLimits, Config},
    examine::{self, Examined, Network, Networks},
    flow::Kind,
    keys::KeyStore,
    limits::{Limits, Movement},
    log::{Asked, Book, Known, Log, LogError, Place, Refused, Signed, What},
    refusal::{Code, Refusal},
    sign,
    steady::{Running, Steady},
};

/// Why the signer does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Settings(String),
}

/// The signer, without its socket.
pub struct LocalSigner {
    networks: Networks,
    limits: Limits,
    list: AllowList,
    keys: Arc<dyn KeyStore>,
    steady: Steady,
    answers: AnswerLimits,
    state: Mutex<State>,
    broken: AtomicBool,
}

struct State {
    log: Log,
    book: Book,
    unwritten: Option<Unwritten>,
}

/// Answers that were not given, because too many were written down already.
#[derive(Debug, Clone, Copy)]
struct Unwritten {
    count: u64,
    since: DateTime<Utc>,
}

/// Between two lines that sum up what was not written down.
const SUMMED_EVERY: TimeDelta = TimeDelta::seconds(60);

/// Why nothing was decided.
#[derive(Debug)]
enum Undecided {
    /// A key store or the log.
    Failed(String),
    /// What may be over soon by itself or by a person.
    ForNow(String),
    NotBefore(DateTime<Utc>),
}

impl From<LogError> for Undecided {
    fn from(error: LogError) -> Self {
        Self::Failed(error.to_string())
    }
}

type Decided<T> = Result<Result<T, Refusal>, Undecided>;

impl LocalSigner {
    /// Takes the log for itself, reads it, and looks at the allow-list for the first time.
    ///
    /// # Errors
    /// When the settings and keys do not fit, or the log is damaged or another process's.
    pub fn start(
        config: &Config,
        keys: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let running = Arc::new(Running::from(&*clock));
        Self::start_beside(config, keys, clock, running)
    }

    /// As `start`, with a clock of its own for the time that really passes.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_beside(
        config: &Config,
        keys: Arc<dyn KeyStore>,
        clock: Arc<dyn Clock>,
        running: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let networks = examine::networks(&config.networks, &*keys).map_err(StartError::Settings)?;
        let list = AllowList::new(&config.allow_list, config.activation_delay_s)
            .map_err(StartError::Settings)?;
        let (log, book) = Log::open(&config.log)?;
        let mut state = State { log, book, unwritten: None };
        let steady = Steady::new(clock, running);
        let now = state.now(&steady).map_err(StartError::Settings)?;
        state.write(now, What::Started { settings: config.digest.clone() })?;
        if let Err(why) = state.look_at_list(&list, &networks, now)? {
            tracing::error!(%why, "nothing of the allow-list is allowed");
        }
        Ok(Self {
            networks,
            limits: Limits::new(&config.limits),
            list,
            keys,
            steady,
            answers: config.answers,
            state: Mutex::new(state),
            broken: AtomicBool::new(false),
        })
    }

    /// Answers one line.
    pub async fn answer(&self, line: &[u8]) -> Answer {
        let Ok(intent) = serde_json::from_slice::<Intent>(line) else {
            // Nobody can be told apart by it, so there is nothing to write down.
            let reason = "not an intent".to_owned();
            return Answer { id: None, outcome: refused(Code::Malformed, reason) };
        };
        let outcome = match self.decide(&intent).await {
            Ok(Ok(tx)) => Outcome::Signed(tx),
            Ok(Err(Refusal { code, reason })) => refused(code, reason),
            Err(Undecided::NotBefore(at)) => Outcome::NotBefore { at, reason: waits() },
            // Whoever asks without end does not fill our own log with it either.
            Err(Undecided::ForNow(reason)) => Outcome::Unavailable { reason },
            Err(Undecided::Failed(reason)) => {
                tracing::error!(id = %intent.id, %reason, "not decided");
                Outcome::Unavailable { reason }
            }
        };
        Answer { id: Some(intent.id), outcome }
    }

    /// Whether the log could not be written: the process is of no more use.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    /// Looks at the allow-list, so that what is new in it begins to wait although nobody asks, and
    /// sums up what was not written down.
    pub async fn look_at_list(&self) {
        let mut state = self.state.lock().await;
        let now = match state.now(&self.steady) {
            Ok(now) => now,
            Err(why) => {
                tracing::error!(%why, "nothing is decided");
                return;
            }
        };
        if let Err(error) = state.sum_up(now) {
            tracing::error!(%error, "what was not written down was not summed up");
        }
        match state.look_at_list(&self.list, &self.networks, now) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::error!(%why, "nothing of the allow-list is allowed"),
            Err(error) => tracing::error!(%error, "the allow-list was not written down"),
        }
        self.note_broken(&state);
    }

    async fn decide(&self, intent: &Intent) -> Decided<SignedTx> {
        let hash = hash_of(intent)?;
        let mut state = self.state.lock().await;
        let decided = self.decide_alone(&mut state, intent, hash).await;
        self.note_broken(&state);
        decided
    }

    fn note_broken(&self, state: &State) {
        if state.log.is_broken() {
            self.broken.store(true, Ordering::SeqCst);
        }
    }

    async fn decide_alone(
        &self,
        state: &mut State,
        intent: &Intent,
        hash: [u8; 32],
    ) -> Decided<SignedTx> {
        let asked = asked(intent, hash);
        let known = state.book.known(intent.id, hash);
        if let Known::Answered(place) = known {
            return state.repeat(place);
        }
        let now = state.now(&self.steady).map_err(Undecided::ForNow)?;
        state.sum_up(now)?;
        // Under an id that was only refused nothing is signed: another intent may have it.
        if matches!(known, Known::Reused) {
            let reason = "another transaction was signed under this id";
            return self.refuse(state, now, asked, Refusal::new(Code::IdReused, reason));
        }
        let judged = self.judge(state, intent, now)?;
        let (network, examined, movement) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return self.refuse(state, now, asked, refusal),
        };
        if let Err(refusal) = self.limits.check(&state.book.recent, &movement, network.fee) {
            return self.refuse(state, now, asked, refusal);
        }
        state.admit(now, Kind::Signed, &self.answers)?;
        let Examined { to, fee, spends, claim, work } = examined;
        let tx = sign::sign(&*self.keys, &intent.network, work)
            .await
            .map_err(|error| Undecided::Failed(error.to_string()))?;
        let what = What::Signed(Signed {
            asked,
            to,
            fee: fee.to_string(),
            spends: hex::encode(spends),
            values: claim.map(|claim| hex::encode(claim.values)),
            tx: tx.clone(),
        });
        // Waits for the disk on this thread: nothing else is to be decided meanwhile.
        state.write(now, what)?;
        Ok(Ok(tx))
    }

    /// All but the limits.
    fn judge(
        &self,
        state: &mut State,
        intent: &Intent,
        now: DateTime<Utc>,
    ) -> Decided<(&Network, Examined, Movement)> {
        let Some(network) = self.networks.get(&intent.network) else {
            return Ok(Err(Refusal::unknown_key("the signer has no key for this network")));
        };
        let examined = match network.examine(intent) {
            Ok(examined) => examined,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.may_go(state, intent, (network, &examined.to), now)? {
            return Ok(Err(refusal));
        }
        let claim = examined.claim.as_ref();
        if claim.is_some_and(|claim| !state.book.agrees(&intent.network, claim)) {
            let reason = "its inputs were said to be worth something else before";
            return Ok(Err(Refusal::does_not_match(reason)));
        }
        let movement = Movement {
            at: now,
            network: intent.network.clone(),
            purpose: intent.purpose,
            asset: intent.amount.asset(),
            minor: intent.amount.minor(),
            fee: examined.fee,
            spends: examined.spends,
        };
        Ok(Ok((network, examined, movement)))
    }

    /// Whether coins may go there, for this.
    fn may_go(
        &self,
        state: &mut State,
        intent: &Intent,
        (network, to): (&Network, &str),
        now: DateTime<Utc>,
    ) -> Decided<()> {
        if intent.purpose == Purpose::Gas {
            let is_ours = intent.to_index.is_some_and(|index| network.is_own_deposit(to, index));
            let reason = "gas goes to our own deposit addresses only, each named by its index";
            return Ok(if is_ours { Ok(()) } else { Err(Refusal::not_allowed(reason)) });
        }
        let list = state.look_at_list(&self.list, &self.networks, now)?;
        list.map_err(Undecided::ForNow)?;
        let Some(seen) = &state.book.list else {
            return Err(Undecided::ForNow("there is no allow-list".to_owned()));
        };
        let of = (&intent.network, intent.purpose);
        match seen.check(of, to, intent.amount.asset(), now) {
            Ok(()) => Ok(Ok(())),
            Err(Unlisted::No(refusal)) => Ok(Err(refusal)),
            Err(Unlisted::NotBefore(at)) => Err(Undecided::NotBefore(at)),
        }
    }

    fn refuse(
        &self,
        state: &mut State,
        at: DateTime<Utc>,
        asked: Asked,
        refusal: Refusal,
    ) -> Decided<SignedTx> {
        state.admit(at, Kind::Refused, &self.answers)?;
        let (id, Refusal { code, reason }) = (asked.id, refusal.clone());
        tracing::warn!(%id, code = code.as_str(), %reason, "refused");
        state.write(at, What::Refused(Refused { asked, code, reason }))?;
        Ok(Err(refusal))
    }
}

impl State {
    fn now(&self, steady: &Steady) -> Result<DateTime<Utc>, String> {
        let now = steady.now()?;
        Ok(self.book.last.map_or(now, |last| last.max(now)))
    }

    /// Whether one more line may be written; counts the ones that may not.
    fn admit(
        &mut self,
        now: DateTime<Utc>,
        kind: Kind,
        limits: &AnswerLimits,
    ) -> Result<(), Undecided> {
        self.book.flow.check(now, kind, limits).map_err(|why| {
            let unwritten = self.unwritten.get_or_insert(Unwritten { count: 0, since: now });
            unwritten.count = unwritten.count.saturating_add(1);
            Undecided::ForNow(why)
        })
    }

    /// One line for all that was not written down since the last one.
    fn sum_up(&mut self, now: DateTime<Utc>) -> Result<(), LogError> {
        let is_due = |unwritten: &Unwritten| now - unwritten.since >= SUMMED_EVERY;
        let Some(Unwritten { count, since }) = self.unwritten.take_if(|u| is_due(u)) else {
            return Ok(());
        };
        tracing::warn!(count, %since, "asked more than may be written down");
        self.write(now, What::NotWritten { count, since })
    }

    fn write(&mut self, at: DateTime<Utc>, what: What) -> Result<(), LogError> {
        let (record, place) = self.log.append(at, what)?;
        // What was just written can be read; if not, the log would not open again either.
        self.book.take(record, place).map_err(|what| {
            tracing::error!(what, "a line of the log");
            self.log.damaged(what)
        })
    }

    fn repeat(&self, place: Place) -> Decided<SignedTx> {
        match self.log.read(place)?.what {
            What::Signed(signed) => Ok(Ok(signed.tx)),
            What::Refused(refused) => {
                Ok(Err(Refusal { code: refused.code, reason: refused.reason }))
            }
            What::Started { .. } | What::List(_) | What::NotWritten { .. } => {
                Err(Undecided::Failed("the log has no answer there".to_owned()))
            }
        }
    }

    /// The inner error: the list cannot be used, so nothing of it is allowed.
    fn look_at_list(
        &mut self,
        list: &AllowList,
        networks: &Networks,
        now: DateTime<Utc>,
    ) -> Result<Result<(), String>, LogError> {
        match list.read(networks, self.book.list.as_ref(), now) {
            Ok(None) => Ok(Ok(())),
            Ok(Some(seen)) => {
                tracing::info!(version = seen.version, "the allow-list is new");
                self.write(now, What::List(seen)).map(Ok)
            }
            Err(why) => Ok(Err(why)),
        }
    }
}

#[async_trait]
impl Signer for LocalSigner {
    async fn sign(&self, intent: &Intent) -> Result<SignedTx, SignError> {
        match self.decide(intent).await {
            Ok(Ok(tx)) => Ok(tx),
            Ok(Err(Refusal { code, reason })) => {
                Err(SignError::Refused { code: code.as_str().to_owned(), reason })
            }
            Err(Undecided::NotBefore(at)) => Err(SignError::NotBefore { at, reason: waits() }),
            Err(Undecided::Failed(reason) | Undecided::ForNow(reason)) => {
                Err(SignError::Unavailable(reason))
            }
        }
    }
}

fn refused(code: Code, reason: String) -> Outcome {
    Outcome::Refused { code: code.as_str().to_owned(), reason }
}

fn waits() -> String {
    "the address is new in the allow-list".to_owned()
}

/// Of all but the index: that only says where the address comes from.
fn hash_of(intent: &Intent) -> Result<[u8; 32], Undecided> {
    let named = Intent { to_index: None, ..intent.clone() };
    let text = serde_json::to_vec(&named).map_err(|error| Undecided::Failed(error.to_string()))?;
    Ok(Sha256::digest(text).into())
}

fn asked(intent: &Intent, hash: [u8; 32]) -> Asked {
    Asked {
        id: intent.id,
        intent: hex::encode(hash),
        purpose: intent.purpose,
        network: intent.network.clone(),
        asset: intent.amount.asset(),
        minor: intent.amount.minor().to_string(),
    }
}
