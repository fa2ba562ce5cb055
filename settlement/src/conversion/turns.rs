//! What a venue does with executions it has told us: it takes them back, and lists them again.
//!
//! Invariant: a trade counts no more when it was missing twice from a list that adds up, and counts
//! again when such a list shows it. Either is a contra entry or a new posting, never an edit; where
//! the books do not cover it a person is called, and the sale waits.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{Connection as _, PgConnection, Row};

use super::{
    Conversion, FillFacts, OrderAttempt, OrderFacts,
    fills::{bare_name, name, post_in},
    judge::{self, Missing},
};
use crate::{Base, Error, bookkeeping, case, money_column};

/// What the books do not cover is tried again after so long.
const NOT_COVERED: TimeDelta = TimeDelta::minutes(1);

/// Takes back what the venue does not list any more of an order it calls closed: only after two
/// looks with time between. What was taken back and is listed again counts again. Answers when to
/// look again, while it is not certain.
pub(super) async fn follow_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
    order: &OrderAttempt,
    facts: &OrderFacts,
) -> Result<Option<DateTime<Utc>>, Error> {
    let names = facts.fills.iter().map(|fill| fill.trade_id.as_str());
    let bare = names.clone().filter_map(|name| bare_name(conversion, name));
    let listed: BTreeSet<&str> = names.clone().chain(bare).collect();
    let known = known_in(conn, conversion, order).await?;
    let is_listed = |one: &Known| listed.contains(one.fill.trade_id.as_str());
    let missing: Vec<&Known> = known.iter().filter(|k| k.counts && !is_listed(k)).collect();
    let back: Vec<&Known> = known.iter().filter(|k| !k.counts && is_listed(k)).collect();
    let gap = TimeDelta::seconds(base.settings.absence_gap_s);
    let adds_up = facts.listed()? == facts.executed;
    let doubtful = !adds_up && !back.is_empty();
    let mut all_booked = true;
    // One reader of a venue may be older than another: a list that does not add up says nothing.
    for one in back.into_iter().filter(|_| adds_up) {
        let of = (conversion, order, one);
        all_booked &= turn_in(conn, base, of, Turn::ListedAgain).await?;
    }
    if missing.is_empty() {
        set_missing_since(conn, order, None).await?;
        let wait = if doubtful { Some(gap) } else { (!all_booked).then_some(NOT_COVERED) };
        return Ok(wait.map(|wait| base.now() + wait));
    }
    match judge::missing(facts.closed && adds_up, order.missing_since, base.now(), gap) {
        Missing::NotTold => {
            set_missing_since(conn, order, None).await?;
            return Ok(Some(base.now() + gap));
        }
        Missing::Since(since, due) => {
            set_missing_since(conn, order, Some(since)).await?;
            return Ok(Some(due));
        }
        Missing::TakenBack => {}
    }
    for one in missing {
        let of = (conversion, order, one);
        all_booked &= turn_in(conn, base, of, Turn::TakenBack).await?;
    }
    if !all_booked {
        // Seen twice it stays seen: the books alone are waited for.
        return Ok(Some(base.now() + NOT_COVERED));
    }
    set_missing_since(conn, order, None).await?;
    Ok(None)
}

/// When a turn of this order was booked last. What a venue has just turned it may turn again.
pub(super) async fn last_turn_in(
    conn: &mut PgConnection,
    order: &OrderAttempt,
) -> Result<Option<DateTime<Utc>>, Error> {
    Ok(sqlx::query_scalar(
        "select max(t.recorded_at) from fills f join (
           select venue, trade_id, recorded_at from fill_reversals union all
           select venue, trade_id, recorded_at from fill_reinstatements) t using (venue, trade_id)
         where f.conversion_id = $1 and f.attempt = $2",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .fetch_one(conn)
    .await?)
}

/// What a venue does with an execution it has told us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    TakenBack,
    ListedAgain,
}

impl Turn {
    const fn case(self) -> &'static str {
        match self {
            Self::TakenBack => "fill_reversed",
            Self::ListedAgain => "fill_reinstated",
        }
    }
}

/// Books the turn, or nothing of it where the books do not cover it: what it takes away has moved
/// on. A person is called either way. Answers whether it is booked.
async fn turn_in(
    conn: &mut PgConnection,
    base: &Base,
    (conversion, order, one): (&Conversion, &OrderAttempt, &Known),
    turn: Turn,
) -> Result<bool, Error> {
    let mut part = conn.begin().await?;
    let booked = match book_turn_in(&mut part, base, (conversion, order, one), turn).await {
        Ok(()) => {
            part.commit().await?;
            true
        }
        Err(Error::Ledger(ledger::LedgerError::WouldOverdraw { .. })) => {
            part.rollback().await?;
            false
        }
        Err(error) => return Err(error),
    };
    let fill = &one.fill;
    let round = one.round(turn);
    let subject = match round {
        1 => format!("{}:{}", conversion.venue, fill.trade_id),
        _ => format!("{}:{}:{round}", conversion.venue, fill.trade_id),
    };
    let new = case::NewCase {
        kind: turn.case(),
        subject: &subject,
        payment: None,
        amount: Some(fill.sold),
        detail: json!({
            "conversion": conversion.id, "order": order.client_ref, "gross": fill.gross,
            "state": conversion.state.name(), "booked": booked,
        }),
    };
    case::open_in(conn, base, new).await?;
    if booked {
        // Of one that was open already because the books did not cover it.
        sqlx::query(
            "update cases set detail = detail || $3
             where kind = $1 and subject = $2 and closed_at is null",
        )
        .bind(turn.case())
        .bind(&subject)
        .bind(json!({ "booked": true }))
        .execute(conn)
        .await?;
    }
    Ok(booked)
}

async fn book_turn_in(
    conn: &mut PgConnection,
    base: &Base,
    (conversion, order, one): (&Conversion, &OrderAttempt, &Known),
    turn: Turn,
) -> Result<(), Error> {
    let rows = match turn {
        Turn::TakenBack => sqlx::query(
            "insert into fill_reversals (venue, trade_id, round, recorded_at)
             values ($1, $2, $3, $4)",
        ),
        Turn::ListedAgain => sqlx::query(
            "insert into fill_reinstatements (venue, trade_id, round, recorded_at)
             values ($1, $2, $3, $4)",
        ),
    };
    rows.bind(&conversion.venue)
        .bind(&one.fill.trade_id)
        .bind(one.round(turn))
        .bind(base.now())
        .execute(&mut *conn)
        .await?;
    // A fill that counts again is posted again, under a name of its own.
    let posted = FillFacts { trade_id: one.posted_as(), ..one.fill.clone() };
    match turn {
        Turn::TakenBack => {
            let (order_name, ended) = (name(conversion, order), !order.state.is_live());
            bookkeeping::sales::fill_reversed(conn, base, order_name, &posted, ended).await
        }
        Turn::ListedAgain => post_in(conn, base, conversion, order, &posted).await,
    }
}

/// An execution we have booked, and how often it was taken back since.
struct Known {
    fill: FillFacts,
    reversals: i32,
    counts: bool,
}

impl Known {
    /// The newest reversal, or the one that is due.
    const fn round(&self, turn: Turn) -> i32 {
        match turn {
            Turn::TakenBack => self.reversals.saturating_add(1),
            Turn::ListedAgain => self.reversals,
        }
    }

    /// Its name in the books, since the newest reversal or for the posting after it.
    fn posted_as(&self) -> String {
        match self.reversals {
            0 => self.fill.trade_id.clone(),
            n => format!("{}:again:{n}", self.fill.trade_id),
        }
    }
}

/// Every execution of the order in our books.
async fn known_in(
    conn: &mut PgConnection,
    conversion: &Conversion,
    order: &OrderAttempt,
) -> Result<Vec<Known>, Error> {
    let rows = sqlx::query(
        "select trade_id, sold_minor::text as sold, gross_minor::text as gross,
           fee_minor::text as fee, fee_gst_minor::text as fee_gst, tds_minor::text as tds, price,
           executed_at, fee_asset,
           (select count(*)::integer from fill_reversals r
            where r.venue = f.venue and r.trade_id = f.trade_id) as reversals,
           not exists (select from fills_taken_back r
             where r.venue = f.venue and r.trade_id = f.trade_id) as counts
         from fills f where conversion_id = $1 and attempt = $2 order by trade_id",
    )
    .bind(conversion.id.uuid())
    .bind(order.attempt)
    .fetch_all(conn)
    .await?;
    let quote = conversion.quote;
    rows.iter()
        .map(|row| {
            let of = |column, asset| money_column::amount(row.try_get(column)?, asset);
            let fill = FillFacts {
                trade_id: row.try_get("trade_id")?,
                sold: of("sold", conversion.asset)?,
                gross: of("gross", quote)?,
                fee: of("fee", money_column::asset(row.try_get("fee_asset")?)?)?,
                fee_gst: of("fee_gst", quote)?,
                tds: of("tds", quote)?,
                price: row.try_get("price")?,
                executed_at: row.try_get("executed_at")?,
            };
            let (reversals, counts) = (row.try_get("reversals")?, row.try_get("counts")?);
            Ok(Known { fill, reversals, counts })
        })
        .collect()
}

async fn set_missing_since(
    conn: &mut PgConnection,
    order: &OrderAttempt,
    since: Option<DateTime<Utc>>,
) -> Result<(), Error> {
    if order.missing_since == since {
        return Ok(());
    }
    sqlx::query(
        "update order_attempts set missing_since = $3 where conversion_id = $1 and attempt = $2",
    )
    .bind(order.conversion.uuid())
    .bind(order.attempt)
    .bind(since)
    .execute(conn)
    .await?;
    Ok(())
}
