//! The published vectors of signatures, and what every documented answer becomes.

mod keys;
mod orders;
mod rates;
mod wallet;

use serde::de::DeserializeOwned;

use crate::ClientRef;

fn fixture<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn client_ref(text: &str) -> ClientRef {
    ClientRef::new(text).unwrap()
}
