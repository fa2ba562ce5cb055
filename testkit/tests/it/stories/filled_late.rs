//! The venue goes on with an order that has ended: it executes some of it late, or takes an
//! execution back. Either is booked once, the next order sells what is left, and all is paid once.

use anyhow::{Context as _, Result, bail};
use primitives::Asset;
use rust_decimal::Decimal;
use simulators::fault::Fault;
use testkit::{Asked, Fleet};

use super::{net, open_cases};

/// The first order has ended with so many basis points of it executed; the next one is not planned.
async fn ended_short(fleet: &Fleet, bps: &str) -> Result<Asked> {
    let mut fault = Fault::new("wazirx", "place_order", "partial_fill");
    fault.value = Some(bps.to_owned());
    fleet.outside.queue(fault)?;
    let asked = fleet.ask(400_000, Asset::Usdt).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    for _ in 0..60 {
        if fleet.count("select count(*) from order_attempts where state = 'closed'").await? == 1 {
            assert_eq!(fleet.orders_at_venue()?, 1);
            return Ok(asked);
        }
        fleet.step(1).await?;
    }
    bail!("the order does not end");
}

async fn is_settled_once(fleet: &Fleet, asked: &Asked, orders: usize) -> Result<()> {
    fleet.settle().await?;
    let story = fleet.story(asked).await?;
    assert_eq!(story.state, "settled");
    assert_eq!(story.sale.context("a sale")?.orders.len(), orders);
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (orders, 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(400_000));
    fleet.check_books().await
}

#[tokio::test]
async fn some_of_it_after_the_end() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = ended_short(&fleet, "3000").await?;
    let venue = &fleet.outside.sims.wazirx;
    let order = venue.sales().pop().context("an order")?;
    assert!(venue.fill_after_the_end(order.id, Decimal::from(20)), "{order:?}");
    is_settled_once(&fleet, &asked, 2).await?;
    let (first, second) = (&venue.sales()[0], &venue.sales()[1]);
    assert_eq!(second.quantity, first.quantity - first.executed, "no more than was left");
    assert_eq!(fleet.count("select count(*) from fills").await?, 3);
    Ok(())
}

#[tokio::test]
async fn all_of_it_after_the_end() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = ended_short(&fleet, "3000").await?;
    let venue = &fleet.outside.sims.wazirx;
    let order = venue.sales().pop().context("an order")?;
    assert!(venue.fill_after_the_end(order.id, order.quantity - order.executed));
    is_settled_once(&fleet, &asked, 1).await
}

#[tokio::test]
async fn what_it_had_executed_is_taken_back() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = ended_short(&fleet, "5000").await?;
    let venue = &fleet.outside.sims.wazirx;
    let trade = venue.executions().pop().context("an execution")?;
    assert!(venue.take_trade_back(trade.id));
    is_settled_once(&fleet, &asked, 2).await?;
    assert_eq!(venue.sales()[1].quantity, venue.sales()[0].quantity, "all of it is sold again");
    assert_eq!(fleet.count("select count(*) from fill_reversals").await?, 1);
    // The books differed until the look that found it, and may have been compared meanwhile; the
    // next comparison agrees everywhere.
    fleet.advance(60).await?;
    let differing = "select count(*) from (select distinct on (scope, asset) *
           from reconciliations order by scope, asset, at desc) newest
         where books_minor <> other_minor";
    assert_eq!(fleet.count(differing).await?, 0);
    let others = "select count(*) from cases
         where closed_at is null and kind not in ('fill_reversed', 'books_differ')";
    assert_eq!(fleet.count(others).await?, 0);
    assert!(fleet.cases().await?.contains(&"fill_reversed".to_owned()));
    assert!(open_cases(&fleet.story(&asked).await?).is_empty(), "no payment is concerned");
    Ok(())
}
