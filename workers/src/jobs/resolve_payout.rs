//! Follow a payout until its outcome is certain, and on through the days in which a paid one may
//! still be reversed.
//!
//! A payout whose answer was lost is resolved by sending the same key and the same bytes again: the
//! rail answers with the payout it has, or creates it once. A new key is never made here.

use chrono::{DateTime, TimeDelta, Utc};
use queue::{Lease, Outcome};
use serde_json::json;
use settlement::{
    case,
    jobs::ResolvePayout,
    payout::{self, Payout, PayoutAttempt, PayoutState},
    switch::{self, Switch},
};

use super::pay_out::{record_answer, request_of};
use crate::{Ctx, WorkError, in_our_words};

/// A send that has not answered yet may still be under way in the process that began it.
const SEND_LIMIT: TimeDelta = TimeDelta::seconds(45);
/// The rail's own rule: what it does not list this long after it was sent never was.
const ABSENT_AFTER: TimeDelta = TimeDelta::hours(1);
/// A payout in progress this long is shown to a person; asking goes on.
const SLOW_CASE: TimeDelta = TimeDelta::days(1);
/// A payout whose fate is unknown this long is shown to a person; asking goes on.
const UNKNOWN_CASE: TimeDelta = TimeDelta::minutes(15);

pub(crate) async fn run(ctx: Ctx, job: ResolvePayout, lease: Lease) -> Result<Outcome, WorkError> {
    let (payout, attempt) = {
        let mut conn = ctx.conn().await?;
        let payout = payout::get_in(&mut conn, job.payout).await?;
        (payout, payout::attempt_in(&mut conn, job.payout).await?)
    };
    let Some(attempt) = attempt else { return Ok(Outcome::Done) };
    match payout.state {
        PayoutState::Submitted if is_under_way(&ctx, &attempt) => {
            Ok(Outcome::Again(attempt.sent_at.unwrap_or(ctx.now()) + SEND_LIMIT))
        }
        PayoutState::Submitted | PayoutState::Unknown => {
            settle_unknown(&ctx, &payout, &attempt, &lease).await
        }
        PayoutState::Pending | PayoutState::Queued | PayoutState::Processing => {
            let age = ctx.now() - attempt.sent_at.unwrap_or(ctx.now());
            show_slow(&ctx, &payout, &attempt, &lease, age).await?;
            let next = ctx.now() + pause(age);
            ask(&ctx, &attempt, &lease, Some(next)).await?;
            Ok(Outcome::Again(next))
        }
        PayoutState::Paid => watch_paid(&ctx, &payout, &attempt, &lease).await,
        _ => Ok(Outcome::Done),
    }
}

fn is_under_way(ctx: &Ctx, attempt: &PayoutAttempt) -> bool {
    attempt.state == "sent" && attempt.sent_at.is_some_and(|at| ctx.now() < at + SEND_LIMIT)
}

/// The ladder of a thing in progress: often while it is young, seldom when it is old.
fn pause(age: TimeDelta) -> TimeDelta {
    let seconds = age.num_seconds();
    TimeDelta::seconds(match seconds {
        ..15 => 1,
        15..60 => 5,
        60..600 => 30,
        600..3_600 => 120,
        _ => 900,
    })
}

async fn settle_unknown(
    ctx: &Ctx,
    payout: &Payout,
    attempt: &PayoutAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let rail = ctx.connectors.rail(&payout.rail)?;
    let sent_at = attempt.sent_at.unwrap_or(ctx.now());
    let key_lives = ctx.now() < sent_at + TimeDelta::seconds(ctx.base.settings.payout_key_life_s);
    let may_send = key_lives && {
        let mut conn = ctx.conn().await?;
        switch::is_open_in(&mut conn, Switch::Payouts).await?
    };
    // Sending again can create the payout; where that may not be, only a find is allowed.
    let answer = if may_send {
        rail.send(&request_of(attempt)).await
    } else {
        match rail.find(&attempt.reference).await? {
            Some(found) => Ok(found),
            None => return still_unknown(ctx, payout, attempt, lease, sent_at).await,
        }
    };
    match answer {
        Ok(told) => record(ctx, attempt, lease, &told).await,
        rejected @ Err(primitives::CallError::Rejected { .. }) => {
            // The first send may have been taken before the rail began to refuse: look once more.
            if let Some(found) = rail.find(&attempt.reference).await? {
                return record(ctx, attempt, lease, &found).await;
            }
            if ctx.now() < sent_at + ABSENT_AFTER {
                return still_unknown(ctx, payout, attempt, lease, sent_at).await;
            }
            let mut tx = ctx.begin(lease).await?;
            let outcome = record_answer(ctx, &mut tx, attempt, rejected).await?;
            ctx.finish(tx, lease, outcome).await
        }
        Err(error) => {
            tracing::warn!(payout = %payout.id, %error, "payout still unknown");
            still_unknown(ctx, payout, attempt, lease, sent_at).await
        }
    }
}

async fn record(
    ctx: &Ctx,
    attempt: &PayoutAttempt,
    lease: &Lease,
    told: &payouts::RailPayout,
) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let (id, n) = (attempt.payout, attempt.attempt);
    payout::unknown_in(&mut tx, &ctx.base, id, n, "no answer was recorded").await?;
    payout::record_in(&mut tx, &ctx.base, id, n, &in_our_words::rail_payout(told)).await?;
    let soon = ctx.again_in(1);
    ctx.finish(tx, lease, soon).await
}

async fn still_unknown(
    ctx: &Ctx,
    payout: &Payout,
    attempt: &PayoutAttempt,
    lease: &Lease,
    sent_at: DateTime<Utc>,
) -> Result<Outcome, WorkError> {
    let age = ctx.now() - sent_at;
    if age > UNKNOWN_CASE {
        let mut tx = ctx.begin(lease).await?;
        let new = case::NewCase {
            kind: "payout_unknown",
            subject: &attempt.reference,
            payment: Some(payout.payment),
            amount: Some(payout.amount),
            detail: json!({ "attempt": attempt.attempt }),
        };
        case::open_in(&mut tx, &ctx.base, new).await?;
        tx.commit().await?;
    }
    Ok(Outcome::Again(ctx.now() + pause(age).max(TimeDelta::seconds(3))))
}

/// Asks the rail by its own id and records the answer; with a time, the job ends until then.
async fn ask(
    ctx: &Ctx,
    attempt: &PayoutAttempt,
    lease: &Lease,
    next: Option<DateTime<Utc>>,
) -> Result<(), WorkError> {
    let payout = {
        let mut conn = ctx.conn().await?;
        payout::get_in(&mut conn, attempt.payout).await?
    };
    let rail = ctx.connectors.rail(&payout.rail)?;
    let told = match &attempt.rail_payout_id {
        Some(id) => Some(rail.fetch(id).await?),
        None => rail.find(&attempt.reference).await?,
    };
    let Some(told) = told else { return Ok(()) };
    let mut tx = ctx.begin(lease).await?;
    let facts = in_our_words::rail_payout(&told);
    payout::record_in(&mut tx, &ctx.base, attempt.payout, attempt.attempt, &facts).await?;
    match next {
        Some(next) => drop(ctx.finish(tx, lease, Outcome::Again(next)).await?),
        None => tx.commit().await?,
    }
    Ok(())
}

/// A payout that stays in progress for days is no error, but somebody should know.
async fn show_slow(
    ctx: &Ctx,
    payout: &Payout,
    attempt: &PayoutAttempt,
    lease: &Lease,
    age: TimeDelta,
) -> Result<(), WorkError> {
    if age < SLOW_CASE {
        return Ok(());
    }
    let mut tx = ctx.begin(lease).await?;
    let new = case::NewCase {
        kind: "payout_slow",
        subject: &attempt.reference,
        payment: Some(payout.payment),
        amount: Some(payout.amount),
        detail: json!({ "state": payout.state.name() }),
    };
    case::open_in(&mut tx, &ctx.base, new).await?;
    tx.commit().await?;
    Ok(())
}

async fn watch_paid(
    ctx: &Ctx,
    payout: &Payout,
    attempt: &PayoutAttempt,
    lease: &Lease,
) -> Result<Outcome, WorkError> {
    let paid_at = payout.paid_at.unwrap_or(ctx.now());
    let final_at = paid_at + TimeDelta::seconds(ctx.base.settings.payout_final_s);
    if ctx.now() >= final_at {
        // A timer is no proof: the rail must say once more, now, that it is paid.
        ask(ctx, attempt, lease, None).await?;
        let mut tx = ctx.begin(lease).await?;
        payout::finalize_in(&mut tx, &ctx.base, payout.id).await?;
        return ctx.finish(tx, lease, Outcome::Done).await;
    }
    let age = ctx.now() - paid_at;
    let wait = if payout.utr.is_none() { pause(age) } else { paid_pause(age) };
    let next = (ctx.now() + wait).min(final_at);
    ask(ctx, attempt, lease, Some(next)).await?;
    Ok(Outcome::Again(next))
}

/// A reversal is announced by webhook; asking is the net below it.
fn paid_pause(age: TimeDelta) -> TimeDelta {
    match age.num_minutes() {
        ..2 => TimeDelta::seconds(15),
        2..60 => TimeDelta::minutes(5),
        _ => TimeDelta::hours(6),
    }
}
