//! Our own coins in the demo: gas stations are filled before the fleet starts, and at the end
//! everything that is worth moving lies at the venues.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use primitives::Amount;
use sqlx::Row as _;

use super::scene::{Payers, Scene};
use crate::{config::Config, wiring};

/// What each gas station begins with.
const GAS: &str = "0.5";
/// Sweeps wait for their blocks and for the venue's.
const PATIENCE: Duration = Duration::from_secs(180);

/// Sends each gas station its coins, before the books are opened over them.
///
/// # Errors
/// When a node refuses.
pub(super) async fn fill_gas_stations(config: &Config, payers: &Payers) -> anyhow::Result<()> {
    for (network, carrier) in wiring::networks(config)?.carriers {
        let evm = config.evm.iter().any(|evm| evm.network == network);
        let Some(station) = carrier.gas_station().filter(|_| evm) else { continue };
        let amount = Amount::parse_units(GAS, carrier.native())?;
        let payer = payers.get(&network).with_context(|| format!("nobody pays on {network}"))?;
        payer.pay(&station.address, amount).await?;
        // What is in no block yet, the books would not find there.
        payer.mine(1).await?;
    }
    Ok(())
}

/// Waits until nothing is swept or on its way any more.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn settle(scene: &Scene) -> anyhow::Result<bool> {
    let started = tokio::time::Instant::now();
    let mut calm = 0_u32;
    while started.elapsed() < PATIENCE {
        let (moved, open): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where state = 'credited' or purpose = 'gas'),
               count(*) filter (where state not in ('credited', 'replaced', 'failed', 'cancelled')
                 and not (purpose = 'gas' and state = 'final'))
             from moves",
        )
        .fetch_one(&scene.base.pool)
        .await?;
        calm = if moved > 0 && open == 0 { calm.saturating_add(1) } else { 0 };
        // Longer than the sweep waits between two looks.
        if calm > 10 {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(false)
}

/// Prints every move; true when each one ended at its venue.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn tell(scene: &Scene) -> anyhow::Result<bool> {
    println!("\nour own coins, moved by the signer");
    let rows = sqlx::query(
        "select m.network, m.asset, coalesce(m.venue, 'an address, as gas') as place, m.state,
           coalesce(m.arrived_minor, 0)::text as arrived, coalesce(a.tx_id, '') as tx_id
         from moves m left join move_attempts a on a.move_id = m.id and a.attempt = m.won
         order by m.planned_at",
    )
    .fetch_all(&scene.base.pool)
    .await?;
    ensure!(!rows.is_empty(), "nothing was swept");
    let mut good = true;
    for row in rows {
        let text = |name: &str| row.try_get::<String, _>(name);
        let amount = Amount::parse_minor(&text("arrived")?, text("asset")?.parse()?)?;
        let (network, place, state) = (text("network")?, text("place")?, text("state")?);
        println!("  {state:9} {network:9} {amount} to {place}  {}", text("tx_id")?);
        good &= matches!(state.as_str(), "credited" | "final" | "replaced");
    }
    Ok(good)
}
