//! How long a payment in a block stays unseen: from the block's end at the local node to the
//! deposit's row in PostgreSQL, per network, with everything the fleet does in between.
//!
//! The baseline of the same run is what cannot be avoided: one question to the node for its tip and
//! one durable insert. Arguments: payments per network (30).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use outbound::webhook::{Policy, Sender};
use primitives::{Amount, Asset, Entropy, SystemClock};
use settlement::{Base, rates::Board};
use sqlx::PgPool;
use testkit::Other;
use testkit_db::TestDb;
use tokio::sync::watch;
use workers::{Connectors, Ctx};

const JOBS: [&str; 2] = ["scan_chain", "refill_addresses"];
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    // `cargo bench` names every bench of the crate `--bench`; `cargo test` runs it without.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(bench())
}

async fn bench() -> Result<()> {
    outbound::install_crypto();
    let times = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(30);
    println!("detection: milliseconds from block to row, {times} payments each");
    measure(Other::bitcoin().await?, Asset::Btc, times).await?;
    measure(Other::ethereum().await?, Asset::Eth, times).await?;
    measure(Other::solana().await?, Asset::Sol, times).await
}

async fn measure(other: Other, asset: Asset, times: usize) -> Result<()> {
    let db = TestDb::create().await?;
    let mut settings = testkit::settings()?;
    let mut network = other.settings.clone();
    network.linger_ms = 5_000;
    network.poll_ms = 500;
    settings.networks = [(other.network.clone(), network)].into();
    settings.address_pool = i64::try_from(times)?;
    let base = Base {
        pool: db.app.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Entropy::system()),
        settings: Arc::new(settings),
    };
    let mut connectors = Connectors::default();
    connectors.chains.insert(other.network.clone(), Arc::clone(&other.chain));
    let policy = Policy { allow_loopback: false, trusted_hosts: Vec::new() };
    let board = Board::new(base.clone(), None);
    let ctx = Ctx::new(base.clone(), board, connectors, Sender::try_new(policy)?);
    let mut tx = base.pool.begin().await?;
    settlement::stuck::sweep_in(&mut tx, &base).await?;
    tx.commit().await?;
    let runner = workers::runner(&ctx, "bench", &|kind| JOBS.contains(&kind));
    let (stop, told) = watch::channel(false);
    let working = tokio::spawn(runner.run(told));
    let seen = payments(&other, asset, &base.pool, times).await;
    let floor = unavoidable(&other, &base.pool, times).await?;
    stop.send_replace(true);
    working.await??;
    report(other.network.as_str(), seen?, floor)
}

/// Pays each address once, one after the other, and waits for its row.
async fn payments(
    other: &Other,
    asset: Asset,
    pool: &PgPool,
    times: usize,
) -> Result<Vec<Duration>> {
    let addresses = addresses(pool, times).await?;
    let mut seen = Vec::new();
    for address in addresses {
        let amount = Amount::try_new(2_000_000, asset)?;
        let tx_id = other.sandbox.pay(&address, amount).await?;
        other.sandbox.mine(1).await?;
        let begun = Instant::now();
        wait(|| is_recorded(pool, &tx_id)).await.context("no row for a payment")?;
        seen.push(begun.elapsed());
        // Blocks do not come in step with the scan.
        tokio::time::sleep(Duration::from_millis(37 + 13 * u64::try_from(seen.len() % 7)?)).await;
    }
    Ok(seen)
}

async fn addresses(pool: &PgPool, times: usize) -> Result<Vec<String>> {
    let enough = || async {
        let free: Vec<String> = sqlx::query_scalar(
            "select address from deposit_addresses order by path_index limit $1",
        )
        .bind(i64::try_from(times)?)
        .fetch_all(pool)
        .await?;
        let scanned: bool =
            sqlx::query_scalar("select exists (select from chain_cursors)").fetch_one(pool).await?;
        Ok((free.len() == times && scanned).then_some(free))
    };
    wait(enough).await.context("no addresses, or no scan")
}

async fn is_recorded(pool: &PgPool, tx_id: &str) -> Result<Option<()>> {
    let seen: bool = sqlx::query_scalar(
        "select exists (select from deposits where tx_id = $1 and state in ('seen', 'confirmed'))",
    )
    .bind(tx_id)
    .fetch_one(pool)
    .await?;
    Ok(seen.then_some(()))
}

async fn wait<T, F, Fut>(look: F) -> Result<T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("nothing within {} s", PATIENCE.as_secs())
}

/// One question for the tip, one durable row.
async fn unavoidable(other: &Other, pool: &PgPool, times: usize) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for number in 0..times {
        let begun = Instant::now();
        other.chain.head().await?;
        sqlx::query(
            "insert into venue_freezes (venue, frozen, actor, reason, at)
             values ('bench', false, 'bench', $1, now())",
        )
        .bind(number.to_string())
        .execute(pool)
        .await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

fn report(network: &str, mut seen: Vec<Duration>, mut floor: Vec<Duration>) -> Result<()> {
    seen.sort_unstable();
    floor.sort_unstable();
    ensure!(!seen.is_empty() && !floor.is_empty(), "nothing measured");
    let at = |sorted: &[Duration], percent: usize| {
        let place = (sorted.len() * percent / 100).min(sorted.len() - 1);
        sorted.get(place).map_or(0, Duration::as_micros)
    };
    let (median, base) = (at(&seen, 50), at(&floor, 50).max(1));
    println!(
        "  {network:<9} p50 {:>4} ms  p95 {:>4} ms  max {:>4} ms, \
         tip and one insert {} µs, ratio {}.{}",
        median / 1_000,
        at(&seen, 95) / 1_000,
        at(&seen, 100) / 1_000,
        base,
        median / base,
        median * 10 / base % 10,
    );
    Ok(())
}
