//! The bank rail in RazorpayX's dialect: contacts, fund accounts, payouts, statement, webhooks.
//!
//! Invariant: behaviour is written from the handbook's facts about the vendor and never from our
//! own adapter. One lock, one book, one clock (`bank.rs`); the API is `api.rs`, control is
//! `control.rs`, described in the README beside it. Bank windows, approval by people and
//! three-month expiries are deliberately not modelled: the outcome plan stands for them.

mod api;
mod bank;
mod books;
mod checks;
mod contacts;
mod control;
mod courier;
mod entities;
mod events;
mod fund_accounts;
mod ids;
mod machine;
mod mode;
mod outcomes;
mod payouts;
mod post;
mod reasons;
mod refusal;
mod shelf;
mod signature;
mod state;
mod statement;
mod validations;

use std::sync::Arc;

use axum::Router;

use crate::World;

pub use bank::Bank;
pub use courier::spawn;
pub use signature::sign;
pub use state::Status;

/// The one account of this bank.
pub const ACCOUNT_NUMBER: &str = "7878780080316316";

/// What a client needs to talk to the bank and to believe its webhooks.
#[derive(Clone)]
pub struct Credentials {
    pub key_id: String,
    pub key_secret: String,
    pub account_number: String,
    pub webhook_secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The vendor's API, and the bank behind it. Time passes and webhooks leave while the loop of
/// [`spawn`] runs.
pub fn router(world: Arc<World>) -> (Router, Arc<Bank>) {
    world.faults.declare(books::NAME, api::OPERATIONS, &[]);
    let bank = Arc::new(Bank::new(world));
    (api::router(Arc::clone(&bank)), bank)
}

/// Routes of the control server, nested there under `/razorpayx`.
pub fn control_router(bank: Arc<Bank>) -> Router {
    control::router(bank)
}
