//! The books against the outside: what we think we hold, beside what others say we hold.
//!
//! Invariant: a difference is never adjusted away. It is recorded, and while nothing of ours is on
//! its way that could explain it, it is a case.

use primitives::{Amount, Asset, NetworkId};
use serde_json::json;
use sqlx::PgConnection;

use crate::{Base, Error, case, chart, money_column};

/// Something held somewhere else that an account of ours mirrors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A balance at the venue, free and locked together.
    Venue(String, Asset),
    /// The float at the rail.
    Rail(String),
    /// Everything on our deposit addresses of one network.
    Escrow(NetworkId, Asset),
}

impl Scope {
    #[must_use]
    pub const fn asset(&self) -> Asset {
        match self {
            Self::Venue(_, asset) | Self::Escrow(_, asset) => *asset,
            Self::Rail(_) => Asset::Inr,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Venue(venue, _) => format!("venue:{venue}"),
            Self::Rail(rail) => format!("rail:{rail}"),
            Self::Escrow(network, _) => format!("escrow:{network}"),
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
pub async fn in_flight_in(conn: &mut PgConnection, scope: &Scope) -> Result<bool, Error> {
    let busy: bool = match scope {
        Scope::Venue(..) => {
            sqlx::query_scalar(
                "select exists (select from order_attempts
                   where state in ('planned', 'sent', 'unknown', 'open'))",
            )
            .fetch_one(conn)
            .await?
        }
        Scope::Rail(_) => {
            sqlx::query_scalar(
                "select exists (select from payouts
                   where state in ('submitted', 'unknown', 'pending', 'queued', 'processing'))",
            )
            .fetch_one(conn)
            .await?
        }
        Scope::Escrow(network, _) => {
            sqlx::query_scalar(
                "select exists (select from deposits where network = $1 and state = 'seen')",
            )
            .bind(network.as_str())
            .fetch_one(conn)
            .await?
        }
    };
    Ok(busy)
}

/// Addresses of a network that ever received an asset: what the chain is asked about.
///
/// # Errors
/// `Database`.
pub async fn funded_addresses(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
) -> Result<Vec<String>, Error> {
    let addresses = sqlx::query_scalar(
        "select distinct address from deposits where network = $1 and asset = $2 order by address",
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
