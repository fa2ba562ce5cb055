//! Looking at the markets that may take a sale, and sending one planned order: shared by the job
//! that plans sales and the one that resolves them. Sending is: mark sent, call once, record.

use chrono::TimeDelta;
use exchanges::{
    ClientRef, Exchange, NewOrder, Order, OrderKind, OrderState, Pair, is_access_refusal,
};
use futures::future::join_all;
use primitives::{Asset, CallError};
use queue::Lease;
use serde_json::json;
use settlement::{
    case,
    conversion::{self, Market, Offer, OrderAttempt, Route, route::Why},
};

use crate::{Ctx, WorkError, in_our_words};

/// A venue that does not let us in is asked again after this long, and a person is called.
const ACCESS_PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Venues that are silent or closed for so long are shown to a person.
const WEATHER_MAX: TimeDelta = TimeDelta::minutes(15);

/// What every venue that may take an asset shows now, and where dollar coins become rupees. Reads
/// only. Who does not answer is offered with the reason.
pub(crate) async fn offers(ctx: &Ctx, asset: Asset) -> Vec<Seen> {
    let mut markets = Vec::new();
    for venue in ctx.base.settings.selling_venues() {
        let Some(exchange) = ctx.connectors.exchanges.get(venue) else { continue };
        let Some(first) = exchange.market(asset) else { continue };
        markets.push((exchange, first));
        if first.quote == Asset::Inr {
            continue;
        }
        for venue in ctx.base.settings.selling_venues() {
            let Some(exchange) = ctx.connectors.exchanges.get(venue) else { continue };
            let second = exchange.market(first.quote).filter(|pair| pair.quote == Asset::Inr);
            markets.extend(second.map(|pair| (exchange, pair)));
        }
    }
    markets.sort_by_key(|(exchange, pair)| (exchange.venue(), *pair));
    markets.dedup_by_key(|(exchange, pair)| (exchange.venue(), *pair));
    join_all(markets.into_iter().map(|(exchange, pair)| look(exchange.as_ref(), pair))).await
}

/// An offer, and the failure behind one that could not be looked at.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) offer: Offer,
    pub(crate) failed: Option<CallError>,
}

/// One market, or why it cannot be looked at.
pub(crate) async fn look(exchange: &dyn Exchange, pair: Pair) -> Seen {
    let told = ask(exchange, pair).await;
    let (market, failed) = match told {
        Ok(market) => (Ok(market), None),
        Err(error) => (Err(format!("it does not answer: {error}")), Some(error)),
    };
    let venue = exchange.venue().to_owned();
    Seen { offer: Offer { venue, sell: pair.base, quote: pair.quote, market }, failed }
}

async fn ask(exchange: &dyn Exchange, pair: Pair) -> Result<Market, CallError> {
    let rules = exchange.rules(pair).await?;
    let levies = in_our_words::levies(exchange.levies(pair).await?);
    let book = exchange.book(pair).await?;
    let immediate = exchange.takes(OrderKind::ImmediateOrCancel);
    Ok(in_our_words::market(&rules, levies, immediate, &book))
}

pub(crate) fn client_ref(order: &OrderAttempt) -> Result<ClientRef, WorkError> {
    ClientRef::new(&order.client_ref)
        .ok_or_else(|| WorkError::Nonsense("a stored order reference".into()))
}

/// What the venue knows of an order, with its executions where there can be any. One that is closed
/// may be wrong about what it executed: its executions are read whatever it says.
pub(crate) async fn facts(
    exchange: &dyn Exchange,
    order: &Order,
) -> Result<conversion::OrderFacts, WorkError> {
    let none = order.executed.is_zero() && order.state == OrderState::Open;
    let fills = if none { Vec::new() } else { exchange.fills(order).await? };
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
pub(crate) async fn send(ctx: &Ctx, lease: &Lease, order: &OrderAttempt) -> Result<(), WorkError> {
    let venue = ctx.connectors.exchange(&order.venue)?;
    let mut tx = ctx.begin(lease).await?;
    let marked = conversion::mark_sent_in(&mut tx, &ctx.base, order).await?;
    tx.commit().await?;
    let Some(stamp) = marked else { return Ok(()) };
    let new = NewOrder {
        client_ref: client_ref(order)?,
        pair: in_our_words::pair(order.sell, order.quote),
        kind: in_our_words::kind(order),
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
                locked_out_in(&mut tx, ctx, &order.venue, why).await?;
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
pub(crate) async fn note_locked_out(
    ctx: &Ctx,
    lease: &Lease,
    venue: &str,
    error: WorkError,
) -> WorkError {
    let WorkError::Call(call) = &error else { return error };
    if !is_access_refusal(call) {
        return error;
    }
    let noted = async {
        let mut tx = ctx.begin(lease).await?;
        locked_out_in(&mut tx, ctx, venue, &call.to_string()).await?;
        tx.commit().await?;
        Ok::<_, WorkError>(())
    };
    match noted.await {
        Ok(()) => error,
        Err(worse) => worse,
    }
}

/// One case per venue while it lasts; when it was refused last is kept with it.
async fn locked_out_in(
    conn: &mut sqlx::PgConnection,
    ctx: &Ctx,
    venue: &str,
    why: &str,
) -> Result<(), WorkError> {
    let new = case::NewCase {
        kind: "venue_refuses_us",
        subject: venue,
        payment: None,
        amount: None,
        detail: json!({ "why": why }),
    };
    case::open_in(conn, &ctx.base, new).await?;
    sqlx::query(
        "update cases set detail = detail || $2
         where kind = 'venue_refuses_us' and subject = $1 and closed_at is null",
    )
    .bind(venue)
    .bind(json!({ "last": ctx.now() }))
    .execute(conn)
    .await?;
    Ok(())
}

/// Nothing takes the sale now. What a person can do something about is a case, once a day; the
/// reason of every way is kept with what waits. Answers in how many seconds to look again.
pub(crate) async fn no_route_in(
    conn: &mut sqlx::PgConnection,
    ctx: &Ctx,
    (waits, venue): (&str, &str),
    route: &Route,
) -> Result<i64, WorkError> {
    let (kind, seconds) = if route.refused_for(Why::Inventory) {
        ("venue_inventory_short", 60)
    } else if route.refused_for(Why::OffMarket) || route.refused_for(Why::NoDepth) {
        ("price_collar", 15)
    } else if route.refused_for(Why::Cap) {
        ("venue_cap_reached", 60)
    } else {
        // Closed, silent or frozen by a person, which has its own case: weather, until it lasts.
        let since = conversion::held_since_in(conn, waits).await?;
        if since.is_none_or(|since| ctx.now() < since + WEATHER_MAX) {
            return Ok(15);
        }
        ("no_route", 30)
    };
    let asset = route.total.asset();
    let new = case::NewCase {
        kind,
        subject: &format!("{venue}:{asset}:{}", ctx.now().date_naive()),
        payment: None,
        amount: Some(route.total),
        detail: json!({ "waits": waits, "why": route.reasons() }),
    };
    case::open_in(conn, &ctx.base, new).await?;
    Ok(seconds)
}
