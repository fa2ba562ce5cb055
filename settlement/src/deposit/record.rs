//! Recording what a block brought.
//!
//! Invariant: recording the same sighting twice changes nothing; every sighting of a listed asset
//! ends in the books, whoever it was meant for. The payment is locked before the deposit.

use chrono::{DateTime, Utc};
use primitives::{Amount, DepositId, NetworkId, PaymentId, QuoteId};
use serde_json::json;
use sqlx::{PgConnection, Row};

use super::{
    Deposit, DepositEvent, DepositState, Purpose, SuspenseReason, gone,
    store::{read, select_deposit, step_in},
};
use crate::{
    Base, Error, Record, bookkeeping, case, chart,
    jobs::ConfirmDeposit,
    money_column,
    payment::{self, Arrival, Flags, Payment, PaymentEvent},
    record_in,
};

/// Value of a listed asset in a block we follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub network: NetworkId,
    pub tx_id: String,
    pub ordinal: i64,
    pub address: String,
    pub amount: Amount,
    pub block_hash: String,
    pub height: i64,
    pub block_time: DateTime<Utc>,
}

/// A token nobody listed, sent to one of our addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenToken {
    pub network: NetworkId,
    pub tx_id: String,
    pub ordinal: i64,
    pub address: String,
    pub contract: String,
    /// What its log claims, as text; nothing is booked from it.
    pub claimed: String,
}

/// Records a sighting: the deposit, its inclusion, the hold in the books, the payment's step, and
/// the job that will confirm it.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn seen_in(conn: &mut PgConnection, base: &Base, seen: &Seen) -> Result<(), Error> {
    if is_our_top_up_in(conn, seen).await? {
        return Ok(());
    }
    let owner: Option<uuid::Uuid> = sqlx::query_scalar(
        "select payment_id from deposit_addresses where network = $1 and address = $2",
    )
    .bind(seen.network.as_str())
    .bind(&seen.address)
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    // A transaction that is executed anew may pay another payment than it did before.
    let before: Option<uuid::Uuid> = sqlx::query_scalar(
        "select payment_id from deposits where network = $1 and tx_id = $2 and ordinal = $3",
    )
    .bind(seen.network.as_str())
    .bind(&seen.tx_id)
    .bind(seen.ordinal)
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    let both = [owner, before].into_iter().flatten().map(PaymentId::from_uuid);
    let locked = payment::lock_all_in(conn, both).await?;
    let mut payment = locked.into_iter().find(|p| Some(p.id.uuid()) == owner);
    let known = sqlx::query(select_deposit!(
        "where network = $1 and tx_id = $2 and ordinal = $3 for update"
    ))
    .bind(seen.network.as_str())
    .bind(&seen.tx_id)
    .bind(seen.ordinal)
    .fetch_optional(&mut *conn)
    .await?
    .map(|row| read(&row))
    .transpose()?;
    if let Some(known) = &known
        && matches!(known.state, DepositState::Seen | DepositState::Confirmed)
    {
        return already_seen(conn, base, known, seen).await;
    }
    let same = known.as_ref().filter(|k| k.payment.map(PaymentId::uuid) == owner);
    let arrival = Arrival {
        network: &seen.network,
        asset: seen.amount.asset(),
        block_time: seen.block_time,
        first_seen: same.map(|known| known.seen_at),
        counted_for: same.and_then(|known| known.quote),
    };
    let (purpose, quote) =
        purpose_in(conn, base, payment.as_ref(), &arrival, known.as_ref()).await?;
    let deposit = match known {
        Some(known) => seen_again(conn, base, known, seen, (owner, purpose, quote)).await?,
        None => first_seen(conn, base, owner, seen, purpose, quote).await?,
    };
    include(conn, base, deposit.id, seen).await?;
    bookkeeping::deposit_seen(conn, base, &deposit, payment.as_ref()).await?;
    if deposit.purpose == Purpose::Suspense(SuspenseReason::ShopFrozen) {
        frozen_in(conn, base, &deposit).await?;
    }
    if let Some(payment) = &mut payment {
        tell_payment(conn, base, payment, &deposit).await?;
    }
    queue::enqueue(conn, &ConfirmDeposit { deposit: deposit.id }, base.now()).await?;
    Ok(())
}

/// Gas that we sent to an address of our own is no deposit: the move's own final block books it.
/// Its transaction is known before it is sent, so no sighting comes before its row.
async fn is_our_top_up_in(conn: &mut PgConnection, seen: &Seen) -> Result<bool, Error> {
    let ours = sqlx::query_scalar(
        "select exists (select from move_attempts a join moves m on m.id = a.move_id
           where a.tx_id = $1 and m.network = $2 and m.purpose = 'gas' and m.to_address = $3)",
    )
    .bind(&seen.tx_id)
    .bind(seen.network.as_str())
    .bind(&seen.address)
    .fetch_one(conn)
    .await?;
    Ok(ours)
}

/// What a sighting is for, as far as the books can take it: what made good a loss before counts for
/// nothing by itself, and a frozen account takes nothing and stops no scan.
async fn purpose_in(
    conn: &mut PgConnection,
    base: &Base,
    payment: Option<&Payment>,
    arrival: &Arrival<'_>,
    known: Option<&Deposit>,
) -> Result<(Purpose, Option<QuoteId>), Error> {
    let (purpose, quote) = payment::decide_in(conn, base, payment, arrival).await?;
    let (Purpose::Payment, Some(owner)) = (purpose, payment) else { return Ok((purpose, quote)) };
    if let Some(known) = known
        && gone::is_borne_in(conn, known.id, arrival.asset).await?
    {
        return Ok((Purpose::Suspense(SuspenseReason::AfterEnd), None));
    }
    let shop = chart::deposit(owner.merchant, arrival.asset);
    if ledger::balance(conn, &shop.code).await?.is_some_and(|balance| balance.frozen) {
        return Ok((Purpose::Suspense(SuspenseReason::ShopFrozen), None));
    }
    Ok((purpose, quote))
}

/// A person must know at once: the payer is waiting.
async fn frozen_in(conn: &mut PgConnection, base: &Base, deposit: &Deposit) -> Result<(), Error> {
    let new = case::NewCase {
        kind: SuspenseReason::ShopFrozen.name(),
        subject: &deposit.id.to_string(),
        payment: deposit.payment,
        amount: Some(deposit.amount),
        detail: json!({ "network": deposit.network, "tx_id": deposit.tx_id }),
    };
    case::open_in(conn, base, new).await
}

/// Records a token nobody listed, with a case; the books know no such asset.
///
/// # Errors
/// `Database`.
pub async fn unknown_token_in(
    conn: &mut PgConnection,
    base: &Base,
    seen: &SeenToken,
) -> Result<(), Error> {
    let inserted = sqlx::query(
        "insert into unknown_tokens (network, tx_id, ordinal, address, contract, claimed, seen_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(seen.network.as_str())
    .bind(&seen.tx_id)
    .bind(seen.ordinal)
    .bind(&seen.address)
    .bind(&seen.contract)
    .bind(&seen.claimed)
    .bind(base.now())
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(());
    }
    let owner: Option<uuid::Uuid> = sqlx::query_scalar(
        "select payment_id from deposit_addresses where network = $1 and address = $2",
    )
    .bind(seen.network.as_str())
    .bind(&seen.address)
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    let subject = format!("{}:{}:{}", seen.network, seen.tx_id, seen.ordinal);
    let new = case::NewCase {
        kind: "unknown_token",
        subject: &subject,
        payment: owner.map(PaymentId::from_uuid),
        amount: None,
        detail: json!({ "contract": seen.contract, "address": seen.address }),
    };
    case::open_in(conn, base, new).await
}

/// A sighting we know, or the same transaction in a second block while the first still stands,
/// which the scan's own unwinding must make impossible.
async fn already_seen(
    conn: &mut PgConnection,
    base: &Base,
    known: &Deposit,
    seen: &Seen,
) -> Result<(), Error> {
    if known.block_hash.as_deref() == Some(seen.block_hash.as_str()) {
        return Ok(());
    }
    let new = case::NewCase {
        kind: "deposit_in_two_blocks",
        subject: &format!("{}:{}", known.id, seen.block_hash),
        payment: known.payment,
        amount: Some(seen.amount),
        detail: json!({ "first": known.block_hash, "second": seen.block_hash }),
    };
    case::open_in(conn, base, new).await
}

pub(super) const fn reason_name(purpose: Purpose) -> Option<&'static str> {
    match purpose {
        Purpose::Payment => None,
        Purpose::Suspense(reason) => Some(reason.name()),
    }
}

pub(super) const fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Payment => "payment",
        Purpose::Suspense(_) => "suspense",
    }
}

async fn first_seen(
    conn: &mut PgConnection,
    base: &Base,
    owner: Option<uuid::Uuid>,
    seen: &Seen,
    purpose: Purpose,
    quote: Option<QuoteId>,
) -> Result<Deposit, Error> {
    let id = DepositId::from_uuid(base.uuid());
    let now = base.now();
    let row = sqlx::query(
        "insert into deposits (id, network, tx_id, ordinal, address, asset, amount_minor,
           payment_id, quote_id, state, purpose, reason, block_hash, height, seen_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8, $9, 'seen', $10, $11, $12, $13,
           $14, $14)
         returning id, network, tx_id, ordinal, address, asset, amount_minor::text as amount_minor,
           payment_id, quote_id, state, reason, sightings, block_hash, height, seen_at,
           confirmed_at",
    )
    .bind(id.uuid())
    .bind(seen.network.as_str())
    .bind(&seen.tx_id)
    .bind(seen.ordinal)
    .bind(&seen.address)
    .bind(seen.amount.asset().code())
    .bind(money_column::minor(seen.amount))
    .bind(owner)
    .bind(quote.map(QuoteId::uuid))
    .bind(purpose_name(purpose))
    .bind(reason_name(purpose))
    .bind(&seen.block_hash)
    .bind(seen.height)
    .bind(now)
    .fetch_one(&mut *conn)
    .await?;
    let record = Record {
        entity: "deposit",
        id: id.uuid(),
        from: None,
        to: DepositState::Seen.name(),
        event: "seen",
        cause: json!({ "height": seen.height, "block": seen.block_hash }),
        at: now,
    };
    record_in(conn, record).await?;
    read(&row)
}

/// What a transaction brings is what its newest block says: another amount, another address,
/// another asset, another payment. Nothing of an earlier execution is kept but its identity.
async fn seen_again(
    conn: &mut PgConnection,
    base: &Base,
    mut deposit: Deposit,
    seen: &Seen,
    (owner, purpose, quote): (Option<uuid::Uuid>, Purpose, Option<QuoteId>),
) -> Result<Deposit, Error> {
    let sightings: i32 = sqlx::query(
        "update deposits set amount_minor = $2::text::numeric, purpose = $3, reason = $4,
           quote_id = $5, block_hash = $6, height = $7, payment_id = $8, address = $9, asset = $10,
           sightings = sightings + 1
         where id = $1 returning sightings",
    )
    .bind(deposit.id.uuid())
    .bind(money_column::minor(seen.amount))
    .bind(purpose_name(purpose))
    .bind(reason_name(purpose))
    .bind(quote.map(QuoteId::uuid))
    .bind(&seen.block_hash)
    .bind(seen.height)
    .bind(owner)
    .bind(&seen.address)
    .bind(seen.amount.asset().code())
    .fetch_one(&mut *conn)
    .await?
    .try_get("sightings")?;
    let cause = json!({
        "height": seen.height, "block": seen.block_hash, "amount": seen.amount,
        "was": { "amount": deposit.amount, "address": deposit.address },
    });
    deposit.amount = seen.amount;
    deposit.address.clone_from(&seen.address);
    deposit.payment = owner.map(PaymentId::from_uuid);
    deposit.purpose = purpose;
    deposit.quote = quote;
    deposit.sightings = sightings;
    deposit.block_hash = Some(seen.block_hash.clone());
    deposit.height = Some(seen.height);
    let event = match deposit.state {
        DepositState::Pending => DepositEvent::Included,
        _ => DepositEvent::SeenAgain,
    };
    step_in(conn, base, &mut deposit, event, cause).await?;
    Ok(deposit)
}

async fn include(
    conn: &mut PgConnection,
    base: &Base,
    id: DepositId,
    seen: &Seen,
) -> Result<(), Error> {
    sqlx::query(
        "insert into inclusions (deposit_id, block_hash, height, amount_minor, seen_at)
         values ($1, $2, $3, $4::text::numeric, $5) on conflict do nothing",
    )
    .bind(id.uuid())
    .bind(&seen.block_hash)
    .bind(seen.height)
    .bind(money_column::minor(seen.amount))
    .bind(base.now())
    .execute(conn)
    .await?;
    Ok(())
}

async fn tell_payment(
    conn: &mut PgConnection,
    base: &Base,
    payment: &mut Payment,
    deposit: &Deposit,
) -> Result<(), Error> {
    let mut flags: Flags = payment.flags;
    match deposit.purpose {
        // One that was accepted early has gone on already.
        Purpose::Payment if !payment.state.is_payable() => {}
        Purpose::Payment => {
            let cause = json!({ "deposit": deposit.id, "amount": deposit.amount });
            payment::step_in(conn, base, payment, PaymentEvent::DepositSeen, cause).await?;
        }
        Purpose::Suspense(SuspenseReason::ShopFrozen) => {}
        Purpose::Suspense(SuspenseReason::WrongAsset) => flags.wrong_asset = true,
        Purpose::Suspense(SuspenseReason::AfterEnd) => flags.over = true,
        Purpose::Suspense(SuspenseReason::Late | SuspenseReason::NoPayment) => flags.late = true,
    }
    payment::set_flags_in(conn, base, payment, flags).await?;
    let data = json!({
        "network": deposit.network, "tx_id": deposit.tx_id, "amount": deposit.amount,
        "counts": matches!(deposit.purpose, Purpose::Payment),
    });
    crate::notice::tell_in(conn, base, payment, "deposit.seen", data).await
}
