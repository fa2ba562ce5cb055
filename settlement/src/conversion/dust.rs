//! The dust ledger: crumbs that lie in the trading accounts, below a venue's step or minimum, and
//! what a correction after the end of a sale left.
//!
//! Invariant: rows are only added, and the rows of an asset add up to what lies in its trading
//! account and nobody is selling. What a conversion's rows must come to follows from its own
//! numbers, so writing it up twice adds nothing.

use primitives::{Amount, Asset, ConversionId};
use serde::Serialize;
use sqlx::{PgConnection, Row};

use super::{Conversion, ConversionState, fills};
use crate::{Base, Error, chart, money_column};

/// The dust of one asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dust {
    pub asset: Asset,
    /// Below zero where a venue sold more than it was to.
    pub lies: Amount,
    /// How many rows that is made of.
    pub rows: i64,
    /// What the books and the open sales leave for it: the same, or something is wrong.
    pub books: Amount,
}

/// The dust of every asset that ever had some, or should have.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn list_in(conn: &mut PgConnection) -> Result<Vec<Dust>, Error> {
    let mut all = Vec::new();
    for asset in Asset::ALL.into_iter().filter(|asset| asset.is_crypto()) {
        let (minor, rows): (String, i64) = sqlx::query_as(
            "select coalesce(sum(minor), 0)::text, count(*) from dust where asset = $1",
        )
        .bind(asset.code())
        .fetch_one(&mut *conn)
        .await?;
        let lies = money_column::amount(&minor, asset)?;
        let books = by_books_in(conn, asset).await?;
        if rows > 0 || !books.is_zero() {
            all.push(Dust { asset, lies, rows, books });
        }
    }
    Ok(all)
}

/// What the trading account holds less what waits for a batch and what open sales still have to
/// sell, or will hand on to their next leg.
async fn by_books_in(conn: &mut PgConnection, asset: Asset) -> Result<Amount, Error> {
    let (waiting, selling, handing): (String, String, String) = sqlx::query_as(
        "with kept as (
           select f.* from fills f where not exists (select from fills_taken_back r
             where r.venue = f.venue and r.trade_id = f.trade_id))
         select
           (select coalesce(sum(amount_minor), 0)::text from conversion_queue
            where asset = $1 and conversion_id is null),
           (select coalesce(sum(c.target_minor - coalesce((select sum(f.sold_minor) from kept f
              where f.conversion_id = c.id), 0)), 0)::text from conversions c
            where c.asset = $1 and c.state <> 'filled'),
           (select coalesce(sum(f.gross_minor - f.fee_gst_minor - f.tds_minor
              - case when f.fee_asset = $1 then f.fee_minor else 0 end), 0)::text
            from conversions c join kept f on f.conversion_id = c.id
            where c.quote = $1 and c.state <> 'filled')",
    )
    .bind(asset.code())
    .fetch_one(&mut *conn)
    .await?;
    let of = |text: &str| money_column::amount(text, asset);
    let mut left = Amount::zero(asset);
    if let Some(trading) = ledger::balance(conn, &chart::trading(asset).code).await? {
        left = trading.posted;
    }
    let left = left.checked_sub(of(&waiting)?)?;
    Ok(left.checked_sub(of(&selling)?)?.checked_sub(of(&handing)?)?)
}

/// The dust of others that a sale of the asset may take along; nobody else takes it before the
/// caller's transaction ends.
pub(super) async fn to_take_in(
    conn: &mut PgConnection,
    asset: Asset,
    sale: Option<ConversionId>,
) -> Result<Amount, Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('dust:' || $1, 0))")
        .bind(asset.code())
        .execute(&mut *conn)
        .await?;
    let minor: String = sqlx::query_scalar(
        "select coalesce(sum(minor), 0)::text from dust
         where asset = $1 and conversion_id is distinct from $2",
    )
    .bind(asset.code())
    .bind(sale.map(ConversionId::uuid))
    .fetch_one(conn)
    .await?;
    let lies = money_column::amount(&minor, asset)?;
    // Below zero is a venue's mistake, which is a person's business.
    Ok(if lies.is_positive() { lies } else { Amount::zero(asset) })
}

/// Adds what a conversion's rows lack to what they must come to.
pub(super) async fn true_up_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: &Conversion,
    reason: &str,
) -> Result<(), Error> {
    let mut must = conversion.dust.checked_sub(conversion.taken)?;
    let ended = conversion.state == ConversionState::Filled;
    if ended {
        let (sold, _) = fills::sums(conn, conversion, 0).await?;
        must = must.checked_add(conversion.target)?.checked_sub(sold)?;
    }
    add_up_in(conn, base, conversion.id, must, reason).await?;
    if !ended || conversion.quote == Asset::Inr {
        return Ok(());
    }
    // What came in dollar coins was handed on to the next leg; what came or went later is dust.
    let handed: String = sqlx::query_scalar(
        "select coalesce(sum(input_minor), 0)::text from conversions
         where parent = $1 and part = 'leg'",
    )
    .bind(conversion.id.uuid())
    .fetch_one(&mut *conn)
    .await?;
    let proceeds = fills::proceeds_in(conn, conversion).await?;
    let rest = proceeds.checked_sub(money_column::amount(&handed, conversion.quote)?)?;
    add_up_in(conn, base, conversion.id, rest, reason).await
}

async fn add_up_in(
    conn: &mut PgConnection,
    base: &Base,
    conversion: ConversionId,
    must: Amount,
    reason: &str,
) -> Result<(), Error> {
    sqlx::query(
        "insert into dust (asset, conversion_id, minor, reason, at)
         select $1, $2, lacks, $4, $5 from (select $3::text::numeric - coalesce(sum(minor), 0)
           as lacks from dust where conversion_id = $2 and asset = $1) rows where lacks <> 0",
    )
    .bind(must.asset().code())
    .bind(conversion.uuid())
    .bind(money_column::minor(must))
    .bind(reason)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// One row, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crumb {
    pub conversion: ConversionId,
    pub amount: Amount,
    pub reason: String,
    pub at: chrono::DateTime<chrono::Utc>,
}

/// The newest rows of an asset, newest first, at most 200.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn rows_in(conn: &mut PgConnection, asset: Asset) -> Result<Vec<Crumb>, Error> {
    let rows = sqlx::query(
        "select conversion_id, minor::text as minor, reason, at from dust where asset = $1
         order by id desc limit 200",
    )
    .bind(asset.code())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Crumb {
                conversion: ConversionId::from_uuid(row.try_get("conversion_id")?),
                amount: money_column::amount(row.try_get("minor")?, asset)?,
                reason: row.try_get("reason")?,
                at: row.try_get("at")?,
            })
        })
        .collect()
}
