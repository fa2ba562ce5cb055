//! Payouts: creating (once per idempotency key), reading, listing, cancelling.
//!
//! Invariant: a key belongs to one body and one payout for seven days; the same request again shows
//! that payout as it is now, another body is refused, and a refused request uses no key. What
//! happens to a payout afterwards is in `machine.rs`.

use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::bank::{Desk, KeyUse};
use super::checks::{Fields, Page, Query, check_own_account};
use super::entities::{FundAccount, Payout};
use super::machine::Arrival;
use super::mode::Mode;
use super::refusal::Refusal;
use super::state::Status;

const PURPOSES: [&str; 7] =
    ["refund", "cashback", "payout", "salary", "utility bill", "vendor bill", "custom"];

/// How long a key is remembered.
const KEY_LIFE: TimeDelta = TimeDelta::days(7);

/// What the beneficiary's bank shows when the request says nothing.
const DEFAULT_NARRATION: &str = "Sandbox Fund Transfer";

/// 4 to 36 letters, digits, hyphens, underscores and spaces.
pub(super) fn check_key(key: Option<&str>) -> Result<String, Refusal> {
    let key = key.filter(|key| !key.is_empty()).ok_or_else(Refusal::key_missing)?;
    let allowed =
        key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_ ".contains(letter));
    if allowed && (4..=36).contains(&key.len()) {
        Ok(key.to_owned())
    } else {
        Err(Refusal::key_malformed())
    }
}

/// The request, read and checked on its own.
struct Order {
    amount: i64,
    mode: Mode,
    purpose: String,
    queue_if_low_balance: bool,
    reference_id: Option<String>,
    narration: String,
    notes: Map<String, Value>,
}

fn read(fields: &Fields<'_>) -> Result<Order, Refusal> {
    check_own_account("account_number", &fields.required_text("account_number", 1, 40)?)?;
    let amount = fields.amount("amount", 100)?.ok_or_else(|| fields.missing("amount"))?;
    if fields.required_text("currency", 1, 10)? != "INR" {
        return Err(fields.refuse("currency", "is invalid. Only INR is supported."));
    }
    let word = fields.required_text("mode", 1, 20)?;
    let mode =
        Mode::parse(&word).ok_or_else(|| Refusal::input("mode", "Payout mode is invalid"))?;
    if let Some(sentence) = mode.refuses(amount) {
        return Err(Refusal::input("amount", sentence));
    }
    let purpose = fields.required_text("purpose", 1, 30)?;
    if !PURPOSES.contains(&purpose.as_str()) {
        return Err(Refusal::input("purpose", format!("Invalid purpose: {purpose}")));
    }
    let narration = fields.text("narration", 1, 30)?;
    let plain = |text: &String| text.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ');
    if !narration.as_ref().is_none_or(plain) {
        return Err(fields.refuse("narration", "may only contain letters, numbers and spaces."));
    }
    Ok(Order {
        amount,
        mode,
        purpose,
        queue_if_low_balance: fields.flag("queue_if_low_balance")?.unwrap_or(false),
        reference_id: fields.text("reference_id", 1, 40)?,
        narration: narration.unwrap_or_else(|| DEFAULT_NARRATION.to_owned()),
        notes: fields.notes()?.unwrap_or_default(),
    })
}

impl Desk<'_> {
    pub(super) fn create_payout(
        &mut self,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let key = check_key(key)?;
        if let Some(used) =
            self.state.keys.get(&key).filter(|used| used.since + KEY_LIFE > self.now)
        {
            if used.body != *body {
                return Err(Refusal::key_reused());
            }
            let payout = self.state.payouts.get(&used.payout_id).ok_or_else(Refusal::unknown_id)?;
            self.state.books.accept(self.world, payout, true);
            return Ok(self.payout_json(payout));
        }
        let fields = Fields::of(body)?;
        let order = read(&fields)?;
        let composite = fields.has("fund_account");
        let fund_account = self.payee(&fields, order.mode)?;
        let id = self.id("pout_");
        let since = self.now;
        let known = KeyUse { body: body.clone(), payout_id: id.clone(), since };
        self.state.keys.insert(key.clone(), known);
        self.start(id, key, order, fund_account, composite)
    }

    /// The fund account to pay, which must suit the mode; created on the way when nested.
    fn payee(&mut self, fields: &Fields<'_>, mode: Mode) -> Result<FundAccount, Refusal> {
        let nested = fields.inner("fund_account", "fund_account.")?;
        let given = fields.text("fund_account_id", 1, 40)?;
        let suits = |pays_vpa: bool| {
            if pays_vpa == mode.pays_vpa() {
                Ok(())
            } else {
                let sentence =
                    format!("{} is not a valid mode for this fund account.", mode.as_str());
                Err(Refusal::input("mode", sentence))
            }
        };
        let id = match (given, nested) {
            (Some(_), Some(_)) => {
                let sentence = "Give either fund_account_id or fund_account, not both.";
                return Err(Refusal::input("fund_account_id", sentence));
            }
            (None, None) => return Err(fields.missing("fund_account_id")),
            (Some(id), None) => id,
            (None, Some(nested)) => {
                let destination = nested.destination()?;
                suits(destination.vpa().is_some())?;
                let contact = nested
                    .inner("contact", "fund_account.contact.")?
                    .ok_or_else(|| nested.missing("contact"))?;
                let contact_id = self.contact_of(&contact)?;
                self.fund_account_of(contact_id, destination)
            }
        };
        let found = self.state.fund_accounts.get(&id).ok_or_else(Refusal::unknown_id)?.clone();
        suits(found.destination.vpa().is_some())?;
        let contact = self.state.contacts.get(&found.contact_id);
        if !found.active || contact.is_none_or(|contact| !contact.active) {
            let what = if found.active { "contact" } else { "fund account" };
            let sentence = format!("Payouts cannot be created on an inactive {what}");
            return Err(Refusal::input("fund_account_id", sentence));
        }
        Ok(found)
    }

    fn start(
        &mut self,
        id: String,
        key: String,
        order: Order,
        fund_account: FundAccount,
        composite: bool,
    ) -> Result<Value, Refusal> {
        let vpa = fund_account.destination.vpa();
        let outcome = self.state.plan.take(vpa.as_deref(), order.reference_id.as_deref());
        let script = outcome.script(&self.state.plan.delays);
        let payout = Payout {
            id: id.clone(),
            key,
            fund_account_id: fund_account.id,
            contact_id: fund_account.contact_id,
            destination: fund_account.destination,
            composite,
            amount: order.amount,
            fees: 0,
            tax: 0,
            mode: order.mode,
            purpose: order.purpose,
            reference_id: order.reference_id,
            narration: order.narration,
            notes: order.notes,
            queue_if_low_balance: order.queue_if_low_balance,
            status: script.begin,
            reason: None,
            utr: None,
            created_at: self.epoch(),
            steps: script.steps,
            late_utr: script.late_utr,
            due: None,
            money_out: false,
            history: Vec::new(),
        };
        self.state.books.accept(self.world, &payout, false);
        self.state.payouts.add(payout);
        let arrival = Arrival { to: script.begin, reason: script.reason, hold_credit: false };
        self.begin(&id, arrival);
        self.fetch_payout(&id)
    }

    pub(super) fn fetch_payout(&self, id: &str) -> Result<Value, Refusal> {
        let payout = self.state.payouts.get(id).ok_or_else(Refusal::unknown_id)?;
        Ok(self.payout_json(payout))
    }

    pub(super) fn list_payouts(&self, query: &Query) -> Result<Value, Refusal> {
        query.own_account()?;
        if query.get("status").is_some_and(|word| Status::parse(word).is_none()) {
            return Err(Refusal::input("status", "The status is invalid."));
        }
        if query.get("mode").is_some_and(|word| Mode::parse(word).is_none()) {
            return Err(Refusal::input("mode", "Payout mode is invalid"));
        }
        let admits = |payout: &Payout| {
            query.admits("contact_id", Some(&payout.contact_id))
                && query.admits("fund_account_id", Some(&payout.fund_account_id))
                && query.admits("mode", Some(payout.mode.as_str()))
                && query.admits("reference_id", payout.reference_id.as_deref())
                && query.admits("status", Some(payout.status.as_str()))
        };
        let page: Page = query.page()?;
        Ok(page.of(self.state.payouts.iter(), admits, |payout| self.payout_json(payout)))
    }

    /// Only a queued payout can be cancelled.
    pub(super) fn cancel_payout(&mut self, id: &str) -> Result<Value, Refusal> {
        let status = self.state.payouts.get(id).ok_or_else(Refusal::unknown_id)?.status;
        if status != Status::Queued {
            return Err(Refusal::business(format!(
                "Payout cannot be cancelled in {} state. Only queued payouts can be cancelled.",
                status.as_str(),
            )));
        }
        let arrival = Arrival { to: Status::Cancelled, reason: None, hold_credit: false };
        self.advance(id, arrival).map_err(Refusal::business)?;
        self.fetch_payout(id)
    }
}
