//! Writing and reading quotes.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps, NetworkId, PaymentId, QuoteId};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Basis, Quote, is_explained};
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
        spread: read_bps(spread)?,
        tick: row.try_get("tick_id")?,
        basis: read_basis(row)?,
        created_at: row.try_get("created_at")?,
        valid_until: row.try_get("valid_until")?,
    })
}

fn read_bps(bps: i32) -> Result<Bps, Error> {
    let read = u32::try_from(bps).ok().and_then(Bps::new);
    read.ok_or_else(|| Error::Inconsistent("stored hundredths of a percent".into()))
}

fn read_basis(row: &PgRow) -> Result<Basis, Error> {
    let optional = |name| row.try_get::<Option<i32>, _>(name)?.map(read_bps).transpose();
    Ok(Basis {
        tick_at: row.try_get("tick_at")?,
        verdict: row.try_get::<Option<String>, _>("verdict")?.unwrap_or_default(),
        venues: row.try_get("venues")?,
        levels: read_json(row.try_get("levels")?)?,
        route: row.try_get::<Option<Value>, _>("route")?.map(read_json).transpose()?,
        sources: read_json(row.try_get("sources")?)?,
        spread: read_json(row.try_get("spread_parts")?)?,
        rounding: read_json(Value::String(row.try_get("rounding")?))?,
        fee: optional("fee_bps")?,
        gst: optional("gst_bps")?,
    })
}

fn read_json<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|_| Error::Inconsistent("stored quote".into()))
}

fn json<T: Serialize>(value: &T) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|_| Error::Inconsistent("a quote".into()))
}

pub(super) async fn insert_in(conn: &mut PgConnection, quote: &Quote) -> Result<(), Error> {
    let basis = &quote.basis;
    let rounding = json(&basis.rounding)?;
    let whole = |bps: Bps| i32::try_from(bps.get()).unwrap_or(0);
    sqlx::query(
        "insert into quotes (id, payment_id, network, asset, address, uri, amount_minor,
           payable_minor, price, spread_bps, rounding, tick_id, created_at, valid_until, tick_at,
           verdict, venues, levels, sources, spread_parts, fee_bps, gst_bps, route)
         values ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8::text::numeric, $9, $10, $11, $12,
           $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
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
    .bind(whole(quote.spread))
    .bind(rounding.as_str().unwrap_or("up"))
    .bind(quote.tick)
    .bind(quote.created_at)
    .bind(quote.valid_until)
    .bind(basis.tick_at)
    .bind(&basis.verdict)
    .bind(&basis.venues)
    .bind(json(&basis.levels)?)
    .bind(json(&basis.sources)?)
    .bind(json(&basis.spread)?)
    .bind(basis.fee.map(whole))
    .bind(basis.gst.map(whole))
    .bind(basis.route.as_ref().map(json).transpose()?)
    .execute(conn)
    .await?;
    Ok(())
}

macro_rules! select_quote {
    ($rest:literal) => {
        concat!(
            "select id, payment_id, network, asset, address, uri, \
             amount_minor::text as amount_minor, payable_minor::text as payable_minor, price, \
             spread_bps, rounding, tick_id, created_at, valid_until, tick_at, verdict, venues, \
             levels, sources, spread_parts, fee_bps, gst_bps, route from quotes ",
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

/// Quotes that their own rows do not explain, of those after `after`, looking at so many: none, or
/// something is wrong. Answers the last one looked at, to go on from.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn unexplained_in(
    conn: &mut PgConnection,
    after: Option<QuoteId>,
    most: i64,
) -> Result<(Vec<QuoteId>, Option<QuoteId>), Error> {
    let after = after.map_or_else(uuid::Uuid::nil, QuoteId::uuid);
    let rows = sqlx::query(select_quote!("where id > $1 order by id limit $2"))
        .bind(after)
        .bind(most)
        .fetch_all(conn)
        .await?;
    let quotes: Vec<Quote> = rows.iter().map(read).collect::<Result<_, _>>()?;
    let wrong = quotes.iter().filter(|quote| !is_explained(quote)).map(|quote| quote.id);
    Ok((wrong.collect(), quotes.last().map(|quote| quote.id)))
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
