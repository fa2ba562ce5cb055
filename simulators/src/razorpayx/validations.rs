//! Account validation: asking the beneficiary's bank whose account it is.
//!
//! Invariant: a validation is `created` until the bank has answered and `completed` afterwards; the
//! answer is the one control set for the VPA or account number, else the contact's own name. The
//! vendor's charge for it is deliberately not booked.

use serde_json::Value;

use super::bank::Desk;
use super::checks::{Fields, Page, check_own_account};
use super::courier::Event;
use super::entities::{Destination, Finding, Validation};
use super::ids;
use super::mode::Mode;
use super::outcomes::millis;
use super::refusal::Refusal;

impl Desk<'_> {
    /// The newer request names the account `source_account_number` and nests the fund account; the
    /// older one names it `account_number` and gives the fund account's id.
    pub(super) fn create_validation(&mut self, body: &Value) -> Result<Value, Refusal> {
        let fields = Fields::of(body)?;
        let newer = fields.has("source_account_number");
        let account = if newer { "source_account_number" } else { "account_number" };
        check_own_account(account, &fields.required_text(account, 1, 40)?)?;
        let kind = fields.text("validation_type", 1, 40)?;
        if kind.is_some_and(|kind| kind != "pennydrop") {
            return Err(fields.refuse("validation_type", "is invalid."));
        }
        let nested = fields
            .inner("fund_account", "fund_account.")?
            .ok_or_else(|| fields.missing("fund_account"))?;
        let reference_id = fields.text("reference_id", 1, 40)?;
        let notes = fields.notes()?.unwrap_or_default();
        let amount = fields.amount("amount", 100)?.unwrap_or(100);
        let fund_account_id = match nested.text("id", 1, 40)? {
            Some(id) => {
                self.state.fund_accounts.get(&id).ok_or_else(Refusal::unknown_id)?;
                id
            }
            None => {
                let destination = nested.destination()?;
                let contact = nested
                    .inner("contact", "fund_account.contact.")?
                    .ok_or_else(|| nested.missing("contact"))?;
                let contact_id = self.contact_of(&contact)?;
                self.fund_account_of(contact_id, destination)
            }
        };
        let id = self.id("fav_");
        let due = self.now + millis(self.state.plan.delays.processing_ms);
        self.state.validations_due.insert((due, id.clone()));
        self.state.validations.add(Validation {
            id: id.clone(),
            composite: newer,
            fund_account_id,
            amount,
            reference_id,
            notes,
            result: None,
            created_at: self.epoch(),
        });
        self.fetch_validation(&id)
    }

    pub(super) fn fetch_validation(&self, id: &str) -> Result<Value, Refusal> {
        let row = self.state.validations.get(id).ok_or_else(Refusal::unknown_id)?;
        Ok(self.validation_json(row))
    }

    pub(super) fn list_validations(&self, page: Page) -> Value {
        let rows = self.state.validations.iter();
        page.of(rows, |_| true, |row| self.validation_json(row))
    }

    fn validation_json(&self, row: &Validation) -> Value {
        let fund_account = if row.composite {
            self.expanded(&row.fund_account_id)
        } else {
            self.fetch_fund_account(&row.fund_account_id).ok()
        };
        row.to_json(fund_account.unwrap_or_default())
    }

    pub(super) fn settle_validations(&mut self) {
        while let Some((due, id)) = self.state.validations_due.first().cloned() {
            if due > self.now {
                break;
            }
            self.state.validations_due.pop_first();
            let finding = self.find_out(&id);
            if let Some(row) = self.state.validations.get_mut(&id) {
                row.result = finding;
            }
            let Ok(payload) = self.fetch_validation(&id) else {
                continue;
            };
            self.events.push(Event {
                name: "fund_account.validation.completed",
                contains: "fund_account.validation",
                about: Some(id),
                payload,
            });
        }
    }

    fn find_out(&self, id: &str) -> Option<Finding> {
        let row = self.state.validations.get(id)?;
        let fund_account = self.state.fund_accounts.get(&row.fund_account_id)?;
        let contact = self.state.contacts.get(&fund_account.contact_id)?;
        let given = contact.details.name.as_str();
        let number = match &fund_account.destination {
            Destination::Vpa { .. } => {
                fund_account.destination.vpa().unwrap_or_default().to_ascii_lowercase()
            }
            Destination::Bank { account_number, .. } => account_number.clone(),
        };
        let (active, registered_name) = match self.state.beneficiaries.get(&number) {
            Some(known) => (known.active, known.registered_name.clone()),
            None => (true, Some(given.to_owned())),
        };
        let registered_name = registered_name.filter(|_| active);
        let same = registered_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(given));
        Some(Finding {
            active,
            name_match_score: if same { 100 } else { 0 },
            registered_name,
            utr: ids::utr(&self.world.entropy, Mode::Imps),
        })
    }
}
