//! Why something is not sold now, and since when: no way may be taken, or its venue is silent.
//!
//! Invariant: one row per asset or conversion that waits; its `since` is when the waiting began,
//! whatever the reasons were meanwhile. A hold decides nothing by itself: a sale that has waited
//! long enough may leave its venue, and `reroute` asks whether that is safe.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::ConversionId;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{get_in, route::Route};
use crate::{Base, Error, case};

/// The case that is open while sales have waited for a silent venue for too long.
const SILENT: &str = "venue_silent";

/// A sale that waits at a venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Held {
    /// The conversion.
    pub subject: String,
    pub reason: String,
    pub since: DateTime<Utc>,
}

/// Keeps why no way may be taken now, for whoever asks about a payment. `subject` is an asset's
/// code, or the id of a conversion at `venue`.
pub(super) async fn hold_in(
    conn: &mut PgConnection,
    base: &Base,
    (subject, venue): (&str, Option<&str>),
    route: &Route,
) -> Result<(), Error> {
    let seen = serde_json::to_value(route).unwrap_or(Value::Null);
    keep_in(conn, base, (subject, venue, "no_way"), &route.reasons(), Some(seen)).await?;
    Ok(())
}

/// Keeps that the venue of a conversion does not answer, or takes no order of ours; answers since
/// when the conversion waits.
///
/// # Errors
/// `Database`.
pub async fn silent_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    why: &str,
) -> Result<DateTime<Utc>, Error> {
    let venue = get_in(conn, id).await?.venue;
    let subject = id.to_string();
    keep_in(conn, base, (&subject, Some(&venue), "silent"), why, None).await
}

async fn keep_in(
    conn: &mut PgConnection,
    base: &Base,
    (subject, venue, kind): (&str, Option<&str>, &str),
    reason: &str,
    route: Option<Value>,
) -> Result<DateTime<Utc>, Error> {
    let reason: String = reason.chars().take(2_000).collect();
    Ok(sqlx::query_scalar(
        "insert into sale_holds (subject, reason, route, since, at, venue, kind)
         values ($1, $2, $3, $4, $4, $5, $6)
         on conflict (subject) do update set reason = excluded.reason, route = excluded.route,
           since = case when sale_holds.reason is null then excluded.at else sale_holds.since end,
           at = excluded.at, venue = excluded.venue, kind = excluded.kind
         returning since",
    )
    .bind(subject)
    .bind(reason)
    .bind(route)
    .bind(base.now())
    .bind(venue)
    .bind(kind)
    .fetch_one(conn)
    .await?)
}

/// Since when something waits: an asset's code, or the id of a conversion.
///
/// # Errors
/// `Database`.
pub async fn held_since_in(
    conn: &mut PgConnection,
    subject: &str,
) -> Result<Option<DateTime<Utc>>, Error> {
    let since = "select since from sale_holds where subject = $1 and reason is not null";
    Ok(sqlx::query_scalar(since).bind(subject).fetch_optional(conn).await?)
}

/// What a conversion waits for, once it has waited longer than a venue is given.
///
/// # Errors
/// `Database`.
pub async fn overdue_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
) -> Result<Option<Held>, Error> {
    let latest = base.now() - TimeDelta::seconds(base.settings.venue_patience_s);
    Ok(sqlx::query_as(
        "select subject, reason, since from sale_holds
         where subject = $1 and reason is not null and since <= $2",
    )
    .bind(id.to_string())
    .bind(latest)
    .fetch_optional(conn)
    .await?)
}

/// Every sale that waits at a venue, the oldest first.
///
/// # Errors
/// `Database`.
pub async fn held_at_in(conn: &mut PgConnection, venue: &str) -> Result<Vec<Held>, Error> {
    Ok(sqlx::query_as(
        "select subject, reason, since from sale_holds
         where venue = $1 and reason is not null order by since, subject limit 100",
    )
    .bind(venue)
    .fetch_all(conn)
    .await?)
}

/// Calls a person to a sale that has waited too long for a silent venue and cannot go elsewhere.
///
/// # Errors
/// `Database`.
pub async fn show_silent_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    why: &str,
) -> Result<(), Error> {
    let conversion = get_in(conn, id).await?;
    let why: String = why.chars().take(2_000).collect();
    let rest = conversion.target.checked_sub(conversion.sold)?;
    let new = case::NewCase {
        kind: SILENT,
        subject: &conversion.venue,
        payment: None,
        amount: rest.is_positive().then_some(rest),
        detail: json!({ "conversion": id, "why": why }),
    };
    case::open_in(conn, base, new).await
}

/// A way may be taken. Whether its venue takes an order is known when one was taken.
pub(super) async fn way_found_in(
    conn: &mut PgConnection,
    base: &Base,
    subject: &str,
) -> Result<(), Error> {
    sqlx::query(
        "update sale_holds set reason = null, route = null, at = $2
         where subject = $1 and kind = 'no_way' and reason is not null",
    )
    .bind(subject)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Nothing holds it any more.
pub(super) async fn release_in(
    conn: &mut PgConnection,
    base: &Base,
    subject: &str,
) -> Result<(), Error> {
    sqlx::query(
        "update sale_holds set reason = null, route = null, at = $2
         where subject = $1 and reason is not null",
    )
    .bind(subject)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the case of a venue whose silence no sale waits for any more. It is asked after the commit
/// of whatever released a sale: of two that go at once neither sees the other go, and whoever asks
/// last sees both.
///
/// # Errors
/// `Database`.
pub async fn end_silence_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
) -> Result<(), Error> {
    sqlx::query(
        "update cases set closed_at = $2, detail = detail || $3
         where kind = $4 and subject = $1 and closed_at is null and not exists (
           select from sale_holds where venue = $1 and kind = 'silent' and reason is not null)",
    )
    .bind(venue)
    .bind(base.now())
    .bind(json!({ "closed": "nothing waits for it any more" }))
    .bind(SILENT)
    .execute(conn)
    .await?;
    Ok(())
}
