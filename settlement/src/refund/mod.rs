//! The refund: crypto that is owed back to a payer, from the promise to the transaction that pays
//! it.
//!
//! Invariant: money goes only to an address somebody proved to be the payer's, never to the sender
//! by itself (exchanges and contracts send); one output of one transaction pays one refund; what
//! was sent is never taken back. Signing is deliberately elsewhere: here a transaction is only
//! recorded, from what the chain says of it.

mod promise;
mod send;
mod store;

use chrono::{DateTime, Utc};
use primitives::{Amount, DepositId, MerchantId, NetworkId, PaymentId, RefundId};

pub(crate) use promise::{Promise, promise_in, withdraw_in};
pub use promise::{PromiseError, promise_deposit_in, withdraw_of_deposit_in};
pub(crate) use send::GONE;
pub use send::{AddressError, Paid, SendError, address_in, sent_in};
pub use store::{get_in, lock_in, open};
pub(crate) use store::{of_deposit_in, of_payment_in};

use crate::transition::machine;

machine! {
    RefundState, RefundEvent, "refund";
    states {
        Promised = "promised",
        Addressed = "addressed",
        Sent = "sent",
        Withdrawn = "withdrawn",
    }
    events {
        AddressProven = "address_proven",
        SeenSent = "seen_sent",
        Withdraw = "withdraw",
    }
}

impl RefundState {
    const fn step(self, event: RefundEvent) -> Option<Self> {
        use RefundEvent as E;
        Some(match (self, event) {
            (Self::Promised | Self::Addressed, E::AddressProven) => Self::Addressed,
            (Self::Addressed, E::SeenSent) => Self::Sent,
            // Whoever knows the address may have broadcast it already.
            (Self::Promised, E::Withdraw) => Self::Withdrawn,
            _ => return None,
        })
    }

    /// True while the money is owed and is not known to have left.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Promised | Self::Addressed)
    }
}

/// One refund as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: RefundId,
    /// Names the event it comes from, and its postings.
    pub subject: String,
    pub payment: Option<PaymentId>,
    pub merchant: Option<MerchantId>,
    /// The one deposit it gives back, when it is exactly one.
    pub deposit: Option<DepositId>,
    pub network: NetworkId,
    pub amount: Amount,
    /// The kind of its case.
    pub kind: String,
    pub state: RefundState,
    pub address: Option<String>,
    pub proof: Option<String>,
    pub tx_id: Option<String>,
    /// Which output of it paid.
    pub ordinal: Option<i64>,
    pub promised_at: DateTime<Utc>,
}
