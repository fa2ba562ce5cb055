//! What the simulated exchanges have in common: markets, a synthetic order book, holdings
//! that are the sum of the journal, addresses and request limits.
//!
//! Invariant: nothing here speaks a vendor's dialect; names, codes and statuses are elsewhere, in
//! each exchange's own folder.

mod address;
mod custody;
mod desk;
mod holdings;
mod ladder;
mod limiter;
mod market;
mod networks;

pub use address::{address_on, deposit_address};
pub(crate) use address::{base58, from_base58, is_address, segwit, transaction_id};
pub(crate) use custody::{Arrival, Custody, Departing, Departure, Found, Moved, Stage, Wanted};
pub(crate) use desk::{Desk, Till};
pub(crate) use holdings::{Change, lock, release};
pub use holdings::{Holdings, Pockets};
pub use ladder::Level;
pub(crate) use ladder::{Fill, Ladder, Size, fixed, walk};
pub(crate) use limiter::{Limiter, Verdict};
pub use market::{Market, Side};
pub(crate) use market::{decimal, floor_to, is_multiple};
pub(crate) use networks::{Local, rails};
pub use networks::{Networks, RAILS, Rail, rail_of};

use primitives::Secret;

/// The API key pair of the one account a simulated exchange has.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub api_key: String,
    pub secret: Secret,
}
