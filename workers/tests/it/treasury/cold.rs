//! What no venue is short of goes to cold storage, and no more of it than is said.

use anyhow::{Result, ensure};
use chrono::TimeDelta;
use primitives::{Amount, Asset};
use serde_json::{Value, json};
use settlement::{chart, treasury};
use signing::SignError;

use super::{
    net::Kind,
    world::{World, amount},
};

const COLD: &str = "cold-storage";

fn cold(asset: &str, keep: &str, per_day: &str) -> impl FnOnce(&mut Value) {
    let asset = asset.to_owned();
    let store = json!({ "address": COLD, "keep": keep, "least": "0.1", "per_day": per_day });
    move |t| {
        t["networks"]["net"]["cold"] = json!({ asset.as_str(): store });
    }
}

async fn stored(w: &World, asset: Asset) -> Result<i128> {
    w.balance(&chart::cold(&w.network(), asset)).await
}

async fn agrees(w: &World, asset: Asset) -> Result<()> {
    let (books, there) = (stored(w, asset).await?, w.net.held_by(COLD, asset));
    ensure!(books == there, "cold storage: books {books}, network {there}");
    w.check().await
}

#[tokio::test]
async fn nothing_goes_unless_it_is_named() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    w.deposit(1, amount("50", Asset::Eth)).await?;
    w.turn(1).await?;
    assert!(w.moves().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_above_goes() -> Result<()> {
    let w = World::with(Kind::Addresses, cold("ETH", "2", "1000")).await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    w.deposit(1, amount("5", Asset::Eth)).await?;
    w.deposit(2, amount("4", Asset::Eth)).await?;
    w.settle().await?;
    let kept = w.escrow(Asset::Eth).await?;
    assert!(kept >= 2 * 10_i128.pow(18) && kept < 2 * 10_i128.pow(18) + 10_000, "{kept}");
    let purposes = "select count(*) from moves where purpose = 'to_cold' and state = 'credited'";
    assert_eq!(w.count(purposes).await?, 2);
    assert!(w.near.held(Asset::Eth) == 100 * 10_i128.pow(18));
    agrees(&w, Asset::Eth).await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?.len(), 2, "what is left is kept");
    assert!(w.cases().await?.is_empty());
    Ok(())
}

/// A venue that is short comes first, and what is on its way to it counts.
#[tokio::test]
async fn venues_come_first() -> Result<()> {
    let w = World::with(Kind::Addresses, cold("ETH", "0", "1000")).await?;
    w.stock(&w.near, amount("97", Asset::Eth)).await?;
    w.deposit(1, amount("5", Asset::Eth)).await?;
    w.deposit(2, amount("4", Asset::Eth)).await?;
    w.turn(1).await?;
    let to_cold = "select count(*) from moves where purpose = 'to_cold'";
    assert_eq!(w.count(to_cold).await?, 0, "the venue is short");
    w.settle().await?;
    w.settle().await?;
    assert_eq!(w.count(to_cold).await?, 1);
    assert!(w.at_near(Asset::Eth).await? > 100 * 10_i128.pow(18));
    agrees(&w, Asset::Eth).await
}

#[tokio::test]
async fn a_day_has_its_bound() -> Result<()> {
    let w = World::with(Kind::Addresses, cold("ETH", "0", "3")).await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    for index in 0..3 {
        w.deposit(index, amount("2", Asset::Eth)).await?;
    }
    w.settle().await?;
    w.settle().await?;
    let first = stored(&w, Asset::Eth).await?;
    assert!(first <= 3 * 10_i128.pow(18) && first > 29 * 10_i128.pow(17), "{first}");
    w.clock.advance(TimeDelta::hours(25));
    w.rate(Asset::Eth, w.now()).await?;
    w.settle().await?;
    let second = stored(&w, Asset::Eth).await? - first;
    assert!(second > 0 && second <= 3 * 10_i128.pow(18), "{second}");
    agrees(&w, Asset::Eth).await
}

/// What is owed back never leaves, wherever to.
#[tokio::test]
async fn what_is_owed_stays() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        cold("ETH", "0", "1000")(t);
        t["networks"]["net"]["reserve"] = json!({ "ETH": "1" });
    })
    .await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    w.deposit(1, amount("5", Asset::Eth)).await?;
    w.suspense(2, amount("3", Asset::Eth), "net").await?;
    w.settle().await?;
    assert!(w.escrow(Asset::Eth).await? >= 4 * 10_i128.pow(18));
    assert!(stored(&w, Asset::Eth).await? > 39 * 10_i128.pow(17));
    agrees(&w, Asset::Eth).await
}

#[tokio::test]
async fn outputs_go_whole() -> Result<()> {
    let w = World::with(Kind::Outputs, cold("BTC", "0.25", "1000")).await?;
    w.stock(&w.near, amount("10", Asset::Btc)).await?;
    for index in 0..6 {
        w.deposit(index, amount("0.1", Asset::Btc)).await?;
    }
    w.settle().await?;
    assert_eq!(stored(&w, Asset::Btc).await?, 30_000_000 - 3_000);
    agrees(&w, Asset::Btc).await
}

/// A token needs gas first, to go there as well.
#[tokio::test]
async fn a_token_goes_with_gas() -> Result<()> {
    let w = World::with(Kind::Addresses, cold("USDC", "0", "1000000")).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.stock(&w.near, amount("100000", Asset::Usdc)).await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.settle().await?;
    w.settle().await?;
    assert_eq!(stored(&w, Asset::Usdc).await?, 500_000_000);
    agrees(&w, Asset::Usdc).await
}

/// The settings name another address before it was signed: nothing goes to the old one, however
/// often it is looked at, until they name it again.
#[tokio::test]
async fn an_old_address_gets_nothing() -> Result<()> {
    let w = World::with(Kind::Addresses, cold("ETH", "0", "1000")).await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    w.deposit(1, amount("5", Asset::Eth)).await?;
    w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
    w.turn(1).await?;
    assert_eq!((w.moves().await?, w.keys.desk().asked.len()), (vec!["planned".to_owned()], 1));
    let another = w.otherwise(|t| {
        for cold in t.networks.values_mut().flat_map(|n| n.cold.values_mut()) {
            cold.address = "cold-anew".to_owned();
        }
    })?;
    let nowhere = w.otherwise(|t| t.networks.values_mut().for_each(|n| n.cold.clear()))?;
    for runner in [&another, &nowhere] {
        for _ in 0..2 {
            w.turn_by(runner, 130).await?;
        }
        assert_eq!((w.moves().await?, w.keys.desk().asked.len()), (vec!["planned".to_owned()], 1));
    }
    w.rate(Asset::Eth, w.now()).await?;
    w.turn(130).await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    agrees(&w, Asset::Eth).await
}

/// What no rule lets go there is not even planned.
#[tokio::test]
async fn nothing_is_planned_for_another_address() -> Result<()> {
    let w = World::with(Kind::Addresses, cold("ETH", "0", "1000")).await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    let mut conn = w.base.pool.acquire().await?;
    let new = treasury::NewMove {
        purpose: treasury::MovePurpose::ToCold,
        network: w.network(),
        venue: None,
        to: "an-older-one".to_owned(),
        amount: amount("1", Asset::Eth),
        fee_max: Amount::try_new(1_000, Asset::Eth)?,
        takes_all: false,
        sources: Vec::new(),
        draft: json!({}),
        serves: None,
    };
    w.deposit(1, amount("5", Asset::Eth)).await?;
    let planned = treasury::plan_in(&mut conn, &w.base, &new).await?;
    assert!(matches!(planned, treasury::Planned::Stopped(_)), "{planned:?}");
    let more = treasury::NewMove { to: COLD.to_owned(), amount: amount("6", Asset::Eth), ..new };
    let planned = treasury::plan_in(&mut conn, &w.base, &more).await?;
    assert!(matches!(planned, treasury::Planned::No(_)), "{planned:?}");
    Ok(())
}

/// A block we called final is gone: the books take it back, and the same bytes bring it again.
#[tokio::test]
async fn a_reorganisation_takes_it_back() -> Result<()> {
    let w = World::with(Kind::Addresses, cold("ETH", "0", "1000")).await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    w.deposit(1, amount("5", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    assert!(stored(&w, Asset::Eth).await? > 0);
    w.net.reorg(4);
    w.blocks_gone(11, 14, 0).await?;
    w.turn(1).await?;
    assert_eq!(stored(&w, Asset::Eth).await?, 0);
    w.settle().await?;
    assert_eq!((w.net.mined(), w.keys.desk().signed.len()), (1, 1));
    agrees(&w, Asset::Eth).await
}
