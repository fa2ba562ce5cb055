//! How much may leave: per transaction, in any hour, in any day.
//!
//! Invariants: what was signed counts from its time in the log, so a restart forgets nothing;
//! transactions that exclude each other count once, by the larger, in every window one of them was
//! signed in. Two are only taken to exclude each other when they spend exactly the same.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Asset, NetworkId};
use signing::Purpose;

use crate::{
    config::{FeeLimit, LimitConfig},
    refusal::Refusal,
};

const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::hours(24);

/// One signed transaction, as far as limits care.
#[derive(Debug, Clone)]
pub(crate) struct Movement {
    pub(crate) at: DateTime<Utc>,
    pub(crate) network: NetworkId,
    pub(crate) purpose: Purpose,
    pub(crate) asset: Asset,
    pub(crate) minor: i128,
    pub(crate) fee: i128,
    pub(crate) spends: [u8; 32],
}

/// The bounds of the settings.
#[derive(Debug)]
pub(crate) struct Limits {
    amounts: BTreeMap<(Purpose, Asset), LimitConfig>,
}

/// What was signed in the last day.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Movement>);

impl Limits {
    pub(crate) fn new(limits: &[LimitConfig]) -> Self {
        let key = |limit: &LimitConfig| (limit.purpose, limit.asset);
        Self { amounts: limits.iter().map(|limit| (key(limit), *limit)).collect() }
    }

    /// Whether one more movement fits. Its fee per transaction was judged when it was examined.
    pub(crate) fn check(
        &self,
        recent: &Recent,
        next: &Movement,
        fee: FeeLimit,
    ) -> Result<(), Refusal> {
        let (purpose, asset) = (next.purpose, next.asset);
        let limit = self
            .amounts
            .get(&(purpose, asset))
            .ok_or_else(|| Refusal::over_limit(format!("{asset} has no limit for this purpose")))?;
        if next.minor > limit.per_tx {
            let reason = format!("more {asset} than one transaction may move");
            return Err(Refusal::over_limit(reason));
        }
        let amount = |movement: &Movement| {
            let counts = movement.purpose == purpose && movement.asset == asset;
            counts.then_some(movement.minor)
        };
        let fees = |movement: &Movement| (movement.network == next.network).then_some(movement.fee);
        for (window, name, most, fee_most) in
            [(HOUR, "hour", limit.per_hour, fee.per_hour), (DAY, "day", limit.per_day, fee.per_day)]
        {
            if recent.total(next, window, &amount).is_none_or(|total| total > most) {
                let reason = format!("more {asset} than may leave in one {name}");
                return Err(Refusal::over_limit(reason));
            }
            if recent.total(next, window, &fees).is_none_or(|total| total > fee_most) {
                let reason = format!("more fees than the network may take in one {name}");
                return Err(Refusal::over_limit(reason));
            }
        }
        Ok(())
    }
}

impl Recent {
    pub(crate) fn add(&mut self, movement: Movement) {
        let day_ago = movement.at.checked_sub_signed(DAY);
        while self.0.front().is_some_and(|first| Some(first.at) <= day_ago) {
            self.0.pop_front();
        }
        self.0.push_back(movement);
    }

    /// With the next one, in the window that ends with it. `None`: a sum beyond all numbers.
    fn total(
        &self,
        next: &Movement,
        window: TimeDelta,
        counted: &dyn Fn(&Movement) -> Option<i128>,
    ) -> Option<i128> {
        let after = next.at.checked_sub_signed(window)?;
        let mut largest: HashMap<(&NetworkId, [u8; 32]), i128> = HashMap::new();
        let inside = self.0.iter().filter(|movement| movement.at > after);
        for movement in inside.chain([next]) {
            let Some(minor) = counted(movement) else { continue };
            let entry = largest.entry((&movement.network, movement.spends)).or_insert(minor);
            *entry = minor.max(*entry);
        }
        largest.into_values().try_fold(0_i128, i128::checked_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn movement(seconds: i64, minor: i128, spends: u8) -> Movement {
        Movement {
            at: DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap(),
            network: NetworkId::new("bitcoin").unwrap(),
            purpose: Purpose::FundVenue,
            asset: Asset::Btc,
            minor,
            fee: 1,
            spends: [spends; 32],
        }
    }

    fn limits() -> Limits {
        Limits::new(&[LimitConfig {
            purpose: Purpose::FundVenue,
            asset: Asset::Btc,
            per_tx: 60,
            per_hour: 100,
            per_day: 150,
        }])
    }

    const FEE: FeeLimit = FeeLimit { per_tx: 10, per_hour: 100, per_day: 100 };

    fn fits(recent: &Recent, next: &Movement) -> bool {
        limits().check(recent, next, FEE).is_ok()
    }

    fn recent(movements: &[Movement]) -> Recent {
        let mut recent = Recent::default();
        movements.iter().for_each(|movement| recent.add(movement.clone()));
        recent
    }

    #[test]
    fn an_hour_and_a_day_end_to_the_second() {
        let one = recent(&[movement(0, 60, 1)]);
        assert!(!fits(&one, &movement(3_599, 41, 2)));
        assert!(fits(&one, &movement(3_599, 40, 2)));
        assert!(fits(&one, &movement(3_600, 60, 2)));
        let three = recent(&[movement(0, 60, 1), movement(3_600, 60, 2), movement(7_200, 30, 3)]);
        assert!(!fits(&three, &movement(86_399, 1, 4)));
        assert!(fits(&three, &movement(86_400, 60, 4)));
    }

    #[test]
    fn what_excludes_each_other_counts_once_by_the_larger() {
        let bumped = recent(&[movement(0, 60, 1), movement(1, 60, 1), movement(2, 59, 1)]);
        assert!(fits(&bumped, &movement(3, 60, 1)));
        assert!(fits(&bumped, &movement(3, 40, 2)));
        assert!(!fits(&bumped, &movement(3, 41, 2)));
    }

    // An old signature bumped today moves its coins today: it counts in today's window as well.
    #[test]
    fn a_late_bump_counts_in_its_own_hour() {
        let late = recent(&[movement(0, 60, 1), movement(4_000, 60, 1)]);
        assert!(!fits(&late, &movement(4_001, 41, 2)));
    }

    #[test]
    fn nothing_without_a_limit_and_nothing_above_one_transaction() {
        let none = recent(&[]);
        assert!(!fits(&none, &movement(0, 61, 1)));
        assert!(!fits(&none, &Movement { asset: Asset::Eth, ..movement(0, 1, 1) }));
        assert!(!fits(&none, &Movement { purpose: Purpose::ToCold, ..movement(0, 1, 1) }));
    }

    #[test]
    fn fees_have_limits_of_their_own() {
        let burnt: Vec<_> = (0..10).map(|n| Movement { fee: 10, ..movement(0, 1, n) }).collect();
        assert!(!fits(&recent(&burnt), &movement(1, 1, 200)));
        assert!(fits(&recent(&burnt[1..]), &movement(1, 1, 200)));
    }
}
