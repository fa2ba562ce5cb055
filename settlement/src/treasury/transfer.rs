//! Coins from one venue to another: where one has too much of an asset and the other too little.
//!
//! Invariants: a transfer is asked for once, under a reference that is derived and stored before
//! the call. Whoever got no answer asks by that reference; that nothing is found proves nothing,
//! however long it lasts, so an unknown transfer stays unknown, with a case, and its coins stay set
//! aside.

use chrono::{DateTime, Utc};
use primitives::{Amount, NetworkId, Rounding, TransferId, derived_uuid};
use serde_json::{Value, json};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    forecast, lane, plan,
    settings::Lane,
    store::{maybe, network},
    worth::{rupees_in, spent_today_in},
};
use crate::{
    Base, Error, Record,
    bookkeeping::treasury as books,
    chart,
    jobs::ResolveTransfer,
    money_column, policy, record_in,
    switch::{self, Switch},
    transition::machine,
    venue_freeze,
};

machine! {
    TransferState, TransferEvent, "venue transfer";
    states {
        Planned = "planned",
        Sent = "sent",
        Unknown = "unknown",
        Leaving = "leaving",
        Left = "left",
        Credited = "credited",
        Refused = "refused",
        Failed = "failed",
        InReview = "in_review",
    }
    events {
        Sending = "sending",
        NotAsked = "not_asked",
        AnswerLost = "answer_lost",
        Taken = "taken",
        SeenLeft = "seen_left",
        Refusal = "refusal",
        SeenFailed = "seen_failed",
        CreditSeen = "credit_seen",
        NeedsPerson = "needs_person",
        NeverLeft = "never_left",
    }
}

impl TransferState {
    const fn step(self, event: TransferEvent) -> Option<Self> {
        use TransferEvent as E;
        Some(match (self, event) {
            (Self::Planned, E::Sending) => Self::Sent,
            (Self::Sent, E::NotAsked) => Self::Planned,
            (Self::Sent, E::AnswerLost) => Self::Unknown,
            (Self::Sent | Self::Unknown, E::Taken) => Self::Leaving,
            (Self::Sent | Self::Unknown | Self::Leaving | Self::InReview, E::SeenLeft) => {
                Self::Left
            }
            (Self::Sent, E::Refusal) => Self::Refused,
            (Self::Sent | Self::Unknown | Self::Leaving | Self::InReview, E::SeenFailed) => {
                Self::Failed
            }
            // A person's word, beside what the venue says. What is only planned may wait for ever,
            // because its lane leads somewhere else by now.
            (Self::Planned | Self::Unknown | Self::InReview, E::NeverLeft) => Self::Failed,
            (Self::Left, E::CreditSeen) => Self::Credited,
            (Self::Sent | Self::Unknown | Self::Leaving, E::NeedsPerson) => Self::InReview,
            _ => return None,
        })
    }

    /// True while it may still leave or arrive.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Credited | Self::Refused | Self::Failed)
    }
}

/// One transfer as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub id: TransferId,
    pub from: String,
    pub to: String,
    pub network: NetworkId,
    pub to_address: String,
    /// Leaves the balance, the venue's fee included.
    pub amount: Amount,
    pub client_ref: String,
    pub state: TransferState,
    pub venue_id: Option<String>,
    pub tx_id: Option<String>,
    pub net: Option<Amount>,
    pub fee: Option<Amount>,
    pub credited: Option<Amount>,
    pub sends: i32,
    pub send_after: Option<DateTime<Utc>>,
    pub planned_at: DateTime<Utc>,
    pub sent_at: Option<DateTime<Utc>>,
    pub left_at: Option<DateTime<Utc>>,
}

/// A transfer worth making, before anybody was asked what it costs.
#[derive(Debug, Clone)]
pub struct NewTransfer {
    pub lane: Lane,
    pub amount: Amount,
}

macro_rules! select_transfer {
    ($rest:literal) => {
        concat!(
            "select id, from_venue, to_venue, network, asset, to_address, \
             amount_minor::text as amount_minor, client_ref, state, venue_id, tx_id, \
             net_minor::text as net_minor, fee_minor::text as fee_minor, \
             credited_minor::text as credited_minor, sends, send_after, planned_at, sent_at, \
             left_at from venue_transfers ",
            $rest
        )
    };
}
pub(super) use select_transfer;

pub(super) fn read(row: &PgRow) -> Result<Transfer, Error> {
    let asset = money_column::asset(row.try_get("asset")?)?;
    let maybe = |column: &str| maybe(row, column, asset);
    Ok(Transfer {
        id: TransferId::from_uuid(row.try_get("id")?),
        from: row.try_get("from_venue")?,
        to: row.try_get("to_venue")?,
        network: network(row.try_get("network")?)?,
        to_address: row.try_get("to_address")?,
        amount: money_column::amount(row.try_get("amount_minor")?, asset)?,
        client_ref: row.try_get("client_ref")?,
        state: TransferState::parse(row.try_get("state")?)?,
        venue_id: row.try_get("venue_id")?,
        tx_id: row.try_get("tx_id")?,
        net: maybe("net_minor")?,
        fee: maybe("fee_minor")?,
        credited: maybe("credited_minor")?,
        sends: row.try_get("sends")?,
        send_after: row.try_get("send_after")?,
        planned_at: row.try_get("planned_at")?,
        sent_at: row.try_get("sent_at")?,
        left_at: row.try_get("left_at")?,
    })
}

/// The transfer with this id.
///
/// # Errors
/// `Database`, `RowNotFound` inside it.
pub async fn get_transfer_in(conn: &mut PgConnection, id: TransferId) -> Result<Transfer, Error> {
    let row =
        sqlx::query(select_transfer!("where id = $1")).bind(id.uuid()).fetch_one(conn).await?;
    read(&row)
}

pub(super) async fn lock_transfer_in(
    conn: &mut PgConnection,
    id: TransferId,
) -> Result<Transfer, Error> {
    let row = sqlx::query(select_transfer!("where id = $1 for update"))
        .bind(id.uuid())
        .fetch_one(conn)
        .await?;
    read(&row)
}

/// Moves a locked transfer by one event, writes what of it changes, and records the step.
pub(super) async fn step_transfer_in(
    conn: &mut PgConnection,
    base: &Base,
    of: &mut Transfer,
    event: TransferEvent,
    cause: Value,
) -> Result<(), Error> {
    let from = of.state;
    let to = from.next(event)?;
    let now = base.now();
    let minor = |amount: Option<Amount>| amount.map(money_column::minor);
    sqlx::query(
        "update venue_transfers set state = $2, venue_id = $3, tx_id = $4,
           net_minor = $5::text::numeric, fee_minor = $6::text::numeric,
           credited_minor = $7::text::numeric, sends = $8, send_after = $9, sent_at = $10,
           left_at = $11, credited_at = case when $2 = 'credited' then $12 end, updated_at = $12
         where id = $1",
    )
    .bind(of.id.uuid())
    .bind(to.name())
    .bind(&of.venue_id)
    .bind(&of.tx_id)
    .bind(minor(of.net))
    .bind(minor(of.fee))
    .bind(minor(of.credited))
    .bind(of.sends)
    .bind(of.send_after)
    .bind(of.sent_at)
    .bind(of.left_at)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    of.state = to;
    let record = Record {
        entity: "venue_transfer",
        id: of.id.uuid(),
        from: Some(from.name()),
        to: to.name(),
        event: event.name(),
        cause,
        at: now,
    };
    record_in(conn, record).await?;
    if !to.is_open() {
        let subject = of.id.to_string();
        policy::close_case_in(conn, base, "transit_old", &subject, to.name()).await?;
    }
    Ok(())
}

/// Which lanes have something to carry now.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn wishes_in(conn: &mut PgConnection, base: &Base) -> Result<Vec<NewTransfer>, Error> {
    let mut wishes = Vec::new();
    for lane in &base.settings.treasury.lanes {
        let live: bool = sqlx::query_scalar(
            "select exists (select from venue_transfers where from_venue = $1 and to_venue = $2
               and asset = $3
               and state in ('planned', 'sent', 'unknown', 'leaving', 'left', 'in_review'))",
        )
        .bind(&lane.from)
        .bind(&lane.to)
        .bind(lane.asset.code())
        .fetch_one(&mut *conn)
        .await?;
        if live || lane::is_paused_in(conn, base, lane).await? {
            continue;
        }
        if let Some(amount) = carried_in(conn, base, lane).await? {
            wishes.push(NewTransfer { lane: lane.clone(), amount });
        }
    }
    Ok(wishes)
}

/// What a lane should carry: as much as the one is short of, and no more than the other can spare.
async fn carried_in(
    conn: &mut PgConnection,
    base: &Base,
    lane: &Lane,
) -> Result<Option<Amount>, Error> {
    let (keep, least) = (lane.amount(&lane.keep)?, lane.amount(&lane.least)?);
    let forecasts = forecast::forecasts_in(conn, base, lane.asset).await?;
    let Some(short) = forecasts.iter().find(|f| f.venue == lane.to).map(|f| f.short) else {
        return Ok(None);
    };
    let free = ledger::balance(conn, &chart::venue_free(&lane.from, lane.asset).code).await?;
    let Some(free) = free.map(|b| b.available()).transpose()? else { return Ok(None) };
    let spare = free.checked_sub(keep)?;
    let amount = if spare.minor() < short.minor() { spare } else { short };
    if !amount.is_positive() || amount.minor() < least.minor() {
        return Ok(None);
    }
    let Some(amount) = lane::bounded_in(conn, base, lane, amount).await? else { return Ok(None) };
    let worth_it = amount.is_positive() && amount.minor() >= least.minor();
    Ok(worth_it.then_some(amount))
}

/// Plans a transfer: the coins are set aside, the reference and the address frozen. `fee` is what
/// the sending venue takes. `None` when it must not be now.
///
/// # Errors
/// `Database`, `Ledger`; `WouldOverdraw` inside it when they are not free at the venue.
pub async fn plan_transfers_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewTransfer,
    (step, fee): (Amount, Amount),
) -> Result<Option<TransferId>, Error> {
    let lane = &new.lane;
    if !switch::is_open_in(conn, Switch::Moves).await? {
        return Ok(None);
    }
    plan::one_at_a_time_in(conn).await?;
    if is_frozen_in(conn, [&lane.from, &lane.to]).await? {
        return Ok(None);
    }
    let still = wishes_in(conn, base).await?.into_iter().find(|wish| {
        wish.lane.from == lane.from && wish.lane.to == lane.to && wish.lane.asset == lane.asset
    });
    let Some(still) = still else { return Ok(None) };
    let smaller = if still.amount.minor() < new.amount.minor() { still.amount } else { new.amount };
    let credited = base.settings.treasury.cut_step(&lane.to, lane.asset);
    let step = Amount::try_new(step.minor().max(credited), lane.asset)?;
    let Some(amount) = in_steps(smaller, step)? else { return Ok(None) };
    let Some(fee_paise) = affordable_in(conn, base, fee).await? else { return Ok(None) };
    let Some(to) = lane::destination_in(conn, base, lane).await? else { return Ok(None) };
    match forecast::room_in(conn, base, &lane.to).await? {
        forecast::VenueRoom::NoLimit => {}
        forecast::VenueRoom::Unknown => return Ok(None),
        forecast::VenueRoom::Left(left) => {
            let value = rupees_in(conn, base, amount, Rounding::Up).await?;
            if value.is_none_or(|value| value.minor() > left.minor()) {
                return Ok(None);
            }
        }
    }
    write_in(conn, base, lane, (amount, fee_paise), &to).await.map(Some)
}

/// What the fee is worth, if it is known and the budget of 24 hours has room for it.
async fn affordable_in(
    conn: &mut PgConnection,
    base: &Base,
    fee: Amount,
) -> Result<Option<i64>, Error> {
    let Some(worth) = rupees_in(conn, base, fee, Rounding::Up).await? else { return Ok(None) };
    let Ok(paise) = i64::try_from(worth.minor().max(0)) else { return Ok(None) };
    let spent = spent_today_in(conn, base).await?;
    let fits = spent.saturating_add(paise) <= base.settings.treasury.fee_budget_paise;
    Ok(fits.then_some(paise))
}

/// True while either venue is frozen; neither freezes before the caller's transaction ends. In one
/// order: two lanes in both directions never wait for each other.
async fn is_frozen_in(conn: &mut PgConnection, mut both: [&String; 2]) -> Result<bool, Error> {
    both.sort_unstable();
    for venue in both {
        venue_freeze::share_in(conn, venue).await?;
        if venue_freeze::is_frozen_in(conn, venue).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Down to a whole number of the venue's smallest steps.
fn in_steps(amount: Amount, step: Amount) -> Result<Option<Amount>, Error> {
    let rest = amount.minor().checked_rem(step.minor().max(1)).unwrap_or(0);
    let cut = amount.checked_sub(Amount::try_new(rest, amount.asset())?)?;
    Ok(cut.is_positive().then_some(cut))
}

async fn write_in(
    conn: &mut PgConnection,
    base: &Base,
    lane: &Lane,
    (amount, fee_paise): (Amount, i64),
    address: &str,
) -> Result<TransferId, Error> {
    let id = TransferId::from_uuid(base.uuid());
    let client_ref = derived_uuid(&["venue_transfer", &id.to_string()]).simple().to_string();
    sqlx::query(
        "insert into venue_transfers (id, from_venue, to_venue, network, asset, to_address,
           amount_minor, client_ref, state, planned_at, updated_at, fee_paise)
         values ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8, 'planned', $9, $9, $10)",
    )
    .bind(id.uuid())
    .bind(&lane.from)
    .bind(&lane.to)
    .bind(lane.network.as_str())
    .bind(lane.asset.code())
    .bind(address)
    .bind(money_column::minor(amount))
    .bind(&client_ref)
    .bind(base.now())
    .bind(fee_paise)
    .execute(&mut *conn)
    .await?;
    let record = Record {
        entity: "venue_transfer",
        id: id.uuid(),
        from: None,
        to: TransferState::Planned.name(),
        event: "planned",
        cause: json!({ "from": lane.from, "to": lane.to, "amount": amount }),
        at: base.now(),
    };
    record_in(conn, record).await?;
    queue::enqueue(conn, &ResolveTransfer { transfer: id }, base.now()).await?;
    let planned = get_transfer_in(conn, id).await?;
    books::transfer_held(conn, base, &planned).await?;
    Ok(id)
}

/// Marks a planned transfer as sent, before it is asked for. `None`: stop, somebody else did, or it
/// must not be now. The stamp is part of the request.
///
/// # Errors
/// `Database`.
pub async fn mark_transfer_in(
    conn: &mut PgConnection,
    base: &Base,
    id: TransferId,
) -> Result<Option<Transfer>, Error> {
    if !switch::is_open_in(conn, Switch::Moves).await? {
        return Ok(None);
    }
    let of = get_transfer_in(conn, id).await?;
    if is_frozen_in(conn, [&of.from, &of.to]).await? {
        return Ok(None);
    }
    let mut of = lock_transfer_in(conn, id).await?;
    let early = of.send_after.is_some_and(|after| after > base.now());
    if of.state != TransferState::Planned || early {
        return Ok(None);
    }
    if !lane::still_leads_in(conn, base, &of).await? {
        return Ok(None);
    }
    of.sends = of.sends.saturating_add(1);
    of.sent_at = Some(base.now());
    let cause = json!({ "client_ref": of.client_ref });
    step_transfer_in(conn, base, &mut of, TransferEvent::Sending, cause).await?;
    Ok(Some(of))
}

#[cfg(test)]
mod tests {
    use primitives::Asset;

    use super::*;

    #[test]
    fn amounts_are_cut_to_the_venues_steps() {
        let usdt = |minor| Amount::try_new(minor, Asset::Usdt).unwrap();
        assert_eq!(in_steps(usdt(1_234_567), usdt(1_000)).unwrap(), Some(usdt(1_234_000)));
        assert_eq!(in_steps(usdt(999), usdt(1_000)).unwrap(), None);
        assert_eq!(in_steps(usdt(999), usdt(0)).unwrap(), Some(usdt(999)));
    }

    #[test]
    fn an_unknown_transfer_is_never_planned_anew() {
        use TransferEvent as E;
        for event in [E::Sending, E::NotAsked, E::Refusal] {
            assert!(TransferState::Unknown.next(event).is_err());
        }
    }
}
