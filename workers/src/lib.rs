//! The jobs: each file is one job and tells its story in three beats, *plan → call → record*.
//!
//! Invariant: no transaction is open and no connection held during a call; every transaction of a
//! job begins by proving that this worker still holds it, so a frozen worker that wakes up changes
//! nothing. What a payment may do next is deliberately elsewhere: in `settlement`.

mod abandon;
mod adopt;
mod connectors;
mod ctx;
mod error;
mod in_our_words;
mod jobs;
mod moving;
mod pricing;
mod registry;
mod rescan;
mod schedule;
mod selling;
mod topping;
mod transfers;
mod witnessed;

pub use abandon::abandon;
pub use adopt::{Logged, adopt};
pub use connectors::Connectors;
pub use ctx::Ctx;
pub use error::WorkError;
pub use jobs::reconcile::compare_all;
pub use registry::runner;
pub use rescan::{Rescanned, rescan};
pub use schedule::schedule;
pub use transfers::{transfer_left, transfer_never_left};
