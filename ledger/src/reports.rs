//! The proofs: trial balance, audit, and the seals' hash chain.
//!
//! Invariant: a report reads the whole book in one statement, so it is one moment. Comparing the
//! books with the outside world is deliberately elsewhere: see the settlement room.

use std::{collections::BTreeMap, str::FromStr};

use primitives::{Amount, Asset};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{LedgerError, error::unreadable, read::amount};

/// The five kinds of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountClass {
    Asset,
    Liability,
    Equity,
    Income,
    Expense,
}

impl AccountClass {
    /// Assets and expenses grow by debits.
    #[must_use]
    pub const fn grows_by_debits(self) -> bool {
        matches!(self, Self::Asset | Self::Expense)
    }

    /// Turns debits − credits into the account's normal direction.
    pub(crate) fn normal(self, net: Amount) -> Result<Amount, LedgerError> {
        if self.grows_by_debits() {
            return Ok(net);
        }
        Amount::zero(net.asset()).checked_sub(net).map_err(unreadable)
    }
}

impl FromStr for AccountClass {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        match text {
            "asset" => Ok(Self::Asset),
            "liability" => Ok(Self::Liability),
            "equity" => Ok(Self::Equity),
            "income" => Ok(Self::Income),
            "expense" => Ok(Self::Expense),
            other => Err(unreadable(format!("account class {other}"))),
        }
    }
}

/// One account in the trial balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialLine {
    pub code: String,
    pub role: String,
    pub class: AccountClass,
    pub asset: Asset,
    /// Gross turnover; both only grow.
    pub debits: Amount,
    pub credits: Amount,
    /// Debits − credits: these sum to zero per asset.
    pub net: Amount,
    pub debits_pending: Amount,
    pub credits_pending: Amount,
}

#[derive(sqlx::FromRow)]
struct TrialRow {
    code: String,
    role: String,
    class: String,
    asset: String,
    debits: String,
    credits: String,
    debits_pending: String,
    credits_pending: String,
}

/// Every account, by asset and place in the chart. [`unbalanced`] of it must be empty.
///
/// # Errors
/// `Database`.
pub async fn trial_balance(conn: &mut PgConnection) -> Result<Vec<TrialLine>, LedgerError> {
    let rows: Vec<TrialRow> = sqlx::query_as(
        "select a.code, r.code as role, r.class::text as class, s.code as asset,
                b.debits_posted::text as debits, b.credits_posted::text as credits,
                b.debits_pending::text as debits_pending,
                b.credits_pending::text as credits_pending
         from ledger.balances b
         join ledger.accounts a on a.id = b.account_id
         join ledger.roles r on r.id = a.role_id
         join ledger.assets s on s.id = a.asset_id
         order by s.id, r.id, a.code",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(TrialLine::try_from).collect()
}

impl TryFrom<TrialRow> for TrialLine {
    type Error = LedgerError;

    fn try_from(row: TrialRow) -> Result<Self, LedgerError> {
        let asset: Asset = row.asset.parse().map_err(unreadable)?;
        let debits = amount(&row.debits, asset)?;
        let credits = amount(&row.credits, asset)?;
        Ok(Self {
            code: row.code,
            role: row.role,
            class: row.class.parse()?,
            asset,
            debits,
            credits,
            net: debits.checked_sub(credits).map_err(unreadable)?,
            debits_pending: amount(&row.debits_pending, asset)?,
            credits_pending: amount(&row.credits_pending, asset)?,
        })
    }
}

/// The assets whose accounts do not sum to zero, with the difference. Empty in a sound ledger.
///
/// # Errors
/// When a sum leaves the range of the books, which no sound ledger does.
pub fn unbalanced(lines: &[TrialLine]) -> Result<Vec<Amount>, LedgerError> {
    let mut sums: BTreeMap<Asset, Amount> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(line.asset).or_insert_with(|| Amount::zero(line.asset));
        *sum = sum.checked_add(line.net).map_err(unreadable)?;
    }
    Ok(sums.into_values().filter(|sum| !sum.is_zero()).collect())
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Defect {
    pub problem: String,
    /// An account, transfer or asset id, or `id/number`.
    pub subject: String,
}

/// Recomputes everything from the legs and returns what does not agree. Reads the whole book: every
/// minute while it is small, nightly on a replica later.
///
/// # Errors
/// `Database`.
pub async fn audit(conn: &mut PgConnection) -> Result<Vec<Defect>, LedgerError> {
    Ok(sqlx::query_as("select problem, subject from ledger.audit()").fetch_all(conn).await?)
}

/// Whether one block of the chain still says what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct SealCheck {
    pub block: i64,
    pub ok: bool,
}

/// Seals the transfers that are finished and not sealed yet; returns how many. A transaction still
/// running anywhere on the server holds back what began after it, for the next call.
///
/// # Errors
/// `Database`.
pub async fn seal(conn: &mut PgConnection) -> Result<i32, LedgerError> {
    let sealed: Option<i32> =
        sqlx::query_scalar("select ledger.seal_next()").fetch_one(conn).await?;
    Ok(sealed.unwrap_or(0))
}

/// Recomputes every block of the chain.
///
/// # Errors
/// `Database`.
pub async fn verify_seals(conn: &mut PgConnection) -> Result<Vec<SealCheck>, LedgerError> {
    Ok(sqlx::query_as("select block, ok from ledger.verify_seals()").fetch_all(conn).await?)
}
