//! The moment a payment is covered: the payer's crypto becomes the merchant's rupees at the quote.
//!
//! Invariant: the sum of confirmed deposits is recomputed under the payment's lock, never
//! incremented. What lies above the payable amount is promised back in the same transaction.

use chrono::TimeDelta;
use primitives::{Amount, PaymentId};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{Flags, Payment, PaymentEvent, lock_in, step_in, store::set_flags_in};
use crate::{Base, Error, bookkeeping, case, jobs::Convert, money_column, quote, quote::Quote};

async fn confirmed_sum(conn: &mut PgConnection, quote: &Quote) -> Result<Amount, Error> {
    let row = sqlx::query(
        "select coalesce(sum(amount_minor), 0)::text as total from deposits
         where payment_id = $1 and network = $2 and asset = $3 and state = 'confirmed'
           and purpose = 'payment'",
    )
    .bind(quote.payment.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .fetch_one(conn)
    .await?;
    money_column::amount(row.try_get("total")?, quote.asset)
}

/// Accepts the payment if confirmed deposits of the quote's asset cover the quote. Books the
/// conversion at the quote, promises any surplus back, and asks for the sale.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn accept_if_covered_in(
    conn: &mut PgConnection,
    base: &Base,
    payment_id: PaymentId,
    quote_id: primitives::QuoteId,
) -> Result<(), Error> {
    let mut payment = lock_in(conn, payment_id).await?;
    let quote = quote::get_in(conn, quote_id).await?;
    if !payment.state.is_payable() {
        return Ok(());
    }
    let sum = confirmed_sum(conn, &quote).await?;
    if sum.minor() < quote.payable.minor() {
        let flags = Flags { partial: true, ..payment.flags };
        return set_flags_in(conn, base, &mut payment, flags).await;
    }
    bookkeeping::accepted(conn, base, &payment, &quote).await?;
    let surplus = sum.checked_sub(quote.payable)?;
    let flags = Flags { partial: false, over: surplus.is_positive(), ..payment.flags };
    set_flags_in(conn, base, &mut payment, flags).await?;
    if surplus.is_positive() {
        promise_back_in(conn, base, &payment, surplus, "overpaid", &payment.id.to_string()).await?;
    }
    promise_other_assets_back(conn, base, &mut payment, &quote).await?;
    let cause = json!({ "quote": quote.id, "received": sum, "payable": quote.payable });
    step_in(conn, base, &mut payment, PaymentEvent::Covered, cause).await?;
    sqlx::query(
        "insert into conversion_queue (payment_id, asset, amount_minor, queued_at)
         values ($1, $2, $3::text::numeric, $4)",
    )
    .bind(payment.id.uuid())
    .bind(quote.asset.code())
    .bind(money_column::minor(quote.payable))
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    let at = base.now() + TimeDelta::seconds(base.settings.conversion_age_s);
    queue::enqueue(conn, &Convert { asset: quote.asset }, at).await?;
    Ok(())
}

/// What was paid in another asset, or on another network, than the quote that was covered does not
/// pay anything: it is owed back.
async fn promise_other_assets_back(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    quote: &Quote,
) -> Result<(), Error> {
    let rest: Vec<(String, String, String)> = sqlx::query_as(
        "select network::text, asset::text, sum(amount_minor)::text from deposits
         where payment_id = $1 and state = 'confirmed' and purpose = 'payment'
           and (network::text, asset::text) <> ($2::text, $3::text)
         group by 1, 2 order by 1, 2",
    )
    .bind(payment.id.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .fetch_all(&mut *conn)
    .await?;
    for (network, code, total) in rest {
        let amount = money_column::amount(&total, money_column::asset(&code)?)?;
        let subject = format!("{}:{network}:{code}", payment.id);
        promise_back_in(conn, base, payment, amount, "overpaid", &subject).await?;
        let flags = Flags { over: true, ..payment.flags };
        set_flags_in(conn, base, payment, flags).await?;
    }
    Ok(())
}

/// Books crypto of this payment as owed back to the payer and opens the case that asks for the
/// payer's address: a refund never goes to the sender by itself (exchanges and contracts send).
///
/// # Errors
/// `Ledger`, `Database`.
pub(crate) async fn promise_back_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    amount: Amount,
    kind: &'static str,
    subject: &str,
) -> Result<(), Error> {
    bookkeeping::refund_promised(conn, base, payment, amount, subject).await?;
    let detail = json!({ "promised": amount, "to": "an address the payer proves" });
    let new =
        case::NewCase { kind, subject, payment: Some(payment.id), amount: Some(amount), detail };
    case::open_in(conn, base, new).await
}
