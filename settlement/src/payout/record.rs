//! Recording what the rail says of a payout. Webhook reader, sender and resolver all end here;
//! whichever comes first, the others find nothing to do.
//!
//! Invariant: only the rail's own fetched word moves money; who was paid and how much must be what
//! we froze, or nothing is believed and a person is called.

use chrono::TimeDelta;
use primitives::{Amount, PayoutId};
use serde_json::json;
use sqlx::PgConnection;

use super::{Payout, PayoutEvent, PayoutState, get_in, lock_in, plan::stop_in, store::step_in};
use crate::{
    Base, Error, bookkeeping, case,
    jobs::{PayOut, ResolvePayout},
    money_column,
    payment::{self, PaymentEvent, PaymentState},
};

/// Where the rail says an attempt stands, in our words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RailOutcome {
    Pending,
    Queued,
    Processing,
    Processed,
    Failed,
    Rejected,
    Cancelled,
    Reversed,
}

impl RailOutcome {
    const fn attempt_state(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Processed => "processed",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Reversed => "reversed",
        }
    }

    const fn event(self) -> PayoutEvent {
        match self {
            Self::Pending => PayoutEvent::SaidPending,
            Self::Queued => PayoutEvent::SaidQueued,
            Self::Processing => PayoutEvent::SaidProcessing,
            Self::Processed => PayoutEvent::SaidPaid,
            Self::Failed => PayoutEvent::SaidFailed,
            Self::Rejected => PayoutEvent::SaidRejected,
            Self::Cancelled => PayoutEvent::SaidCancelled,
            Self::Reversed => PayoutEvent::SaidReversed,
        }
    }
}

/// What the rail told about one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RailFacts {
    pub rail_payout_id: String,
    pub outcome: RailOutcome,
    pub amount: Amount,
    pub fund_account_id: String,
    pub fees: Option<Amount>,
    pub tax: Option<Amount>,
    pub utr: Option<String>,
    pub reason: Option<String>,
    pub retryable: bool,
}

/// Records the rail's word about an attempt.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn record_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    attempt: i32,
    facts: &RailFacts,
) -> Result<(), Error> {
    let owner = get_in(conn, id).await?.payment;
    payment::lock_in(conn, owner).await?;
    let mut payout = lock_in(conn, id).await?;
    let Some(known) = stored(conn, id, attempt).await? else {
        return Err(Error::Inconsistent("the rail knows an attempt we do not".into()));
    };
    let another = known.rail_payout_id.as_ref().is_some_and(|id| *id != facts.rail_payout_id);
    if another || facts.amount != payout.amount || facts.fund_account_id != known.fund_account_id {
        return disagree(conn, base, &payout, attempt, facts).await;
    }
    let newest: i32 =
        sqlx::query_scalar("select max(attempt) from payout_attempts where payout_id = $1")
            .bind(id.uuid())
            .fetch_one(&mut *conn)
            .await?;
    if newest != attempt {
        return old_attempt(conn, base, &payout, attempt, &known.state, facts).await;
    }
    let from = payout.state;
    let was_paid = matches!(from, PayoutState::Paid | PayoutState::Final);
    if facts.outcome.attempt_state() == known.state {
        return late_details(conn, base, &mut payout, attempt, facts).await;
    }
    // A paid payout that is told to have failed was reversed in between, and we were not told.
    let event = match facts.outcome {
        RailOutcome::Failed if was_paid => PayoutEvent::SaidReversed,
        outcome => outcome.event(),
    };
    if from.next(event).is_err() {
        return out_of_order(conn, base, &mut payout, attempt, &known.state, facts).await;
    }
    store_facts(conn, base, id, attempt, facts).await?;
    // A UTR belongs to the attempt that paid, and to no other.
    payout.utr = facts.utr.clone().filter(|_| facts.outcome == RailOutcome::Processed);
    let cause = json!({ "attempt": attempt, "reason": facts.reason, "utr": facts.utr });
    step_in(conn, base, &mut payout, event, cause).await?;
    match facts.outcome {
        RailOutcome::Pending | RailOutcome::Queued | RailOutcome::Processing => Ok(()),
        RailOutcome::Processed => paid(conn, base, &payout, attempt, facts).await,
        RailOutcome::Reversed | RailOutcome::Failed if was_paid => {
            returned(conn, base, &mut payout, attempt, facts).await
        }
        _ => {
            bookkeeping::payout_failed(conn, base, &payout, attempt).await?;
            let may_retry = match facts.outcome {
                RailOutcome::Reversed => may_repay(base, &payout, attempt),
                _ => facts.retryable,
            };
            again_or_stop(conn, base, &mut payout, attempt, may_retry, facts).await
        }
    }
}

/// A reversal has one rule, whether or not we heard in between that it was paid: which words of
/// the rail reached us must not decide what happens to the merchant.
fn may_repay(base: &Base, payout: &Payout, attempt: i32) -> bool {
    attempt == 1 && payout.amount.minor() <= i128::from(base.settings.repay_max_paise)
}

struct Stored {
    state: String,
    rail_payout_id: Option<String>,
    fund_account_id: String,
}

async fn stored(
    conn: &mut PgConnection,
    id: PayoutId,
    attempt: i32,
) -> Result<Option<Stored>, Error> {
    let row: Option<(String, Option<String>, String)> = sqlx::query_as(
        "select state, rail_payout_id, fund_account_id from payout_attempts
         where payout_id = $1 and attempt = $2",
    )
    .bind(id.uuid())
    .bind(attempt)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(state, rail_payout_id, fund_account_id)| Stored {
        state,
        rail_payout_id,
        fund_account_id,
    }))
}

async fn store_facts(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    attempt: i32,
    facts: &RailFacts,
) -> Result<(), Error> {
    sqlx::query(
        "update payout_attempts set state = $3, rail_payout_id = $4, utr = coalesce($5, utr),
           fees_minor = coalesce($6::text::numeric, fees_minor),
           tax_minor = coalesce($7::text::numeric, tax_minor), reason = $8, retryable = $9,
           settled_at = $10
         where payout_id = $1 and attempt = $2",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(facts.outcome.attempt_state())
    .bind(&facts.rail_payout_id)
    .bind(&facts.utr)
    .bind(facts.fees.map(money_column::minor))
    .bind(facts.tax.map(money_column::minor))
    .bind(&facts.reason)
    .bind(facts.retryable)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

async fn paid(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
    facts: &RailFacts,
) -> Result<(), Error> {
    let cost = facts.fees.zip(facts.tax);
    bookkeeping::payout_paid(conn, base, payout, attempt, cost).await?;
    let mut payment = payment::lock_in(conn, payout.payment).await?;
    if matches!(payment.state, PaymentState::Settling | PaymentState::InReview) {
        let cause = json!({ "utr": payout.utr, "paid": payout.amount });
        payment::step_in(conn, base, &mut payment, PaymentEvent::PayoutPaid, cause).await?;
    }
    queue::enqueue(conn, &ResolvePayout { payout: payout.id }, base.now()).await?;
    Ok(())
}

/// The UTR or the charge may come after the state that carries them.
async fn late_details(
    conn: &mut PgConnection,
    base: &Base,
    payout: &mut Payout,
    attempt: i32,
    facts: &RailFacts,
) -> Result<(), Error> {
    store_facts(conn, base, payout.id, attempt, facts).await?;
    if facts.outcome == RailOutcome::Processed
        && let Some((fees, tax)) = facts.fees.zip(facts.tax)
    {
        bookkeeping::payout_cost(conn, base, payout, attempt, fees, tax).await?;
    }
    if payout.utr.is_none() && facts.utr.is_some() {
        sqlx::query("update payouts set utr = $2, updated_at = $3 where id = $1")
            .bind(payout.id.uuid())
            .bind(&facts.utr)
            .bind(base.now())
            .execute(&mut *conn)
            .await?;
        let payment = payment::lock_in(conn, payout.payment).await?;
        let data = json!({ "utr": facts.utr });
        crate::notice::tell_in(conn, base, &payment, "payout.utr", data).await?;
    }
    Ok(())
}

async fn returned(
    conn: &mut PgConnection,
    base: &Base,
    payout: &mut Payout,
    attempt: i32,
    facts: &RailFacts,
) -> Result<(), Error> {
    bookkeeping::payout_returned(conn, base, payout, attempt).await?;
    payout.utr = None;
    let mut payment = payment::lock_in(conn, payout.payment).await?;
    if payment.state == PaymentState::Settled {
        let cause = json!({ "reason": facts.reason, "returned": payout.amount });
        payment::step_in(conn, base, &mut payment, PaymentEvent::PayoutReturned, cause).await?;
    }
    let may_retry = may_repay(base, payout, attempt);
    again_or_stop(conn, base, payout, attempt, may_retry, facts).await
}

/// After a definite end: once more under a new key, or a person.
async fn again_or_stop(
    conn: &mut PgConnection,
    base: &Base,
    payout: &mut Payout,
    attempt: i32,
    may_retry: bool,
    facts: &RailFacts,
) -> Result<(), Error> {
    let reason = facts.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
    if !may_retry || attempt >= base.settings.payout_attempts_max {
        return stop_in(conn, base, payout, &reason).await;
    }
    step_in(conn, base, payout, PayoutEvent::TryAgain, json!({ "after": reason })).await?;
    let wait_s = 2_i64.saturating_pow(attempt.unsigned_abs().min(10));
    let at = base.now() + TimeDelta::seconds(wait_s);
    queue::enqueue(conn, &PayOut { payout: payout.id }, at).await?;
    Ok(())
}

/// A word that does not follow from the one we know. Most are merely late: events come unordered.
/// One that says an attempt paid after we booked that it did not stops everything: a new attempt
/// would pay twice.
async fn out_of_order(
    conn: &mut PgConnection,
    base: &Base,
    payout: &mut Payout,
    attempt: i32,
    known: &str,
    facts: &RailFacts,
) -> Result<(), Error> {
    let ended = matches!(known, "failed" | "rejected" | "cancelled" | "reversed");
    if facts.outcome != RailOutcome::Processed || !ended {
        return Ok(());
    }
    old_attempt(conn, base, payout, attempt, known, facts).await?;
    if payout.state == PayoutState::Planned {
        stop_in(conn, base, payout, "an attempt booked as unpaid is told to have paid").await?;
    }
    Ok(())
}

/// A word about an attempt that a newer one has replaced. Harmless when it is what ended it;
/// anything else would mean that two attempts paid.
async fn old_attempt(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
    known: &str,
    facts: &RailFacts,
) -> Result<(), Error> {
    let says = facts.outcome.attempt_state();
    let harmless = says == known
        || matches!(facts.outcome, RailOutcome::Reversed) && known == "failed"
        || !matches!(facts.outcome, RailOutcome::Processed);
    if harmless {
        return Ok(());
    }
    let new = case::NewCase {
        kind: "old_payout_attempt_paid",
        subject: &format!("{}:{attempt}", payout.id),
        payment: Some(payout.payment),
        amount: Some(facts.amount),
        detail: json!({ "known": known, "says": says, "rail_payout_id": facts.rail_payout_id }),
    };
    case::open_in(conn, base, new).await
}

async fn disagree(
    conn: &mut PgConnection,
    base: &Base,
    payout: &Payout,
    attempt: i32,
    facts: &RailFacts,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: "payout_mismatch",
        subject: &format!("{}:{attempt}", payout.id),
        payment: Some(payout.payment),
        amount: Some(facts.amount),
        detail: json!({ "rail_payout_id": facts.rail_payout_id, "frozen": payout.amount }),
    };
    case::open_in(conn, base, new).await
}

/// The rail refused the request itself: no payout exists under this key.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn refused_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    attempt: i32,
    reason: &str,
) -> Result<(), Error> {
    let owner = get_in(conn, id).await?.payment;
    payment::lock_in(conn, owner).await?;
    let mut payout = lock_in(conn, id).await?;
    let ended = sqlx::query(
        "update payout_attempts set state = 'rejected', reason = $3, settled_at = $4
         where payout_id = $1 and attempt = $2 and state in ('sent', 'unknown')",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(reason)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(());
    }
    let cause = json!({ "attempt": attempt, "reason": reason });
    step_in(conn, base, &mut payout, PayoutEvent::SaidRejected, cause).await?;
    bookkeeping::payout_failed(conn, base, &payout, attempt).await?;
    stop_in(conn, base, &mut payout, reason).await
}

/// Nothing left this machine: the same attempt may be sent again, byte for byte.
///
/// # Errors
/// `Database`.
pub async fn unsent_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    attempt: i32,
    why: &str,
) -> Result<(), Error> {
    set_sent_to(conn, base, id, attempt, "planned", PayoutEvent::NotSent, why).await
}

/// The answer was lost: only the resolver may move it now.
///
/// # Errors
/// `Database`.
pub async fn unknown_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    attempt: i32,
    why: &str,
) -> Result<(), Error> {
    set_sent_to(conn, base, id, attempt, "unknown", PayoutEvent::AnswerLost, why).await
}

#[expect(clippy::too_many_arguments, reason = "one private step shared by two doors")]
async fn set_sent_to(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    attempt: i32,
    state: &'static str,
    event: PayoutEvent,
    why: &str,
) -> Result<(), Error> {
    let mut payout = lock_in(conn, id).await?;
    let moved = sqlx::query(
        "update payout_attempts set state = $3, reason = $4
         where payout_id = $1 and attempt = $2 and state = 'sent'",
    )
    .bind(id.uuid())
    .bind(attempt)
    .bind(state)
    .bind(why)
    .execute(&mut *conn)
    .await?;
    if moved.rows_affected() == 0 {
        return Ok(());
    }
    step_in(conn, base, &mut payout, event, json!({ "attempt": attempt, "why": why })).await
}

/// The rail will not have this beneficiary: nothing was sent, a person must look.
///
/// # Errors
/// `Database`.
pub async fn refuse_planned_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PayoutId,
    reason: &str,
) -> Result<(), Error> {
    let owner = get_in(conn, id).await?.payment;
    payment::lock_in(conn, owner).await?;
    let mut payout = lock_in(conn, id).await?;
    if payout.state != PayoutState::Planned {
        return Ok(());
    }
    stop_in(conn, base, &mut payout, reason).await
}

/// Ends the time in which a paid payout can be reversed.
///
/// # Errors
/// `Database`.
pub async fn finalize_in(conn: &mut PgConnection, base: &Base, id: PayoutId) -> Result<(), Error> {
    let mut payout = lock_in(conn, id).await?;
    let over = payout
        .paid_at
        .is_some_and(|at| base.now() >= at + TimeDelta::seconds(base.settings.payout_final_s));
    if payout.state != PayoutState::Paid || !over {
        return Ok(());
    }
    step_in(conn, base, &mut payout, PayoutEvent::ReversalOver, json!({})).await
}
