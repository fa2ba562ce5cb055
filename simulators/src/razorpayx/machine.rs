//! A payout's life: arrivals in states, what each moves on the account, what each announces.
//!
//! Invariant: money leaves the account exactly once, on arrival in `processing`, and comes back at
//! most once, on the first `failed` or `reversed` that brings it (`money_out` says whether it is
//! out). Which arrows exist is in `state.rs`, which are taken in `outcomes.rs`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::bank::Desk;
use super::books::{Cause, Entering, Line};
use super::courier::Event;
use super::ids;
use super::outcomes::Act;
use super::reasons::{self, Reason};
use super::state::Status;

/// The price of a payout, of which the tax.
pub(super) const FEES_PAISE: i64 = 590;
pub(super) const TAX_PAISE: i64 = 90;

/// An arrival that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) to: Status,
    pub(super) reason: Option<&'static Reason>,
    pub(super) hold_credit: bool,
}

impl Arrival {
    pub(super) fn plain(to: Status, reason: &str) -> Self {
        Self { to, reason: reasons::find(reason), hold_credit: false }
    }
}

impl Desk<'_> {
    /// Does everything that is due.
    pub(super) fn settle(&mut self) {
        while let Some((due, id)) = self.state.due.first().cloned() {
            if due > self.now {
                break;
            }
            self.state.due.pop_first();
            self.step(&id, due);
        }
        self.serve_the_short_of_funds();
        self.settle_validations();
    }

    fn step(&mut self, id: &str, at: DateTime<Utc>) {
        let Some(payout) = self.state.payouts.get_mut(id) else {
            return;
        };
        payout.due = None;
        let Some(step) = payout.steps.pop_front() else {
            return;
        };
        match step.act {
            Act::Utr => {
                payout.utr = Some(ids::utr(&self.world.entropy, payout.mode));
                self.announce(id, "payout.updated");
            }
            Act::Become { to: Status::Processing, .. } if !self.affordable(id) => {
                self.wait_for_funds(id);
                return;
            }
            Act::Become { to, reason, hold_credit } => {
                self.arrive(id, Arrival { to, reason, hold_credit });
            }
        }
        self.schedule(id, at);
    }

    /// Sets the time of the payout's next step, counted from `at`.
    fn schedule(&mut self, id: &str, at: DateTime<Utc>) {
        let Some(payout) = self.state.payouts.get_mut(id) else {
            return;
        };
        if let Some(step) = payout.steps.front() {
            let due = at + step.after;
            payout.due = Some(due);
            self.state.due.insert((due, id.to_owned()));
        }
    }

    fn affordable(&self, id: &str) -> bool {
        let balance = self.state.books.balance();
        self.state.payouts.get(id).is_some_and(|payout| payout.cost(FEES_PAISE) <= balance)
    }

    /// The first state of a new payout, which is already on the shelf.
    pub(super) fn begin(&mut self, id: &str, arrival: Arrival) {
        if arrival.to == Status::Processing && !self.affordable(id) {
            let queue = self.state.payouts.get(id).is_some_and(|p| p.queue_if_low_balance);
            if queue {
                self.arrive(id, Arrival::plain(Status::Queued, "low_balance"));
                self.state.short_of_funds.push_back(id.to_owned());
            } else {
                self.fail_for_funds(id);
            }
            return;
        }
        self.arrive(id, arrival);
        self.schedule(id, self.now);
    }

    /// A payout that waited for something else now waits for money, or fails for want of it.
    fn wait_for_funds(&mut self, id: &str) {
        let Some(payout) = self.state.payouts.get_mut(id) else {
            return;
        };
        match payout.status {
            Status::Pending => self.arrive(id, Arrival::plain(Status::Queued, "low_balance")),
            Status::Queued if payout.queue_if_low_balance => {
                payout.reason = reasons::find("low_balance");
                self.announce(id, "payout.updated");
            }
            _ => return self.fail_for_funds(id),
        }
        self.state.short_of_funds.push_back(id.to_owned());
    }

    fn fail_for_funds(&mut self, id: &str) {
        if let Some(payout) = self.state.payouts.get_mut(id) {
            payout.steps.clear();
        }
        self.arrive(id, Arrival::plain(Status::Failed, "insufficient_funds"));
    }

    /// First come, first served, as far as the balance reaches.
    fn serve_the_short_of_funds(&mut self) {
        let waiting = std::mem::take(&mut self.state.short_of_funds);
        for id in waiting {
            if self.affordable(&id) {
                self.arrive(&id, Arrival::plain(Status::Processing, "payout_bank_processing"));
                self.schedule(&id, self.now);
            } else {
                self.state.short_of_funds.push_back(id);
            }
        }
    }

    /// By hand: one arrow of the diagram, after which nothing planned happens any more.
    pub(super) fn advance(&mut self, id: &str, arrival: Arrival) -> Result<(), String> {
        let Some(payout) = self.state.payouts.get(id) else {
            return Err("no such payout".to_owned());
        };
        let from = payout.status;
        if !from.may_become(arrival.to) {
            let (from, to) = (from.as_str(), arrival.to.as_str());
            return Err(format!("a {from} payout cannot become {to}"));
        }
        if arrival.to == Status::Processing && !self.affordable(id) {
            return Err("the balance does not cover the payout".to_owned());
        }
        if let Some(payout) = self.state.payouts.get_mut(id) {
            payout.steps.clear();
            if let Some(due) = payout.due.take() {
                self.state.due.remove(&(due, id.to_owned()));
            }
        }
        self.state.short_of_funds.retain(|waiting| waiting != id);
        self.arrive(id, arrival);
        Ok(())
    }

    fn arrive(&mut self, id: &str, arrival: Arrival) {
        let Some(payout) = self.state.payouts.get_mut(id) else {
            return;
        };
        payout.status = arrival.to;
        payout.reason = arrival.reason;
        payout.history.push((self.now, arrival.to, arrival.reason));
        let mut utr_came = false;
        let mut movement = None;
        match arrival.to {
            Status::Processing => {
                payout.fees = FEES_PAISE;
                payout.tax = TAX_PAISE;
                payout.money_out = true;
                movement = Some(payout.cost(FEES_PAISE).saturating_neg());
            }
            Status::Processed => {
                if !payout.late_utr {
                    payout.utr = Some(ids::utr(&self.world.entropy, payout.mode));
                    utr_came = true;
                }
                self.state.books.pay(self.world, payout);
            }
            Status::Failed | Status::Reversed => {
                if payout.money_out && !arrival.hold_credit {
                    payout.money_out = false;
                    movement = Some(payout.cost(payout.fees));
                    self.state.books.take_back(self.world, payout);
                }
            }
            Status::Pending
            | Status::Queued
            | Status::Scheduled
            | Status::Cancelled
            | Status::Rejected => {}
        }
        if utr_came {
            self.announce(id, "payout.updated");
        }
        if let Some(event) = arrival.to.event() {
            self.announce(id, event);
        }
        if let Some(amount) = movement {
            self.enter_for_payout(id, amount);
        }
    }

    fn enter_for_payout(&mut self, payout_id: &str, amount: i64) {
        let payout_id = payout_id.to_owned();
        let cause = if amount < 0 {
            Cause::Payout { payout_id }
        } else {
            Cause::Reversal { id: self.id("rvrsl_"), payout_id }
        };
        self.enter(amount, cause);
    }

    /// Moves `amount` paise on the account and announces the transaction.
    pub(super) fn enter(&mut self, amount: i64, cause: Cause) {
        let entering = Entering { world: self.world, now: self.now, id: self.id("txn_") };
        let line = self.state.books.enter(entering, amount, cause).clone();
        let payload = self.transaction_json(&line);
        self.events.push(Event {
            name: "transaction.created",
            contains: "transaction",
            about: line.cause.payout_id().map(str::to_owned),
            payload,
        });
    }

    /// A movement as the API and its webhook show it.
    pub(super) fn transaction_json(&self, line: &Line) -> Value {
        let payout = line.cause.payout_id().and_then(|id| self.state.payouts.get(id));
        let source = match &line.cause {
            Cause::Payout { .. } => payout.map_or(Value::Null, |payout| payout.to_source()),
            Cause::Reversal { id, payout_id } => json!({
                "id": id,
                "entity": "reversal",
                "payout_id": payout_id,
                "amount": line.credit,
                "fee": 0,
                "tax": 0,
                "currency": "INR",
                "notes": [],
                "utr": payout.and_then(|payout| payout.utr.clone()),
                "created_at": line.at.timestamp(),
            }),
            Cause::BankTransfer { id, reference } => json!({
                "id": id,
                "entity": "bank_transfer",
                "payer_name": "Treasury",
                "payer_account": "6543266545411243",
                "payer_ifsc": "UTIB0000002",
                "mode": "NEFT",
                "bank_reference": reference,
                "amount": line.credit.max(line.debit),
            }),
        };
        json!({
            "id": line.id,
            "entity": "transaction",
            "account_number": super::ACCOUNT_NUMBER,
            "amount": line.credit.max(line.debit),
            "currency": "INR",
            "credit": line.credit,
            "debit": line.debit,
            "balance": line.balance,
            "source": source,
            "created_at": line.at.timestamp(),
        })
    }

    /// Webhooks always show the fund account expanded.
    pub(super) fn announce(&mut self, id: &str, name: &'static str) {
        let Some(payout) = self.state.payouts.get(id) else {
            return;
        };
        let payload = payout.to_json(self.expanded(&payout.fund_account_id));
        let about = Some(id.to_owned());
        self.events.push(Event { name, contains: "payout", about, payload });
    }
}
