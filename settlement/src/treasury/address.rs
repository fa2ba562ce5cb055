//! Where venues take our coins: asked once, kept, and compared with what the venue says now.
//!
//! Invariant: an address that changed is never used because the venue says so. It stops what goes
//! there, opens a case, and counts when a person has written the row that confirms it. Rows are
//! facts and never change.

use chrono::TimeDelta;
use primitives::{Asset, NetworkId};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::people::{PersonError, signed_by};
use crate::{Base, Error, case, policy};

/// The kind of case that is open while an address waits for a person.
const CHANGED: &str = "venue_address_changed";
/// The kind of case that is open while a lane leads to what nobody confirmed yet.
pub(super) const UNCONFIRMED: &str = "lane_unconfirmed";

/// Where a venue takes one asset on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueAddress {
    pub venue: String,
    pub asset: Asset,
    pub network: NetworkId,
    pub address: String,
    /// False while it was offered in place of another and nobody confirmed it.
    pub is_usable: bool,
    /// A person has confirmed it: lanes between venues use no other.
    pub is_confirmed: bool,
}

/// What a venue says its address is, in the network's canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer<'a> {
    pub venue: &'a str,
    pub asset: Asset,
    pub network: &'a NetworkId,
    pub address: &'a str,
}

impl Offer<'_> {
    fn subject(&self) -> String {
        format!("{}:{}:{}", self.venue, self.network, self.asset)
    }
}

/// The address that is known, whether it may be used or not.
///
/// # Errors
/// `Database`.
pub async fn known_in(
    conn: &mut PgConnection,
    venue: &str,
    asset: Asset,
    network: &NetworkId,
) -> Result<Option<VenueAddress>, Error> {
    let row = sqlx::query(
        "select address, standing from venue_addresses
         where venue = $1 and asset = $2 and network = $3 order by id desc limit 1",
    )
    .bind(venue)
    .bind(asset.code())
    .bind(network.as_str())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let standing: &str = row.try_get("standing")?;
        Ok(VenueAddress {
            venue: venue.to_owned(),
            asset,
            network: network.clone(),
            address: row.try_get("address")?,
            is_usable: standing != "offered",
            is_confirmed: standing == "confirmed",
        })
    })
    .transpose()
}

/// Notes what a venue says now. The first word of a venue is kept; another word later stops what
/// goes there until a person confirms it, also when the venue takes it back.
///
/// # Errors
/// `Database`.
pub async fn offered_in(
    conn: &mut PgConnection,
    base: &Base,
    offer: &Offer<'_>,
) -> Result<VenueAddress, Error> {
    lock_in(conn, offer).await?;
    let known = known_in(conn, offer.venue, offer.asset, offer.network).await?;
    let standing = match &known {
        None => "first",
        Some(known) if known.address == offer.address => return Ok(known.clone()),
        // It is stopped already, and one that flips is written down once an hour.
        Some(known) if !known.is_usable && is_fresh_in(conn, base, offer).await? => {
            return Ok(known.clone());
        }
        // Taken back: it stays stopped, and the case names the newest word.
        Some(_) => "offered",
    };
    write_in(conn, base, offer, standing, ("treasury", "the venue said so")).await?;
    if let Some(known) = known {
        let new = case::NewCase {
            kind: CHANGED,
            subject: &offer.subject(),
            payment: None,
            amount: None,
            detail: json!({ "known": known.address, "offered": offer.address }),
        };
        case::open_in(conn, base, new).await?;
        tracing::error!(venue = offer.venue, asset = %offer.asset, "deposit address changed");
    }
    let newest = known_in(conn, offer.venue, offer.asset, offer.network).await?;
    newest.ok_or_else(|| Error::Inconsistent("an address that was just written".to_owned()))
}

/// A person confirms an address, typed in full: the one offered, or the one before it.
///
/// # Errors
/// `PersonError`.
pub async fn confirm_in(
    conn: &mut PgConnection,
    base: &Base,
    offer: &Offer<'_>,
    by: (&str, &str),
) -> Result<(), PersonError> {
    signed_by(by)?;
    lock_in(conn, offer).await?;
    let heard: bool = sqlx::query_scalar(
        "select exists (select from venue_addresses
           where venue = $1 and asset = $2 and network = $3 and address = $4)",
    )
    .bind(offer.venue)
    .bind(offer.asset.code())
    .bind(offer.network.as_str())
    .bind(offer.address)
    .fetch_one(&mut *conn)
    .await?;
    if !heard {
        return Err(PersonError::NotThere("the venue never named this address"));
    }
    write_in(conn, base, offer, "confirmed", by).await?;
    for kind in [CHANGED, UNCONFIRMED] {
        policy::close_case_in(conn, base, kind, &offer.subject(), by.1).await?;
    }
    Ok(())
}

/// True when the newest row is less than an hour old.
async fn is_fresh_in(
    conn: &mut PgConnection,
    base: &Base,
    offer: &Offer<'_>,
) -> Result<bool, Error> {
    let fresh = sqlx::query_scalar(
        "select exists (select from venue_addresses
           where venue = $1 and asset = $2 and network = $3 and at > $4)",
    )
    .bind(offer.venue)
    .bind(offer.asset.code())
    .bind(offer.network.as_str())
    .bind(base.now() - TimeDelta::hours(1))
    .fetch_one(conn)
    .await?;
    Ok(fresh)
}

/// One at a time per venue, asset and network.
async fn lock_in(conn: &mut PgConnection, offer: &Offer<'_>) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('venue_address:' || $1, 0))")
        .bind(offer.subject())
        .execute(conn)
        .await?;
    Ok(())
}

async fn write_in(
    conn: &mut PgConnection,
    base: &Base,
    offer: &Offer<'_>,
    standing: &'static str,
    (actor, reason): (&str, &str),
) -> Result<(), Error> {
    sqlx::query(
        "insert into venue_addresses (venue, asset, network, address, standing, actor, reason, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(offer.venue)
    .bind(offer.asset.code())
    .bind(offer.network.as_str())
    .bind(offer.address)
    .bind(standing)
    .bind(actor)
    .bind(reason)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}
