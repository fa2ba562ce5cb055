//! Market streams: best prices when they move, small books, subscriptions, and silence.

use serde_json::{Value, json};
use simulators::{
    binance::Settings,
    prices::{Mode, ModeRequest},
};

use crate::{
    socket_bench::{Bench, Ended, Socket},
    venue_bench::{dec, number},
};

/// The next event of a combined stream.
async fn told(socket: &mut Socket, stream: &str) -> Value {
    loop {
        let heard = socket.hear().await;
        if heard["stream"] == stream {
            return heard["data"].clone();
        }
    }
}

#[tokio::test]
async fn the_book_ticker_speaks_when_prices_move() {
    let bench = Bench::new().await;
    bench.pin("ETHUSDT", "3000");
    let path = "/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker";
    let mut socket = bench.socket(path).await;
    let first = told(&mut socket, "btcusdt@bookTicker").await;
    assert_eq!(first["s"], "BTCUSDT");
    assert!(number(&first, "b") < dec("100000") && number(&first, "a") > dec("100000"));
    assert!(number(&first, "B") > dec("0") && number(&first, "A") > dec("0"));
    assert_eq!(told(&mut socket, "ethusdt@bookTicker").await["s"], "ETHUSDT");
    assert!(socket.is_quiet(600).await, "nothing moved");
    bench.pin("BTCUSDT", "101000");
    let second = told(&mut socket, "btcusdt@bookTicker").await;
    assert!(number(&second, "b") > number(&first, "b"));
    assert!(second["u"].as_u64().unwrap() > first["u"].as_u64().unwrap());
    let request = ModeRequest {
        source: "binance".into(),
        mode: Mode::Frozen,
        pair: Some("BTCUSDT".into()),
        value: None,
    };
    bench.sims.world.prices.set_mode(&request, bench.sims.world.now()).unwrap();
    bench.pin("BTCUSDT", "102000");
    assert!(socket.is_quiet(600).await, "a frozen source is silent");
    let request = ModeRequest { mode: Mode::Inverted, ..request };
    bench.sims.world.prices.set_mode(&request, bench.sims.world.now()).unwrap();
    assert!(number(&told(&mut socket, "btcusdt@bookTicker").await, "b") < dec("1"));
}

#[tokio::test]
async fn subscriptions_change_while_the_socket_is_open() {
    let bench = Bench::new().await;
    let mut socket = bench.socket("/ws/btcusdt@bookTicker").await;
    assert_eq!(socket.hear().await["s"], "BTCUSDT", "raw events have no wrapping");
    socket.say(json!({"method": "SUBSCRIBE", "params": ["ethusdt@depth20@100ms"], "id": 1})).await;
    assert_eq!(socket.hear().await, json!({"result": null, "id": 1}));
    let book = socket.hear().await;
    assert_eq!(book["bids"].as_array().unwrap().len(), 20);
    assert!(book["lastUpdateId"].is_u64());
    socket.say(json!({"method": "LIST_SUBSCRIPTIONS", "id": 2})).await;
    let listed = loop {
        let heard = socket.hear().await;
        if heard["id"] == 2 {
            break heard;
        }
    };
    assert_eq!(listed["result"], json!(["btcusdt@bookTicker", "ethusdt@depth20@100ms"]));
    socket
        .say(json!({"method": "UNSUBSCRIBE", "params": ["ethusdt@depth20@100ms"], "id": 3}))
        .await;
    while socket.hear().await["id"] != 3 {}
    assert!(socket.is_quiet(600).await);
    socket.say(json!({"method": "SET_PROPERTY", "params": ["combined", true], "id": 4})).await;
    assert_eq!(socket.hear().await["id"], 4);
    bench.pin("BTCUSDT", "99000");
    assert_eq!(socket.hear().await["stream"], "btcusdt@bookTicker");
    socket.say(json!({"method": "DANCE", "id": 5})).await;
    assert_eq!(socket.hear().await["error"]["code"], 2);
    socket.say("nonsense").await;
    assert_eq!(socket.hear().await["error"]["code"], 3);
    // A name nobody knows is taken, and silent.
    let mut other = bench.socket("/ws/0").await;
    other.say(json!({"method": "SUBSCRIBE", "params": ["dogeusdt@bookTicker"], "id": "x"})).await;
    assert_eq!(other.hear().await["id"], "x");
    other.say(json!({"method": "SUBSCRIBE", "params": ["btcusdt@miniTicker"], "id": null})).await;
    assert_eq!(other.hear().await["id"], Value::Null);
    assert_eq!(other.hear().await["e"], "24hrMiniTicker");
}

#[tokio::test]
async fn who_talks_too_much_is_cut_off() {
    let bench = Bench::new().await;
    let exchange = &bench.sims.binance;
    exchange.set_settings(Settings { limits: true, ..exchange.settings() });
    let mut socket = bench.socket("/ws").await;
    // Five a second are taken: far more at once, so that six meet in a second however slow it is.
    let all = (0..60).map(|id| json!({"method": "LIST_SUBSCRIPTIONS", "id": id}));
    socket.say_all(all).await;
    let Ended::Close(Some(frame)) = socket.end().await else { panic!("no close frame") };
    assert_eq!(frame.reason.as_str(), "Too many requests");
    let mut socket = bench.socket("/stream?streams=btcusdt@bookTicker").await;
    told(&mut socket, "btcusdt@bookTicker").await;
    let act = json!({"action": "shutdown"});
    bench.control("/binance/sockets", act).await;
    loop {
        if socket.hear().await["e"] == "serverShutdown" {
            break;
        }
    }
    let Bench { sims, .. } = bench;
    sims.shutdown().await;
    assert!(matches!(socket.end().await, Ended::Broken), "the world's end is the sockets' end");
}
