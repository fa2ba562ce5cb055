//! Answers worth keeping for a while.
//!
//! Invariant: nothing older than the age it was built with is handed out, nor anything from a
//! future the clock has left again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

#[derive(Debug)]
pub(crate) struct Shelf<K, V> {
    age_max: TimeDelta,
    kept: Mutex<BTreeMap<K, (DateTime<Utc>, V)>>,
}

impl<K: Ord, V: Clone> Shelf<K, V> {
    pub(crate) const fn new(age_max: TimeDelta) -> Self {
        Self { age_max, kept: Mutex::new(BTreeMap::new()) }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<K, (DateTime<Utc>, V)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &K, now: DateTime<Utc>) -> Option<V> {
        let kept = self.kept();
        let (at, value) = kept.get(key)?;
        let age = now.signed_duration_since(*at);
        (age >= TimeDelta::zero() && age <= self.age_max).then(|| value.clone())
    }

    /// What has grown too old is dropped, so a shelf is no longer than what is put in one age.
    pub(crate) fn put(&self, key: K, value: V, now: DateTime<Utc>) {
        let mut kept = self.kept();
        kept.retain(|_, (at, _)| now.signed_duration_since(*at) <= self.age_max);
        kept.insert(key, (now, value));
    }

    pub(crate) fn clear(&self) {
        self.kept().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_for_its_age_and_no_longer() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let shelf = Shelf::new(TimeDelta::seconds(10));
        assert_eq!(shelf.get(&1, at(100)), None);
        shelf.put(1, "a", at(100));
        assert_eq!(shelf.get(&1, at(110)), Some("a"));
        assert_eq!(shelf.get(&1, at(111)), None);
        assert_eq!(shelf.get(&1, at(99)), None, "a clock that went back");
        shelf.clear();
        assert_eq!(shelf.get(&1, at(100)), None);
    }
}
