//! The moment a payment is covered: the payer's crypto becomes the merchant's rupees at the quote.
//!
//! Invariant: the sum of confirmed deposits is recomputed under the payment's lock, never
//! incremented. What lies above the payable amount is promised back in the same transaction, or is
//! the shop's where its policy says so; what is missing is shown to the payer.

use chrono::TimeDelta;
use primitives::{Amount, Asset, NetworkId, PaymentId, QuoteId, Rounding};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{
    Flags, Payment, PaymentEvent, PaymentState,
    arrived::{close_in, file_in},
    lengthen_in, lock_in, remember_policy_in, step_in,
    store::set_flags_in,
};
use crate::{
    Base, Error,
    bookkeeping::promises::{self, TakenFrom, Terms},
    case, conversion,
    merchant_policy::{self, Action, MerchantPolicy},
    money_column, notice, quote,
    quote::Quote,
    refund::{self, Promise},
};

/// What confirmed deposits of one asset on one network bring towards a payment.
async fn confirmed_sum(conn: &mut PgConnection, quote: &Quote) -> Result<Amount, Error> {
    let row = sqlx::query(
        "select coalesce(sum(left_of(d)), 0)::text as total from deposits d
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
/// conversion at the quote, promises any surplus back, and asks for the sale. A payment that was
/// accepted early is converted here, when its money is final.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn accept_if_covered_in(
    conn: &mut PgConnection,
    base: &Base,
    payment_id: PaymentId,
    quote_id: QuoteId,
) -> Result<(), Error> {
    let mut payment = lock_in(conn, payment_id).await?;
    let quote = quote::get_in(conn, quote_id).await?;
    if !waits_for_money(conn, &payment).await? {
        return Ok(());
    }
    let sum = confirmed_sum(conn, &quote).await?;
    if !sum.is_positive() {
        return Ok(());
    }
    let policy = merchant_policy::current_in(conn, payment.merchant).await?;
    if let Some(reckoned) = reckon(base, &payment, &quote, sum, &policy)? {
        return covered_in(conn, base, &mut payment, &quote, &policy, &reckoned).await;
    }
    // What is too little for the quote it was sent for may cover the one that holds now.
    let (network, now) = (&quote.network, base.now());
    let live = quote::live_of(conn, payment.id, network, quote.asset, now).await?;
    let quote = live.unwrap_or(quote);
    match reckon(base, &payment, &quote, sum, &policy)? {
        Some(reckoned) => covered_in(conn, base, &mut payment, &quote, &policy, &reckoned).await,
        None => short_in(conn, base, &mut payment, &quote, &policy).await,
    }
}

/// True while final money can still make the payment go on.
pub(super) async fn waits_for_money(
    conn: &mut PgConnection,
    payment: &Payment,
) -> Result<bool, Error> {
    if payment.state.is_payable() {
        return Ok(true);
    }
    let accepted = payment.state == PaymentState::Accepted;
    Ok(accepted && promises::credited_in(conn, payment).await?.is_zero())
}

/// What a covered payment comes to.
struct Reckoned {
    received: Amount,
    terms: Terms,
    surplus: Amount,
}

/// `None` when too little has come.
fn reckon(
    base: &Base,
    payment: &Payment,
    quote: &Quote,
    sum: Amount,
    policy: &MerchantPolicy,
) -> Result<Option<Reckoned>, Error> {
    let choices = &policy.choices;
    let zero = Amount::zero(quote.asset);
    let tolerance = choices.tolerance_bps.of(quote.payable, Rounding::Down)?;
    let rupees = pro_rata(payment.amount, sum, quote.payable)?;
    let fits =
        rupees.is_positive() && rupees.minor() <= i128::from(base.settings.payment_max_paise);
    let as_received =
        Reckoned { received: sum, terms: Terms { crypto: sum, rupees }, surplus: zero };
    let apart = sum.checked_sub(quote.payable)?;
    let small = apart.minor().unsigned_abs() <= tolerance.minor().unsigned_abs();
    if apart.minor() < 0 {
        return Ok((choices.short == Action::Honour && small && fits).then_some(as_received));
    }
    if apart.is_positive() && choices.surplus == Action::Honour && small && fits {
        return Ok(Some(as_received));
    }
    let terms = Terms { crypto: quote.payable, rupees: payment.amount };
    Ok(Some(Reckoned { received: sum, terms, surplus: apart }))
}

/// `floor(rupees × part / whole)`: what a part of the crypto brings at the quote.
pub(super) fn pro_rata(rupees: Amount, part: Amount, whole: Amount) -> Result<Amount, Error> {
    let share = rupees.minor().checked_mul(part.minor());
    let share = share.and_then(|product| product.checked_div(whole.minor()));
    let share = share.ok_or_else(|| Error::Inconsistent("a share out of range".into()))?;
    Ok(Amount::try_new(share, Asset::Inr)?)
}

async fn covered_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    quote: &Quote,
    policy: &MerchantPolicy,
    reckoned: &Reckoned,
) -> Result<(), Error> {
    let Reckoned { received, terms, surplus } = reckoned;
    promises::accepted(conn, base, payment, quote, *terms).await?;
    let honoured = terms.crypto != quote.payable;
    let over = surplus.is_positive() || terms.crypto.minor() > quote.payable.minor();
    let short = terms.crypto.minor() < quote.payable.minor();
    let flags = Flags { partial: short, over: over || payment.flags.over, ..payment.flags };
    set_flags_in(conn, base, payment, flags).await?;
    if honoured {
        honoured_in(conn, base, payment, quote, policy, terms).await?;
    }
    if surplus.is_positive() {
        let worth = pro_rata(payment.amount, *surplus, quote.payable)?;
        let subject = payment.id.to_string();
        let spare = Spare { network: &quote.network, amount: *surplus, worth: Some(worth) };
        surplus_in(conn, base, payment, policy, &spare, &subject).await?;
    }
    promise_other_assets_back(conn, base, payment, quote, policy).await?;
    if payment.state.is_payable() {
        if payment.state == PaymentState::AwaitingDeposit {
            // What was set aside before pays now: nothing was seen for this quote in between.
            let cause = json!({ "quote": quote.id, "received": received });
            step_in(conn, base, payment, PaymentEvent::DepositSeen, cause).await?;
        }
        let cause = json!({ "quote": quote.id, "received": received, "payable": quote.payable });
        step_in(conn, base, payment, PaymentEvent::Covered, cause).await?;
    }
    sell_in(conn, base, payment, terms.crypto).await
}

async fn sell_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    crypto: Amount,
) -> Result<(), Error> {
    sqlx::query(
        "insert into conversion_queue (payment_id, asset, amount_minor, queued_at)
         values ($1, $2, $3::text::numeric, $4)",
    )
    .bind(payment.id.uuid())
    .bind(crypto.asset().code())
    .bind(money_column::minor(crypto))
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    conversion::ask_in(conn, base, crypto.asset()).await
}

/// A little less or more than was asked for is taken as it came: the shop gets rupees for that.
async fn honoured_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    quote: &Quote,
    policy: &MerchantPolicy,
    terms: &Terms,
) -> Result<(), Error> {
    sqlx::query("update payments set credited_minor = $2::text::numeric where id = $1")
        .bind(payment.id.uuid())
        .bind(money_column::minor(terms.rupees))
        .execute(&mut *conn)
        .await?;
    remember_policy_in(conn, payment, policy.version).await?;
    let less = terms.crypto.minor() < quote.payable.minor();
    let new = case::NewCase {
        kind: if less { "underpaid" } else { "overpaid" },
        subject: &payment.id.to_string(),
        payment: Some(payment.id),
        amount: Some(terms.crypto),
        detail: json!({
            "payable": quote.payable, "credited": terms.rupees, "action": "honour",
            "policy_version": policy.version,
        }),
    };
    file_in(conn, base, new, "honoured by the shop's policy").await
}

/// Crypto of a payment that pays nothing.
pub(super) struct Spare<'a> {
    pub network: &'a NetworkId,
    pub amount: Amount,
    /// In rupees, where a quote says so.
    pub worth: Option<Amount>,
}

/// More came than was asked for: it is the payer's, unless a person is to decide. `subject` names
/// the event once.
pub(super) async fn surplus_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    policy: &MerchantPolicy,
    spare: &Spare<'_>,
    subject: &str,
) -> Result<(), Error> {
    remember_policy_in(conn, payment, policy.version).await?;
    let dust = spare.worth.is_some_and(|w| w.minor() < i128::from(policy.choices.dust_paise));
    if policy.choices.surplus == Action::Review && !dust {
        let new = case::NewCase {
            kind: "overpaid",
            subject,
            payment: Some(payment.id),
            amount: Some(spare.amount),
            detail: json!({ "action": "review", "policy_version": policy.version }),
        };
        return case::open_in(conn, base, new).await;
    }
    let kind = if dust { "dust" } else { "overpaid" };
    let promise = Promise {
        payment: Some(payment),
        deposit: None,
        network: spare.network,
        amount: spare.amount,
        from: TakenFrom::Deposit(payment.merchant),
        kind,
        subject,
        policy: policy.version,
    };
    refund::promise_in(conn, base, &promise).await?;
    if dust {
        close_in(conn, base, kind, subject, DUST_NOTE).await?;
    }
    Ok(())
}

pub(super) const DUST_NOTE: &str = "owed back, and worth less than sending it";

/// What confirmed deposits of a payment add up to, per network and asset.
pub(super) async fn confirmed_sums(
    conn: &mut PgConnection,
    payment: PaymentId,
) -> Result<Vec<(NetworkId, Amount)>, Error> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select network::text, asset::text, sum(left_of(d))::text from deposits d
         where payment_id = $1 and state = 'confirmed' and purpose = 'payment'
         group by 1, 2 having sum(left_of(d)) > 0 order by 1, 2",
    )
    .bind(payment.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|(network, code, total)| {
            let network = NetworkId::new(network)
                .ok_or_else(|| Error::Inconsistent(format!("network {network}")))?;
            Ok((network, money_column::amount(total, money_column::asset(code)?)?))
        })
        .collect()
}

/// The quote whose crypto became a payment's rupees, if any has.
pub(crate) async fn covered_by(
    conn: &mut PgConnection,
    payment: &Payment,
) -> Result<Option<Quote>, Error> {
    match promises::converting_quote_in(conn, payment).await? {
        Some(id) => Ok(Some(quote::get_in(conn, id).await?)),
        None => Ok(None),
    }
}

/// What was paid in another asset, or on another network, than the quote that was covered does not
/// pay anything: it is owed back.
async fn promise_other_assets_back(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    quote: &Quote,
    policy: &MerchantPolicy,
) -> Result<(), Error> {
    for (network, amount) in confirmed_sums(conn, payment.id).await? {
        if network == quote.network && amount.asset() == quote.asset {
            continue;
        }
        promise_sum_back_in(conn, base, payment, (&network, amount), "overpaid", policy.version)
            .await?;
        let flags = Flags { over: true, ..payment.flags };
        set_flags_in(conn, base, payment, flags).await?;
    }
    Ok(())
}

/// Everything of one asset on one network that was booked for a payment is owed back.
pub(super) async fn promise_sum_back_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    (network, amount): (&NetworkId, Amount),
    kind: &'static str,
    policy: i32,
) -> Result<(), Error> {
    let subject = format!("{}:{network}:{}", payment.id, amount.asset());
    let promise = Promise {
        payment: Some(payment),
        deposit: None,
        network,
        amount,
        from: TakenFrom::Deposit(payment.merchant),
        kind,
        subject: &subject,
        policy,
    };
    refund::promise_in(conn, base, &promise).await
}

/// A part came: the payer is told what is missing, and may be given more time for it, once.
async fn short_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    quote: &Quote,
    policy: &MerchantPolicy,
) -> Result<(), Error> {
    if !payment.state.is_payable() {
        // Accepted early: the rest is on its way to being final.
        return Ok(());
    }
    let flags = Flags { partial: true, ..payment.flags };
    set_flags_in(conn, base, payment, flags).await?;
    let due = quote::due_in(conn, quote).await?;
    let data = json!({ "quote": quote.id, "due": due, "policy_version": policy.version });
    notice::tell_in(conn, base, payment, "payment.partial", data).await?;
    let choices = &policy.choices;
    if choices.short != Action::Topup || choices.topup_s == 0 {
        return Ok(());
    }
    let until = base.now() + TimeDelta::seconds(choices.topup_s);
    if until <= payment.expires_at {
        return Ok(());
    }
    let first: bool = sqlx::query_scalar(
        "update payments set lengthened_at = $2 where id = $1 and lengthened_at is null
         returning true",
    )
    .bind(payment.id.uuid())
    .bind(base.now())
    .fetch_optional(&mut *conn)
    .await?
    .unwrap_or(false);
    if first {
        remember_policy_in(conn, payment, policy.version).await?;
        lengthen_in(conn, base, payment, until).await?;
    }
    Ok(())
}
