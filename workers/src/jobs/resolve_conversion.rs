//! Follow a conversion until everything is sold: ask for the order by our own reference, cancel the
//! rest after a bounded wait, prove an unknown order absent before a new one may exist.

use chrono::{DateTime, TimeDelta, Utc};
use exchanges::{Exchange, Pair};
use primitives::Amount;
use queue::{Lease, Outcome};
use serde_json::{Value, json};
use settlement::{
    case,
    conversion::{
        self, AttemptState, Conversion, ConversionState, LateLook, Offer, OrderAttempt,
        OrderOutcome, Planned, Rerouted,
        judge::{self, Absence, Traces},
    },
    jobs::ResolveConversion,
    reconcile::{Scope, books_in},
    venue_freeze,
};

use crate::{Ctx, WorkError, in_our_words, selling};

/// An order whose fate is not certain after this long is shown to a person; asking goes on.
const UNKNOWN_CASE: TimeDelta = TimeDelta::minutes(15);

pub(crate) async fn run(
    ctx: Ctx,
    job: ResolveConversion,
    lease: Lease,
) -> Result<Outcome, WorkError> {
    let mut conn = ctx.conn().await?;
    let venue = conversion::get_in(&mut conn, job.conversion).await?.venue;
    drop(conn);
    match resolve(&ctx, &job, &lease).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => Err(selling::note_locked_out(&ctx, &lease, &venue, error).await),
    }
}

async fn resolve(ctx: &Ctx, job: &ResolveConversion, lease: &Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let conversion = conversion::get_in(&mut tx, job.conversion).await?;
    let live = conversion::live_attempt_in(&mut tx, &conversion).await?;
    let ended = conversion::unlooked_in(&mut tx, &ctx.base, &conversion).await?.into_iter().next();
    let frozen = venue_freeze::is_frozen_in(&mut tx, &conversion.venue).await?;
    tx.commit().await?;
    // What came late decides about everything else: it goes first.
    if let Some((order, due)) = &ended
        && *due <= ctx.now()
    {
        return look_again(ctx, &conversion, order, lease).await;
    }
    use ConversionState as S;
    let unsent = live.as_ref().is_some_and(|order| order.state == AttemptState::Planned);
    match (conversion.state, live) {
        (S::Filled | S::InReview, _) => {
            Ok(ended.map_or(Outcome::Done, |(_, due)| Outcome::Again(due)))
        }
        (state, _)
            if frozen
                && (unsent || matches!(state, S::Waiting | S::Rejected | S::PartlyFilled)) =>
        {
            leave_frozen(ctx, &conversion, lease).await
        }
        (S::Waiting | S::Rejected | S::PartlyFilled, _) => plan_next(ctx, &conversion, lease).await,
        (_, Some(order)) if unsent => {
            if let Some(at) = order.send_after.filter(|at| *at > ctx.now()) {
                return Ok(Outcome::Again(at));
            }
            selling::send(ctx, lease, &order).await?;
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
    let told = match venue.find_order(pair_of(conversion), &reference).await? {
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

fn pair_of(conversion: &Conversion) -> Pair {
    in_our_words::pair(conversion.asset, conversion.quote)
}

/// The answer is only a hint: cancelling is asynchronous, and the next look tells.
async fn cancel(venue: &dyn Exchange, order: &OrderAttempt, reference: &exchanges::ClientRef) {
    let pair = in_our_words::pair(order.sell, order.quote);
    if let Err(error) = venue.cancel_order(pair, reference).await {
        tracing::warn!(order = order.client_ref, %error, "cancel not answered");
    }
}

async fn plan_next(
    ctx: &Ctx,
    conversion: &Conversion,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let venue = ctx.connectors.exchange(&conversion.venue)?;
    let seen = selling::look(venue, pair_of(conversion)).await;
    if let Some(failed) = seen.failed {
        return Err(failed.into());
    }
    let mut tx = ctx.begin(lease).await?;
    let planned = conversion::plan_next_in(&mut tx, &ctx.base, conversion.id, &seen.offer).await;
    match planned.map_err(WorkError::from) {
        Ok(Planned::Order(order)) => {
            tx.commit().await?;
            selling::send(ctx, lease, &order).await?;
            Ok(ctx.again_in(1))
        }
        Ok(Planned::Stopped) => Ok(ctx.again_in(15)),
        Ok(Planned::NoRoute(route)) => {
            let waits = conversion.id.to_string();
            let of = (waits.as_str(), conversion.venue.as_str());
            let seconds = selling::no_route_in(&mut tx, ctx, of, &route).await?;
            let later = ctx.again_in(seconds);
            ctx.finish(tx, lease, later).await
        }
        Ok(Planned::Wait(at)) => Ok(Outcome::Again(at)),
        Ok(Planned::Nothing | Planned::NeedsPerson) => {
            let now = Outcome::Again(ctx.now());
            ctx.finish(tx, lease, now).await
        }
        Err(error) if error.is_overdraw() => {
            tx.rollback().await?;
            short_of_inventory(ctx, conversion, lease).await
        }
        Err(error) => Err(error),
    }
}

/// The venue does not hold what is still to be sold there: nothing is lost, somebody must refill.
async fn short_of_inventory(
    ctx: &Ctx,
    conversion: &Conversion,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let (venue, asset) = (&conversion.venue, conversion.asset);
    let mut tx = ctx.begin(lease).await?;
    let new = case::NewCase {
        kind: "venue_inventory_short",
        subject: &format!("{venue}:{asset}:{}", ctx.now().date_naive()),
        payment: None,
        amount: None,
        detail: json!({ "asset": asset, "conversion": conversion.id }),
    };
    case::open_in(&mut tx, &ctx.base, new).await?;
    let later = ctx.again_in(60);
    ctx.finish(tx, lease, later).await
}

/// The venue takes no new orders: what is not sold there goes elsewhere, when that is certain and
/// another venue takes it. Else it waits, with the reason kept.
async fn leave_frozen(
    ctx: &Ctx,
    conversion: &Conversion,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let offers: Vec<Offer> =
        selling::offers(ctx, conversion.asset).await.into_iter().map(|seen| seen.offer).collect();
    let mut tx = ctx.begin(lease).await?;
    let next = match conversion::reroute_in(&mut tx, &ctx.base, conversion.id, &offers).await? {
        Rerouted::Moved(_) => Outcome::Again(ctx.now()),
        Rerouted::NotSafe(at) => Outcome::Again(at),
        Rerouted::NotNeeded => ctx.again_in(1),
        Rerouted::Held => ctx.again_in(15),
    };
    ctx.finish(tx, lease, next).await
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
    let Some(found) = venue.find_order(pair_of(conversion), &reference).await? else {
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
    let open = venue.open_orders(pair_of(conversion)).await?;
    let trades = venue.fills_since(pair_of(conversion), since).await?;
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
        let id = in_our_words::trade_id(trade);
        if !conversion::knows_trade(&mut conn, &conversion.venue, &id).await? {
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
