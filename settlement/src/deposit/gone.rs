//! A deposit whose block is gone, and a lost one that comes back.
//!
//! Invariant: state and books are unwound together, whatever the deposit had become: a hold is
//! voided, what is still owed leaves with the crypto, what was spent is a loss with a case. Other
//! deposits' money is not touched. A scan is never stopped by the books: what they cannot take back
//! is shown to a person instead.

use primitives::{Amount, Asset, DepositId, NetworkId};
use serde_json::json;
use sqlx::PgConnection;

use super::{
    Deposit, DepositEvent, DepositState, Purpose,
    store::{left_in, lock_with_owner_in, read, select_deposit, step_in},
};
use crate::{
    Base, Error,
    bookkeeping::{
        self,
        promises::{self, TakenFrom},
        reorg::{self, Unwound},
    },
    case, money_column,
    payment::{self, Payment, PaymentEvent, PaymentState},
    policy::{self, early, evidence},
    quote::Quote,
    refund::{self, Promise, Refund, RefundState},
};

const AFTER_FINAL: &str = "reorg_after_final";
const WHY: &str = "the block of its deposit is gone";

fn sighting(deposit: &Deposit) -> String {
    format!("{}:{}", deposit.id, deposit.sightings)
}

/// Unwinds a deposit whose block is no longer on the chain we follow.
///
/// # Errors
/// `Database`, `Ledger`; `Overtaken` when it found another payment meanwhile: do it again.
pub async fn gone_in(conn: &mut PgConnection, base: &Base, id: DepositId) -> Result<(), Error> {
    let (mut owner, mut deposit) = lock_with_owner_in(conn, id).await?;
    match deposit.state {
        DepositState::Seen => {
            bookkeeping::deposit_gone(conn, base, &deposit).await?;
            let cause = json!({ "block": deposit.block_hash });
            step_in(conn, base, &mut deposit, DepositEvent::BlockGone, cause).await?;
        }
        DepositState::Confirmed => {
            if !unwind(conn, base, &deposit, owner.as_ref()).await? {
                return Ok(());
            }
            let cause = json!({ "block": deposit.block_hash, "final": true });
            step_in(conn, base, &mut deposit, DepositEvent::FinalBlockGone, cause).await?;
        }
        _ => return Ok(()),
    }
    if let Some(block) = &deposit.block_hash {
        evidence::orphaned_in(conn, base, &deposit.network, block).await?;
    }
    let Some(payment) = &mut owner else { return Ok(()) };
    early::missed_in(conn, base, payment, &deposit).await?;
    if payment.state == PaymentState::Confirming && !has_others(conn, payment).await? {
        let cause = json!({ "deposit": deposit.id });
        payment::step_in(conn, base, payment, PaymentEvent::DepositsGone, cause).await?;
    }
    Ok(())
}

async fn has_others(conn: &mut PgConnection, payment: &Payment) -> Result<bool, Error> {
    let others = sqlx::query_scalar(
        "select exists (select from deposits where payment_id = $1 and purpose = 'payment'
           and state in ('seen', 'confirmed'))",
    )
    .bind(payment.id.uuid())
    .fetch_one(conn)
    .await?;
    Ok(others)
}

/// A block we called final is gone: the deposit leaves the books by contra entries, and a person is
/// told what it cost. `false` when the books cannot take it back, because the crypto has left the
/// network's addresses: then its state stays as well, and nothing can be credited twice.
async fn unwind(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&Payment>,
) -> Result<bool, Error> {
    let booked = reorg::is_covered(conn, deposit).await?;
    let mut detail = json!({
        "block": deposit.block_hash, "tx_id": deposit.tx_id, "booked": booked,
    });
    if booked {
        let withdrawn = withdraw(conn, base, deposit, owner).await?;
        let available = available(conn, deposit, owner).await?;
        let how = split(deposit, left_in(conn, deposit.id).await?, available)?;
        reorg::unwound(conn, base, deposit, owner, &how).await?;
        entry_in(conn, base, deposit, "unspent", how.unspent).await?;
        entry_in(conn, base, deposit, "lost", how.lost).await?;
        if let Some(payment) = owner {
            let left = available.saturating_sub(how.unspent.minor());
            promise_rest(conn, base, payment, &withdrawn, left).await?;
        }
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("unspent".to_owned(), json!(how.unspent));
            detail.insert("lost".to_owned(), json!(how.lost));
        }
    }
    let new = case::NewCase {
        kind: AFTER_FINAL,
        subject: &sighting(deposit),
        payment: deposit.payment,
        amount: Some(deposit.amount),
        detail,
    };
    case::open_in(conn, base, new).await?;
    Ok(booked)
}

/// What made good a loss is lost again; of the rest, what is spent.
fn split(deposit: &Deposit, left: Amount, available: i128) -> Result<Unwound, Error> {
    let unspent = available.clamp(0, left.minor().max(0));
    let unspent = Amount::try_new(unspent, deposit.amount.asset())?;
    Ok(Unwound { unspent, lost: deposit.amount.checked_sub(unspent)? })
}

/// Takes back what was promised out of this deposit, or out of the sum it is part of: nobody can be
/// sent what is not there. What has an address may be on its way already: it counts as spent, the
/// promise stands, and a person is told.
async fn withdraw(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&Payment>,
) -> Result<Vec<Refund>, Error> {
    let mut withdrawn = Vec::new();
    let of_sum = |refund: &Refund| is_of_sum(refund, &deposit.network, deposit.amount.asset());
    let mut refunds = match (deposit.purpose, owner) {
        (Purpose::Payment, Some(payment)) => refund::of_payment_in(conn, payment.id).await?,
        _ => refund::of_deposit_in(conn, deposit.id).await?,
    };
    refunds.retain(|refund| deposit.purpose != Purpose::Payment || of_sum(refund));
    for mut refund in refunds {
        match refund.state {
            RefundState::Promised => {
                refund::withdraw_in(conn, base, &mut refund, WHY).await?;
                // What went out of suspense is not promised again by itself.
                if deposit.purpose == Purpose::Payment {
                    withdrawn.push(refund);
                }
            }
            RefundState::Addressed => on_its_way_in(conn, base, deposit, &refund).await?,
            RefundState::Sent | RefundState::Withdrawn => {}
        }
    }
    Ok(withdrawn)
}

/// Nobody knows whether it was broadcast: it is not owed twice, and it can still be recorded.
async fn on_its_way_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    refund: &Refund,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: refund::GONE,
        subject: &refund.id.to_string(),
        payment: refund.payment,
        amount: Some(refund.amount),
        detail: json!({
            "deposit": deposit.id, "network": deposit.network, "tx_id": deposit.tx_id,
            "refund": refund.id, "address": refund.address,
        }),
    };
    case::open_in(conn, base, new).await
}

/// What was promised out of suspense names its deposit; what was promised out of a payment's sum
/// does not.
fn is_of_sum(refund: &Refund, network: &NetworkId, asset: Asset) -> bool {
    refund.deposit.is_none() && refund.network == *network && refund.amount.asset() == asset
}

/// How much of what the books hold for this deposit, or for the sum it is part of, is unspent.
/// What was promised is withdrawn before this is asked; what was sent, or has an address, is spent.
async fn available(
    conn: &mut PgConnection,
    deposit: &Deposit,
    owner: Option<&Payment>,
) -> Result<i128, Error> {
    let asset = deposit.amount.asset();
    let sent = |refund: &&Refund| refund.state != RefundState::Withdrawn;
    let less = |sum: i128, refund: Refund| sum.saturating_sub(refund.amount.minor());
    let (Purpose::Payment, Some(payment)) = (deposit.purpose, owner) else {
        let start = left_in(conn, deposit.id).await?.minor();
        let refunds = refund::of_deposit_in(conn, deposit.id).await?;
        return Ok(refunds.into_iter().filter(|r| sent(&r)).fold(start, less));
    };
    let sum: String = sqlx::query_scalar(
        "select coalesce(sum(left_of(d)), 0)::text from deposits d
         where payment_id = $1 and network = $2 and asset = $3 and state = 'confirmed'
           and purpose = 'payment'",
    )
    .bind(payment.id.uuid())
    .bind(deposit.network.as_str())
    .bind(asset.code())
    .fetch_one(&mut *conn)
    .await?;
    let mut start = money_column::amount(&sum, asset)?.minor();
    let quote = payment::covered_by(conn, payment).await?;
    if quote.is_some_and(|quote| quote.network == deposit.network) {
        let converted = promises::converted_in(conn, payment, asset).await?;
        start = start.saturating_sub(converted.minor());
    }
    let refunds = refund::of_payment_in(conn, payment.id).await?;
    let of_sum = |r: &Refund| is_of_sum(r, &deposit.network, asset) && sent(&r);
    Ok(refunds.into_iter().filter(of_sum).fold(start, less))
}

/// What is left of promises that had to be taken back is promised again.
async fn promise_rest(
    conn: &mut PgConnection,
    base: &Base,
    payment: &Payment,
    withdrawn: &[Refund],
    mut left: i128,
) -> Result<(), Error> {
    for refund in withdrawn {
        let part = left.clamp(0, refund.amount.minor());
        left = left.saturating_sub(part);
        if part == 0 {
            continue;
        }
        let event = |refund: &Refund| refund.subject.split('#').next().map(str::to_owned);
        let subject = event(refund).unwrap_or_default();
        let mut amount = Amount::try_new(part, refund.amount.asset())?;
        for other in refund::of_payment_in(conn, payment.id).await? {
            if other.state != RefundState::Withdrawn && event(&other) == event(refund) {
                amount = amount.checked_add(other.amount)?;
            }
        }
        let promise = Promise {
            payment: Some(payment),
            deposit: None,
            network: &refund.network,
            amount,
            from: TakenFrom::Deposit(payment.merchant),
            kind: kind_of(refund),
            subject: &subject,
            policy: payment::policy_of_in(conn, Some(payment)).await?.version,
        };
        refund::promise_in(conn, base, &promise).await?;
    }
    Ok(())
}

fn kind_of(refund: &Refund) -> &'static str {
    ["underpaid", "dust"].into_iter().find(|kind| *kind == refund.kind).unwrap_or("overpaid")
}

async fn entry_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    kind: &'static str,
    amount: Amount,
) -> Result<(), Error> {
    if !amount.is_positive() {
        return Ok(());
    }
    sqlx::query(
        "insert into reorg_entries (deposit_id, sighting, kind, asset, amount_minor, at)
         values ($1, $2, $3, $4, $5::text::numeric, $6)",
    )
    .bind(deposit.id.uuid())
    .bind(deposit.sightings)
    .bind(kind)
    .bind(amount.asset().code())
    .bind(money_column::minor(amount))
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// What the house has borne and not got back, and where it was written off.
struct Borne {
    open: Amount,
    /// Deposits and sightings, as their cases name them.
    sightings: Vec<String>,
}

/// What the house has borne for a deposit in this asset; for a payment it honoured at a loss, what
/// it has borne for any deposit of that payment in the same way.
async fn borne(
    conn: &mut PgConnection,
    deposit: DepositId,
    owner: Option<&Payment>,
    asset: Asset,
) -> Result<Borne, Error> {
    let rows: Vec<(uuid::Uuid, i32, String, String)> = sqlx::query_as(
        "select r.deposit_id, r.sighting, r.kind, r.amount_minor::text
         from reorg_entries r join deposits d on d.id = r.deposit_id
         where r.asset = $2 and r.kind in ('lost', 'returned')
           and (d.id = $1 or (d.payment_id = $3 and exists (
             select from early_acceptances e where e.payment_id = $3 and e.outcome = 'honoured'
               and e.network = d.network and e.asset = $2
               and e.network = (select network from deposits where id = $1))))
         order by r.deposit_id, r.sighting",
    )
    .bind(deposit.uuid())
    .bind(asset.code())
    .bind(owner.map(|payment| payment.id.uuid()))
    .fetch_all(conn)
    .await?;
    let mut borne = Borne { open: Amount::zero(asset), sightings: Vec::new() };
    for (id, sighting, kind, minor) in rows {
        let amount = money_column::amount(&minor, asset)?;
        if kind == "lost" {
            borne.open = borne.open.checked_add(amount)?;
            borne.sightings.push(format!("{}:{sighting}", DepositId::from_uuid(id)));
        } else {
            borne.open = borne.open.checked_sub(amount)?;
        }
    }
    Ok(borne)
}

/// True while the house bears a loss for this deposit.
pub(super) async fn is_borne_in(
    conn: &mut PgConnection,
    deposit: DepositId,
    asset: Asset,
) -> Result<bool, Error> {
    Ok(borne(conn, deposit, None, asset).await?.open.is_positive())
}

/// A deposit that was written off is final, or another of a payment the house honoured: the loss
/// comes first, whatever else it might be for. Answers how much of it that took.
pub(super) async fn give_back_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&Payment>,
) -> Result<Amount, Error> {
    let asset = deposit.amount.asset();
    let Borne { open, sightings } = borne(conn, deposit.id, owner, asset).await?;
    let back = if open.minor() < deposit.amount.minor() { open } else { deposit.amount };
    if !back.is_positive() {
        return Ok(Amount::zero(asset));
    }
    reorg::loss_returned(conn, base, deposit, owner, back).await?;
    entry_in(conn, base, deposit, "returned", back).await?;
    if back == open {
        let note = "final again, or paid anew, and the loss is credited";
        for subject in sightings {
            policy::close_case_in(conn, base, AFTER_FINAL, &subject, note).await?;
        }
    }
    Ok(back)
}

/// Notes a loss the house took on for a quote on the deposits that did not stay, so that whichever
/// comes back credits it.
pub(crate) async fn lost_in(
    conn: &mut PgConnection,
    base: &Base,
    quote: &Quote,
    lost: Amount,
) -> Result<(), Error> {
    let gone = sqlx::query(select_deposit!(
        "where payment_id = $1 and network = $2 and asset = $3 and purpose = 'payment' \
         and state in ('orphaned', 'dropped', 'replaced', 'pending') order by id"
    ))
    .bind(quote.payment.uuid())
    .bind(quote.network.as_str())
    .bind(quote.asset.code())
    .fetch_all(&mut *conn)
    .await?;
    let mut rest = lost;
    for row in &gone {
        let deposit = read(row)?;
        let borne = borne(conn, deposit.id, None, quote.asset).await?.open;
        let open = deposit.amount.minor().saturating_sub(borne.minor());
        let part = Amount::try_new(open.clamp(0, rest.minor()), quote.asset)?;
        entry_in(conn, base, &deposit, "lost", part).await?;
        rest = rest.checked_sub(part)?;
    }
    Ok(())
}
