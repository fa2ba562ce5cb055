//! The account as the API shows it: balances and transactions.
//!
//! Invariant: transactions show every movement of the books; the balance is as old as the plan's
//! `balance_refresh_ms` allows, because the vendor's is refreshed and not live.

use serde_json::{Value, json};

use super::bank::Desk;
use super::books::{Cause, Line};
use super::checks::{Query, collection};
use super::outcomes::millis;
use super::refusal::Refusal;

const ACCOUNT_TYPES: [&str; 3] = ["current_account", "fixed_deposit", "razorpayx_lite"];

impl Desk<'_> {
    pub(super) fn balances(&mut self, query: &Query) -> Result<Value, Refusal> {
        let wanted = query.get("account_type");
        if wanted.is_some_and(|wanted| !ACCOUNT_TYPES.contains(&wanted)) {
            let sentence = "The selected account type is invalid.";
            return Err(Refusal::input("account_type", sentence));
        }
        let age = millis(self.state.plan.delays.balance_refresh_ms);
        if self.now - self.state.refreshed.1 >= age {
            self.state.refreshed = (self.state.books.balance(), self.now);
        }
        let ours = query.admits("account_number", Some(super::ACCOUNT_NUMBER))
            && query.admits("account_type", Some("current_account"))
            && query.admits("bank_code", Some("RATN"));
        let (amount, at) = self.state.refreshed;
        let item = json!({
            "entity": "banking_balance",
            "currency": "INR",
            "account_number": super::ACCOUNT_NUMBER,
            "account_type": "current_account",
            "bank_name": "RBL Bank",
            "bank_code": "RATN",
            "amount": amount,
            "available_amount": amount,
            "refreshed_at": at.timestamp(),
        });
        Ok(collection(ours.then_some(item).into_iter().collect()))
    }

    pub(super) fn list_transactions(&self, query: &Query) -> Result<Value, Refusal> {
        query.own_account()?;
        let page = query.page()?;
        let spanned = |line: &&Line| page.spans(line.at.timestamp());
        let lines = self.state.books.lines().rev().filter(spanned);
        Ok(page.cut(lines.map(|line| self.transaction_json(line))))
    }

    pub(super) fn fetch_transaction(&self, id: &str) -> Result<Value, Refusal> {
        let line = self.state.books.line(id).ok_or_else(Refusal::unknown_id)?;
        Ok(self.transaction_json(line))
    }

    /// Money comes in from outside, or goes there; what waits for it moves on.
    pub(super) fn transfer(&mut self, paise: i64) {
        let (id, reference) = (self.id("bt_"), self.id("UTIBR"));
        self.enter(paise, Cause::BankTransfer { id, reference });
        self.settle();
    }
}
