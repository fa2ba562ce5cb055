//! What ops sees of the board: every change of a verdict, and a case when there is no price for
//! long.
//!
//! Invariant: one event per change, written with the tick that made it; what stays as it is makes
//! none. A case is closed by a person, also when the price came back by itself: an outage that
//! nobody has looked at comes again.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{BoardRate, Verdict};
use crate::{Base, Error, case, money_column};

/// One change of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateEvent {
    pub asset: Asset,
    /// `None` for the first word about an asset.
    pub from: Option<String>,
    pub to: String,
    pub reason: Option<String>,
    pub tick: i64,
    pub at: DateTime<Utc>,
}

/// Another verdict, or another reason why there is no price. The reasons of a degraded one come and
/// go with every source that is late; each tick has them.
fn is_change(before: Option<&Verdict>, after: &Verdict) -> bool {
    match (before, after) {
        (Some(Verdict::Unusable(old)), Verdict::Unusable(new)) => old != new,
        (Some(before), after) => before.name() != after.name(),
        (None, after) => *after != Verdict::Good,
    }
}

pub(super) async fn note_in(
    conn: &mut PgConnection,
    base: &Base,
    before: Option<&Verdict>,
    rate: &BoardRate,
) -> Result<(), Error> {
    let (to, reason) = rate.verdict.parts();
    if is_change(before, &rate.verdict) {
        sqlx::query(
            "insert into rate_events (asset, from_verdict, to_verdict, reason, tick_id, at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(rate.base.code())
        .bind(before.map(Verdict::name))
        .bind(to)
        .bind(reason)
        .bind(rate.tick)
        .bind(rate.at)
        .execute(&mut *conn)
        .await?;
        let from = before.map_or("nothing", Verdict::name);
        let why = reason.map_or("", String::as_str);
        tracing::warn!(asset = %rate.base, from, to, why, "the rate changed its verdict");
    }
    if to == "unusable" { call_a_person_in(conn, base, rate).await } else { Ok(()) }
}

/// Opens the case of an asset that has had no price for longer than anybody should wait.
async fn call_a_person_in(
    conn: &mut PgConnection,
    base: &Base,
    rate: &BoardRate,
) -> Result<(), Error> {
    let since: Option<DateTime<Utc>> = sqlx::query_scalar(
        "select min(at) from rate_events where asset = $1 and id > coalesce(
           (select max(id) from rate_events where asset = $1 and to_verdict <> 'unusable'), 0)",
    )
    .bind(rate.base.code())
    .fetch_one(&mut *conn)
    .await?;
    let Some(since) = since else { return Ok(()) };
    let waited = rate.at.signed_duration_since(since);
    if waited < TimeDelta::seconds(base.settings.rate_unusable_case_s) {
        return Ok(());
    }
    let why = rate.verdict.parts().1;
    let new = case::NewCase {
        kind: "rate_unusable",
        subject: rate.base.code(),
        payment: None,
        amount: None,
        detail: json!({ "since": since, "why": why }),
    };
    case::open_in(conn, base, new).await
}

/// The last changes, newest first, at most so many.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn events_in(conn: &mut PgConnection, most: i64) -> Result<Vec<RateEvent>, Error> {
    let rows = sqlx::query(
        "select asset, from_verdict, to_verdict, reason, tick_id, at from rate_events
         order by id desc limit $1",
    )
    .bind(most)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(RateEvent {
                asset: money_column::asset(row.try_get("asset")?)?,
                from: row.try_get("from_verdict")?,
                to: row.try_get("to_verdict")?,
                reason: row.try_get("reason")?,
                tick: row.try_get("tick_id")?,
                at: row.try_get("at")?,
            })
        })
        .collect()
}

/// How often a verdict got worse or changed its reason, and how often a price was lost, since then.
///
/// # Errors
/// `Database`.
pub async fn changes_since_in(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> Result<(i64, i64), Error> {
    Ok(sqlx::query_as(
        "select count(*) filter (where to_verdict <> 'good'),
                count(*) filter (where to_verdict = 'unusable')
         from rate_events where at >= $1",
    )
    .bind(since)
    .fetch_one(conn)
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_an_event() {
        let bad = |why: &str| Verdict::Unusable(why.to_owned());
        let fair = |why: &str| Verdict::Degraded(why.to_owned());
        let is = |before: Option<Verdict>, after| is_change(before.as_ref(), &after);
        assert!(!is(None, Verdict::Good) && is(None, fair("a")) && is(None, bad("a")));
        assert!(!is(Some(Verdict::Good), Verdict::Good));
        assert!(is(Some(Verdict::Good), fair("a")) && is(Some(fair("a")), Verdict::Good));
        assert!(!is(Some(fair("a")), fair("b")), "the ticks have the reasons");
        assert!(is(Some(bad("a")), bad("b")) && !is(Some(bad("a")), bad("a")));
        assert!(is(Some(bad("a")), fair("a")) && is(Some(fair("a")), bad("a")));
    }
}
