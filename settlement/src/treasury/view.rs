//! What `chukta treasury` shows, and what is shown to a person without being asked.
//!
//! Invariant: everything is read from rows and books of one moment; nobody outside is asked.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, Asset, MoveId, NetworkId, TransferId};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::{
    ColdStore, Forecast, MovePurpose, candidates::coverable_in, cold::cold_stores_in,
    forecast::forecasts_in, plan::gas_low_in, store, store::select_move, transfer,
    transfer::select_transfer, worth::spent_today_in,
};
use crate::{Base, Error, case, chart, policy};

/// A move or transfer that is not at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenMove {
    pub id: String,
    pub state: &'static str,
    pub from: String,
    pub to: String,
    pub amount: Amount,
    pub planned_at: DateTime<Utc>,
}

/// A coin that pays fees on a network, and what is there of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gas {
    pub network: NetworkId,
    pub account: String,
    pub held: Amount,
    pub least: Amount,
}

/// What may be swept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sweepable {
    pub network: NetworkId,
    pub amount: Amount,
}

/// The whole treasury at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    pub moves: Vec<OpenMove>,
    /// By route: `transit:<from>:<to>:<asset>`.
    pub transit: Vec<(String, Amount)>,
    pub gas: Vec<Gas>,
    pub sweepable: Vec<Sweepable>,
    pub forecasts: Vec<Forecast>,
    pub cold: Vec<ColdStore>,
    /// Paise of fees decided in the last 24 hours, and the budget.
    pub fees_paise: i64,
    pub fee_budget_paise: i64,
}

/// Reads the treasury.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn overview_in(conn: &mut PgConnection, base: &Base) -> Result<Overview, Error> {
    let settings = &base.settings.treasury;
    let mut sweepable = Vec::new();
    for (network, asset) in settings.sweeps() {
        let amount = coverable_in(conn, base, network, asset).await?;
        sweepable.push(Sweepable { network: network.clone(), amount });
    }
    let mut assets: Vec<Asset> =
        settings.venues.values().flat_map(|v| v.targets.keys().copied()).collect();
    assets.sort_unstable();
    assets.dedup();
    let mut forecasts = Vec::new();
    for asset in assets {
        forecasts.extend(forecasts_in(conn, base, asset).await?);
    }
    let mut transit = Vec::new();
    for line in ledger::trial_balance(conn).await? {
        if line.role == "transit" && !line.net.is_zero() {
            transit.push((line.code, line.net));
        }
    }
    Ok(Overview {
        moves: open_in(conn).await?,
        transit,
        gas: gas_in(conn, base).await?,
        sweepable,
        forecasts,
        cold: cold_stores_in(conn, base).await?,
        fees_paise: spent_today_in(conn, base).await?,
        fee_budget_paise: settings.fee_budget_paise,
    })
}

async fn open_in(conn: &mut PgConnection) -> Result<Vec<OpenMove>, Error> {
    let mut open = Vec::new();
    let moves = sqlx::query(select_move!(
        "where state not in ('credited', 'replaced', 'failed', 'cancelled') \
         order by planned_at limit 500"
    ));
    for row in moves.fetch_all(&mut *conn).await? {
        let m = store::read(&row)?;
        open.push(OpenMove {
            id: m.id.to_string(),
            state: m.state.name(),
            from: m.network.to_string(),
            to: match m.purpose {
                MovePurpose::Gas => format!("gas for {}", m.to),
                MovePurpose::ToCold => "cold storage".to_owned(),
                MovePurpose::FundVenue => m.venue.unwrap_or_default(),
            },
            amount: m.amount,
            planned_at: m.planned_at,
        });
    }
    let transfers = sqlx::query(select_transfer!(
        "where state not in ('credited', 'refused', 'failed') order by planned_at limit 500"
    ));
    for row in transfers.fetch_all(conn).await? {
        let t = transfer::read(&row)?;
        open.push(OpenMove {
            id: t.id.to_string(),
            state: t.state.name(),
            from: t.from,
            to: t.to,
            amount: t.amount,
            planned_at: t.planned_at,
        });
    }
    Ok(open)
}

/// What pays fees: the gas station where the books have one, else our addresses' own coin.
async fn gas_in(conn: &mut PgConnection, base: &Base) -> Result<Vec<Gas>, Error> {
    let mut levels = Vec::new();
    for (network, settings) in &base.settings.treasury.networks {
        for (asset, least) in &settings.gas_min {
            let station = chart::gas(network, *asset).code;
            let station = match ledger::balance(conn, &station).await? {
                Some(balance) => Some(balance),
                None if settings.wallet.is_none() => None,
                None => ledger::balance(conn, &chart::escrow(network, *asset).code).await?,
            };
            let (account, held) = match station {
                Some(balance) => (balance.code.clone(), balance.available()?),
                None => (chart::gas(network, *asset).code, Amount::zero(*asset)),
            };
            levels.push(Gas { network: network.clone(), account, held, least: *least });
        }
    }
    Ok(levels)
}

/// Opens a case for each gas level that is too low, and closes it where it is not any more; opens
/// one for everything that is on its way too long; what has left counts from then.
///
/// # Errors
/// `Database`, `Ledger`.
pub async fn alarms_in(conn: &mut PgConnection, base: &Base) -> Result<(), Error> {
    for gas in gas_in(conn, base).await? {
        let asset = gas.least.asset();
        if gas.held.minor() < gas.least.minor() {
            gas_low_in(conn, base, &gas.network, asset, &gas.account).await?;
        } else {
            let subject = format!("{}:{asset}", gas.network);
            policy::close_case_in(conn, base, "gas_low", &subject, "there is enough again").await?;
        }
    }
    let since = base.now() - TimeDelta::seconds(base.settings.treasury.transit_old_s);
    let old: Vec<(uuid::Uuid, bool, String)> = sqlx::query_as(
        "select id, false, state from moves
           where state not in ('credited', 'replaced', 'failed', 'cancelled')
             and coalesce(final_at, planned_at) < $1
         union all
         select id, true, state from venue_transfers
           where state not in ('credited', 'refused', 'failed')
             and coalesce(left_at, planned_at) < $1",
    )
    .bind(since)
    .fetch_all(&mut *conn)
    .await?;
    for (id, is_transfer, state) in old {
        let subject = if is_transfer {
            TransferId::from_uuid(id).to_string()
        } else {
            MoveId::from_uuid(id).to_string()
        };
        let new = case::NewCase {
            kind: "transit_old",
            subject: &subject,
            payment: None,
            amount: None,
            detail: json!({ "state": state }),
        };
        case::open_in(conn, base, new).await?;
    }
    Ok(())
}
