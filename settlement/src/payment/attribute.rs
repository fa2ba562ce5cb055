//! Giving money that was set aside to the payment it is for: by a policy, or by a person.
//!
//! Invariant: only final money that is still in suspense moves, once, and only to a payment that
//! has not been accepted. What was promised back of it, or for that payment, is taken back first;
//! what was sent, or may be on its way to an address, is never touched.

use chrono::TimeDelta;
use primitives::{Amount, DepositId, PaymentId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Payment, PaymentEvent, PaymentState,
    accept::accept_if_covered_in,
    arrived::{close_in, note_outcome_in, policy_of_in},
    get_in, lengthen_in, lock_all_in, lock_in, step_in,
};
use crate::{
    Base, Error,
    bookkeeping::promises,
    deposit::{self, Deposit, DepositState, Purpose},
    exposure, notice, quote,
    quote::{Quote, QuoteError},
    refund::{self, RefundState},
};

/// Who decided it, and what it is called in the outcomes.
pub(super) struct How<'a> {
    pub outcome: &'static str,
    pub policy: i32,
    pub why: &'a str,
}

/// Moves a deposit out of suspense to a payment, at a quote, and accepts the payment if that covers
/// it. What is still missing can be topped up until the quote's time is up.
pub(super) async fn assign_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    deposit: &mut Deposit,
    quote: &Quote,
    how: &How<'_>,
) -> Result<(), Error> {
    let left = deposit::left_in(conn, deposit.id).await?;
    promises::found_its_owner(conn, base, deposit, left, payment).await?;
    sqlx::query(
        "update deposits set payment_id = $2, quote_id = $3, purpose = 'payment', reason = null,
           updated_at = $4 where id = $1",
    )
    .bind(deposit.id.uuid())
    .bind(payment.id.uuid())
    .bind(quote.id.uuid())
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    deposit.payment = Some(payment.id);
    deposit.quote = Some(quote.id);
    deposit.purpose = Purpose::Payment;
    note_outcome_in(conn, base, deposit, how.outcome, how.policy, how.why).await?;
    let cause = json!({
        "deposit": deposit.id, "quote": quote.id, "outcome": how.outcome,
        "policy_version": how.policy,
    });
    match payment.state {
        PaymentState::Expired | PaymentState::InReview => {
            step_in(conn, base, payment, PaymentEvent::Reopened, cause.clone()).await?;
        }
        _ => step_in(conn, base, payment, PaymentEvent::DepositSeen, cause.clone()).await?,
    }
    notice::tell_in(conn, base, payment, "deposit.attributed", cause).await?;
    accept_if_covered_in(conn, base, payment.id, quote.id).await?;
    *payment = lock_in(conn, payment.id).await?;
    let time_is_up = payment.expires_at <= base.now();
    if payment.state.is_payable() && time_is_up {
        let validity = TimeDelta::seconds(base.settings.quote_validity_s);
        lengthen_in(conn, base, payment, base.now() + validity).await?;
    }
    Ok(())
}

/// At which price a person gives money to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtPrice {
    /// At the rate of now.
    Today,
    /// At the last quote of the payment for that way of paying, whenever it was.
    Quoted,
}

/// What became of the payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributed {
    pub state: PaymentState,
    pub quote: Quote,
    /// What is still missing.
    pub due: Amount,
}

/// Why a deposit was not given to a payment; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum AttributeError {
    #[error("no such deposit")]
    NoDeposit,
    #[error("no such payment")]
    NoPayment,
    #[error("a deposit in state {0} is not final")]
    NotFinal(DepositState),
    #[error("the deposit counts towards its payment already")]
    Counts,
    #[error("the deposit was sent back, or may be: its refund has an address")]
    SentBack,
    #[error("nothing of the deposit is left to give: it made good a loss of the house")]
    Borne,
    #[error("a payment in state {0} takes no money")]
    TakesNone(PaymentState),
    #[error("money of that payment was sent back, or may be: it needs a new payment")]
    Refunded,
    #[error("the payment was never quoted for this way of paying")]
    NeverQuoted,
    #[error(transparent)]
    NoPrice(#[from] QuoteError),
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for AttributeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

fn missing(error: &Error) -> bool {
    matches!(error, Error::Database(sqlx::Error::RowNotFound))
}

/// The deposit with this id, if there is one.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub(crate) async fn find_deposit_in(
    conn: &mut PgConnection,
    id: DepositId,
) -> Result<Option<Deposit>, Error> {
    match deposit::get_in(conn, id).await {
        Ok(deposit) => Ok(Some(deposit)),
        Err(error) if missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A person gives a deposit that was set aside to a payment.
///
/// # Errors
/// `AttributeError`.
pub async fn attribute_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: DepositId,
    to: PaymentId,
    price: AtPrice,
) -> Result<Attributed, AttributeError> {
    let unlocked = find_deposit_in(conn, deposit).await?.ok_or(AttributeError::NoDeposit)?;
    match get_in(conn, to).await {
        Err(error) if missing(&error) => return Err(AttributeError::NoPayment),
        found => drop(found?),
    }
    let both = [Some(to), unlocked.payment].into_iter().flatten();
    let locked = lock_all_in(conn, both).await?;
    let mut deposit = deposit::lock_in(conn, deposit).await?;
    if deposit.payment != unlocked.payment {
        return Err(Error::Overtaken("the deposit found another payment meanwhile").into());
    }
    let of = |id: PaymentId| locked.iter().find(|p| p.id == id).cloned();
    let mut payment = of(to).ok_or(AttributeError::NoPayment)?;
    let from = deposit.payment.filter(|id| *id != to).and_then(of);
    let reason = may_move(&deposit, &payment)?;
    if !deposit::left_in(conn, deposit.id).await?.is_positive() {
        return Err(AttributeError::Borne);
    }
    let refunds = refund::of_deposit_in(conn, deposit.id).await?;
    if refunds.iter().any(|refund| may_have_left(refund.state)) {
        return Err(AttributeError::SentBack);
    }
    if price == AtPrice::Today {
        // Before the books are touched.
        exposure::wait_for_turn_in(conn, base, deposit.amount.asset()).await?;
    }
    refund::withdraw_of_deposit_in(conn, base, deposit.id, "given to a payment").await?;
    take_back_in(conn, base, &payment, &deposit).await?;
    let quote = quote_of(conn, base, &payment, &deposit, price).await?;
    close_in(conn, base, reason, &deposit.id.to_string(), "given to a payment").await?;
    let policy = policy_of_in(conn, Some(&payment)).await?.version;
    let how = How { outcome: "attributed", policy, why: "by a person" };
    assign_in(conn, base, &mut payment, &mut deposit, &quote, &how).await?;
    if let Some(mut left) = from {
        clear_in(conn, base, &mut left).await?;
    }
    let due = quote::due_in(conn, &quote).await?;
    Ok(Attributed { state: payment.state, quote, due })
}

/// Whoever knows the address of a refund may have sent it.
const fn may_have_left(state: RefundState) -> bool {
    matches!(state, RefundState::Addressed | RefundState::Sent)
}

fn may_move(deposit: &Deposit, payment: &Payment) -> Result<&'static str, AttributeError> {
    if deposit.state != DepositState::Confirmed {
        return Err(AttributeError::NotFinal(deposit.state));
    }
    let Purpose::Suspense(reason) = deposit.purpose else { return Err(AttributeError::Counts) };
    let open = payment.state.is_payable()
        || matches!(payment.state, PaymentState::Expired | PaymentState::InReview);
    if !open || payment.accepted_at.is_some() {
        return Err(AttributeError::TakesNone(payment.state));
    }
    Ok(reason.name())
}

/// What came for the payment before in the same way, and was promised back when its time was up,
/// counts again.
async fn take_back_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    deposit: &Deposit,
) -> Result<(), AttributeError> {
    for mut refund in refund::of_payment_in(conn, payment.id).await? {
        let same =
            refund.network == deposit.network && refund.amount.asset() == deposit.amount.asset();
        if !same || refund.deposit.is_some() {
            continue;
        }
        if may_have_left(refund.state) {
            return Err(AttributeError::Refunded);
        }
        if refund.state == RefundState::Promised {
            refund::withdraw_in(conn, base, &mut refund, "the payment goes on").await?;
        }
    }
    Ok(())
}

async fn quote_of(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    deposit: &Deposit,
    price: AtPrice,
) -> Result<Quote, AttributeError> {
    let (network, asset) = (&deposit.network, deposit.amount.asset());
    if price == AtPrice::Today {
        return Ok(quote::requote_in(conn, base, payment, network, asset).await?);
    }
    let quotes = quote::of_payment(conn, payment.id).await?;
    let last = quotes.into_iter().rfind(|q| q.network == *network && q.asset == asset);
    last.ok_or(AttributeError::NeverQuoted)
}

/// The payment the money was first taken for is where it would be without it.
async fn clear_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
) -> Result<(), Error> {
    if payment.state != PaymentState::InReview || payment.accepted_at.is_some() {
        return Ok(());
    }
    let more: bool = sqlx::query_scalar(
        "select exists (select from deposits where payment_id = $1
             and state in ('seen', 'confirmed'))
           or exists (select from refunds where payment_id = $1
             and state in ('promised', 'addressed'))",
    )
    .bind(payment.id.uuid())
    .fetch_one(&mut *conn)
    .await?;
    if more {
        return Ok(());
    }
    step_in(conn, base, payment, PaymentEvent::Cleared, json!({})).await
}
