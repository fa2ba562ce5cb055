//! What every exchange and rate source must keep, whoever the vendor is.
//!
//! Each function drives the public traits only and names the first promise that was broken. They
//! are run by the tests against a simulator and against recorded answers; a new connector is not
//! done until they pass.

mod doors;
mod orders;
mod quotes;

use primitives::CallResult;

pub use doors::{doors_make_sense, withdraws_once};
pub use orders::{
    cancels_what_rests, never_rests, reads_make_sense, refuses_in_words, sells_what_is_bid_for,
    unused_reference_finds_nothing,
};
pub use quotes::quotes_make_sense;

/// The promise that was broken.
pub type Conformity = Result<(), String>;

fn hold(promise: bool, sentence: &str) -> Conformity {
    if promise { Ok(()) } else { Err(sentence.to_owned()) }
}

fn done<T>(result: CallResult<T>, call: &str) -> Result<T, String> {
    result.map_err(|error| format!("{call} failed: {error}"))
}
