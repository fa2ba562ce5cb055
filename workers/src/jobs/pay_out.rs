//! Send a merchant's rupees: once per attempt, under a key and bytes that were stored first.

use payouts::{Beneficiary, BeneficiaryHandle, FrozenRequest, PayoutOrder, Rail};
use primitives::CallError;
use queue::{Lease, Outcome};
use serde_json::json;
use settlement::{
    case,
    jobs::{PayOut, ResolvePayout},
    payout::{self, Frozen, Payout, PayoutAttempt, PayoutState, Planned},
};

use crate::{Ctx, WorkError, in_our_words};

pub(crate) async fn run(ctx: Ctx, job: PayOut, lease: Lease) -> Result<Outcome, WorkError> {
    let (payout, handle) = {
        let mut conn = ctx.conn().await?;
        let payout = payout::get_in(&mut conn, job.payout).await?;
        let handle = payout::handle_in(&mut conn, &payout).await?;
        (payout, handle)
    };
    if payout.state != PayoutState::Planned {
        return Ok(Outcome::Done);
    }
    let rail = ctx.connectors.rail(&payout.rail)?;
    let handle = match handle {
        Some((contact_id, fund_account_id)) => BeneficiaryHandle { contact_id, fund_account_id },
        None => match ensure_beneficiary(&ctx, rail, &payout, &lease).await? {
            Some(handle) => handle,
            None => return Ok(Outcome::Done),
        },
    };

    // Plan: hold the rupees, store the bytes.
    let mut tx = ctx.begin(&lease).await?;
    let narration = ctx.base.settings.narration.clone();
    let freeze = |payout: &Payout, attempt: i32| freeze(rail, payout, attempt, &handle, &narration);
    let planned =
        payout::plan_attempt_in(&mut tx, &ctx.base, job.payout, &freeze).await.map_err(Into::into);
    let attempt = match planned {
        Ok(Planned::Attempt(attempt)) => attempt,
        Ok(Planned::Stopped) => return Ok(ctx.again_in(15)),
        Ok(Planned::NotDue) => return ctx.finish(tx, &lease, Outcome::Done).await,
        Err(error) => {
            tx.rollback().await?;
            return short_of_float(&ctx, &payout, &lease, error).await;
        }
    };
    let follow = ResolvePayout { payout: job.payout };
    queue::enqueue(&mut tx, &follow, ctx.now() + chrono::TimeDelta::seconds(30)).await?;
    tx.commit().await?;

    send(&ctx, rail, &attempt, &lease).await
}

/// The rail's handles of the payee, created once. `None` when the rail will not have the payee.
async fn ensure_beneficiary(
    ctx: &Ctx,
    rail: &dyn Rail,
    payout: &Payout,
    lease: &Lease,
) -> Result<Option<BeneficiaryHandle>, WorkError> {
    let who = Beneficiary {
        reference: payout.destination.to_string(),
        name: payout.payee_name.clone(),
        vpa: payout.vpa.clone(),
    };
    match rail.ensure_beneficiary(&who).await {
        Ok(handle) => {
            let mut tx = ctx.begin(lease).await?;
            let (contact, account) = (&handle.contact_id, &handle.fund_account_id);
            payout::keep_handle_in(&mut tx, &ctx.base, payout, contact, account).await?;
            tx.commit().await?;
            Ok(Some(handle))
        }
        Err(CallError::Rejected { code, reason }) => {
            let mut tx = ctx.begin(lease).await?;
            let why = format!("beneficiary refused: {code}: {reason}");
            payout::refuse_planned_in(&mut tx, &ctx.base, payout.id, &why).await?;
            ctx.finish(tx, lease, Outcome::Done).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn freeze(
    rail: &dyn Rail,
    payout: &Payout,
    attempt: i32,
    handle: &BeneficiaryHandle,
    narration: &str,
) -> Frozen {
    let request = rail.freeze(&PayoutOrder {
        payout: payout.id,
        attempt,
        amount: payout.amount,
        handle: handle.clone(),
        narration: narration.to_owned(),
    });
    Frozen {
        idempotency_key: request.idempotency_key,
        reference: request.reference,
        fund_account_id: handle.fund_account_id.clone(),
        body: request.body,
    }
}

async fn send(
    ctx: &Ctx,
    rail: &dyn Rail,
    attempt: &PayoutAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let marked = payout::mark_sent_in(&mut tx, &ctx.base, attempt).await?;
    tx.commit().await?;
    if !marked {
        // Somebody else sends it, or payouts are switched off: look again, it may still be planned.
        return Ok(ctx.again_in(15));
    }
    // Call: nothing is open here, and nothing may retry it.
    let answer = rail.send(&request_of(attempt)).await;

    let mut tx = ctx.begin(lease).await?;
    let outcome = record_answer(ctx, &mut tx, attempt, answer).await?;
    ctx.finish(tx, lease, outcome).await
}

/// The stored bytes of an attempt, as they are sent every time.
pub(crate) fn request_of(attempt: &PayoutAttempt) -> FrozenRequest {
    FrozenRequest {
        idempotency_key: attempt.idempotency_key.clone(),
        reference: attempt.reference.clone(),
        body: attempt.body.clone(),
    }
}

/// Records what the rail answered to a send, first or repeated.
pub(crate) async fn record_answer(
    ctx: &Ctx,
    conn: &mut sqlx::PgConnection,
    attempt: &PayoutAttempt,
    answer: primitives::CallResult<payouts::RailPayout>,
) -> Result<Outcome, WorkError> {
    let (base, id, n) = (&ctx.base, attempt.payout, attempt.attempt);
    let follow = ResolvePayout { payout: id };
    let soon = ctx.now() + chrono::TimeDelta::seconds(1);
    match answer {
        Ok(told) => {
            payout::record_in(conn, base, id, n, &in_our_words::rail_payout(&told)).await?;
            queue::enqueue(conn, &follow, soon).await?;
            Ok(Outcome::Done)
        }
        // Another body under this key: whatever was sent first may have paid. Never a new attempt.
        Err(CallError::Rejected { code, .. }) if code == payouts::BODY_MISMATCH => {
            payout::unknown_in(conn, base, id, n, &code).await?;
            let new = case::NewCase {
                kind: "payout_body_mismatch",
                subject: &attempt.reference,
                payment: None,
                amount: None,
                detail: json!({ "payout": id, "attempt": n }),
            };
            case::open_in(conn, base, new).await?;
            Ok(Outcome::Stop("the rail knows another body under this key".to_owned()))
        }
        Err(CallError::Rejected { code, reason }) => {
            let why = format!("{code}: {reason}");
            payout::refused_in(conn, base, id, n, &why).await?;
            Ok(Outcome::Done)
        }
        Err(CallError::NotSent(why)) => {
            payout::unsent_in(conn, base, id, n, &why).await?;
            Ok(ctx.again_in(5))
        }
        Err(CallError::RateLimited { retry_after_s }) => {
            payout::unsent_in(conn, base, id, n, "rate limited").await?;
            Ok(ctx.again_in(i64::try_from(retry_after_s).unwrap_or(60).max(1)))
        }
        Err(CallError::Unknown(why)) => {
            payout::unknown_in(conn, base, id, n, &why).await?;
            queue::enqueue(conn, &follow, soon).await?;
            Ok(Outcome::Done)
        }
    }
}

/// The float is lower than what is owed: the rupees stay owed, somebody must top up.
async fn short_of_float(
    ctx: &Ctx,
    payout: &Payout,
    lease: &Lease,
    error: WorkError,
) -> Result<Outcome, WorkError> {
    if !error.is_overdraw() {
        return Err(error);
    }
    let mut tx = ctx.begin(lease).await?;
    let new = case::NewCase {
        kind: "float_short",
        subject: &format!("{}:{}", payout.rail, ctx.now().date_naive()),
        payment: Some(payout.payment),
        amount: Some(payout.amount),
        detail: json!({ "rail": payout.rail }),
    };
    case::open_in(&mut tx, &ctx.base, new).await?;
    let later = ctx.again_in(60);
    ctx.finish(tx, lease, later).await
}
