//! Deposit addresses and the set of them a scan looks for.

use std::collections::HashSet;

/// A deposit address and the path it was derived along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositAddress {
    pub address: String,
    pub path: String,
}

/// The addresses whose income matters, in the network's canonical text form.
#[derive(Debug, Clone, Default)]
pub struct WatchSet(HashSet<String>);

impl WatchSet {
    pub fn insert(&mut self, address: String) {
        self.0.insert(address);
    }

    #[must_use]
    pub fn contains(&self, address: &str) -> bool {
        self.0.contains(address)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl FromIterator<String> for WatchSet {
    fn from_iter<I: IntoIterator<Item = String>>(addresses: I) -> Self {
        Self(addresses.into_iter().collect())
    }
}
