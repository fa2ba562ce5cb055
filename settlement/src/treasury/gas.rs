//! When an address may be topped up with the coin that pays fees.
//!
//! Invariant: a top-up serves one move of a token and is never sent twice for it. An address that
//! has what the fee takes, by the books or by an earlier top-up, gets no more: a person looks.

use chrono::TimeDelta;
use primitives::{Amount, Asset, NetworkId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    MovePurpose,
    candidates::booked_in,
    plan::{NewMove, Planned},
};
use crate::{Base, Error, case, money_column};

/// What a top-up lets move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub venue: String,
    /// The venue's address.
    pub to: String,
    pub amount: Amount,
    /// All that the move's fee may take, whatever lies at its address.
    pub fee_max: Amount,
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
    if is_recent_in(conn, base, &new.network, &new.to).await? {
        loop_case_in(conn, base, new, there, "its last top-up moved nothing").await?;
        return Ok(Some(Planned::No("its last top-up moved nothing yet".to_owned())));
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
             where s.network = $1 and s.address = $2 and m.purpose = 'fund_venue'
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
            json!({ "venue": s.venue, "amount": s.amount, "fee_max": s.fee_max })
        }) }),
    };
    case::open_in(conn, base, new).await
}
