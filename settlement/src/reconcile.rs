//! The books against the outside: what we think we hold, beside what others say we hold.
//!
//! Invariant: a difference is never adjusted away. It is recorded, and while nothing of ours is on
//! its way that could explain it, it is a case. The one thing that is booked is what a venue counts
//! finer than we do: less than one smallest unit per trade, which adds up there to whole ones.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, NetworkId};
use serde_json::json;
use sqlx::PgConnection;

use crate::{Base, Error, bookkeeping::sales, case, chart, money_column, treasury::MovePurpose};

/// Something held somewhere else that an account of ours mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A balance at the venue, free and locked together.
    Venue(String, Asset),
    /// The float at the rail.
    Rail(String),
    /// Everything on our deposit addresses of one network.
    Escrow(NetworkId, Asset),
    /// The gas station of one network, in the coin that pays its fees.
    Gas(NetworkId, Asset),
    /// Cold storage on one network.
    Cold(NetworkId, Asset),
}

impl Scope {
    #[must_use]
    pub const fn asset(&self) -> Asset {
        match self {
            Self::Venue(_, asset)
            | Self::Escrow(_, asset)
            | Self::Gas(_, asset)
            | Self::Cold(_, asset) => *asset,
            Self::Rail(_) => Asset::Inr,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Venue(venue, _) => format!("venue:{venue}"),
            Self::Rail(rail) => format!("rail:{rail}"),
            Self::Escrow(network, _) => format!("escrow:{network}"),
            Self::Gas(network, _) => format!("gas:{network}"),
            Self::Cold(network, _) => format!("cold:{network}"),
        }
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    pub scope: Scope,
    pub books: Amount,
    pub other: Amount,
    /// True while work of ours is under way that moves this balance.
    pub in_flight: bool,
}

impl Comparison {
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.books == self.other
    }
}

/// What our books say about a scope: posted amounts only.
///
/// # Errors
/// `Ledger`, `Inconsistent`.
pub async fn books_in(conn: &mut PgConnection, scope: &Scope) -> Result<Amount, Error> {
    let codes = match scope {
        Scope::Venue(venue, asset) => {
            vec![chart::venue_free(venue, *asset).code, chart::venue_order(venue, *asset).code]
        }
        Scope::Rail(rail) => vec![chart::bank(rail).code],
        Scope::Escrow(network, asset) => vec![chart::escrow(network, *asset).code],
        Scope::Gas(network, asset) => vec![chart::gas(network, *asset).code],
        Scope::Cold(network, asset) => vec![chart::cold(network, *asset).code],
    };
    let mut total = Amount::zero(scope.asset());
    for code in codes {
        if let Some(balance) = ledger::balance(conn, &code).await? {
            total = total.checked_add(balance.posted)?;
        }
    }
    Ok(total)
}

/// True while something of ours moves this balance, so that a difference proves nothing yet.
///
/// # Errors
/// `Database`.
pub async fn in_flight_in(
    conn: &mut PgConnection,
    base: &Base,
    scope: &Scope,
) -> Result<bool, Error> {
    let busy: bool = match scope {
        // An order of ours there, or coins between there and somewhere else.
        Scope::Venue(venue, asset) => {
            is_venue_trading_in(conn, venue, *asset).await?
                || is_carrying_in(conn, base, venue, *asset).await?
        }
        Scope::Rail(_) => {
            sqlx::query_scalar(
                "select exists (select from payouts
                   where state in ('submitted', 'unknown', 'pending', 'queued', 'processing'))",
            )
            .fetch_one(conn)
            .await?
        }
        Scope::Gas(network, asset) => {
            is_moving_in(conn, base, MovePurpose::Gas, (network, *asset)).await?
        }
        Scope::Cold(network, asset) => {
            is_moving_in(conn, base, MovePurpose::ToCold, (network, *asset)).await?
        }
        Scope::Escrow(network, _) => {
            sqlx::query_scalar(
                "select exists (select from deposits where network = $1 and state = 'seen')
                   or exists (select from moves m where m.network = $1
                     and m.state not in ('final', 'credited', 'replaced', 'failed', 'cancelled')
                     and exists (select from move_attempts a
                       where a.move_id = m.id and a.first_sent_at > $2))",
            )
            .bind(network.as_str())
            .bind(late(base))
            .fetch_one(conn)
            .await?
        }
    };
    Ok(busy)
}

/// True while an order of ours may change what a venue holds of an asset: what it sells, what it
/// brings, and the coin some venues take their fees in. An order that is planned and not sent
/// cannot: whoever compares reads the books and this before and after the balance, and an order
/// that was sent in between is seen by one of the two.
///
/// # Errors
/// `Database`.
pub async fn is_venue_trading_in(
    conn: &mut PgConnection,
    venue: &str,
    asset: Asset,
) -> Result<bool, Error> {
    let trading = sqlx::query_scalar(
        "select exists (select from order_attempts a
           join conversions c on c.id = a.conversion_id
           where c.venue = $1 and a.state in ('sent', 'unknown', 'open')
             and (c.asset = $2 or c.quote = $2 or $2 = $3))",
    )
    .bind(venue)
    .bind(asset.code())
    .bind(Asset::Bnb.code())
    .fetch_one(conn)
    .await?;
    Ok(trading)
}

/// True while a move of this purpose may change a place of our own. One that was never sent changes
/// nothing; what is late explains no difference for ever.
async fn is_moving_in(
    conn: &mut PgConnection,
    base: &Base,
    purpose: MovePurpose,
    (network, asset): (&NetworkId, Asset),
) -> Result<bool, Error> {
    let moving = sqlx::query_scalar(
        "select exists (select from moves m where m.network = $1 and m.asset = $2
             and m.purpose = $3
             and m.state not in ('credited', 'replaced', 'failed', 'cancelled')
             and exists (select from move_attempts a
               where a.move_id = m.id and a.first_sent_at > $4))",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .bind(purpose.name())
    .bind(late(base))
    .fetch_one(conn)
    .await?;
    Ok(moving)
}

/// What set out before explains nothing any more.
fn late(base: &Base) -> DateTime<Utc> {
    base.now() - TimeDelta::seconds(base.settings.treasury.transit_old_s)
}

/// True while coins may be on their way to a venue or away from it. What a venue credited short
/// stays in transit, and is not on its way any more; what is late explains no difference for ever.
async fn is_carrying_in(
    conn: &mut PgConnection,
    base: &Base,
    venue: &str,
    asset: Asset,
) -> Result<bool, Error> {
    let carrying = sqlx::query_scalar(
        "select exists (select from moves m where m.venue = $1 and m.asset = $2
             and m.state not in ('credited', 'replaced', 'failed', 'cancelled')
             and coalesce(m.final_at, (select max(a.first_sent_at) from move_attempts a
               where a.move_id = m.id)) > $3)
           or exists (select from venue_transfers t where t.asset = $2
             and (t.to_venue = $1 or t.from_venue = $1)
             and t.state in ('sent', 'unknown', 'leaving', 'left', 'in_review')
             and coalesce(t.left_at, t.sent_at, t.planned_at) > $3)",
    )
    .bind(venue)
    .bind(asset.code())
    .bind(late(base))
    .fetch_one(conn)
    .await?;
    Ok(carrying)
}

/// How much of a difference a venue's finer counting may explain: the least and the most.
///
/// # Errors
/// `Database`, `Ledger`.
pub(crate) async fn crumb_room_in(
    conn: &mut PgConnection,
    venue: &str,
    asset: Asset,
) -> Result<(i128, i128), Error> {
    let booked = ledger::balance(conn, &chart::venue_crumbs(venue, asset).code).await?;
    let before = booked.map_or(0, |balance| balance.posted.minor());
    let (trades, taken_back): (i64, i64) = sqlx::query_as(
        "select count(*), count(r.trade_id) from fills f
         join conversions c on c.id = f.conversion_id
         left join fills_taken_back r on r.venue = f.venue and r.trade_id = f.trade_id
         where f.venue = $1 and c.quote = $2",
    )
    .bind(venue)
    .bind(asset.code())
    .fetch_one(conn)
    .await?;
    // A trade is booked rounded down, and mirrored so when it is taken back.
    let least = i128::from(taken_back).saturating_add(before).saturating_neg();
    Ok((least, i128::from(trades).saturating_sub(before)))
}

/// Books what a venue's finer counting has added up to, if that explains the whole difference;
/// answers the comparison as it is then.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn with_crumbs_in(
    conn: &mut PgConnection,
    base: &Base,
    comparison: Comparison,
) -> Result<Comparison, Error> {
    let Scope::Venue(venue, asset) = &comparison.scope else { return Ok(comparison) };
    if comparison.agrees() || comparison.in_flight || *asset == Asset::Inr {
        return Ok(comparison);
    }
    let gap = comparison.other.checked_sub(comparison.books)?;
    let booked = ledger::balance(conn, &chart::venue_crumbs(venue, *asset).code).await?;
    let (least, most) = crumb_room_in(conn, venue, *asset).await?;
    if gap.minor() < least || gap.minor() > most {
        return Ok(comparison);
    }
    let entry = booked.map_or(0, |balance| balance.version);
    sales::crumbs(conn, base, (venue, entry), gap).await?;
    Ok(Comparison { books: comparison.other, ..comparison })
}

/// Addresses of a network that ever received an asset, top-ups included: what the chain is asked
/// about.
///
/// # Errors
/// `Database`.
pub async fn funded_addresses(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<Vec<String>, Error> {
    let addresses = sqlx::query_scalar(
        "select address from deposits where network = $1 and asset = $2
         union
         select to_address from moves
           where network = $1 and asset = $2 and purpose = 'gas' and arrived_minor > 0
         order by address",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .fetch_all(conn)
    .await?;
    Ok(addresses)
}

/// Records a comparison; an unexplained difference becomes a case.
///
/// # Errors
/// `Database`.
pub async fn record_in(
    conn: &mut PgConnection,
    base: &Base,
    comparison: &Comparison,
) -> Result<(), Error> {
    let scope = comparison.scope.name();
    let asset = comparison.scope.asset();
    sqlx::query(
        "insert into reconciliations (scope, asset, books_minor, other_minor, in_flight, at)
         values ($1, $2, $3::text::numeric, $4::text::numeric, $5, $6)",
    )
    .bind(&scope)
    .bind(asset.code())
    .bind(money_column::minor(comparison.books))
    .bind(money_column::minor(comparison.other))
    .bind(comparison.in_flight)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if comparison.agrees() || comparison.in_flight {
        return Ok(());
    }
    let gap = comparison.other.checked_sub(comparison.books)?;
    let new = case::NewCase {
        kind: "books_differ",
        subject: &format!("{scope}:{asset}:{}", gap.minor()),
        payment: None,
        amount: Amount::try_new(gap.minor().abs(), asset).ok(),
        detail: json!({ "books": comparison.books, "other": comparison.other }),
    };
    case::open_in(conn, base, new).await
}
