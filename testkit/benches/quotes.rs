//! How fast quotes are: through the API over HTTP, 200 a second, on PostgreSQL and Redis, with
//! rates that go on changing; beside the same API reading a payment at the same pace, and a bare
//! commit of one row.
//!
//! The pace is kept whatever the answers take, and a request counts from the moment it was due: a
//! server that falls behind is not asked more slowly. Part of `make bench`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use identity::{KeyKind, NewApiKey, Scopes};
use primitives::{Amount, Asset, Clock as _, Entropy, MerchantId, PaymentId, SystemClock, Vpa};
use rust_decimal::Decimal;
use serde_json::json;
use settlement::{
    Base,
    conversion::{Market, Offer},
    deposit::address_pool::{self, NewAddress},
    destination,
    payment::{self, NewPayment},
    rates::{self, Board, Judgement, Level, RouteBook, Routes, SourcePrice, Verdict},
};
use testkit::Http;
use testkit_db::TestDb;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, sleep_until},
};

/// Unless `CHUKTA_BENCH_PER_SECOND` says otherwise.
const PER_SECOND: usize = 200;
const SECONDS: usize = 20;
const WARM_UP_SECONDS: usize = 3;
const CONNECTIONS: u32 = 40;

struct Stage {
    base: Base,
    board: Board,
    merchant: MerchantId,
    http: Http,
    _stop: watch::Sender<bool>,
    _db: TestDb,
}

fn main() -> Result<()> {
    // `cargo bench` names every bench of the crate `--bench`; `cargo test` runs it without.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(bench())
}

async fn bench() -> Result<()> {
    outbound::install_crypto();
    let stage = Stage::open().await?;
    let rates = tokio::spawn(keep_rates(stage.base.clone(), stage.board.clone()));
    let pace = pace()?;
    let payments = stage.payments(pace * (SECONDS + WARM_UP_SECONDS)).await?;
    let http = &stage.http;
    let quote = json!({ "network": "anvil", "asset": "ETH" });
    let quoted = paced(pace, &payments, |id| {
        let (http, quote) = (http.clone(), quote.clone());
        async move {
            let path = format!("/v1/payments/{id}/quotes");
            let (status, said) = http.try_post(&path, &quote).await?;
            ensure!([201, 503].contains(&status), "a quote was refused: {said}");
            Ok(status == 201)
        }
    })
    .await?;
    let read = paced(pace, &payments, |id| {
        let http = http.clone();
        async move {
            let (status, said) = http.try_get(&format!("/v1/payments/{id}")).await?;
            ensure!([200, 503].contains(&status), "a payment was not read: {said}");
            Ok(status == 200)
        }
    })
    .await?;
    let bare = paced(pace, &payments, |_| {
        let pool = stage.base.pool.clone();
        async move {
            sqlx::query(
                "insert into rate_events (asset, to_verdict, tick_id, at)
                 values ('ETH', 'good', 0, now())",
            )
            .execute(&pool)
            .await?;
            Ok(true)
        }
    })
    .await?;
    rates.abort();
    let mut conn = stage.base.pool.acquire().await?;
    let ticks: i64 =
        sqlx::query_scalar("select count(*) from rate_ticks").fetch_one(&mut *conn).await?;
    println!("quotes: {pace}/s for {SECONDS} s through the API, {ticks} ticks meanwhile");
    for (name, all) in [("quote", &quoted), ("read a payment", &read), ("bare commit", &bare)] {
        let refused = pace * SECONDS - all.len();
        println!(
            "  {name:15} p50 {:>7.2} ms  p95 {:>7.2} ms  p99 {:>7.2} ms  = {:.2} × read, \
             {:.2} × bare commit (p99); {refused} sent back because of too much load",
            at(all, 50),
            at(all, 95),
            at(all, 99),
            times(at(all, 99), at(&read, 99)),
            times(at(all, 99), at(&bare, 99)),
        );
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench has no cli to read settings for it")]
fn pace() -> Result<usize> {
    match std::env::var("CHUKTA_BENCH_PER_SECOND") {
        Ok(text) => text.parse().context("CHUKTA_BENCH_PER_SECOND is a whole number"),
        Err(_) => Ok(PER_SECOND),
    }
}

/// Milliseconds within which so many percent were answered.
fn at(times: &[Duration], percent: usize) -> Decimal {
    let place = times.len().saturating_sub(1) * percent / 100;
    let time = times.get(place).copied().unwrap_or_default();
    Decimal::new(i64::try_from(time.as_micros()).unwrap_or(i64::MAX), 3)
}

fn times(one: Decimal, other: Decimal) -> Decimal {
    one.checked_div(other).unwrap_or_default().round_dp(2)
}

/// One call each, at the pace, whatever the ones before take. The times of those that were done, in
/// order; the first seconds are left out.
async fn paced<F, C>(pace: usize, payments: &[PaymentId], call: F) -> Result<Vec<Duration>>
where
    F: Fn(PaymentId) -> C,
    C: Future<Output = Result<bool>> + Send + 'static,
{
    let begun = Instant::now() + Duration::from_millis(50);
    let gap = Duration::from_secs(1) / u32::try_from(pace)?;
    let mut running = JoinSet::new();
    for (place, id) in payments.iter().enumerate() {
        let due = begun + gap * u32::try_from(place)?;
        sleep_until(due).await;
        let call = call(*id);
        running.spawn(async move {
            let done = call.await?;
            Ok::<_, anyhow::Error>((place, done, due.elapsed()))
        });
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        let (place, done, time) = done??;
        if done && place >= pace * WARM_UP_SECONDS {
            times.push(time);
        }
    }
    times.sort_unstable();
    Ok(times)
}

/// A tick of every two seconds, as a price stream makes them, in the history and in Redis.
async fn keep_rates(base: Base, board: Board) -> Result<()> {
    static TURN: AtomicU64 = AtomicU64::new(0);
    let mut every = interval(Duration::from_secs(2));
    loop {
        every.tick().await;
        let turn = i64::try_from(TURN.fetch_add(1, Ordering::Relaxed))?;
        tick(&base, &board, Decimal::from(250_000 + turn % 50)).await?;
    }
}

async fn tick(base: &Base, board: &Board, price: Decimal) -> Result<()> {
    let said = |source: &str| SourcePrice {
        source: source.to_owned(),
        origins: vec![source.to_owned()],
        bid: price,
        ask: price,
        at: base.now(),
        refused: None,
        slow: false,
    };
    let judged = Judgement {
        verdict: Verdict::Good,
        bid: Some(price),
        ask: Some(price),
        sources: ["wazirx", "coinbase", "binance×wazirx", "binance×coinbase"].map(said).to_vec(),
    };
    let bids = |best: Decimal, quantity: Decimal| -> Vec<Level> {
        let step = best / Decimal::from(50_000);
        let level = |place: i64| Level { price: best - step * Decimal::from(place), quantity };
        (0..20).map(level).collect()
    };
    let book = |venues: &[&str], less: i64| RouteBook {
        venues: venues.iter().map(ToString::to_string).collect(),
        bids: bids(price - Decimal::from(less), Decimal::new(2, 3)),
        refused: None,
    };
    let offer = |venue: &str, (sell, quote): (Asset, Asset), best, quantity| Offer {
        venue: venue.to_owned(),
        sell,
        quote,
        market: Ok(Market::of_book(bids(best, quantity), base.now())),
    };
    let (dollar, coins) = (Decimal::from(88), Decimal::new(2, 3));
    let routes = Routes {
        books: vec![book(&["wazirx"], 10), book(&["binance", "wazirx"], 0)],
        markets: vec![
            offer("wazirx", (Asset::Eth, Asset::Inr), price - Decimal::TEN, coins),
            offer("binance", (Asset::Eth, Asset::Usdt), price / dollar, coins),
            offer("wazirx", (Asset::Usdt, Asset::Inr), dollar, Decimal::from(100)),
        ],
    };
    let mut tx = base.pool.begin().await?;
    let rate = rates::record_in(&mut tx, base, Asset::Eth, judged, routes).await?;
    tx.commit().await?;
    board.publish(&rate).await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench has no cli to read settings for it")]
fn redis_url() -> Result<String> {
    std::env::var("CHUKTA_TEST_REDIS_URL")
        .context("CHUKTA_TEST_REDIS_URL is not set: run `make bench`, which starts a Redis")
}

impl Stage {
    async fn open() -> Result<Self> {
        let redis = redis_url()?;
        let db = TestDb::create_with_connections(CONNECTIONS).await?;
        let mut settings = testkit::settings()?;
        settings.volatility_share_percent = 25;
        let base = Base {
            pool: db.app.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(Entropy::system()),
            settings: Arc::new(settings),
        };
        let board = Board::connect(base.clone(), &redis);
        let (stop, stopping) = watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let limits = api::ApiSettings {
            key_rate_per_s: 10_000,
            key_burst: 10_000,
            ..api::ApiSettings::default()
        };
        let state = api::ApiState {
            base: base.clone(),
            board: board.clone(),
            settings: limits,
            migrations: migrations::MIGRATOR.iter().map(|m| m.version).collect(),
        };
        tokio::spawn(api::serve(listener, state, stopping));
        let (merchant, key) = furnish(&base).await?;
        tick(&base, &board, Decimal::from(250_000)).await?;
        let http = Http::new(url, Some(key))?;
        Ok(Self { base, board, merchant, http, _stop: stop, _db: db })
    }

    async fn payments(&self, many: usize) -> Result<Vec<PaymentId>> {
        let mut made = Vec::with_capacity(many);
        let mut tx = self.base.pool.begin().await?;
        for number in 0..many {
            let new = NewPayment {
                merchant: self.merchant,
                amount: Amount::try_new(140_000, Asset::Inr)?,
                reference: format!("order {number}"),
                metadata: serde_json::Map::new(),
                expires_in_s: Some(3_600),
            };
            made.push(payment::create_in(&mut tx, &self.base, new).await?.id);
        }
        tx.commit().await?;
        Ok(made)
    }
}

/// A shop with a key, a way of paying, and addresses enough for every quote.
async fn furnish(base: &Base) -> Result<(MerchantId, String)> {
    let now = SystemClock.now();
    let mut tx = base.pool.begin().await?;
    let merchant = identity::create_merchant_in(&mut tx, &base.entropy, now, "Shop").await?;
    destination::set_in(&mut tx, base, merchant, &Vpa::parse("shop@okaxis")?, "Shop").await?;
    let new = NewApiKey {
        merchant,
        name: "bench".to_owned(),
        kind: KeyKind::Test,
        scopes: Scopes::all(),
        expires_at: None,
    };
    let (_, key) = identity::create_api_key_in(&mut tx, &base.entropy, now, &new).await?;
    let network = testkit::network()?;
    let template = "ethereum:{address}@31337?value={minor}";
    address_pool::offer_in(&mut tx, base, &network, Asset::Eth, template).await?;
    let many = i64::try_from(pace()? * (SECONDS + WARM_UP_SECONDS))?;
    let address = |index: i64| NewAddress {
        index,
        address: format!("0x{index:040}"),
        path: format!("m/44'/60'/0'/0/{index}"),
    };
    let addresses: Vec<NewAddress> = (0..many).map(address).collect();
    address_pool::add_in(&mut tx, &network, &addresses).await?;
    tx.commit().await?;
    Ok((merchant, key.expose().to_owned()))
}
