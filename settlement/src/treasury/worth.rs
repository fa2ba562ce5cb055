//! Whether moving something is worth its fee.
//!
//! Invariant: without a fresh rate nothing is worth anything, and nothing is free: what cannot be
//! valued waits. Values of what is moved are rounded down, of fees up.

use chrono::TimeDelta;
use primitives::{Amount, Asset, Bps, MoveId, Rate, Rounding};
use sqlx::PgConnection;

use super::TreasurySettings;
use crate::{Base, Error, rates};

/// Rupees of an amount at the newest believable rate; `None` where that is missing or old.
pub(super) async fn rupees_in(
    conn: &mut PgConnection,
    base: &Base,
    amount: Amount,
    rounding: Rounding,
) -> Result<Option<Amount>, Error> {
    if amount.asset() == Asset::Inr {
        return Ok(Some(amount));
    }
    let Some((price, at)) = rates::last_usable_in(conn, amount.asset()).await? else {
        return Ok(None);
    };
    if base.now() - at > TimeDelta::seconds(base.settings.treasury.rate_max_age_s) {
        return Ok(None);
    }
    Ok(Some(Rate::try_new(amount.asset(), Asset::Inr, price)?.to_quote(amount, rounding)?))
}

/// What moving brings and takes, in rupees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worth {
    pub(super) value: Amount,
    pub(super) fee: Amount,
}

impl Worth {
    /// The worth of a movement; `None` without a rate for both.
    pub(super) async fn of_in(
        conn: &mut PgConnection,
        base: &Base,
        amount: Amount,
        fee: Amount,
    ) -> Result<Option<Self>, Error> {
        let value = rupees_in(conn, base, amount, Rounding::Down).await?;
        let fee = rupees_in(conn, base, fee, Rounding::Up).await?;
        Ok(value.zip(fee).map(|(value, fee)| Self { value, fee }))
    }

    /// Why it is not worth it, if it is not.
    pub(super) fn refusal(&self, settings: &TreasurySettings) -> Result<Option<String>, Error> {
        if self.value.minor() < i128::from(settings.sweep_min_paise) {
            return Ok(Some(format!("worth ₹{} only", self.value.to_units())));
        }
        let too_dear = self.is_fee_above(settings.sweep_fee_bps_max)?;
        let (fee, value) = (self.fee.to_units(), self.value.to_units());
        Ok(too_dear.then(|| format!("a fee of ₹{fee} for ₹{value}")))
    }

    pub(super) fn is_fee_above(&self, most: Bps) -> Result<bool, Error> {
        Ok(self.fee.minor() > most.of(self.value, Rounding::Down)?.minor())
    }

    /// The fee as the budget keeps it.
    pub(super) fn fee_paise(&self) -> Result<i64, Error> {
        i64::try_from(self.fee.minor())
            .map_err(|_| Error::Inconsistent("a fee beyond every budget".to_owned()))
    }
}

/// Paise of fees decided in the last 24 hours, of moves and of withdrawals. What was cancelled,
/// refused or never signed cost nothing.
pub(super) async fn spent_today_in(conn: &mut PgConnection, base: &Base) -> Result<i64, Error> {
    fees_in(conn, base, None).await
}

/// As [`spent_today_in`], of all moves but one. Of a move's attempts one is paid, the dearest at
/// most; each counts from when it was decided.
pub(super) async fn fees_in(
    conn: &mut PgConnection,
    base: &Base,
    but: Option<MoveId>,
) -> Result<i64, Error> {
    let spent: Option<i64> = sqlx::query_scalar(
        "select sum(dearest)::bigint from (
           select fee_paise as dearest from venue_transfers
             where coalesce(sent_at, planned_at) > $1 and state not in ('refused', 'failed')
           union all
           select max(a.fee_paise) as dearest
           from move_attempts a join moves m on m.id = a.move_id
           where a.planned_at > $1 and a.state <> 'dropped' and m.state <> 'cancelled'
             and m.id is distinct from $2
           group by m.id) as decided",
    )
    .bind(base.now() - TimeDelta::hours(24))
    .bind(but.map(|id| id.uuid()))
    .fetch_one(conn)
    .await?;
    Ok(spent.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worth(value: i128, fee: i128) -> Worth {
        let inr = |paise| Amount::try_new(paise, Asset::Inr).unwrap();
        Worth { value: inr(value), fee: inr(fee) }
    }

    #[test]
    fn the_least_and_the_share_are_inclusive() {
        let settings = TreasurySettings {
            sweep_min_paise: 100_000,
            sweep_fee_bps_max: Bps::new(200).unwrap(),
            ..TreasurySettings::default()
        };
        let refused = |value, fee| worth(value, fee).refusal(&settings).unwrap().is_some();
        assert!(!refused(100_000, 2_000));
        assert!(refused(99_999, 0));
        assert!(refused(100_000, 2_001));
        assert!(!refused(100_049, 2_000) && refused(100_049, 2_001), "a share is rounded down");
    }
}
