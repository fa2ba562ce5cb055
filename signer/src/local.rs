//! The decision: one intent in, one answer out, and a line in the log between them.
//!
//! Invariants: decisions are made one after the other; a signature leaves only after its line is on
//! the disk; an id keeps its first answer for ever, refusals too, because whoever was refused may
//! have asked anew under another id. Time never runs backwards here: the last line's counts when
//! the clock says less.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use chains::carrier::SignedTx;
use chrono::{DateTime, Utc};
use primitives::Clock;
use sha2::{Digest as _, Sha256};
use signing::{Answer, Intent, Outcome, Purpose, SignError, Signer};
use tokio::sync::Mutex;

use crate::{
    allow::AllowList,
    config::Config,
    examine::{self, Examined, Network, Networks},
    keys::KeyStore,
    limits::{Limits, Movement},
    log::{Asked, Book, Log, LogError, Place, Refused, Signed, What},
    refusal::{Code, Refusal},
    sign,
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
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    broken: AtomicBool,
}

struct State {
    log: Log,
    book: Book,
}

/// Why nothing was decided.
#[derive(Debug)]
struct Undecided(String);

impl From<LogError> for Undecided {
    fn from(error: LogError) -> Self {
        Self(error.to_string())
    }
}

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
        let networks = examine::networks(&config.networks, &*keys).map_err(StartError::Settings)?;
        let list = AllowList::new(&config.allow_list, config.activation_delay_s)
            .map_err(StartError::Settings)?;
        let (log, book) = Log::open(&config.log)?;
        let mut state = State { log, book };
        let now = state.now(&*clock);
        state.write(now, What::Started { settings: config.digest.clone() })?;
        if let Err(why) = state.look_at_list(&list, &networks, now)? {
            tracing::error!(%why, "nothing of the allow-list is allowed");
        }
        Ok(Self {
            networks,
            limits: Limits::new(&config.limits),
            list,
            keys,
            clock,
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
            Ok(Err(Refusal { code, reason })) => {
                tracing::warn!(id = %intent.id, code = code.as_str(), %reason, "refused");
                refused(code, reason)
            }
            Err(Undecided(reason)) => {
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

    /// Looks at the allow-list, so that what is new in it begins to wait although nobody asks.
    pub async fn look_at_list(&self) {
        let mut state = self.state.lock().await;
        let now = state.now(&*self.clock);
        match state.look_at_list(&self.list, &self.networks, now) {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::error!(%why, "nothing of the allow-list is allowed"),
            Err(error) => tracing::error!(%error, "the allow-list was not written down"),
        }
        self.note_broken(&state);
    }

    async fn decide(&self, intent: &Intent) -> Result<Result<SignedTx, Refusal>, Undecided> {
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
    ) -> Result<Result<SignedTx, Refusal>, Undecided> {
        let asked = asked(intent, hash);
        let now = state.now(&*self.clock);
        if let Some(answered) = state.book.answered(intent.id) {
            if answered.intent == hash {
                return state.repeat(answered.place);
            }
            let refusal = Refusal::new(Code::IdReused, "another intent had this id");
            return state.refuse(now, asked, refusal);
        }
        let judged = self.judge(state, intent, now)?;
        let (network, examined, movement) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return state.refuse(now, asked, refusal),
        };
        if let Err(refusal) = self.limits.check(&state.book.recent, &movement, network.fee) {
            return state.refuse(now, asked, refusal);
        }
        let Examined { to, fee, spends, claim, work } = examined;
        let tx = sign::sign(&*self.keys, &intent.network, work)
            .await
            .map_err(|error| Undecided(error.to_string()))?;
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
    ) -> Result<Result<(&Network, Examined, Movement), Refusal>, Undecided> {
        let list = state.look_at_list(&self.list, &self.networks, now)?;
        let judge = || {
            let network = self
                .networks
                .get(&intent.network)
                .ok_or_else(|| Refusal::unknown_key("the signer has no key for this network"))?;
            let examined = network.examine(intent)?;
            if intent.purpose == Purpose::Gas {
                if !network.is_own_deposit(&examined.to) {
                    let reason = "gas goes to our own deposit addresses only";
                    return Err(Refusal::not_allowed(reason));
                }
            } else {
                list.map_err(Refusal::not_allowed)?;
                let none = || Refusal::not_allowed("there is no allow-list");
                let seen = state.book.list.as_ref().ok_or_else(none)?;
                seen.check(&intent.network, intent.purpose, &examined.to, now)?;
            }
            let claim = examined.claim.as_ref();
            if claim.is_some_and(|claim| !state.book.agrees(&intent.network, claim)) {
                let reason = "its inputs were said to be worth something else before";
                return Err(Refusal::does_not_match(reason));
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
            Ok((network, examined, movement))
        };
        Ok(judge())
    }
}

impl State {
    fn now(&self, clock: &dyn Clock) -> DateTime<Utc> {
        let now = clock.now();
        self.book.last.map_or(now, |last| last.max(now))
    }

    fn write(&mut self, at: DateTime<Utc>, what: What) -> Result<(), LogError> {
        let (record, place) = self.log.append(at, what)?;
        // What was just written can be read; if not, the log would not open again either.
        self.book.take(record, place).map_err(|what| {
            tracing::error!(what, "a line of the log");
            self.log.damaged(what)
        })
    }

    fn refuse(
        &mut self,
        at: DateTime<Utc>,
        asked: Asked,
        refusal: Refusal,
    ) -> Result<Result<SignedTx, Refusal>, Undecided> {
        let Refusal { code, reason } = refusal.clone();
        self.write(at, What::Refused(Refused { asked, code, reason }))?;
        Ok(Err(refusal))
    }

    fn repeat(&self, place: Place) -> Result<Result<SignedTx, Refusal>, Undecided> {
        match self.log.read(place)?.what {
            What::Signed(signed) => Ok(Ok(signed.tx)),
            What::Refused(refused) => {
                Ok(Err(Refusal { code: refused.code, reason: refused.reason }))
            }
            What::Started { .. } | What::List(_) => {
                Err(Undecided("the log has no answer there".to_owned()))
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
            Err(Undecided(reason)) => Err(SignError::Unavailable(reason)),
        }
    }
}

fn refused(code: Code, reason: String) -> Outcome {
    Outcome::Refused { code: code.as_str().to_owned(), reason }
}

fn hash_of(intent: &Intent) -> Result<[u8; 32], Undecided> {
    let text = serde_json::to_vec(intent).map_err(|error| Undecided(error.to_string()))?;
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
