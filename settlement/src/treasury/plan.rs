//! Planning a move: the books set the coins aside, the sources are taken, the draft is frozen.
//!
//! Invariant: everything that can forbid a move is asked in the transaction that plans it: the
//! switch, the freeze of the venue, the confirmed address, what is owed back, worth and budget.
//! Plans go one after the other.

use primitives::{Amount, Asset, MoveId, NetworkId};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    Move, MovePurpose, MoveState, address,
    again::attempt_in,
    candidates::{coverable_in, uncommitted_in},
    cold, forecast,
    gas::{self, Goal, Served},
    nonce,
    worth::{Worth, spent_today_in},
};
use crate::{
    Base, Error, Record,
    bookkeeping::treasury as books,
    case,
    jobs::ResolveMove,
    money_column, record_in,
    switch::{self, Switch},
    venue_freeze,
};

/// A source as the database fences it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSource {
    /// An outpoint where the network has them, else the address.
    pub source: String,
    pub address: String,
    pub amount: Amount,
    /// Where several of one address stand behind each other: its place among them.
    pub nonce: Option<i64>,
}

/// A move as the chain's side has drafted it.
#[derive(Debug, Clone)]
pub struct NewMove {
    pub purpose: MovePurpose,
    pub network: NetworkId,
    pub venue: Option<String>,
    pub to: String,
    /// What reaches `to`.
    pub amount: Amount,
    pub fee_max: Amount,
    /// Nothing of ours is left where it came from.
    pub takes_all: bool,
    pub sources: Vec<NewSource>,
    pub draft: Value,
    /// A top-up is worth what it lets move, and is sent only while that may go.
    pub serves: Option<Served>,
}

/// What became of planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    Move(MoveId),
    /// The switch is closed, or the venue takes nothing: look again later.
    Stopped(&'static str),
    /// It must not, or need not, be moved now.
    No(String),
    /// Another move has one of the sources.
    Taken,
    /// The books have nothing that may pay its fee: its address must be topped up, whatever lies
    /// there.
    NeedsGas,
}

/// Plans a move, or says why not. The caller commits only a [`Planned::Move`], or a case.
///
/// # Errors
/// `Database`, `Ledger`; `WouldOverdraw` inside it when what pays is not there.
pub async fn plan_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
) -> Result<Planned, Error> {
    if !switch::is_open_in(conn, Switch::Moves).await? {
        return Ok(Planned::Stopped("moves are stopped"));
    }
    one_at_a_time_in(conn).await?;
    if is_taken_in(conn, new).await? {
        return Ok(Planned::Taken);
    }
    if let Some(no) = crowd_in(conn, base, new).await? {
        return Ok(no);
    }
    if let Some(no) = goal_refusal_in(conn, base, new).await? {
        return Ok(no);
    }
    if let Some(no) = gas::refusal_in(conn, base, new).await? {
        return Ok(no);
    }
    let fee_paise = match value_in(conn, base, new).await? {
        Ok(fee_paise) => fee_paise,
        Err(why) => return Ok(Planned::No(why)),
    };
    let spent = spent_today_in(conn, base).await?;
    if spent.saturating_add(fee_paise) > base.settings.treasury.fee_budget_paise {
        return Ok(Planned::No("the fee budget of 24 hours is used up".to_owned()));
    }
    if let Some(no) = uncovered_in(conn, base, new).await? {
        return Ok(no);
    }
    let planned = write_in(conn, base, new, fee_paise).await?;
    if matches!(planned, Planned::Move(_)) {
        gas::loop_ended_in(conn, base, new).await?;
    }
    Ok(planned)
}

/// Whoever plans waits for who planned before: sources, budget and room at venues are shared.
pub(super) async fn one_at_a_time_in(conn: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('moves', 0))").execute(conn).await?;
    Ok(())
}

/// What the fee is worth in paise, or why the move is not worth it. What a top-up brings is spent
/// on the fee of what it lets move.
async fn value_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
) -> Result<Result<i64, String>, Error> {
    let cost = match new.purpose {
        MovePurpose::Gas => new.fee_max.checked_add(new.amount)?,
        MovePurpose::FundVenue | MovePurpose::ToCold => new.fee_max,
    };
    // What a stuck move is worth was asked already, by the limits of bumps.
    let is_bump = new.serves.as_ref().is_some_and(|served| matches!(served.goal, Goal::Bump(_)));
    let moves = new.serves.as_ref().map_or(new.amount, |served| served.amount);
    let all = Worth::of_in(conn, base, moves, cost).await?;
    let own = Worth::of_in(conn, base, moves, new.fee_max).await?;
    let Some((all, own)) = all.zip(own) else {
        return Ok(Err("no fresh rate says what it is worth".to_owned()));
    };
    match all.refusal(&base.settings.treasury)? {
        Some(why) if !is_bump => Ok(Err(why)),
        _ => Ok(Ok(own.fee_paise()?)),
    }
}

async fn is_taken_in(conn: &mut PgConnection, new: &NewMove) -> Result<bool, Error> {
    let sources: Vec<&str> = new.sources.iter().map(|s| s.source.as_str()).collect();
    let taken: bool = sqlx::query_scalar(
        "select exists (select from move_sources where network = $1 and source = any($2) and live)
           or ($4 and exists (select from moves where network = $1 and to_address = $3
             and purpose = 'gas' and state in ('planned', 'signed', 'sent', 'included', 'unwound',
               'in_review')))",
    )
    .bind(new.network.as_str())
    .bind(sources)
    .bind(&new.to)
    .bind(new.purpose == MovePurpose::Gas)
    .fetch_one(&mut *conn)
    .await?;
    for source in new.sources.iter().filter(|_| !taken) {
        let Some(number) = source.nonce else { continue };
        let at = (&new.network, source.address.as_str());
        if nonce::is_taken_in(conn, at, number, None).await? {
            return Ok(true);
        }
    }
    Ok(taken)
}

/// Where it goes in the end may not take it: a top-up is for nothing then, too.
async fn goal_refusal_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
) -> Result<Option<Planned>, Error> {
    if new.purpose == MovePurpose::ToCold {
        let to = (&new.network, new.to.as_str());
        return cold::refusal_in(conn, base, to, cold::leaves(new)?).await;
    }
    if let Some(venue) = &new.venue {
        let part = Part { to: &new.to, amount: new.amount, fee_max: new.fee_max };
        return venue_refusal_in(conn, base, &new.network, venue, &part).await;
    }
    let Some(Served { goal, amount, fee_max }) = &new.serves else { return Ok(None) };
    match goal {
        Goal::Venue { venue, to } => {
            let coverable = coverable_in(conn, base, &new.network, amount.asset()).await?;
            if amount.minor() > coverable.minor() {
                return Ok(Some(Planned::No(format!("only {coverable} may leave"))));
            }
            let part = Part { to, amount: *amount, fee_max: *fee_max };
            venue_refusal_in(conn, base, &new.network, venue, &part).await
        }
        Goal::Cold { to } => cold::refusal_in(conn, base, (&new.network, to), *amount).await,
        // Its coins are set aside, and the worker asks whether it may go on.
        Goal::Bump(_) => Ok(None),
    }
}

/// So many stand behind each other already.
async fn crowd_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
) -> Result<Option<Planned>, Error> {
    let Some(source) = new.sources.iter().find(|source| source.nonce.is_some()) else {
        return Ok(None);
    };
    let standing = nonce::standing_in(conn, &new.network, &source.address).await?;
    let full = standing >= nonce::most(base);
    Ok(full.then_some(Planned::Stopped("as many top-ups as may stand behind each other")))
}

/// What is to reach a venue.
struct Part<'a> {
    to: &'a str,
    amount: Amount,
    fee_max: Amount,
}

/// What a venue has against coins on their way to it.
async fn venue_refusal_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    venue: &str,
    goal: &Part<'_>,
) -> Result<Option<Planned>, Error> {
    venue_freeze::share_in(conn, venue).await?;
    if venue_freeze::is_frozen_in(conn, venue).await? {
        return Ok(Some(Planned::Stopped("the venue is frozen")));
    }
    let known = address::known_in(conn, venue, goal.amount.asset(), network).await?;
    match known {
        Some(known) if known.is_usable && known.address == goal.to => {}
        _ => return Ok(Some(Planned::Stopped("the venue's address is not confirmed"))),
    }
    Ok(match forecast::room_in(conn, base, venue).await? {
        forecast::VenueRoom::NoLimit => None,
        forecast::VenueRoom::Unknown => {
            Some(Planned::No("what lies at the venue cannot be valued".to_owned()))
        }
        forecast::VenueRoom::Left(left) => {
            let value = Worth::of_in(conn, base, goal.amount, goal.fee_max).await?;
            let fits = value.is_some_and(|worth| worth.value.minor() <= left.minor());
            (!fits).then(|| Planned::No("the venue would hold more than it may".to_owned()))
        }
    })
}

/// What is owed back stays; and what pays must be there.
async fn uncovered_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
) -> Result<Option<Planned>, Error> {
    let amount = new.amount;
    if new.purpose != MovePurpose::Gas {
        let coverable = coverable_in(conn, base, &new.network, amount.asset()).await?;
        let leaves = cold::leaves(new)?;
        if leaves.minor() > coverable.minor() {
            return Ok(Some(Planned::No(format!("only {coverable} may leave"))));
        }
        // On one wallet the coin that pays fees may be owed to somebody.
        let fee = new.fee_max;
        if fee.asset() != amount.asset() && fee.is_positive() {
            let free = uncommitted_in(conn, &new.network, fee.asset()).await?;
            if free.minor() < fee.minor() {
                let settings = base.settings.treasury.networks.get(&new.network);
                if settings.is_none_or(|network| network.wallet.is_none()) {
                    return Ok(Some(Planned::NeedsGas));
                }
                gas_low_in(conn, base, &new.network, fee.asset(), "escrow").await?;
                return Ok(Some(Planned::No(format!("only {free} is there for the fee"))));
            }
        }
    }
    let shape = shape(new, MoveId::from_uuid(uuid::Uuid::nil()), base);
    for (account, least) in books::taken(&shape)? {
        let balance = ledger::balance(conn, &account.code).await?;
        let available = balance.map(|b| b.available()).transpose()?;
        if available.is_none_or(|has| has.minor() < least.minor()) {
            if new.purpose == MovePurpose::Gas {
                gas_low_in(conn, base, &new.network, account.asset, &account.code).await?;
            }
            return Ok(Some(Planned::No(format!("{} has less than {least}", account.code))));
        }
    }
    Ok(None)
}

/// Nothing is left to pay fees with: a person is called.
///
/// # Errors
/// `Database`.
pub async fn gas_out_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    asset: Asset,
) -> Result<(), Error> {
    let account = crate::chart::gas(network, asset).code;
    gas_low_in(conn, base, network, asset, &account).await
}

pub(super) async fn gas_low_in(
    conn: &mut PgConnection,
    base: &Base,
    network: &NetworkId,
    asset: Asset,
    account: &str,
) -> Result<(), Error> {
    let new = case::NewCase {
        kind: "gas_low",
        subject: &format!("{network}:{asset}"),
        payment: None,
        amount: None,
        detail: json!({ "account": account }),
    };
    case::open_in(conn, base, new).await
}

fn shape(new: &NewMove, id: MoveId, base: &Base) -> Move {
    Move {
        id,
        purpose: new.purpose,
        network: new.network.clone(),
        asset: new.amount.asset(),
        venue: new.venue.clone(),
        to: new.to.clone(),
        takes_all: new.takes_all,
        state: MoveState::Planned,
        round: 1,
        amount: new.amount,
        fee_max: new.fee_max,
        hold_key: None,
        won: None,
        block_hash: None,
        height: None,
        arrived: None,
        cost: None,
        credited: None,
        retry_at: None,
        planned_at: base.now(),
        final_at: None,
        to_index: None,
    }
}

/// The fence of a move: what it takes from.
async fn fence_in(conn: &mut PgConnection, of: &Move, sources: &[NewSource]) -> Result<(), Error> {
    for source in sources {
        sqlx::query(
            "insert into move_sources (move_id, network, source, address, amount_minor, live,
               nonce)
             values ($1, $2, $3, $4, $5::text::numeric, true, $6)",
        )
        .bind(of.id.uuid())
        .bind(of.network.as_str())
        .bind(&source.source)
        .bind(&source.address)
        .bind(money_column::minor(source.amount))
        .bind(source.nonce)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn write_in(
    conn: &mut PgConnection,
    base: &Base,
    new: &NewMove,
    fee_paise: i64,
) -> Result<Planned, Error> {
    let mut planned = shape(new, MoveId::from_uuid(base.uuid()), base);
    sqlx::query(
        "insert into moves (id, purpose, network, asset, venue, to_address, takes_all, fee_asset,
           state, amount_minor, fee_max_minor, planned_at, updated_at, serves,
           for_venue)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'planned', $9::text::numeric,
           $10::text::numeric, $11, $11, $12,
           coalesce($13, (select s.venue from moves s where s.id = $12)))",
    )
    .bind(planned.id.uuid())
    .bind(planned.purpose.name())
    .bind(planned.network.as_str())
    .bind(planned.asset.code())
    .bind(&planned.venue)
    .bind(&planned.to)
    .bind(planned.takes_all)
    .bind(planned.fee_max.asset().code())
    .bind(money_column::minor(planned.amount))
    .bind(money_column::minor(planned.fee_max))
    .bind(base.now())
    .bind(new.serves.as_ref().and_then(|served| match served.goal {
        Goal::Bump(id) => Some(id.uuid()),
        Goal::Venue { .. } | Goal::Cold { .. } => None,
    }))
    .bind(new.serves.as_ref().and_then(|served| match &served.goal {
        Goal::Venue { venue, .. } => Some(venue),
        Goal::Bump(_) | Goal::Cold { .. } => None,
    }))
    .execute(&mut *conn)
    .await?;
    fence_in(conn, &planned, &new.sources).await?;
    attempt_in(conn, base, &planned, (1, fee_paise), &new.draft).await?;
    let cause = json!({
        "to": planned.to, "venue": planned.venue, "amount": planned.amount,
        "fee_max": planned.fee_max, "sources": new.sources.len(),
    });
    let record = Record {
        entity: "move",
        id: planned.id.uuid(),
        from: None,
        to: MoveState::Planned.name(),
        event: "planned",
        cause,
        at: base.now(),
    };
    record_in(conn, record).await?;
    queue::enqueue(conn, &ResolveMove { moved: planned.id }, base.now()).await?;
    let hold = books::move_held(conn, base, &planned, 1).await?;
    planned.hold_key = Some(hold);
    sqlx::query("update moves set hold_key = $2 where id = $1")
        .bind(planned.id.uuid())
        .bind(&planned.hold_key)
        .execute(conn)
        .await?;
    Ok(Planned::Move(planned.id))
}

/// True while a top-up of this address is under way.
///
/// # Errors
/// `Database`.
pub async fn is_gas_coming_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    address: &str,
) -> Result<bool, Error> {
    let under_way = sqlx::query_scalar(
        "select exists (select from moves where network = $1 and to_address = $2
           and purpose = 'gas' and state in ('planned', 'signed', 'sent', 'included', 'unwound',
             'in_review'))",
    )
    .bind(network.as_str())
    .bind(address)
    .fetch_one(conn)
    .await?;
    Ok(under_way)
}
