//! Reading moves and their attempts, and the one function that moves a move's state.

use primitives::{Amount, Asset, MoveId, NetworkId};
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{Move, MoveAttempt, MoveAttemptState, MoveEvent, MovePurpose, MoveState};
use crate::{Base, Error, Record, money_column, policy, record_in};

macro_rules! select_move {
    ($rest:literal) => {
        concat!(
            "select id, purpose, network, asset, venue, to_address, takes_all, fee_asset, state, \
             round, amount_minor::text as amount_minor, fee_max_minor::text as fee_max_minor, \
             hold_key, won, block_hash, height, arrived_minor::text as arrived_minor, \
             cost_minor::text as cost_minor, credited_minor::text as credited_minor, retry_at, \
             planned_at, final_at, (select a.path_index from deposit_addresses a \
               where a.network = moves.network and a.address = moves.to_address \
                 and moves.purpose = 'gas') as to_index from moves ",
            $rest
        )
    };
}
pub(super) use select_move;

pub(super) fn read(row: &PgRow) -> Result<Move, Error> {
    let asset = money_column::asset(row.try_get("asset")?)?;
    let fee_asset = money_column::asset(row.try_get("fee_asset")?)?;
    let amount = |column: &str, asset: Asset| maybe(row, column, asset);
    let missing = || Error::Inconsistent("a move without its amount".to_owned());
    let purpose = match row.try_get::<&str, _>("purpose")? {
        "gas" => MovePurpose::Gas,
        "to_cold" => MovePurpose::ToCold,
        _ => MovePurpose::FundVenue,
    };
    Ok(Move {
        id: MoveId::from_uuid(row.try_get("id")?),
        purpose,
        network: network(row.try_get("network")?)?,
        asset,
        venue: row.try_get("venue")?,
        to: row.try_get("to_address")?,
        takes_all: row.try_get("takes_all")?,
        state: MoveState::parse(row.try_get("state")?)?,
        round: row.try_get("round")?,
        amount: amount("amount_minor", asset)?.ok_or_else(missing)?,
        fee_max: amount("fee_max_minor", fee_asset)?.ok_or_else(missing)?,
        hold_key: row.try_get("hold_key")?,
        won: row.try_get("won")?,
        block_hash: row.try_get("block_hash")?,
        height: row.try_get("height")?,
        arrived: amount("arrived_minor", asset)?,
        cost: amount("cost_minor", fee_asset)?,
        credited: amount("credited_minor", asset)?,
        retry_at: row.try_get("retry_at")?,
        planned_at: row.try_get("planned_at")?,
        final_at: row.try_get("final_at")?,
        to_index: row.try_get::<Option<i64>, _>("to_index")?.and_then(|at| u32::try_from(at).ok()),
    })
}

/// An amount that may not be known yet.
pub(super) fn maybe(row: &PgRow, column: &str, asset: Asset) -> Result<Option<Amount>, Error> {
    let minor = row.try_get::<Option<&str>, _>(column)?;
    minor.map(|minor| money_column::amount(minor, asset)).transpose()
}

pub(super) fn network(name: &str) -> Result<NetworkId, Error> {
    NetworkId::new(name).ok_or_else(|| Error::Inconsistent(format!("network {name}")))
}

/// The move with this id.
///
/// # Errors
/// `Database`.
pub async fn get_in(conn: &mut PgConnection, id: MoveId) -> Result<Option<Move>, Error> {
    let row =
        sqlx::query(select_move!("where id = $1")).bind(id.uuid()).fetch_optional(conn).await?;
    row.as_ref().map(read).transpose()
}

/// As [`get_in`], locked until the transaction ends.
pub(super) async fn lock_in(conn: &mut PgConnection, id: MoveId) -> Result<Move, Error> {
    let row = sqlx::query(select_move!("where id = $1 for update"))
        .bind(id.uuid())
        .fetch_one(conn)
        .await?;
    read(&row)
}

/// Every attempt of a move, in order.
///
/// # Errors
/// `Database`, `Inconsistent`.
pub async fn attempts_in(conn: &mut PgConnection, of: &Move) -> Result<Vec<MoveAttempt>, Error> {
    let rows = sqlx::query(
        "select attempt, intent_id, amount_minor::text as amount_minor,
           fee_max_minor::text as fee_max_minor, draft, state, tx_id, raw, asked_at,
           first_sent_at, sent_at, refused, adopts
         from move_attempts where move_id = $1 order by attempt",
    )
    .bind(of.id.uuid())
    .fetch_all(conn)
    .await?;
    let read = |row: &PgRow| -> Result<MoveAttempt, Error> {
        let fee_asset = of.fee_max.asset();
        Ok(MoveAttempt {
            move_id: of.id,
            attempt: row.try_get("attempt")?,
            intent: row.try_get("intent_id")?,
            amount: money_column::amount(row.try_get("amount_minor")?, of.asset)?,
            fee_max: money_column::amount(row.try_get("fee_max_minor")?, fee_asset)?,
            draft: row.try_get("draft")?,
            state: MoveAttemptState::parse(row.try_get("state")?)?,
            tx_id: row.try_get("tx_id")?,
            raw: row.try_get("raw")?,
            asked_at: row.try_get("asked_at")?,
            first_sent_at: row.try_get("first_sent_at")?,
            sent_at: row.try_get("sent_at")?,
            refused: row.try_get("refused")?,
            adopts: row.try_get("adopts")?,
        })
    };
    rows.iter().map(read).collect()
}

/// What the scan says of a block that was final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockSeen {
    /// Nothing against it.
    Stands,
    /// It followed a chain away from it.
    Left,
    /// It never saw it, and stands on a chain with another block at its height: that one may be
    /// where the scan stood still.
    Never,
}

/// What the scan says of a block that was final.
///
/// # Errors
/// `Database`.
pub async fn block_seen_in(
    conn: &mut PgConnection,
    network: &NetworkId,
    hash: &str,
    height: i64,
) -> Result<BlockSeen, Error> {
    let (canonical, other): (Option<bool>, bool) = sqlx::query_as(
        "select (select canonical from chain_blocks where network = $1 and hash = $2),
           exists (select from chain_blocks
             where network = $1 and height = $3 and canonical and hash <> $2)",
    )
    .bind(network.as_str())
    .bind(hash)
    .bind(height)
    .fetch_one(conn)
    .await?;
    Ok(match (canonical, other) {
        (Some(false), _) => BlockSeen::Left,
        (None, true) => BlockSeen::Never,
        (Some(true), _) | (None, false) => BlockSeen::Stands,
    })
}

/// Moves a locked move by one event, writes what of it changes, and records the step.
pub(super) async fn step_in(
    conn: &mut PgConnection,
    base: &Base,
    moved: &mut Move,
    event: MoveEvent,
    cause: Value,
) -> Result<(), Error> {
    let from = moved.state;
    let to = from.next(event)?;
    let now = base.now();
    let minor = |amount: Option<Amount>| amount.map(money_column::minor);
    sqlx::query(
        "update moves set state = $2, round = $3, amount_minor = $4::text::numeric,
           fee_max_minor = $5::text::numeric, hold_key = $6, won = $7, block_hash = $8,
           height = $9, arrived_minor = $10::text::numeric, cost_minor = $11::text::numeric,
           credited_minor = $12::text::numeric, retry_at = $13, final_at = $14,
           credited_at = case when $2 = 'credited' then $15 end, updated_at = $15
         where id = $1",
    )
    .bind(moved.id.uuid())
    .bind(to.name())
    .bind(moved.round)
    .bind(money_column::minor(moved.amount))
    .bind(money_column::minor(moved.fee_max))
    .bind(&moved.hold_key)
    .bind(moved.won)
    .bind(&moved.block_hash)
    .bind(moved.height)
    .bind(minor(moved.arrived))
    .bind(minor(moved.cost))
    .bind(minor(moved.credited))
    .bind(moved.retry_at)
    .bind(moved.final_at)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    moved.state = to;
    let record = Record {
        entity: "move",
        id: moved.id.uuid(),
        from: Some(from.name()),
        to: to.name(),
        event: event.name(),
        cause,
        at: now,
    };
    record_in(conn, record).await?;
    if !to.is_open() {
        // At its end nobody is needed for what kept it from there.
        for kind in ["transit_old", "move_stuck", "signer_refused"] {
            let subject = moved.id.to_string();
            policy::close_case_in(conn, base, kind, &subject, to.name()).await?;
        }
    }
    Ok(())
}

/// What is left of a move's sources when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Everything: no transaction of it ever was in a chain.
    All,
    /// What it came from; its nonce is used up.
    Coins,
    /// Nothing of either.
    Nothing,
}

/// Frees what a move came from.
pub(super) async fn free_sources_in(
    conn: &mut PgConnection,
    of: &Move,
    left: Leftover,
) -> Result<(), Error> {
    // A nonce that the move gave back before is somebody else's by now.
    sqlx::query(
        "update move_sources set live = false,
           spent = case when nonce is null then $2 else spent or (live and $3) end
         where move_id = $1",
    )
    .bind(of.id.uuid())
    .bind(left == Leftover::Nothing)
    .bind(left != Leftover::All)
    .execute(conn)
    .await?;
    Ok(())
}
