//! Where a refund goes, and the proof that it went.
//!
//! Invariant: an address is one that somebody proved to be the payer's and is not our own; a refund
//! is sent when a final block shows exactly its amount at its address, and not because somebody
//! says so.

use primitives::{Amount, NetworkId, RefundId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Refund, RefundEvent, RefundState, lock_in,
    promise::close_its_case,
    store::{get_in, of_payment_in, step_in},
};
use crate::{
    Base, Error,
    bookkeeping::promises,
    notice,
    payment::{self, Payment, PaymentEvent, PaymentState},
    policy,
};

/// The kind of case of a refund that may be on its way while what it gives back is gone.
pub(crate) const GONE: &str = "refund_of_gone_deposit";

/// Why an address was not taken; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("no such refund")]
    NotFound,
    #[error("a refund in state {0} takes no address")]
    NotOpen(RefundState),
    #[error("a proof of 4 to 500 characters says how the address was proven")]
    ProofMissing,
    #[error("the address is one of our own")]
    OurOwn,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for AddressError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Notes the address a payer proved. `address` is in the network's canonical form: the caller has
/// asked the chain. A later call replaces an earlier one while nothing was sent.
///
/// # Errors
/// `AddressError`.
pub async fn address_in(
    conn: &mut PgConnection,
    base: &Base,
    id: RefundId,
    address: &str,
    proof: &str,
) -> Result<Refund, AddressError> {
    if !(4..=500).contains(&proof.trim().chars().count()) {
        return Err(AddressError::ProofMissing);
    }
    let (mut owner, mut refund) = locked(conn, id).await?.ok_or(AddressError::NotFound)?;
    if !refund.state.is_open() {
        return Err(AddressError::NotOpen(refund.state));
    }
    let ours: bool = sqlx::query_scalar(
        "select exists (select from deposit_addresses where network = $1 and address = $2)",
    )
    .bind(refund.network.as_str())
    .bind(address)
    .fetch_one(&mut *conn)
    .await?;
    if ours {
        return Err(AddressError::OurOwn);
    }
    refund.address = Some(address.to_owned());
    refund.proof = Some(proof.trim().to_owned());
    let cause = json!({ "address": address });
    step_in(conn, base, &mut refund, RefundEvent::AddressProven, cause).await?;
    if let Some(payment) = &mut owner
        && payment.state == PaymentState::InReview
    {
        let cause = json!({ "refund": refund.id });
        payment::step_in(conn, base, payment, PaymentEvent::RefundStarted, cause).await?;
    }
    Ok(refund)
}

/// The refund and its payment, both locked, payment first.
async fn locked(
    conn: &mut PgConnection,
    id: RefundId,
) -> Result<Option<(Option<Payment>, Refund)>, Error> {
    let Some(unlocked) = get_in(conn, id).await? else { return Ok(None) };
    let owner = match unlocked.payment {
        Some(payment) => Some(payment::lock_in(conn, payment).await?),
        None => None,
    };
    Ok(lock_in(conn, id).await?.map(|refund| (owner, refund)))
}

/// What a final block shows of the transaction that paid a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    pub network: NetworkId,
    pub tx_id: String,
    pub ordinal: i64,
    pub to: String,
    pub amount: Amount,
    pub block_hash: String,
    /// What the network took from our address for it, in its own coin, if it did.
    pub network_fee: Option<Amount>,
}

/// Why a transaction does not pay a refund; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("no such refund")]
    NotFound,
    #[error("a refund in state {0} is not waiting to be sent")]
    NotWaiting(RefundState),
    #[error("the transaction does not pay this refund: {0}")]
    NotThisOne(&'static str),
    #[error("the transaction pays another refund already")]
    Taken,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for SendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Records that a refund was sent, in the books too. The same transaction again is quiet.
///
/// # Errors
/// `SendError`.
pub async fn sent_in(
    conn: &mut PgConnection,
    base: &Base,
    id: RefundId,
    paid: &Paid,
) -> Result<Refund, SendError> {
    let (mut owner, mut refund) = locked(conn, id).await?.ok_or(SendError::NotFound)?;
    if refund.state == RefundState::Sent
        && refund.tx_id.as_deref() == Some(paid.tx_id.as_str())
        && refund.ordinal == Some(paid.ordinal)
    {
        return Ok(refund);
    }
    if refund.state != RefundState::Addressed {
        return Err(SendError::NotWaiting(refund.state));
    }
    if refund.network != paid.network {
        return Err(SendError::NotThisOne("another network"));
    }
    if refund.address.as_deref() != Some(paid.to.as_str()) {
        return Err(SendError::NotThisOne("another address"));
    }
    if refund.amount != paid.amount {
        return Err(SendError::NotThisOne("another amount or asset"));
    }
    let taken: bool = sqlx::query_scalar(
        "select exists (select from refunds where network = $1 and tx_id = $2 and ordinal = $3)",
    )
    .bind(paid.network.as_str())
    .bind(&paid.tx_id)
    .bind(paid.ordinal)
    .fetch_one(&mut *conn)
    .await?;
    if taken {
        return Err(SendError::Taken);
    }
    refund.tx_id = Some(paid.tx_id.clone());
    refund.ordinal = Some(paid.ordinal);
    let cause = json!({ "tx_id": paid.tx_id, "block": paid.block_hash, "to": paid.to });
    step_in(conn, base, &mut refund, RefundEvent::SeenSent, cause).await?;
    if let Some(payment) = &mut owner {
        tell_in(conn, base, payment, &refund).await?;
    }
    close_its_case(conn, base, &refund, "sent").await?;
    policy::close_case_in(conn, base, GONE, &refund.id.to_string(), "sent").await?;
    promises::refund_sent(conn, base, &refund, paid.network_fee).await?;
    Ok(refund)
}

/// The payment ends when the last of what is owed back has left.
async fn tell_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    refund: &Refund,
) -> Result<(), Error> {
    let data = json!({ "refund": refund.id, "amount": refund.amount, "tx_id": refund.tx_id });
    notice::tell_in(conn, base, payment, "refund.sent", data.clone()).await?;
    let refunds = of_payment_in(conn, payment.id).await?;
    let last = refunds.iter().all(|other| !other.state.is_open());
    if last && payment.state == PaymentState::Refunding {
        payment::step_in(conn, base, payment, PaymentEvent::RefundSent, data).await?;
    }
    Ok(())
}
