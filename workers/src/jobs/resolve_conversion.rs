//! Follow a conversion until everything is sold: ask for the order by our own reference, cancel the
//! rest after a bounded wait, prove an unknown order absent before a new one may exist.

use chrono::{DateTime, TimeDelta, Utc};
use exchanges::Exchange;
use primitives::Amount;
use queue::{Lease, Outcome};
use serde_json::{Value, json};
use settlement::{
    conversion::{
        self, AttemptState, Conversion, ConversionState, LateLook, OrderAttempt, OrderOutcome,
        Planned,
        judge::{self, Absence, Traces},
    },
    jobs::ResolveConversion,
    reconcile::{Scope, books_in},
};

use crate::{Ctx, WorkError, in_our_words, selling};

/// An order whose fate is not certain after this long is shown to a person; asking goes on.
const UNKNOWN_CASE: TimeDelta = TimeDelta::minutes(15);

pub(crate) async fn run(
    ctx: Ctx,
    job: ResolveConversion,
    lease: Lease,
) -> Result<Outcome, WorkError> {
    match resolve(&ctx, &job, &lease).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => Err(selling::note_locked_out(&ctx, &lease, error).await),
    }
}

async fn resolve(ctx: &Ctx, job: &ResolveConversion, lease: &Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let conversion = conversion::get_in(&mut tx, job.conversion).await?;
    let live = conversion::live_attempt_in(&mut tx, &conversion).await?;
    let ended = conversion::unlooked_in(&mut tx, &ctx.base, &conversion).await?.into_iter().next();
    tx.commit().await?;
    // What came late decides about everything else: it goes first.
    if let Some((order, due)) = &ended
        && *due <= ctx.now()
    {
        return look_again(ctx, &conversion, order, lease).await;
    }
    match (conversion.state, live) {
        (ConversionState::Filled | ConversionState::InReview, _) => {
            Ok(ended.map_or(Outcome::Done, |(_, due)| Outcome::Again(due)))
        }
        (ConversionState::Rejected | ConversionState::PartlyFilled, _) => {
            plan_next(ctx, &conversion, lease).await
        }
        (_, Some(order)) if order.state == AttemptState::Planned => {
            if let Some(at) = order.send_after.filter(|at| *at > ctx.now()) {
                return Ok(Outcome::Again(at));
            }
            selling::send(ctx, lease, conversion.asset, &order).await?;
            Ok(ctx.again_in(1))
        }
        (_, Some(order)) => follow(ctx, &conversion, &order, lease).await,
        (_, None) => Ok(ctx.again_in(5)),
    }
}

/// The look after the end, when the venue can add nothing to the order any longer.
async fn look_again(
    ctx: &Ctx,
    conversion: &Conversion,
    order: &OrderAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let venue = ctx.connectors.exchange(&conversion.venue)?;
    let reference = selling::client_ref(order)?;
    let told = match venue.find_order(&reference).await? {
        Some(found) => Some(selling::last_facts(venue, &found).await?),
        None => None,
    };
    let (base, id) = (&ctx.base, conversion.id);
    let mut tx = ctx.begin(lease).await?;
    let look = conversion::late_in(&mut tx, base, id, order.attempt, told.as_ref()).await?;
    tx.commit().await?;
    // Called ended by our books, and alive at the venue: it must not execute any more.
    if told.is_some_and(|facts| !facts.closed) {
        cancel(venue, order, &reference).await;
    }
    Ok(match look {
        LateLook::Done => Outcome::Again(ctx.now()),
        LateLook::Later(at) => Outcome::Again(at),
    })
}

/// The answer is only a hint: cancelling is asynchronous, and the next look tells.
async fn cancel(venue: &dyn Exchange, order: &OrderAttempt, reference: &exchanges::ClientRef) {
    if let Err(error) = venue.cancel_order(reference).await {
        tracing::warn!(order = order.client_ref, %error, "cancel not answered");
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
        Planned::Wait(at) => Ok(Outcome::Again(at)),
        Planned::Nothing | Planned::NeedsPerson => {
            let now = Outcome::Again(ctx.now());
            ctx.finish(tx, lease, now).await
        }
    }
}

async fn follow(
    ctx: &Ctx,
    conversion: &Conversion,
    order: &OrderAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    show_if_old(ctx, order, lease).await?;
    let venue = ctx.connectors.exchange(&conversion.venue)?;
    let reference = selling::client_ref(order)?;
    let Some(found) = venue.find_order(&reference).await? else {
        return prove_absent(ctx, conversion, order, lease).await;
    };
    let facts = selling::facts(venue, &found).await?;
    let mut tx = ctx.begin(lease).await?;
    let (base, id) = (&ctx.base, conversion.id);
    let too_much = match conversion::order_in(&mut tx, base, id, order.attempt, &facts).await? {
        OrderOutcome::Sold | OrderOutcome::Short | OrderOutcome::Old => {
            let now = Outcome::Again(ctx.now());
            return ctx.finish(tx, lease, now).await;
        }
        OrderOutcome::Open => false,
        OrderOutcome::TooMuch => true,
    };
    let waited = order
        .sent_at
        .is_some_and(|at| ctx.now() >= at + TimeDelta::seconds(ctx.base.settings.order_wait_s));
    if (waited || too_much) && !facts.closed {
        conversion::cancel_asked_in(&mut tx, base, order).await?;
        tx.commit().await?;
        cancel(venue, order, &reference).await;
    } else {
        tx.commit().await?;
    }
    Ok(ctx.again_in(1))
}

/// The venue does not know our reference. That is proof only after the venue can no longer accept
/// the old request, when no trade and no open order there is one that we cannot name, the balance
/// is what our books say, and all of this was seen twice with time between and never otherwise.
async fn prove_absent(
    ctx: &Ctx,
    conversion: &Conversion,
    order: &OrderAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let settings = &ctx.base.settings;
    let sent_at = order.sent_at.unwrap_or(order.planned_at);
    let venue = ctx.connectors.exchange(&conversion.venue)?;
    let fence = TimeDelta::seconds(settings.order_fence_s);
    let length = judge::fence_length(venue.recv_window(), fence);
    let venue_now = venue.server_time().await?;
    if let Some(at) = judge::fence_wait(sent_at, length, (ctx.now(), venue_now)) {
        return Ok(Outcome::Again(at));
    }
    if order.state == AttemptState::Open {
        // The venue knew it once: forgetting is not absence.
        return Ok(ctx.again_in(10));
    }
    // Trades are asked for by the venue's clock, which may lag behind ours.
    let apart = venue_now.signed_duration_since(ctx.now());
    let since = sent_at.min(sent_at + apart) - TimeDelta::seconds(5);
    let traces = look_for_traces(ctx, venue, (conversion, order), since).await?;
    let clean = traces.as_ref().is_some_and(Traces::is_clean);
    let seen = traces.map_or(Value::Null, |traces| traces.evidence());
    let sighting = json!({ "at": ctx.now(), "venue_time": venue_now, "seen": seen });
    let mut tx = ctx.begin(lease).await?;
    // An order that was marked sent by a process that died has no answer: it is unknown.
    let (id, n) = (conversion.id, order.attempt);
    conversion::unknown_in(&mut tx, &ctx.base, id, n, "no answer was recorded").await?;
    let mut first = Value::Null;
    if clean {
        first = conversion::evidence_in(&mut tx, order, &sighting).await?;
    }
    let first_at: Option<DateTime<Utc>> =
        first.get("at").and_then(Value::as_str).and_then(|at| at.parse().ok());
    let gap = TimeDelta::seconds(settings.absence_gap_s);
    let next = match judge::absence(clean, first_at, ctx.now(), gap) {
        Absence::Unclean => {
            conversion::unclean_in(&mut tx, order).await?;
            ctx.again_in(10)
        }
        Absence::First(at) | Absence::TooSoon(at) => Outcome::Again(at),
        Absence::Proven => {
            let proof = json!({ "first": first, "second": sighting });
            conversion::absent_in(&mut tx, &ctx.base, id, n, proof).await?;
            Outcome::Again(ctx.now())
        }
    };
    ctx.finish(tx, lease, next).await
}

/// What the venue shows beside the order itself; `None` when it does not tell our balance.
async fn look_for_traces(
    ctx: &Ctx,
    venue: &dyn Exchange,
    (conversion, order): (&Conversion, &OrderAttempt),
    since: DateTime<Utc>,
) -> Result<Option<Traces>, WorkError> {
    let asset = conversion.asset;
    let open = venue.open_orders(asset).await?;
    let trades = venue.fills_since(asset, since).await?;
    let holdings = venue.holdings().await?;
    let Some(held) = holdings.iter().find(|h| h.asset == asset) else { return Ok(None) };
    let nonsense = |error: primitives::AmountError| WorkError::Nonsense(error.to_string());
    let mut conn = ctx.conn().await?;
    let mut traces = Traces {
        trades: trades.len(),
        strange_trades: 0,
        strange_orders: 0,
        resting: Amount::zero(asset),
        locked: held.locked,
        held: held.free.checked_add(held.locked).map_err(nonsense)?,
        books: books_in(&mut conn, &Scope::Venue(conversion.venue.clone(), asset)).await?,
    };
    for trade in &trades {
        if !conversion::knows_trade(&mut conn, &conversion.venue, &trade.trade_id).await? {
            traces.strange_trades = traces.strange_trades.saturating_add(1);
        }
    }
    for resting in &open {
        let rest = in_our_words::quantity(resting.rest, asset)?;
        traces.resting = traces.resting.checked_add(rest).map_err(nonsense)?;
        let named = match &resting.client_ref {
            Some(reference) => conversion::knows_resting(&mut conn, reference, order).await?,
            None => false,
        };
        if !named {
            traces.strange_orders = traces.strange_orders.saturating_add(1);
        }
    }
    Ok(Some(traces))
}

/// Whatever the venue answers or does not: an order this old is shown to a person, once.
async fn show_if_old(ctx: &Ctx, order: &OrderAttempt, lease: &Lease) -> Result<(), WorkError> {
    if ctx.now() < order.sent_at.unwrap_or(order.planned_at) + UNKNOWN_CASE {
        return Ok(());
    }
    let mut tx = ctx.begin(lease).await?;
    conversion::show_unknown_in(&mut tx, &ctx.base, order).await?;
    tx.commit().await?;
    Ok(())
}
