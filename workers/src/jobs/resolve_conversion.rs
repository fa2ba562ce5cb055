//! Follow a conversion until everything is sold: ask for the order by our own reference, cancel the
//! rest after a bounded wait, prove an unknown order absent before a new one may exist.

use chrono::{DateTime, TimeDelta, Utc};
use exchanges::Exchange;
use queue::{Lease, Outcome};
use serde_json::{Value, json};
use settlement::{
    case,
    conversion::{
        self, AttemptState, Conversion, ConversionState, OrderAttempt, OrderOutcome, Planned,
    },
    jobs::ResolveConversion,
    reconcile::{Scope, books_in},
};

use crate::{Ctx, WorkError, in_our_words, selling};

/// An order whose fate is unknown this long is shown to a person; asking goes on.
const UNKNOWN_CASE: TimeDelta = TimeDelta::minutes(15);

pub(crate) async fn run(
    ctx: Ctx,
    job: ResolveConversion,
    lease: Lease,
) -> Result<Outcome, WorkError> {
    let (conversion, live) = {
        let mut tx = ctx.begin(&lease).await?;
        let conversion = conversion::get_in(&mut tx, job.conversion).await?;
        let live = conversion::live_attempt_in(&mut tx, &conversion).await?;
        tx.commit().await?;
        (conversion, live)
    };
    match (conversion.state, live) {
        (ConversionState::Filled | ConversionState::InReview, _) => Ok(Outcome::Done),
        (ConversionState::Rejected | ConversionState::PartlyFilled, _) => {
            plan_next(&ctx, &conversion, &lease).await
        }
        (_, Some(order)) if order.state == AttemptState::Planned => {
            selling::send(&ctx, &lease, conversion.asset, &order).await?;
            Ok(ctx.again_in(1))
        }
        (_, Some(order)) => follow(&ctx, &conversion, &order, &lease).await,
        (_, None) => Ok(ctx.again_in(5)),
    }
}

async fn plan_next(
    ctx: &Ctx,
    conversion: &Conversion,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let venue = ctx.connectors.exchange(&conversion.venue)?;
    let market = selling::market(venue, conversion.asset).await?;
    let mut tx = ctx.begin(lease).await?;
    match conversion::plan_next_in(&mut tx, &ctx.base, conversion.id, &market).await? {
        Planned::Order(order) => {
            tx.commit().await?;
            selling::send(ctx, lease, conversion.asset, &order).await?;
            Ok(ctx.again_in(1))
        }
        Planned::Stopped => Ok(ctx.again_in(15)),
        Planned::OffMarket => {
            tx.rollback().await?;
            selling::off_market(ctx, lease, conversion.asset).await
        }
        Planned::Nothing | Planned::NeedsPerson => ctx.finish(tx, lease, Outcome::Done).await,
    }
}

async fn follow(
    ctx: &Ctx,
    conversion: &Conversion,
    order: &OrderAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let venue = ctx.connectors.exchange(&conversion.venue)?;
    let reference = selling::client_ref(order)?;
    let Some(found) = venue.find_order(&reference).await? else {
        return prove_absent(ctx, conversion, order, lease).await;
    };
    let facts = selling::facts(venue, &found).await?;
    let mut tx = ctx.begin(lease).await?;
    let (base, id) = (&ctx.base, conversion.id);
    match conversion::order_in(&mut tx, base, id, order.attempt, &facts).await? {
        OrderOutcome::Sold => return ctx.finish(tx, lease, Outcome::Done).await,
        OrderOutcome::Short | OrderOutcome::Old => {
            let now = Outcome::Again(ctx.now());
            return ctx.finish(tx, lease, now).await;
        }
        OrderOutcome::Open => {}
    }
    let waited = order
        .sent_at
        .is_some_and(|at| ctx.now() >= at + TimeDelta::seconds(ctx.base.settings.order_wait_s));
    if waited && !facts.closed {
        conversion::cancel_asked_in(&mut tx, base, order).await?;
        tx.commit().await?;
        // The answer is only a hint: cancelling is asynchronous, and the next look tells.
        if let Err(error) = venue.cancel_order(&reference).await {
            tracing::warn!(order = order.client_ref, %error, "cancel not answered");
        }
    } else {
        tx.commit().await?;
    }
    Ok(ctx.again_in(1))
}

/// The venue does not know our reference. That is proof only after the venue can no longer accept
/// the old request, when no trade happened that we cannot name, the balance is what our books say,
/// and all of this was seen twice with time between.
async fn prove_absent(
    ctx: &Ctx,
    conversion: &Conversion,
    order: &OrderAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let settings = &ctx.base.settings;
    let sent_at = order.sent_at.unwrap_or(order.planned_at);
    let fence = sent_at + TimeDelta::seconds(settings.order_fence_s);
    let venue = ctx.connectors.exchange(&conversion.venue)?;
    let venue_now = venue.server_time().await?;
    if venue_now < fence || ctx.now() < fence {
        return Ok(Outcome::Again(fence.max(ctx.now() + TimeDelta::seconds(1))));
    }
    if order.state == AttemptState::Open {
        // The venue knew it once: forgetting is not absence.
        open_case(ctx, conversion, order, lease, sent_at).await?;
        return Ok(ctx.again_in(10));
    }
    let Some(sighting) = look_for_traces(ctx, venue, conversion, sent_at).await? else {
        open_case(ctx, conversion, order, lease, sent_at).await?;
        return Ok(ctx.again_in(10));
    };
    let sighting = json!({ "at": ctx.now(), "venue_time": venue_now, "seen": sighting });
    let mut tx = ctx.begin(lease).await?;
    // An order that was marked sent by a process that died has no answer: it is unknown.
    let (id, n) = (conversion.id, order.attempt);
    conversion::unknown_in(&mut tx, &ctx.base, id, n, "no answer was recorded").await?;
    let first = conversion::evidence_in(&mut tx, order, &sighting).await?;
    let first_at: Option<DateTime<Utc>> =
        first.get("at").and_then(Value::as_str).and_then(|at| at.parse().ok());
    let gap = TimeDelta::seconds(settings.absence_gap_s);
    let Some(due) = first_at.map(|at| at + gap).filter(|due| *due > ctx.now()) else {
        let proof = json!({ "first": first, "second": sighting });
        conversion::absent_in(&mut tx, &ctx.base, id, n, proof).await?;
        let now = Outcome::Again(ctx.now());
        return ctx.finish(tx, lease, now).await;
    };
    ctx.finish(tx, lease, Outcome::Again(due)).await
}

/// `None` when something at the venue is not explained by our books: the order may have traded.
async fn look_for_traces(
    ctx: &Ctx,
    venue: &dyn Exchange,
    conversion: &Conversion,
    sent_at: DateTime<Utc>,
) -> Result<Option<Value>, WorkError> {
    let since = sent_at - TimeDelta::seconds(5);
    let trades = venue.fills_since(conversion.asset, since).await?;
    let holdings = venue.holdings().await?;
    let held = holdings.iter().find(|h| h.asset == conversion.asset);
    let Some(held) = held else { return Ok(None) };
    let locked = held.locked;
    let held = held
        .free
        .checked_add(held.locked)
        .map_err(|error| WorkError::Nonsense(error.to_string()))?;
    let mut conn = ctx.conn().await?;
    let scope = Scope::Venue(conversion.venue.clone(), conversion.asset);
    let books = books_in(&mut conn, &scope).await?;
    let mut unnamed = 0_usize;
    for trade in &trades {
        if !conversion::knows_trade(&mut conn, &conversion.venue, &trade.trade_id).await? {
            unnamed = unnamed.saturating_add(1);
        }
    }
    // Nothing of ours may rest at the venue either: a resting order only moves free to locked.
    let clean = unnamed == 0 && held == books && locked.is_zero();
    Ok(clean.then(|| json!({ "order": null, "trades": trades.len(), "balance": held })))
}

async fn open_case(
    ctx: &Ctx,
    conversion: &Conversion,
    order: &OrderAttempt,
    lease: &Lease,
    sent_at: DateTime<Utc>,
) -> Result<(), WorkError> {
    if ctx.now() < sent_at + UNKNOWN_CASE {
        return Ok(());
    }
    let mut tx = ctx.begin(lease).await?;
    let new = case::NewCase {
        kind: "order_unknown",
        subject: &order.client_ref,
        payment: None,
        amount: in_our_words::quantity(order.quantity, conversion.asset).ok(),
        detail: json!({ "conversion": conversion.id }),
    };
    case::open_in(&mut tx, &ctx.base, new).await?;
    tx.commit().await?;
    Ok(())
}
