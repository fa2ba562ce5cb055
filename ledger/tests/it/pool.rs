//! The pool's guard (RELIABILITY §7.1, "e1"): a `begin()` cancelled while BEGIN is on the wire must
//! not swallow the next borrower's write. A proxy slows the server's answers down, so that the cut
//! surely falls there; a pool without the guard shows that the test can see the loss. When it no
//! longer does, sqlx was repaired and the guard may go.

use std::{net::SocketAddr, time::Duration};

use sqlx::{PgPool, postgres::PgPoolOptions};
use testkit_db::TestDb;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

const ANSWER_DELAY: Duration = Duration::from_millis(30);

/// Forwards to `server`; answers take [`ANSWER_DELAY`] longer.
async fn slow_proxy(server: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let upstream = TcpStream::connect(&server).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = upstream.into_split();
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
                    tokio::time::sleep(ANSWER_DELAY).await;
                    if to_client.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// Cancels `begin()` at many moments; after each, writes one row without a transaction. Returns how
/// many rows nobody else can see although their write returned `Ok`.
async fn lost_writes(through: &PgPool, look: &PgPool, first: i32) -> usize {
    let mut lost = 0;
    for (row, step) in (first..).zip(0..12_u32) {
        let cut = ANSWER_DELAY / 4 * (step + 1);
        if let Ok(begun) = tokio::time::timeout(cut, through.begin()).await {
            begun.unwrap().rollback().await.unwrap();
        }
        let written =
            sqlx::query("insert into probe values ($1)").bind(row).execute(through).await.unwrap();
        assert_eq!(written.rows_affected(), 1);
        let seen: Option<i32> = sqlx::query_scalar("select n from probe where n = $1")
            .bind(row)
            .fetch_optional(look)
            .await
            .unwrap();
        lost += usize::from(seen.is_none());
    }
    lost
}

#[tokio::test]
async fn a_cancelled_begin_does_not_lose_the_next_write() {
    let db = TestDb::create().await.unwrap();
    sqlx::raw_sql("create table probe (n int primary key); grant all on probe to chukta_app")
        .execute(&db.owner)
        .await
        .unwrap();
    let mut url: url::Url = db.app_url().parse().unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let proxy = slow_proxy(server).await;
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.port())).unwrap();

    let guarded = ledger::connect_pool(url.as_str(), 1).await.unwrap();
    assert_eq!(lost_writes(&guarded, &db.owner, 0).await, 0);
    guarded.close().await;

    let bare = PgPoolOptions::new().max_connections(1).connect(url.as_str()).await.unwrap();
    assert_ne!(lost_writes(&bare, &db.owner, 1_000).await, 0, "sqlx is repaired");
    bare.close().await;
}

// The limits reach the server, so a stuck caller cannot hold a hot balance for long.
#[tokio::test]
async fn the_pool_sets_its_limits() {
    let db = TestDb::create().await.unwrap();
    for (name, want) in [
        ("statement_timeout", "15s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("application_name", "chukta"),
    ] {
        let got: String = sqlx::query_scalar("select current_setting($1)")
            .bind(name)
            .fetch_one(&db.app)
            .await
            .unwrap();
        assert_eq!(got, want, "{name}");
    }
}
