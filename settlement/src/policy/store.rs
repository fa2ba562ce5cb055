//! Policies in and out of their table.
//!
//! Invariant: a version is written whole and once (the database refuses anything else); two who set
//! a policy at once get two versions, one after the other.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use primitives::{Asset, NetworkId};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Policy, Refusal, Rule, Tier, check, of_settings};
use crate::{Base, Error, money_column};

/// A policy to be set.
#[derive(Debug, Clone)]
pub struct NewPolicy<'a> {
    pub network: &'a NetworkId,
    pub asset: Asset,
    pub tiers: &'a [Tier],
    /// Who sets it, and why: kept with the version.
    pub actor: &'a str,
    pub reason: &'a str,
}

/// Why a policy was not set; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{1} on {0} is in nobody's settings")]
    NotCarried(NetworkId, Asset),
    #[error("who sets a policy, and why, is said in 1 to 200 and 1 to 500 characters")]
    Unsigned,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for SetError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Sets the policy of a network and asset: a new version, whole, that counts from this commit on.
/// Answers its number.
///
/// # Errors
/// `SetError`.
pub async fn set_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewPolicy<'_>,
) -> Result<i32, SetError> {
    check(new.tiers)?;
    if !base.settings.carries(new.network, new.asset) {
        return Err(SetError::NotCarried(new.network.clone(), new.asset));
    }
    let signed = |text: &str, most| (1..=most).contains(&text.trim().chars().count());
    if !signed(new.actor, 200) || !signed(new.reason, 500) {
        return Err(SetError::Unsigned);
    }
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('policy:' || $1 || ':' || $2, 0))")
        .bind(new.network.as_str())
        .bind(new.asset.code())
        .execute(&mut *conn)
        .await?;
    let column = |rule: fn(&Tier) -> Rule| -> Vec<String> {
        new.tiers.iter().map(|tier| rule(tier).stored()).collect()
    };
    let from: Vec<String> = new.tiers.iter().map(|tier| money_column::minor(tier.from)).collect();
    let witnesses: Vec<i32> = new.tiers.iter().map(|tier| i32::from(tier.min_witnesses)).collect();
    let versions: Vec<i32> = sqlx::query_scalar(
        "insert into confirmation_policies (network, asset, version, from_minor, show_rule,
           accept_rule, final_rule, min_witnesses, actor, reason, created_at)
         select $1, $2, 1 + coalesce((select max(version) from confirmation_policies
             where network = $1 and asset = $2), 0),
           t.from_minor::numeric, t.show, t.accept, t.last, t.witnesses, $8, $9, $10
         from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::int[])
           as t(from_minor, show, accept, last, witnesses)
         returning version",
    )
    .bind(new.network.as_str())
    .bind(new.asset.code())
    .bind(from)
    .bind(column(|tier| tier.show))
    .bind(column(|tier| tier.accept))
    .bind(column(|tier| tier.last))
    .bind(witnesses)
    .bind(new.actor)
    .bind(new.reason)
    .bind(base.now())
    .fetch_all(conn)
    .await?;
    let version = versions.first().copied();
    version.ok_or_else(|| Error::Inconsistent("a policy without a version".into()).into())
}

fn tier_of(row: &PgRow) -> Result<Tier, Error> {
    let rule = |column: &str| -> Result<Rule, Error> {
        let text: &str = row.try_get(column)?;
        text.parse().map_err(|_| Error::Inconsistent(format!("policy rule {text}")))
    };
    let witnesses: i32 = row.try_get("min_witnesses")?;
    Ok(Tier {
        from: money_column::amount(row.try_get("from_minor")?, Asset::Inr)?,
        show: rule("show_rule")?,
        accept: rule("accept_rule")?,
        last: rule("final_rule")?,
        min_witnesses: u16::try_from(witnesses)
            .map_err(|_| Error::Inconsistent("policy witnesses".into()))?,
    })
}

/// The policy that counts now: the newest version, or the rule of the settings.
///
/// # Errors
/// `Database`, `Inconsistent` when the network is in nobody's settings.
pub async fn current_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    asset: Asset,
) -> Result<Policy, Error> {
    let newest: Option<i32> = sqlx::query_scalar(
        "select max(version) from confirmation_policies where network = $1 and asset = $2",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .fetch_one(&mut *conn)
    .await?;
    match newest {
        Some(version) => version_in(conn, network, asset, version).await?.ok_or_else(|| {
            Error::Inconsistent(format!("policy {version} of {asset} on {network} vanished"))
        }),
        None => of_settings(base, network, asset),
    }
}

/// One version, as it was set.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn version_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    asset: Asset,
    version: i32,
) -> Result<Option<Policy>, Error> {
    let rows = sqlx::query(
        "select from_minor::text as from_minor, show_rule::text, accept_rule::text,
           final_rule::text, min_witnesses::int as min_witnesses from confirmation_policies
         where network = $1 and asset = $2 and version = $3
         order by confirmation_policies.from_minor",
    )
    .bind(network.as_str())
    .bind(asset.code())
    .bind(version)
    .fetch_all(conn)
    .await?;
    let tiers = rows.iter().map(tier_of).collect::<Result<Vec<_>, _>>()?;
    let found = !tiers.is_empty();
    Ok(found.then(|| Policy { network: network.clone(), asset, version, tiers }))
}

/// A version with who set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub policy: Policy,
    pub actor: String,
    pub reason: String,
    pub at: DateTime<Utc>,
}

/// Every version that was set, oldest first.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn list_in(conn: &mut PgConnection) -> Result<Vec<Signed>, Error> {
    let rows = sqlx::query(
        "select network::text as network, asset::text as asset, version,
           from_minor::text as from_minor, show_rule::text, accept_rule::text, final_rule::text,
           min_witnesses::int as min_witnesses, actor, reason, created_at
         from confirmation_policies p order by p.network, p.asset, p.version, p.from_minor",
    )
    .fetch_all(conn)
    .await?;
    let mut all: BTreeMap<(String, String, i32), Signed> = BTreeMap::new();
    for row in &rows {
        let (network, asset): (String, String) = (row.try_get("network")?, row.try_get("asset")?);
        let version = row.try_get("version")?;
        let tier = tier_of(row)?;
        if let Some(known) = all.get_mut(&(network.clone(), asset.clone(), version)) {
            known.policy.tiers.push(tier);
            continue;
        }
        let policy = Policy {
            network: NetworkId::new(&network)
                .ok_or_else(|| Error::Inconsistent(format!("network {network}")))?,
            asset: money_column::asset(&asset)?,
            version,
            tiers: vec![tier],
        };
        let signed = Signed {
            policy,
            actor: row.try_get("actor")?,
            reason: row.try_get("reason")?,
            at: row.try_get("created_at")?,
        };
        all.insert((network, asset, version), signed);
    }
    Ok(all.into_values().collect())
}
