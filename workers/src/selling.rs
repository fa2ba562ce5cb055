//! Sending one planned order, shared by the job that plans sales and the one that resolves them:
//! mark sent, call once, record.

use chrono::TimeDelta;
use exchanges::{ClientRef, Exchange, NewOrder, Order, is_access_refusal};
use primitives::{Asset, CallError};
use queue::{Lease, Outcome};
use serde_json::json;
use settlement::{
    case,
    conversion::{self, Market, OrderAttempt},
};

use crate::{Ctx, WorkError, in_our_words};

/// A venue that does not let us in is asked again after this long, and a person is called.
const ACCESS_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// The venue's market as a plan needs it. Reads only.
pub(crate) async fn market(exchange: &dyn Exchange, asset: Asset) -> Result<Market, WorkError> {
    let rules = exchange.rules(asset).await?;
    let book = exchange.book(asset).await?;
    let best = book.bids.first().ok_or_else(|| WorkError::Nonsense("no bids".into()))?;
    Ok(Market {
        best_bid: best.price,
        price_tick: rules.price_tick,
        quantity_step: rules.quantity_step,
        notional_min: rules.notional_min,
    })
}

pub(crate) fn client_ref(order: &OrderAttempt) -> Result<ClientRef, WorkError> {
    ClientRef::new(&order.client_ref)
        .ok_or_else(|| WorkError::Nonsense("a stored order reference".into()))
}

/// What the venue knows of an order, with its executions where there are any.
pub(crate) async fn facts(
    exchange: &dyn Exchange,
    order: &Order,
) -> Result<conversion::OrderFacts, WorkError> {
    let fills = if order.executed.is_zero() { Vec::new() } else { exchange.fills(order).await? };
    in_our_words::order(order, &fills)
}

/// As [`facts`] of an order that has ended: its executions are read whatever it says of itself.
pub(crate) async fn last_facts(
    exchange: &dyn Exchange,
    order: &Order,
) -> Result<conversion::OrderFacts, WorkError> {
    in_our_words::order(order, &exchange.fills(order).await?)
}

/// Sends a planned order once. Whatever the answer, it is recorded; an answer that is lost is left
/// to the resolver.
pub(crate) async fn send(
    ctx: &Ctx,
    lease: &Lease,
    asset: Asset,
    order: &OrderAttempt,
) -> Result<(), WorkError> {
    let venue = ctx.connectors.exchange(&ctx.base.settings.venue)?;
    let mut tx = ctx.begin(lease).await?;
    let marked = conversion::mark_sent_in(&mut tx, &ctx.base, order).await?;
    tx.commit().await?;
    let Some(stamp) = marked else { return Ok(()) };
    let new = NewOrder {
        client_ref: client_ref(order)?,
        sell: asset,
        quantity: order.quantity,
        price: order.price,
        stamp,
    };
    // Call: nothing is open here, and nothing may retry it.
    let answer = venue.place_order(&new).await;
    // Fills are read before the record opens; failing to read them leaves the order open.
    let told = match &answer {
        Ok(placed) => facts(venue, placed).await.ok(),
        Err(_) => None,
    };
    let (id, n) = (order.conversion, order.attempt);
    let base = &ctx.base;
    let mut tx = ctx.begin(lease).await?;
    match answer {
        Ok(placed) => {
            let facts = match told {
                Some(facts) => facts,
                None => in_our_words::order(&placed, &[])?,
            };
            conversion::order_in(&mut tx, base, id, n, &facts).await?;
        }
        Err(CallError::Rejected { code, reason }) => {
            let why = format!("{code}: {reason}");
            conversion::refused_in(&mut tx, base, id, n, &why).await?;
        }
        Err(ref error @ CallError::NotSent(ref why)) => {
            let pause = is_access_refusal(error).then_some(ACCESS_PAUSE);
            conversion::unsent_in(&mut tx, base, id, n, why, pause).await?;
            if pause.is_some() {
                locked_out_in(&mut tx, ctx, why).await?;
            }
        }
        Err(CallError::RateLimited { retry_after_s }) => {
            let pause = TimeDelta::try_seconds(i64::try_from(retry_after_s).unwrap_or(60));
            conversion::unsent_in(&mut tx, base, id, n, "rate limited", pause).await?;
        }
        Err(CallError::Unknown(why)) => {
            conversion::unknown_in(&mut tx, base, id, n, &why).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// A read that the venue refused because of our key, its rights or our address calls a person, and
/// stays the failure it is.
pub(crate) async fn note_locked_out(ctx: &Ctx, lease: &Lease, error: WorkError) -> WorkError {
    let WorkError::Call(call) = &error else { return error };
    if !is_access_refusal(call) {
        return error;
    }
    let noted = async {
        let mut tx = ctx.begin(lease).await?;
        locked_out_in(&mut tx, ctx, &call.to_string()).await?;
        tx.commit().await?;
        Ok::<_, WorkError>(())
    };
    match noted.await {
        Ok(()) => error,
        Err(worse) => worse,
    }
}

async fn locked_out_in(
    conn: &mut sqlx::PgConnection,
    ctx: &Ctx,
    why: &str,
) -> Result<(), WorkError> {
    let new = case::NewCase {
        kind: "venue_refuses_us",
        subject: &ctx.base.settings.venue,
        payment: None,
        amount: None,
        detail: json!({ "why": why }),
    };
    case::open_in(conn, &ctx.base, new).await?;
    Ok(())
}

/// The venue's bid cannot be believed: nothing is sold, and a person may look.
pub(crate) async fn off_market(
    ctx: &Ctx,
    lease: &Lease,
    asset: Asset,
) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let new = case::NewCase {
        kind: "price_collar",
        subject: &format!("{}:{asset}:{}", ctx.base.settings.venue, ctx.now().date_naive()),
        payment: None,
        amount: None,
        detail: json!({ "asset": asset }),
    };
    case::open_in(&mut tx, &ctx.base, new).await?;
    let later = ctx.again_in(15);
    ctx.finish(tx, lease, later).await
}
