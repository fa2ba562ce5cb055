//! Redis is a shortcut: with it the newest rate is read from there, without it from PostgreSQL, and
//! everything else goes on.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use primitives::Asset;
use testkit::{Fleet, Gate, Options};

#[expect(clippy::disallowed_methods, reason = "tests have no cli to read settings for them")]
fn redis() -> Result<SocketAddr> {
    let url = std::env::var("CHUKTA_TEST_REDIS_URL")
        .context("CHUKTA_TEST_REDIS_URL is not set: run `make test`, which starts a Redis")?;
    let address = url.trim_start_matches("redis://").split('/').next().unwrap_or_default();
    Ok(address.parse()?)
}

#[tokio::test]
async fn and_nobody_notices() -> Result<()> {
    let gate = Gate::start(redis()?).await?;
    // A database of its own within Redis: other tests publish rates, too.
    let redis_url = Some(format!("redis://{}/9", gate.address()));
    let fleet = Fleet::with(Options { redis_url, ..Options::new()? }).await?;
    let shown = fleet.board.latest(Asset::Eth).await?;
    let published = shown.tick;
    // A newer tick that only PostgreSQL knows tells where a rate was read.
    let newer: i64 = sqlx::query_scalar(
        "insert into rate_ticks
           (base, at, verdict, reason, bid, ask, sources, bids, routes, markets, low, high)
         select base, at, verdict, reason, bid, ask, sources, bids, routes, markets, low, high
         from rate_ticks where id = $1 returning id",
    )
    .bind(published)
    .fetch_one(&fleet.db.owner)
    .await?;
    // Redis is given a moment only, which may pass on a busy machine: it is told and asked again.
    let deadline = Instant::now() + Duration::from_secs(30);
    while fleet.board.latest(Asset::Eth).await?.tick != published {
        ensure!(Instant::now() < deadline, "not read from Redis");
        fleet.board.publish(&shown).await;
    }
    gate.strike();
    assert_eq!(fleet.board.latest(Asset::Eth).await?.tick, newer, "not read from PostgreSQL");
    let asked = fleet.ask(140_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.step(31).await?;
    let without = fleet.board.latest(Asset::Eth).await?.tick;
    assert!(without > newer, "rates are not kept without Redis");
    gate.heal();
    for _ in 0..100 {
        fleet.step(31).await?;
        if sqlx::query_scalar::<_, i64>("select max(id) from rate_ticks where base = 'ETH'")
            .fetch_one(&fleet.db.owner)
            .await?
            == fleet.board.latest(Asset::Eth).await?.tick
        {
            break;
        }
    }
    fleet.check_books().await
}
