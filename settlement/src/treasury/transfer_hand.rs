//! What a person may say of a transfer whose venue does not tell: that it left, or never did.
//!
//! Invariant: both are facts of the venue's own page or letter, signed with name and reason. What
//! the venue's list says is asked before, by the workers. Evidence of another movement is none.

use primitives::{Amount, TransferId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    PersonError, Transfer, TransferEvent, TransferState,
    people::signed_by,
    transfer::{lock_transfer_in, step_transfer_in},
};
use crate::{Base, Error, bookkeeping::treasury as books, jobs::WatchCredits, policy};

pub(super) async fn locked_transfer(
    conn: &mut PgConnection,
    id: TransferId,
) -> Result<Transfer, PersonError> {
    let known: bool =
        sqlx::query_scalar("select exists (select from venue_transfers where id = $1)")
            .bind(id.uuid())
            .fetch_one(&mut *conn)
            .await?;
    if !known {
        return Err(PersonError::NotThere("no such transfer"));
    }
    Ok(lock_transfer_in(conn, id).await?)
}

/// A transfer that is only planned, that no venue knows, or that contradicts itself, never left: a
/// person says so, with the venue's word. Its coins and its lane are free again. `seen` is how it
/// stood before its venue was asked: what was asked for since then may be on its way.
///
/// # Errors
/// `PersonError`.
pub async fn transfer_never_left_in(
    conn: &mut PgConnection,
    base: &Base,
    seen: &Transfer,
    by: (&str, &str),
) -> Result<(), PersonError> {
    signed_by(by)?;
    let id = seen.id;
    let mut of = locked_transfer(conn, id).await?;
    let moved_on = (of.state, of.sends) != (seen.state, seen.sends);
    if moved_on || of.state.next(TransferEvent::NeverLeft).is_err() {
        return Err(PersonError::NotNow(of.state.name(), "declared as never left"));
    }
    let cause = json!({ "by": by.0, "reason": by.1 });
    step_transfer_in(conn, base, &mut of, TransferEvent::NeverLeft, cause).await?;
    close_transfer_in(conn, base, id, by.1).await?;
    books::transfer_released(conn, base, &of).await?;
    Ok(())
}

/// What a person has of a transfer that left: from the venue's own page or letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The venue's name of the withdrawal.
    pub venue_id: String,
    /// Where the other venue lists its deposits, this is what the credit is found by.
    pub tx_id: Option<String>,
    /// What is to arrive; the rest of the amount is the venue's fee.
    pub net: Amount,
}

/// A transfer really left, though the venue does not say so by its API: a person says it, with the
/// venue's own number. From here on its credit is waited for like any other.
///
/// # Errors
/// `PersonError`; `NotThere` when the evidence is another transfer's, or does not fit the amount.
pub async fn transfer_left_in(
    conn: &mut PgConnection,
    base: &Base,
    id: TransferId,
    told: &Evidence,
    by: (&str, &str),
) -> Result<(), PersonError> {
    signed_by(by)?;
    let mut of = locked_transfer(conn, id).await?;
    let waits = [TransferState::Unknown, TransferState::Leaving, TransferState::InReview];
    if !waits.contains(&of.state) {
        return Err(PersonError::NotNow(of.state.name(), "declared as left"));
    }
    fits_in(conn, base, &of, told).await?;
    let fee = of.amount.checked_sub(told.net).map_err(Error::from)?;
    of.venue_id = Some(told.venue_id.clone());
    of.tx_id = told.tx_id.clone().or(of.tx_id);
    (of.net, of.fee, of.left_at) = (Some(told.net), Some(fee), Some(base.now()));
    let cause = json!({
        "by": by.0, "reason": by.1, "venue_id": told.venue_id, "tx_id": told.tx_id,
        "net": told.net, "fee": fee,
    });
    step_transfer_in(conn, base, &mut of, TransferEvent::SeenLeft, cause).await?;
    close_transfer_in(conn, base, id, by.1).await?;
    let watch = WatchCredits { venue: of.to.clone(), asset: of.amount.asset() };
    queue::enqueue(conn, &watch, base.now()).await.map_err(Error::from)?;
    books::transfer_left(conn, base, &of, told.net, fee).await?;
    Ok(())
}

async fn fits_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &Transfer,
    told: &Evidence,
) -> Result<(), PersonError> {
    let is_named = |text: &str| !text.trim().is_empty() && text.len() <= 128;
    if !is_named(&told.venue_id) || !told.tx_id.as_deref().is_none_or(is_named) {
        return Err(PersonError::NotThere("the venue's id and the transaction are 1 to 128 long"));
    }
    let is_part = told.net.asset() == of.amount.asset()
        && told.net.is_positive()
        && told.net.minor() <= of.amount.minor();
    if !is_part {
        return Err(PersonError::NotThere("more than nothing, and no more than was asked for"));
    }
    for (known, said) in [(&of.venue_id, Some(&told.venue_id)), (&of.tx_id, told.tx_id.as_ref())] {
        if known.is_some() && said.is_some() && known.as_ref() != said {
            return Err(PersonError::NotThere("the venue named another one before"));
        }
    }
    let has_tx = told.tx_id.is_some() || of.tx_id.is_some();
    if !has_tx && base.settings.treasury.lists_deposits(&of.to) {
        return Err(PersonError::NotThere(
            "its credit is found by its transaction: --tx-id is needed",
        ));
    }
    let elsewhere: bool = sqlx::query_scalar(
        "select exists (select from venue_transfers where id <> $1
             and ((from_venue = $2 and venue_id = $3) or tx_id = $4))
           or exists (select from move_attempts where tx_id = $4)",
    )
    .bind(of.id.uuid())
    .bind(&of.from)
    .bind(&told.venue_id)
    .bind(&told.tx_id)
    .fetch_one(conn)
    .await?;
    if elsewhere {
        return Err(PersonError::NotThere("this is another movement's"));
    }
    Ok(())
}

async fn close_transfer_in(
    conn: &mut PgConnection,
    base: &Base,
    id: TransferId,
    reason: &str,
) -> Result<(), PersonError> {
    for kind in ["transfer_unknown", "transfer_differs"] {
        policy::close_case_in(conn, base, kind, &id.to_string(), reason).await?;
    }
    Ok(())
}
