//! Sixteen writers on ten accounts: nothing is lost, doubled or out of order, and every error is
//! a refusal, never a deadlock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ledger::LedgerError;
use rand::{Rng, SeedableRng, rngs::StdRng};
use testkit_db::TestDb;

use crate::book::{Book, transfer};

/// Crowd enough; with more of them the 3 s a lock is waited for may pass on a busy machine.
const WRITERS: u64 = 16;
const DURATION: Duration = Duration::from_secs(3);

/// One random act in a transaction of its own; says whether a transfer was created.
async fn act(book: &Book<'_>, key: &str, rng: &mut StdRng) -> Result<u32, LedgerError> {
    let (e, d, amount) = (rng.random_range(0..5), rng.random_range(0..5), rng.random_range(1..100));
    let deposit = format!("escrow:{e}:ETH > dep:{d}:ETH {amount}");
    let back = format!("dep:{d}:ETH > escrow:{e}:ETH {amount}");
    match rng.random_range(0..6) {
        0 => book.post(&transfer(key, "deposit.reorg", &back)).await.map(|_| 1),
        1 => {
            let swap = format!("{back}\n{back}");
            book.post(&transfer(key, "deposit.reorg", &swap)).await.map(|_| 1)
        }
        2 => {
            book.hold(&transfer(key, "deposit", &deposit)).await?;
            if rng.random_bool(0.5) {
                book.capture(key, &format!("{key}:final"), "deposit").await?;
            } else {
                book.release(key, &format!("{key}:gone"), "deposit").await?;
            }
            Ok(2)
        }
        3 => {
            let batch: Vec<_> =
                (0..5).map(|n| transfer(&format!("{key}:{n}"), "deposit", &deposit)).collect();
            book.post_many(&batch).await.map(|_| 5)
        }
        4 => {
            book.post(&transfer(key, "deposit", &deposit)).await?;
            match book.reverse(key, &format!("{key}:undo")).await {
                Ok(_) => Ok(2),
                // The money moved on in between.
                Err(LedgerError::WouldOverdraw { .. }) => Ok(1),
                Err(other) => Err(other),
            }
        }
        _ => {
            let two = format!("{deposit}\nescrow:{}:ETH > dep:{}:ETH 1", (e + 1) % 5, (d + 1) % 5);
            book.post(&transfer(key, "deposit", &two)).await.map(|_| 1)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_on_ten_accounts() {
    let db = Arc::new(TestDb::create_with_connections(16).await.unwrap());
    let end = Instant::now() + DURATION;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let db = Arc::clone(&db);
            tokio::spawn(async move {
                let (book, mut rng) = (Book(&db.app), StdRng::seed_from_u64(writer));
                let (mut created, mut refused) = (0, 0);
                for n in 0.. {
                    if Instant::now() > end {
                        break;
                    }
                    match act(&book, &format!("w:{writer}:{n}"), &mut rng).await {
                        Ok(transfers) => created += transfers,
                        Err(LedgerError::WouldOverdraw { .. }) => refused += 1,
                        Err(other) => panic!("writer {writer}, act {n}: {other:?}"),
                    }
                }
                (created, refused)
            })
        })
        .collect();
    let (mut created, mut refused) = (0, 0);
    for writer in writers {
        let (c, r) = writer.await.unwrap();
        created += c;
        refused += r;
    }
    let there: i64 = sqlx::query_scalar("select count(*) from ledger.transfers")
        .fetch_one(&db.owner)
        .await
        .unwrap();
    assert_eq!(there, i64::from(created), "{refused} refused");
    assert!(created > 100, "{created} created, {refused} refused: too few to prove anything");
    Book(&db.app).is_sound().await;
}
