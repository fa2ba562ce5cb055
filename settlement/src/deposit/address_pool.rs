//! Deposit addresses, derived ahead of need by the process that knows the chain.
//!
//! Invariant: an index is used once, an address belongs to one payment for ever and is watched for
//! ever. Two payments never share one.

use primitives::{Asset, NetworkId, PaymentId};
use sqlx::{PgConnection, Row};

use crate::{Base, Error};

/// A derived address waiting to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAddress {
    pub index: i64,
    pub address: String,
    pub path: String,
}

/// How many free addresses are missing, and the first index to derive.
///
/// # Errors
/// `Database`.
pub async fn shortage(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
) -> Result<(i64, i64), Error> {
    let row = sqlx::query(
        "select count(*) filter (where payment_id is null) as free,
                coalesce(max(path_index) + 1, 0) as next
         from deposit_addresses where network = $1",
    )
    .bind(network.as_str())
    .fetch_one(conn)
    .await?;
    let free: i64 = row.try_get("free")?;
    Ok((base.settings.address_pool.saturating_sub(free).max(0), row.try_get("next")?))
}

/// Stores derived addresses; one that is known already is quiet (two workers at once).
///
/// # Errors
/// `Database`.
pub async fn add_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    new: &[NewAddress],
) -> Result<(), Error> {
    for address in new {
        sqlx::query(
            "insert into deposit_addresses (network, path_index, address, path)
             values ($1, $2, $3, $4) on conflict do nothing",
        )
        .bind(network.as_str())
        .bind(address.index)
        .bind(&address.address)
        .bind(&address.path)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Writes how an asset is asked for on a network.
///
/// # Errors
/// `Database`.
pub async fn offer_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    asset: Asset,
    uri_template: &str,
) -> Result<(), Error> {
    sqlx::query(
        "insert into payment_methods (network, asset, uri_template, updated_at)
         values ($1, $2, $3, $4) on conflict (network, asset) do update
         set uri_template = excluded.uri_template, updated_at = excluded.updated_at
         where payment_methods.uri_template <> excluded.uri_template",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .bind(uri_template)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// The payment's address on a network, taken from the pool the first time. `None` when the pool is
/// empty.
///
/// # Errors
/// `Database`.
pub(crate) async fn assign_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    payment: PaymentId,
) -> Result<Option<String>, Error> {
    let known: Option<String> = sqlx::query_scalar(
        "select address from deposit_addresses where network = $1 and payment_id = $2",
    )
    .bind(network.as_str())
    .bind(payment.uuid())
    .fetch_optional(&mut *conn)
    .await?;
    if known.is_some() {
        return Ok(known);
    }
    let assigned = sqlx::query_scalar(
        "update deposit_addresses set payment_id = $2, assigned_at = $3 where id = (
           select id from deposit_addresses where network = $1 and payment_id is null
           order by path_index limit 1 for update skip locked)
         returning address",
    )
    .bind(network.as_str())
    .bind(payment.uuid())
    .bind(base.now())
    .fetch_optional(conn)
    .await?;
    Ok(assigned)
}

/// Addresses of a network with a row number above `after`, in order: the watch set and its growth.
/// Free addresses are watched too, so that money sent to one is found.
///
/// # Errors
/// `Database`.
pub async fn watched_after(
    conn: &mut PgConnection,
    network: &NetworkId,
    after: i64,
) -> Result<Vec<(i64, String)>, Error> {
    let rows = sqlx::query_as(
        "select id, address from deposit_addresses where network = $1 and id > $2 order by id",
    )
    .bind(network.as_str())
    .bind(after)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
