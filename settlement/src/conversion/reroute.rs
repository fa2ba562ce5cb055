//! Leaving a venue that is frozen, or that has taken nothing for too long: what a sale has not sold
//! there yet is sold elsewhere.
//!
//! Invariant: only what certainly was not sold moves. No order may be alive, and every one that
//! ended must have had its last look; an order that was planned and never sent is withdrawn first.
//! The old sale keeps what it sold and ends there; the rest is a part of its own. Silence of a
//! venue proves nothing: an order of unknown fate keeps the sale where it is.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, ConversionId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    AttemptState, Conversion, ConversionEvent, ConversionState, Offer, OrderAttempt, Part,
    finish::{finish_in, follow_in, part},
    get_in,
    hold::{hold_in, overdue_in, release_in},
    store::{attempts_in, insert_in, lock_with_payments_in, step_in},
    venues::{self, route_in},
};
use crate::{
    Base, Error, bookkeeping, money_column,
    switch::{self, Switch},
    venue_freeze,
};

/// What became of the wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerouted {
    /// The rest is this part now.
    Moved(ConversionId),
    /// The rest is too small for every other venue, and has waited long enough: it is dust.
    Ended,
    /// No other venue takes it: it waits here, and this is why, way by way.
    Held(String),
    /// This may still sell here, or its last look is due: not before then.
    NotSafe(DateTime<Utc>, String),
    /// The venue takes orders, or the sale has ended: there is nothing to leave.
    NotNeeded,
}

/// Moves the unsold rest of a sale away from its venue, if that venue is frozen or the sale has
/// waited for it too long, if that is safe, and if another venue takes it.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn reroute_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
    offers: &[Offer],
) -> Result<Rerouted, Error> {
    if !switch::is_open_in(conn, Switch::Conversions).await? {
        return Ok(Rerouted::Held("conversions are switched off".to_owned()));
    }
    let venue = get_in(conn, id).await?.venue;
    venues::share_in(conn, offers, Some(&venue)).await?;
    let mut conversion = lock_with_payments_in(conn, id).await?;
    let frozen = venue_freeze::is_frozen_in(conn, &conversion.venue).await?;
    let why = if frozen {
        "the venue is frozen".to_owned()
    } else {
        let Some(held) = overdue_in(conn, base, id).await? else { return Ok(Rerouted::NotNeeded) };
        let told: String = held.reason.chars().take(300).collect();
        format!("the venue has not taken it since {}: {told}", held.since.format("%H:%M:%S"))
    };
    let orders = attempts_in(conn, &conversion).await?;
    if let Some((at, order)) = not_before(base, &orders) {
        return Ok(Rerouted::NotSafe(at, order));
    }
    use ConversionState as S;
    if !matches!(conversion.state, S::Waiting | S::Planned | S::Rejected | S::PartlyFilled) {
        return Ok(Rerouted::NotNeeded);
    }
    let rest = conversion.target.checked_sub(conversion.sold)?;
    let route = route_in(conn, base, rest, offers, Some(&conversion.venue)).await?;
    let Some(first) = route.taken().and_then(|taken| taken.legs.first()) else {
        // A thaw is waited for as long as company is, and no longer.
        let until = conversion.created_at + TimeDelta::seconds(base.settings.dust_age_s);
        if frozen && route.is_below_minimum() && until <= base.now() {
            let planned = orders.iter().find(|order| order.state == AttemptState::Planned);
            end_as_dust_in(conn, base, &mut conversion, planned, rest).await?;
            return Ok(Rerouted::Ended);
        }
        if frozen {
            hold_in(conn, base, (&id.to_string(), Some(&conversion.venue)), &route).await?;
        }
        return Ok(Rerouted::Held(route.reasons()));
    };
    if let Some(planned) = orders.iter().find(|order| order.state == AttemptState::Planned) {
        withdraw_in(conn, base, &mut conversion, planned, &why).await?;
    }
    let mut moved = part(base, &conversion, Part::Rest, rest, &first.venue);
    moved.quote = first.quote;
    let cause = json!({ "rest_of": id, "target": rest, "from": conversion.venue, "reason": why });
    insert_in(conn, &moved, Some(id), Some(&route), cause).await?;
    leave_in(conn, base, &mut conversion, &moved, (rest, &why)).await?;
    release_in(conn, base, &id.to_string()).await?;
    follow_in(conn, base, moved.id).await?;
    Ok(Rerouted::Moved(moved.id))
}

/// When it may be safe, and which order stands in the way; `None` when it is now.
fn not_before(base: &Base, orders: &[OrderAttempt]) -> Option<(DateTime<Utc>, String)> {
    let fence = TimeDelta::seconds(base.settings.order_fence_s);
    let soon = base.now() + TimeDelta::seconds(5);
    let risky = |o: &&OrderAttempt| {
        (o.state.is_live() && o.state != AttemptState::Planned) || o.is_unlooked()
    };
    let due = |o: &OrderAttempt| {
        let at = (o.closed_at.unwrap_or(o.planned_at) + fence).max(soon);
        let what =
            if o.state.is_live() { "may have sold there" } else { "waits for its last look" };
        (at, format!("order {} ({}) {what}", o.client_ref, o.state.name()))
    };
    orders.iter().filter(risky).map(due).max()
}

/// An order that nobody has sent is not sent any more.
async fn withdraw_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    order: &OrderAttempt,
    why: &str,
) -> Result<(), Error> {
    let why = format!("withdrawn: {why}");
    sqlx::query(
        "update order_attempts set state = 'rejected', closed_at = $3, note = $4
         where conversion_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(conversion.id.uuid())
    .bind(order.attempt)
    .bind(base.now())
    .bind(&why)
    .execute(&mut *conn)
    .await?;
    let (venue, id) = (conversion.venue.clone(), conversion.id.uuid());
    let (reference, all) = (&order.client_ref, order.quantity_minor);
    bookkeeping::order_closed(conn, base, &venue, id, reference, all).await?;
    let cause = json!({ "reason": why });
    step_in(conn, base, conversion, ConversionEvent::OrderRefused, cause).await
}

/// The sale ends here; what it did not sell is dust, which a later batch takes along.
async fn end_as_dust_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    planned: Option<&OrderAttempt>,
    rest: Amount,
) -> Result<(), Error> {
    let why = "the venue is frozen, and the rest is below every other venue's minimum";
    if let Some(planned) = planned {
        withdraw_in(conn, base, conversion, planned, why).await?;
    }
    let cause = json!({ "reason": why, "rest": rest });
    step_in(conn, base, conversion, ConversionEvent::AllSold, cause).await?;
    release_in(conn, base, &conversion.id.to_string()).await?;
    finish_in(conn, base, conversion).await
}

/// The old sale ends with what it sold.
async fn leave_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    moved: &Conversion,
    (rest, why): (Amount, &str),
) -> Result<(), Error> {
    conversion.target = conversion.sold;
    sqlx::query("update conversions set target_minor = $2::text::numeric where id = $1")
        .bind(conversion.id.uuid())
        .bind(money_column::minor(conversion.target))
        .execute(&mut *conn)
        .await?;
    let cause = json!({
        "reason": why, "rest": rest, "to": moved.venue, "as": moved.id,
    });
    step_in(conn, base, conversion, ConversionEvent::RestMoved, cause).await?;
    finish_in(conn, base, conversion).await
}
