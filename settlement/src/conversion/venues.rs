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
    let venues = standings_in(conn, base, offers).await?;
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
        barred: None,
        now: base.now(),
    }
}

/// What our rows say of these venues, as far as a sale of these assets asks.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub(crate) async fn standings_in(
    conn: &mut PgConnection,
    base: &Base,
    offers: &[Offer],
) -> Result<BTreeMap<String, Standing>, Error> {
    let names: BTreeSet<String> = offers.iter().map(|offer| offer.venue.clone()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let mut venues = BTreeMap::new();
    for (venue, frozen, unwell) in said_of_in(conn, base, &names).await? {
        let cap = base.settings.venue_cap_paise(&venue);
        let cap = cap.map(|paise| Amount::try_new(i128::from(paise), Asset::Inr)).transpose()?;
        let held = match cap {
            Some(_) => worth_in(conn, &venue).await?,
            None => None,
        };
        venues.insert(venue, Standing { frozen, free: BTreeMap::new(), held, cap, unwell });
    }
    let code = |offer: &Offer| chart::venue_free(&offer.venue, offer.sell).code;
    let codes: Vec<String> = offers.iter().map(code).collect();
    for balance in ledger::balances(conn, &codes).await? {
        for offer in offers.iter().filter(|offer| code(offer) == balance.code) {
            if let Some(venue) = venues.get_mut(&offer.venue) {
                venue.free.insert(offer.sell, balance.available()?);
            }
        }
    }
    Ok(venues)
}

/// Venue, why it is frozen, orders without an answer, whether it refused us, why a sale waits.
type Said = (String, Option<String>, i64, bool, Option<String>);

/// Why each of these venues is frozen, and what makes another one the better while there is one.
async fn said_of_in(
    conn: &mut PgConnection,
    base: &Base,
    names: &[String],
) -> Result<Vec<(String, Option<String>, Option<String>)>, Error> {
    let rows: Vec<Said> = sqlx::query_as(
        "select v.name, f.reason,
                (select count(*) from order_attempts a join conversions c on c.id = a.conversion_id
                 where c.venue = v.name and a.state in ('sent', 'unknown') and a.sent_at <= $2),
                exists (select from cases where kind = 'venue_refuses_us' and subject = v.name
                  and closed_at is null and coalesce((detail ->> 'last')::timestamptz, opened_at)
                    >= $3),
                (select h.reason from sale_holds h where h.venue = v.name and h.kind = 'silent'
                   and h.reason is not null order by h.since limit 1)
         from unnest($1::text[]) v (name)
         left join lateral (select frozen, reason from venue_freezes where venue = v.name
           order by id desc limit 1) f on f.frozen order by v.name",
    )
    .bind(names)
    .bind(base.now() - ANSWER_MIN)
    .bind(base.now() - REFUSED_MIN)
    .fetch_all(conn)
    .await?;
    let told = |(venue, frozen, unanswered, refused, silent): Said| {
        let unwell = match (refused, unanswered, silent) {
            (true, _, _) => Some("it refused our key a moment ago".to_owned()),
            (_, 1.., _) => Some(format!("{unanswered} of our orders there are without an answer")),
            (_, _, Some(why)) => Some(format!("a sale waits there: {why}")),
            _ => None,
        };
        (venue, frozen, unwell)
    };
    Ok(rows.into_iter().map(told).collect())
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
