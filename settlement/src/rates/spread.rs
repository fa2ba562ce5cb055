//! What a quote keeps below the executable price, per merchant and asset: decisions of people.
//!
//! Invariant: a row is never changed; the newest one of the most specific scope counts, and one
//! without a number gives way to the next scope. What a restless price adds is elsewhere:
//! `volatility.rs`.

use chrono::{DateTime, Utc};
use primitives::{Asset, Bps, MerchantId};
use serde::Serialize;
use sqlx::{PgConnection, Row};

use crate::{Base, Error, money_column};

/// No spread is wider: the database says so too.
const SPREAD_MAX: u32 = 1_000;

/// For whom a rule is; both absent means everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Scope {
    pub merchant: Option<MerchantId>,
    pub asset: Option<Asset>,
}

/// A decision to be written down.
#[derive(Debug)]
pub struct NewSpread<'a> {
    pub scope: Scope,
    /// `None` withdraws the scope's rule.
    pub bps: Option<Bps>,
    pub actor: &'a str,
    pub reason: &'a str,
}

/// A decision as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpreadRule {
    pub id: i64,
    pub scope: Scope,
    pub bps: Option<Bps>,
    pub actor: String,
    pub reason: String,
    pub at: DateTime<Utc>,
    /// True for the newest of its scope.
    pub counts: bool,
}

/// Why nothing was decided; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum SpreadRefused {
    #[error("a spread is 0 to {SPREAD_MAX} bps")]
    Range,
    #[error("{0} takes 1 to {1} characters")]
    Unsigned(&'static str, usize),
    #[error("no such merchant")]
    UnknownMerchant,
    #[error("a spread is for a crypto asset")]
    NotCrypto,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for SpreadRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Writes a decision down; it counts from the commit on. Answers its number.
///
/// # Errors
/// `SpreadRefused`.
pub async fn set_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewSpread<'_>,
) -> Result<i64, SpreadRefused> {
    for (what, text, most) in [("--by", new.actor, 200), ("--reason", new.reason, 500)] {
        if text.trim().is_empty() || text.chars().count() > most {
            return Err(SpreadRefused::Unsigned(what, most));
        }
    }
    if new.bps.is_some_and(|bps| bps.get() > SPREAD_MAX) {
        return Err(SpreadRefused::Range);
    }
    if new.scope.asset.is_some_and(|asset| !asset.is_crypto()) {
        return Err(SpreadRefused::NotCrypto);
    }
    if let Some(merchant) = new.scope.merchant {
        let known: bool = sqlx::query_scalar("select exists (select from merchants where id = $1)")
            .bind(merchant.uuid())
            .fetch_one(&mut *conn)
            .await?;
        if !known {
            return Err(SpreadRefused::UnknownMerchant);
        }
    }
    Ok(sqlx::query_scalar(
        "insert into spreads (merchant_id, asset, bps, actor, reason, at)
         values ($1, $2, $3, $4, $5, $6) returning id",
    )
    .bind(new.scope.merchant.map(MerchantId::uuid))
    .bind(new.scope.asset.map(Asset::code))
    .bind(new.bps.and_then(|bps| i32::try_from(bps.get()).ok()))
    .bind(new.actor)
    .bind(new.reason)
    .bind(base.now())
    .fetch_one(conn)
    .await?)
}

/// The spread that counts for a merchant's quotes in an asset, with the rule it comes from; the one
/// of the settings has no number.
pub(crate) async fn rule_in(
    conn: &mut PgConnection,
    base: &Base,
    merchant: MerchantId,
    asset: Asset,
) -> Result<(Bps, Option<i64>), Error> {
    let row: Option<(i64, i32)> = sqlx::query_as(
        "select id, bps from (
           select distinct on (merchant_id, asset) id, merchant_id, asset, bps from spreads
           where (merchant_id = $1 or merchant_id is null) and (asset = $2 or asset is null)
           order by merchant_id, asset, id desc) newest
         where bps is not null
         order by merchant_id is null, asset is null limit 1",
    )
    .bind(merchant.uuid())
    .bind(asset.code())
    .fetch_optional(conn)
    .await?;
    let Some((id, bps)) = row else { return Ok((base.settings.spread_bps, None)) };
    Ok((read_bps(bps)?, Some(id)))
}

fn read_bps(bps: i32) -> Result<Bps, Error> {
    let read = u32::try_from(bps).ok().and_then(Bps::new);
    read.ok_or_else(|| Error::Inconsistent("stored spread".into()))
}

/// Every decision, the newest first, at most 500.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn list_in(conn: &mut PgConnection) -> Result<Vec<SpreadRule>, Error> {
    let rows = sqlx::query(
        "select id, merchant_id, asset, bps, actor, reason, at,
           id = max(id) over (partition by merchant_id, asset) as counts
         from spreads order by id desc limit 500",
    )
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let merchant: Option<uuid::Uuid> = row.try_get("merchant_id")?;
            let asset: Option<&str> = row.try_get("asset")?;
            Ok(SpreadRule {
                id: row.try_get("id")?,
                scope: Scope {
                    merchant: merchant.map(MerchantId::from_uuid),
                    asset: asset.map(money_column::asset).transpose()?,
                },
                bps: row.try_get::<Option<i32>, _>("bps")?.map(read_bps).transpose()?,
                actor: row.try_get("actor")?,
                reason: row.try_get("reason")?,
                at: row.try_get("at")?,
                counts: row.try_get("counts")?,
            })
        })
        .collect()
}
