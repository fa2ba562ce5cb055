//! Ask one venue to send coins to another, once, and follow them until they left.
//!
//! `Sent` without an answer *is* unknown: from then on the venue is only asked, by our reference.
//! That it finds nothing proves nothing, so nothing is ever asked for twice.

use exchanges::{ClientRef, Custody, custody::NewWithdrawal};
use primitives::CallError;
use queue::{Lease, Outcome};
use settlement::{
    jobs::ResolveTransfer,
    treasury::{self, Transfer, TransferState},
};

use crate::{
    Ctx, WorkError,
    transfers::{self, told},
};

const PAUSE: i64 = 10;
const STOPPED: i64 = 15;
const PARKED: i64 = 120;

pub(crate) async fn run(
    ctx: Ctx,
    job: ResolveTransfer,
    lease: Lease,
) -> Result<Outcome, WorkError> {
    let transfer = {
        let mut conn = ctx.conn().await?;
        treasury::get_transfer_in(&mut conn, job.transfer).await?
    };
    match transfer.state {
        TransferState::Planned => ask(&ctx, &lease, &transfer).await,
        TransferState::Sent
        | TransferState::Unknown
        | TransferState::Leaving
        | TransferState::InReview => find(&ctx, &lease, &transfer).await,
        TransferState::Left
        | TransferState::Credited
        | TransferState::Refused
        | TransferState::Failed => Ok(Outcome::Done),
    }
}

fn client_ref(of: &Transfer) -> Result<ClientRef, WorkError> {
    transfers::client_ref(of)
        .ok_or_else(|| WorkError::Nonsense("a stored transfer reference".into()))
}

/// Plan: marked as sent, on exactly one row. Call: once. Record: whatever was said.
async fn ask(ctx: &Ctx, lease: &Lease, planned: &Transfer) -> Result<Outcome, WorkError> {
    let custody = ctx.connectors.custody(&planned.from)?;
    let mut tx = ctx.begin(lease).await?;
    let marked = treasury::mark_transfer_in(&mut tx, &ctx.base, planned.id).await?;
    let Some(transfer) = marked else {
        tx.rollback().await?;
        let wait = planned.send_after.filter(|after| *after > ctx.now());
        return Ok(wait.map_or_else(|| ctx.again_in(STOPPED), Outcome::Again));
    };
    tx.commit().await?;
    let new = NewWithdrawal {
        client_ref: client_ref(&transfer)?,
        network: transfer.network.clone(),
        amount: transfer.amount,
        to: transfer.to_address.clone(),
        stamp: transfer.sent_at.unwrap_or(ctx.now()),
    };
    let answer = custody.withdraw(&new).await;
    let mut tx = ctx.begin(lease).await?;
    let (base, id) = (&ctx.base, transfer.id);
    match answer {
        Ok(taken) => treasury::left_in(&mut tx, base, id, &told(&taken)).await?,
        Err(CallError::Rejected { code, reason }) => {
            treasury::refused_in(&mut tx, base, id, &format!("{code}: {reason}")).await?;
        }
        Err(CallError::NotSent(why)) => treasury::not_asked_in(&mut tx, base, id, &why).await?,
        Err(CallError::RateLimited { .. }) => {
            treasury::not_asked_in(&mut tx, base, id, "rate limited").await?;
        }
        Err(CallError::Unknown(why)) => treasury::unknown_in(&mut tx, base, id, &why).await?,
    }
    let next = ctx.again_in(PAUSE);
    ctx.finish(tx, lease, next).await
}

async fn find(ctx: &Ctx, lease: &Lease, of: &Transfer) -> Result<Outcome, WorkError> {
    let custody: &dyn Custody = ctx.connectors.custody(&of.from)?;
    let found = custody.find_withdrawal(of.amount.asset(), &client_ref(of)?).await?;
    let mut tx = ctx.begin(lease).await?;
    let next = match &found {
        Some(known) => {
            treasury::left_in(&mut tx, &ctx.base, of.id, &told(known)).await?;
            ctx.again_in(PAUSE)
        }
        None => {
            let why = "asked for without an answer, and the venue shows nothing";
            treasury::unknown_in(&mut tx, &ctx.base, of.id, why).await?;
            ctx.again_in(PARKED)
        }
    };
    ctx.finish(tx, lease, next).await
}
