//! The vendor's vocabulary of `status_details`: reason, who is to blame, one sentence.
//!
//! Invariant: a reason is only ever shown together with the source and sentence of its row. Which
//! payout gets which reason is decided in `outcomes.rs`.

use serde_json::{Value, json};

use super::state::Status;

/// One row of the vendor's table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub name: &'static str,
    pub source: &'static str,
    pub description: &'static str,
    states: &'static [Status],
}

impl Reason {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "description": self.description,
            "source": self.source,
            "reason": self.name,
        })
    }

    /// Whether the vendor ever shows this reason beside that state.
    #[must_use]
    pub(super) fn fits(&self, status: Status) -> bool {
        self.states.contains(&status)
    }
}

const ENDED: &[Status] = &[Status::Failed, Status::Reversed];
const QUEUED: &[Status] = &[Status::Queued];
const PROCESSING: &[Status] = &[Status::Processing];

const fn row(
    name: &'static str,
    source: &'static str,
    description: &'static str,
    states: &'static [Status],
) -> Reason {
    Reason { name, source, description, states }
}

static REASONS: &[Reason] = &[
    row(
        "bank_account_closed",
        "beneficiary_bank",
        "The beneficiary bank account is closed.",
        ENDED,
    ),
    row(
        "bank_account_frozen",
        "beneficiary_bank",
        "The beneficiary bank account is frozen.",
        ENDED,
    ),
    row(
        "bank_account_invalid",
        "beneficiary_bank",
        "The beneficiary bank account is invalid.",
        ENDED,
    ),
    row(
        "beneficiary_account_dormant",
        "beneficiary_bank",
        "The beneficiary account is dormant.",
        ENDED,
    ),
    row(
        "beneficiary_bank_failure",
        "beneficiary_bank",
        "Payout failed at the beneficiary bank.",
        ENDED,
    ),
    row(
        "beneficiary_bank_offline",
        "beneficiary_bank",
        "Beneficiary bank is offline. Retry later.",
        ENDED,
    ),
    row(
        "beneficiary_bank_rejected",
        "beneficiary_bank",
        "Payout rejected by the beneficiary bank.",
        ENDED,
    ),
    row(
        "beneficiary_bank_technical_error",
        "beneficiary_bank",
        "Technical error at the beneficiary bank.",
        ENDED,
    ),
    row(
        "beneficiary_psp_offline",
        "beneficiary_bank",
        "The beneficiary's UPI provider is offline.",
        ENDED,
    ),
    row(
        "imps_not_allowed",
        "beneficiary_bank",
        "IMPS is not enabled on the beneficiary account. Use another mode.",
        ENDED,
    ),
    row("invalid_ifsc_code", "beneficiary_bank", "The IFSC code is invalid.", ENDED),
    row(
        "npci_beneficiary_timeout",
        "beneficiary_bank",
        "The beneficiary bank did not answer NPCI in time.",
        ENDED,
    ),
    row(
        "transaction_limit_exceeded",
        "beneficiary_bank",
        "The beneficiary's transaction limit is exceeded.",
        ENDED,
    ),
    row(
        "amount_limit_exhausted_neft",
        "business",
        "The NEFT limit of your account is exhausted. Retry later.",
        ENDED,
    ),
    row("beneficiary_account_invalid", "business", "The beneficiary account is invalid.", ENDED),
    row("beneficiary_vpa_invalid", "business", "The beneficiary VPA is invalid.", ENDED),
    row(
        "insufficient_funds",
        "business",
        "Your account does not have enough balance for the payout.",
        ENDED,
    ),
    row("invalid_beneficiary", "business", "The beneficiary details are invalid.", ENDED),
    row("gateway_down", "gateway", "The partner bank is down. Retry later.", ENDED),
    row(
        "gateway_technical_error",
        "gateway",
        "Technical error at the partner bank. Retry later.",
        ENDED,
    ),
    row(
        "gateway_timeout",
        "gateway",
        "The partner bank did not answer in time. Retry later.",
        ENDED,
    ),
    row("server_error", "internal", "Payout failed. Contact support.", ENDED),
    row(
        "server_error_temporary",
        "internal",
        "Payout failed for a temporary error. Retry later.",
        ENDED,
    ),
    row(
        "beneficiary_bank_confirmation_pending",
        "beneficiary_bank",
        "Confirmation of the credit is pending from the beneficiary bank.",
        PROCESSING,
    ),
    row(
        "bank_window_closed",
        "gateway",
        "The bank window is closed. The payout goes out when it opens.",
        PROCESSING,
    ),
    row(
        "payout_bank_processing",
        "gateway",
        "Payout is being processed by our partner bank. Please check the final status after \
         some time.",
        PROCESSING,
    ),
    row(
        "amount_limit_exhausted",
        "business",
        "The limit of your account is exhausted for now.",
        PROCESSING,
    ),
    row(
        "partner_bank_pending",
        "gateway",
        "The payout is pending at our partner bank.",
        PROCESSING,
    ),
    row(
        "payout_processed",
        "beneficiary_bank",
        "Payout is processed and the money has been credited to the beneficiary's account.",
        &[Status::Processed],
    ),
    row("pending_approval", "business", "Payout is pending approval.", &[Status::Pending]),
    row("gateway_degraded", "gateway", "Payout is queued as our partner bank is degraded.", QUEUED),
    row(
        "beneficiary_bank_down",
        "beneficiary_bank",
        "Payout is queued as the beneficiary bank is down.",
        QUEUED,
    ),
    row(
        "low_balance",
        "business",
        "Payout is queued as there is insufficient balance in your business account to process \
         the payout",
        QUEUED,
    ),
    row(
        "syncing_balance",
        "internal",
        "Payout is queued while your balance is being fetched.",
        QUEUED,
    ),
    row(
        "fee_recovery_pending",
        "business",
        "Payout is queued until earlier fees are recovered.",
        QUEUED,
    ),
];

/// The row of that name.
#[must_use]
pub(super) fn find(name: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|reason| reason.name == name)
}

/// The reason the vendor gives for a state when nothing special happened.
pub(super) fn usual(status: Status) -> Option<&'static Reason> {
    match status {
        Status::Pending => find("pending_approval"),
        Status::Queued => find("beneficiary_bank_down"),
        Status::Processing => find("payout_bank_processing"),
        Status::Processed => find("payout_processed"),
        Status::Failed | Status::Reversed => find("beneficiary_bank_rejected"),
        Status::Scheduled | Status::Cancelled | Status::Rejected => None,
    }
}
