//! Payout rails: how rupees reach a person.
//!
//! Invariants: no database, no retries. A request is frozen to bytes before it is first sent and
//! re-sent unchanged; every send has a twin that finds. A status we do not know is *in progress*.

pub mod conformance;
pub mod razorpayx;
pub mod registry;

use async_trait::async_trait;
use primitives::{Amount, CallResult, PayoutId, Vpa};

/// Who is paid. Frozen on the payout; compared with the rail's answer before it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beneficiary {
    /// Our stable reference of the destination, at most 40 characters.
    pub reference: String,
    pub name: String,
    pub vpa: Vpa,
}

/// The rail's own handles of a beneficiary, created once and stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BeneficiaryHandle {
    pub contact_id: String,
    pub fund_account_id: String,
}

/// What is to be paid, before it is frozen.
#[derive(Debug, Clone)]
pub struct PayoutOrder {
    pub payout: PayoutId,
    /// 1 for the first attempt.
    pub attempt: i32,
    pub amount: Amount,
    pub handle: BeneficiaryHandle,
    /// At most 30 of `[A-Za-z0-9 ]`.
    pub narration: String,
}

/// The exact bytes and key of one attempt. Derived from frozen columns only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenRequest {
    pub idempotency_key: String,
    /// Our reference at the rail, the handle of every later find.
    pub reference: String,
    pub body: String,
}

/// The code of a `Rejected` that is our own bug: the key was used before with another body, so an
/// earlier request under it may have paid. Never a reason for a new attempt; a person must look.
pub const BODY_MISMATCH: &str = "idempotency_body_mismatch";

/// Where the rail says a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RailStatus {
    Pending,
    Queued,
    /// Also every status we do not know.
    Processing,
    /// Credited, with a UTR soon. Still reversible for days.
    Processed,
    Failed,
    Rejected,
    Cancelled,
    Reversed,
}

/// A payout as the rail tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailPayout {
    pub rail_payout_id: String,
    pub reference: Option<String>,
    pub status: RailStatus,
    pub amount: Amount,
    /// What the rail took on top, tax included; `None` until it says so.
    pub fees: Option<Amount>,
    pub tax: Option<Amount>,
    pub utr: Option<String>,
    pub fund_account_id: String,
    /// The rail's reason code for a failure or reversal.
    pub reason: Option<String>,
    /// True when the rail says the same payment may succeed later with a new key.
    pub retryable: bool,
}

/// A webhook whose signature was right. A hint: the truth is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailEvent {
    pub event: String,
    pub rail_payout_id: Option<String>,
    pub reference: Option<String>,
}

/// Why a webhook is refused. Nothing of its content is believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("signature missing, repeated or malformed")]
    Malformed,
    #[error("signature does not match")]
    Forged,
    #[error("signed body cannot be read: {0}")]
    Unreadable(String),
}

/// What the rail says it holds for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailBalance {
    pub available: Amount,
}

/// Paying a person.
#[async_trait]
pub trait Rail: Send + Sync {
    /// Short lower-case name, part of account codes: `razorpayx`.
    fn rail(&self) -> &'static str;

    /// Creates or finds the rail's handles of a beneficiary. Safe to repeat.
    async fn ensure_beneficiary(&self, who: &Beneficiary) -> CallResult<BeneficiaryHandle>;

    /// The bytes of an attempt: pure, the same order gives the same bytes for ever.
    fn freeze(&self, order: &PayoutOrder) -> FrozenRequest;

    /// Sends a frozen request. Re-sending the same one returns the same payout or creates it once.
    async fn send(&self, request: &FrozenRequest) -> CallResult<RailPayout>;

    /// The payout by the rail's id.
    async fn fetch(&self, rail_payout_id: &str) -> CallResult<RailPayout>;

    /// The payout by our reference. `None` is a hint, not proof of absence.
    async fn find(&self, reference: &str) -> CallResult<Option<RailPayout>>;

    /// Verifies the signature over the raw body with each live secret, then reads the event.
    ///
    /// # Errors
    /// `WebhookError`; on any of them nothing may change.
    fn read_webhook(&self, signatures: &[&str], body: &[u8]) -> Result<RailEvent, WebhookError>;

    async fn balance(&self) -> CallResult<RailBalance>;
}
