//! What will become of a payout: outcomes by name, the plan that hands them out, the delays.
//!
//! Invariant: a script only takes arrows of the vendor's diagram (a unit test walks all of them),
//! and an outcome handed out is used up. When a step happens is `bank.rs`'s business.

use std::collections::{HashMap, VecDeque};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::reasons::{self, Reason};
use super::state::Status;

/// How long things take, in milliseconds of the world's clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Delays {
    /// From `processing` to the answer of the beneficiary's bank.
    pub processing_ms: u32,
    /// From an end to its surprising successor (`processed` to `reversed`).
    pub reversal_ms: u32,
    /// From `queued`, `pending` or `scheduled` onwards.
    pub queue_ms: u32,
    /// From `processed` to a late UTR.
    pub utr_ms: u32,
    /// How old `banking_balances` may be; 0 is live.
    pub balance_refresh_ms: u32,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            processing_ms: 400,
            reversal_ms: 400,
            queue_ms: 400,
            utr_ms: 400,
            balance_refresh_ms: 0,
        }
    }
}

/// What a step does to the payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Become {
        to: Status,
        reason: Option<&'static Reason>,
        /// `failed` now, with the money coming back only at the later `reversed`.
        hold_credit: bool,
    },
    /// The bank's reference arrives on its own.
    Utr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) after: TimeDelta,
    pub(super) act: Act,
}

/// The life a payout is going to lead.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) begin: Status,
    pub(super) reason: Option<&'static Reason>,
    pub(super) steps: VecDeque<Step>,
    /// Whether `processed` comes without its UTR.
    pub(super) late_utr: bool,
}

/// A named outcome, with an optional reason after a colon: `failed:beneficiary_bank_offline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    kind: &'static Kind,
    reason: Option<&'static Reason>,
}

#[derive(Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    path: &'static [Status],
    /// The state of the path that the reason after the colon explains.
    explains: Status,
    usual: &'static str,
    late_utr: bool,
    hold_credit: bool,
}

const fn kind(
    name: &'static str,
    path: &'static [Status],
    explains: Status,
    usual: &'static str,
) -> Kind {
    Kind { name, path, explains, usual, late_utr: false, hold_credit: false }
}

use Status::{Failed, Pending, Processed, Processing, Queued, Rejected, Reversed, Scheduled};

static KINDS: &[Kind] = &[
    kind("processed", &[Processing, Processed], Processed, "payout_processed"),
    Kind {
        late_utr: true,
        ..kind("processed_late_utr", &[Processing, Processed], Processed, "payout_processed")
    },
    kind("failed", &[Processing, Failed], Failed, "beneficiary_bank_failure"),
    kind("reversed", &[Processing, Reversed], Reversed, "beneficiary_bank_rejected"),
    kind(
        "reversed_after_processed",
        &[Processing, Processed, Reversed],
        Reversed,
        "beneficiary_bank_rejected",
    ),
    Kind {
        hold_credit: true,
        ..kind("failed_then_reversed", &[Processing, Failed, Reversed], Failed, "gateway_timeout")
    },
    kind(
        "reversed_then_failed",
        &[Processing, Reversed, Failed],
        Reversed,
        "beneficiary_bank_rejected",
    ),
    kind("stuck_processing", &[Processing], Processing, "beneficiary_bank_confirmation_pending"),
    kind("queued", &[Queued], Queued, "beneficiary_bank_down"),
    kind(
        "queued_then_processed",
        &[Queued, Processing, Processed],
        Queued,
        "beneficiary_bank_down",
    ),
    kind("queued_then_failed", &[Queued, Failed], Failed, "beneficiary_bank_offline"),
    kind("pending", &[Pending], Pending, "pending_approval"),
    kind("pending_then_processed", &[Pending, Processing, Processed], Pending, "pending_approval"),
    kind("pending_then_rejected", &[Pending, Rejected], Pending, "pending_approval"),
    kind(
        "scheduled_then_processed",
        &[Scheduled, Processing, Processed],
        Processed,
        "payout_processed",
    ),
];

fn known() -> String {
    KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

impl Outcome {
    /// # Errors
    /// Names the word that is not known, or the reason that does not belong to the outcome.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, reason) = match text.split_once(':') {
            Some((name, reason)) => (name, Some(reason)),
            None => (text, None),
        };
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| format!("unknown outcome {name}; known are {}", known()))?;
        let reason = reason
            .map(|word| {
                reasons::find(word)
                    .filter(|reason| reason.fits(kind.explains))
                    .ok_or_else(|| format!("unknown reason {word} for outcome {name}"))
            })
            .transpose()?;
        Ok(Self { kind, reason })
    }

    pub(super) fn usual() -> Self {
        // The first row is the ordinary life of a payout.
        const ORDINARY: &Kind =
            &kind("processed", &[Processing, Processed], Processed, "payout_processed");
        Self { kind: ORDINARY, reason: None }
    }

    fn text(&self) -> String {
        match self.reason {
            Some(reason) => format!("{}:{}", self.kind.name, reason.name),
            None => self.kind.name.to_owned(),
        }
    }

    pub(super) fn script(&self, delays: &Delays) -> Script {
        let explain = |status: Status| {
            if status == self.kind.explains {
                self.reason.or_else(|| reasons::find(self.kind.usual))
            } else {
                reasons::usual(status)
            }
        };
        let begin = self.kind.path.first().copied().unwrap_or(Processing);
        let arrows = self.kind.path.iter().zip(self.kind.path.iter().skip(1));
        let mut steps: VecDeque<Step> = arrows
            .map(|(from, to)| Step {
                after: delays.between(*from),
                act: Act::Become {
                    to: *to,
                    reason: explain(*to),
                    hold_credit: self.kind.hold_credit && *to == Failed,
                },
            })
            .collect();
        if self.kind.late_utr {
            steps.push_back(Step { after: millis(delays.utr_ms), act: Act::Utr });
        }
        Script { begin, reason: explain(begin), steps, late_utr: self.kind.late_utr }
    }
}

impl Delays {
    fn between(&self, from: Status) -> TimeDelta {
        millis(match from {
            Pending | Queued | Scheduled => self.queue_ms,
            Processing => self.processing_ms,
            Processed | Failed | Reversed | Rejected | Status::Cancelled => self.reversal_ms,
        })
    }
}

pub(super) fn millis(count: u32) -> TimeDelta {
    TimeDelta::milliseconds(i64::from(count))
}

/// Which outcome the next payouts get.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) delays: Delays,
    otherwise: Outcome,
    next: VecDeque<Outcome>,
    by_vpa: HashMap<String, VecDeque<Outcome>>,
    by_reference: HashMap<String, VecDeque<Outcome>>,
}

/// A change of the plan, as control posts it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PlanChange {
    /// Forget everything planned before.
    clear: bool,
    /// For the next payouts, in order; or only for those of a VPA or reference.
    outcomes: Vec<String>,
    vpa: Option<String>,
    reference_id: Option<String>,
    /// For payouts nothing else is planned for.
    default: Option<String>,
    delays: Option<Delays>,
}

/// What is planned, for people to read.
#[derive(Debug, Serialize)]
pub(super) struct PlanView {
    default: String,
    next: Vec<String>,
    by_vpa: HashMap<String, Vec<String>>,
    by_reference_id: HashMap<String, Vec<String>>,
    delays: Delays,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            delays: Delays::default(),
            otherwise: Outcome::usual(),
            next: VecDeque::new(),
            by_vpa: HashMap::new(),
            by_reference: HashMap::new(),
        }
    }
}

impl Plan {
    /// All or nothing: a wrong word changes nothing.
    pub(super) fn change(&mut self, change: PlanChange) -> Result<(), String> {
        let outcomes: Vec<Outcome> =
            change.outcomes.iter().map(|text| Outcome::parse(text)).collect::<Result<_, _>>()?;
        let otherwise = change.default.as_deref().map(Outcome::parse).transpose()?;
        if change.vpa.is_some() && change.reference_id.is_some() {
            return Err("give vpa or reference_id, not both".to_owned());
        }
        if change.clear {
            *self = Self { delays: self.delays, ..Self::default() };
        }
        self.otherwise = otherwise.unwrap_or_else(|| self.otherwise.clone());
        self.delays = change.delays.unwrap_or(self.delays);
        match (change.vpa, change.reference_id) {
            (Some(vpa), _) => {
                self.by_vpa.entry(vpa.to_ascii_lowercase()).or_default().extend(outcomes);
            }
            (None, Some(reference)) => {
                self.by_reference.entry(reference).or_default().extend(outcomes);
            }
            (None, None) => self.next.extend(outcomes),
        }
        Ok(())
    }

    /// The outcome of a new payout: by reference, else by VPA, else in order, else the default.
    pub(super) fn take(&mut self, vpa: Option<&str>, reference: Option<&str>) -> Outcome {
        let by_reference = reference.and_then(|reference| self.by_reference.get_mut(reference));
        if let Some(outcome) = by_reference.and_then(VecDeque::pop_front) {
            return outcome;
        }
        let vpa = vpa.map(str::to_ascii_lowercase);
        let by_vpa = vpa.and_then(|vpa| self.by_vpa.get_mut(&vpa));
        if let Some(outcome) = by_vpa.and_then(VecDeque::pop_front) {
            return outcome;
        }
        self.next.pop_front().unwrap_or_else(|| self.otherwise.clone())
    }

    pub(super) fn view(&self) -> PlanView {
        let texts = |queue: &VecDeque<Outcome>| queue.iter().map(Outcome::text).collect();
        let keyed = |map: &HashMap<String, VecDeque<Outcome>>| {
            map.iter().map(|(key, queue)| (key.clone(), texts(queue))).collect()
        };
        PlanView {
            default: self.otherwise.text(),
            next: texts(&self.next),
            by_vpa: keyed(&self.by_vpa),
            by_reference_id: keyed(&self.by_reference),
            delays: self.delays,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Delays, KINDS, Outcome};

    /// Every outcome that can be planned takes only arrows of the vendor's diagram.
    #[test]
    fn scripts_are_legal_lives() {
        for name in KINDS.iter().map(|kind| kind.name) {
            let script = Outcome::parse(name).unwrap().script(&Delays::default());
            assert!(script.begin.may_begin(), "{name}");
            let mut at = script.begin;
            for step in script.steps {
                if let Act::Become { to, .. } = step.act {
                    assert!(at.may_become(to), "{name}: {at:?} to {to:?}");
                    at = to;
                }
            }
        }
    }

    #[test]
    fn the_usual_outcome_is_the_first_row() {
        assert_eq!(Outcome::usual(), Outcome::parse("processed").unwrap());
        assert!(Outcome::parse("failed:low_balance").is_err());
        assert!(Outcome::parse("lost").is_err());
    }
}
