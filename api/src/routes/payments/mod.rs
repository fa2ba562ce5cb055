//! Payments: what a shop asks for, and everything that became of it.

pub(crate) mod cancel;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod show;

use crate::problem::{Code, Problem};

/// Also for a payment of somebody else: what is not yours does not exist.
pub(crate) const fn not_found() -> Problem {
    Problem::new(Code::PaymentNotFound, "No payment of yours has this id.")
}
