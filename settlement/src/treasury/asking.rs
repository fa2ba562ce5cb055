//! What the signer answered about an attempt.
//!
//! Invariant: its first answer to an intent is its answer for ever. No answer is asked for again
//! under the same name; a refusal drops the attempt, and whatever is tried later is another attempt
//! under another name.

use chrono::{DateTime, Utc};
use primitives::Amount;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Move, MoveAttempt, MoveAttemptState, MoveEvent, MoveState, adopt,
    again::{hold_anew, shown_no_more, wait_in},
    nonce,
    record::clipped,
    store,
    store::{lock_in, step_in},
};
use crate::{Base, Error, case};

/// A limit that stays used up is asked less and less often, down to every so many waits.
const WAITS_MAX: i64 = 12;

/// Notes that the signer is about to be asked. False when the attempt is not there to be signed any
/// more.
///
/// # Errors
/// `Database`.
pub async fn asked_in(
    conn: &mut PgConnection,
    base: &Base,
    attempt: &MoveAttempt,
) -> Result<bool, Error> {
    let moved = lock_in(conn, attempt.move_id).await?;
    if moved.state != MoveState::Planned {
        return Ok(false);
    }
    let asked = sqlx::query(
        "update move_attempts set asked_at = coalesce(asked_at, $3)
         where move_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(attempt.move_id.uuid())
    .bind(attempt.attempt)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(asked.rows_affected() == 1)
}

/// Keeps what the signer signed. The same again is quiet.
///
/// # Errors
/// `Database`; `Inconsistent` when another transaction stands there.
pub async fn signed_in(
    conn: &mut PgConnection,
    base: &Base,
    attempt: &MoveAttempt,
    tx_id: &str,
    raw: &str,
) -> Result<(), Error> {
    let mut moved = lock_in(conn, attempt.move_id).await?;
    let kept = sqlx::query(
        "update move_attempts set state = 'signed', tx_id = $3, raw = $4, signed_at = $5
         where move_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(attempt.move_id.uuid())
    .bind(attempt.attempt)
    .bind(tx_id)
    .bind(raw)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if kept.rows_affected() == 0 || moved.state != MoveState::Planned {
        return Ok(());
    }
    moved.retry_at = None;
    let cause = json!({ "attempt": attempt.attempt, "tx_id": tx_id });
    step_in(conn, base, &mut moved, MoveEvent::Signature, cause).await?;
    shown_no_more(conn, base, &moved, "signed").await
}

/// The signer decided nothing, and will not before a time: its list is newer than the destination.
/// The same attempt is asked again then.
///
/// # Errors
/// `Database`.
pub async fn not_before_in(
    conn: &mut PgConnection,
    attempt: &MoveAttempt,
    at: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query("update moves set retry_at = $2 where id = $1 and state = 'planned'")
        .bind(attempt.move_id.uuid())
        .bind(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// The signer will never sign this attempt: it is dropped. Of a bump, the earlier attempts are
/// waited for. In place of a first attempt another is drafted: by itself where a limit was used up,
/// else when a person says so. Nothing goes on where the id is in use with another transaction.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn refused_by_signer_in(
    conn: &mut PgConnection,
    base: &Base,
    attempt: &MoveAttempt,
    (code, reason): (&str, &str),
) -> Result<(), Error> {
    let mut moved = lock_in(conn, attempt.move_id).await?;
    let dropped = sqlx::query(
        "update move_attempts set state = 'dropped', refused = $3
         where move_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(attempt.move_id.uuid())
    .bind(attempt.attempt)
    .bind(clipped(&format!("{code}: {reason}")))
    .execute(&mut *conn)
    .await?;
    if dropped.rows_affected() == 0 {
        return Ok(());
    }
    signer_case_in(conn, base, &moved, attempt, (code, reason)).await?;
    let attempts = store::attempts_in(conn, &moved).await?;
    let standing = attempts.iter().rev().find(|a| a.state == MoveAttemptState::Sent);
    let cause = json!({ "attempt": attempt.attempt, "code": code });
    // The signer has signed something else under this id, and we do not know what.
    let is_reused = adopt::is_reused(code);
    if standing.is_none() && !is_reused {
        nonce::give_back_in(conn, &moved).await?;
    }
    match (moved.state, standing) {
        (_, Some(standing)) => {
            (moved.amount, moved.fee_max) = (standing.amount, standing.fee_max);
            // A name of its own: that of the standing one's hold is used up.
            hold_anew(conn, base, &mut moved, attempt.attempt.saturating_neg()).await?;
            if moved.state == MoveState::Planned && is_reused {
                return step_in(conn, base, &mut moved, MoveEvent::NeedsPerson, cause).await;
            }
            if moved.state == MoveState::Planned {
                step_in(conn, base, &mut moved, MoveEvent::BumpDropped, cause).await?;
            } else {
                keep_in(conn, &moved).await?;
            }
            wait_in(conn, base, &moved, 1).await
        }
        (MoveState::Planned, None) if code == "over_limit" => {
            let tries = i64::try_from(attempts.len()).unwrap_or(WAITS_MAX);
            wait_in(conn, base, &moved, tries.min(WAITS_MAX)).await
        }
        (MoveState::Planned, None) => {
            step_in(conn, base, &mut moved, MoveEvent::NeedsPerson, cause).await
        }
        _ => Ok(()),
    }
}

/// What a dropped bump changes of a move that is in a block meanwhile.
async fn keep_in(conn: &mut PgConnection, of: &Move) -> Result<(), Error> {
    let minor = |amount: Amount| crate::money_column::minor(amount);
    sqlx::query(
        "update moves set hold_key = $2, amount_minor = $3::text::numeric,
           fee_max_minor = $4::text::numeric where id = $1",
    )
    .bind(of.id.uuid())
    .bind(&of.hold_key)
    .bind(minor(of.amount))
    .bind(minor(of.fee_max))
    .execute(conn)
    .await?;
    Ok(())
}

async fn signer_case_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &Move,
    attempt: &MoveAttempt,
    (code, reason): (&str, &str),
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: "signer_refused",
        subject: &of.id.to_string(),
        payment: None,
        amount: Some(of.amount),
        detail: serde_json::json!({
            "attempt": attempt.attempt, "intent": attempt.intent, "code": code,
            "reason": clipped(reason), "to": of.to,
        }),
    };
    case::open_in(conn, base, new).await
}
