//! Deposits go to the venue that needs them: what is taken, what stays, and what the books say.

use anyhow::Result;
use chrono::TimeDelta;
use primitives::Asset;
use serde_json::json;
use settlement::chart;

use super::{
    net::Kind,
    world::{World, amount},
};

#[tokio::test]
async fn a_coin_pays_its_own_fee() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(3, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    assert_eq!(w.in_transit(Asset::Eth).await?, 0, "sent is not booked");
    assert_eq!(w.escrow(Asset::Eth).await?, 10_i128.pow(18));
    w.net.mine(1);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["included"]);
    w.net.mine(1);
    w.net.mine(1);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    let sent = 10_i128.pow(18) - 1_000;
    assert_eq!(w.at_near(Asset::Eth).await?, sent);
    assert_eq!(w.escrow(Asset::Eth).await?, 500, "half of the fee was not taken");
    assert_eq!(w.balance(&chart::network_fee(Asset::Eth)).await?, 500);
    assert!(w.cases().await?.is_empty());
    w.check().await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?.len(), 1, "what is left is not worth it");
    Ok(())
}

#[tokio::test]
async fn final_is_booked_before_the_credit() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.near.books().silent = true;
    w.deposit(0, amount("2", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(3);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["final"]);
    assert_eq!(w.in_transit(Asset::Eth).await?, 2 * 10_i128.pow(18) - 1_000);
    assert_eq!(w.at_near(Asset::Eth).await?, 0);
    w.near.books().silent = false;
    w.settle().await?;
    assert_eq!(w.in_transit(Asset::Eth).await?, 0);
    w.check().await
}

#[tokio::test]
async fn many_outputs_become_one() -> Result<()> {
    let w = World::open(Kind::Outputs).await?;
    for index in 0..6 {
        w.deposit(index, amount("0.1", Asset::Btc)).await?;
    }
    // Costs more than its share of what it brings.
    w.deposit(7, amount("0.00004", Asset::Btc)).await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!(w.net.mined(), 1);
    assert_eq!(w.at_near(Asset::Btc).await?, 60_000_000 - 6_000);
    assert_eq!(w.escrow(Asset::Btc).await?, 4_000);
    let sources = "select count(*) from move_sources where spent and not live";
    assert_eq!(w.count(sources).await?, 6);
    w.check().await
}

#[tokio::test]
async fn a_batch_takes_so_many_outputs_and_the_next_the_rest() -> Result<()> {
    let w = World::with(Kind::Outputs, |t| t["batch_max"] = json!(4)).await?;
    for index in 0..6 {
        w.deposit(index, amount("0.1", Asset::Btc)).await?;
    }
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited", "credited"]);
    assert_eq!(w.escrow(Asset::Btc).await?, 0);
    w.check().await
}

#[tokio::test]
async fn a_token_waits_for_gas() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.turn(1).await?;
    let purposes = "select count(*) from moves where purpose = 'gas' and state = 'sent'";
    assert_eq!(w.count(purposes).await?, 1);
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited", "credited"]);
    assert_eq!(w.at_near(Asset::Usdc).await?, 500_000_000);
    // 1,300 went to the address, 500 of it were taken there and 500 at the station.
    assert_eq!(w.escrow(Asset::Eth).await?, 800);
    let gas = w.balance(&chart::gas(&w.network(), Asset::Eth)).await?;
    assert_eq!(gas, 5 * 10_i128.pow(17) - 1_300 - 500);
    w.check().await
}

/// Coin that a stranger sent to the address is owed back: it pays no fee, and blocks nothing.
#[tokio::test]
async fn a_strangers_coin_pays_no_fee() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.suspense(1, amount("0.0001", Asset::Eth), "net").await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.settle().await?;
    w.settle().await?;
    assert_eq!(w.at_near(Asset::Usdc).await?, 500_000_000);
    assert_eq!(w.escrow(Asset::Eth).await?, 10_i128.pow(14) + 1_300 - 500, "owed in full");
    assert!(w.cases().await?.is_empty());
    w.check().await
}

#[tokio::test]
async fn an_empty_gas_station_calls_a_person() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        t["networks"]["net"]["gas_min"] = json!({ "ETH": "0.1" });
    })
    .await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.turn(1).await?;
    assert_eq!(w.cases().await?, ["gas_low"]);
    assert!(w.moves().await?.is_empty());
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.settle().await?;
    w.settle().await?;
    assert_eq!(w.at_near(Asset::Usdc).await?, 500_000_000);
    assert!(w.cases().await?.is_empty(), "there is enough again");
    w.check().await
}

/// What is owed back stays on the network it is owed on, and so does the reserve.
#[tokio::test]
async fn what_is_owed_stays() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        t["networks"]["net"]["reserve"] = json!({ "ETH": "0.25" });
    })
    .await?;
    w.deposit(3, amount("1", Asset::Eth)).await?;
    w.suspense(4, amount("0.5", Asset::Eth), "net").await?;
    w.suspense(5, amount("7", Asset::Eth), "elsewhere").await?;
    w.settle().await?;
    // 1.5 are there, 0.5 are nobody's, 0.25 stay: one address gave 0.75 and kept the rest.
    let out = w.at_near(Asset::Eth).await?;
    assert_eq!(out, 75 * 10_i128.pow(16) - 1_000, "{:?}", w.moves().await?);
    assert!(w.escrow(Asset::Eth).await? >= 75 * 10_i128.pow(16));
    w.check().await
}

/// A node shows more than our rows know to be final: that stays.
#[tokio::test]
async fn what_is_not_final_stays() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(3, amount("1", Asset::Eth)).await?;
    w.net.give("addr3", amount("5", Asset::Eth), "");
    w.net.give("addr4", amount("5", Asset::Eth), "");
    w.turn(1).await?;
    w.net.mine(3);
    w.turn(5).await?;
    assert_eq!(w.at_near(Asset::Eth).await?, 10_i128.pow(18) - 1_000);
    assert_eq!(w.escrow(Asset::Eth).await?, 500);
    // And when it is booked, it goes.
    w.booked(3, amount("5", Asset::Eth), "0xlater3").await?;
    w.booked(4, amount("5", Asset::Eth), "0xlater4").await?;
    w.settle().await?;
    assert!(w.at_near(Asset::Eth).await? > 10 * 10_i128.pow(18));
    w.check().await
}

#[tokio::test]
async fn a_venue_that_has_enough_gets_nothing() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.stock(&w.near, amount("100", Asset::Eth)).await?;
    w.deposit(3, amount("5", Asset::Eth)).await?;
    w.turn(1).await?;
    assert!(w.moves().await?.is_empty());
    w.check().await
}

/// The neediest first, and no more than it is short of by whole places.
#[tokio::test]
async fn the_neediest_venue_is_served() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        t["venues"]["far"] = json!({ "targets": { "ETH": "120" } });
    })
    .await?;
    w.stock(&w.near, amount("99", Asset::Eth)).await?;
    w.deposit(3, amount("5", Asset::Eth)).await?;
    w.settle().await?;
    assert!(w.balance(&chart::venue_free("far", Asset::Eth)).await? > 0);
    assert_eq!(w.at_near(Asset::Eth).await?, 99 * 10_i128.pow(18));
    w.check().await
}

/// The neediest is frozen: the other one is served, and no more outputs than it needs.
#[tokio::test]
async fn who_takes_nothing_keeps_nobody_waiting() -> Result<()> {
    let w = World::with(Kind::Outputs, |t| {
        t["venues"]["far"] = json!({ "targets": { "BTC": "0.25" } });
    })
    .await?;
    let mut tx = w.base.pool.begin().await?;
    let why = ("ops", "a test");
    settlement::venue_freeze::set_in(&mut tx, &w.base, "near", true, why).await?;
    tx.commit().await?;
    for index in 0..6 {
        w.deposit(index, amount("0.1", Asset::Btc)).await?;
    }
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    let there = w.balance(&chart::venue_free("far", Asset::Btc)).await?;
    assert_eq!(there, 30_000_000 - 3_000, "three outputs are enough");
    w.check().await
}

/// At a venue's cap, with what is on its way included, nothing more goes there.
#[tokio::test]
async fn a_venue_is_not_filled_beyond_its_cap() -> Result<()> {
    let w = World::built(
        Kind::Addresses,
        |_| (),
        |s| {
            let near = json!({ "near": { "cap_paise": 30_000_000 } });
            s.venues = serde_json::from_value(near).unwrap();
        },
    )
    .await?;
    for index in 0..3 {
        w.deposit(index, amount("1", Asset::Eth)).await?;
    }
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"], "₹ 2,00,000 of 3,00,000; the next would pass it");
    w.check().await
}

#[tokio::test]
async fn what_is_not_worth_it_waits() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    // ₹ 999: below the least.
    w.deposit(1, amount("0.004995", Asset::Eth)).await?;
    // Its fee is above 2 %.
    w.net.state().fee = 10_i128.pow(18) / 4;
    w.deposit(2, amount("10", Asset::Eth)).await?;
    w.turn(1).await?;
    assert!(w.moves().await?.is_empty());
    w.net.state().fee = 1_000;
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    w.settle().await?;
    w.check().await
}

/// An unknown price is no price: nothing is worth it, and nothing is free.
#[tokio::test]
async fn without_a_fresh_rate_nothing_moves() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.clock.advance(TimeDelta::seconds(3_601));
    w.turn(1).await?;
    assert!(w.moves().await?.is_empty());
    w.rate(Asset::Eth, w.now()).await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.check().await
}

#[tokio::test]
async fn fees_have_a_budget() -> Result<()> {
    // 0.01 ETH of fee is ₹ 2,000; the budget takes two of them a day.
    let w = World::with(Kind::Addresses, |t| t["fee_budget_paise"] = json!(400_000)).await?;
    w.net.state().fee = 10_i128.pow(16);
    for index in 0..3 {
        w.deposit(index, amount("1", Asset::Eth)).await?;
    }
    w.settle().await?;
    assert_eq!(w.moves().await?.len(), 2);
    w.clock.advance(TimeDelta::hours(25));
    w.rate(Asset::Eth, w.now()).await?;
    w.settle().await?;
    assert_eq!(w.moves().await?.len(), 3);
    w.check().await
}

/// A node that is down says nothing: no zero, no move, and what was sent is followed afterwards.
#[tokio::test]
async fn a_node_that_is_down_changes_nothing() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.net.state().is_down = true;
    let failures = w.turn(1).await?;
    assert!(!failures.is_empty() && w.moves().await?.is_empty());
    w.net.state().is_down = false;
    w.turn(600).await?;
    w.net.state().is_down = true;
    w.net.mine(3);
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["sent"]);
    w.net.state().is_down = false;
    w.clock.advance(TimeDelta::hours(1));
    w.settle().await?;
    assert_eq!(w.net.mined(), 1);
    w.check().await
}
