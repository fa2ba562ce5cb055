//! Money that came: what it is for when it is seen, and what is done with it when it is final.
//!
//! Invariant: everything that arrived is booked, and ends in exactly one outcome, recorded with the
//! version of the policy that decided it. Whatever is not simply counted has a case. Nothing is
//! decided by a policy before it is final, and never beyond the policy's limits.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, NetworkId, QuoteId, Rate, Rounding};
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Flags, Payment, PaymentEvent, PaymentState,
    accept::{
        DUST_NOTE, Spare, accept_if_covered_in, confirmed_sums, covered_by, pro_rata, surplus_in,
        waits_for_money,
    },
    attribute::{How, assign_in},
    remember_policy_in, step_in,
    store::set_flags_in,
};
use crate::{
    Base, Error,
    bookkeeping::promises::{self, TakenFrom},
    case,
    deposit::{Deposit, Purpose, SuspenseReason},
    merchant_policy::{self, Action, MerchantPolicy},
    quote, rates,
    refund::{self, Promise, RefundState},
};

/// Blocks may carry clocks this far off; a payer is not late within it.
const CLOCK_GRACE: TimeDelta = TimeDelta::seconds(60);
/// What was on its way in time may take this long to get into a block.
pub(super) const MEMPOOL_GRACE: TimeDelta = TimeDelta::hours(2);

/// Value as it is seen, before it is known what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    pub network: &'a NetworkId,
    pub asset: Asset,
    /// The stamp of the block that carries it; now, when no block does.
    pub block_time: DateTime<Utc>,
    /// When we first saw it on its way, before any block.
    pub first_seen: Option<DateTime<Utc>>,
    /// The quote it counted for in an earlier block.
    pub counted_for: Option<QuoteId>,
}

/// What a sighting is for: it pays a quote that held when it came, or it is set aside.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn decide_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: Option<&Payment>,
    arrival: &Arrival<'_>,
) -> Result<(Purpose, Option<QuoteId>), Error> {
    let aside = |reason| Ok((Purpose::Suspense(reason), None));
    let Some(payment) = payment else { return aside(SuspenseReason::NoPayment) };
    let (network, asset) = (arrival.network, arrival.asset);
    let quoted = quote::of_payment(conn, payment.id)
        .await?
        .iter()
        .any(|q| q.network == *network && q.asset == asset);
    if !quoted {
        return aside(SuspenseReason::WrongAsset);
    }
    if !waits_for_money(conn, payment).await? {
        return aside(match payment.state {
            PaymentState::Accepted | PaymentState::Settling | PaymentState::Settled => {
                SuspenseReason::AfterEnd
            }
            _ => SuspenseReason::Late,
        });
    }
    if payment.state == PaymentState::Accepted {
        // Accepted early: what it was accepted for may come in another block; more is too much.
        return match arrival.counted_for {
            Some(quote) => Ok((Purpose::Payment, Some(quote))),
            None => aside(SuspenseReason::AfterEnd),
        };
    }
    let now = base.now();
    let at = arrival.block_time.min(now) - CLOCK_GRACE;
    let live = quote::live_of(conn, payment.id, network, asset, at).await?;
    let live = match (live, arrival.first_seen) {
        (None, Some(first)) if arrival.block_time.min(now) <= first + MEMPOOL_GRACE => {
            quote::live_of(conn, payment.id, network, asset, first.min(now)).await?
        }
        (live, _) => live,
    };
    match live {
        Some(quote) => Ok((Purpose::Payment, Some(quote.id))),
        None => aside(SuspenseReason::Late),
    }
}

/// The policy that acts for a payment; the house's own for money without one.
pub(crate) async fn policy_of_in(
    conn: &mut PgConnection,
    payment: Option<&Payment>,
) -> Result<MerchantPolicy, Error> {
    match payment {
        Some(payment) => merchant_policy::current_in(conn, payment.merchant).await,
        None => Ok(MerchantPolicy::house()),
    }
}

/// Does what is to be done with a deposit that has just become final. Its payment is locked by the
/// caller, then the deposit; its posting is made.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn confirmed_in(
    conn: &mut PgConnection,
    base: &Base,
    owner: Option<&mut Payment>,
    deposit: &mut Deposit,
) -> Result<(), Error> {
    let Some(payment) = owner else { return unowned_in(conn, base, deposit).await };
    match (deposit.purpose, deposit.quote) {
        (Purpose::Payment, Some(quote)) if waits_for_money(conn, payment).await? => {
            note_outcome_in(conn, base, deposit, "counted", 0, "").await?;
            accept_if_covered_in(conn, base, payment.id, quote).await
        }
        (Purpose::Payment, _) => needed_no_more_in(conn, base, payment, deposit).await,
        (Purpose::Suspense(reason), _) => set_aside_in(conn, base, payment, deposit, reason).await,
    }
}

/// Nobody's address: no shop, no policy, a person.
async fn unowned_in(conn: &mut PgConnection, base: &Base, deposit: &Deposit) -> Result<(), Error> {
    let policy = MerchantPolicy::house();
    let reason = match deposit.purpose {
        Purpose::Suspense(reason) => reason,
        Purpose::Payment => SuspenseReason::NoPayment,
    };
    if is_dust_in(conn, base, deposit.amount, &policy).await? {
        return dust_in(conn, base, deposit, &policy).await;
    }
    note_outcome_in(conn, base, deposit, "review", policy.version, "no payment").await?;
    let (subject, how) = (deposit.id.to_string(), (Action::Review, "no payment"));
    case::open_in(conn, base, case_of(deposit, reason, &policy, how, &subject)).await
}

/// It counted when it was seen, and was not needed when it was final: what is too much altogether
/// is the payer's.
async fn needed_no_more_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    deposit: &Deposit,
) -> Result<(), Error> {
    let policy = policy_of_in(conn, Some(payment)).await?;
    let mut spare = Amount::zero(deposit.amount.asset());
    for (network, sum) in confirmed_sums(conn, payment.id).await? {
        if network == deposit.network && sum.asset() == spare.asset() {
            spare = sum;
        }
    }
    if covered_by(conn, payment).await?.is_some_and(|quote| quote.network == deposit.network) {
        spare = spare.checked_sub(promises::converted_in(conn, payment, spare.asset()).await?)?;
    }
    for refund in refund::of_payment_in(conn, payment.id).await? {
        let same = refund.network == deposit.network && refund.amount.asset() == spare.asset();
        // What went back from suspense never counted; what is left of this sum did.
        if same && refund.deposit.is_none() && refund.state != RefundState::Withdrawn {
            spare = spare.checked_sub(refund.amount)?;
        }
    }
    if !spare.is_positive() {
        return note_outcome_in(conn, base, deposit, "counted", policy.version, "").await;
    }
    let spare = if spare.minor() > deposit.amount.minor() { deposit.amount } else { spare };
    let flags = Flags { over: true, ..payment.flags };
    set_flags_in(conn, base, payment, flags).await?;
    note_outcome_in(conn, base, deposit, "counted", policy.version, "too much").await?;
    let worth = match deposit.quote {
        Some(quote) => {
            let payable = quote::get_in(conn, quote).await?.payable;
            Some(pro_rata(payment.amount, spare, payable)?)
        }
        None => None,
    };
    let spare = Spare { network: &deposit.network, amount: spare, worth };
    surplus_in(conn, base, payment, &policy, &spare, &deposit.id.to_string()).await
}

/// Money that could not be counted when it was seen: the shop's policy acts, within its limits.
async fn set_aside_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    deposit: &mut Deposit,
    reason: SuspenseReason,
) -> Result<(), Error> {
    let policy = policy_of_in(conn, Some(payment)).await?;
    remember_policy_in(conn, payment, policy.version).await?;
    if is_dust_in(conn, base, deposit.amount, &policy).await? {
        return dust_in(conn, base, deposit, &policy).await;
    }
    let wanted = match reason {
        SuspenseReason::Late => policy.choices.late,
        SuspenseReason::WrongAsset => policy.choices.wrong_asset,
        SuspenseReason::AfterEnd => policy.choices.after_end,
        SuspenseReason::NoPayment | SuspenseReason::ShopFrozen => Action::Review,
    };
    let why = match wanted {
        Action::Honour | Action::Requote => {
            match price_in(conn, base, payment, deposit, &policy, wanted).await? {
                Ok(quote) => {
                    let outcome = if wanted == Action::Honour { "honoured" } else { "requoted" };
                    let subject = deposit.id.to_string();
                    let new = case_of(deposit, reason, &policy, (wanted, ""), &subject);
                    file_in(conn, base, new, "done by the shop's policy").await?;
                    let how = How { outcome, policy: policy.version, why: reason.name() };
                    return assign_in(conn, base, payment, deposit, &quote, &how).await;
                }
                Err(why) => why,
            }
        }
        Action::Refund => {
            promise_in(conn, base, payment, deposit, reason, &policy).await?;
            return after_the_end_in(conn, base, payment, deposit, reason).await;
        }
        Action::Review | Action::Topup => "",
    };
    note_outcome_in(conn, base, deposit, "review", policy.version, why).await?;
    let subject = deposit.id.to_string();
    case::open_in(conn, base, case_of(deposit, reason, &policy, (wanted, why), &subject)).await?;
    after_the_end_in(conn, base, payment, deposit, reason).await
}

async fn after_the_end_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    deposit: &Deposit,
    reason: SuspenseReason,
) -> Result<(), Error> {
    if !matches!(payment.state, PaymentState::Expired | PaymentState::Cancelled) {
        return Ok(());
    }
    let cause = json!({ "reason": reason.name(), "deposit": deposit.id });
    step_in(conn, base, payment, PaymentEvent::MoneyAfterEnd, cause).await
}

async fn promise_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    deposit: &Deposit,
    reason: SuspenseReason,
    policy: &MerchantPolicy,
) -> Result<(), Error> {
    let promise = Promise {
        payment: Some(payment),
        deposit: Some(deposit.id),
        network: &deposit.network,
        amount: deposit.amount,
        from: TakenFrom::Suspense,
        kind: reason.name(),
        subject: &deposit.id.to_string(),
        policy: policy.version,
    };
    refund::promise_in(conn, base, &promise).await?;
    note_outcome_in(conn, base, deposit, "refund_promised", policy.version, "").await
}

/// The quote such money is taken at, or why a person must decide.
async fn price_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    deposit: &Deposit,
    policy: &MerchantPolicy,
    wanted: Action,
) -> Result<Result<quote::Quote, &'static str>, Error> {
    let choices = &policy.choices;
    if !payment.state.is_payable() && payment.state != PaymentState::Expired {
        return Ok(Err("the payment cannot be opened again by itself"));
    }
    if payment.amount.minor() > i128::from(choices.auto_max_paise) {
        return Ok(Err("the payment is above the limit"));
    }
    let (network, asset) = (&deposit.network, deposit.amount.asset());
    if wanted == Action::Requote {
        let made = quote::requote_in(conn, base, payment, network, asset).await;
        return match made {
            Ok(quote) => Ok(Ok(quote)),
            Err(quote::QuoteError::Internal(error)) => Err(error),
            Err(_) => Ok(Err("no price can be made now")),
        };
    }
    let quotes = quote::of_payment(conn, payment.id).await?;
    let last = quotes.into_iter().rfind(|q| q.network == *network && q.asset == asset);
    let Some(last) = last else { return Ok(Err("it was never quoted")) };
    if deposit.seen_at > last.valid_until + TimeDelta::seconds(choices.late_grace_s) {
        return Ok(Err("it came after the grace"));
    }
    let kept = Decimal::from(10_000_u32.saturating_sub(choices.late_slip_bps.get()));
    let floor = last.price.checked_mul(kept).and_then(|p| p.checked_div(Decimal::from(10_000)));
    let now = quote::bid_now_in(conn, base, asset, payment.amount).await?;
    match now.zip(floor) {
        None => Ok(Err("no price can be believed now")),
        Some((now, floor)) if now < floor => Ok(Err("the market fell too far")),
        Some(_) => Ok(Ok(last)),
    }
}

/// True when an amount is worth less than anybody's time. Unknown worth is never dust.
pub(super) async fn is_dust_in(
    conn: &mut PgConnection,
    base: &Base,
    amount: Amount,
    policy: &MerchantPolicy,
) -> Result<bool, Error> {
    let price = rates::last_good_in(conn, base, amount.asset()).await?;
    let worth = price
        .and_then(|price| Rate::try_new(amount.asset(), Asset::Inr, price).ok())
        .and_then(|rate| rate.to_quote(amount, Rounding::Down).ok());
    Ok(worth.is_some_and(|w| w.minor() < i128::from(policy.choices.dust_paise)))
}

/// Booked like everything else, and filed: it moves no payment and calls nobody.
async fn dust_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    policy: &MerchantPolicy,
) -> Result<(), Error> {
    note_outcome_in(conn, base, deposit, "dust", policy.version, "").await?;
    let new = case::NewCase {
        kind: "dust",
        subject: &deposit.id.to_string(),
        payment: deposit.payment,
        amount: Some(deposit.amount),
        detail: json!({
            "network": deposit.network, "tx_id": deposit.tx_id,
            "policy_version": policy.version,
        }),
    };
    file_in(conn, base, new, DUST_NOTE).await
}

/// The case of money that was set aside: what the policy wanted, and why it was not done.
fn case_of<'a>(
    deposit: &Deposit,
    reason: SuspenseReason,
    policy: &MerchantPolicy,
    (wanted, why): (Action, &str),
    subject: &'a str,
) -> case::NewCase<'a> {
    let not_done = (!why.is_empty()).then_some(why);
    let detail = json!({
        "network": deposit.network, "tx_id": deposit.tx_id, "action": wanted.name(),
        "not_done": not_done, "policy_version": policy.version,
    });
    case::NewCase {
        kind: reason.name(),
        subject,
        payment: deposit.payment,
        amount: Some(deposit.amount),
        detail,
    }
}

/// Opens a case that is settled as it is opened: what was done without a person is on record too.
pub(super) async fn file_in(
    conn: &mut PgConnection,
    base: &Base,
    new: case::NewCase<'_>,
    note: &str,
) -> Result<(), Error> {
    let (kind, subject) = (new.kind, new.subject.to_owned());
    case::open_in(conn, base, new).await?;
    close_in(conn, base, kind, &subject, note).await
}

/// Closes the open case of an event, if there is one.
pub(super) async fn close_in(
    conn: &mut PgConnection,
    base: &Base,
    kind: &str,
    subject: &str,
    note: &str,
) -> Result<(), Error> {
    sqlx::query(
        "update cases set closed_at = $3, detail = detail || $4
         where kind = $1 and subject = $2 and closed_at is null",
    )
    .bind(kind)
    .bind(subject)
    .bind(base.now())
    .bind(json!({ "closed": note }))
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps what became of a deposit, and by which version of the policy.
pub(crate) async fn note_outcome_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    outcome: &str,
    policy: i32,
    why: &str,
) -> Result<(), Error> {
    sqlx::query(
        "insert into deposit_outcomes (deposit_id, sighting, outcome, policy_version, why, at)
         values ($1, $2, $3, $4, nullif($5, ''), $6)",
    )
    .bind(deposit.id.uuid())
    .bind(deposit.sightings)
    .bind(outcome)
    .bind(policy)
    .bind(why)
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}
