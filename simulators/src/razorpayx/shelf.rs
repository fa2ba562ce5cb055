//! Rows in the order they were made, found by id.
//!
//! Invariant: nothing is ever removed, as at the vendor.

use std::collections::HashMap;

pub(super) trait Row {
    fn id(&self) -> &str;
    /// Epoch seconds, for the `from` and `to` filters.
    fn created_at(&self) -> i64;
}

#[derive(Debug)]
pub(super) struct Shelf<T> {
    rows: Vec<T>,
    by_id: HashMap<String, usize>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), by_id: HashMap::new() }
    }
}

impl<T: Row> Shelf<T> {
    pub(super) fn add(&mut self, row: T) {
        self.by_id.insert(row.id().to_owned(), self.rows.len());
        self.rows.push(row);
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(*self.by_id.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(*self.by_id.get(id)?)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.rows.iter()
    }
}
