//! Everything that can go wrong with a posting, named by what the caller can do about it.
//!
//! Invariant: the mapping goes by SQLSTATE and constraint name, never by message text (but for the
//! id of the overdrawn account, which is a courtesy).

use std::collections::BTreeMap;

/// Variants marked *aborts* were raised by the database, so the caller's transaction can only be
/// rolled back; the others left it usable. `Malformed`, `AlreadyResolved` and `AlreadyReversed` can
/// be either: treat them as aborting.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The key was used with other content: two parts of the house disagree about one fact. Page
    /// somebody, do not retry. *Aborts.*
    #[error("ledger key {key} was used with other content")]
    Conflict { key: String },
    /// A floor would be crossed, holds included: the money is not there (any more). *Aborts.*
    #[error("account {} would be overdrawn", account.as_deref().unwrap_or("(one of several)"))]
    WouldOverdraw { account: Option<String> },
    /// The posting rules do not allow this leg in a transfer of this kind: a bug. *Aborts.*
    #[error("posting rules refuse: {0}")]
    NotAllowed(String),
    /// An account was frozen by an operator. *Aborts.*
    #[error("an account is frozen")]
    Frozen,
    /// The effective time is in a closed period or more than an hour ahead of the database's clock:
    /// post with today's date and the true one in `meta`. *Aborts.*
    #[error("the effective time is in a closed period or in the future")]
    ClosedPeriod,
    /// Not a transfer at all: a bug.
    #[error("malformed transfer: {0}")]
    Malformed(String),
    /// No transfer with this key has held legs.
    #[error("no hold under key {key}")]
    HoldNotFound { key: String },
    /// The hold was captured or released under another key.
    #[error("the hold {key} is resolved already")]
    AlreadyResolved { key: String },
    /// No transfer with this key.
    #[error("no transfer under key {key}")]
    TransferNotFound { key: String },
    /// The transfer was reversed under another key.
    #[error("the transfer {key} is reversed already")]
    AlreadyReversed { key: String },
    /// Weather: the queue tries again. *Aborts.*
    #[error("database")]
    Database(#[from] sqlx::Error),
}

/// Translates what the database raised. `key` is the transfer the caller spoke of (the hold or the
/// original where there is one), `names` the codes of the accounts involved.
pub(crate) fn from_database(
    error: sqlx::Error,
    key: &str,
    names: &BTreeMap<i64, String>,
) -> LedgerError {
    let sqlx::Error::Database(db) = &error else {
        return LedgerError::Database(error);
    };
    let key = key.to_owned();
    let message = || db.message().trim_start_matches("ledger: ").to_owned();
    let state = db.code().unwrap_or_default();
    match (&*state, db.constraint()) {
        ("LG001", _) => LedgerError::Conflict { key },
        ("LG003" | "LG005", _) | ("22003" | "22P02" | "23502" | "23503", _) => {
            LedgerError::Malformed(message())
        }
        ("LG004", _) => LedgerError::ClosedPeriod,
        ("LG006", _) => LedgerError::Frozen,
        ("LG007", _) => LedgerError::NotAllowed(message()),
        ("LG008", _) | ("23505", Some("legs_hold_once")) => LedgerError::AlreadyResolved { key },
        ("23505", Some("transfers_reversed_once")) => LedgerError::AlreadyReversed { key },
        ("23514", Some("overdraft")) => {
            LedgerError::WouldOverdraw { account: overdrawn(db.as_ref(), names) }
        }
        ("23514", _) => LedgerError::Malformed(message()),
        _ => LedgerError::Database(error),
    }
}

/// PostgreSQL says "Failing row contains (17, …)"; the first column of a balance is its account.
fn overdrawn(
    db: &(dyn sqlx::error::DatabaseError + 'static),
    names: &BTreeMap<i64, String>,
) -> Option<String> {
    let detail = db.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.detail()?;
    let (_, row) = detail.split_once('(')?;
    let (id, _) = row.split_once(',')?;
    names.get(&id.trim().parse().ok()?).cloned()
}

/// A value of ours came back in a shape it cannot have.
pub(crate) fn unreadable(what: impl std::fmt::Display) -> LedgerError {
    LedgerError::Database(sqlx::Error::Decode(what.to_string().into()))
}
