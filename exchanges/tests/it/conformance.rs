//! The promises of the port, kept against the simulated vendors.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use exchanges::{OrderState, conformance};
use primitives::{Asset, CallError, Clock as _, ManualClock};
use rust_decimal::Decimal;
use simulators::{
    prices::{Mode, ModeRequest},
    wazirx::{CancelReply, Duplicates, Settings},
};

use crate::world::{World, client_ref, order};

const COINS: [Asset; 5] = [Asset::Btc, Asset::Eth, Asset::Sol, Asset::Usdc, Asset::Usdt];

#[tokio::test]
async fn wazirx_reads_make_sense_in_every_market() {
    let world = World::start().await;
    let venue = world.wazirx();
    assert_eq!(venue.venue(), "wazirx");
    for coin in COINS {
        conformance::reads_make_sense(venue.as_ref(), coin).await.unwrap();
    }
    let unused = client_ref("never-used");
    conformance::unused_reference_finds_nothing(venue.as_ref(), &unused).await.unwrap();
    assert!(matches!(venue.rules(Asset::Inr).await, Err(CallError::Rejected { .. })));
}

// Small and large orders in every market: the credit is computed to the paisa, whatever the
// number of executions.
#[tokio::test]
async fn wazirx_sells_and_the_credit_is_explained_to_the_paisa() {
    let world = World::start().await;
    let venue = world.wazirx();
    let mut executions = 0;
    for coin in COINS {
        for (n, inr) in [101, 2_450, 1_500_000].into_iter().enumerate() {
            let reference = format!("sell-{}-{n}", coin.code());
            let order = order(venue.as_ref(), coin, &reference, inr, 90).await;
            let fills = conformance::sells_what_is_bid_for(venue.as_ref(), &order).await;
            executions += fills.unwrap_or_else(|broken| panic!("{coin} {inr}: {broken}")).len();
            world.pass(1);
        }
    }
    assert!(executions > 15, "large orders are executed in several steps: {executions}");
}

#[tokio::test]
async fn wazirx_cancels_in_both_manners() {
    let world = World::start().await;
    let venue = world.wazirx();
    for (reply, reference) in [(CancelReply::Wait, "wait-1"), (CancelReply::Cancel, "cancel-1")] {
        let settings = world.running.wazirx.settings();
        world.running.wazirx.set_settings(Settings { cancel_reply: reply, ..settings });
        let resting = order(venue.as_ref(), Asset::Eth, reference, 5_000, 110).await;
        conformance::cancels_what_rests(venue.as_ref(), &resting, 3).await.unwrap();
    }
}

#[tokio::test]
async fn wazirx_refuses_in_words() {
    let world = World::start().await;
    let venue = world.wazirx();
    let mut too_much = order(venue.as_ref(), Asset::Btc, "much-1", 5_000, 90).await;
    too_much.quantity = Decimal::new(1_000, 0);
    conformance::refuses_in_words(venue.as_ref(), &too_much).await.unwrap();
    let mut too_little = order(venue.as_ref(), Asset::Eth, "little-1", 5_000, 90).await;
    too_little.quantity = Decimal::new(1, 5);
    conformance::refuses_in_words(venue.as_ref(), &too_little).await.unwrap();
    let mut off_grid = order(venue.as_ref(), Asset::Eth, "grid-1", 5_000, 90).await;
    off_grid.price += Decimal::new(1, 3);
    conformance::refuses_in_words(venue.as_ref(), &off_grid).await.unwrap();
}

// Partly executed, then cancelled: what was executed stays, with its levies.
#[tokio::test]
async fn wazirx_keeps_what_was_executed_before_a_cancel() {
    let world = World::start().await;
    let venue = world.wazirx();
    world.fault("wazirx", "place_order", "partial_fill");
    let order = order(venue.as_ref(), Asset::Eth, "partial-1", 50_000, 90).await;
    let placed = venue.place_order(&order).await.unwrap();
    assert_eq!(placed.state, OrderState::Open);
    assert!(placed.executed > Decimal::ZERO && placed.executed < placed.quantity);
    // The rest is executed while the cancel is under way: late, and still ours.
    world.fault("wazirx", "cancel_order", "late_fill");
    venue.cancel_order(&order.client_ref).await.unwrap();
    world.pass(10);
    let closed = venue.find_order(&order.client_ref).await.unwrap().unwrap();
    assert_ne!(closed.state, OrderState::Open);
    assert!(closed.executed > placed.executed, "{closed:?}");
    let fills = venue.fills(&closed).await.unwrap();
    let sold: i128 = fills.iter().map(|fill| fill.sold.minor()).sum();
    assert_eq!(Decimal::from_i128_with_scale(sold, 18).normalize(), closed.executed.normalize());
}

// The venue refuses a reference it knows; that is proof of an order, not of its absence. Where it
// accepts one, the connector has no way to know and the caller must not repeat.
#[tokio::test]
async fn wazirx_does_not_call_a_repeated_reference_a_refusal() {
    let world = World::start().await;
    let venue = world.wazirx();
    let settings = world.running.wazirx.settings();
    let rejecting = Settings { duplicates: Duplicates::Reject, ..settings };
    world.running.wazirx.set_settings(rejecting);
    let order = order(venue.as_ref(), Asset::Eth, "twice-1", 5_000, 90).await;
    let placed = venue.place_order(&order).await.unwrap();
    let again = venue.place_order(&order).await.unwrap_err();
    assert!(again.may_have_happened(), "{again}");
    let found = venue.find_order(&order.client_ref).await.unwrap().unwrap();
    assert_eq!(found.venue_order_id, placed.venue_order_id);
}

// Our clock is an hour behind theirs, and later jumps: stamps follow theirs.
#[tokio::test]
async fn wazirx_is_stamped_by_the_venues_clock() {
    let world = World::start().await;
    let ours = world.clock.now() - TimeDelta::hours(1);
    let ours = Arc::new(ManualClock::new(ours));
    let venue = world.connect_by("wazirx", Arc::clone(&ours)).exchange.unwrap();
    venue.holdings().await.unwrap();
    ours.advance(TimeDelta::minutes(7));
    venue.holdings().await.unwrap();
    ours.advance(TimeDelta::minutes(7));
    let mut order = order(venue.as_ref(), Asset::Eth, "clock-1", 5_000, 90).await;
    order.stamp = ours.now();
    let refused = venue.place_order(&order).await;
    assert!(matches!(refused, Err(CallError::NotSent(_))), "{refused:?}");
    assert_eq!(venue.find_order(&order.client_ref).await, Ok(None));
    venue.place_order(&order).await.unwrap();
}

#[tokio::test]
async fn every_source_quotes_sensibly() {
    let world = World::start().await;
    for kind in ["wazirx", "binance", "coinbase"] {
        let source = world.source(kind);
        assert_eq!(source.name(), kind);
        let now = world.clock.now();
        let checked = conformance::quotes_make_sense(source.as_ref(), &COINS, now).await;
        checked.unwrap_or_else(|broken| panic!("{kind}: {broken}"));
        let bases = source.quotations(&COINS).await.unwrap().len();
        assert_eq!(bases, if kind == "binance" { 4 } else { 5 }, "{kind}");
    }
}

fn lie(world: &World, source: &str, mode: Mode) {
    let request = ModeRequest { source: source.into(), mode, pair: None, value: None };
    world.running.world.prices.set_mode(&request, world.clock.now()).unwrap();
}

// Missing and crossed markets are left out, old prices carry their own time, and numbers may come
// bare.
#[tokio::test]
async fn a_source_that_misleads_is_not_made_up_for() {
    let world = World::start().await;
    for kind in ["wazirx", "binance", "coinbase"] {
        lie(&world, kind, Mode::Missing);
        match world.source(kind).quotations(&COINS).await {
            Ok(quotations) => assert_eq!(quotations, [], "{kind}"),
            Err(error) => assert!(!error.may_have_happened(), "{kind}: {error}"),
        }
    }
    for kind in ["wazirx", "binance"] {
        lie(&world, kind, Mode::Crossed);
        assert_eq!(world.source(kind).quotations(&COINS).await, Ok(Vec::new()), "{kind}");
    }
    lie(&world, "wazirx", Mode::Stale);
    let stale = world.source("wazirx").quotations(&[Asset::Btc]).await.unwrap();
    let now: DateTime<_> = world.clock.now();
    assert!(now.signed_duration_since(stale[0].at) >= TimeDelta::seconds(3_600));
    lie(&world, "coinbase", Mode::Numbers);
    assert_eq!(world.source("coinbase").quotations(&COINS).await.unwrap().len(), 5);
}
