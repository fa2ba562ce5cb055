//! Our own coins in the demo: gas stations and the venues' wallets are filled before the fleet
//! starts; while payments are driven, venues send coins to each other and a sweep gets stuck; at
//! the end everything that is worth moving lies at the venues.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use primitives::{Amount, Asset, NetworkId, TransferId};
use serde_json::{Value, json};
use settlement::{
    jobs,
    treasury::{self, Offer},
};
use sqlx::Row as _;

use super::{
    http::Caller,
    scene::{Payers, Scene},
};
use cli::{config::Config, wiring};

/// What each gas station begins with.
const GAS: &str = "0.5";
/// What the wallet holds that one venue sends Bitcoin from.
const BITCOIN: &str = "1";
/// Between which venues coins are carried: asset, from, to, network, what stays, the least.
const LANES: [[&str; 6]; 3] = [
    ["USDT", "binance", "wazirx", "ethereum", "1999000", "50"],
    ["SOL", "wazirx", "binance", "solana", "19990", "1"],
    ["BTC", "wazirx", "binance", "bitcoin", "4.9", "0.01"],
];
/// From asking a venue for a withdrawal until it sends it.
const WITHDRAW_MS: u64 = 500;
/// A venue that does not know a withdrawal by then never got it: the fleet was killed before.
const NEVER_ASKED: Duration = Duration::from_secs(20);
/// A stuck sweep is helped by then, or it is not helped.
const STUCK: Duration = Duration::from_secs(120);
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

/// The lanes as settings.
pub(super) fn lanes() -> String {
    let lane = |[asset, from, to, network, keep, least]: &[&str; 6]| {
        format!(
            "[[settlement.treasury.lanes]]\nasset = \"{asset}\"\nfrom = \"{from}\"\n\
             to = \"{to}\"\nnetwork = \"{network}\"\nkeep = \"{keep}\"\nleast = \"{least}\"\n"
        )
    };
    LANES.iter().map(lane).collect()
}

/// Lets the venues send soon, and gives them what no node gives by itself.
///
/// # Errors
/// When a node or the simulators refuse.
pub(super) async fn fill_hot_wallets(control: &Caller, payers: &Payers) -> anyhow::Result<()> {
    for venue in ["binance", "wazirx"] {
        let soon = json!({ "withdraw_ms": WITHDRAW_MS });
        control.post(&format!("/{venue}/settings"), &soon).await?;
    }
    let chains = control.get("/chains").await?;
    let wallet = chains.pointer("/bitcoin/progress/hot_wallets/wazirx").and_then(Value::as_str);
    let payer = payers.iter().find(|(network, _)| network.as_str() == "bitcoin");
    let (_, payer) = payer.context("nobody pays on bitcoin")?;
    let amount = Amount::parse_units(BITCOIN, Asset::Btc)?;
    payer.pay(wallet.context("a wallet of the venue")?, amount).await?;
    payer.mine(1).await?;
    Ok(())
}

/// What happens beside the payments: transfers between venues, and a sweep that gets stuck.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn trouble(scene: &Scene) -> anyhow::Result<()> {
    tokio::try_join!(carry(scene), stick(scene))?;
    Ok(())
}

/// Asks the workers to look at the lanes until each has carried something.
async fn carry(scene: &Scene) -> anyhow::Result<()> {
    let started = tokio::time::Instant::now();
    while lanes_used(scene).await? < LANES.len() && started.elapsed() < PATIENCE {
        confirm(scene).await?;
        let mut tx = scene.base.pool.begin().await?;
        queue::enqueue(&mut tx, &jobs::TendTreasury {}, scene.base.now()).await?;
        tx.commit().await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    Ok(())
}

/// What an operator does before a lane is used: he compares the address that the other venue named
/// with the one on its own page, and confirms it.
async fn confirm(scene: &Scene) -> anyhow::Result<()> {
    for [asset, _, venue, network, _, _] in LANES {
        let (asset, network) = (asset.parse::<Asset>()?, NetworkId::new(network));
        let network = network.context("a network's name")?;
        let mut tx = scene.base.pool.begin().await?;
        let known = treasury::known_in(&mut tx, venue, asset, &network).await?;
        if let Some(known) = known.filter(|known| known.is_usable && !known.is_confirmed) {
            let offer = Offer { venue, asset, network: &network, address: &known.address };
            let by = ("the demo", "it is the one on the venue's own page");
            treasury::confirm_in(&mut tx, &scene.base, &offer, by).await?;
            println!("── {venue} takes {asset} at {}: confirmed", known.address);
        }
        tx.commit().await?;
    }
    Ok(())
}

async fn lanes_used(scene: &Scene) -> anyhow::Result<usize> {
    let used: i64 = sqlx::query_scalar(
        "select count(distinct (from_venue, to_venue, asset::text)) from venue_transfers
         where state not in ('refused', 'failed')",
    )
    .fetch_one(&scene.base.pool)
    .await?;
    Ok(usize::try_from(used)?)
}

/// Bitcoin makes no more blocks as soon as a payment there is deep enough, so that its sweep waits
/// among the unconfirmed until the fleet has replaced it by one with a higher fee.
async fn stick(scene: &Scene) -> anyhow::Result<()> {
    let is_paid = "select exists (select from deposits where network = 'bitcoin'
         and state = 'confirmed')";
    let is_replaced = "select exists (select from move_attempts a join moves m on m.id = a.move_id
         where m.network = 'bitcoin' and a.attempt > 1 and a.first_sent_at is not null)";
    until(scene, is_paid, PATIENCE).await?;
    scene.nodes.hold_bitcoin(true);
    println!("── bitcoin makes no blocks");
    let replaced = until(scene, is_replaced, STUCK).await;
    scene.nodes.hold_bitcoin(false);
    let how = if replaced? { "replaced by one with a higher fee" } else { "NOT REPLACED" };
    println!("── bitcoin makes blocks again; the stuck sweep was {how}");
    Ok(())
}

/// Whether a question to the database is answered with yes in time.
async fn until(scene: &Scene, what: &'static str, patience: Duration) -> anyhow::Result<bool> {
    let started = tokio::time::Instant::now();
    while started.elapsed() < patience {
        if sqlx::query_scalar(what).fetch_one(&scene.base.pool).await? {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
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
               + (select count(*) from venue_transfers
                  where state not in ('credited', 'refused', 'failed'))
             from moves",
        )
        .fetch_one(&scene.base.pool)
        .await?;
        calm = if moved > 0 && open == 0 { calm.saturating_add(1) } else { 0 };
        // Longer than the sweep waits between two looks.
        if calm > 10 {
            return Ok(true);
        }
        if declare_never_left(scene).await? {
            carry(scene).await?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(false)
}

/// What an operator does about a transfer nobody knows anything of: he says that it never left,
/// which the venue's own list must agree with. The fleet may have been killed between noting that
/// it asks and asking.
async fn declare_never_left(scene: &Scene) -> anyhow::Result<bool> {
    let unknown: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select id from venue_transfers where state = 'unknown' and sent_at < $1",
    )
    .bind(scene.base.now() - NEVER_ASKED)
    .fetch_all(&scene.base.pool)
    .await?;
    let connectors = wiring::connectors(&scene.config)?;
    let mut declared = false;
    for id in unknown.into_iter().map(TransferId::from_uuid) {
        let by = ("the demo", "the venue's own list shows no such withdrawal");
        let said = workers::transfer_never_left((&connectors, &scene.base), id, false, by).await;
        match said {
            Ok(()) => println!("── {id} never left: declared, and planned anew"),
            // Too early, or the venue knows it after all: then the fleet finds it.
            Err(error) => tracing::info!(%id, %error, "not declared"),
        }
        declared = true;
    }
    Ok(declared)
}

/// Prints every move and transfer; true when each one ended at its venue, every lane was used and
/// what got stuck was replaced.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn tell(scene: &Scene) -> anyhow::Result<bool> {
    println!("\nour own coins, moved by the signer");
    let rows = sqlx::query(
        "select m.network, m.asset, coalesce(m.venue, 'an address, as gas') as place, m.state,
           coalesce(m.arrived_minor, 0)::text as arrived, coalesce(a.tx_id, '') as tx_id,
           coalesce(m.won, 1) as won, m.purpose
         from moves m left join move_attempts a on a.move_id = m.id and a.attempt = m.won
         order by m.planned_at",
    )
    .fetch_all(&scene.base.pool)
    .await?;
    ensure!(!rows.is_empty(), "nothing was swept");
    let (mut good, mut sweeps, mut top_ups, mut replaced) = (true, 0_u32, 0_u32, 0_u32);
    for row in rows {
        let text = |name: &str| row.try_get::<String, _>(name);
        let amount = Amount::parse_minor(&text("arrived")?, text("asset")?.parse()?)?;
        let (network, place, state) = (text("network")?, text("place")?, text("state")?);
        let won: i32 = row.try_get("won")?;
        let fee = if won > 1 {
            format!(", fee raised {}x", won.saturating_sub(1))
        } else {
            String::new()
        };
        println!("  {state:9} {network:9} {amount} to {place}{fee}  {}", text("tx_id")?);
        good &= matches!(state.as_str(), "credited" | "final" | "replaced");
        let is_done = u32::from(state != "replaced");
        let of = if text("purpose")? == "gas" { &mut top_ups } else { &mut sweeps };
        *of = of.saturating_add(is_done);
        replaced = replaced.saturating_add(u32::from(won > 1));
    }
    let transfers = tell_transfers(scene).await?;
    good &= lanes_used(scene).await? == LANES.len() && replaced > 0;
    println!(
        "  {sweeps} sweeps, {top_ups} gas top-ups, {transfers} transfers between venues; \
         {replaced} got stuck and left with a higher fee"
    );
    Ok(good)
}

async fn tell_transfers(scene: &Scene) -> anyhow::Result<usize> {
    println!("\ncoins from venue to venue");
    let rows = sqlx::query(
        "select from_venue, to_venue, network::text, asset::text, state, amount_minor::text,
           coalesce(tx_id, '') as tx_id
         from venue_transfers order by planned_at",
    )
    .fetch_all(&scene.base.pool)
    .await?;
    let mut credited = 0_usize;
    for row in rows {
        let text = |name: &str| row.try_get::<String, _>(name);
        let amount = Amount::parse_minor(&text("amount_minor")?, text("asset")?.parse()?)?;
        let (from, to, state) = (text("from_venue")?, text("to_venue")?, text("state")?);
        let (network, tx_id) = (text("network")?, text("tx_id")?);
        println!("  {state:9} {network:9} {amount} from {from} to {to}  {tx_id}");
        credited = credited.saturating_add(usize::from(state == "credited"));
    }
    Ok(credited)
}
