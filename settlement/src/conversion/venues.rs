//! What our own rows say about the venues of a choice: frozen, full, empty, or not well.
//!
//! Invariant: whoever chooses shares a lock on the name of every venue in the choice until it
//! commits, so a freeze waits for the choice and none is made after it. Worth is by the last rates
//! that could be used; where one is missing it is unknown.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use primitives::{Amount, Asset, Rate, Rounding};
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::route::{Offer, Question, Route, Standing, choose, choose_one};
use crate::{Base, Error, chart, rates, venue_freeze};

/// An order without an answer is nothing unusual for so long.
const ANSWER_MIN: TimeDelta = TimeDelta::minutes(1);
/// A venue that refused us so recently is not well.
const REFUSED_MIN: TimeDelta = TimeDelta::minutes(10);

/// Takes a share in the name of every venue of a choice. Before anything else is locked, as
/// everywhere: a freeze that waits must not stand between two who wait for each other.
pub(super) async fn share_in(
    conn: &mut PgConnection,
    offers: &[Offer],
    leaving: Option<&str>,
) -> Result<(), Error> {
    let offered = offers.iter().map(|offer| offer.venue.as_str());
    for venue in offered.chain(leaving).collect::<BTreeSet<&str>>() {
        venue_freeze::share_in(conn, venue).await?;
    }
    Ok(())
}

/// Chooses a route for `total` among what was seen. The caller has its share in every venue.
pub(super) async fn route_in(
    conn: &mut PgConnection,
    base: &Base,
    total: Amount,
    offers: &[Offer],
    except: Option<&str>,
) -> Result<Route, Error> {
    let names: BTreeSet<&str> = offers.iter().map(|offer| offer.venue.as_str()).collect();
    let mut venues = BTreeMap::new();
    for name in names {
        venues.insert(name.to_owned(), standing_in(conn, base, name).await?);
    }
    let mut prices = BTreeMap::new();
    let sold = offers.iter().map(|offer| offer.sell).chain([total.asset()]);
    for asset in sold.collect::<BTreeSet<Asset>>() {
        if let Some(price) = rates::last_good_in(conn, base, asset).await? {
            prices.insert(asset, price);
        }
    }
    Ok(choose(&Question { except, ..question(base, total, offers, (&venues, &prices)) }))
}

/// Judges one market for a sale that is at its venue already: neither a cap nor another venue is
/// asked about, and what its orders lock is the books' own business.
pub(super) async fn market_in(
    conn: &mut PgConnection,
    base: &Base,
    total: Amount,
    offer: &[Offer],
) -> Result<Route, Error> {
    let mut prices = BTreeMap::new();
    let quotes = offer.iter().map(|offer| offer.quote).filter(|asset| asset.is_crypto());
    for asset in quotes.chain([total.asset()]) {
        if let Some(price) = rates::last_good_in(conn, base, asset).await? {
            prices.insert(asset, price);
        }
    }
    let free = Standing { free: [(total.asset(), total)].into(), ..Standing::default() };
    let venues = offer.iter().map(|offer| (offer.venue.clone(), free.clone())).collect();
    Ok(choose_one(&question(base, total, offer, (&venues, &prices))))
}

fn question<'a>(
    base: &Base,
    total: Amount,
    offers: &'a [Offer],
    (venues, prices): (&'a BTreeMap<String, Standing>, &'a BTreeMap<Asset, Decimal>),
) -> Question<'a> {
    Question {
        total,
        offers,
        venues,
        prices,
        slippage: base.settings.slippage_bps,
        collar: base.settings.outlier_bps,
        book_age_max: TimeDelta::seconds(base.settings.source_max_age_s),
        except: None,
        now: base.now(),
    }
}

async fn standing_in(conn: &mut PgConnection, base: &Base, venue: &str) -> Result<Standing, Error> {
    let frozen = venue_freeze::decision_in(conn, venue).await?.filter(|newest| newest.frozen);
    let mut free = BTreeMap::new();
    for asset in Asset::ALL {
        if let Some(balance) = ledger::balance(conn, &chart::venue_free(venue, asset).code).await? {
            free.insert(asset, balance.available()?);
        }
    }
    let cap = base.settings.venue_cap_paise(venue);
    let cap = cap.map(|paise| Amount::try_new(i128::from(paise), Asset::Inr)).transpose()?;
    let held = match cap {
        Some(_) => worth_in(conn, venue).await?,
        None => None,
    };
    let unwell = unwell_in(conn, base, venue).await?;
    Ok(Standing { frozen: frozen.map(|newest| newest.reason), free, held, cap, unwell })
}

/// What our books say lies at a venue, in rupees by the last rates that could be used, rounded up;
/// `None` when a rate of something there is missing.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn worth_in(conn: &mut PgConnection, venue: &str) -> Result<Option<Amount>, Error> {
    let mut worth = Amount::zero(Asset::Inr);
    for asset in Asset::ALL {
        let mut held = Amount::zero(asset);
        for code in [chart::venue_free(venue, asset).code, chart::venue_order(venue, asset).code] {
            if let Some(balance) = ledger::balance(conn, &code).await? {
                held = held.checked_add(balance.posted)?;
            }
        }
        if held.is_zero() {
            continue;
        }
        let rupees = if asset == Asset::Inr {
            held
        } else {
            let Some((price, _)) = rates::last_usable_in(conn, asset).await? else {
                return Ok(None);
            };
            in_rupees(held, price)?
        };
        worth = worth.checked_add(rupees)?;
    }
    Ok(Some(worth))
}

pub(super) fn in_rupees(crypto: Amount, price: Decimal) -> Result<Amount, Error> {
    Ok(Rate::try_new(crypto.asset(), Asset::Inr, price)?.to_quote(crypto, Rounding::Up)?)
}

async fn unwell_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
) -> Result<Option<String>, Error> {
    let (unanswered, refused): (i64, bool) = sqlx::query_as(
        "select (select count(*) from order_attempts a join conversions c on c.id = a.conversion_id
                 where c.venue = $1 and a.state in ('sent', 'unknown') and a.sent_at <= $2),
                exists (select from cases where kind = 'venue_refuses_us' and subject = $1
                  and closed_at is null and coalesce((detail ->> 'last')::timestamptz, opened_at)
                    >= $3)",
    )
    .bind(venue)
    .bind(base.now() - ANSWER_MIN)
    .bind(base.now() - REFUSED_MIN)
    .fetch_one(conn)
    .await?;
    Ok(match (refused, unanswered) {
        (true, _) => Some("it refused our key a moment ago".to_owned()),
        (_, 0) => None,
        (_, n) => Some(format!("{n} of our orders there are without an answer")),
    })
}
