//! What a shop wants done with money that does not fit: late, short, too much, in another asset,
//! or after all was paid.
//!
//! Invariant: a policy is never changed. A new version is added, the newest one acts, and its
//! number is kept with everything it decided. Acting by itself has limits; beyond them a person
//! looks. What is done is deliberately elsewhere: `payment/arrived.rs`.

use chrono::{DateTime, Utc};
use primitives::{Bps, MerchantId};
use serde::Serialize;
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{Base, Error};

/// What is done with such money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// As if it had come as asked, within the limits.
    Honour,
    /// Worth what it is worth at the rate of now; what is missing can be topped up.
    Requote,
    /// The payment stays open for the rest, by a fresh QR.
    Topup,
    /// Booked as owed back to the payer, who must name and prove an address.
    Refund,
    /// It waits for a person.
    Review,
}

impl Action {
    const ALL: [Self; 5] = [Self::Honour, Self::Requote, Self::Topup, Self::Refund, Self::Review];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Honour => "honour",
            Self::Requote => "requote",
            Self::Topup => "topup",
            Self::Refund => "refund",
            Self::Review => "review",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// What a shop chooses: one action per situation, and the limits of acting by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Choices {
    /// After the rate, or the payment, had ended: honour, requote, refund or review.
    pub late: Action,
    /// Less than was asked for: topup, honour, refund or review.
    pub short: Action,
    /// More than was asked for: honour, refund or review.
    pub surplus: Action,
    /// A listed asset that was not asked for: requote, refund or review.
    pub wrong_asset: Action,
    /// To a payment that needs no more: refund or review.
    pub after_end: Action,
    /// Payments above this are not honoured or quoted anew without a person.
    pub auto_max_paise: i64,
    /// Late money is honoured up to this long after the rate ended.
    pub late_grace_s: i64,
    /// … and while the market fell by no more than this.
    pub late_slip_bps: Bps,
    /// So much too little, or too much, is honoured: the shop gets rupees for what came.
    pub tolerance_bps: Bps,
    /// A payment of which a part came stays open this much longer, once.
    pub topup_s: i64,
    /// What is worth less is booked, and not worth anybody's time.
    pub dust_paise: i64,
}

impl Choices {
    /// What holds for a shop that chose nothing: nothing unusual is done without a person, and
    /// nothing is kept that belongs to a payer.
    pub const HOUSE: Self = Self {
        late: Action::Review,
        short: Action::Topup,
        surplus: Action::Refund,
        wrong_asset: Action::Review,
        after_end: Action::Review,
        auto_max_paise: 2_500_000,
        late_grace_s: 900,
        late_slip_bps: TWO_PERCENT,
        tolerance_bps: Bps::ZERO,
        topup_s: 0,
        dust_paise: 500,
    };

    fn check(&self) -> Result<(), PolicyRefused> {
        use Action::{Honour, Refund, Requote, Review, Topup};
        let allowed: [(&'static str, Action, &[Action]); 5] = [
            ("late", self.late, &[Honour, Requote, Refund, Review]),
            ("short", self.short, &[Topup, Honour, Refund, Review]),
            ("surplus", self.surplus, &[Honour, Refund, Review]),
            ("wrong_asset", self.wrong_asset, &[Requote, Refund, Review]),
            ("after_end", self.after_end, &[Refund, Review]),
        ];
        for (situation, action, actions) in allowed {
            if !actions.contains(&action) {
                return Err(PolicyRefused::NotPossible(situation, action.name()));
            }
        }
        let limits = [
            ("auto_max_paise", self.auto_max_paise, 10_000_000),
            ("late_grace_s", self.late_grace_s, 86_400),
            ("late_slip_bps", i64::from(self.late_slip_bps.get()), 1_000),
            ("tolerance_bps", i64::from(self.tolerance_bps.get()), 1_000),
            ("topup_s", self.topup_s, 86_400),
            ("dust_paise", self.dust_paise, 100_000),
        ];
        for (limit, value, max) in limits {
            if !(0..=max).contains(&value) {
                return Err(PolicyRefused::OutOfRange(limit, max));
            }
        }
        Ok(())
    }
}

const TWO_PERCENT: Bps = match Bps::new(200) {
    Some(bps) => bps,
    None => Bps::ZERO,
};

/// One version of a shop's choices. Version 0 is the house's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MerchantPolicy {
    pub version: i32,
    #[serde(flatten)]
    pub choices: Choices,
    pub note: String,
    pub created_at: Option<DateTime<Utc>>,
}

impl MerchantPolicy {
    /// The house's own.
    #[must_use]
    pub fn house() -> Self {
        Self {
            version: 0,
            choices: Choices::HOUSE,
            note: "the house's own".to_owned(),
            created_at: None,
        }
    }
}

/// Why a policy was not added; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRefused {
    #[error("{0} cannot be answered by {1}")]
    NotPossible(&'static str, &'static str),
    #[error("{0} is outside 0 to {1}")]
    OutOfRange(&'static str, i64),
    #[error("a note of 1 to 200 characters says who wanted it")]
    NoteMissing,
    #[error("no such merchant")]
    NoMerchant,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for PolicyRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

fn read(row: &PgRow) -> Result<MerchantPolicy, Error> {
    let action = |column: &str| -> Result<Action, Error> {
        let name: &str = row.try_get(column)?;
        Action::parse(name).ok_or_else(|| Error::Inconsistent(format!("action {name}")))
    };
    let bps = |column: &str| -> Result<Bps, Error> {
        let stored: i32 = row.try_get(column)?;
        let bps = u32::try_from(stored).ok().and_then(Bps::new);
        bps.ok_or_else(|| Error::Inconsistent(format!("{column} of a policy")))
    };
    Ok(MerchantPolicy {
        version: row.try_get("version")?,
        choices: Choices {
            late: action("late")?,
            short: action("short")?,
            surplus: action("surplus")?,
            wrong_asset: action("wrong_asset")?,
            after_end: action("after_end")?,
            auto_max_paise: row.try_get("auto_max_paise")?,
            late_grace_s: row.try_get("late_grace_s")?,
            late_slip_bps: bps("late_slip_bps")?,
            tolerance_bps: bps("tolerance_bps")?,
            topup_s: row.try_get("topup_s")?,
            dust_paise: row.try_get("dust_paise")?,
        },
        note: row.try_get("note")?,
        created_at: row.try_get("created_at")?,
    })
}

/// Every version of a shop's policy, newest first, at most 100.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn list(
    conn: &mut PgConnection,
    merchant: MerchantId,
) -> Result<Vec<MerchantPolicy>, Error> {
    sqlx::query(
        "select version, late, short, surplus, wrong_asset, after_end, auto_max_paise, late_grace_s,
           late_slip_bps, tolerance_bps, topup_s, dust_paise, note, created_at
         from merchant_policies where merchant_id = $1 order by version desc limit 100",
    )
    .bind(merchant.uuid())
    .fetch_all(conn)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// The version that acts now.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn current_in(
    conn: &mut PgConnection,
    merchant: MerchantId,
) -> Result<MerchantPolicy, Error> {
    let row = sqlx::query(
        "select version, late, short, surplus, wrong_asset, after_end, auto_max_paise, late_grace_s,
           late_slip_bps, tolerance_bps, topup_s, dust_paise, note, created_at
         from merchant_policies where merchant_id = $1 order by version desc limit 1",
    )
    .bind(merchant.uuid())
    .fetch_optional(conn)
    .await?;
    row.map_or_else(|| Ok(MerchantPolicy::house()), |row| read(&row))
}

/// Adds a version, or answers the current one when it would choose the same. Two calls at once
/// queue on the merchant's row.
///
/// # Errors
/// `PolicyRefused`; the caller's transaction is still good unless it is `Internal`.
pub async fn set_in(
    conn: &mut PgConnection,
    base: &Base,
    merchant: MerchantId,
    choices: Choices,
    note: &str,
) -> Result<MerchantPolicy, PolicyRefused> {
    choices.check()?;
    if !(1..=200).contains(&note.chars().count()) {
        return Err(PolicyRefused::NoteMissing);
    }
    sqlx::query("select pg_advisory_xact_lock(hashtext('merchant policy'), hashtext($1))")
        .bind(merchant.to_string())
        .execute(&mut *conn)
        .await?;
    let known: bool = sqlx::query_scalar("select exists (select from merchants where id = $1)")
        .bind(merchant.uuid())
        .fetch_one(&mut *conn)
        .await?;
    if !known {
        return Err(PolicyRefused::NoMerchant);
    }
    let current = current_in(conn, merchant).await?;
    if current.version > 0 && current.choices == choices {
        return Ok(current);
    }
    let added = MerchantPolicy {
        version: current.version.saturating_add(1),
        choices,
        note: note.to_owned(),
        created_at: Some(base.now()),
    };
    insert(conn, merchant, &added).await?;
    Ok(added)
}

async fn insert(
    conn: &mut PgConnection,
    merchant: MerchantId,
    added: &MerchantPolicy,
) -> Result<(), Error> {
    let c = added.choices;
    let bps = |bps: Bps| i32::try_from(bps.get()).unwrap_or(0);
    sqlx::query(
        "insert into merchant_policies (merchant_id, version, late, short, surplus, wrong_asset,
           after_end, auto_max_paise, late_grace_s, late_slip_bps, tolerance_bps, topup_s,
           dust_paise, note, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(merchant.uuid())
    .bind(added.version)
    .bind(c.late.name())
    .bind(c.short.name())
    .bind(c.surplus.name())
    .bind(c.wrong_asset.name())
    .bind(c.after_end.name())
    .bind(c.auto_max_paise)
    .bind(c.late_grace_s)
    .bind(bps(c.late_slip_bps))
    .bind(bps(c.tolerance_bps))
    .bind(c.topup_s)
    .bind(c.dust_paise)
    .bind(&added.note)
    .bind(added.created_at)
    .execute(conn)
    .await?;
    Ok(())
}
