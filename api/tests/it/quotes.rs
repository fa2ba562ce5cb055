//! A quote holds while it lives, is one quote however often it is asked for, and is refused when
//! there is no trustworthy price, but what was promised still holds then. Rates show the board.

use std::time::{Duration, Instant};

use api::ApiSettings;
use chrono::TimeDelta;
use primitives::Asset;
use rust_decimal::Decimal;
use serde_json::json;
use settlement::rates::{self, Board, BoardRate, Level, Verdict};

use crate::shop::{Ask, Shop, noon};

#[tokio::test]
async fn a_quote_says_what_to_pay() {
    let shop = Shop::open().await;
    let payment = shop.payment("a").await;
    assert_eq!(payment["methods"][0], json!({ "network": "anvil", "asset": "ETH" }));
    let id = payment["id"].as_str().unwrap();
    let path = format!("/v1/payments/{id}/quotes");
    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let reply = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q")).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let quote = reply.json();
    assert_eq!(quote["payment_id"], id);
    assert_eq!(quote["payable"]["asset"], "ETH");
    assert_eq!(quote["due"], quote["payable"]);
    // ceil(1499 / (250000 × 0.99)) ether.
    assert_eq!(quote["payable"]["amount_minor"], "6056565656565657");
    let uri = quote["uri"].as_str().unwrap();
    assert!(uri.contains(quote["address"].as_str().unwrap()) && uri.contains("6056565656565657"));

    let again = shop.ask(Ask::post(path.as_str(), &eth)).await;
    assert_eq!(again.json()["id"], quote["id"], "a live quote is returned, not replaced");
    let replay = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q")).await;
    assert_eq!((replay.text.as_str(), replay.replayed()), (reply.text.as_str(), true));

    // The price is too old for anything new; the promise still stands.
    shop.clock.advance(TimeDelta::seconds(120));
    let held = shop.ask(Ask::post(path.as_str(), &eth)).await;
    assert_eq!((held.status, &held.json()["id"]), (201, &quote["id"]));
    shop.clock.advance(TimeDelta::seconds(900));
    let before = shop.everything().await;
    let stale = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q2")).await;
    assert_eq!((stale.status, stale.code().as_str()), (503, "rate_unavailable"));
    assert!(stale.headers.contains_key("retry-after"));
    assert_eq!(shop.everything().await, before, "a 503 is not stored");
    shop.price(noon() + TimeDelta::seconds(1030)).await;
    let fresh = shop.ask(Ask::post(path.as_str(), &eth).idempotent("q2")).await;
    assert_eq!((fresh.status, fresh.replayed()), (201, false), "{}", fresh.text);
    assert_ne!(fresh.json()["id"], quote["id"]);
}

#[tokio::test]
async fn ten_quotes_at_once_are_one() {
    let shop = Shop::open().await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let asks = (0..10).map(|_| shop.ask(Ask::post(format!("/v1/payments/{id}/quotes"), &eth)));
    let replies = futures::future::join_all(asks).await;
    assert!(replies.iter().all(|reply| reply.status == 201));
    assert_eq!(shop.count("quotes").await, 1);
}

#[tokio::test]
async fn an_asset_without_a_rate_is_not_quoted() {
    let shop = Shop::open().await;
    let id = shop.payment("a").await["id"].as_str().unwrap().to_owned();
    let usdc = json!({ "network": "anvil", "asset": "USDC" });
    let reply = shop.ask(Ask::post(format!("/v1/payments/{id}/quotes"), &usdc)).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "rate_unavailable"));
}

#[tokio::test]
async fn rates_show_the_board_and_no_number_when_it_is_old() {
    let shop = Shop::open().await;
    let fresh = shop.ask(Ask::get("/v1/rates")).await.json();
    assert_eq!(fresh["data"][0]["asset"], "ETH");
    assert_eq!(fresh["data"][0]["verdict"], "good");
    assert_eq!(fresh["data"][0]["bid"], "250000");
    shop.clock.advance(TimeDelta::seconds(600));
    let old = shop.ask(Ask::get("/v1/rates")).await.json();
    assert_eq!(old["data"][0]["verdict"], "unusable");
    assert_eq!((&old["data"][0]["bid"], &old["data"][0]["ask"]), (&json!(null), &json!(null)));
}

#[expect(clippy::disallowed_methods, reason = "tests have no cli to read settings for them")]
fn redis() -> String {
    std::env::var("CHUKTA_TEST_REDIS_URL")
        .expect("CHUKTA_TEST_REDIS_URL is not set: run `make test`, which starts a Redis")
}

/// The same line with every price ten times as high.
fn tenfold(mut line: BoardRate) -> BoardRate {
    let dearer = |levels: &mut Vec<Level>| {
        levels.iter_mut().for_each(|level| level.price *= Decimal::TEN);
    };
    (line.bid, line.ask) = (line.bid.map(|p| p * Decimal::TEN), line.ask.map(|p| p * Decimal::TEN));
    dearer(&mut line.bids);
    line.routes.iter_mut().for_each(|route| dearer(&mut route.bids));
    for market in line.markets.iter_mut().filter_map(|offer| offer.market.as_mut().ok()) {
        dearer(&mut market.bids);
    }
    line
}

impl Shop {
    /// A new quote's status and what it asks for, or why there is none.
    async fn quoted(&self, name: &str) -> (u16, String) {
        let id = self.payment(name).await["id"].as_str().unwrap().to_owned();
        let eth = json!({ "network": "anvil", "asset": "ETH" });
        let reply = self.ask(Ask::post(format!("/v1/payments/{id}/quotes"), &eth)).await;
        let said = reply.json()["payable"]["amount_minor"].as_str().map(str::to_owned);
        (reply.status, said.unwrap_or_else(|| reply.code()))
    }

    /// Says a line in Redis until the board shows it.
    async fn until_shown(&self, board: &Board, lie: &BoardRate) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while board.all().await.unwrap() != std::slice::from_ref(lie) {
            assert!(Instant::now() < deadline, "Redis was not asked");
            board.publish(lie).await;
        }
    }
}

/// Whatever Redis says of a tick that the history has, or has not: the history is the price.
#[tokio::test]
async fn redis_makes_no_price() {
    let limits = ApiSettings::default();
    let shop = Shop::open_by(limits, |base| Board::connect(base, &redis())).await;
    let board = Board::connect(shop.base.clone(), &redis());
    let mut conn = shop.base.pool.acquire().await.unwrap();
    let truth = rates::latest_in(&mut conn, Asset::Eth).await.unwrap().unwrap();
    let why = "a lie".to_owned();
    let right = (201, "6056565656565657".to_owned());
    let lies = [
        tenfold(truth.clone()),
        BoardRate { verdict: Verdict::Unusable(why), ..truth.clone() },
        tenfold(BoardRate { tick: truth.tick + 1_000, ..truth.clone() }),
    ];
    for (place, lie) in lies.iter().enumerate() {
        shop.until_shown(&board, lie).await;
        assert_eq!(shop.quoted(&format!("lie {place}")).await, right, "lie {place}");
    }
    // Nobody makes ticks any more, and Redis says that somebody does.
    shop.clock.advance(TimeDelta::seconds(91));
    let fresh = BoardRate { at: shop.base.now(), tick: truth.tick + 2_000, ..truth };
    shop.until_shown(&board, &fresh).await;
    assert_eq!(shop.quoted("late").await, (503, "rate_unavailable".to_owned()));
}
