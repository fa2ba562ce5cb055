//! Live says the process answers; ready says it can work. Without a database everything else is
//! refused within a second or so, and heals by itself.

use std::time::{Duration, Instant};

use api::{ApiSettings, ApiState};
use settlement::{Base, rates::Board};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::{net::TcpListener, sync::watch};

use crate::shop::{Ask, Shop, order};

/// The wait is 0.9 s and the machine may be busy; without it the limits of a request (15 s) or of
/// the pool would be felt.
const SOON: Duration = Duration::from_secs(5);

/// Shuts every connection of the application out, as a server that is down would.
async fn cut(shop: &Shop) {
    admit(shop, 0).await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND usename = 'chukta_app'",
    )
    .execute(&shop.db.owner)
    .await
    .unwrap();
}

async fn mend(shop: &Shop) {
    admit(shop, -1).await;
}

/// A limit of zero connections keeps everybody out but the superuser who owns the test.
async fn admit(shop: &Shop, connections: i32) {
    let name = shop.db.name();
    let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT {connections}");
    sqlx::query(AssertSqlSafe(limit)).execute(&shop.db.owner).await.unwrap();
}

#[tokio::test]
async fn readiness_follows_the_database() {
    let shop = Shop::open().await;
    assert_eq!(shop.bare(Ask::get("/health/live")).await.json()["status"], "ok");
    assert_eq!(shop.bare(Ask::get("/health/ready")).await.json()["status"], "ready");
    cut(&shop).await;
    let asked = Instant::now();
    let gone = shop.bare(Ask::get("/health/ready")).await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!((gone.status, gone.code().as_str()), (503, "not_ready"));
    assert_eq!(shop.bare(Ask::get("/health/live")).await.status, 200);
    let refused = shop.ask(Ask::post("/v1/payments", &order("a"))).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "database_unavailable"));
    assert!(refused.headers.contains_key("retry-after"));
    let rates = shop.ask(Ask::get("/v1/rates")).await;
    assert_eq!(rates.status, 503);
    mend(&shop).await;
    let healed = Instant::now();
    while shop.bare(Ask::get("/health/ready")).await.status != 200 {
        assert!(healed.elapsed() < Duration::from_secs(30), "it heals by itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(shop.ask(Ask::post("/v1/payments", &order("a"))).await.status, 201);
}

#[tokio::test]
async fn missing_migrations_are_not_ready() {
    let shop = Shop::open().await;
    sqlx::query(
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
    )
    .execute(&shop.db.owner)
    .await
    .unwrap();
    let reply = shop.bare(Ask::get("/health/ready")).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "not_ready"));
    assert!(reply.text.contains("Migrations"), "{}", reply.text);
}

#[tokio::test]
async fn a_database_that_is_silent_is_answered_for_within_a_second() {
    let shop = Shop::open().await;
    // It takes connections and never says a word, as a machine that hangs does.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://chukta_app@{}/nothing", silent.local_addr().unwrap());
    let base = Base { pool: PgPool::connect_lazy(&url).unwrap(), ..shop.base.clone() };
    let board = Board::new(base.clone(), None);
    let state = ApiState { base, board, settings: ApiSettings::default(), migrations: vec![1] };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = watch::channel(false);
    let served = tokio::spawn(api::serve(listener, state, shutdown));
    let ask = async |path: &str| {
        let url = format!("http://{address}{path}");
        let asked = Instant::now();
        let reply = shop.http.get(url).bearer_auth(&shop.key).send().await.unwrap();
        (reply.status().as_u16(), asked.elapsed())
    };
    assert_eq!(ask("/health/live").await.0, 200);
    for path in ["/health/ready", "/v1/payments", "/v1/rates"] {
        let (status, took) = ask(path).await;
        assert_eq!(status, 503, "{path}");
        assert!(took < SOON, "{path}: {took:?}");
    }
    stop.send(true).unwrap();
    served.await.unwrap().unwrap();
}
