//! Prices and news as they are pushed: against the simulator, and against lines that lie and break.

use std::{sync::Arc, time::Duration};

use exchanges::{News, OrderNews, PriceStream, Quotation, registry};
use futures::{SinkExt as _, StreamExt as _};
use primitives::{Asset, ManualClock};
use rust_decimal::Decimal;
use simulators::fault::Fault;
use tokio::{net::TcpListener, time::Instant};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::world::{World, order};

const DEADLINE: Duration = Duration::from_secs(20);
const A_MOMENT: Duration = Duration::from_millis(300);

async fn prices(stream: &dyn PriceStream, wanted: impl Fn(&Quotation) -> bool) -> Quotation {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if let Some(found) = stream.next(A_MOMENT).await.into_iter().find(|q| wanted(q)) {
            return found;
        }
    }
    panic!("no such price came");
}

async fn news(stream: &dyn OrderNews, wanted: &News) {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        if stream.wait(A_MOMENT).await.contains(wanted) {
            return;
        }
    }
    panic!("no such news came: {wanted:?}");
}

#[tokio::test]
async fn prices_come_as_they_change_with_the_time_of_their_arrival() {
    let world = World::start().await;
    let stream = world.connect("binance").stream.unwrap();
    assert_eq!(stream.name(), "binance");
    let first = prices(stream.as_ref(), |q| q.base == Asset::Btc).await;
    assert_eq!((first.quote, first.source), (Asset::Usdt, "binance"));
    assert!(first.bid > Decimal::ZERO && first.ask >= first.bid);
    assert_eq!(first.at, world.now());
    world.pass(30);
    // What waited while nobody read is as old as it may be, so the line is read empty before.
    stream.next(A_MOMENT).await;
    world.running.world.prices.pin("BTCUSDT", 50_000.into()).unwrap();
    let pinned = |q: &Quotation| q.base == Asset::Btc && q.bid < 50_001.into();
    let later = prices(stream.as_ref(), pinned).await;
    assert!(later.at > first.at);
    assert_eq!(later.at, world.now());
    // A line that will not open costs its caller no more time than it gave, and is opened later.
    world.fault("binance", "connect", "http_503");
    let again = world.connect("binance").stream.unwrap();
    let started = Instant::now();
    assert_eq!(again.next(A_MOMENT).await, []);
    assert!(started.elapsed() < DEADLINE / 4);
    prices(again.as_ref(), |q| q.base == Asset::Eth).await;
}

#[tokio::test]
async fn news_are_told_by_either_kind_of_key() {
    let world = World::start().await;
    for (n, connector) in
        [world.connect("binance"), world.connect_by_ed25519("binance")].into_iter().enumerate()
    {
        let (venue, stream) = (connector.exchange.unwrap(), connector.news.unwrap());
        assert_eq!(stream.venue(), "binance");
        news(stream.as_ref(), &News::Gap).await;
        let reference = format!("told-{n}");
        let order = order(venue.as_ref(), Asset::Eth, &reference, 5_000, 90).await;
        venue.place_order(&order).await.unwrap();
        news(stream.as_ref(), &News::Order { client_ref: reference }).await;
        let reference = format!("balance-{n}");
        assert!(world.running.binance.deposit("SOL", Decimal::ONE, &reference));
        news(stream.as_ref(), &News::Balance { asset: Asset::Sol }).await;
    }
}

// A refused subscription, and events that are lost: news fall silent, nothing else happens.
#[tokio::test]
async fn news_that_are_lost_cost_nothing() {
    let world = World::start().await;
    let connector = world.connect("binance");
    let (venue, stream) = (connector.exchange.unwrap(), connector.news.unwrap());
    world.fault("binance", "subscribe_user_data", "reject:-1000");
    assert_eq!(stream.wait(A_MOMENT).await, []);
    news(stream.as_ref(), &News::Gap).await;
    let mut lost = Fault::new("binance", "user_event", "lost_event");
    lost.times = 100;
    world.running.world.faults.queue(lost).unwrap();
    let order = order(venue.as_ref(), Asset::Eth, "unheard", 5_000, 90).await;
    venue.place_order(&order).await.unwrap();
    assert_eq!(stream.wait(A_MOMENT).await, []);
    assert!(venue.find_order(order.pair, &order.client_ref).await.unwrap().is_some());
}

/// A server that says what it is told to each connection in turn, each text so many milliseconds
/// after the one before, and then waits.
async fn server(said: Vec<Vec<(u64, String)>>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for texts in said {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut socket = accept_async(socket).await.unwrap();
                for (after_ms, text) in texts {
                    tokio::time::sleep(Duration::from_millis(after_ms)).await;
                    let _gone = socket.send(Message::text(text)).await;
                }
                while socket.next().await.is_some_and(|message| message.is_ok()) {}
            });
        }
    });
    url
}

fn at(url: &str) -> Arc<dyn PriceStream> {
    let json = serde_json::json!({
        "kind": "binance", "base_url": "http://127.0.0.1:1", "stream_url": url,
    });
    let config: registry::Config = serde_json::from_value(json).unwrap();
    let clock = ManualClock::new(chrono::DateTime::from_timestamp(1_767_607_200, 0).unwrap());
    registry::connect(&config, Arc::new(clock)).unwrap().stream.unwrap()
}

fn ticker(symbol: &str, bid: &str) -> String {
    format!(
        r#"{{"stream":"x@bookTicker","data":{{"u":1,"s":"{symbol}","b":"{bid}","B":"1","a":"9000",
        "A":"1"}}}}"#
    )
}

// Garbage, too much of it, an ending server: the line is left and another opened, after a pause.
#[tokio::test]
async fn a_line_that_misbehaves_is_left_for_another() {
    let url = server(vec![
        vec![(0, "<html>".to_owned())],
        vec![(0, "x".repeat(1_000_000))],
        vec![(0, r#"{"e":"serverShutdown","E":1}"#.to_owned())],
        vec![
            (0, ticker("BTCUSDT", "100")),
            (0, ticker("BTCUSDT", "101")),
            (0, ticker("ETHUSDT", "5")),
        ],
    ])
    .await;
    let stream = at(&url);
    let started = Instant::now();
    let btc = prices(stream.as_ref(), |q| q.base == Asset::Btc && q.bid == 101.into()).await;
    assert_eq!(btc.ask, 9_000.into());
    assert!(started.elapsed() > Duration::from_secs(2), "three pauses, each longer");
}

// What waited in the line while nobody read is told as old as it may be, or not at all.
#[tokio::test]
async fn a_line_left_unread_is_thrown_away() {
    let unread = |bid: &str| (100, ticker("BTCUSDT", bid));
    let first = vec![(0, ticker("BTCUSDT", "100")), unread("110"), unread("120")];
    let url = server(vec![first, vec![(0, ticker("BTCUSDT", "200"))]]).await;
    let stream = at(&url);
    prices(stream.as_ref(), |q| q.bid == 100.into()).await;
    // The pause itself is what is tested: longer than anything unread may be believed for.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let next = prices(stream.as_ref(), |q| q.base == Asset::Btc).await;
    assert_eq!(next.bid, 200.into(), "of another line");
}
