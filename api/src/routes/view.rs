//! The shapes several endpoints answer with, and how they are made from `settlement`'s.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use primitives::{Asset, NetworkId};
use serde::Serialize;
use serde_json::Value;
use settlement::{
    payment::{Flags, Payment},
    quote::Quote,
};
use utoipa::ToSchema;

/// A time as the database keeps it, so that an answer reads the same now and later.
pub(crate) fn stored(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

/// Whole minor units of an asset: paise, wei, millionths of a dollar coin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Amount)]
pub(crate) struct AmountView {
    #[schema(example = "149900", pattern = "^-?[0-9]{1,38}$")]
    amount_minor: String,
    #[schema(example = "INR")]
    asset: &'static str,
}

impl From<primitives::Amount> for AmountView {
    fn from(amount: primitives::Amount) -> Self {
        Self { amount_minor: amount.minor().to_string(), asset: amount.asset().code() }
    }
}

/// One way to pay: an asset on a network.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Method)]
pub(crate) struct MethodView {
    #[schema(example = "ethereum")]
    network: String,
    #[schema(example = "USDC")]
    asset: &'static str,
}

impl From<(NetworkId, Asset)> for MethodView {
    fn from((network, asset): (NetworkId, Asset)) -> Self {
        Self { network: network.into(), asset: asset.code() }
    }
}

/// What was odd about the money.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flags)]
pub(crate) struct FlagsView {
    partial: bool,
    over: bool,
    late: bool,
    wrong_asset: bool,
}

impl From<Flags> for FlagsView {
    fn from(flags: Flags) -> Self {
        let Flags { partial, over, late, wrong_asset } = flags;
        Self { partial, over, late, wrong_asset }
    }
}

/// A payment. `accepted` is the payer's end, `settled` the shop's.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub(crate) struct PaymentView {
    #[schema(example = "pay_0193452a6f8d7c3a9d0e5b1f2a3c4d5e")]
    id: String,
    reference: String,
    amount: AmountView,
    #[schema(example = "awaiting_deposit")]
    state: &'static str,
    flags: FlagsView,
    /// Why a person must look, while the state is `in_review`.
    review_reason: Option<String>,
    /// The payout destination that was current when the payment was made.
    destination_id: String,
    metadata: BTreeMap<String, Value>,
    /// The ways it can be paid now.
    methods: Vec<MethodView>,
    expires_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    settled_at: Option<DateTime<Utc>>,
}

impl PaymentView {
    pub(crate) fn new(payment: Payment, methods: &[(NetworkId, Asset)]) -> Self {
        let payable = payment.state.is_payable();
        Self {
            id: payment.id.to_string(),
            reference: payment.reference,
            amount: payment.amount.into(),
            state: payment.state.name(),
            flags: payment.flags.into(),
            review_reason: payment.review_reason,
            destination_id: payment.destination.to_string(),
            metadata: payment.metadata.into_iter().collect(),
            methods: methods.iter().filter(|_| payable).cloned().map(MethodView::from).collect(),
            expires_at: stored(payment.expires_at),
            created_at: stored(payment.created_at),
            updated_at: stored(payment.updated_at),
            accepted_at: payment.accepted_at.map(stored),
            settled_at: payment.settled_at.map(stored),
        }
    }
}

/// What a payer must send, where to, and until when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quote)]
pub(crate) struct QuoteView {
    #[schema(example = "quo_0193452a6f8d7c3a9d0e5b1f2a3c4d5e")]
    id: String,
    payment_id: String,
    network: String,
    address: String,
    /// What a wallet scans; draw it as a QR code.
    uri: String,
    /// The rupees the quote pays.
    amount: AmountView,
    /// The crypto that pays them.
    payable: AmountView,
    /// What is still missing of it.
    due: AmountView,
    /// Rupees per unit of the asset, before the spread.
    #[schema(example = "252340.15")]
    price: String,
    spread_bps: u32,
    created_at: DateTime<Utc>,
    /// Money seen on the chain until then is taken at this price.
    valid_until: DateTime<Utc>,
}

impl QuoteView {
    pub(crate) fn new(quote: Quote, due: primitives::Amount) -> Self {
        Self {
            id: quote.id.to_string(),
            payment_id: quote.payment.to_string(),
            network: quote.network.into(),
            address: quote.address,
            uri: quote.uri,
            amount: quote.amount.into(),
            payable: quote.payable.into(),
            due: due.into(),
            price: quote.price.to_string(),
            spread_bps: quote.spread.get(),
            created_at: stored(quote.created_at),
            valid_until: stored(quote.valid_until),
        }
    }
}
