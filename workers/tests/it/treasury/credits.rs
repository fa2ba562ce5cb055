//! What the venue says of what was sent to it: less, never, no, or nothing but a balance.

use anyhow::Result;
use primitives::{Amount, Asset};
use serde_json::json;

use super::{
    net::Kind,
    world::{World, amount},
};

const SENT: i128 = 10_i128.pow(18) - 1_000;

async fn sent(change: impl FnOnce(&World)) -> Result<World> {
    let w = World::open(Kind::Addresses).await?;
    change(&w);
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    Ok(w)
}

#[tokio::test]
async fn less_than_was_sent() -> Result<()> {
    // More than the venue's places explain.
    let short = 10_i128.pow(10);
    let w = sent(|w| w.near.books().short = short).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    let there = (w.at_near(Asset::Eth).await?, w.in_transit(Asset::Eth).await?);
    assert_eq!(there, (SENT - short, short));
    assert_eq!(w.cases().await?, ["credit_differs"]);
    w.check().await
}

#[tokio::test]
async fn more_than_was_sent_is_not_booked() -> Result<()> {
    let w = sent(|w| w.near.books().short = -300).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!((w.at_near(Asset::Eth).await?, w.in_transit(Asset::Eth).await?), (SENT, 0));
    assert_eq!(w.cases().await?, ["credit_differs"]);
    Ok(())
}

#[tokio::test]
async fn never() -> Result<()> {
    let w = sent(|w| w.near.books().silent = true).await?;
    assert_eq!(w.moves().await?, ["final"]);
    w.turn(3_700).await?;
    assert!(w.cases().await?.contains(&"transit_old".to_owned()));
    assert_eq!(w.in_transit(Asset::Eth).await?, SENT);
    w.near.books().silent = false;
    w.turn(3_600).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert!(!w.cases().await?.contains(&"transit_old".to_owned()), "it came");
    w.check().await
}

#[tokio::test]
async fn no() -> Result<()> {
    let w = sent(|w| w.near.books().refuses = true).await?;
    assert_eq!(w.moves().await?, ["final"]);
    assert_eq!(w.cases().await?, ["credit_refused"]);
    assert_eq!(w.in_transit(Asset::Eth).await?, SENT);
    w.near.books().refuses = false;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.check().await
}

/// A venue that tells no deposits: its balance must show it twice, a gap apart.
#[tokio::test]
async fn by_balance_alone() -> Result<()> {
    let w = sent(|w| w.near.books().tells = false).await?;
    assert_eq!(w.moves().await?, ["final"], "seen once");
    w.turn(10).await?;
    assert_eq!(w.moves().await?, ["final"], "seen again, too soon");
    w.turn(30).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!(w.at_near(Asset::Eth).await?, SENT);
    w.check().await
}

/// Any other difference proves nothing, and one that changes begins anew.
#[tokio::test]
async fn a_balance_that_is_off_proves_nothing() -> Result<()> {
    let w = sent(|w| {
        w.near.books().tells = false;
        w.near.books().own.insert(Asset::Eth, 5);
    })
    .await?;
    w.turn(40).await?;
    w.turn(40).await?;
    assert_eq!(w.moves().await?, ["final"]);
    w.near.books().own.insert(Asset::Eth, 0);
    w.turn(1).await?;
    w.near.books().own.insert(Asset::Eth, 1);
    w.turn(60).await?;
    w.near.books().own.insert(Asset::Eth, 0);
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["final"], "the first sight since it was off");
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.check().await
}

/// While an order of ours is open there, a balance says nothing.
#[tokio::test]
async fn a_balance_is_not_read_while_we_trade() -> Result<()> {
    let w = sent(|w| w.near.books().tells = false).await?;
    let conversion = w.base.uuid();
    sqlx::query(
        "insert into conversions (id, venue, asset, state, target_minor, created_at, updated_at)
         values ($1, 'near', 'ETH', 'submitted', 1, $2, $2)",
    )
    .bind(conversion)
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    sqlx::query(
        "insert into order_attempts (conversion_id, attempt, client_ref, quantity, quantity_minor,
           price, state, planned_at) values ($1, 1, 'o1', 1, 1, 1, 'open', $2)",
    )
    .bind(conversion)
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    for _ in 0..3 {
        w.turn(60).await?;
    }
    assert_eq!(w.moves().await?, ["final"]);
    sqlx::query("update order_attempts set state = 'closed', looked_at = now()")
        .execute(&w.db.owner)
        .await?;
    w.turn(60).await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    Ok(())
}

/// An order that sells and brings other assets, or was never sent, says nothing against a balance.
#[tokio::test]
async fn a_balance_is_read_beside_orders_of_other_assets() -> Result<()> {
    for (asset, state) in [("BTC", "unknown"), ("ETH", "planned")] {
        let w = sent(|w| w.near.books().tells = false).await?;
        let conversion = w.base.uuid();
        sqlx::query(
            "insert into conversions (id, venue, asset, state, target_minor, created_at, updated_at)
             values ($1, 'near', $2, 'submitted', 1, $3, $3)",
        )
        .bind(conversion)
        .bind(asset)
        .bind(w.now())
        .execute(&w.db.owner)
        .await?;
        sqlx::query(
            "insert into order_attempts (conversion_id, attempt, client_ref, quantity,
               quantity_minor, price, state, planned_at) values ($1, 1, 'o1', 1, 1, 1, $2, $3)",
        )
        .bind(conversion)
        .bind(state)
        .bind(w.now())
        .execute(&w.db.owner)
        .await?;
        w.turn(60).await?;
        w.turn(60).await?;
        assert_eq!(w.moves().await?, ["credited"], "{asset} {state}");
        w.check().await?;
    }
    Ok(())
}

/// Several on their way: what the balance shows is credited, the rest waits.
#[tokio::test]
async fn a_balance_shows_some_of_several() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| t["batch_max"] = json!(3)).await?;
    w.near.books().tells = false;
    for (index, units) in [(1, "1"), (2, "2"), (3, "4")] {
        w.deposit(index, amount(units, Asset::Eth)).await?;
    }
    w.turn(1).await?;
    w.net.mine(4);
    // The second of them is held back.
    let held_back = 2 * 10_i128.pow(18) - 1_000;
    w.near.books().own.insert(Asset::Eth, -held_back);
    w.turn(1).await?;
    w.turn(40).await?;
    let credited = "select count(*) from moves where state = 'credited'";
    assert_eq!(w.count(credited).await?, 2);
    assert_eq!(w.in_transit(Asset::Eth).await?, held_back);
    w.near.books().own.insert(Asset::Eth, 0);
    w.turn(60).await?;
    w.turn(60).await?;
    assert_eq!(w.count(credited).await?, 3);
    w.check().await
}

/// What reached the destination is less than was drafted: booked as it is, and shown.
#[tokio::test]
async fn an_alarm_names_what_is_late() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.near.books().silent = true;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    let mut conn = w.base.pool.acquire().await?;
    let shown = settlement::treasury::overview_in(&mut conn, &w.base).await?;
    assert_eq!(shown.moves.len(), 1);
    assert_eq!(
        shown.transit,
        [("transit:net:near:ETH".to_owned(), Amount::try_new(SENT, Asset::Eth)?)]
    );
    assert!(shown.fees_paise < shown.fee_budget_paise);
    let forecast = shown.forecasts.iter().find(|f| f.asset == Asset::Eth).unwrap();
    assert_eq!(forecast.on_the_way.minor(), SENT);
    assert_eq!(forecast.short.minor(), 100 * 10_i128.pow(18) - SENT);
    Ok(())
}
