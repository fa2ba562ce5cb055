//! Venues: which of them take no new orders, and what the books say is there.
//!
//! Invariant: a freeze counts from its commit on: whoever plans or sends an order shares a lock on
//! the venue's name until it commits, and a freeze waits for them. It stops new orders, new quotes
//! and new moves of coins to the venue or from it; what is under way is followed to its end, and
//! payouts do not ask here. Asking a venue anything is deliberately elsewhere.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, Row};

use crate::{
    Base, Error, case,
    conversion::{self, worth_in},
    switch::{self, Switch},
};

/// The case that is open while a venue is frozen.
const FROZEN: &str = "venue_frozen";

/// The newest decision about a venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub frozen: bool,
    pub by: String,
    pub reason: String,
    pub at: DateTime<Utc>,
}

/// Why nothing was decided; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum FreezeRefused {
    #[error("no venue of that name; there is {0}")]
    Unknown(String),
    #[error("{0} takes 1 to {1} characters")]
    Unsigned(&'static str, usize),
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for FreezeRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Freezes or thaws a venue, signed with who and why. `false` when it was so already: that is
/// noted too, and changes nothing.
///
/// # Errors
/// `FreezeRefused`.
pub async fn set_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    frozen: bool,
    (by, reason): (&str, &str),
) -> Result<bool, FreezeRefused> {
    for (what, text, most) in [("--by", by, 200), ("--reason", reason, 500)] {
        if text.trim().is_empty() || text.chars().count() > most {
            return Err(FreezeRefused::Unsigned(what, most));
        }
    }
    let known = names_in(conn, base).await?;
    if !known.iter().any(|name| name == venue) {
        return Err(FreezeRefused::Unknown(known.join(", ")));
    }
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('venue:' || $1, 0))")
        .bind(venue)
        .execute(&mut *conn)
        .await?;
    let was = is_frozen_in(conn, venue).await?;
    sqlx::query(
        "insert into venue_freezes (venue, frozen, actor, reason, at) values ($1, $2, $3, $4, $5)",
    )
    .bind(venue)
    .bind(frozen)
    .bind(by)
    .bind(reason)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if frozen {
        let detail = json!({ "by": by, "reason": reason });
        let new =
            case::NewCase { kind: FROZEN, subject: venue, payment: None, amount: None, detail };
        case::open_in(conn, base, new).await?;
    } else {
        sqlx::query(
            "update cases set closed_at = $2, detail = detail || $3
             where kind = $4 and subject = $1 and closed_at is null",
        )
        .bind(venue)
        .bind(base.now())
        .bind(json!({ "closed": reason, "thawed_by": by }))
        .bind(FROZEN)
        .execute(&mut *conn)
        .await?;
    }
    Ok(was != frozen)
}

/// The newest decision about a venue; `None` when there never was one.
///
/// # Errors
/// `Database`.
pub async fn decision_in(conn: &mut PgConnection, venue: &str) -> Result<Option<Decision>, Error> {
    let row = sqlx::query(
        "select frozen, actor, reason, at from venue_freezes where venue = $1
         order by id desc limit 1",
    )
    .bind(venue)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Decision {
            frozen: row.try_get("frozen")?,
            by: row.try_get("actor")?,
            reason: row.try_get("reason")?,
            at: row.try_get("at")?,
        })
    })
    .transpose()
}

/// True while a venue is frozen. A look without a lock.
///
/// # Errors
/// `Database`.
pub async fn is_frozen_in(conn: &mut PgConnection, venue: &str) -> Result<bool, Error> {
    Ok(decision_in(conn, venue).await?.is_some_and(|newest| newest.frozen))
}

/// Takes the caller's share in a venue's name: no freeze of it commits before the caller does.
///
/// # Errors
/// `Database`.
pub(crate) async fn share_in(conn: &mut PgConnection, venue: &str) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock_shared(hashtextextended('venue:' || $1, 0))")
        .bind(venue)
        .execute(conn)
        .await?;
    Ok(())
}

/// True when an order may be planned for or sent to a venue: conversions are open and the venue is
/// not frozen. Neither changes before the caller's transaction ends.
///
/// # Errors
/// `Database`.
pub async fn may_sell_in(conn: &mut PgConnection, venue: &str) -> Result<bool, Error> {
    if !switch::is_open_in(conn, Switch::Conversions).await? {
        return Ok(false);
    }
    share_in(conn, venue).await?;
    Ok(!is_frozen_in(conn, venue).await?)
}

/// As [`may_sell_in`], at the venue where this conversion sells.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn may_go_on_in(conn: &mut PgConnection, id: ConversionId) -> Result<bool, Error> {
    let venue: String = sqlx::query_scalar("select venue from conversions where id = $1")
        .bind(id.uuid())
        .fetch_one(&mut *conn)
        .await?;
    may_sell_in(conn, &venue).await
}

/// What the books say a venue holds of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    pub asset: Asset,
    pub free: Amount,
    /// In orders of ours.
    pub locked: Amount,
}

/// One venue, as the books and our own rows know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Venue {
    pub venue: String,
    /// True when conversions sell here by the settings.
    pub sells: bool,
    pub decision: Option<Decision>,
    pub held: Vec<Held>,
    /// All of that in rupees by the last usable rates; `None` when a rate is missing.
    pub worth: Option<Amount>,
    /// What may lie there at most.
    pub cap: Option<Amount>,
    /// Orders whose end is not known yet, and those of them whose answer was lost.
    pub orders_open: i64,
    pub orders_unknown: i64,
    /// Sales that wait there, since when, and for what.
    pub waiting: Vec<conversion::Held>,
    /// When it last told what we hold, or an execution that we booked.
    pub last_answer: Option<DateTime<Utc>>,
}

/// Every venue of the settings, of the books and of decisions, by name.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn list_in(conn: &mut PgConnection, base: &Base) -> Result<Vec<Venue>, Error> {
    let mut books = books_in(conn).await?;
    let mut venues = Vec::new();
    for venue in names_in(conn, base).await? {
        let (orders_open, orders_unknown) = sqlx::query_as(
            "select count(*), count(*) filter (where a.state in ('sent', 'unknown'))
             from order_attempts a join conversions c on c.id = a.conversion_id
             where c.venue = $1 and a.state in ('planned', 'sent', 'unknown', 'open')",
        )
        .bind(&venue)
        .fetch_one(&mut *conn)
        .await?;
        let last_answer = sqlx::query_scalar(
            "select greatest(
               (select max(at) from reconciliations where scope = 'venue:' || $1),
               (select max(recorded_at) from fills where venue = $1))",
        )
        .bind(&venue)
        .fetch_one(&mut *conn)
        .await?;
        venues.push(Venue {
            sells: base.settings.selling_venues().contains(&venue.as_str()),
            cap: cap(base, &venue)?,
            worth: worth_in(conn, &venue).await?,
            decision: decision_in(conn, &venue).await?,
            held: books.remove(&venue).unwrap_or_default().into_values().collect(),
            orders_open,
            orders_unknown,
            waiting: conversion::held_at_in(conn, &venue).await?,
            last_answer,
            venue,
        });
    }
    Ok(venues)
}

fn cap(base: &Base, venue: &str) -> Result<Option<Amount>, Error> {
    let paise = base.settings.venue_cap_paise(venue).map(i128::from);
    Ok(paise.map(|paise| Amount::try_new(paise, Asset::Inr)).transpose()?)
}

async fn names_in(conn: &mut PgConnection, base: &Base) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = books_in(conn).await?.into_keys().collect();
    let decided: Vec<String> =
        sqlx::query_scalar("select distinct venue from venue_freezes").fetch_all(conn).await?;
    names.extend(decided);
    names.push(base.settings.venue.clone());
    names.extend(base.settings.venues.keys().cloned());
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The venues' accounts of one moment: `venue:<venue>:<asset>:free` and `:order`.
async fn books_in(
    conn: &mut PgConnection,
) -> Result<BTreeMap<String, BTreeMap<Asset, Held>>, Error> {
    let mut books: BTreeMap<String, BTreeMap<Asset, Held>> = BTreeMap::new();
    for line in ledger::trial_balance(conn).await? {
        if line.role != "venue.free" && line.role != "venue.order" {
            continue;
        }
        let venue = line.code.split(':').nth(1).unwrap_or_default().to_owned();
        let nothing = Amount::zero(line.asset);
        let empty = Held { asset: line.asset, free: nothing, locked: nothing };
        let held = books.entry(venue).or_default().entry(line.asset).or_insert(empty);
        let place = if line.role == "venue.free" { &mut held.free } else { &mut held.locked };
        *place = place.checked_add(line.net)?;
    }
    Ok(books)
}
