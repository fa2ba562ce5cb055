//! The nouns every room shares: amounts, assets, rates, rounding, typed ids, the clock, entropy,
//! secrets, networks and the one question about a call ("did it happen?").
//!
//! Invariant: no IO, no async, no opinions. Nothing enters that fewer than two rooms use.

mod amount;
mod asset;
mod bps;
mod call_error;
mod clock;
mod entropy;
mod id;
mod network;
mod rate;
mod rounding;
mod secret;
mod vpa;

pub use amount::{Amount, AmountError};
pub use asset::{Asset, UnknownAsset};
pub use bps::Bps;
pub use call_error::{CallError, CallResult};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::Entropy;
pub use id::{
    ApiKeyId, CaseId, ConversionId, DeliveryId, DepositId, DestinationId, EventId, IdError,
    InboxId, MerchantId, MoveId, PaymentId, PayoutId, QuoteId, RefundId, TransferId, derived_uuid,
};
pub use network::NetworkId;
pub use rate::{Rate, RateError};
pub use rounding::Rounding;
pub use secret::Secret;
pub use vpa::{Vpa, VpaError};
