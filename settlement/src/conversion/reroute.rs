//! Leaving a frozen venue: what a sale has not sold there yet is sold elsewhere.
//!
//! Invariant: only what certainly was not sold moves. No order may be alive, and every one that
//! ended must have had its last look; an order that was planned and never sent is withdrawn first.
//! The old sale keeps what it sold and ends there; the rest is a part of its own.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, ConversionId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    AttemptState, Conversion, ConversionEvent, ConversionState, Offer, OrderAttempt, Part,
    batch::{hold_in, release_in},
    finish::{finish_in, follow_in, part},
    get_in, lock_in,
    store::{attempts_in, insert_in, step_in},
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
    /// No other venue takes it: it waits here, and the reason is kept.
    Held,
    /// Something of it may still sell here, or its last look is due: not before then.
    NotSafe(DateTime<Utc>),
    /// The venue takes orders, or the sale has ended: there is nothing to leave.
    NotNeeded,
}

/// Moves the unsold rest of a sale away from its frozen venue, if that is safe and another venue
/// takes it.
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
        return Ok(Rerouted::Held);
    }
    let venue = get_in(conn, id).await?.venue;
    venues::share_in(conn, offers, Some(&venue)).await?;
    let mut conversion = lock_in(conn, id).await?;
    if !venue_freeze::is_frozen_in(conn, &conversion.venue).await? {
        return Ok(Rerouted::NotNeeded);
    }
    use ConversionState as S;
    if !matches!(conversion.state, S::Waiting | S::Planned | S::Rejected | S::PartlyFilled) {
        return Ok(Rerouted::NotNeeded);
    }
    let orders = attempts_in(conn, &conversion).await?;
    if let Some(at) = not_before(base, &orders) {
        return Ok(Rerouted::NotSafe(at));
    }
    let rest = conversion.target.checked_sub(conversion.sold)?;
    let route = route_in(conn, base, rest, offers, Some(&conversion.venue)).await?;
    let Some(first) = route.taken().and_then(|taken| taken.legs.first()) else {
        hold_in(conn, base, &id.to_string(), &route).await?;
        return Ok(Rerouted::Held);
    };
    if let Some(planned) = orders.iter().find(|order| order.state == AttemptState::Planned) {
        withdraw_in(conn, base, &mut conversion, planned).await?;
    }
    let mut moved = part(base, &conversion, Part::Rest, rest, &first.venue);
    moved.quote = first.quote;
    let cause = json!({ "rest_of": id, "target": rest, "from": conversion.venue });
    insert_in(conn, &moved, Some(id), Some(&route), cause).await?;
    leave_in(conn, base, &mut conversion, &moved, rest).await?;
    release_in(conn, base, &id.to_string()).await?;
    follow_in(conn, base, moved.id).await?;
    Ok(Rerouted::Moved(moved.id))
}

/// When it may be safe; `None` when it is now.
fn not_before(base: &Base, orders: &[OrderAttempt]) -> Option<DateTime<Utc>> {
    let fence = TimeDelta::seconds(base.settings.order_fence_s);
    let soon = base.now() + TimeDelta::seconds(5);
    let risky = |o: &&OrderAttempt| {
        (o.state.is_live() && o.state != AttemptState::Planned) || o.is_unlooked()
    };
    let due = |o: &OrderAttempt| (o.closed_at.unwrap_or(o.planned_at) + fence).max(soon);
    orders.iter().filter(risky).map(due).max()
}

/// An order that nobody has sent is not sent any more.
async fn withdraw_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    order: &OrderAttempt,
) -> Result<(), Error> {
    let why = "withdrawn: the venue is frozen";
    sqlx::query(
        "update order_attempts set state = 'rejected', closed_at = $3, note = $4
         where conversion_id = $1 and attempt = $2 and state = 'planned'",
    )
    .bind(conversion.id.uuid())
    .bind(order.attempt)
    .bind(base.now())
    .bind(why)
    .execute(&mut *conn)
    .await?;
    let (venue, id) = (conversion.venue.clone(), conversion.id.uuid());
    let (reference, all) = (&order.client_ref, order.quantity_minor);
    bookkeeping::order_closed(conn, base, &venue, id, reference, all).await?;
    let cause = json!({ "reason": why });
    step_in(conn, base, conversion, ConversionEvent::OrderRefused, cause).await
}

/// The old sale ends with what it sold.
async fn leave_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &mut Conversion,
    moved: &Conversion,
    rest: Amount,
) -> Result<(), Error> {
    conversion.target = conversion.sold;
    sqlx::query("update conversions set target_minor = $2::text::numeric where id = $1")
        .bind(conversion.id.uuid())
        .bind(money_column::minor(conversion.target))
        .execute(&mut *conn)
        .await?;
    let cause = json!({
        "reason": "the venue is frozen", "rest": rest, "to": moved.venue, "as": moved.id,
    });
    step_in(conn, base, conversion, ConversionEvent::RestMoved, cause).await?;
    finish_in(conn, base, conversion).await
}
