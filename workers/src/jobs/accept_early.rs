//! Accept a payment before its deposits are final, within the house's limit: one beat of
//! `confirm_deposit`, not a job of its own, because both ask the same nodes about the same block.
//!
//! A limit that somebody else used up meanwhile is no failure: the payment waits for finality.

use queue::Lease;
use settlement::policy::early;

use super::confirm_deposit::{Early, ask};
use crate::{Ctx, WorkError};

pub(super) async fn run(ctx: &Ctx, lease: &Lease, early: &Early<'_>) -> Result<(), WorkError> {
    let Early { chain, waiting, applied, depth } = *early;
    if !applied.tier.accept.is_met(depth, waiting.height) {
        return Ok(());
    }
    let due = {
        let mut conn = ctx.conn().await?;
        early::is_due_in(&mut conn, &waiting.deposit, applied).await?
    };
    if !due {
        return Ok(());
    }
    let finding = ask(ctx, chain, waiting, depth).await;
    let mut tx = ctx.begin(lease).await?;
    let accepted = early::accept_in(&mut tx, &ctx.base, waiting.deposit.id, &finding).await;
    match accepted.map_err(WorkError::from) {
        Ok(_) => Ok(tx.commit().await?),
        Err(error) if error.is_overdraw() => Ok(tx.rollback().await?),
        Err(error) => Err(error),
    }
}
