//! Double-entry bookkeeping in PostgreSQL. This room has never heard of a payment.
//!
//! Invariants: a movement is one asset, one debit, one credit, one positive amount; history is only
//! added to; the same key posts once, and other content under it is a [`LedgerError::Conflict`].
//! The database keeps all of it by itself (`migrations/*_ledger.sql`); this crate only makes the
//! doors pleasant to use. Which event moves what is deliberately not here: see `docs/LEDGER.md`.
//!
//! Every function takes a connection and never commits, so a posting stands or falls with the
//! caller's transaction. **An error raised by the database aborts that transaction**: roll back,
//! then decide (every `LedgerError` says which). Call the ledger last before commit: the balances
//! it locks are the hottest rows of the system. Deadlocks (`40P01`) and serialisation failures
//! (`40001`) come back as `Database` and are worth one more try from the start of the transaction.

mod accounts;
mod door;
mod error;
mod holds;
mod pool;
mod post;
mod read;
mod record;
mod reports;
mod transfer;

pub use accounts::Account;
pub use error::LedgerError;
pub use holds::{capture, capture_part, release, reverse};
pub use pool::connect_pool;
pub use post::{hold, post, post_many};
pub use read::{Balance, balance, balance_as_of, balances};
pub use record::{LegRecord, Phase, TransferRecord, find, transfers_of};
pub use reports::{
    AccountClass, Defect, SealCheck, TrialLine, audit, seal, trial_balance, unbalanced,
    verify_seals,
};
pub use transfer::{Leg, Posted, REVERSAL, Resolution, Transfer};
