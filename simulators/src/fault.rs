//! Named faults, queued per simulator and operation, each striking a set number of times.
//!
//! Invariant: faults strike in the order they were queued, one per call, and only where they were
//! aimed. What a fault does to the wire is in `serving/faults.rs`; this file only keeps the queue.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

const TARGETS: [&str; 6] = ["wazirx", "binance", "coinbase", "coingecko", "razorpayx", "merchant"];

/// Every fault that any simulator understands; a simulator may declare further ones.
pub const COMMON: &[&str] = &[
    "timeout_applied",
    "timeout_not_applied",
    "reset_applied",
    "reset_not_applied",
    "http_408_applied",
    "http_408_not_applied",
    "http_500_applied",
    "http_500_not_applied",
    "http_502_html",
    "http_502_html_applied",
    "http_503",
    "http_503_applied",
    "http_504",
    "http_504_applied",
    "rate_limited",
    "banned",
    "malformed",
    "truncated",
    "wrong_type",
    "huge_body",
    "slow_drip",
    "delayed_apply",
];

/// One queued fault, as posted to the control server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `wazirx`, `binance`, `coinbase`, `coingecko`, `razorpayx` or `merchant`.
    pub target: String,
    /// The operation it strikes, such as `place_order`; `*` strikes any.
    pub operation: String,
    /// The name of the fault, such as `timeout_applied` or `reject:2002`.
    #[serde(rename = "fault")]
    pub name: String,
    /// How many calls it strikes.
    #[serde(default = "once")]
    pub times: u32,
    /// How many matching calls pass before the first one is struck.
    #[serde(default)]
    pub skip: u32,
    /// How long a timeout hangs, a delayed effect waits, `Retry-After` says, and so on.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// A vendor-specific number, such as the basis points of a partial fill.
    #[serde(default)]
    pub value: Option<String>,
}

const fn once() -> u32 {
    1
}

impl Fault {
    /// The fault `name`, once, at the next call of the operation.
    #[must_use]
    pub fn new(target: &str, operation: &str, name: &str) -> Self {
        Self {
            target: target.into(),
            operation: operation.into(),
            name: name.into(),
            times: 1,
            skip: 0,
            delay_ms: None,
            value: None,
        }
    }

    /// `delay_ms`, or the given default, never longer than two minutes.
    #[must_use]
    pub fn delay(&self, default_ms: u64) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or(default_ms).min(120_000))
    }

    /// The code of `reject:<code>`.
    #[must_use]
    pub fn rejection(&self) -> Option<&str> {
        self.name.strip_prefix("reject:")
    }
}

/// Why a fault was not queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFault(pub String);

/// The queue of faults.
#[derive(Debug, Default)]
pub struct Faults {
    queue: Mutex<Vec<Fault>>,
    struck: Mutex<Vec<Fault>>,
    declared: Mutex<BTreeMap<String, Declared>>,
}

/// What a simulator knows: its operations and the faults it has beyond the common ones.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Declared {
    pub operations: Vec<String>,
    pub faults: Vec<String>,
}

impl Faults {
    /// A simulator names its operations and its own faults, so that a misspelt one is refused.
    pub fn declare(&self, target: &str, operations: &[&str], faults: &[&str]) {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let declared = Declared { operations: own(operations), faults: own(faults) };
        lock(&self.declared).insert(target.to_owned(), declared);
    }

    #[must_use]
    pub fn declared(&self) -> BTreeMap<String, Declared> {
        lock(&self.declared).clone()
    }

    /// # Errors
    /// When target, operation or fault is not one that was declared. A target that declared
    /// nothing takes any name.
    pub fn queue(&self, fault: Fault) -> Result<(), UnknownFault> {
        self.check(&fault)?;
        lock(&self.queue).push(fault);
        Ok(())
    }

    /// Whether [`Faults::queue`] would take it.
    ///
    /// # Errors
    /// As there.
    pub fn check(&self, fault: &Fault) -> Result<(), UnknownFault> {
        if !TARGETS.contains(&fault.target.as_str()) {
            return Err(UnknownFault(format!("target {}", fault.target)));
        }
        let Some(declared) = lock(&self.declared).get(&fault.target).cloned() else {
            return Ok(());
        };
        if fault.operation != "*" && !declared.operations.contains(&fault.operation) {
            return Err(UnknownFault(format!("operation {}", fault.operation)));
        }
        let known = COMMON.contains(&fault.name.as_str())
            || declared.faults.contains(&fault.name)
            || fault.rejection().is_some_and(|code| !code.is_empty());
        if !known || fault.times == 0 {
            return Err(UnknownFault(format!("fault {}", fault.name)));
        }
        Ok(())
    }

    /// Takes the next fault aimed at this call, if any; each answer uses it up once.
    #[must_use]
    pub fn take(&self, target: &str, operation: &str) -> Option<Fault> {
        self.take_where(target, operation, |_| true)
    }

    /// As [`Faults::take`], among the faults with this name only: for faults that bend what
    /// happens inside instead of the answer.
    #[must_use]
    pub fn take_named(&self, target: &str, operation: &str, name: &str) -> Option<Fault> {
        self.take_where(target, operation, |fault| fault.name == name)
    }

    /// As [`Faults::take`], among common faults and rejections only.
    #[must_use]
    pub fn take_common(&self, target: &str, operation: &str) -> Option<Fault> {
        self.take_where(target, operation, |fault| {
            COMMON.contains(&fault.name.as_str()) || fault.rejection().is_some()
        })
    }

    fn take_where(
        &self,
        target: &str,
        operation: &str,
        wanted: impl Fn(&Fault) -> bool,
    ) -> Option<Fault> {
        let mut queue = lock(&self.queue);
        let matches = |fault: &Fault| {
            fault.target == target
                && (fault.operation == operation || fault.operation == "*")
                && wanted(fault)
        };
        let at = queue.iter().position(matches)?;
        let fault = queue.get_mut(at)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let struck = Fault { times: 1, ..fault.clone() };
        if fault.times == 0 {
            queue.remove(at);
        }
        lock(&self.struck).push(struck.clone());
        Some(struck)
    }

    /// What still waits to strike.
    #[must_use]
    pub fn waiting(&self) -> Vec<Fault> {
        lock(&self.queue).clone()
    }

    /// What has struck, in order.
    #[must_use]
    pub fn struck(&self) -> Vec<Fault> {
        lock(&self.struck).clone()
    }

    /// Forgets every queued fault.
    pub fn clear(&self) {
        lock(&self.queue).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
