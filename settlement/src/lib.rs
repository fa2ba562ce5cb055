//! The product: what a payment may do next, and what that costs.
//!
//! Owns every table of the product and every state machine. Functions ending in `_in` run in the
//! caller's transaction. Deliberately absent: chains, exchanges, rails and HTTP. This room cannot
//! call out; the workers bring it facts in its own words.

pub mod bookkeeping;
pub mod case;
pub mod chart;
pub mod conversion;
pub mod deposit;
pub mod destination;
pub mod exposure;
pub mod inbox;
pub mod jobs;
pub mod merchant_policy;
pub mod notice;
pub mod payment;
pub mod payout;
pub mod policy;
pub mod quote;
pub mod rates;
pub mod reconcile;
pub mod refund;
pub mod stuck;
pub mod switch;
pub mod treasury;
pub mod venue_freeze;
pub mod views;

mod error;
mod money_column;
mod settings;
mod transition;

use std::sync::Arc;

use primitives::{Clock, Entropy};
use sqlx::PgPool;

pub use error::Error;
pub use settings::{AcceptRule, NetworkSettings, Settings, VenueSettings};
pub use transition::{InvalidTransition, Record, record_in, states_markdown};

/// What every function of this room may use: the database, time, randomness and settings.
#[derive(Clone, Debug)]
pub struct Base {
    pub pool: PgPool,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<Entropy>,
    pub settings: Arc<Settings>,
}

impl Base {
    #[must_use]
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.clock.now()
    }

    /// A fresh time-ordered id.
    #[must_use]
    pub fn uuid(&self) -> uuid::Uuid {
        self.entropy.uuid(self.clock.now())
    }
}
