//! A transaction that the signer's log holds under an attempt's id, and our rows do not know: they
//! were restored from a backup that is older than it.
//!
//! Invariant: while such an attempt is not settled, nothing new is signed, sent anew or given up
//! for its move: what the signer has signed may happen. A person brings it from the signer's log;
//! from then on it is one of the move's attempts, and the chain says which of them won.

use primitives::{Amount, MoveId, derived_uuid};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    MoveAttempt, MoveAttemptState, MoveEvent, MoveState, nonce, people,
    people::{PersonError, signed_by},
    plan, store,
    store::step_in,
};
use crate::{Base, Error, jobs::ResolveMove, money_column, policy};

/// The signer's own word for it.
const REUSED: &str = "id_reused";

/// What stands in the signer's log.
#[derive(Debug, Clone)]
pub struct Adopted {
    pub tx_id: String,
    pub raw: String,
    /// The draft of the attempt, changed where its bytes say otherwise.
    pub draft: Value,
    pub amount: Amount,
    pub fee_max: Amount,
    /// Of a top-up: the nonce in its bytes.
    pub nonce: Option<i64>,
}

/// Attempts whose id the signer knows with another transaction, and that nobody has settled.
#[must_use]
pub fn reused_in(attempts: &[MoveAttempt]) -> Vec<&MoveAttempt> {
    attempts
        .iter()
        .filter(|a| a.state == MoveAttemptState::Dropped && a.tx_id.is_none())
        .filter(|a| a.refused.as_deref().is_some_and(is_reused))
        .filter(|a| !attempts.iter().any(|other| other.adopts == Some(a.attempt)))
        .collect()
}

pub(super) fn is_reused(refused: &str) -> bool {
    refused.split(':').next() == Some(REUSED)
}

/// Makes the signer's transaction one of the move's attempts. It is handed out, and looked for.
///
/// # Errors
/// `PersonError`; `NotThere` when the attempt's id is not in question.
pub async fn adopt_in(
    conn: &mut PgConnection,
    base: &Base,
    (id, attempt): (MoveId, i32),
    told: &Adopted,
    by: (&str, &str),
) -> Result<(), PersonError> {
    signed_by(by)?;
    plan::one_at_a_time_in(conn).await?;
    let mut moved = people::locked(conn, id).await?;
    let attempts = store::attempts_in(conn, &moved).await?;
    let reused = reused_in(&attempts).into_iter().find(|a| a.attempt == attempt);
    let Some(reused) = reused else {
        return Err(PersonError::NotThere("the signer's word about this attempt is not id_reused"));
    };
    if moved.state != MoveState::InReview || moved.won.is_some() {
        return Err(PersonError::NotNow(moved.state.name(), "given another transaction"));
    }
    let known: bool =
        sqlx::query_scalar("select exists (select from move_attempts where tx_id = $1)")
            .bind(&told.tx_id)
            .fetch_one(&mut *conn)
            .await?;
    if known {
        return Err(PersonError::NotThere("this transaction is another attempt's"));
    }
    let number = attempts.last().map_or(1, |a| a.attempt.saturating_add(1));
    let intent = derived_uuid(&["move", &id.to_string(), &number.to_string()]);
    let now = base.now();
    sqlx::query(
        "insert into move_attempts (move_id, attempt, intent_id, amount_minor, fee_max_minor,
           fee_paise, draft, state, tx_id, raw, asked_at, signed_at, first_sent_at, planned_at,
           adopts)
         select move_id, $3, $4, $9::text::numeric, $10::text::numeric, fee_paise, $5, 'sent',
           $6, $7, asked_at, $8, $8, $8, $2
         from move_attempts where move_id = $1 and attempt = $2",
    )
    .bind(id.uuid())
    .bind(reused.attempt)
    .bind(number)
    .bind(intent)
    .bind(&told.draft)
    .bind(&told.tx_id)
    .bind(&told.raw)
    .bind(now)
    .bind(money_column::minor(told.amount))
    .bind(money_column::minor(told.fee_max))
    .execute(&mut *conn)
    .await?;
    if let Some(nonce) = told.nonce {
        // The one that was taken to be signed anew is for nothing. Where another move of ours has
        // the nonce by now, only one of the two can be in the chain: it says which.
        if nonce::may_take_in(conn, &moved, nonce).await? {
            nonce::take_in(conn, &moved, nonce).await?;
        } else {
            nonce::give_back_in(conn, &moved).await?;
        }
    }
    // What else is in question is settled first: nothing goes on before.
    let left = reused_in(&attempts).len();
    let cause = json!({
        "by": by.0, "reason": by.1, "attempt": attempt, "as": number, "tx_id": told.tx_id,
    });
    moved.retry_at = None;
    if left <= 1 {
        step_in(conn, base, &mut moved, MoveEvent::TryAgain, cause).await?;
        policy::close_case_in(conn, base, "signer_refused", &id.to_string(), by.1).await?;
    }
    queue::enqueue(conn, &ResolveMove { moved: id }, now).await.map_err(Error::from)?;
    Ok(())
}
