//! One file per command. The public ones are what the demo does of itself.

pub(crate) mod attribute;
pub(crate) mod cases;
pub(crate) mod check;
pub mod explain;
pub(crate) mod exposure;
pub(crate) mod merchant_policy;
pub mod migrate;
pub mod open_books;
pub(crate) mod pay_in;
pub(crate) mod policy;
pub(crate) mod profit;
pub(crate) mod rates;
pub(crate) mod refund;
pub(crate) mod rescan;
pub(crate) mod retry;
pub(crate) mod risk;
pub mod seed;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod spread;
pub(crate) mod switch;
pub(crate) mod treasury;
pub(crate) mod venues;
