//! The end of a sale: dollar coins are handed on to the next leg, crumbs to the dust ledger, and
//! when every part of a batch is sold its payments are paid.
//!
//! Invariant: whoever ends a part locks the first part of its batch before asking whether it was
//! the last, so of two that end at once one sees the other. The next leg has a derived id: ended
//! twice, it is handed on once.

use primitives::{Amount, Asset, ConversionId, derived_uuid};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    AttemptState, Conversion, ConversionEvent, ConversionState, OrderAttempt, Part, dust, fills,
    hold::release_in,
    lock_in, payments_of,
    route::Route,
    store::{attempts_in, insert_in, lock_with_payments_in, step_in},
};
use crate::{Base, Error, jobs::ResolveConversion, payout};

/// Everything of this part is sold, or moved elsewhere.
pub(super) async fn finish_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
) -> Result<(), Error> {
    if conversion.quote != Asset::Inr {
        hand_on_in(conn, base, conversion).await?;
    }
    dust::true_up_in(conn, base, conversion, "below the venue's step or minimum").await?;
    release_in(conn, base, &conversion.id.to_string()).await?;
    lock_in(conn, conversion.root).await?;
    let open: bool = sqlx::query_scalar(
        "select exists (select from conversions where (id = $1 or root = $1)
           and state <> 'filled')",
    )
    .bind(conversion.root.uuid())
    .fetch_one(&mut *conn)
    .await?;
    if open {
        return Ok(());
    }
    for (payment, _) in payments_of(conn, conversion).await? {
        payout::plan_in(conn, base, payment).await?;
    }
    Ok(())
}

/// Ends a sale that waits with nothing left to sell, whatever its market says: the rest was sold by
/// orders that had ended. Answers false while one of its orders has not had its last look.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn end_sold_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
) -> Result<bool, Error> {
    let mut conversion = lock_with_payments_in(conn, id).await?;
    let orders = attempts_in(conn, &conversion).await?;
    let ended_short = |o: &OrderAttempt| o.state == AttemptState::Closed && o.is_unlooked();
    let open = orders.iter().any(|o| o.state.is_live() || ended_short(o));
    if open || !conversion.waits_with_nothing_left() {
        return Ok(false);
    }
    let cause = json!({ "reason": "the rest was sold after the end of its order" });
    step_in(conn, base, &mut conversion, ConversionEvent::AllSold, cause).await?;
    finish_in(conn, base, &conversion).await?;
    Ok(true)
}

/// The next leg sells what this one brought, from the inventory of the venue where the route goes
/// on. The coins between the venues are the treasury's business, and not waited for.
async fn hand_on_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
) -> Result<(), Error> {
    let proceeds = fills::proceeds_in(conn, conversion).await?;
    if !proceeds.is_positive() {
        return Ok(());
    }
    let stored: Option<serde_json::Value> =
        sqlx::query_scalar("select route from conversions where id = $1")
            .bind(conversion.id.uuid())
            .fetch_one(&mut *conn)
            .await?;
    let route = stored.and_then(|route| serde_json::from_value::<Route>(route).ok());
    let planned = route.as_ref().and_then(Route::taken).and_then(|taken| taken.legs.get(1));
    let venue = planned.map_or(&base.settings.venue, |leg| &leg.venue);
    let leg = part(base, conversion, Part::Leg, proceeds, venue);
    let cause = json!({ "proceeds_of": conversion.id, "target": proceeds });
    insert_in(conn, &leg, Some(conversion.id), None, cause).await?;
    follow_in(conn, base, leg.id).await
}

/// Another part of the same batch, waiting for its first order.
pub(super) fn part(
    base: &Base,
    of: &Conversion,
    part: Part,
    target: Amount,
    venue: &str,
) -> Conversion {
    let id = derived_uuid(&[part.name(), &of.id.to_string()]);
    Conversion {
        id: ConversionId::from_uuid(id),
        root: of.root,
        part,
        venue: venue.to_owned(),
        asset: target.asset(),
        quote: Asset::Inr,
        state: ConversionState::Waiting,
        input: target,
        target,
        sold: Amount::zero(target.asset()),
        dust: Amount::zero(target.asset()),
        taken: Amount::zero(target.asset()),
        created_at: base.now(),
    }
}

pub(super) async fn follow_in(
    conn: &mut PgConnection,
    base: &Base,
    id: ConversionId,
) -> Result<(), Error> {
    queue::enqueue(conn, &ResolveConversion { conversion: id }, base.now()).await?;
    Ok(())
}
