//! When an address may be topped up with the coin that pays fees.
//!
//! Invariant: a top-up serves one move of a token and is never sent twice for it. An address that
//! has what the fee takes, by the books or by an earlier top-up, gets no more: a person looks. One
//! whose move is stuck gets what its bump is short of, within the limits of bumps.

use chrono::TimeDelta;
use primitives::{Amount, Asset, MoveId, NetworkId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    MoveAttemptState, MovePurpose, MoveState,
    candidates::booked_in,
    plan::{NewMove, Planned},
    store,
    worth::{Worth, fees_in},
};
use crate::{Base, Error, case, money_column};

/// What a top-up lets move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub goal: Goal,
    pub amount: Amount,
    /// All that the move's fee may take, whatever lies at its address.
    pub fee_max: Amount,
}

/// Where what is served goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// A move that is to be planned next: to a venue, at its address.
    Venue { venue: String, to: String },
    /// As above, to cold storage.
    Cold { to: String },
    /// One that was sent, and waits for a higher fee.
    Bump(MoveId),
}

impl Goal {
    fn name(&self) -> String {
        match self {
            Self::Venue { venue, .. } => venue.clone(),
            Self::Cold { .. } => "cold storage".to_owned(),
            Self::Bump(id) => id.to_string(),
        }
    }
}

/// Why a top-up must not be, with a case where a person has to see it.
pub(super) async fn refusal_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
) -> Result<Option<Planned>, Error> {
    let (MovePurpose::Gas, Some(served)) = (new.purpose, &new.serves) else { return Ok(None) };
    let there = unspent_in(conn, &new.network, new.amount.asset(), &new.to).await?;
    if there.minor() >= served.fee_max.minor() {
        loop_case_in(conn, base, new, there, "it has what the fee takes").await?;
        return Ok(Some(Planned::No("its address has what the fee takes".to_owned())));
    }
    if let Goal::Bump(id) = served.goal {
        return bump_refusal_in(conn, base, (id, new, served)).await;
    }
    if is_recent_in(conn, base, &new.network, &new.to).await? {
        loop_case_in(conn, base, new, there, "its last top-up moved nothing").await?;
        return Ok(Some(Planned::No("its last top-up moved nothing yet".to_owned())));
    }
    Ok(None)
}

/// Why the bump that a top-up is for would not be made: its own limits are asked before anything is
/// spent on it.
async fn bump_refusal_in(
    conn: &mut PgConnection,
    base: &Base,
    (id, new, served): (MoveId, &NewMove, &Served),
) -> Result<Option<Planned>, Error> {
    let no = |why: &str| Ok(Some(Planned::No(why.to_owned())));
    let settings = &base.settings.treasury;
    let moved = store::lock_in(conn, id).await?;
    if moved.state != MoveState::Sent || moved.network != new.network {
        return Ok(Some(Planned::Stopped("the move has moved on")));
    }
    let attempts = store::attempts_in(conn, &moved).await?;
    let made = attempts.iter().filter(|a| a.state != MoveAttemptState::Dropped).count();
    let bumps = i32::try_from(made).unwrap_or(i32::MAX).saturating_sub(1);
    let tops: i64 =
        sqlx::query_scalar("select count(*) from moves where serves = $1 and state <> 'cancelled'")
            .bind(id.uuid())
            .fetch_one(&mut *conn)
            .await?;
    if bumps >= settings.bumps_max || tops >= i64::from(settings.bumps_max) {
        return no("no further bump is allowed");
    }
    let both = served.fee_max.checked_add(new.fee_max)?;
    let Some(worth) = Worth::of_in(conn, base, moved.amount, both).await? else {
        return no("no fresh rate values the fee");
    };
    if worth.is_fee_above(settings.bump_fee_bps_max)? {
        return no("the next fee is beyond its limit");
    }
    let others = fees_in(conn, base, Some(id)).await?;
    if others.saturating_add(worth.fee_paise()?) > settings.fee_budget_paise {
        return no("the fee budget of 24 hours is used up");
    }
    Ok(None)
}

/// What an address holds of a coin by the books, without what payers may want back of it.
async fn unspent_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
    address: &str,
) -> Result<Amount, Error> {
    let booked = booked_in(conn, network, asset, address).await?;
    let owed: String = sqlx::query_scalar(
        "select coalesce(sum(left_of(d)), 0)::text from deposits d
         where d.network = $1 and d.asset = $2 and d.address = $3 and d.state = 'confirmed'
           and (d.purpose = 'suspense' or (d.payment_id is not null and not exists (
             select from conversion_queue q where q.payment_id = d.payment_id)))",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .bind(address)
    .fetch_one(conn)
    .await?;
    Ok(booked.checked_sub(money_column::amount(&owed, asset)?)?)
}

/// True when an address was topped up lately and no move has gone out of it since.
async fn is_recent_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    address: &str,
) -> Result<bool, Error> {
    let recent = sqlx::query_scalar(
        "select exists (select from moves g where g.network = $1 and g.to_address = $2
           and g.purpose = 'gas' and g.state = 'credited' and g.planned_at > $3
           and not exists (select from moves m join move_sources s on s.move_id = m.id
             where s.network = $1 and s.address = $2 and m.purpose <> 'gas'
               and m.planned_at > g.planned_at
               and m.state in ('final', 'credited')))",
    )
    .bind(network.as_str())
    .bind(address)
    .bind(base.now() - TimeDelta::seconds(base.settings.treasury.top_up_pause_s))
    .fetch_one(conn)
    .await?;
    Ok(recent)
}

async fn loop_case_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
    there: Amount,
    why: &str,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: "gas_loop",
        subject: &format!("{}:{}", new.network, new.to),
        payment: None,
        amount: Some(new.amount),
        detail: json!({ "why": why, "there": there, "serves": new.serves.as_ref().map(|s| {
            json!({ "goal": s.goal.name(), "amount": s.amount, "fee_max": s.fee_max })
        }) }),
    };
    case::open_in(conn, base, new).await
}

/// Ends the case of an address that a move leaves: its fee is there now. Escrow pays fees from one
/// account, so the books may be short of one for as long as other coins settle.
pub(super) async fn loop_ended_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
) -> Result<(), Error> {
    if new.purpose == MovePurpose::Gas {
        return Ok(());
    }
    let left = new.sources.iter().map(|source| format!("{}:{}", new.network, source.address));
    sqlx::query(
        "update cases set closed_at = $2, detail = detail || $3
         where kind = 'gas_loop' and subject = any($1) and closed_at is null",
    )
    .bind(left.collect::<Vec<String>>())
    .bind(base.now())
    .bind(json!({ "closed": "a move leaves it" }))
    .execute(conn)
    .await?;
    Ok(())
}
