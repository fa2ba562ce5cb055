//! Reading quotes.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps, NetworkId, PaymentId, QuoteId};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::Quote;
use crate::{Error, money_column};

fn read(row: &PgRow) -> Result<Quote, Error> {
    let asset = money_column::asset(row.try_get("asset")?)?;
    let network: &str = row.try_get("network")?;
    let spread: i32 = row.try_get("spread_bps")?;
    Ok(Quote {
        id: QuoteId::from_uuid(row.try_get("id")?),
        payment: PaymentId::from_uuid(row.try_get("payment_id")?),
        network: NetworkId::new(network)
            .ok_or_else(|| Error::Inconsistent(format!("network {network}")))?,
        asset,
        address: row.try_get("address")?,
        uri: row.try_get("uri")?,
        amount: money_column::amount(row.try_get("amount_minor")?, Asset::Inr)?,
        payable: money_column::amount(row.try_get::<&str, _>("payable_minor")?, asset)?,
        price: row.try_get("price")?,
        spread: u32::try_from(spread)
            .ok()
            .and_then(Bps::new)
            .ok_or_else(|| Error::Inconsistent("stored spread".into()))?,
        tick: row.try_get("tick_id")?,
        created_at: row.try_get("created_at")?,
        valid_until: row.try_get("valid_until")?,
    })
}

macro_rules! select_quote {
    ($rest:literal) => {
        concat!(
            "select id, payment_id, network, asset, address, uri, \
             amount_minor::text as amount_minor, payable_minor::text as payable_minor, price, \
             spread_bps, tick_id, created_at, valid_until from quotes ",
            $rest
        )
    };
}

/// The quote with this id.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn get_in(conn: &mut PgConnection, id: QuoteId) -> Result<Quote, Error> {
    let row = sqlx::query(select_quote!("where id = $1")).bind(id.uuid()).fetch_one(conn).await?;
    read(&row)
}

/// Every quote of a payment, oldest first.
///
/// # Errors
/// `Database`.
pub async fn of_payment(conn: &mut PgConnection, id: PaymentId) -> Result<Vec<Quote>, Error> {
    sqlx::query(select_quote!("where payment_id = $1 order by created_at, id"))
        .bind(id.uuid())
        .fetch_all(conn)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// The quote of a payment for one way of paying that is valid at `at`.
///
/// # Errors
/// `Database`.
pub async fn live_of(
    conn: &mut PgConnection,
    payment: PaymentId,
    network: &NetworkId,
    asset: Asset,
    at: DateTime<Utc>,
) -> Result<Option<Quote>, Error> {
    sqlx::query(select_quote!(
        "where payment_id = $1 and network = $2 and asset = $3 and valid_until >= $4 \
         and created_at <= $4 + interval '2 minutes' \
         order by created_at desc limit 1"
    ))
    .bind(payment.uuid())
    .bind(network.as_str())
    .bind(asset.code())
    .bind(at)
    .fetch_optional(conn)
    .await?
    .map(|row| read(&row))
    .transpose()
}

/// Amounts received towards a quote, confirmed or not.
///
/// # Errors
/// `Database`.
pub(crate) async fn received_in(conn: &mut PgConnection, quote: &Quote) -> Result<Amount, Error> {
    let row = sqlx::query(
        "select coalesce(sum(left_of(d)), 0)::text as total from deposits d
         where payment_id = $1 and network = $2 and asset = $3 and purpose = 'payment'
           and state in ('seen', 'confirmed')",
    )
    .bind(quote.payment.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .fetch_one(conn)
    .await?;
    money_column::amount(row.try_get("total")?, quote.asset)
}
