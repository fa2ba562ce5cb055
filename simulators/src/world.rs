//! What all simulators share: the seed, the clock, prices, faults and the books.
//!
//! Invariant: everything derived from the seed by name ([`World::token`]) is the same in every run,
//! whatever order the simulators are used in. What one vendor knows is deliberately elsewhere: in
//! its own folder.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use primitives::{Clock, Entropy};
use sha2::{Digest, Sha256};

use crate::{
    Options, fault::Faults, journal::Journal, prices::Prices, transit::Transit, venue::Networks,
};

#[derive(Debug)]
pub struct World {
    pub seed: u64,
    pub clock: Arc<dyn Clock>,
    /// Seeded; the order of draws follows the order of requests.
    pub entropy: Entropy,
    pub prices: Prices,
    pub journal: Journal,
    pub faults: Faults,
    /// Networks that were registered with a node.
    pub networks: Networks,
    pub transit: Transit,
    webhook_url: Mutex<Option<String>>,
    late: Mutex<Vec<Late>>,
    limits: AtomicBool,
}

/// An effect whose time has not come yet.
struct Late {
    due: DateTime<Utc>,
    effect: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").field("due", &self.due).finish_non_exhaustive()
    }
}

impl World {
    /// # Errors
    /// When a pinned price names an unknown pair or is not positive.
    pub fn new(options: &Options) -> anyhow::Result<Arc<Self>> {
        let prices = Prices::new(options.seed);
        for (pair, price) in &options.prices {
            prices.pin(pair, *price).with_context(|| format!("price of {pair}"))?;
        }
        Ok(Arc::new(Self {
            seed: options.seed,
            clock: Arc::clone(&options.clock),
            entropy: Entropy::seeded(options.seed),
            prices,
            journal: Journal::default(),
            faults: Faults::default(),
            networks: Networks::default(),
            transit: Transit::default(),
            webhook_url: Mutex::new(options.webhook_url.clone()),
            late: Mutex::default(),
            limits: AtomicBool::new(options.limits),
        }))
    }

    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Where the rail's webhooks go, read at each sending.
    #[must_use]
    pub fn webhook_url(&self) -> Option<String> {
        self.webhook_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_webhook_url(&self, url: Option<String>) {
        *self.webhook_url.lock().unwrap_or_else(PoisonError::into_inner) = url;
    }

    /// Whether request limits are enforced; an exchange's own setting starts with this.
    #[must_use]
    pub fn limits(&self) -> bool {
        self.limits.load(Ordering::Relaxed)
    }

    pub fn set_limits(&self, enforced: bool) {
        self.limits.store(enforced, Ordering::Relaxed);
    }

    /// Runs `effect` at the first request that any simulator gets at `due` or later: nobody can
    /// look in between, and a manual clock works too.
    pub fn later(&self, due: DateTime<Utc>, effect: Box<dyn FnOnce() + Send>) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).push(Late { due, effect });
    }

    /// Runs the late effects that have come due, earliest first. Every request does this first.
    pub fn run_due(&self) {
        let now = self.now();
        let mut due: Vec<Late> = {
            let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            let (due, waiting) = std::mem::take(&mut *late).into_iter().partition(|l| l.due <= now);
            *late = waiting;
            due
        };
        due.sort_by_key(|late| late.due);
        for late in due {
            (late.effect)();
        }
    }

    /// `length` letters and digits that depend on the seed and the label alone: keys and secrets.
    #[must_use]
    pub fn token(&self, label: &str, length: usize) -> String {
        const LETTERS: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut out = String::with_capacity(length);
        for block in 0_u64.. {
            let digest = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(block.to_be_bytes())
                .chain_update(label.as_bytes())
                .finalize();
            for byte in digest {
                if out.len() == length {
                    return out;
                }
                let letter = LETTERS.get(usize::from(byte) % LETTERS.len());
                out.push(letter.copied().map_or('A', char::from));
            }
        }
        out
    }
}
