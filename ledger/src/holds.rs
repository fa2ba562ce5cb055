//! The second act: capture or release a hold, reverse a transfer.
//!
//! Invariants: a hold is resolved at most once and for at most its amount (the rest is released); a
//! reversal is the exact mirror of its original, at most once. What can be seen beforehand is
//! refused without costing the caller its transaction; the race is decided by the database.

use primitives::Amount;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    LedgerError, Posted, Resolution,
    accounts::Ids,
    door::Call,
    error::{from_database, unreadable},
    transfer::notes,
};

const CAPTURE: i16 = 2;
const RELEASE: i16 = 3;

/// Posts every leg of the hold, in full.
///
/// # Errors
/// `HoldNotFound`, `AlreadyResolved` under another key; see [`LedgerError`] for the rest. An error
/// of the database aborts the caller's transaction.
pub async fn capture(
    conn: &mut PgConnection,
    hold_key: &str,
    r: &Resolution,
) -> Result<Posted, LedgerError> {
    resolve(conn, hold_key, r, CAPTURE, None).await
}

/// Posts a part of every leg of the hold, in the order of its legs, and releases the rest.
///
/// # Errors
/// As [`capture`]; `Malformed` when an amount is missing, in another asset, or more than was held.
pub async fn capture_part(
    conn: &mut PgConnection,
    hold_key: &str,
    r: &Resolution,
    amounts: &[Amount],
) -> Result<Posted, LedgerError> {
    resolve(conn, hold_key, r, CAPTURE, Some(amounts)).await
}

/// Gives up every leg of the hold; nothing is posted.
///
/// # Errors
/// As [`capture`].
pub async fn release(
    conn: &mut PgConnection,
    hold_key: &str,
    r: &Resolution,
) -> Result<Posted, LedgerError> {
    resolve(conn, hold_key, r, RELEASE, None).await
}

#[derive(sqlx::FromRow)]
struct HeldLeg {
    transfer_id: i64,
    correlation_id: Option<Uuid>,
    leg: i16,
    amount: String,
    asset: String,
    debit_id: i64,
    debit: String,
    credit_id: i64,
    credit: String,
    resolved_by: Option<String>,
}

async fn held(conn: &mut PgConnection, hold_key: &str) -> Result<Vec<HeldLeg>, LedgerError> {
    Ok(sqlx::query_as(
        "select t.id as transfer_id, t.correlation_id, l.leg, l.amount::text as amount,
                s.code as asset, l.debit_id, d.code as debit, l.credit_id, c.code as credit,
                (select x.key::text from ledger.legs r
                 join ledger.transfers x on x.id = r.transfer_id
                 where r.hold_transfer_id = l.transfer_id and r.hold_leg = l.leg) as resolved_by
         from ledger.transfers t
         join ledger.legs l on l.transfer_id = t.id and l.phase = 1
         join ledger.assets s on s.id = l.asset_id
         join ledger.accounts d on d.id = l.debit_id
         join ledger.accounts c on c.id = l.credit_id
         where t.key = $1 order by l.leg",
    )
    .bind(hold_key)
    .fetch_all(conn)
    .await?)
}

async fn resolve(
    conn: &mut PgConnection,
    hold_key: &str,
    r: &Resolution,
    phase: i16,
    amounts: Option<&[Amount]>,
) -> Result<Posted, LedgerError> {
    r.check()?;
    let legs = held(conn, hold_key).await?;
    let Some(first) = legs.first() else {
        return Err(LedgerError::HoldNotFound { key: hold_key.to_owned() });
    };
    if legs.iter().any(|leg| leg.resolved_by.as_ref().is_some_and(|by| *by != r.key)) {
        return Err(LedgerError::AlreadyResolved { key: hold_key.to_owned() });
    }
    let mut ids = Ids::default();
    for leg in &legs {
        ids.insert(leg.debit_id, leg.debit.clone());
        ids.insert(leg.credit_id, leg.credit.clone());
    }
    let call = Call {
        key: &r.key,
        kind: r.kind,
        correlation: first.correlation_id,
        actor: &r.actor,
        effective_at: r.effective_at,
        meta: notes(&r.meta),
        debit: vec![None; legs.len()],
        credit: vec![None; legs.len()],
        amount: amounts_for(&legs, amounts)?,
        phase: Some(vec![phase; legs.len()]),
        hold: Some(legs.iter().map(|leg| leg.transfer_id).collect()),
        hold_leg: Some(legs.iter().map(|leg| leg.leg).collect()),
    };
    call.run(conn, hold_key, &ids.names).await
}

/// The held amounts, or the given ones when they fit.
fn amounts_for(legs: &[HeldLeg], given: Option<&[Amount]>) -> Result<Vec<String>, LedgerError> {
    let Some(given) = given else {
        return Ok(legs.iter().map(|leg| leg.amount.clone()).collect());
    };
    if given.len() != legs.len() {
        return Err(LedgerError::Malformed(format!(
            "{} amounts for a hold of {} legs",
            given.len(),
            legs.len()
        )));
    }
    given
        .iter()
        .zip(legs)
        .map(|(amount, leg)| {
            let most = leg.amount.parse::<i128>().map_err(unreadable)?;
            if amount.asset().code() != leg.asset || amount.minor() > most || !amount.is_positive()
            {
                let held = &leg.amount;
                return Err(LedgerError::Malformed(format!(
                    "{amount} of a hold over {held} minor units of {}",
                    leg.asset
                )));
            }
            Ok(amount.minor().to_string())
        })
        .collect()
}

#[derive(sqlx::FromRow)]
struct Original {
    id: i64,
    reversed_by: Option<String>,
}

/// Posts the exact mirror of what the original posted; its holds, if any, are not touched.
///
/// # Errors
/// `TransferNotFound`, `AlreadyReversed` under another key, `WouldOverdraw` when the money has
/// moved on; see [`LedgerError`] for the rest. An error of the database aborts the caller's
/// transaction.
pub async fn reverse(
    conn: &mut PgConnection,
    original_key: &str,
    r: &Resolution,
) -> Result<Posted, LedgerError> {
    r.check()?;
    let original: Option<Original> = sqlx::query_as(
        "select t.id, r.key::text as reversed_by
         from ledger.transfers t left join ledger.transfers r on r.reverses_id = t.id
         where t.key = $1",
    )
    .bind(original_key)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(original) = original else {
        return Err(LedgerError::TransferNotFound { key: original_key.to_owned() });
    };
    if original.reversed_by.is_some_and(|by| by != r.key) {
        return Err(LedgerError::AlreadyReversed { key: original_key.to_owned() });
    }
    let names = names_in(conn, original.id).await?;
    let (id, created): (i64, bool) = sqlx::query_as(
        "select transfer_id, created from ledger.reverse(
            $1, (select id from ledger.transfer_kinds where code = $2), $3, $4, $5, $6)",
    )
    .bind(&r.key)
    .bind(r.kind)
    .bind(original.id)
    .bind(r.effective_at)
    .bind(&r.actor)
    .bind(notes(&r.meta))
    .fetch_one(conn)
    .await
    .map_err(|error| match from_database(error, original_key, &names.names) {
        LedgerError::Conflict { .. } => LedgerError::Conflict { key: r.key.clone() },
        other => other,
    })?;
    Ok(Posted { id, created })
}

async fn names_in(conn: &mut PgConnection, transfer: i64) -> Result<Ids, LedgerError> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "select a.id, a.code from ledger.accounts a
         where a.id in (select debit_id from ledger.legs where transfer_id = $1
                        union select credit_id from ledger.legs where transfer_id = $1)",
    )
    .bind(transfer)
    .fetch_all(conn)
    .await?;
    let mut ids = Ids::default();
    for (id, code) in rows {
        ids.insert(id, code);
    }
    Ok(ids)
}
