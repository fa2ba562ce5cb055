//! The promises of the ports, kept by every venue against its simulator.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use exchanges::{
    NewOrder, OrderKind, OrderState,
    conformance::*,
    custody::{NewWithdrawal, Passage},
};
use primitives::{Amount, Asset, CallError, Clock as _, ManualClock, NetworkId};
use rust_decimal::Decimal;
use simulators::{
    binance::FeeAsset,
    coinbase,
    prices::{Mode, ModeRequest},
    wazirx::{CancelReply, Duplicates, Settings},
};

use crate::world::{VENUES, World, client_ref, order};

const COINS: [Asset; 5] = [Asset::Btc, Asset::Eth, Asset::Sol, Asset::Usdc, Asset::Usdt];

#[tokio::test]
async fn reads_make_sense_in_every_market() {
    let world = World::start().await;
    for kind in VENUES {
        let venue = world.venue(kind);
        assert_eq!(venue.venue(), kind);
        for pair in COINS.into_iter().filter_map(|coin| venue.market(coin)) {
            let checked = reads_make_sense(venue.as_ref(), pair).await;
            checked.unwrap_or_else(|broken| panic!("{pair}: {broken}"));
        }
        let pair = venue.market(Asset::Eth).unwrap();
        let unused = client_ref("never-used");
        unused_reference_finds_nothing(venue.as_ref(), pair, &unused).await.unwrap();
        for none in [Asset::Inr, Asset::Bnb] {
            assert_eq!(venue.market(none), None, "{kind} {none}");
            let pair = exchanges::Pair { base: none, ..pair };
            assert!(matches!(venue.rules(pair).await, Err(CallError::Rejected { .. })));
        }
    }
    for kind in ["binance", "coinbase"] {
        assert_eq!(world.venue(kind).market(Asset::Usdt), None, "nothing to sell dollars for");
    }
}

// Small and large orders in every market: the credit is computed to the last minor unit, whatever
// the number of executions.
#[tokio::test]
async fn sells_and_the_credit_is_explained() {
    let world = World::start().await;
    for (kind, values) in [
        ("wazirx", [101, 2_450, 1_500_000]),
        ("binance", [7, 101, 90_000]),
        ("coinbase", [7, 101, 90_000]),
    ] {
        let venue = world.venue(kind);
        let mut executions = 0;
        for coin in COINS.into_iter().filter(|coin| venue.market(*coin).is_some()) {
            for (n, value) in values.into_iter().enumerate() {
                let reference = format!("sell-{}-{n}", coin.code());
                let order = order(venue.as_ref(), coin, &reference, value, 90).await;
                let fills = sells_what_is_bid_for(venue.as_ref(), &order).await;
                let fills =
                    fills.unwrap_or_else(|broken| panic!("{kind} {coin} {value}: {broken}"));
                executions += fills.len();
                world.pass(1);
            }
        }
        assert!(executions > 13, "large orders are executed in several steps: {executions}");
    }
}

// What does not wait is over at once: filled, or in part, or not at all.
#[tokio::test]
async fn what_does_not_wait_sells_at_once_or_not() {
    let world = World::start().await;
    let by = |kind: &'static str| [world.connect(kind), world.connect_by_ed25519(kind)];
    let connectors = by("binance").into_iter().chain(by("coinbase"));
    for (n, connector) in connectors.enumerate() {
        let venue = connector.exchange.unwrap();
        let kind = venue.venue();
        let at_once = async |name: &str, of, percent| {
            let reference = format!("{name}-{n}");
            let order = order(venue.as_ref(), Asset::Eth, &reference, 5_000, percent).await;
            let order = NewOrder { kind: of, ..order };
            let checked = never_rests(venue.as_ref(), &order).await;
            checked.unwrap_or_else(|broken| panic!("{kind} {name}: {broken}"))
        };
        let (order, fills) = at_once("market", OrderKind::Market, 100).await;
        assert!(order.state == OrderState::Filled && !fills.is_empty());
        let (order, _) = at_once("good", OrderKind::ImmediateOrCancel, 90).await;
        assert_eq!(order.state, OrderState::Filled);
        let (order, fills) = at_once("dear", OrderKind::ImmediateOrCancel, 110).await;
        assert!(order.state == OrderState::Closed && fills.is_empty());
        world.fault(kind, "place_order", "partial_fill");
        let (order, fills) = at_once("part", OrderKind::ImmediateOrCancel, 90).await;
        assert_eq!(order.state, OrderState::Closed, "EXPIRED or CANCELLED is how it ends");
        assert!(order.executed > Decimal::ZERO && order.executed < order.quantity);
        assert!(!fills.is_empty());
    }
    let wazirx = world.venue("wazirx");
    assert!(!wazirx.takes(OrderKind::Market) && !wazirx.takes(OrderKind::ImmediateOrCancel));
}

// Fees in BNB leave the balance of BNB, and the credit is whole.
#[tokio::test]
async fn binance_fees_come_in_the_asset_they_are_taken_in() {
    let world = World::start().await;
    let settings = world.running.binance.settings();
    let in_bnb = simulators::binance::Settings { fee_asset: FeeAsset::Bnb, ..settings };
    assert!(world.running.binance.set_settings(in_bnb));
    assert!(world.running.binance.deposit("BNB", Decimal::TEN, "bnb-1"));
    let venue = world.venue("binance");
    let order = order(venue.as_ref(), Asset::Eth, "bnb-1", 5_000, 90).await;
    let fills = sells_what_is_bid_for(venue.as_ref(), &order).await.unwrap();
    assert!(fills.iter().all(|fill| fill.fee.asset() == Asset::Bnb && fill.fee.is_positive()));
}

#[tokio::test]
async fn cancels_what_rests_in_every_manner() {
    let world = World::start().await;
    for (reply, reference) in [(CancelReply::Wait, "wait-1"), (CancelReply::Cancel, "cancel-1")] {
        let settings = world.running.wazirx.settings();
        world.running.wazirx.set_settings(Settings { cancel_reply: reply, ..settings });
        // How long a cancel takes there is shown below: nobody moves this clock.
        let settings = world.running.coinbase.settings();
        world.running.coinbase.set_settings(coinbase::Settings { cancel_ms: 0, ..settings });
        for kind in VENUES {
            let venue = world.venue(kind);
            let resting = order(venue.as_ref(), Asset::Eth, reference, 5_000, 110).await;
            let checked = cancels_what_rests(venue.as_ref(), &resting, 3).await;
            checked.unwrap_or_else(|broken| panic!("{kind}: {broken}"));
        }
    }
}

// "Cancelled" is a promise there: until it is kept the order is open, and may still be executed.
#[tokio::test]
async fn coinbase_cancels_in_its_own_time() {
    let world = World::start().await;
    let venue = world.venue("coinbase");
    let order = order(venue.as_ref(), Asset::Eth, "slow-1", 5_000, 110).await;
    venue.place_order(&order).await.unwrap();
    for _ in 0..2 {
        let asked = venue.cancel_order(order.pair, &order.client_ref).await.unwrap();
        assert_eq!(asked.state, OrderState::Open, "asked for twice is asked for once");
    }
    let listed = venue.open_orders(order.pair).await.unwrap();
    assert!(listed.len() <= 1, "open or queued to be cancelled");
    world.pass(1);
    let over = venue.cancel_order(order.pair, &order.client_ref).await.unwrap();
    assert_eq!(over.state, OrderState::Closed);
    assert!(venue.open_orders(order.pair).await.unwrap().is_empty());
}

#[tokio::test]
async fn impossible_orders_are_refused_in_words() {
    let world = World::start().await;
    for kind in VENUES {
        let venue = world.venue(kind);
        let base = order(venue.as_ref(), Asset::Eth, "impossible", 5_000, 90).await;
        let much = Decimal::new(100_000, 0);
        let table = [
            ("much", much, base.price),
            ("little", Decimal::new(1, 5), base.price),
            ("grid", base.quantity, base.price + Decimal::new(1, 3)),
        ];
        for (name, quantity, price) in table {
            let impossible =
                NewOrder { client_ref: client_ref(name), quantity, price, ..base.clone() };
            let checked = refuses_in_words(venue.as_ref(), &impossible).await;
            checked.unwrap_or_else(|broken| panic!("{kind} {name}: {broken}"));
        }
    }
}

// Partly executed, then cancelled: what was executed stays, with its levies. Where the cancel is
// late, the rest is executed and still ours.
#[tokio::test]
async fn what_was_executed_before_a_cancel_is_kept() {
    let world = World::start().await;
    for kind in VENUES {
        let venue = world.venue(kind);
        world.fault(kind, "place_order", "partial_fill");
        let order = order(venue.as_ref(), Asset::Eth, "partial-1", 50_000, 90).await;
        let placed = venue.place_order(&order).await.unwrap();
        assert_eq!(placed.state, OrderState::Open);
        assert!(placed.executed > Decimal::ZERO && placed.executed < placed.quantity);
        world.fault(kind, "cancel_order", "late_fill");
        venue.cancel_order(order.pair, &order.client_ref).await.unwrap();
        world.pass(10);
        let closed = venue.find_order(order.pair, &order.client_ref).await.unwrap().unwrap();
        assert_ne!(closed.state, OrderState::Open);
        assert!(closed.executed > placed.executed, "{kind}: {closed:?}");
        let fills = venue.fills(&closed).await.unwrap();
        let sold: i128 = fills.iter().map(|fill| fill.sold.minor()).sum();
        let sold = Decimal::from_i128_with_scale(sold, 18);
        assert_eq!(sold.normalize(), closed.executed.normalize(), "{kind}");
    }
}

// The venue refuses a reference it knows to be open; that is proof of an order, not of its absence.
// Where it accepts one, the connector has no way to know and the caller must not repeat. Coinbase
// answers with the order that is there.
#[tokio::test]
async fn a_repeated_reference_is_not_a_refusal() {
    let world = World::start().await;
    let settings = world.running.wazirx.settings();
    let rejecting = Settings { duplicates: Duplicates::Reject, ..settings };
    world.running.wazirx.set_settings(rejecting);
    for kind in VENUES {
        let venue = world.venue(kind);
        let order = order(venue.as_ref(), Asset::Eth, "twice-1", 5_000, 110).await;
        let placed = venue.place_order(&order).await.unwrap();
        match venue.place_order(&order).await {
            Ok(again) if kind == "coinbase" => assert_eq!(again, placed),
            Ok(again) => panic!("{kind}: {again:?}"),
            Err(again) => assert!(again.may_have_happened(), "{kind}: {again}"),
        }
        let found = venue.find_order(order.pair, &order.client_ref).await.unwrap().unwrap();
        assert_eq!(found.venue_order_id, placed.venue_order_id, "{kind}");
    }
}

// The vendor documents both: the first order again, and a reason of its own. Neither is taken for
// "it did not happen", and another order under the same reference is not taken for ours.
#[tokio::test]
async fn coinbase_keeps_a_reference_for_ever() {
    let world = World::start().await;
    let venue = world.venue("coinbase");
    let order = order(venue.as_ref(), Asset::Eth, "again-1", 500, 90).await;
    let first = venue.place_order(&order).await.unwrap();
    assert_eq!(first.state, OrderState::Filled);
    assert_eq!(venue.place_order(&order).await.as_ref(), Ok(&first), "sold once");
    let larger = NewOrder { quantity: order.quantity + order.quantity, ..order.clone() };
    assert!(venue.place_order(&larger).await.unwrap_err().may_have_happened());
    let settings = world.running.coinbase.settings();
    let rejecting = coinbase::Settings { duplicates: coinbase::Duplicates::Reject, ..settings };
    assert!(world.running.coinbase.set_settings(rejecting));
    assert!(venue.place_order(&order).await.unwrap_err().may_have_happened());
    let sold = venue.fills_since(order.pair, world.now()).await.unwrap();
    assert!(sold.iter().all(|fill| fill.venue_order_id == first.venue_order_id));
}

// An execution that the venue takes back is not told any more, however the venue shows it.
#[tokio::test]
async fn coinbase_executions_that_are_taken_back_are_gone() {
    let world = World::start().await;
    for (n, reversals) in
        [coinbase::Reversals::Removed, coinbase::Reversals::Listed].into_iter().enumerate()
    {
        let settings = world.running.coinbase.settings();
        let settings = coinbase::Settings { reversals, ..settings };
        assert!(world.running.coinbase.set_settings(settings));
        let venue = world.venue("coinbase");
        let order = order(venue.as_ref(), Asset::Eth, &format!("back-{n}"), 90_000, 90).await;
        let placed = venue.place_order(&order).await.unwrap();
        let fills = venue.fills(&placed).await.unwrap();
        assert!(fills.len() > 1, "several executions");
        assert!(world.running.coinbase.take_trade_back(&fills[0].trade_id));
        let now = venue.find_order(order.pair, &order.client_ref).await.unwrap().unwrap();
        let left = venue.fills(&now).await.unwrap();
        let ids = |fills: &[exchanges::Fill]| {
            let mut ids: Vec<_> = fills.iter().map(|fill| fill.trade_id.clone()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&left), ids(&fills[1..]), "{reversals:?}");
    }
}

// At Binance an id is free again once its order is over; a find shows the newest. Nobody of us may
// do this: it is why references are derived and used once.
#[tokio::test]
async fn binance_takes_a_reference_again_after_its_order_closed() {
    let world = World::start().await;
    let venue = world.venue("binance");
    let order = order(venue.as_ref(), Asset::Eth, "again-1", 500, 90).await;
    let first = venue.place_order(&order).await.unwrap();
    assert_eq!(first.state, OrderState::Filled);
    let second = venue.place_order(&order).await.unwrap();
    assert_ne!(first.venue_order_id, second.venue_order_id, "sold twice");
    let found = venue.find_order(order.pair, &order.client_ref).await.unwrap().unwrap();
    assert_eq!(found.venue_order_id, second.venue_order_id);
}

// Our clock is an hour behind theirs, and later jumps: stamps follow theirs.
#[tokio::test]
async fn stamps_follow_the_venues_clock() {
    let world = World::start().await;
    for kind in VENUES {
        let ours = Arc::new(ManualClock::new(world.now() - TimeDelta::hours(1)));
        let venue = world.connect_by(kind, Arc::clone(&ours)).exchange.unwrap();
        venue.holdings().await.unwrap();
        ours.advance(TimeDelta::minutes(7));
        venue.holdings().await.unwrap();
        ours.advance(TimeDelta::minutes(7));
        let mut order = order(venue.as_ref(), Asset::Eth, "clock-1", 5_000, 90).await;
        order.stamp = ours.now();
        let refused = venue.place_order(&order).await;
        assert!(matches!(refused, Err(CallError::NotSent(_))), "{kind}: {refused:?}");
        assert_eq!(venue.find_order(order.pair, &order.client_ref).await, Ok(None));
        venue.place_order(&order).await.unwrap();
    }
}

fn network(name: &str) -> NetworkId {
    NetworkId::new(name).unwrap()
}

#[tokio::test]
async fn doors_of_every_coin_make_sense() {
    let world = World::start().await;
    let doors = [
        (Asset::Btc, "bitcoin"),
        (Asset::Eth, "ethereum"),
        (Asset::Sol, "solana"),
        (Asset::Usdt, "ethereum"),
        (Asset::Usdc, "solana"),
    ];
    for kind in VENUES {
        let custody = world.custody(kind);
        assert_eq!(custody.venue(), kind);
        for (asset, name) in doors {
            let checked =
                doors_make_sense(custody.as_ref(), asset, &network(name), world.now()).await;
            checked.unwrap_or_else(|broken| panic!("{kind} {asset} {name}: {broken}"));
        }
    }
}

#[tokio::test]
async fn binance_and_coinbase_tell_deposits_and_wazirx_does_not() {
    let world = World::start().await;
    let since = world.now();
    let table = [
        ("pending", Passage::Pending),
        ("credited", Passage::Done),
        ("held", Passage::Done),
        ("rejected", Passage::Failed),
        ("wrong", Passage::Failed),
        ("waiting", Passage::Pending),
    ];
    for kind in ["binance", "coinbase"] {
        let custody = world.custody(kind);
        for (n, (stage, _)) in table.iter().enumerate() {
            let amount = Decimal::new(i64::try_from(n).unwrap() + 1, 1);
            let (tx, base) = (format!("0x{n:064x}"), Some("base"));
            let came = match kind {
                "binance" => world.running.binance.deposit_on("ETH", amount, &tx, base, stage),
                _ => world.running.coinbase.deposit_on("ETH", amount, &tx, base, stage),
            };
            assert!(came, "{kind} {stage}");
        }
        let told = custody.deposits(Asset::Eth, since).await.unwrap().unwrap();
        for (n, (stage, passage)) in table.into_iter().enumerate() {
            let tx = format!("0x{n:064x}");
            let deposit = told.iter().find(|deposit| deposit.tx_id == tx).unwrap();
            assert_eq!(deposit.passage, passage, "{kind} {stage}");
            assert_eq!(deposit.network, network("base"));
            let minor = i128::try_from(n + 1).unwrap() * 10_i128.pow(17);
            assert_eq!(deposit.amount.minor(), minor, "{kind}");
        }
        assert_eq!(custody.deposits(Asset::Sol, since).await, Ok(Some(Vec::new())));
    }
    assert_eq!(world.custody("wazirx").deposits(Asset::Eth, since).await, Ok(None));
}

// To another venue's own address: it is in WazirX's book from the start.
#[tokio::test]
async fn coins_are_withdrawn_once_under_our_reference() {
    let world = World::start().await;
    let ways = [("binance", "wazirx"), ("wazirx", "binance"), ("coinbase", "wazirx")];
    for (n, (from, to)) in ways.into_iter().enumerate() {
        let from = world.connect(from);
        let (exchange, custody) = (from.exchange.unwrap(), from.custody.unwrap());
        let venue = custody.venue();
        let to = world.custody(to);
        let address = to.deposit_address(Asset::Usdt, &network("ethereum")).await.unwrap();
        let new = NewWithdrawal {
            client_ref: client_ref(&format!("w-{n}")),
            network: network("ethereum"),
            amount: Amount::try_new(50_000_000, Asset::Usdt).unwrap(),
            to: address.address,
            stamp: world.now(),
        };
        let checked = withdraws_once((exchange.as_ref(), custody.as_ref()), &new).await;
        let withdrawal = checked.unwrap_or_else(|broken| panic!("{venue}: {broken}"));
        assert_eq!(withdrawal.passage, Passage::Pending);
        assert_eq!(withdrawal.net.minor(), 47_000_000, "{venue}");
        let other = NewWithdrawal { client_ref: client_ref(&format!("w-{n}-bad")), ..new };
        let nowhere = NewWithdrawal { to: "0xnowhere".to_owned(), ..other.clone() };
        let refused = custody.withdraw(&nowhere).await;
        assert!(matches!(refused, Err(CallError::Rejected { .. })), "{venue}: {refused:?}");
        let crumbs =
            NewWithdrawal { amount: Amount::try_new(9_000_000, Asset::Usdt).unwrap(), ..other };
        let refused = custody.withdraw(&crumbs).await;
        assert!(matches!(refused, Err(CallError::Rejected { .. })), "{venue}: {refused:?}");
        let id = &withdrawal.venue_id;
        assert!(match venue {
            "binance" => world.running.binance.judge_withdrawal("w-0", "completed"),
            "wazirx" => world.running.wazirx.judge_withdrawal("w-1", "completed"),
            _ => world.running.coinbase.judge_withdrawal(id, "completed"),
        });
        let done = custody.find_withdrawal(Asset::Usdt, &withdrawal.client_ref).await.unwrap();
        let done = done.unwrap();
        assert_eq!((done.passage, done.tx_id.is_some()), (Passage::Done, true));
        assert_eq!(done.net, withdrawal.net);
    }
}

#[tokio::test]
async fn every_source_quotes_sensibly() {
    let world = World::start().await;
    for (kind, count) in [("wazirx", 5), ("binance", 4), ("coinbase", 8), ("coingecko", 5)] {
        let source = world.source(kind);
        assert_eq!(source.name(), kind);
        let now = world.now();
        let checked = quotes_make_sense(source.as_ref(), &COINS, now).await;
        checked.unwrap_or_else(|broken| panic!("{kind}: {broken}"));
        let told = source.quotations(&COINS).await.unwrap();
        assert_eq!(told.len(), count, "{kind}");
        assert!(told.iter().all(|q| matches!(q.quote, Asset::Inr | Asset::Usdt)), "{kind}");
    }
}

fn lie(world: &World, source: &str, mode: Mode) {
    let request = ModeRequest { source: source.into(), mode, pair: None, value: None };
    world.running.world.prices.set_mode(&request, world.now()).unwrap();
}

// Missing and crossed markets are left out, old prices carry their own time, and numbers may come
// bare.
#[tokio::test]
async fn a_source_that_misleads_is_not_made_up_for() {
    let world = World::start().await;
    for kind in ["wazirx", "binance", "coinbase", "coingecko"] {
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
    let now: DateTime<_> = world.now();
    assert!(now.signed_duration_since(stale[0].at) >= TimeDelta::seconds(3_600));
    lie(&world, "coinbase", Mode::Stale);
    let stale = world.source("coinbase").quotations(&[Asset::Btc]).await.unwrap();
    let in_usdt = stale.iter().find(|q| q.quote == Asset::Usdt).unwrap();
    assert!(now.signed_duration_since(in_usdt.at) >= TimeDelta::seconds(3_600));
    lie(&world, "coinbase", Mode::Numbers);
    assert_eq!(world.source("coinbase").quotations(&COINS).await.unwrap().len(), 8);
}

// Asked once a minute; in between the last reading is told with its own time.
#[tokio::test]
async fn the_slow_source_is_asked_slowly() {
    let world = World::start().await;
    let source = world.source("coingecko");
    let first = source.quotations(&COINS).await.unwrap();
    world.pass(59);
    world.fault("coingecko", "price", "http_503");
    assert_eq!(source.quotations(&COINS).await.as_ref(), Ok(&first), "not asked");
    assert_eq!(source.quotations(&[Asset::Btc]).await.unwrap().len(), 1);
    world.pass(1);
    let failed = source.quotations(&COINS).await;
    assert!(matches!(failed, Err(CallError::NotSent(_))), "{failed:?}");
    assert_eq!(source.quotations(&COINS).await.as_ref(), Ok(&first), "old, and says so");
    world.pass(60);
    let next = source.quotations(&COINS).await.unwrap();
    assert!(next[0].at > first[0].at);
}
