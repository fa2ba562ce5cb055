//! What is too small for every venue is dust in the end; what one venue was not asked about is not
//! too small, and what a frozen venue keeps is not waited for longer than company is.

use anyhow::Result;
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::conversion::{self, ConversionState, Offer, Planned, Rerouted};

use crate::{
    routes::{
        COINS, DIRECT, done, dust_of, fill, freeze, get, next, open, order, paid, payouts, plan,
    },
    world::{World, offer},
};

fn small(offer: Offer) -> Offer {
    let mut offer = offer;
    if let Ok(market) = &mut offer.market {
        market.notional_min = Decimal::from(1_000_000);
    }
    offer
}

fn silent(offer: Offer) -> Offer {
    Offer { market: Err("it does not answer".to_owned()), ..offer }
}

/// One missed look at the venue that would take it: it is asked again soon, however old the batch,
/// and sold when it answers.
#[tokio::test]
async fn a_missed_look_makes_no_dust() -> Result<()> {
    let w = open().await?;
    let asked = paid(&w, 100_000, Asset::Usdc).await?;
    w.pass(5);
    let too_small = |w: &World| small(offer(w, "binance", COINS, 80));
    for seconds in [0, 601] {
        w.pass(seconds);
        let missed = [too_small(&w), silent(offer(&w, "wazirx", COINS, 80))];
        let told = plan(&w, Asset::Usdc, &missed).await?;
        assert!(matches!(told, Planned::NoRoute(_)), "{told:?}");
        let mut closed = offer(&w, "wazirx", COINS, 80);
        closed.market.as_mut().unwrap().is_open = false;
        let told = plan(&w, Asset::Usdc, &[too_small(&w), closed]).await?;
        assert!(matches!(told, Planned::NoRoute(_)), "{told:?}");
        assert_eq!(w.state(asked.id).await?, "accepted");
    }
    w.price(Asset::Usdc, 1).await?;
    let both = [too_small(&w), offer(&w, "wazirx", COINS, 80)];
    assert_eq!(order(plan(&w, Asset::Usdc, &both).await?).venue, "wazirx");
    w.sound().await
}

/// A rest that only the frozen venue would take: dust after a while, and the payments are paid.
#[tokio::test]
async fn a_rest_at_a_frozen_venue_ends_as_dust() -> Result<()> {
    let w = open().await?;
    let asked = paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let first = order(plan(&w, Asset::Eth, &[offer(&w, "wazirx", DIRECT, 200_000)]).await?);
    let most = fill(&w, &first, 200_000, 98);
    done(&w, &first, &[most]).await?;
    sqlx::query("update order_attempts set looked_at = now()").execute(&w.db.owner).await?;
    freeze(&w, "wazirx").await?;
    let reroute = async |offers: &[Offer]| {
        let mut tx = w.base.pool.begin().await?;
        let told = conversion::reroute_in(&mut tx, &w.base, first.conversion, offers).await?;
        tx.commit().await?;
        anyhow::Ok(told)
    };
    let here = |w: &World| offer(w, "wazirx", DIRECT, 200_000);
    let there = |w: &World| small(offer(w, "coindcx", DIRECT, 200_000));
    assert!(matches!(reroute(&[here(&w), there(&w)]).await?, Rerouted::Held(_)), "not yet");
    w.pass(601);
    w.price(Asset::Eth, 1).await?;
    let missed = [here(&w), silent(there(&w))];
    assert!(matches!(reroute(&missed).await?, Rerouted::Held(_)), "it may take it");
    assert!(matches!(reroute(&[here(&w)]).await?, Rerouted::Held(_)), "nobody called it small");
    assert_eq!(payouts(&w).await?, 0);
    assert_eq!(reroute(&[here(&w), there(&w)]).await?, Rerouted::Ended);
    assert_eq!(reroute(&[here(&w), there(&w)]).await?, Rerouted::NotNeeded, "once");
    let sale = get(&w, first.conversion).await?;
    assert_eq!((sale.state, payouts(&w).await?), (ConversionState::Filled, 1));
    let rest = asked.quote.payable.checked_sub(sale.sold)?;
    assert_eq!(dust_of(&w, Asset::Eth).await?, rest.minor());
    w.sound().await
}

/// An order that was planned there and never sent is withdrawn first.
#[tokio::test]
async fn with_an_order_that_was_never_sent() -> Result<()> {
    let w = open().await?;
    let asked = paid(&w, 100_000, Asset::Usdc).await?;
    w.pass(5);
    let first = order(plan(&w, Asset::Usdc, &[offer(&w, "wazirx", COINS, 80)]).await?);
    freeze(&w, "wazirx").await?;
    w.pass(601);
    w.price(Asset::Usdc, 1).await?;
    let offers = [small(offer(&w, "coindcx", COINS, 80))];
    let mut tx = w.base.pool.begin().await?;
    let told = conversion::reroute_in(&mut tx, &w.base, first.conversion, &offers).await?;
    tx.commit().await?;
    assert_eq!(told, Rerouted::Ended);
    assert_eq!(w.balance("venue:wazirx:USDC:order").await?, 0);
    assert_eq!(dust_of(&w, Asset::Usdc).await?, asked.quote.payable.minor());
    assert_eq!(next(&w, first.conversion, &offers[0]).await.ok(), Some(Planned::Stopped));
    w.sound().await
}
