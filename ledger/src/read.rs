//! Balances, now and as of a moment.
//!
//! Invariant: an account that does not exist is `None`, never zero. Amounts are in the account's
//! normal direction: assets and expenses grow by debits, everything else by credits.

use chrono::{DateTime, Utc};
use primitives::{Amount, AmountError, Asset};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{LedgerError, error::unreadable, reports::AccountClass};

/// What one account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    pub code: String,
    pub role: String,
    pub class: AccountClass,
    pub asset: Asset,
    /// Posted, in the account's normal direction.
    pub posted: Amount,
    /// Held and, once captured, more.
    pub pending_in: Amount,
    /// Held and, once captured, less.
    pub pending_out: Amount,
    pub frozen: bool,
    /// The number of entries the account has had.
    pub version: i64,
}

impl Balance {
    /// Posted less what is held to leave: what the floor allows to move.
    ///
    /// # Errors
    /// `OutOfRange` when the difference does not fit.
    pub fn available(&self) -> Result<Amount, AmountError> {
        self.posted.checked_sub(self.pending_out)
    }
}

#[derive(sqlx::FromRow)]
struct BalanceRow {
    code: String,
    role: String,
    class: String,
    asset: String,
    net: String,
    debits_pending: String,
    credits_pending: String,
    frozen: bool,
    version: i64,
}

/// The balance of the account with this code.
///
/// # Errors
/// `Database`.
pub async fn balance(conn: &mut PgConnection, code: &str) -> Result<Option<Balance>, LedgerError> {
    let row: Option<BalanceRow> = sqlx::query_as(
        "select a.code, r.code as role, r.class::text as class, s.code as asset,
                (b.debits_posted - b.credits_posted)::text as net,
                b.debits_pending::text as debits_pending,
                b.credits_pending::text as credits_pending, b.frozen, b.version
         from ledger.accounts a
         join ledger.balances b on b.account_id = a.id
         join ledger.roles r on r.id = a.role_id
         join ledger.assets s on s.id = a.asset_id
         where a.code = $1",
    )
    .bind(code)
    .fetch_optional(conn)
    .await?;
    row.map(Balance::try_from).transpose()
}

/// The balances of those of these accounts that exist, in one question.
///
/// # Errors
/// `Database`.
pub async fn balances(
    conn: &mut PgConnection,
    codes: &[String],
) -> Result<Vec<Balance>, LedgerError> {
    let rows: Vec<BalanceRow> = sqlx::query_as(
        "select a.code, r.code as role, r.class::text as class, s.code as asset,
                (b.debits_posted - b.credits_posted)::text as net,
                b.debits_pending::text as debits_pending,
                b.credits_pending::text as credits_pending, b.frozen, b.version
         from ledger.accounts a
         join ledger.balances b on b.account_id = a.id
         join ledger.roles r on r.id = a.role_id
         join ledger.assets s on s.id = a.asset_id
         where a.code = any($1)",
    )
    .bind(codes)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Balance::try_from).collect()
}

impl TryFrom<BalanceRow> for Balance {
    type Error = LedgerError;

    fn try_from(row: BalanceRow) -> Result<Self, LedgerError> {
        let class: AccountClass = row.class.parse()?;
        let asset: Asset = row.asset.parse().map_err(unreadable)?;
        let debits = amount(&row.debits_pending, asset)?;
        let credits = amount(&row.credits_pending, asset)?;
        let (pending_in, pending_out) =
            if class.grows_by_debits() { (debits, credits) } else { (credits, debits) };
        Ok(Self {
            posted: class.normal(amount(&row.net, asset)?)?,
            code: row.code,
            role: row.role,
            class,
            asset,
            pending_in,
            pending_out,
            frozen: row.frozen,
            version: row.version,
        })
    }
}

/// What the ledger knew of the account at `at`, posted and in its normal direction. By the moment
/// of posting, not by effective time.
///
/// # Errors
/// `Database`.
pub async fn balance_as_of(
    conn: &mut PgConnection,
    code: &str,
    at: DateTime<Utc>,
) -> Result<Option<Amount>, LedgerError> {
    let row: Option<(String, String, String)> = sqlx::query_as(
        "select r.class::text, s.code, ledger.net_as_of(a.id, $2)::text
         from ledger.accounts a
         join ledger.roles r on r.id = a.role_id
         join ledger.assets s on s.id = a.asset_id
         where a.code = $1",
    )
    .bind(code)
    .bind(at)
    .fetch_optional(conn)
    .await?;
    row.map(|(class, asset, net)| {
        let class: AccountClass = class.parse()?;
        class.normal(amount(&net, asset.parse().map_err(unreadable)?)?)
    })
    .transpose()
}

pub(crate) fn amount(minor: &str, asset: Asset) -> Result<Amount, LedgerError> {
    Amount::parse_minor(minor, asset).map_err(unreadable)
}
