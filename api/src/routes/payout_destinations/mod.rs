//! Where a merchant's rupees go: versions of one UPI address, the newest being the current one.

pub(crate) mod create;
pub(crate) mod list;
