//! Accounts by name: read first, opened on first use.
//!
//! Invariant: a code stands for one role, one asset and one owner for ever; a descriptor that
//! disagrees is refused. Opening is left to the database's `open_account`, which two callers may
//! run at once; missing accounts are opened in code order, so that they queue and do not deadlock.

use std::collections::{BTreeMap, btree_map::Entry};

use primitives::Asset;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{LedgerError, error::from_database};

/// Describes an account: the line of the chart it belongs to, and its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// 3 to 120 characters of `A-Z a-z 0-9 _ . : -`, for example `escrow:eth:USDC`.
    pub code: String,
    /// A row of `ledger.roles`.
    pub role: &'static str,
    pub asset: Asset,
    pub owner: Option<Uuid>,
}

impl Account {
    #[must_use]
    pub fn new(role: &'static str, code: impl Into<String>, asset: Asset) -> Self {
        Self { code: code.into(), role, asset, owner: None }
    }

    #[must_use]
    pub fn owned_by(self, owner: Uuid) -> Self {
        Self { owner: Some(owner), ..self }
    }
}

/// The ids of some accounts, both ways.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    by_code: BTreeMap<String, i64>,
    pub(crate) names: BTreeMap<i64, String>,
}

impl Ids {
    pub(crate) fn insert(&mut self, id: i64, code: String) {
        self.names.insert(id, code.clone());
        self.by_code.insert(code, id);
    }

    pub(crate) fn of(&self, account: &Account) -> Result<i64, LedgerError> {
        self.by_code
            .get(&account.code)
            .copied()
            .ok_or_else(|| LedgerError::Malformed(format!("account {} is not open", account.code)))
    }
}

/// The ids of `accounts`, opening those that do not exist yet.
pub(crate) async fn resolve(
    conn: &mut PgConnection,
    accounts: impl Iterator<Item = &Account>,
) -> Result<Ids, LedgerError> {
    let wanted = distinct(accounts)?;
    let codes: Vec<&str> = wanted.keys().copied().collect();
    let rows: Vec<(i64, String, String, String, Option<Uuid>)> = sqlx::query_as(
        "select a.id, a.code, s.code, r.code, a.owner_id
         from ledger.accounts a
         join ledger.assets s on s.id = a.asset_id
         join ledger.roles r on r.id = a.role_id
         where a.code = any($1)",
    )
    .bind(&codes)
    .fetch_all(&mut *conn)
    .await?;
    let mut ids = Ids::default();
    for (id, code, asset, role, owner) in rows {
        let same = wanted.get(code.as_str()).is_some_and(|account| {
            account.asset.code() == asset && account.role == role && account.owner == owner
        });
        if !same {
            return Err(differs(&code));
        }
        ids.insert(id, code);
    }
    for account in wanted.values() {
        if !ids.by_code.contains_key(&account.code) {
            ids.insert(open(conn, account).await?, account.code.clone());
        }
    }
    Ok(ids)
}

async fn open(conn: &mut PgConnection, account: &Account) -> Result<i64, LedgerError> {
    sqlx::query_scalar("select ledger.open_account($1, $2, $3, $4)")
        .bind(&account.code)
        .bind(account.asset.code())
        .bind(account.role)
        .bind(account.owner)
        .fetch_one(conn)
        .await
        .map_err(|error| from_database(error, &account.code, &BTreeMap::new()))
}

fn distinct<'a>(
    accounts: impl Iterator<Item = &'a Account>,
) -> Result<BTreeMap<&'a str, &'a Account>, LedgerError> {
    let mut wanted: BTreeMap<&str, &Account> = BTreeMap::new();
    for account in accounts {
        match wanted.entry(&account.code) {
            Entry::Vacant(place) => {
                place.insert(account);
            }
            Entry::Occupied(known) if *known.get() != account => {
                return Err(differs(&account.code));
            }
            Entry::Occupied(_) => {}
        }
    }
    Ok(wanted)
}

fn differs(code: &str) -> LedgerError {
    LedgerError::Malformed(format!("account {code} exists with other attributes"))
}
