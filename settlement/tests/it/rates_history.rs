//! The history of rates: days of their own, a place for what has none, and thinning by age, which
//! nobody can do but by the rule.

use anyhow::Result;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use primitives::{Clock as _, SystemClock};
use settlement::{Base, rates};
use testkit_db::TestDb;

use crate::world::World;

const DAY: TimeDelta = TimeDelta::days(1);

/// One tick every so many seconds, up and down; some without a price.
async fn ticks(
    db: &TestDb,
    asset: &str,
    from: DateTime<Utc>,
    every_s: f64,
    many: i32,
) -> Result<()> {
    sqlx::query(
        "insert into rate_ticks (base, at, verdict, bid, ask, sources, bids)
         select $1, $2 + make_interval(secs => n * $3),
           case when n % 5 = 4 then 'unusable' else 'good' end,
           case when n % 5 <> 4 then 100 + n * 7 % 31 end,
           case when n % 5 <> 4 then 101 + n * 7 % 31 end, '[]', '[]'
         from generate_series(0, $4 - 1) n",
    )
    .bind(asset)
    .bind(from)
    .bind(every_s)
    .bind(many)
    .execute(&db.app)
    .await?;
    Ok(())
}

/// First, lowest and highest of every span of every asset.
async fn corners(db: &TestDb, before: DateTime<Utc>, seconds: i32) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "select concat_ws(' ', base, span, (array_agg(id order by at, id))[1], min(bid), max(bid))
         from (select *, floor(extract(epoch from at) / $2) as span from rate_ticks) t
         where at < $1 group by base, span order by base, span",
    )
    .bind(before)
    .bind(seconds)
    .fetch_all(&db.owner)
    .await?)
}

async fn count(db: &TestDb, sql: &'static str, at: DateTime<Utc>) -> Result<i64> {
    Ok(sqlx::query_scalar(sql).bind(at).fetch_one(&db.owner).await?)
}

async fn thin(base: &Base) -> Result<i64> {
    let mut tx = base.pool.begin().await?;
    let gone = rates::thin_in(&mut tx, base).await?;
    tx.commit().await?;
    Ok(gone)
}

const BEFORE: &str = "select count(*) from rate_ticks where at < $1";
const SINCE: &str = "select count(*) from rate_ticks where at >= $1";

/// Thins until nothing is left to thin; answers how many calls that took.
async fn thin_all(w: &World, days: i64) -> Result<usize> {
    let noted = "select count(*) from rate_thinnings where at >= $1";
    for calls in 1..80 {
        thin(&w.base).await?;
        if count(&w.db, noted, w.now()).await? >= days {
            assert_eq!(thin(&w.base).await?, 0, "once");
            return Ok(calls);
        }
    }
    anyhow::bail!("it does not come to an end");
}

/// At yesterday's noon by our clock, which may be behind the database's: no midnight passes while a
/// test runs.
async fn world_of_now() -> Result<(World, DateTime<Utc>)> {
    let mut w = World::open().await?;
    let today = SystemClock.now().duration_trunc(DAY)? - DAY;
    let noon = primitives::ManualClock::new(today + TimeDelta::hours(12));
    w.base.clock = std::sync::Arc::new(noon);
    Ok((w, today))
}

#[tokio::test]
async fn what_is_older_than_a_week_is_thinned_and_keeps_its_corners() -> Result<()> {
    let (w, today) = world_of_now().await?;
    let week = today - DAY * 7;
    ticks(&w.db, "ETH", week - DAY * 2, 20.0, 4_320 * 3).await?;
    ticks(&w.db, "BTC", week - DAY, 30.0, 2_880).await?;
    let (before, young) = (corners(&w.db, week, 300).await?, count(&w.db, SINCE, week).await?);
    assert_eq!(before.len(), 288 * 3);
    assert_eq!(thin_all(&w, 2).await?, 1);
    assert_eq!(corners(&w.db, week, 300).await?, before, "first, lowest and highest stay");
    let left = count(&w.db, BEFORE, week).await?;
    assert!(left <= 288 * 3 * 3, "{left}");
    assert_eq!(count(&w.db, SINCE, week).await?, young, "a week is kept whole");
    let (kept, removed): (i64, i64) =
        sqlx::query_as("select sum(kept)::bigint, sum(removed)::bigint from rate_thinnings")
            .fetch_one(&w.db.app)
            .await?;
    assert_eq!((kept, removed), (left, 4_320 * 2 + 2_880 - left));
    Ok(())
}

#[tokio::test]
async fn what_is_older_than_a_year_keeps_the_corners_of_an_hour() -> Result<()> {
    let (w, today) = world_of_now().await?;
    let year = today - DAY * 365;
    ticks(&w.db, "ETH", year - DAY * 2, 30.0, 2_880 * 3).await?;
    let before = corners(&w.db, year, 3_600).await?;
    let younger = corners(&w.db, year + DAY, 300).await?;
    // Ten days a call: a year of days without ticks, and two days once more by the hour.
    assert!(thin_all(&w, 367 - 7 + 2).await? > 30);
    assert_eq!(corners(&w.db, year, 3_600).await?, before);
    assert!(count(&w.db, BEFORE, year).await? <= 48 * 3);
    let after = corners(&w.db, year + DAY, 300).await?;
    assert_eq!(after[after.len() - 288..], younger[younger.len() - 288..], "the day after");
    Ok(())
}

/// A clock that is ahead of the database's thins nothing sooner.
#[tokio::test]
async fn nobody_thins_what_is_young() -> Result<()> {
    let mut w = World::open().await?;
    let today = SystemClock.now().duration_trunc(DAY)?;
    ticks(&w.db, "ETH", today - DAY * 6, 60.0, 1_440).await?;
    w.base.clock = std::sync::Arc::new(primitives::ManualClock::new(SystemClock.now() + DAY * 400));
    assert_eq!(thin(&w.base).await?, 0);
    // The application may neither change nor remove a tick itself; the owner not by hand either.
    let old = today - DAY * 30;
    ticks(&w.db, "BTC", old, 60.0, 60).await?;
    for sql in ["delete from rate_ticks", "update rate_ticks set bid = 1", "truncate rate_ticks"] {
        assert!(sqlx::query(sql).execute(&w.db.app).await.is_err(), "{sql} by the application");
        let owner = sqlx::query(sql).execute(&w.db.owner).await;
        assert!(owner.unwrap_err().to_string().contains("forbidden"), "{sql} by the owner");
    }
    // The mark of the door opens nothing to whoever sets it, unless the tick is old, and he may
    // delete at all.
    let mut tx = w.db.owner.begin().await?;
    let mark = "select set_config('chukta.thinning', pg_current_xact_id()::text, true)";
    sqlx::query(mark).execute(&mut *tx).await?;
    let young = sqlx::query("delete from rate_ticks where base = 'ETH'").execute(&mut *tx).await;
    assert!(young.is_err(), "a young tick went");
    drop(tx);
    let mut tx = w.db.app.begin().await?;
    sqlx::query(mark).execute(&mut *tx).await?;
    let denied = sqlx::query("delete from rate_ticks where base = 'BTC'").execute(&mut *tx).await;
    assert!(denied.unwrap_err().to_string().contains("permission denied"));
    Ok(())
}

async fn keep(base: &Base) -> Result<i32> {
    let mut tx = base.pool.begin().await?;
    let made = rates::keep_days_in(&mut tx, base).await?;
    tx.commit().await?;
    Ok(made)
}

#[tokio::test]
async fn days_are_made_ahead_and_a_missing_one_loses_nothing() -> Result<()> {
    let mut w = World::open().await?;
    // A quarter ago: no day of that time exists.
    let clock = primitives::ManualClock::new(w.now().duration_trunc(DAY)? - DAY * 90);
    w.base.clock = std::sync::Arc::new(clock.clone());
    let place = "select tableoid::regclass::text from rate_ticks order by id desc limit 1";
    w.price(primitives::Asset::Eth, 1).await?;
    let of: String = sqlx::query_scalar(place).fetch_one(&w.db.owner).await?;
    assert_eq!(of, "rates.rate_ticks", "without a day of its own");
    // That day has ticks already: it stays where it is, the seven to come are made.
    assert_eq!(keep(&w.base).await?, 7);
    assert_eq!(keep(&w.base).await?, 0, "once");
    clock.advance(DAY);
    w.price(primitives::Asset::Eth, 1).await?;
    let of: String = sqlx::query_scalar(place).fetch_one(&w.db.owner).await?;
    let named = w.now().format("rates.ticks_%Y_%m_%d").to_string();
    assert_eq!(of, named);
    assert_eq!(keep(&w.base).await?, 1, "one more each day");
    // Later than every day that was made: kept, found, and quoted from.
    clock.advance(DAY * 20);
    let tick = w.price(primitives::Asset::Eth, 1).await?;
    let mut conn = w.base.pool.acquire().await?;
    let newest = rates::latest_in(&mut conn, primitives::Asset::Eth).await?.unwrap();
    assert_eq!(newest.tick, tick.tick);
    // A day made in the history takes the rules with it.
    let sql = "update rate_ticks set bid = 1 where at < $1";
    let changed = sqlx::query(sql).bind(w.now() - DAY * 10).execute(&w.db.owner).await;
    assert!(changed.unwrap_err().to_string().contains("forbidden"));
    Ok(())
}
