//! Making a quote: a price, an address, and a promise that ends.

use chrono::TimeDelta;
use primitives::{Amount, Asset, Bps, MerchantId, NetworkId, PaymentId, QuoteId, Rounding};
use rust_decimal::Decimal;
use sqlx::{PgConnection, Row};

use super::{
    Basis, Quote, SpreadParts, live_of, payable,
    store::{insert_in, received_in},
    way::{Way, way_in},
};
use crate::{
    Base, Error,
    conversion::Route,
    deposit::address_pool,
    exposure::{self, Room},
    money_column,
    payment::{self, Payment, PaymentState},
    rates::{self, BoardRate, Moved, Verdict},
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
    /// No venue would take it now: too full, closed, silent, or far from the market.
    #[error("nothing would sell {0} now")]
    Unsellable(Asset),
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
    let quote = price_in(conn, base, &payment, method).await?;
    // What came for an older quote counts for this one: it may be covered as it is made.
    payment::accept_if_covered_in(conn, base, payment.id, quote.id).await?;
    Ok(quote)
}

/// Prices a payment anew for money that is there already. The payment is locked by the caller,
/// which decides whether it may take money at all.
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
    // Callers that touched the books have taken the turn before that; here it costs nothing then.
    exposure::wait_for_turn_in(conn, base, asset).await?;
    let until = base.now() + TimeDelta::seconds(base.settings.quote_validity_s);
    let late = Payment { expires_at: payment.expires_at.max(until), ..payment.clone() };
    price_in(conn, base, &late, (network, asset)).await
}

/// The newest tick of the history, if it may be believed and is fresh.
async fn fresh_rate_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
) -> Result<Option<BoardRate>, Error> {
    let newest = rates::latest_in(conn, asset).await?;
    Ok(newest.filter(|rate| is_believable(base, rate)))
}

fn is_believable(base: &Base, rate: &BoardRate) -> bool {
    rates::is_fresh(base, rate.at) && !matches!(rate.verdict, Verdict::Unusable(_))
}

/// The price a sale gets now for this many rupees; `None` when no rate can be believed, or nothing
/// would sell it.
pub(crate) async fn bid_now_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    amount: Amount,
) -> Result<Option<Decimal>, Error> {
    let Some(rate) = fresh_rate_in(conn, base, asset).await? else { return Ok(None) };
    match way_in(conn, base, &rate, amount).await {
        Ok(way) => Ok(Some(way.price)),
        Err(QuoteError::Internal(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The way a quote of this size would be priced by now, as a sale chooses it: its price, and every
/// way there is with what speaks against it.
///
/// # Errors
/// `QuoteError` where nothing would be quoted.
pub async fn preview_in(
    conn: &mut PgConnection,
    base: &Base,
    asset: Asset,
    amount: Amount,
) -> Result<(Decimal, Route), QuoteError> {
    if !switch::is_open_in(conn, Switch::Quotes).await? {
        return Err(QuoteError::Stopped);
    }
    let rate = fresh_rate_in(conn, base, asset).await?.ok_or(QuoteError::NoRate)?;
    let way = way_in(conn, base, &rate, amount).await?;
    let owed = payable(amount, asset, way.price, Bps::ZERO).ok_or(QuoteError::TooThin)?;
    if exposure::room_for_in(conn, base, owed).await? == Room::Full {
        return Err(QuoteError::ExposureFull(asset));
    }
    Ok((way.price, way.route))
}

async fn price_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    (network, asset): (&NetworkId, Asset),
) -> Result<Quote, QuoteError> {
    if !switch::is_open_in(conn, Switch::Quotes).await? {
        return Err(QuoteError::Stopped);
    }
    if !base.settings.carries(network, asset) {
        return Err(QuoteError::UnknownMethod);
    }
    // Read behind the locks, from the history: nothing that was seen before, and no cache, makes a
    // price.
    let rate = fresh_rate_in(conn, base, asset).await?.ok_or(QuoteError::NoRate)?;
    let way = way_in(conn, base, &rate, payment.amount).await?;
    let price = way.price;
    let template = uri_template(conn, network, asset).await?.ok_or(QuoteError::UnknownMethod)?;
    let spread = spread_in(conn, base, &rate, payment.merchant).await?;
    let owed = payable(payment.amount, asset, price, spread.total()).ok_or(QuoteError::TooThin)?;
    let validity = validity_in(conn, base, owed).await?;
    let address = address_pool::assign_in(conn, base, network, payment.id)
        .await?
        .ok_or(QuoteError::NoAddress)?;
    // Nothing is waited for any more: the promise begins now, at a price that still holds.
    let now = base.now();
    if !is_believable(base, &rate) {
        return Err(QuoteError::NoRate);
    }
    if payment.expires_at <= now + TimeDelta::seconds(5) {
        return Err(QuoteError::Expired);
    }
    let held = now + validity;
    let basis = basis(base, &rate, way, spread);
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

fn basis(base: &Base, rate: &BoardRate, way: Way, spread: SpreadParts) -> Basis {
    Basis {
        tick_at: rate.at,
        verdict: rate.verdict.name().to_owned(),
        venues: way.venues,
        levels: way.levels,
        route: Some(way.route),
        sources: rate.sources.clone(),
        spread,
        rounding: Rounding::Up,
        fee: Some(base.settings.fee_bps),
        gst: Some(base.settings.gst_bps),
    }
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
