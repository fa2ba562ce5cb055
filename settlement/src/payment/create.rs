//! Making a payment: the merchant's rupees, fixed from this moment.

use chrono::TimeDelta;
use primitives::{Amount, Asset, MerchantId, PaymentId};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::{Flags, Payment, PaymentState};
use crate::{Base, Error, Record, destination, jobs::ExpirePayment, money_column, record_in};

/// What a merchant asks for. Text is already bounded and free of control characters.
#[derive(Debug, Clone)]
pub struct NewPayment {
    pub merchant: MerchantId,
    pub amount: Amount,
    pub reference: String,
    pub metadata: Map<String, Value>,
    /// Seconds until the payment expires; the default of the settings when absent.
    pub expires_in_s: Option<i64>,
}

/// Why a payment was not made; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("the amount must be in INR")]
    NotRupees,
    #[error("the amount is outside {min_paise} to {max_paise} paise")]
    AmountOutOfRange { min_paise: i64, max_paise: i64 },
    #[error("the expiry is outside {min_s} to {max_s} seconds")]
    ExpiryOutOfRange { min_s: i64, max_s: i64 },
    #[error("the merchant has no payout destination")]
    NoDestination,
    #[error("the reference was used before")]
    ReferenceReused,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for CreateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

fn check(base: &Base, new: &NewPayment) -> Result<i64, CreateError> {
    let settings = &base.settings;
    if new.amount.asset() != Asset::Inr {
        return Err(CreateError::NotRupees);
    }
    let (min_paise, max_paise) = (settings.payment_min_paise, settings.payment_max_paise);
    if new.amount.minor() < i128::from(min_paise) || new.amount.minor() > i128::from(max_paise) {
        return Err(CreateError::AmountOutOfRange { min_paise, max_paise });
    }
    let expires_in_s = new.expires_in_s.unwrap_or(settings.payment_expiry_s);
    let (min_s, max_s) = (settings.payment_expiry_min_s, settings.payment_expiry_max_s);
    if !(min_s..=max_s).contains(&expires_in_s) {
        return Err(CreateError::ExpiryOutOfRange { min_s, max_s });
    }
    Ok(expires_in_s)
}

/// Makes a payment that awaits its deposit, in the caller's transaction. The destination of the
/// rupees is frozen now: changing it later concerns later payments only.
///
/// # Errors
/// `CreateError`; on `ReferenceReused` the caller's transaction is still good.
pub async fn create_in(
    conn: &mut PgConnection,
    base: &Base,
    new: NewPayment,
) -> Result<Payment, CreateError> {
    let expires_in_s = check(base, &new)?;
    let destination =
        destination::current(conn, new.merchant).await?.ok_or(CreateError::NoDestination)?;
    let now = base.now();
    let payment = Payment {
        id: PaymentId::from_uuid(base.uuid()),
        merchant: new.merchant,
        reference: new.reference,
        amount: new.amount,
        state: PaymentState::AwaitingDeposit,
        flags: Flags::default(),
        review_reason: None,
        destination: destination.id,
        metadata: new.metadata,
        expires_at: now + TimeDelta::seconds(expires_in_s),
        created_at: now,
        updated_at: now,
        accepted_at: None,
        settled_at: None,
    };
    let inserted = sqlx::query(
        "insert into payments (id, merchant_id, reference, amount_minor, state, destination_id,
           metadata, expires_at, created_at, updated_at)
         values ($1, $2, $3, $4::text::numeric, $5, $6, $7, $8, $9, $9)
         on conflict on constraint payments_reference_once_per_merchant do nothing",
    )
    .bind(payment.id.uuid())
    .bind(payment.merchant.uuid())
    .bind(&payment.reference)
    .bind(money_column::minor(payment.amount))
    .bind(payment.state.name())
    .bind(payment.destination.uuid())
    .bind(Value::Object(payment.metadata.clone()))
    .bind(payment.expires_at)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(CreateError::ReferenceReused);
    }
    begin(conn, base, &payment).await?;
    Ok(payment)
}

async fn begin(conn: &mut PgConnection, base: &Base, payment: &Payment) -> Result<(), Error> {
    let record = Record {
        entity: "payment",
        id: payment.id.uuid(),
        from: None,
        to: payment.state.name(),
        event: "created",
        cause: json!({}),
        at: payment.created_at,
    };
    record_in(conn, record).await?;
    let data = json!({ "state": payment.state.name(), "amount": payment.amount });
    crate::notice::tell_in(conn, base, payment, "payment.created", data).await?;
    queue::enqueue(conn, &ExpirePayment { payment: payment.id }, payment.expires_at).await?;
    Ok(())
}
