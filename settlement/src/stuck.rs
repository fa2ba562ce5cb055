//! The sweeper: due work derived from the state of entities, never from the queue.
//!
//! Invariant: whatever the rows say is unfinished has a job after a sweep. Wiping the queue at any
//! instant therefore costs a minute, not an outcome.

use chrono::TimeDelta;
use primitives::{
    ConversionId, DeliveryId, DepositId, InboxId, MoveId, PaymentId, PayoutId, TransferId,
};
use queue::Enqueued;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Base, Error,
    jobs::{
        ConfirmDeposit, Convert, ExpirePayment, NotifyMerchant, PayOut, ProcessInbox,
        RefillAddresses, ResolveConversion, ResolveMove, ResolvePayout, ResolveTransfer, ScanChain,
        Sweep, WatchCredits,
    },
    money_column,
};

/// Rows of one kind, and of deposits of one network, looked at in one sweep. Which ones is left to
/// chance: rows that cannot go on for long never stand in the way of the others.
const BATCH: i64 = 500;

/// Asks for every job that some row is waiting for and that nobody has queued. Answers how many
/// were missing: in calm, none.
///
/// # Errors
/// `Database`, `Queue`.
pub async fn sweep_in(conn: &mut PgConnection, base: &Base) -> Result<u32, Error> {
    let mut found = Found(0);
    let now = base.now();
    for network in base.settings.networks.keys() {
        found.count(queue::ensure(conn, &ScanChain { network: network.clone() }, now).await?);
        found.count(queue::ensure(conn, &RefillAddresses { network: network.clone() }, now).await?);
    }
    let seen = "select id from (select id,
                  row_number() over (partition by network order by random()) as place
                from deposits where state = 'seen') d where place <= $1";
    for id in ids(conn, seen).await? {
        let job = ConfirmDeposit { deposit: DepositId::from_uuid(id) };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    let open = "select id from payments where state in ('awaiting_deposit', 'confirming')
                and expires_at <= $2 order by random() limit $1";
    let soon = now + TimeDelta::days(1);
    let ending: Vec<Uuid> =
        sqlx::query_scalar(open).bind(BATCH).bind(soon).fetch_all(&mut *conn).await?;
    for id in ending {
        let job = ExpirePayment { payment: PaymentId::from_uuid(id) };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    sweep_money_out(conn, base, &mut found).await?;
    sweep_treasury(conn, base, &mut found).await?;
    let letters = "select id from inbox where state = 'new' order by random() limit $1";
    for id in ids(conn, letters).await? {
        let job = ProcessInbox { letter: InboxId::from_uuid(id) };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    let pending = "select id from deliveries where state = 'pending' order by random() limit $1";
    for id in ids(conn, pending).await? {
        let job = NotifyMerchant { delivery: DeliveryId::from_uuid(id) };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    Ok(found.0)
}

struct Found(u32);

impl Found {
    fn count(&mut self, enqueued: Enqueued) {
        if !matches!(enqueued, Enqueued::AlreadyQueued) {
            self.0 = self.0.saturating_add(1);
        }
    }
}

async fn sweep_money_out(
    conn: &mut PgConnection,
    base: &Base,
    found: &mut Found,
) -> Result<(), Error> {
    let now = base.now();
    let waiting: Vec<String> = sqlx::query_scalar(
        "select distinct asset::text from conversion_queue where conversion_id is null",
    )
    .fetch_all(&mut *conn)
    .await?;
    for code in waiting {
        let job = Convert { asset: money_column::asset(&code)? };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    let selling = "select id from conversions c where state not in ('filled', 'in_review')
                     or exists (select from order_attempts a where a.conversion_id = c.id
                       and a.looked_at is null and a.state in ('filled', 'closed', 'absent'))
                   order by random() limit $1";
    for id in ids(conn, selling).await? {
        let job = ResolveConversion { conversion: ConversionId::from_uuid(id) };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    let planned = "select id from payouts where state = 'planned' order by random() limit $1";
    for id in ids(conn, planned).await? {
        found.count(queue::ensure(conn, &PayOut { payout: PayoutId::from_uuid(id) }, now).await?);
    }
    // Paid ones wait for days and are many: they come last.
    let underway = "select id from payouts where state in ('submitted', 'unknown', 'pending',
                    'queued', 'processing', 'paid') order by state = 'paid', random() limit $1";
    for id in ids(conn, underway).await? {
        let job = ResolvePayout { payout: PayoutId::from_uuid(id) };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    Ok(())
}

async fn sweep_treasury(
    conn: &mut PgConnection,
    base: &Base,
    found: &mut Found,
) -> Result<(), Error> {
    let now = base.now();
    for (network, asset) in base.settings.treasury.sweeps() {
        let job = Sweep { network: network.clone(), asset };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    // What is final needs nothing but its credit, unless its block is gone.
    let moving = "select id from moves where state in ('planned', 'signed', 'sent', 'included',
                    'unwound', 'in_review') order by random() limit $1";
    let gone = "select m.id from chain_blocks b
                join moves m on m.network = b.network and m.block_hash = b.hash
                where not b.canonical and m.state in ('final', 'credited', 'failed') limit $1";
    // The scan never saw its block, and stands on another one there: the nodes say which is wrong.
    let replaced = sqlx::query_scalar(
        "select m.id from moves m
         join chain_blocks b on b.network = m.network and b.height = m.height and b.canonical
           and b.hash <> m.block_hash
         where m.state in ('final', 'credited', 'failed') and m.planned_at > $2
         order by random() limit $1",
    )
    .bind(BATCH)
    .bind(now - TimeDelta::days(7))
    .fetch_all(&mut *conn)
    .await?;
    for some in [ids(conn, moving).await?, ids(conn, gone).await?, replaced] {
        for id in some {
            let job = ResolveMove { moved: MoveId::from_uuid(id) };
            found.count(queue::ensure(conn, &job, now).await?);
        }
    }
    let leaving = "select id from venue_transfers where state in ('planned', 'sent', 'unknown',
                     'leaving', 'in_review') order by random() limit $1";
    for id in ids(conn, leaving).await? {
        let job = ResolveTransfer { transfer: TransferId::from_uuid(id) };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    let arriving: Vec<(String, String)> = sqlx::query_as(
        "select venue, asset::text from moves where state = 'final' and venue is not null
         union select to_venue, asset::text from venue_transfers where state = 'left'",
    )
    .fetch_all(&mut *conn)
    .await?;
    for (venue, asset) in arriving {
        let job = WatchCredits { venue, asset: money_column::asset(&asset)? };
        found.count(queue::ensure(conn, &job, now).await?);
    }
    Ok(())
}

async fn ids(conn: &mut PgConnection, sql: &'static str) -> Result<Vec<Uuid>, Error> {
    Ok(sqlx::query_scalar(sql).bind(BATCH).fetch_all(conn).await?)
}
