//! Fund accounts: where a contact's money goes, a VPA or a bank account.
//!
//! Invariant: the same details of the same contact are one fund account; nothing about it can be
//! edited but `active`.

use serde_json::Value;

use super::bank::Desk;
use super::checks::{Fields, Page, Query};
use super::entities::{Destination, FundAccount};
use super::refusal::Refusal;

impl Desk<'_> {
    pub(super) fn create_fund_account(&mut self, body: &Value) -> Result<Value, Refusal> {
        let fields = Fields::of(body)?;
        let contact_id = fields.required_text("contact_id", 1, 40)?;
        let destination = fields.destination()?;
        if self.state.contacts.get(&contact_id).is_none() {
            return Err(Refusal::unknown_id());
        }
        let id = self.fund_account_of(contact_id, destination);
        self.fetch_fund_account(&id)
    }

    /// The id of the fund account with these details, new or known.
    pub(super) fn fund_account_of(
        &mut self,
        contact_id: String,
        destination: Destination,
    ) -> String {
        let details = (contact_id.clone(), destination.folded());
        if let Some(id) = self.state.fund_account_ids.get(&details) {
            return id.clone();
        }
        let id = self.id("fa_");
        self.state.fund_account_ids.insert(details, id.clone());
        let created_at = self.epoch();
        let id_out = id.clone();
        self.state.fund_accounts.add(FundAccount {
            id,
            contact_id,
            destination,
            active: true,
            created_at,
        });
        id_out
    }

    pub(super) fn fetch_fund_account(&self, id: &str) -> Result<Value, Refusal> {
        self.state.fund_accounts.get(id).map(FundAccount::to_json).ok_or_else(Refusal::unknown_id)
    }

    pub(super) fn update_fund_account(&mut self, id: &str, body: &Value) -> Result<Value, Refusal> {
        let fields = Fields::of(body)?;
        let active = fields.flag("active")?.ok_or_else(|| Refusal::required("active"))?;
        self.state.fund_accounts.get_mut(id).ok_or_else(Refusal::unknown_id)?.active = active;
        self.fetch_fund_account(id)
    }

    pub(super) fn list_fund_accounts(&self, query: &Query, page: Page) -> Value {
        let admits = |row: &FundAccount| {
            query.admits("contact_id", Some(&row.contact_id))
                && query.admits("account_type", Some(row.destination.account_type()))
        };
        page.of(self.state.fund_accounts.iter(), admits, FundAccount::to_json)
    }
}
