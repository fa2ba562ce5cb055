//! What became of asking a venue to send coins to another.
//!
//! Invariant: every function locks the transfer, does nothing where it has moved on, and writes
//! state, books and case together. Only the venue's word about this very reference ends it.

use chrono::TimeDelta;
use primitives::{Amount, TransferId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Transfer, TransferEvent, TransferState, lane,
    transfer::{lock_transfer_in, step_transfer_in},
};
use crate::{Base, Error, bookkeeping::treasury as books, case, jobs::WatchCredits, policy};

/// What a venue says of a transfer it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub venue_id: String,
    pub net: Amount,
    pub fee: Amount,
    pub tx_id: Option<String>,
    /// `None` while it is under way; false when it never left.
    pub done: Option<bool>,
}

/// The kind of case that is open while a lane is refused.
const REFUSED: &str = "transfer_refused";

async fn case_in(
    conn: &mut PgConnection,
    base: &Base,
    kind: &'static str,
    of: &Transfer,
    why: &str,
) -> Result<(), Error> {
    let why: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
    // One that is asked again and again refuses the lane, not each transfer anew.
    let subject = match kind {
        REFUSED => lane::subject((&of.from, &of.to), of.amount.asset()),
        _ => of.id.to_string(),
    };
    let new = case::NewCase {
        kind,
        subject: &subject,
        payment: None,
        amount: Some(of.amount),
        detail: json!({
            "why": why, "from": of.from, "to": of.to, "client_ref": of.client_ref, "id": of.id,
        }),
    };
    case::open_in(conn, base, new).await
}

/// Nothing left this machine: the same request may be made later, under the same reference.
///
/// # Errors
/// `Database`.
pub async fn not_asked_in(
    conn: &mut PgConnection,
    base: &Base,
    id: TransferId,
    why: &str,
) -> Result<(), Error> {
    let mut of = lock_transfer_in(conn, id).await?;
    if of.state != TransferState::Sent {
        return Ok(());
    }
    of.send_after = Some(base.now() + TimeDelta::seconds(base.settings.treasury.retry_after_s));
    step_transfer_in(conn, base, &mut of, TransferEvent::NotAsked, json!({ "why": why })).await
}

/// The venue said no: it did not happen, and the coins are free.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn refused_in(
    conn: &mut PgConnection,
    base: &Base,
    id: TransferId,
    why: &str,
) -> Result<(), Error> {
    let mut of = lock_transfer_in(conn, id).await?;
    if of.state != TransferState::Sent {
        return Ok(());
    }
    step_transfer_in(conn, base, &mut of, TransferEvent::Refusal, json!({ "why": why })).await?;
    case_in(conn, base, REFUSED, &of, why).await?;
    books::transfer_released(conn, base, &of).await
}

/// No answer, or nothing found: unknown, with a case, until the venue shows it or a person does.
///
/// # Errors
/// `Database`.
pub async fn unknown_in(
    conn: &mut PgConnection,
    base: &Base,
    id: TransferId,
    why: &str,
) -> Result<(), Error> {
    let mut of = lock_transfer_in(conn, id).await?;
    if of.state == TransferState::Sent {
        let cause = json!({ "why": why });
        step_transfer_in(conn, base, &mut of, TransferEvent::AnswerLost, cause).await?;
    }
    if of.state == TransferState::Unknown {
        case_in(conn, base, "transfer_unknown", &of, why).await?;
    }
    Ok(())
}

/// Books what the venue says of it.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn left_in(
    conn: &mut PgConnection,
    base: &Base,
    id: TransferId,
    told: &Left,
) -> Result<(), Error> {
    let mut of = lock_transfer_in(conn, id).await?;
    let waits = [
        TransferState::Sent,
        TransferState::Unknown,
        TransferState::Leaving,
        TransferState::InReview,
    ];
    if !waits.contains(&of.state) {
        return Ok(());
    }
    of.venue_id = Some(told.venue_id.clone());
    of.tx_id = told.tx_id.clone().or(of.tx_id);
    policy::close_case_in(conn, base, "transfer_unknown", &id.to_string(), "found").await?;
    let cause = json!({ "venue_id": told.venue_id, "net": told.net, "fee": told.fee });
    // Where deposits are listed, its transaction is what it is found by: without one it has not
    // left for us yet.
    let is_nameless = of.tx_id.is_none() && base.settings.treasury.lists_deposits(&of.to);
    let done = told.done.filter(|done| !(*done && is_nameless));
    match done {
        None if of.state == TransferState::Leaving || of.state == TransferState::InReview => Ok(()),
        None => step_transfer_in(conn, base, &mut of, TransferEvent::Taken, cause).await,
        Some(false) => {
            step_transfer_in(conn, base, &mut of, TransferEvent::SeenFailed, cause).await?;
            case_in(conn, base, REFUSED, &of, "the venue says it failed").await?;
            books::transfer_released(conn, base, &of).await
        }
        Some(true) if !adds_up(&of, told) => {
            case_in(conn, base, "transfer_differs", &of, "net and fee are not what we asked for")
                .await?;
            if of.state == TransferState::InReview {
                return Ok(());
            }
            step_transfer_in(conn, base, &mut of, TransferEvent::NeedsPerson, cause).await
        }
        Some(true) => {
            (of.net, of.fee) = (Some(told.net), Some(told.fee));
            of.left_at = Some(base.now());
            step_transfer_in(conn, base, &mut of, TransferEvent::SeenLeft, cause).await?;
            let lane = lane::subject((&of.from, &of.to), of.amount.asset());
            policy::close_case_in(conn, base, REFUSED, &lane, "it carries again").await?;
            let watch = WatchCredits { venue: of.to.clone(), asset: of.amount.asset() };
            queue::enqueue(conn, &watch, base.now()).await?;
            books::transfer_left(conn, base, &of, told.net, told.fee).await
        }
    }
}

fn adds_up(of: &Transfer, told: &Left) -> bool {
    told.net.is_positive()
        && told.fee.minor() >= 0
        && told.net.checked_add(told.fee).is_ok_and(|sum| sum == of.amount)
}
