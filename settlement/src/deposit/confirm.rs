//! The end of waiting for a deposit: final, or gone.
//!
//! Invariant: depth is counted in blocks, never in time, and only for the block we recorded the
//! deposit in.

use primitives::DepositId;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Deposit, DepositEvent, DepositState, Purpose, SuspenseReason, get_in, lock_in, store::step_in,
};
use crate::{
    AcceptRule, Base, Error, bookkeeping, case,
    payment::{self, PaymentEvent, PaymentState},
};

/// What a node says about the tip, as the policy needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    pub latest: u64,
    pub safe: Option<u64>,
    pub finalized: Option<u64>,
}

impl Depth {
    /// True when a block at `height` has reached the rule. A node that does not know `safe` or
    /// `finalized` never satisfies a rule that asks for it.
    #[must_use]
    pub fn satisfies(self, rule: AcceptRule, height: u64) -> bool {
        match rule {
            AcceptRule::Depth { blocks } => self
                .latest
                .checked_add(1)
                .and_then(|next| next.checked_sub(height))
                .is_some_and(|depth| depth >= blocks),
            AcceptRule::Safe => self.safe.is_some_and(|safe| safe >= height),
            AcceptRule::Finalized => self.finalized.is_some_and(|last| last >= height),
        }
    }
}

/// Confirms a deposit that is deep enough in the block it was recorded in. Quiet when it is not
/// waiting any more, or when the block is no longer the one recorded.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn confirm_in(
    conn: &mut PgConnection,
    base: &Base,
    id: DepositId,
    block_hash: &str,
) -> Result<(), Error> {
    let unlocked = get_in(conn, id).await?;
    let mut owner = match unlocked.payment {
        Some(payment) => Some(payment::lock_in(conn, payment).await?),
        None => None,
    };
    let mut deposit = lock_in(conn, id).await?;
    if deposit.state != DepositState::Seen || deposit.block_hash.as_deref() != Some(block_hash) {
        return Ok(());
    }
    bookkeeping::deposit_confirmed(conn, base, &deposit).await?;
    let cause = json!({ "block": block_hash, "height": deposit.height });
    step_in(conn, base, &mut deposit, DepositEvent::DeepEnough, cause).await?;
    match (deposit.purpose, deposit.quote, &mut owner) {
        (Purpose::Payment, Some(quote), Some(payment)) if payment.state.is_payable() => {
            payment::accept_if_covered_in(conn, base, payment.id, quote).await
        }
        (Purpose::Payment, _, Some(payment)) => {
            let flags = payment::Flags { over: true, ..payment.flags };
            payment::set_flags_in(conn, base, payment, flags).await?;
            let subject = deposit.id.to_string();
            payment::promise_back_in(conn, base, payment, deposit.amount, "overpaid", &subject)
                .await
        }
        _ => open_suspense_case(conn, base, &deposit, owner.as_mut()).await,
    }
}

async fn open_suspense_case(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&mut payment::Payment>,
) -> Result<(), Error> {
    let reason = match deposit.purpose {
        Purpose::Suspense(reason) => reason,
        Purpose::Payment => SuspenseReason::NoPayment,
    };
    let new = case::NewCase {
        kind: reason.name(),
        subject: &deposit.id.to_string(),
        payment: deposit.payment,
        amount: Some(deposit.amount),
        detail: json!({ "network": deposit.network, "tx_id": deposit.tx_id }),
    };
    case::open_in(conn, base, new).await?;
    if let Some(payment) = owner
        && matches!(payment.state, PaymentState::Expired | PaymentState::Cancelled)
    {
        let cause = json!({ "reason": reason.name(), "deposit": deposit.id });
        payment::step_in(conn, base, payment, PaymentEvent::MoneyAfterEnd, cause).await?;
    }
    Ok(())
}

/// Unwinds a deposit whose block is no longer on the chain we follow.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn gone_in(conn: &mut PgConnection, base: &Base, id: DepositId) -> Result<(), Error> {
    let unlocked = get_in(conn, id).await?;
    let owner = match unlocked.payment {
        Some(payment) => Some(payment::lock_in(conn, payment).await?),
        None => None,
    };
    let mut deposit = lock_in(conn, id).await?;
    match deposit.state {
        DepositState::Seen => {}
        DepositState::Confirmed => return gone_after_final(conn, base, &deposit).await,
        _ => return Ok(()),
    }
    bookkeeping::deposit_gone(conn, base, &deposit).await?;
    let cause = json!({ "block": deposit.block_hash });
    step_in(conn, base, &mut deposit, DepositEvent::BlockGone, cause).await?;
    let Some(mut payment) = owner else { return Ok(()) };
    let others: bool = sqlx::query_scalar(
        "select exists (select from deposits where payment_id = $1 and purpose = 'payment'
           and state in ('seen', 'confirmed'))",
    )
    .bind(payment.id.uuid())
    .fetch_one(&mut *conn)
    .await?;
    if payment.state == PaymentState::Confirming && !others {
        let cause = json!({ "deposit": deposit.id });
        payment::step_in(conn, base, &mut payment, PaymentEvent::DepositsGone, cause).await?;
    }
    Ok(())
}

/// A block we called final is gone. Nothing is repaired by itself: the case says what was lost,
/// and reconciliation shows the same difference until a person books it.
async fn gone_after_final(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: "reorg_after_final",
        subject: &format!("{}:{}", deposit.id, deposit.sightings),
        payment: deposit.payment,
        amount: Some(deposit.amount),
        detail: json!({ "block": deposit.block_hash, "tx_id": deposit.tx_id }),
    };
    case::open_in(conn, base, new).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_the_block_itself() {
        let tip = Depth { latest: 10, safe: Some(8), finalized: None };
        assert!(tip.satisfies(AcceptRule::Depth { blocks: 1 }, 10));
        assert!(!tip.satisfies(AcceptRule::Depth { blocks: 2 }, 10));
        assert!(tip.satisfies(AcceptRule::Depth { blocks: 3 }, 8));
        assert!(!tip.satisfies(AcceptRule::Depth { blocks: 1 }, 11));
        assert!(tip.satisfies(AcceptRule::Safe, 8) && !tip.satisfies(AcceptRule::Safe, 9));
        assert!(!tip.satisfies(AcceptRule::Finalized, 1));
    }
}
