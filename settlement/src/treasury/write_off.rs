//! What left and will never be credited: two people write it off.
//!
//! Invariants: nothing is written off that may still come on its own: a credit that fell short, or
//! one that is shown as refused or late. The first signature books nothing; the second one, of
//! another name for the same amount, takes it out of transit as a loss, once. Signatures are facts.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Amount;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Item, Move, MoveEvent, MoveState, PersonError, Transfer, TransferEvent, TransferState,
    credit::lock_credits_in,
    people::{locked, signed_by},
    store::step_in,
    transfer::step_transfer_in,
    transfer_hand::locked_transfer,
};
use crate::{Base, Error, bookkeeping::treasury as books, money_column, policy};

/// What a signature did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenOff {
    /// It is the first: a second person has to sign.
    Signed(Amount),
    Booked(Amount),
}

/// Something of which a part is missing, locked.
enum Lost {
    Move(Box<Move>, String),
    Transfer(Box<Transfer>),
}

/// Signs that what is missing of a move or transfer will never be credited; the second name books
/// it.
///
/// # Errors
/// `PersonError`: `NotThere` when nothing of it is missing, or it may still come.
pub async fn write_off_in(
    conn: &mut PgConnection,
    base: &Base,
    item: Item,
    by: (&str, &str),
) -> Result<WrittenOff, PersonError> {
    signed_by(by)?;
    let mut lost = Lost::lock_in(conn, item).await?;
    let (left, taken, is_over) = lost.amounts_in(conn).await?;
    if is_over {
        return Err(PersonError::NotThere("it is written off"));
    }
    let missing = left.checked_sub(taken).map_err(Error::from)?;
    if !missing.is_positive() {
        return Err(PersonError::NotThere("nothing of it is missing"));
    }
    let subject = lost.subject();
    if lost.is_waiting() && !is_shown_in(conn, base, &lost).await? {
        return Err(PersonError::NotThere("it is neither refused nor late: it may still come"));
    }
    let owners = owners_in(conn, base, &lost, missing, by).await?;
    if owners.len() < 2 {
        return Ok(WrittenOff::Signed(missing));
    }
    lost.end_in(conn, base, &owners).await?;
    lost.book_in(conn, base, missing, &owners).await?;
    for kind in ["credit_differs", "credit_refused", "transit_old"] {
        policy::close_case_in(conn, base, kind, &subject, by.1).await?;
    }
    Ok(WrittenOff::Booked(missing))
}

/// True while a person is shown that it is refused, or late. How long it took to leave says nothing
/// of how long its credit takes.
async fn is_shown_in(
    conn: &mut PgConnection,
    base: &Base,
    lost: &Lost,
) -> Result<bool, PersonError> {
    let old = base.now() - TimeDelta::seconds(base.settings.treasury.transit_old_s);
    let shown = sqlx::query_scalar(
        "select exists (select from cases where subject = $1 and closed_at is null
           and (kind = 'credit_refused' or (kind = 'transit_old' and $2)))",
    )
    .bind(lost.subject())
    .bind(lost.left_at().is_some_and(|left| left < old))
    .fetch_one(conn)
    .await?;
    Ok(shown)
}

/// Adds a signature; answers all names that signed for this very amount.
async fn owners_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &Lost,
    missing: Amount,
    (by, reason): (&str, &str),
) -> Result<Vec<String>, PersonError> {
    let (item, round) = of.name();
    sqlx::query(
        "insert into write_off_signatures (item, round, asset, amount_minor, signer, reason, at)
         values ($1, $2, $3, $4::text::numeric, $5, $6, $7) on conflict do nothing",
    )
    .bind(item)
    .bind(round)
    .bind(missing.asset().code())
    .bind(money_column::minor(missing))
    .bind(by.trim())
    .bind(reason)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    let owners = sqlx::query_scalar(
        "select signer from write_off_signatures
         where item = $1 and round = $2 and amount_minor = $3::text::numeric order by id",
    )
    .bind(item)
    .bind(round)
    .bind(money_column::minor(missing))
    .fetch_all(conn)
    .await?;
    Ok(owners)
}

impl Lost {
    /// Whoever credits is kept out first, as everywhere.
    async fn lock_in(conn: &mut PgConnection, item: Item) -> Result<Self, PersonError> {
        let no = PersonError::NotThere("it did not leave for a venue, or did not arrive yet");
        match item {
            Item::Move(id) => {
                let known = super::get_in(conn, id).await?;
                let Some((venue, asset)) = known.and_then(|m| m.venue.zip(Some(m.asset))) else {
                    return Err(no);
                };
                lock_credits_in(conn, &venue, asset).await?;
                let moved = locked(conn, id).await?;
                match moved.state {
                    MoveState::Final | MoveState::Credited => {
                        Ok(Self::Move(Box::new(moved), venue))
                    }
                    _ => Err(no),
                }
            }
            Item::Transfer(id) => {
                let route: Option<(String, String)> = sqlx::query_as(
                    "select to_venue, asset::text from venue_transfers where id = $1",
                )
                .bind(id.uuid())
                .fetch_optional(&mut *conn)
                .await?;
                let Some((venue, code)) = route else { return Err(no) };
                lock_credits_in(conn, &venue, money_column::asset(&code)?).await?;
                let of = locked_transfer(conn, id).await?;
                match of.state {
                    TransferState::Left | TransferState::Credited => {
                        Ok(Self::Transfer(Box::new(of)))
                    }
                    _ => Err(no),
                }
            }
        }
    }

    fn name(&self) -> (Uuid, i32) {
        match self {
            Self::Move(of, _) => (of.id.uuid(), of.round),
            Self::Transfer(of) => (of.id.uuid(), 1),
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::Move(of, _) => of.id.to_string(),
            Self::Transfer(of) => of.id.to_string(),
        }
    }

    /// Since when its credit is waited for.
    fn left_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Move(of, _) => of.final_at,
            Self::Transfer(of) => of.left_at,
        }
    }

    /// True while nothing of it is credited.
    fn is_waiting(&self) -> bool {
        match self {
            Self::Move(of, _) => of.state == MoveState::Final,
            Self::Transfer(of) => of.state == TransferState::Left,
        }
    }

    /// What left, what of it is out of transit again, and whether the rest is written off.
    async fn amounts_in(
        &self,
        conn: &mut PgConnection,
    ) -> Result<(Amount, Amount, bool), PersonError> {
        let unknown = PersonError::NotThere("nobody knows what left");
        let (left, (taken, is_over)) = match self {
            Self::Move(of, _) => (of.arrived, books::move_taken(conn, of).await?),
            Self::Transfer(of) => (of.net, books::transfer_taken(conn, of).await?),
        };
        Ok((left.ok_or(unknown)?, taken, is_over))
    }

    /// What is given up altogether waits for no credit any more.
    async fn end_in(
        &mut self,
        conn: &mut PgConnection,
        base: &Base,
        owners: &[String],
    ) -> Result<(), PersonError> {
        if !self.is_waiting() {
            return Ok(());
        }
        let cause = json!({ "written_off_by": owners });
        match self {
            Self::Move(of, _) => {
                of.credited = Some(Amount::zero(of.asset));
                step_in(conn, base, of, MoveEvent::CreditSeen, cause).await?;
            }
            Self::Transfer(of) => {
                of.credited = Some(Amount::zero(of.amount.asset()));
                let seen = TransferEvent::CreditSeen;
                step_transfer_in(conn, base, of, seen, cause).await?;
            }
        }
        Ok(())
    }

    async fn book_in(
        &self,
        conn: &mut PgConnection,
        base: &Base,
        missing: Amount,
        owners: &[String],
    ) -> Result<(), PersonError> {
        match self {
            Self::Move(of, venue) => {
                books::move_lost(conn, base, of, (venue, missing), owners).await?;
            }
            Self::Transfer(of) => {
                books::transfer_lost(conn, base, of, missing, owners).await?;
            }
        }
        Ok(())
    }
}
