//! Posting: one transfer, many at once, or held for later.
//!
//! Invariant: every door is idempotent by key. `post_many` is all or nothing; after an error the
//! caller rolls back and posts the members one by one through `post` to find the culprit.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    LedgerError, Posted, Transfer,
    accounts::{Ids, resolve},
    door::Call,
    error::from_database,
    transfer::notes,
};

const HOLD: i16 = 1;
const BATCH_TRANSFERS_MAX: usize = 2_000;

/// Posts all legs of `t`, together or not at all.
///
/// # Errors
/// See [`LedgerError`]; an error of the database aborts the caller's transaction.
pub async fn post(conn: &mut PgConnection, t: &Transfer) -> Result<Posted, LedgerError> {
    write(conn, t, None).await
}

/// Holds all legs of `t`: nothing is posted yet, but both sides count the money as spoken for.
/// [`crate::capture`] or [`crate::release`] ends it, once.
///
/// # Errors
/// See [`LedgerError`]; an error of the database aborts the caller's transaction.
pub async fn hold(conn: &mut PgConnection, t: &Transfer) -> Result<Posted, LedgerError> {
    write(conn, t, Some(HOLD)).await
}

async fn write(
    conn: &mut PgConnection,
    t: &Transfer,
    phase: Option<i16>,
) -> Result<Posted, LedgerError> {
    t.check()?;
    let ids = resolve(conn, t.legs.iter().flat_map(|leg| [&leg.debit, &leg.credit])).await?;
    let mut call = Call {
        key: &t.key,
        kind: t.kind,
        correlation: t.correlation,
        actor: &t.actor,
        effective_at: t.effective_at,
        meta: notes(&t.meta),
        debit: Vec::with_capacity(t.legs.len()),
        credit: Vec::with_capacity(t.legs.len()),
        amount: Vec::with_capacity(t.legs.len()),
        phase: phase.map(|phase| vec![phase; t.legs.len()]),
        hold: None,
        hold_leg: None,
    };
    for leg in &t.legs {
        call.debit.push(Some(ids.of(&leg.debit)?));
        call.credit.push(Some(ids.of(&leg.credit)?));
        call.amount.push(leg.amount.minor().to_string());
    }
    call.run(conn, &t.key, &ids.names).await
}

/// Posts many transfers in one statement, for events nobody waits for one by one: the deposits of a
/// block, the fills of an order. The answers are in the order of `transfers`.
///
/// # Errors
/// See [`LedgerError`]; keys must differ, at most 2,000 transfers. An error of the database aborts
/// the caller's transaction.
pub async fn post_many(
    conn: &mut PgConnection,
    transfers: &[Transfer],
) -> Result<Vec<Posted>, LedgerError> {
    if transfers.is_empty() {
        return Ok(Vec::new());
    }
    if transfers.len() > BATCH_TRANSFERS_MAX {
        return Err(LedgerError::Malformed(format!("a batch of {}", transfers.len())));
    }
    transfers.iter().try_for_each(Transfer::check)?;
    let legs = transfers.iter().flat_map(|t| &t.legs);
    let ids = resolve(conn, legs.flat_map(|leg| [&leg.debit, &leg.credit])).await?;
    Batch::new(transfers, &ids)?.run(conn, &ids.names).await
}

/// The columns of a batch.
#[derive(Default)]
struct Batch<'a> {
    key: Vec<&'a str>,
    kind: Vec<&'a str>,
    effective_at: Vec<DateTime<Utc>>,
    correlation: Vec<Option<Uuid>>,
    actor: Vec<&'a str>,
    meta: Vec<Option<&'a Value>>,
    no: Vec<i32>,
    debit: Vec<i64>,
    credit: Vec<i64>,
    amount: Vec<String>,
}

impl<'a> Batch<'a> {
    fn new(transfers: &'a [Transfer], ids: &Ids) -> Result<Self, LedgerError> {
        let mut batch = Self::default();
        for (no, t) in (1_i32..).zip(transfers) {
            batch.key.push(&t.key);
            batch.kind.push(t.kind);
            batch.effective_at.push(t.effective_at);
            batch.correlation.push(t.correlation);
            batch.actor.push(&t.actor);
            batch.meta.push(notes(&t.meta));
            for leg in &t.legs {
                batch.no.push(no);
                batch.debit.push(ids.of(&leg.debit)?);
                batch.credit.push(ids.of(&leg.credit)?);
                batch.amount.push(leg.amount.minor().to_string());
            }
        }
        Ok(batch)
    }

    async fn run(
        self,
        conn: &mut PgConnection,
        names: &BTreeMap<i64, String>,
    ) -> Result<Vec<Posted>, LedgerError> {
        let rows: Vec<(i64, bool)> = sqlx::query_as(
            "select transfer_id, created from ledger.post_many(
                $1,
                (select array_agg(k.id order by u.o)
                 from unnest($2::text[]) with ordinality u(code, o)
                 left join ledger.transfer_kinds k on k.code = u.code),
                $3, $4, $5, $6, $7, $8, $9, $10::text[]::numeric[]) order by ord",
        )
        .bind(self.key)
        .bind(self.kind)
        .bind(self.effective_at)
        .bind(self.correlation)
        .bind(self.actor)
        .bind(self.meta)
        .bind(self.no)
        .bind(self.debit)
        .bind(self.credit)
        .bind(self.amount)
        .fetch_all(conn)
        .await
        .map_err(|error| from_database(error, "of this batch", names))?;
        Ok(rows.into_iter().map(|(id, created)| Posted { id, created }).collect())
    }
}
