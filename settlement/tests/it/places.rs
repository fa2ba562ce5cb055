//! Where the treasury looks for coins to move: a list that ends with the work, however long the
//! history is.

use anyhow::Result;
use primitives::Asset;
use rust_decimal::Decimal;
use serde_json::Value;
use settlement::treasury::{self, Candidates};

use crate::world::{World, network};

const SWEPT: i64 = 2_500;
const LEFT: i64 = 5;

/// Deposits of one ether each at addresses of their own; all but the last few swept long ago.
async fn with_history(w: &World) -> Result<()> {
    for statement in [
        "insert into deposit_addresses (network, path_index, address, path)
         select 'anvil', 100000 + n, '0xold' || n, 'm' from generate_series(1, $1 + $2) n",
        "insert into deposits (id, network, tx_id, ordinal, address, asset, amount_minor, state,
           purpose, reason, seen_at, confirmed_at, updated_at)
         select gen_random_uuid(), 'anvil', '0xt' || n, 0, '0xold' || n, 'ETH',
           1000000000000000000, 'confirmed', 'suspense', 'late_deposit', now(), now(), now()
         from generate_series(1, $1 + $2) n",
        "with m as (insert into moves (id, purpose, network, asset, venue, to_address, takes_all,
           fee_asset, state, amount_minor, fee_max_minor, arrived_minor, cost_minor, planned_at,
           final_at, updated_at)
         select ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'fund_venue', 'anvil',
           'ETH', 'wazirx', '0xvenue', true, 'ETH', 'credited', 999999999999999990, 10,
           999999999999999990, 10, now(), now() - interval '2 days', now()
         from generate_series(1, $1 + 0 * $2) n returning id)
         insert into move_sources (move_id, network, source, address, amount_minor, live, spent)
         select ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'anvil',
           '0xold' || n, '0xold' || n, 1000000000000000000, false, true
         from generate_series(1, $1 + 0 * $2) n",
        "update places_to_sweep set since = now() - interval '2 days' where $1 + $2 > 0",
    ] {
        sqlx::query(statement).bind(SWEPT).bind(LEFT).execute(&w.db.owner).await?;
    }
    sqlx::query("analyze").execute(&w.db.owner).await?;
    Ok(())
}

async fn candidates(w: &World) -> Result<Candidates> {
    let mut conn = w.base.pool.acquire().await?;
    Ok(treasury::candidates_in(&mut conn, &network(), Asset::Eth).await?)
}

async fn forget(w: &World) -> Result<u64> {
    let mut conn = w.base.pool.acquire().await?;
    Ok(treasury::forget_emptied_in(&mut conn).await?)
}

/// Rows that the nodes of a plan touched, those thrown away included.
fn touched(plan: &Value) -> Decimal {
    let of = |key: &str| {
        let told = plan.get(key).map(ToString::to_string);
        told.and_then(|told| told.parse::<Decimal>().ok()).unwrap_or_default()
    };
    let own = (of("Actual Rows") + of("Rows Removed by Filter")) * of("Actual Loops");
    let below = plan.get("Plans").and_then(Value::as_array);
    own + below.map_or(Decimal::ZERO, |plans| plans.iter().map(touched).sum())
}

#[tokio::test]
async fn the_list_ends_with_the_work() -> Result<()> {
    let w = World::open().await?;
    with_history(&w).await?;
    assert_eq!(candidates(&w).await?.places.len(), 5);
    let mut gone = 0;
    loop {
        let now = forget(&w).await?;
        gone += now;
        if now == 0 {
            break;
        }
    }
    assert_eq!(i64::try_from(gone)?, SWEPT);
    assert_eq!(w.count("select count(*) from places_to_sweep").await?, LEFT);
    assert_eq!(candidates(&w).await?.places.len(), 5);
    sqlx::query("analyze").execute(&w.db.owner).await?;
    let plan: Value = sqlx::query_scalar(
        "explain (analyze, format json)
         select address, path_index, outputs from sweepable
         where network = 'anvil' and asset = 'ETH'",
    )
    .fetch_one(&w.base.pool)
    .await?;
    let rows = touched(&plan[0]["Plan"]);
    let few = rows > Decimal::ZERO && rows < Decimal::from(200);
    assert!(few, "a look read {rows} rows of the history: {plan}");
    Ok(())
}

#[tokio::test]
async fn what_comes_again_is_looked_at_again() -> Result<()> {
    let w = World::open().await?;
    with_history(&w).await?;
    // Too fresh to be forgotten: what emptied it may still be undone.
    sqlx::query(
        "update moves set final_at = now() where to_address = '0xvenue' and id::text like '%7'",
    )
    .execute(&w.db.owner)
    .await?;
    while forget(&w).await? > 0 {}
    assert_eq!(w.count("select count(*) from places_to_sweep").await?, LEFT + SWEPT / 10);
    // A second deposit at an address that was emptied and forgotten.
    w.pay("0xold2", primitives::Amount::parse_units("2", Asset::Eth).unwrap()).await?;
    let found = candidates(&w).await?;
    let again = found.places.iter().find(|place| place.address == "0xold2").unwrap();
    assert_eq!(again.outputs.len(), 2, "an address counts whole");
    assert_eq!(found.booked["0xold2"].minor(), 2 * 10_i128.pow(18));
    // And a move that is undone.
    sqlx::query("update move_sources set spent = false where source = '0xold3'")
        .execute(&w.db.owner)
        .await?;
    assert!(candidates(&w).await?.places.iter().any(|place| place.address == "0xold3"));
    Ok(())
}
