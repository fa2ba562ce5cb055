//! A venue shows what was on its way to it.
//!
//! Invariant: a credit is booked once, for what the venue says of this very transaction, and never
//! for more than left. Where a venue tells no deposits, its balance must be too high by what is on
//! its way, twice, a gap apart, with nothing of ours under way there; what can be read in two ways
//! is not read. What is missing stays in transit, with a case. What no rule can read, a person
//! signs for.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, MoveId, NetworkId, TransferId};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{
    MoveEvent, MoveState, PersonError, TransferEvent, TransferState,
    people::signed_by,
    store::{lock_in, network, step_in},
    transfer::{lock_transfer_in, step_transfer_in},
};
use crate::{
    Base, Error,
    bookkeeping::treasury as books,
    case, money_column, policy,
    reconcile::{self, Scope},
};

/// What a venue says of one transaction of ours: all of it that reached its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    pub network: NetworkId,
    pub tx_id: String,
    pub amount: Amount,
    pub state: CreditState,
}

/// How far a venue is with a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditState {
    Pending,
    Taken,
    /// It will not credit it.
    Refused,
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    Move(MoveId),
    Transfer(TransferId),
}

/// Something on its way to a venue, by a final block or another venue's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnTheWay {
    pub item: Uuid,
    pub network: NetworkId,
    pub tx_id: Option<String>,
    pub amount: Amount,
    pub since: DateTime<Utc>,
    /// Before this the venue cannot have seen it.
    pub sent_at: DateTime<Utc>,
    is_transfer: bool,
}

/// More than this is not told apart by balance alone, unless all of it has come.
const SUBSETS_MAX: usize = 14;

/// What is on its way to a venue in one asset, the oldest first.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn waiting_in(
    conn: &mut PgConnection,
    venue: &str,
    asset: Asset,
) -> Result<Vec<OnTheWay>, Error> {
    let rows = sqlx::query(
        "select m.id, m.network, a.tx_id, m.arrived_minor::text as minor, m.final_at as since,
           coalesce((select min(f.first_sent_at) from move_attempts f where f.move_id = m.id),
             m.planned_at) as sent_at, false as is_transfer
         from moves m join move_attempts a on a.move_id = m.id and a.attempt = m.won
         where m.venue = $1 and m.asset = $2 and m.state = 'final'
         union all
         select t.id, t.network, t.tx_id, t.net_minor::text, t.left_at,
           coalesce(t.sent_at, t.planned_at), true
         from venue_transfers t where t.to_venue = $1 and t.asset = $2 and t.state = 'left'
         order by since, id",
    )
    .bind(venue)
    .bind(asset.code())
    .fetch_all(conn)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| -> Result<OnTheWay, Error> {
        Ok(OnTheWay {
            item: row.try_get("id")?,
            network: network(row.try_get("network")?)?,
            tx_id: row.try_get("tx_id")?,
            amount: money_column::amount(row.try_get("minor")?, asset)?,
            since: row.try_get("since")?,
            sent_at: row.try_get("sent_at")?,
            is_transfer: row.try_get("is_transfer")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Books what a venue's own list of deposits shows, when it is done with all of a transaction.
/// Answers how many were credited.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn credits_in(
    conn: &mut PgConnection,
    base: &Base,
    (venue, asset): (&str, Asset),
    told: &[Credit],
) -> Result<usize, Error> {
    let mut credited = 0_usize;
    for waits in waiting_in(conn, venue, asset).await? {
        let of_it = |c: &&Credit| {
            Some(&c.tx_id) == waits.tx_id.as_ref()
                && c.network == waits.network
                && c.amount.asset() == asset
        };
        let mine: Vec<&Credit> = told.iter().filter(of_it).collect();
        if mine.iter().any(|c| c.state == CreditState::Pending) {
            continue;
        }
        if mine.iter().any(|c| c.state == CreditState::Refused) {
            differs_in(conn, base, "credit_refused", &waits, None).await?;
        }
        let mut amount = Amount::zero(asset);
        for credit in mine.into_iter().filter(|c| c.state == CreditState::Taken) {
            amount = amount.checked_add(credit.amount)?;
        }
        let cause = json!({ "credited": amount, "tx_id": waits.tx_id });
        if amount.is_positive() && credit_in(conn, base, &waits, amount, cause).await? {
            credited = credited.saturating_add(1);
        }
    }
    Ok(credited)
}

/// Books one credit; never more than left. What differs is a case, and what is missing stays in
/// transit.
async fn credit_in(
    conn: &mut PgConnection,
    base: &Base,
    waits: &OnTheWay,
    told: Amount,
    cause: Value,
) -> Result<bool, Error> {
    let amount = if told.minor() > waits.amount.minor() { waits.amount } else { told };
    let at;
    if waits.is_transfer {
        let id = TransferId::from_uuid(waits.item);
        let mut transfer = lock_transfer_in(conn, id).await?;
        if transfer.state != TransferState::Left {
            return Ok(false);
        }
        transfer.credited = Some(amount);
        step_transfer_in(conn, base, &mut transfer, TransferEvent::CreditSeen, cause).await?;
        books::transfer_credited(conn, base, &transfer, amount).await?;
        at = transfer.to;
    } else {
        let mut moved = lock_in(conn, MoveId::from_uuid(waits.item)).await?;
        let Some(venue) = moved.venue.clone().filter(|_| moved.state == MoveState::Final) else {
            return Ok(false);
        };
        moved.credited = Some(amount);
        step_in(conn, base, &mut moved, MoveEvent::CreditSeen, cause).await?;
        books::move_credited(conn, base, &moved, &venue, amount).await?;
        at = venue;
    }
    let subject = subject(waits);
    policy::close_case_in(conn, base, "transit_old", &subject, "it was credited").await?;
    if told != waits.amount && books::crumbs(base, &at, waits.amount, told).is_zero() {
        differs_in(conn, base, "credit_differs", waits, Some(told)).await?;
    }
    Ok(true)
}

fn subject(waits: &OnTheWay) -> String {
    if waits.is_transfer {
        TransferId::from_uuid(waits.item).to_string()
    } else {
        MoveId::from_uuid(waits.item).to_string()
    }
}

async fn differs_in(
    conn: &mut PgConnection,
    base: &Base,
    kind: &'static str,
    waits: &OnTheWay,
    told: Option<Amount>,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind,
        subject: &subject(waits),
        payment: None,
        amount: Some(waits.amount),
        detail: json!({ "tx_id": waits.tx_id, "told": told, "network": waits.network }),
    };
    case::open_in(conn, base, new).await
}

/// Books a credit that a person has seen at the venue, and signs for. Never more than left.
///
/// # Errors
/// `PersonError`.
pub async fn credited_by_hand_in(
    conn: &mut PgConnection,
    base: &Base,
    item: Item,
    amount: Amount,
    actor: &str,
    reason: &str,
) -> Result<(), PersonError> {
    signed_by((actor, reason))?;
    let route: Option<(String, String)> = match item {
        Item::Move(id) => sqlx::query_as(
            "select venue, asset::text from moves where id = $1 and venue is not null",
        )
        .bind(id.uuid()),
        Item::Transfer(id) => {
            sqlx::query_as("select to_venue, asset::text from venue_transfers where id = $1")
                .bind(id.uuid())
        }
    }
    .fetch_optional(&mut *conn)
    .await?;
    let Some((venue, code)) = route else {
        return Err(PersonError::NotThere("nothing of that name is on its way to a venue"));
    };
    let asset = money_column::asset(&code)?;
    lock_credits_in(conn, &venue, asset).await?;
    let (uuid, is_transfer) = match item {
        Item::Move(id) => (id.uuid(), false),
        Item::Transfer(id) => (id.uuid(), true),
    };
    let waiting = waiting_in(conn, &venue, asset).await?;
    let mine = waiting.iter().find(|w| w.item == uuid && w.is_transfer == is_transfer);
    let Some(waits) = mine else {
        return Err(PersonError::NotThere("it does not wait for a credit"));
    };
    let fits = amount.asset() == asset && amount.is_positive();
    if !fits || amount.minor() > waits.amount.minor() {
        return Err(PersonError::NotThere("more than nothing, and no more than left"));
    }
    let cause = json!({ "credited": amount, "by": actor, "reason": reason });
    credit_in(conn, base, waits, amount, cause).await?;
    forget_in(conn, &venue, asset).await?;
    policy::close_case_in(conn, base, "credit_refused", &subject(waits), reason).await?;
    Ok(())
}

/// One who credits at a time, for each venue and asset.
pub(super) async fn lock_credits_in(
    conn: &mut PgConnection,
    venue: &str,
    asset: Asset,
) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('credit:' || $1 || $2, 0))")
        .bind(venue)
        .bind(asset.code())
        .execute(conn)
        .await?;
    Ok(())
}

/// What a venue's balance is, and what our books said before it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    pub told: Amount,
    pub books_before: Amount,
}

/// What a balance showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByBalance {
    Credited(usize),
    /// Seen once: it must be seen again.
    Seen,
    /// Nothing, or nothing that can be read in one way only.
    Nothing,
}

/// Books credits that only a balance shows. While it may move for other reasons it says nothing,
/// neither for nor against what was seen before.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn by_balance_in(
    conn: &mut PgConnection,
    base: &Base,
    (venue, asset): (&str, Asset),
    balance: Balance,
) -> Result<ByBalance, Error> {
    lock_credits_in(conn, venue, asset).await?;
    let scope = Scope::Venue(venue.to_owned(), asset);
    let books = reconcile::books_in(conn, &scope).await?;
    let busy = books != balance.books_before
        || reconcile::is_venue_trading_in(conn, venue, asset).await?
        || is_leaving_in(conn, venue, asset).await?;
    if busy {
        return Ok(ByBalance::Nothing);
    }
    let gap = balance.told.checked_sub(books)?;
    let slack = slack_in(conn, base, (venue, asset)).await?;
    let waiting = waiting_in(conn, venue, asset).await?;
    let found = if gap.is_positive() { explains(gap, &waiting, slack) } else { None };
    let Some(items) = found else {
        forget_in(conn, venue, asset).await?;
        return Ok(ByBalance::Nothing);
    };
    let ids: Vec<Uuid> = items.iter().map(|w| w.item).collect();
    let since = sighting_in(conn, base, (venue, asset), gap, &ids).await?;
    let wait = TimeDelta::seconds(base.settings.treasury.credit_gap_s);
    if base.now() < since + wait {
        return Ok(ByBalance::Seen);
    }
    let all: i128 = items.iter().map(|w| w.amount.minor()).sum();
    let mut missing = all.saturating_sub(gap.minor()).max(0);
    for waits in &items {
        // What a venue cut off is crumbs; with more than that, the case shows it.
        let less = missing.min(slack.less_each).min(waits.amount.minor().saturating_sub(1));
        missing = missing.saturating_sub(less);
        let told = waits.amount.checked_sub(Amount::try_new(less, asset)?)?;
        let cause = json!({ "credited": told, "by": "balance", "gap": gap });
        credit_in(conn, base, waits, told, cause).await?;
    }
    forget_in(conn, venue, asset).await?;
    Ok(ByBalance::Credited(items.len()))
}

/// What of the coins on their way explains, in one way only, that a venue holds so much more than
/// our books say: what its balance alone would book.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn arrived_in(
    conn: &mut PgConnection,
    base: &Base,
    (venue, asset): (&str, Asset),
    gap: Amount,
) -> Result<Vec<OnTheWay>, Error> {
    if gap.asset() != asset || !gap.is_positive() {
        return Ok(Vec::new());
    }
    let slack = slack_in(conn, base, (venue, asset)).await?;
    let waiting = waiting_in(conn, venue, asset).await?;
    Ok(explains(gap, &waiting, slack).unwrap_or_default())
}

async fn slack_in(
    conn: &mut PgConnection,
    base: &Base,
    (venue, asset): (&str, Asset),
) -> Result<Slack, Error> {
    // More than is on its way: the crumbs of a venue that counts finer than we do.
    let more = reconcile::crumb_room_in(conn, venue, asset).await?.1.max(0);
    let step = base.settings.treasury.credit_step(venue, asset);
    Ok(Slack { less_each: step.saturating_sub(1), more })
}

/// How far a balance may be from what is on its way.
#[derive(Debug, Clone, Copy)]
struct Slack {
    /// Less, per item: a venue cuts off what is finer than its step.
    less_each: i128,
    more: i128,
}

impl Slack {
    fn covers(self, gap: i128, sum: i128, items: usize) -> bool {
        let less = self.less_each.saturating_mul(i128::try_from(items).unwrap_or(0));
        gap <= sum.saturating_add(self.more) && gap >= sum.saturating_sub(less)
    }
}

async fn is_leaving_in(conn: &mut PgConnection, venue: &str, asset: Asset) -> Result<bool, Error> {
    let leaving = sqlx::query_scalar(
        "select exists (select from venue_transfers where from_venue = $1 and asset = $2
           and state in ('planned', 'sent', 'unknown', 'leaving', 'in_review'))",
    )
    .bind(venue)
    .bind(asset.code())
    .fetch_one(conn)
    .await?;
    Ok(leaving)
}

/// The one set of items that adds up to the gap. Sets that differ only in items of the same amount
/// are one: money has no name, and the oldest is taken. Where there are too many to try every set,
/// only all of them together are told: no smaller set can add up to as much.
fn explains(gap: Amount, waiting: &[OnTheWay], slack: Slack) -> Option<Vec<OnTheWay>> {
    if waiting.len() > SUBSETS_MAX {
        let sum: i128 = waiting.iter().map(|w| w.amount.minor()).sum();
        let least = waiting.iter().map(|w| w.amount.minor()).min()?;
        let is_all = slack.covers(gap.minor(), sum, waiting.len());
        let is_only = !slack.covers(gap.minor(), sum.saturating_sub(least), waiting.len());
        return (is_all && is_only).then(|| waiting.to_vec());
    }
    let mut found: Option<(Vec<i128>, u32)> = None;
    for mask in 1..1_u32.checked_shl(u32::try_from(waiting.len()).ok()?)? {
        let mut amounts: Vec<i128> =
            chosen(waiting, mask).map(|waits| waits.amount.minor()).collect();
        if !slack.covers(gap.minor(), amounts.iter().sum(), amounts.len()) {
            continue;
        }
        amounts.sort_unstable();
        match &found {
            // Lower masks hold older items: the first of equal sets stays.
            Some((known, _)) if *known == amounts => {}
            Some(_) => return None,
            None => found = Some((amounts, mask)),
        }
    }
    found.map(|(_, mask)| chosen(waiting, mask).cloned().collect())
}

fn chosen(waiting: &[OnTheWay], mask: u32) -> impl Iterator<Item = &OnTheWay> {
    (0..32_u32).zip(waiting).filter(move |(bit, _)| mask & (1 << bit) != 0).map(|(_, w)| w)
}

/// Since when exactly this has been seen.
async fn sighting_in(
    conn: &mut PgConnection,
    base: &Base,
    (venue, asset): (&str, Asset),
    gap: Amount,
    items: &[Uuid],
) -> Result<DateTime<Utc>, Error> {
    let since = sqlx::query_scalar(
        "insert into credit_sightings as s (venue, asset, gap_minor, items, seen_at)
         values ($1, $2, $3::text::numeric, $4, $5)
         on conflict (venue, asset) do update set gap_minor = excluded.gap_minor,
           items = excluded.items,
           seen_at = case when s.gap_minor = excluded.gap_minor and s.items = excluded.items
             then s.seen_at else excluded.seen_at end
         returning seen_at",
    )
    .bind(venue)
    .bind(asset.code())
    .bind(money_column::minor(gap))
    .bind(items)
    .bind(base.now())
    .fetch_one(conn)
    .await?;
    Ok(since)
}

async fn forget_in(conn: &mut PgConnection, venue: &str, asset: Asset) -> Result<(), Error> {
    sqlx::query("delete from credit_sightings where venue = $1 and asset = $2")
        .bind(venue)
        .bind(asset.code())
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(minor: i128) -> OnTheWay {
        OnTheWay {
            item: Uuid::from_u128(minor.unsigned_abs()),
            network: NetworkId::new("anvil").unwrap(),
            tx_id: None,
            amount: Amount::try_new(minor, Asset::Btc).unwrap(),
            since: DateTime::UNIX_EPOCH,
            sent_at: DateTime::UNIX_EPOCH,
            is_transfer: false,
        }
    }

    fn within(gap: i128, waiting: &[i128], (less_each, more): (i128, i128)) -> Option<Vec<i128>> {
        let waiting: Vec<OnTheWay> = waiting.iter().map(|minor| waits(*minor)).collect();
        let gap = Amount::try_new(gap, Asset::Btc).unwrap();
        let found = explains(gap, &waiting, Slack { less_each, more });
        found.map(|items| items.iter().map(|w| w.amount.minor()).collect())
    }

    fn explained(gap: i128, waiting: &[i128]) -> Option<Vec<i128>> {
        within(gap, waiting, (0, 0))
    }

    #[test]
    fn only_what_can_be_read_in_one_way_is_read() {
        assert_eq!(explained(5, &[5]), Some(vec![5]));
        assert_eq!(explained(7, &[5, 2, 9]), Some(vec![5, 2]));
        assert_eq!(explained(16, &[5, 2, 9]), Some(vec![5, 2, 9]));
        assert_eq!(explained(6, &[5, 2, 9]), None, "nothing adds up");
        assert_eq!(explained(5, &[5, 2, 3]), None, "two ways");
        assert_eq!(explained(5, &[5, 5]), Some(vec![5]), "which of two equals does not matter");
        assert_eq!(explained(5, &[]), None);
        let many: Vec<i128> = (0..40).map(|bit| 1 << bit).collect();
        assert_eq!(explained(3, &many), None, "too many to try: it waits");
        let all = (1 << 40) - 1;
        assert_eq!(explained(all, &many), Some(many.clone()), "unless all of it has come");
        assert_eq!(explained(all - 1, &many), None);
    }

    #[test]
    fn a_step_less_per_item_is_the_same() {
        assert_eq!(within(991, &[1_000], (9, 0)), Some(vec![1_000]));
        assert_eq!(within(990, &[1_000], (9, 0)), None, "a whole step");
        assert_eq!(within(2_985, &[1_000, 2_003], (9, 0)), Some(vec![1_000, 2_003]));
        assert_eq!(within(1_000, &[1_000, 1_005], (9, 0)), None, "either of them");
        assert_eq!(within(1_002, &[1_000], (0, 2)), Some(vec![1_000]), "crumbs beside it");
        assert_eq!(within(1_003, &[1_000], (0, 2)), None);
    }
}
