//! Early acceptance: the shop hears "paid" before the deposit is final, at the house's risk.
//!
//! Invariant: an early acceptance moves a payment's state and a memorandum in the books, and
//! nothing else. The crypto becomes rupees, is queued for sale and paid out only when deposits that
//! are final cover the quote, or when a person honours the loss. The limit is kept by the books.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, DepositId, NetworkId, PaymentId, QuoteId};
use serde_json::json;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Applied, Finding, close_case_in, evidence, of_deposit_in};
use crate::{
    Base, Error,
    bookkeeping::{
        promises::{self, TakenFrom},
        risk,
    },
    case, conversion,
    deposit::{self, Deposit, DepositState, Purpose, SuspenseReason},
    money_column,
    payment::{self, Flags, Payment, PaymentEvent, PaymentState},
    quote::{self, Quote},
    refund::{self, Promise},
};

const GONE: &str = "early_acceptance_gone";

/// What became of the wish to accept a deposit early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Early {
    Accepted,
    /// Not now: not deep enough, not covered, too few witnesses, a dispute, or no headroom.
    Waits,
    /// Nothing to accept early here.
    NotMeant,
}

/// An early acceptance whose deposits are not final yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub payment: PaymentId,
    pub quote: QuoteId,
    pub network: NetworkId,
    pub asset: Asset,
    /// Rupees at risk.
    pub amount: Amount,
    pub policy_version: i32,
    pub accepted_at: DateTime<Utc>,
}

fn read(row: &PgRow) -> Result<Open, Error> {
    let network: &str = row.try_get("network")?;
    Ok(Open {
        payment: PaymentId::from_uuid(row.try_get("payment_id")?),
        quote: QuoteId::from_uuid(row.try_get("quote_id")?),
        network: NetworkId::new(network)
            .ok_or_else(|| Error::Inconsistent(format!("network {network}")))?,
        asset: money_column::asset(row.try_get("asset")?)?,
        amount: money_column::amount(row.try_get("amount_minor")?, Asset::Inr)?,
        policy_version: row.try_get("policy_version")?,
        accepted_at: row.try_get("accepted_at")?,
    })
}

/// The open early acceptance of a payment.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn open_of(conn: &mut PgConnection, payment: PaymentId) -> Result<Option<Open>, Error> {
    sqlx::query(
        "select payment_id, quote_id, network, asset, amount_minor::text as amount_minor,
           policy_version, accepted_at from early_acceptances
         where payment_id = $1 and ended_at is null",
    )
    .bind(payment.uuid())
    .fetch_optional(conn)
    .await?
    .map(|row| read(&row))
    .transpose()
}

/// Every open early acceptance, oldest first, at most 500.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn open_in(conn: &mut PgConnection) -> Result<Vec<Open>, Error> {
    sqlx::query(
        "select payment_id, quote_id, network, asset, amount_minor::text as amount_minor,
           policy_version, accepted_at from early_acceptances
         where ended_at is null order by accepted_at, payment_id limit 500",
    )
    .fetch_all(conn)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// True when asking the nodes about this deposit could accept its payment early: a look without a
/// lock, so that nobody is asked in vain.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn is_due_in(
    conn: &mut PgConnection,
    deposit: &Deposit,
    applied: &Applied,
) -> Result<bool, Error> {
    let (Purpose::Payment, Some(quote), Some(payment)) =
        (deposit.purpose, deposit.quote, deposit.payment)
    else {
        return Ok(false);
    };
    if !applied.has_early() || deposit.state != DepositState::Seen {
        return Ok(false);
    }
    let payment = payment::get_in(conn, payment).await?;
    let limit = risk::limit_in(conn, &deposit.network).await?;
    if !payment.state.is_payable() || limit.granted.is_zero() {
        return Ok(false);
    }
    let known = is_accepted(conn, deposit, applied.version).await?;
    if !known {
        return Ok(true);
    }
    let quote = quote::get_in(conn, quote).await?;
    let (_, good) = sums(conn, &quote, applied.version).await?;
    Ok(good.minor() >= quote.payable.minor() && limit.headroom.minor() >= payment.amount.minor())
}

async fn is_accepted(
    conn: &mut PgConnection,
    deposit: &Deposit,
    version: i32,
) -> Result<bool, Error> {
    let known = sqlx::query_scalar(
        "select exists (select from inclusion_evidence where deposit_id = $1 and sighting = $2
           and level = 'accept' and policy_version = $3)",
    )
    .bind(deposit.id.uuid())
    .bind(deposit.sightings)
    .bind(version)
    .fetch_one(conn)
    .await?;
    Ok(known)
}

/// What has come for a quote: final, and final or good enough to be accepted by this version.
async fn sums(
    conn: &mut PgConnection,
    quote: &Quote,
    version: i32,
) -> Result<(Amount, Amount), Error> {
    let (last, good): (String, String) = sqlx::query_as(
        "select coalesce(sum(left_of(d)) filter (where d.state = 'confirmed'), 0)::text,
                coalesce(sum(left_of(d)), 0)::text
         from deposits d
         where d.payment_id = $1 and d.network = $2 and d.asset = $3 and d.purpose = 'payment'
           and (d.state = 'confirmed' or (d.state = 'seen' and exists (
             select from inclusion_evidence e where e.deposit_id = d.id
               and e.sighting = d.sightings and e.block_hash = d.block_hash
               and e.level = 'accept' and e.policy_version = $4)))",
    )
    .bind(quote.payment.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .bind(version)
    .fetch_one(conn)
    .await?;
    Ok((money_column::amount(&last, quote.asset)?, money_column::amount(&good, quote.asset)?))
}

/// Accepts the payment of a deposit that is deep enough for that, if its deposits cover the quote
/// and the limit of the network allows it.
///
/// # Errors
/// `Ledger(WouldOverdraw)` when somebody else used up the limit meanwhile: roll back and wait.
pub async fn accept_in(
    conn: &mut PgConnection,
    base: &Base,
    id: DepositId,
    finding: &Finding,
) -> Result<Early, Error> {
    let (owner, deposit) = deposit::lock_with_owner_in(conn, id).await?;
    let Some(mut payment) = owner else { return Ok(Early::NotMeant) };
    let (Purpose::Payment, Some(quote)) = (deposit.purpose, deposit.quote) else {
        return Ok(Early::NotMeant);
    };
    let stands = deposit.state == DepositState::Seen
        && deposit.block_hash.as_deref() == Some(finding.block_hash.as_str());
    let applied = of_deposit_in(conn, base, &deposit, Some(&payment)).await?;
    if !stands || !applied.has_early() || payment.state != PaymentState::Confirming {
        return Ok(Early::NotMeant);
    }
    let height = deposit.height.and_then(|height| u64::try_from(height).ok());
    let deep = height.is_some_and(|height| applied.tier.accept.is_met(finding.depth, height));
    let level = evidence::Level::Accept;
    if !deep || !evidence::weigh_in(conn, base, &deposit, &applied, finding, level).await? {
        return Ok(Early::Waits);
    }
    let quote = quote::get_in(conn, quote).await?;
    let (_, good) = sums(conn, &quote, applied.version).await?;
    if good.minor() < quote.payable.minor() {
        return Ok(Early::Waits);
    }
    if risk::limit_in(conn, &quote.network).await?.headroom.minor() < payment.amount.minor() {
        limit_reached(conn, base, &quote.network, &payment).await?;
        return Ok(Early::Waits);
    }
    take(conn, base, &mut payment, &quote, (&applied, good)).await?;
    Ok(Early::Accepted)
}

async fn take(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    quote: &Quote,
    (applied, good): (&Applied, Amount),
) -> Result<(), Error> {
    sqlx::query(
        "insert into early_acceptances (payment_id, quote_id, network, asset, amount_minor,
           policy_version, accepted_at)
         values ($1, $2, $3, $4, $5::text::numeric, $6, $7)",
    )
    .bind(payment.id.uuid())
    .bind(quote.id.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .bind(money_column::minor(payment.amount))
    .bind(applied.version)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    let flags = Flags { partial: false, ..payment.flags };
    payment::set_flags_in(conn, base, payment, flags).await?;
    let cause = json!({
        "early": true, "policy": applied.version, "quote": quote.id,
        "received": good, "payable": quote.payable,
    });
    payment::step_in(conn, base, payment, PaymentEvent::Covered, cause).await?;
    risk::risk_taken(conn, base, &quote.network, payment.id, payment.amount).await
}

/// Payments wait for finality until the limit is raised or others become final.
async fn limit_reached(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    payment: &Payment,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: "risk_limit_reached",
        subject: &format!("{network}:{}", base.now().date_naive()),
        payment: None,
        amount: Some(payment.amount),
        detail: json!({ "network": network, "first": payment.id }),
    };
    case::open_in(conn, base, new).await
}

/// Decides whether a deposit that waits in suspense only because its payment was accepted early is
/// what that payment still waits for: another transaction in place of the one that did not stay. If
/// so it counts from now on. Payment and deposit are locked, and the deposit's hold is posted.
pub(crate) async fn adopt_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    deposit: &mut Deposit,
) -> Result<(), Error> {
    let Some(open) = open_of(conn, payment.id).await? else { return Ok(()) };
    let same = open.network == deposit.network && open.asset == deposit.amount.asset();
    if !same || deposit.purpose != Purpose::Suspense(SuspenseReason::AfterEnd) {
        return Ok(());
    }
    let quote = quote::get_in(conn, open.quote).await?;
    if quote::due_in(conn, &quote).await?.is_zero() {
        return Ok(());
    }
    let left = deposit::left_in(conn, deposit.id).await?;
    promises::found_its_owner(conn, base, deposit, left, payment).await?;
    sqlx::query(
        "update deposits set purpose = 'payment', reason = null, quote_id = $2, updated_at = $3
         where id = $1",
    )
    .bind(deposit.id.uuid())
    .bind(quote.id.uuid())
    .bind(base.now())
    .execute(conn)
    .await?;
    deposit.purpose = Purpose::Payment;
    deposit.quote = Some(quote.id);
    Ok(())
}

/// Ends an early acceptance whose crypto has become rupees, because final deposits cover the quote:
/// the limit has its headroom back. Quiet before that.
pub(crate) async fn settle_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: PaymentId,
) -> Result<(), Error> {
    let Some(open) = open_of(conn, payment).await? else { return Ok(()) };
    let converted: bool =
        sqlx::query_scalar("select exists (select from conversion_queue where payment_id = $1)")
            .bind(payment.uuid())
            .fetch_one(&mut *conn)
            .await?;
    if !converted {
        return Ok(());
    }
    end_in(conn, base, &open, "final").await?;
    close_case_in(conn, base, GONE, &payment.to_string(), "covered by final deposits").await?;
    risk::risk_given_back(conn, base, &open.network, payment, open.amount).await
}

/// What was paid on another network or in another asset than the quote, and is final, is owed back.
async fn promise_others_back(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    quote: &Quote,
) -> Result<(), Error> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select network::text, asset::text, sum(left_of(d))::text from deposits d
         where payment_id = $1 and state = 'confirmed' and purpose = 'payment'
           and (network::text, asset::text) <> ($2::text, $3::text)
         group by 1, 2 having sum(left_of(d)) > 0 order by 1, 2",
    )
    .bind(quote.payment.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .fetch_all(&mut *conn)
    .await?;
    for (network, code, total) in rows {
        let amount = money_column::amount(&total, money_column::asset(&code)?)?;
        let network = NetworkId::new(&network)
            .ok_or_else(|| Error::Inconsistent(format!("network {network}")))?;
        let promise = Promise {
            payment: Some(payment),
            deposit: None,
            network: &network,
            amount,
            from: TakenFrom::Deposit(payment.merchant),
            kind: "overpaid",
            subject: &format!("{}:{network}:{code}", payment.id),
            policy: payment::policy_of_in(conn, Some(payment)).await?.version,
        };
        refund::promise_in(conn, base, &promise).await?;
    }
    Ok(())
}

async fn end_in(
    conn: &mut PgConnection,
    base: &Base,
    open: &Open,
    outcome: &str,
) -> Result<(), Error> {
    sqlx::query(
        "update early_acceptances set ended_at = $2, outcome = $3
         where payment_id = $1 and ended_at is null",
    )
    .bind(open.payment.uuid())
    .bind(base.now())
    .bind(outcome)
    .execute(conn)
    .await?;
    Ok(())
}

async fn queue_for_sale(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    quote: &Quote,
) -> Result<(), Error> {
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
    conversion::ask_in(conn, base, quote.asset).await
}

/// The deposits an early acceptance rested on no longer cover it: the shop keeps its promise, the
/// house looks for its crypto.
pub(crate) async fn missed_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    gone: &Deposit,
) -> Result<(), Error> {
    let Some(open) = open_of(conn, payment.id).await? else { return Ok(()) };
    if open.network != gone.network || open.asset != gone.amount.asset() {
        return Ok(());
    }
    let quote = quote::get_in(conn, open.quote).await?;
    if quote::due_in(conn, &quote).await?.is_zero() {
        return Ok(());
    }
    let new = case::NewCase {
        kind: GONE,
        subject: &payment.id.to_string(),
        payment: Some(payment.id),
        amount: Some(open.amount),
        detail: json!({
            "network": gone.network, "tx_id": gone.tx_id, "block": gone.block_hash,
            "missing": gone.amount,
        }),
    };
    case::open_in(conn, base, new).await
}

/// Why a loss was not honoured; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum HonourError {
    #[error("the payment was not accepted early, or that has ended")]
    NotOpen,
    /// Its deposits are there, or on their way to being final.
    #[error("nothing is lost: deposits that are final or in a block still cover the quote")]
    NotLost,
    #[error(
        "a deposit of it is in a block and not final, or set aside: wait for what becomes of it, \
         or give it back first"
    )]
    StillComing,
    #[error("who honours a loss, and why, is said in 1 to 200 and 1 to 500 characters")]
    Unsigned,
    #[error(transparent)]
    Internal(#[from] Error),
}

impl From<sqlx::Error> for HonourError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// True while money that came instead, or beside it, waits: it may be what is missing, and what is
/// nobody's yet is not lost.
async fn is_set_aside(conn: &mut PgConnection, open: &Open) -> Result<bool, Error> {
    let waits = sqlx::query_scalar(
        "select exists (select from deposits d
           where d.payment_id = $1 and d.network = $2 and d.asset = $3 and d.reason = $4
             and (d.state = 'seen' or (d.state = 'confirmed' and left_of(d) > 0
               and not exists (select from refunds r
                 where r.deposit_id = d.id and r.state <> 'withdrawn'))))",
    )
    .bind(open.payment.uuid())
    .bind(open.network.as_str())
    .bind(open.asset.code())
    .bind(SuspenseReason::AfterEnd.name())
    .fetch_one(conn)
    .await?;
    Ok(waits)
}

/// Honours a payment that was accepted early and whose crypto did not stay: the shop gets its
/// rupees, the missing crypto is the house's loss, and the network's limit shrinks by what was at
/// risk. Answers what was lost.
///
/// # Errors
/// `HonourError`.
pub async fn honour_in(
    conn: &mut PgConnection,
    base: &Base,
    id: PaymentId,
    (actor, reason): (&str, &str),
) -> Result<Amount, HonourError> {
    let signed = |text: &str, most| (1..=most).contains(&text.trim().chars().count());
    if !signed(actor, 200) || !signed(reason, 500) {
        return Err(HonourError::Unsigned);
    }
    let payment = match payment::lock_in(conn, id).await {
        Err(Error::Database(sqlx::Error::RowNotFound)) => return Err(HonourError::NotOpen),
        other => other?,
    };
    let open = open_of(conn, id).await?.ok_or(HonourError::NotOpen)?;
    let quote = quote::get_in(conn, open.quote).await?;
    let (there, _) = sums(conn, &quote, open.policy_version).await?;
    let due = quote::due_in(conn, &quote).await?;
    if due.is_zero() {
        return Err(HonourError::NotLost);
    }
    let lost = quote.payable.checked_sub(there).map_err(Error::from)?;
    if lost != due || is_set_aside(conn, &open).await? {
        return Err(HonourError::StillComing);
    }
    risk::honoured(conn, base, (&payment, open.amount), &quote, there, (actor, reason)).await?;
    deposit::lost_in(conn, base, &quote, lost).await?;
    promise_others_back(conn, base, &payment, &quote).await?;
    end_in(conn, base, &open, "honoured").await?;
    close_case_in(conn, base, GONE, &id.to_string(), "honoured by the house").await?;
    queue_for_sale(conn, base, &payment, &quote).await?;
    Ok(lost)
}
