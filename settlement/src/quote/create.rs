//! Making a quote: a price, an address, and a promise that ends.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, MerchantId, NetworkId, PaymentId, QuoteId, Rounding};
use rust_decimal::Decimal;
use sqlx::{PgConnection, Row};

use super::{
    Basis, Quote, SpreadParts,
    basis::best,
    live_of, payable,
    store::{insert_in, received_in},
};
use crate::{
    Base, Error,
    deposit::address_pool,
    exposure::{self, Room},
    money_column,
    payment::{self, Payment, PaymentState},
    rates::{self, BoardRate, Level, Moved, RouteBook, Verdict},
    switch::{self, Switch},
};

/// Why no quote was made; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum QuoteError {
    #[error("no such payment")]
    NotFound,
    #[error("this way of paying is not offered")]
    UnknownMethod,
    #[error("a payment in state {0} takes no quotes")]
    NotPayable(PaymentState),
    /// The payment ends too soon for a rate to hold.
    #[error("the payment has expired")]
    Expired,
    /// The venue's book does not carry this size, or the result does not fit.
    #[error("the market is too thin for this amount")]
    TooThin,
    #[error("quotes are stopped")]
    Stopped,
    /// Nothing that is quoted now could be sold.
    #[error("every venue that would sell {0} is frozen")]
    VenueFrozen(Asset),
    /// As much of the asset is promised and unsold as may be.
    #[error("the exposure limit of {0} is reached")]
    ExposureFull(Asset),
    /// The newest rate may not be believed.
    #[error("no rate can be trusted now")]
    NoRate,
    #[error("no deposit address is ready")]
    NoAddress,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for QuoteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// The ways a payment can be paid now.
///
/// # Errors
/// `Database`.
pub async fn options(
    conn: &mut PgConnection,
    base: &Base,
) -> Result<Vec<(NetworkId, Asset)>, Error> {
    let rows = sqlx::query("select network, asset from payment_methods order by network, asset")
        .fetch_all(conn)
        .await?;
    let mut methods = Vec::new();
    for row in &rows {
        let asset = money_column::asset(row.try_get("asset")?)?;
        let network = NetworkId::new(row.try_get("network")?);
        methods.extend(network.filter(|n| base.settings.carries(n, asset)).map(|n| (n, asset)));
    }
    Ok(methods)
}

/// Prices a payment in one asset on one network, in the caller's transaction. While a quote for
/// the same way of paying holds, it is returned unchanged: asking again is no free option.
///
/// # Errors
/// `QuoteError`.
pub async fn create_in(
    conn: &mut PgConnection,
    base: &Base,
    rate: &BoardRate,
    merchant: MerchantId,
    payment: PaymentId,
    method: (&NetworkId, Asset),
) -> Result<Quote, QuoteError> {
    let (network, asset) = method;
    payment::find(conn, merchant, payment).await?.ok_or(QuoteError::NotFound)?;
    let payment = payment::lock_in(conn, payment).await?;
    if !payment.state.is_payable() {
        return Err(QuoteError::NotPayable(payment.state));
    }
    let now = base.now();
    if payment.expires_at <= now + TimeDelta::seconds(5) {
        return Err(QuoteError::Expired);
    }
    if let Some(live) = live_of(conn, payment.id, network, asset, now).await? {
        return Ok(for_the_rest(conn, live).await?);
    }
    exposure::wait_for_turn_in(conn, base, asset).await?;
    let quote = price_in(conn, base, rate, &payment, method, now).await?;
    // What came for an older quote counts for this one: it may be covered as it is made.
    payment::accept_if_covered_in(conn, base, payment.id, quote.id).await?;
    Ok(quote)
}

/// Prices a payment anew for money that is there already, from the newest tick of the history. The
/// payment is locked by the caller, which decides whether it may take money at all.
///
/// # Errors
/// `QuoteError`.
pub(crate) async fn requote_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    network: &NetworkId,
    asset: Asset,
) -> Result<Quote, QuoteError> {
    let rate = fresh_rate_in(conn, base, asset).await?.ok_or(QuoteError::NoRate)?;
    let now = base.now();
    let validity = TimeDelta::seconds(base.settings.quote_validity_s);
    let late = Payment { expires_at: payment.expires_at.max(now + validity), ..payment.clone() };
    price_in(conn, base, &rate, &late, (network, asset), now).await
}

/// The newest tick of the history, if it may be believed and is fresh.
async fn fresh_rate_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Option<BoardRate>, Error> {
    let oldest = base.now() - TimeDelta::seconds(base.settings.rate_max_age_s);
    let newest = rates::latest_in(conn, asset).await?;
    Ok(newest.filter(|r| r.at >= oldest && !matches!(r.verdict, Verdict::Unusable(_))))
}

/// The best price a sale gets now for this many rupees; `None` when no rate can be believed.
pub(crate) async fn bid_now_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    amount: Amount,
) -> Result<Option<Decimal>, Error> {
    let rate = fresh_rate_in(conn, base, asset).await?;
    let price = |rate: BoardRate| best(&rate.routes, amount).map(|(_, price, _)| price);
    Ok(rate.and_then(price))
}

async fn price_in(
    conn: &mut PgConnection,
    base: &Base,
    rate: &BoardRate,
    payment: &Payment,
    (network, asset): (&NetworkId, Asset),
    now: DateTime<Utc>,
) -> Result<Quote, QuoteError> {
    if !switch::is_open_in(conn, Switch::Quotes).await? {
        return Err(QuoteError::Stopped);
    }
    if rate.base != asset || !base.settings.carries(network, asset) {
        return Err(QuoteError::UnknownMethod);
    }
    // The board may be read from a cache: the newest word in the history decides.
    let newest = rates::verdict_in(conn, asset).await?;
    let unusable = |verdict: &Verdict| matches!(verdict, Verdict::Unusable(_));
    if unusable(&rate.verdict) || newest.is_none_or(|(verdict, _)| unusable(&verdict)) {
        return Err(QuoteError::NoRate);
    }
    let open = open_routes_in(conn, base, rate).await?;
    if open.is_empty() {
        return Err(QuoteError::VenueFrozen(asset));
    }
    let template = uri_template(conn, network, asset).await?.ok_or(QuoteError::UnknownMethod)?;
    let (route, price, levels) = best(open, payment.amount).ok_or(QuoteError::TooThin)?;
    let spread = spread_in(conn, base, rate, payment.merchant).await?;
    let owed = payable(payment.amount, asset, price, spread.total()).ok_or(QuoteError::TooThin)?;
    let validity = validity_in(conn, base, owed).await?;
    let address = address_pool::assign_in(conn, base, network, payment.id)
        .await?
        .ok_or(QuoteError::NoAddress)?;
    let held = now + validity;
    let basis = basis(base, rate, (route, levels), spread);
    let mut quote = Quote {
        id: QuoteId::from_uuid(base.uuid()),
        payment: payment.id,
        network: network.clone(),
        asset,
        uri: String::new(),
        address,
        amount: payment.amount,
        payable: owed,
        price,
        spread: spread.total(),
        tick: rate.tick,
        basis,
        created_at: now,
        valid_until: held.min(payment.expires_at),
    };
    let due = due_in(conn, &quote).await?;
    quote.uri = fill(&template, &quote.address, due);
    insert_in(conn, &quote).await?;
    Ok(quote)
}

fn basis(
    base: &Base,
    rate: &BoardRate,
    (route, levels): (&RouteBook, Vec<Level>),
    spread: SpreadParts,
) -> Basis {
    Basis {
        tick_at: rate.at,
        verdict: rate.verdict.name().to_owned(),
        venues: route.venues.clone(),
        levels,
        sources: rate.sources.clone(),
        spread,
        rounding: Rounding::Up,
        fee: Some(base.settings.fee_bps),
        gst: Some(base.settings.gst_bps),
    }
}

/// The ways of the tick without a fault that pass no frozen venue.
async fn open_routes_in<'a>(
    conn: &mut PgConnection,
    base: &Base,
    rate: &'a BoardRate,
) -> Result<Vec<&'a RouteBook>, Error> {
    let frozen: Vec<String> = sqlx::query_scalar(
        "select venue from (select distinct on (venue) venue, frozen from venue_freezes
           order by venue, id desc) newest where frozen",
    )
    .fetch_all(conn)
    .await?;
    let is_open = |route: &&RouteBook| {
        // A tick of an older version does not name the venue: it is the one of the settings.
        let unnamed = route.venues.is_empty() && frozen.contains(&base.settings.venue);
        route.refused.is_none() && !unnamed && !route.venues.iter().any(|v| frozen.contains(v))
    };
    Ok(rate.routes.iter().filter(is_open).collect())
}

async fn spread_in(
    conn: &mut PgConnection,
    base: &Base,
    rate: &BoardRate,
    merchant: MerchantId,
) -> Result<SpreadParts, Error> {
    let rule = rates::rule_in(conn, base, merchant, rate.base).await?;
    let range = rate.range.map(|(low, high)| Moved { low, high });
    Ok(SpreadParts::new(rule, (&*base.settings).into(), range))
}

/// How long a quote for so much more crypto may hold.
async fn validity_in(
    conn: &mut PgConnection,
    base: &Base,
    more: Amount,
) -> Result<TimeDelta, QuoteError> {
    let whole = base.settings.quote_validity_s;
    match exposure::room_for_in(conn, base, more).await? {
        Room::Open => Ok(TimeDelta::seconds(whole)),
        Room::Narrow => Ok(TimeDelta::seconds((whole / 2).max(1))),
        Room::Full => Err(QuoteError::ExposureFull(more.asset())),
    }
}

/// The quote with a URI that asks for what is still missing: a payer who scans again pays the rest,
/// not all of it once more.
async fn for_the_rest(conn: &mut PgConnection, quote: Quote) -> Result<Quote, Error> {
    let due = due_in(conn, &quote).await?;
    if due == quote.payable {
        return Ok(quote);
    }
    let template = uri_template(conn, &quote.network, quote.asset).await?;
    let uri = template.map(|template| fill(&template, &quote.address, due));
    Ok(Quote { uri: uri.unwrap_or_else(|| quote.uri.clone()), ..quote })
}

/// How much of a live quote is still to be paid: the top-up a payer is shown.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn due_in(conn: &mut PgConnection, quote: &Quote) -> Result<Amount, Error> {
    let received = received_in(conn, quote).await?;
    let due = quote.payable.checked_sub(received)?;
    Ok(if due.is_positive() { due } else { Amount::zero(quote.asset) })
}

fn fill(template: &str, address: &str, owed: Amount) -> String {
    template
        .replace("{address}", address)
        .replace("{minor}", &owed.minor().to_string())
        .replace("{units}", &owed.to_units())
}

async fn uri_template(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<Option<String>, Error> {
    let template = sqlx::query_scalar(
        "select uri_template from payment_methods where network = $1 and asset = $2",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .fetch_optional(conn)
    .await?;
    Ok(template)
}
