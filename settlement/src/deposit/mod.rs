//! The deposit: value that reached one of our addresses.
//!
//! Invariant: its identity is (network, tx id, ordinal within the tx); a sighting in a block is an
//! *inclusion* of it. The books hold it when seen, post it when final, void it when it is gone.

pub mod address_pool;
mod confirm;
pub mod cursor;
mod gone;
pub mod leader;
mod pending;
mod record;
mod store;

use chrono::{DateTime, Utc};
use primitives::{Amount, DepositId, NetworkId, PaymentId, QuoteId};

pub use confirm::{Confirmed, Depth, confirm_in};
pub use gone::gone_in;
pub(crate) use gone::lost_in;
pub use pending::{Gone, OnItsWay, Waiting, not_coming_in, on_its_way_in, waiting};
pub use record::{Seen, SeenToken, seen_in, unknown_token_in};
pub use store::{get_in, lock_in, seen_above_in};
pub(crate) use store::{left_in, lock_with_owner_in};

use crate::transition::machine;

machine! {
    /// `Pending` is shown and nothing else: the books know a deposit from its first block on. What
    /// was orphaned, dropped or replaced may come back: evidence moves a deposit, never time.
    DepositState, DepositEvent, "deposit";
    states {
        Pending = "pending",
        Seen = "seen",
        Confirmed = "confirmed",
        Orphaned = "orphaned",
        Dropped = "dropped",
        Replaced = "replaced",
    }
    events {
        SeenPending = "seen_pending",
        Included = "included",
        SeenAgain = "seen_again",
        DeepEnough = "deep_enough",
        BlockGone = "block_gone",
        FinalBlockGone = "final_block_gone",
        NeverMined = "never_mined",
        Outspent = "outspent",
    }
}

impl DepositState {
    const fn step(self, event: DepositEvent) -> Option<Self> {
        use DepositEvent as E;
        Some(match (self, event) {
            (Self::Pending, E::Included) => Self::Seen,
            (Self::Seen, E::DeepEnough) => Self::Confirmed,
            (Self::Seen, E::BlockGone) | (Self::Confirmed, E::FinalBlockGone) => Self::Orphaned,
            (Self::Pending | Self::Orphaned, E::NeverMined) => Self::Dropped,
            (Self::Pending | Self::Orphaned, E::Outspent) => Self::Replaced,
            (Self::Orphaned | Self::Dropped | Self::Replaced, E::SeenPending) => Self::Pending,
            (Self::Orphaned | Self::Dropped | Self::Replaced, E::SeenAgain) => Self::Seen,
            _ => return None,
        })
    }
}

/// Which liability a deposit becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It pays a quote.
    Payment,
    /// It pays nothing by itself; a case says what to do with it.
    Suspense(SuspenseReason),
}

/// Why money waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspenseReason {
    /// After the rate had ended, or the payment had.
    Late,
    /// An asset nobody quoted for this payment.
    WrongAsset,
    /// The payment had been settled, or needs no more.
    AfterEnd,
    /// An address that belongs to no payment.
    NoPayment,
    /// The account the books keep for the shop is frozen.
    ShopFrozen,
}

impl SuspenseReason {
    const ALL: [Self; 5] =
        [Self::Late, Self::WrongAsset, Self::AfterEnd, Self::NoPayment, Self::ShopFrozen];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late_deposit",
            Self::WrongAsset => "wrong_asset",
            Self::AfterEnd => "deposit_after_end",
            Self::NoPayment => "deposit_without_payment",
            Self::ShopFrozen => "shop_account_frozen",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == name)
    }
}

/// One deposit as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    pub id: DepositId,
    pub network: NetworkId,
    pub tx_id: String,
    pub ordinal: i64,
    pub address: String,
    pub amount: Amount,
    pub payment: Option<PaymentId>,
    pub quote: Option<QuoteId>,
    pub state: DepositState,
    pub purpose: Purpose,
    /// How often it entered a block we followed.
    pub sightings: i32,
    pub block_hash: Option<String>,
    pub height: Option<i64>,
    pub seen_at: DateTime<Utc>,
    pub confirmed_at: Option<DateTime<Utc>>,
}
