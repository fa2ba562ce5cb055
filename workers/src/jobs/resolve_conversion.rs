//! Follow a conversion until everything is sold: ask for the order by our own reference, cancel the
//! rest after a bounded wait, prove an unknown order absent before a new one may exist.

use chrono::{DateTime, TimeDelta, Utc};
use exchanges::{Exchange, Holding, Pair};
use primitives::{Amount, CallError};
use queue::{Lease, Outcome};
use serde_json::{Value, json};
use settlement::{
    case,
    conversion::{
        self, AttemptState, Conversion, ConversionState, LateLook, Offer, OrderAttempt,
        OrderOutcome, Planned, Rerouted,
        judge::{self, Absence, Arrived, Traces},
    },
    jobs::ResolveConversion,
    reconcile::{Scope, books_in},
    treasury, venue_freeze,
};

use crate::{Ctx, WorkError, in_our_words, selling};

/// An order whose fate is not certain after this long is shown to a person; asking goes on.
const UNKNOWN_CASE: TimeDelta = TimeDelta::minutes(15);
const A_MOMENT: TimeDelta = TimeDelta::seconds(1);
const SOON: TimeDelta = TimeDelta::seconds(10);

pub(crate) async fn run(
    ctx: Ctx,
    job: ResolveConversion,
    lease: Lease,
) -> Result<Outcome, WorkError> {
    let mut conn = ctx.conn().await?;
    let conversion = conversion::get_in(&mut conn, job.conversion).await?;
    drop(conn);
    let done = match resolve(&ctx, &job, &lease).await {
        Err(error) => cope(&ctx, &conversion, error, &lease).await,
        done => done,
    };
    // By itself, after what this run has committed.
    let mut conn = ctx.conn().await?;
    conversion::end_silence_in(&mut conn, &ctx.base, &conversion.venue).await?;
    done
}

/// What a venue does not answer, and what it says that cannot be, is dealt with; the rest fails.
async fn cope(
    ctx: &Ctx,
    conversion: &Conversion,
    error: WorkError,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    match selling::note_locked_out(ctx, lease, &conversion.venue, error).await {
        WorkError::Call(call) => wait_or_leave(ctx, conversion, &call, lease).await,
        WorkError::Settlement(settlement::Error::Inconsistent(why)) => {
            contradicted(ctx, conversion, why, lease).await
        }
        other => Err(other),
    }
}

/// What the venue says cannot be true beside what it said before: nothing of it was booked. A
/// person is called, and the venue is asked again later.
async fn contradicted(
    ctx: &Ctx,
    conversion: &Conversion,
    why: String,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    conversion::show_contradiction_in(&mut tx, &ctx.base, conversion.id, &why).await?;
    tx.commit().await?;
    // The engine tells it, and pauses longer each time.
    Err(settlement::Error::Inconsistent(why).into())
}

/// The venue does not answer: the sale waits for it, with the reason kept. When it has waited long
/// enough it goes elsewhere, if nothing of it can have sold here; else a person is shown why not.
async fn wait_or_leave(
    ctx: &Ctx,
    conversion: &Conversion,
    call: &CallError,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let why = format!("{} does not answer: {call}", conversion.venue);
    let mut tx = ctx.begin(lease).await?;
    conversion::silent_in(&mut tx, &ctx.base, conversion.id, &why).await?;
    tx.commit().await?;
    let pause = match call {
        CallError::RateLimited { retry_after_s } => i64::try_from(*retry_after_s).unwrap_or(60),
        _ => 5,
    };
    let later = ctx.now() + TimeDelta::seconds(pause.clamp(5, 60));
    leave_silent(ctx, conversion, (&why, later), lease).await
}

/// What became of the wish to leave a venue that takes nothing.
#[derive(PartialEq, Eq)]
enum Left {
    /// It has not waited long enough.
    NotYet,
    Moved,
    /// It has, and something keeps it there; that is kept with it, and shown to a person.
    Stays,
}

async fn leave_silent(
    ctx: &Ctx,
    conversion: &Conversion,
    (why, later): (&str, DateTime<Utc>),
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let left = try_to_leave(ctx, conversion, why, lease).await?;
    after(ctx, conversion, left, later).await
}

/// When to look again. A sale may leave before its venue wants to hear of it again.
async fn after(
    ctx: &Ctx,
    conversion: &Conversion,
    left: Left,
    later: DateTime<Utc>,
) -> Result<Outcome, WorkError> {
    Ok(match left {
        Left::NotYet => {
            let patience = TimeDelta::seconds(ctx.base.settings.venue_patience_s);
            let waits = conversion.id.to_string();
            let mut conn = ctx.conn().await?;
            let since = conversion::held_since_in(&mut conn, &waits).await?;
            let leaves = since.map(|since| (since + patience).max(ctx.now() + A_MOMENT));
            Outcome::Again(leaves.map_or(later, |leaves| later.min(leaves)))
        }
        Left::Moved => Outcome::Again(ctx.now()),
        Left::Stays => Outcome::Again(later.clamp(ctx.now() + SOON, ctx.now() + SOON * 3)),
    })
}

/// Moves a sale that has waited too long for its venue. What keeps it there is kept with it.
async fn try_to_leave(
    ctx: &Ctx,
    conversion: &Conversion,
    why: &str,
    lease: &Lease,
) -> Result<Left, WorkError> {
    let (base, id) = (&ctx.base, conversion.id);
    let mut conn = ctx.conn().await?;
    let overdue = conversion::overdue_in(&mut conn, base, id).await?;
    drop(conn);
    if overdue.is_none() {
        return Ok(Left::NotYet);
    }
    let offers: Vec<Offer> =
        selling::offers(ctx, conversion.asset).await.into_iter().map(|seen| seen.offer).collect();
    let mut tx = ctx.begin(lease).await?;
    let stays = match conversion::reroute_in(&mut tx, base, id, &offers).await? {
        Rerouted::Moved(_) | Rerouted::Ended => {
            tx.commit().await?;
            return Ok(Left::Moved);
        }
        Rerouted::NotNeeded => return Ok(Left::NotYet),
        Rerouted::NotSafe(_, order) => format!("{why}; it stays, because {order}"),
        Rerouted::Held(elsewhere) => format!("{why}; elsewhere: {elsewhere}"),
    };
    conversion::silent_in(&mut tx, base, id, &stays).await?;
    conversion::show_silent_in(&mut tx, base, id, &stays).await?;
    tx.commit().await?;
    Ok(Left::Stays)
}

async fn resolve(ctx: &Ctx, job: &ResolveConversion, lease: &Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let conversion = conversion::get_in(&mut tx, job.conversion).await?;
    let live = conversion::live_attempt_in(&mut tx, &conversion).await?;
    let ended = conversion::unlooked_in(&mut tx, &ctx.base, &conversion).await?.into_iter().next();
    let frozen = venue_freeze::is_frozen_in(&mut tx, &conversion.venue).await?;
    tx.commit().await?;
    use ConversionState as S;
    // What came late decides about everything else: it goes first.
    if let Some((order, due)) = &ended
        && *due <= ctx.now()
    {
        let looked = look_again(ctx, &conversion, order, lease).await;
        let sent = matches!(conversion.state, S::Submitted | S::Unknown);
        return match live.filter(|_| sent) {
            Some(alive) => follow_too(ctx, &conversion, (looked, &alive), lease).await,
            None => looked,
        };
    }
    if conversion.waits_with_nothing_left() {
        return end_sold(ctx, &conversion, ended.map(|(_, due)| due), lease).await;
    }
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
        (S::Rejected, _) => {
            // It refuses what others may take; when none does, it is asked again.
            let why = format!("{} refuses our orders", conversion.venue);
            match try_to_leave(ctx, &conversion, &why, lease).await? {
                Left::Moved => Ok(Outcome::Again(ctx.now())),
                Left::NotYet | Left::Stays => plan_next(ctx, &conversion, lease).await,
            }
        }
        (S::Waiting | S::PartlyFilled, _) => plan_next(ctx, &conversion, lease).await,
        (_, Some(order)) if unsent => {
            let why = format!("{} takes no order", conversion.venue);
            let left = try_to_leave(ctx, &conversion, &why, lease).await?;
            let later = order.send_after.filter(|at| *at > ctx.now());
            if left == Left::Moved || later.is_some() {
                return after(ctx, &conversion, left, later.unwrap_or_else(|| ctx.now())).await;
            }
            selling::send(ctx, lease, &order).await?;
            Ok(ctx.again_in(if left == Left::Stays { SOON.num_seconds() } else { 1 }))
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

/// An order that came late may be looked at for long: it does not starve the one that is alive.
async fn follow_too(
    ctx: &Ctx,
    conversion: &Conversion,
    (looked, alive): (Result<Outcome, WorkError>, &OrderAttempt),
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let next = match looked {
        Err(error) => cope(ctx, conversion, error, lease).await,
        certain @ Ok(Outcome::Again(at)) if at <= ctx.now() => return certain,
        later => later,
    };
    match (follow(ctx, conversion, alive, lease).await?, next) {
        (Outcome::Again(at), Ok(Outcome::Again(next))) => Ok(Outcome::Again(at.min(next))),
        (followed, Ok(_)) => Ok(followed),
        (followed, Err(error)) => {
            // It is due still, and looked at in the next run.
            tracing::warn!(conversion = %conversion.id, %error, "the look after an end failed");
            Ok(followed)
        }
    }
}

/// Nothing is left to sell: no market is asked. The last look at an order that ended is waited for.
async fn end_sold(
    ctx: &Ctx,
    conversion: &Conversion,
    due: Option<DateTime<Utc>>,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let ended = conversion::end_sold_in(&mut tx, &ctx.base, conversion.id).await?;
    let next = if ended { ctx.now() } else { due.unwrap_or_else(|| ctx.now() + A_MOMENT) };
    ctx.finish(tx, lease, Outcome::Again(next)).await
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
            tx.commit().await?;
            let later = ctx.now() + TimeDelta::seconds(seconds);
            leave_silent(ctx, conversion, (&route.reasons(), later), lease).await
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
        Rerouted::Moved(_) | Rerouted::Ended => Outcome::Again(ctx.now()),
        Rerouted::NotSafe(at, _) => Outcome::Again(at),
        Rerouted::NotNeeded => ctx.again_in(1),
        Rerouted::Held(_) => ctx.again_in(15),
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
    // What takes so long is not told sooner by asking more often.
    let is_old = order.sent_at.is_some_and(|at| ctx.now() >= at + UNKNOWN_CASE);
    Ok(ctx.again_in(if is_old { 15 } else { 1 }))
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
        arrived: None,
    };
    traces.arrived = arrived(ctx, &mut conn, conversion, (&holdings, &traces)).await?;
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

/// What came to the venue and is not booked yet, where it explains what is there too much.
async fn arrived(
    ctx: &Ctx,
    conn: &mut sqlx::PgConnection,
    conversion: &Conversion,
    (holdings, traces): (&[Holding], &Traces),
) -> Result<Option<Arrived>, WorkError> {
    let nonsense = |error: primitives::AmountError| WorkError::Nonsense(error.to_string());
    let (venue, quote) = (&conversion.venue, conversion.quote);
    let gap = traces.held.checked_sub(traces.books).map_err(nonsense)?;
    if !gap.is_positive() {
        return Ok(None);
    }
    let at = (venue.as_str(), conversion.asset);
    let came = treasury::arrived_in(conn, &ctx.base, at, gap).await?;
    let Some(brought) = holdings.iter().find(|h| h.asset == quote) else { return Ok(None) };
    Ok(Some(Arrived {
        items: came.iter().map(|waits| waits.item).collect(),
        proceeds: brought.free.checked_add(brought.locked).map_err(nonsense)?,
        proceeds_books: books_in(conn, &Scope::Venue(venue.clone(), quote)).await?,
    }))
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
