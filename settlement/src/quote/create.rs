//! Making a quote: a price, an address, and a promise that ends.

use chrono::TimeDelta;
use primitives::{Amount, Asset, MerchantId, NetworkId, PaymentId, QuoteId, Rounding};
use sqlx::{PgConnection, Row};

use super::{Quote, executable_bid, live_of, payable, store::received_in};
use crate::{
    Base, Error,
    deposit::address_pool,
    money_column,
    payment::{self, PaymentState},
    rates::{self, BoardRate, Verdict},
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
        return Ok(live);
    }
    if !switch::is_open_in(conn, Switch::Quotes).await? {
        return Err(QuoteError::Stopped);
    }
    if rate.base != asset || !base.settings.carries(network, asset) {
        return Err(QuoteError::UnknownMethod);
    }
    // The board may be read from a cache: the newest word in the history decides.
    let newest = rates::latest_in(conn, asset).await?;
    if newest.is_none_or(|newest| matches!(newest.verdict, Verdict::Unusable(_))) {
        return Err(QuoteError::NoRate);
    }
    let template = uri_template(conn, network, asset).await?.ok_or(QuoteError::UnknownMethod)?;
    let spread = base.settings.spread_bps;
    let price = executable_bid(&rate.bids, payment.amount).ok_or(QuoteError::TooThin)?;
    let owed = payable(payment.amount, asset, price, spread).ok_or(QuoteError::TooThin)?;
    let address = address_pool::assign_in(conn, base, network, payment.id)
        .await?
        .ok_or(QuoteError::NoAddress)?;
    let held = now + TimeDelta::seconds(base.settings.quote_validity_s);
    let quote = Quote {
        id: QuoteId::from_uuid(base.uuid()),
        payment: payment.id,
        network: network.clone(),
        asset,
        uri: fill(&template, &address, owed),
        address,
        amount: payment.amount,
        payable: owed,
        price,
        spread,
        tick: rate.tick,
        created_at: now,
        valid_until: held.min(payment.expires_at),
    };
    store(conn, &quote).await?;
    Ok(quote)
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

async fn store(conn: &mut PgConnection, quote: &Quote) -> Result<(), Error> {
    let rounding = serde_json::to_value(Rounding::Up).ok();
    sqlx::query(
        "insert into quotes (id, payment_id, network, asset, address, uri, amount_minor,
           payable_minor, price, spread_bps, rounding, tick_id, created_at, valid_until)
         values ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8::text::numeric, $9, $10, $11, $12,
           $13, $14)",
    )
    .bind(quote.id.uuid())
    .bind(quote.payment.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .bind(&quote.address)
    .bind(&quote.uri)
    .bind(money_column::minor(quote.amount))
    .bind(money_column::minor(quote.payable))
    .bind(quote.price)
    .bind(i32::try_from(quote.spread.get()).unwrap_or(0))
    .bind(rounding.as_ref().and_then(serde_json::Value::as_str).unwrap_or("up"))
    .bind(quote.tick)
    .bind(quote.created_at)
    .bind(quote.valid_until)
    .execute(conn)
    .await?;
    Ok(())
}
