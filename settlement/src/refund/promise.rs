//! Promising crypto back, and taking a promise back before anything was sent.
//!
//! Invariant: an event is promised once, whoever asks again; a promise that was withdrawn may be
//! made anew under the next number of the same event. Only a promise without an address is
//! withdrawn: one with an address may be on its way, whatever the chain shows so far.

use primitives::{Amount, DepositId, NetworkId, PaymentId, RefundId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Refund, RefundEvent, RefundState,
    store::{of_deposit_in, of_subject_in, step_in},
};
use crate::{
    Base, Error, Record,
    bookkeeping::promises::{self, TakenFrom},
    case,
    deposit::{self, DepositState, Purpose},
    money_column, notice,
    payment::{self, Payment, PaymentEvent, PaymentState},
    record_in,
};

/// What is owed back, to whom, and why.
#[derive(Debug)]
pub(crate) struct Promise<'a> {
    pub payment: Option<&'a Payment>,
    pub deposit: Option<DepositId>,
    pub network: &'a NetworkId,
    pub amount: Amount,
    pub from: TakenFrom,
    /// The kind of the case that asks for the payer's address.
    pub kind: &'static str,
    /// Names the event once.
    pub subject: &'a str,
    /// The version of the policy that decided it.
    pub policy: i32,
}

/// Books crypto as owed back to a payer, and opens the case that asks for the payer's address. What
/// the same event was promised before counts: only the difference is promised now.
pub(crate) async fn promise_in(
    conn: &mut PgConnection,
    base: &Base,
    promise: &Promise<'_>,
) -> Result<(), Error> {
    let earlier = of_subject_in(conn, promise.subject).await?;
    let mut missing = promise.amount;
    for live in earlier.iter().filter(|r| r.state != RefundState::Withdrawn) {
        missing = missing.checked_sub(live.amount)?;
    }
    if !missing.is_positive() {
        return Ok(());
    }
    let subject = match earlier.len() {
        0 => promise.subject.to_owned(),
        number => format!("{}#{}", promise.subject, number.saturating_add(1)),
    };
    let refund = Refund {
        id: RefundId::from_uuid(primitives::derived_uuid(&["refund", &subject])),
        subject,
        payment: promise.payment.map(|p| p.id),
        merchant: promise.payment.map(|p| p.merchant),
        deposit: promise.deposit,
        network: promise.network.clone(),
        amount: missing,
        kind: promise.kind.to_owned(),
        state: RefundState::Promised,
        address: None,
        proof: None,
        tx_id: None,
        ordinal: None,
        promised_at: base.now(),
    };
    insert(conn, &refund).await?;
    promises::refund_promised(conn, base, &refund, promise.from).await?;
    let detail = json!({
        "promised": missing, "to": "an address the payer proves", "refund": refund.id,
        "network": promise.network, "policy_version": promise.policy,
    });
    let new = case::NewCase {
        kind: promise.kind,
        subject: promise.subject,
        payment: refund.payment,
        amount: Some(missing),
        detail,
    };
    case::open_in(conn, base, new).await?;
    if let Some(payment) = promise.payment {
        let data = json!({ "refund": refund.id, "amount": missing, "why": promise.kind });
        notice::tell_in(conn, base, payment, "refund.promised", data).await?;
    }
    Ok(())
}

async fn insert(conn: &mut PgConnection, refund: &Refund) -> Result<(), Error> {
    sqlx::query(
        "insert into refunds (id, subject, payment_id, merchant_id, deposit_id, network, asset,
           amount_minor, kind, state, promised_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8::text::numeric, $9, $10, $11, $11)",
    )
    .bind(refund.id.uuid())
    .bind(&refund.subject)
    .bind(refund.payment.map(PaymentId::uuid))
    .bind(refund.merchant.map(|m| m.uuid()))
    .bind(refund.deposit.map(DepositId::uuid))
    .bind(refund.network.as_str())
    .bind(refund.amount.asset().code())
    .bind(money_column::minor(refund.amount))
    .bind(&refund.kind)
    .bind(refund.state.name())
    .bind(refund.promised_at)
    .execute(&mut *conn)
    .await?;
    let record = Record {
        entity: "refund",
        id: refund.id.uuid(),
        from: None,
        to: refund.state.name(),
        event: "promised",
        cause: json!({ "amount": refund.amount, "why": refund.kind }),
        at: refund.promised_at,
    };
    record_in(conn, record).await
}

/// Takes a promise back before anything was sent: the money is where it was before, and the case
/// that asked for an address is closed.
pub(crate) async fn withdraw_in(
    conn: &mut PgConnection,
    base: &Base,
    refund: &mut Refund,
    why: &str,
) -> Result<(), Error> {
    step_in(conn, base, refund, RefundEvent::Withdraw, json!({ "why": why })).await?;
    promises::refund_withdrawn(conn, base, refund).await?;
    close_its_case(conn, base, refund, why).await
}

/// The case of a refund is that of its event.
pub(super) async fn close_its_case(
    conn: &mut PgConnection,
    base: &Base,
    refund: &Refund,
    note: &str,
) -> Result<(), Error> {
    let subject = refund.subject.split('#').next().unwrap_or_default();
    sqlx::query(
        "update cases set closed_at = $3, detail = detail || $4
         where kind = $1 and subject = $2 and closed_at is null",
    )
    .bind(&refund.kind)
    .bind(subject)
    .bind(base.now())
    .bind(json!({ "closed": note, "refund": refund.id }))
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes back every promise of one deposit that nobody can have sent, because it has no address:
/// its block is gone, or it found another use. Lock its payment first.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn withdraw_of_deposit_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: DepositId,
    why: &str,
) -> Result<(), Error> {
    for mut refund in of_deposit_in(conn, deposit).await? {
        if refund.state == RefundState::Promised {
            withdraw_in(conn, base, &mut refund, why).await?;
        }
    }
    Ok(())
}

/// Why a deposit was not promised back; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError {
    #[error("no such deposit")]
    NoDeposit,
    #[error("a deposit in state {0} is not final: nothing of it can be promised")]
    NotFinal(DepositState),
    #[error("the deposit counts towards its payment: what is owed back of it is promised already")]
    Counts,
    #[error("the deposit is promised back already")]
    Promised,
    #[error("nothing of the deposit is left to give: it made good a loss of the house")]
    Borne,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for PromiseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// A person decides that money which was set aside goes back.
///
/// # Errors
/// `PromiseError`.
pub async fn promise_deposit_in(
    conn: &mut PgConnection,
    base: &Base,
    id: DepositId,
) -> Result<(), PromiseError> {
    if payment::find_deposit_in(conn, id).await?.is_none() {
        return Err(PromiseError::NoDeposit);
    }
    let (mut owner, deposit) = deposit::lock_with_owner_in(conn, id).await?;
    if deposit.state != DepositState::Confirmed {
        return Err(PromiseError::NotFinal(deposit.state));
    }
    let Purpose::Suspense(reason) = deposit.purpose else { return Err(PromiseError::Counts) };
    let refunds = of_deposit_in(conn, id).await?;
    if refunds.iter().any(|refund| refund.state != RefundState::Withdrawn) {
        return Err(PromiseError::Promised);
    }
    let left = deposit::left_in(conn, id).await?;
    if !left.is_positive() {
        return Err(PromiseError::Borne);
    }
    let policy = payment::policy_of_in(conn, owner.as_ref()).await?.version;
    let promise = Promise {
        payment: owner.as_ref(),
        deposit: Some(id),
        network: &deposit.network,
        amount: left,
        from: TakenFrom::Suspense,
        kind: reason.name(),
        subject: &id.to_string(),
        policy,
    };
    promise_in(conn, base, &promise).await?;
    payment::note_outcome_in(conn, base, &deposit, "refund_promised", policy, "by a person")
        .await?;
    if let Some(payment) = &mut owner
        && matches!(payment.state, PaymentState::Expired | PaymentState::Cancelled)
    {
        let cause = json!({ "reason": reason.name(), "deposit": id });
        payment::step_in(conn, base, payment, PaymentEvent::MoneyAfterEnd, cause).await?;
    }
    Ok(())
}
