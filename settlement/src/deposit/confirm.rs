//! The end of waiting for a deposit that stays: final.
//!
//! Invariant: depth is counted in blocks, never in time, and only for the block we recorded the
//! deposit in. The policy of this moment and the words of the nodes decide in the transaction that
//! books; what happens when the block goes is deliberately elsewhere: `gone.rs`.

use primitives::{Amount, DepositId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Deposit, DepositEvent, DepositState, Purpose, SuspenseReason, gone,
    store::{lock_with_owner_in, step_in},
};
use crate::{
    Base, Error, bookkeeping, case, exposure,
    payment::{self, Payment, PaymentEvent, PaymentState},
    policy::{self, Finding, early, evidence},
};

/// What a node says about the tip, as a policy needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    pub latest: u64,
    pub safe: Option<u64>,
    pub finalized: Option<u64>,
}

impl Depth {
    /// How many blocks lie from this height to the tip, both included; `None` above the tip.
    #[must_use]
    pub fn blocks(self, height: u64) -> Option<u64> {
        self.latest.checked_add(1)?.checked_sub(height).filter(|blocks| *blocks > 0)
    }
}

/// What became of the wish to confirm a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    Now,
    /// Not deep enough, too few witnesses, or a disputed block: ask again.
    Waits,
    /// It is not waiting any more, or not in this block.
    NotWaiting,
}

/// Confirms a deposit whose block is deep enough for its policy, and held by as many nodes as that
/// asks for.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn confirm_in(
    conn: &mut PgConnection,
    base: &Base,
    id: DepositId,
    finding: &Finding,
) -> Result<Confirmed, Error> {
    let (mut owner, mut deposit) = lock_with_owner_in(conn, id).await?;
    let here = deposit.block_hash.as_deref() == Some(finding.block_hash.as_str());
    if deposit.state != DepositState::Seen || !here {
        return Ok(Confirmed::NotWaiting);
    }
    let applied = policy::of_deposit_in(conn, base, &deposit, owner.as_ref()).await?;
    let height = deposit.height.and_then(|height| u64::try_from(height).ok());
    let deep = height.is_some_and(|height| applied.tier.last.is_met(finding.depth, height));
    let level = evidence::Level::Final;
    if !deep || !evidence::weigh_in(conn, base, &deposit, &applied, finding, level).await? {
        return Ok(Confirmed::Waits);
    }
    // What was set aside may be quoted anew: its turn at the limit comes before the books.
    if owner.is_some() && matches!(deposit.purpose, Purpose::Suspense(_)) {
        exposure::wait_for_turn_in(conn, base, deposit.amount.asset()).await?;
    }
    bookkeeping::deposit_confirmed(conn, base, &deposit).await?;
    let cause = json!({
        "block": finding.block_hash, "height": deposit.height, "policy": applied.version,
    });
    step_in(conn, base, &mut deposit, DepositEvent::DeepEnough, cause).await?;
    let returned = gone::give_back_in(conn, base, &deposit, owner.as_ref()).await?;
    if returned.is_positive() {
        came_back(conn, base, &deposit, owner.as_mut(), returned).await?;
        return Ok(Confirmed::Now);
    }
    if let Some(payment) = &owner {
        early::adopt_in(conn, base, payment, &mut deposit).await?;
    }
    payment::confirmed_in(conn, base, owner.as_mut(), &mut deposit).await?;
    if let Some(payment) = &owner {
        early::settle_in(conn, base, payment.id).await?;
    }
    Ok(Confirmed::Now)
}

/// The house had borne this deposit, or another of a payment it honoured, and it is final after
/// all: only what is more than that can be anybody's, and a person says whose.
async fn came_back(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&mut Payment>,
    returned: Amount,
) -> Result<(), Error> {
    let rest = deposit.amount.checked_sub(returned)?;
    let why = "credited to the loss account";
    if !rest.is_positive() {
        return payment::note_outcome_in(conn, base, deposit, "counted", 0, why).await;
    }
    let reason = match deposit.purpose {
        Purpose::Suspense(reason) => reason,
        Purpose::Payment => SuspenseReason::AfterEnd,
    };
    payment::note_outcome_in(conn, base, deposit, "review", 0, why).await?;
    let new = case::NewCase {
        kind: reason.name(),
        subject: &deposit.id.to_string(),
        payment: deposit.payment,
        amount: Some(rest),
        detail: json!({
            "network": deposit.network, "tx_id": deposit.tx_id, "to_the_loss_account": returned,
        }),
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
