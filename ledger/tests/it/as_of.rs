//! A balance as of a moment equals the sum of the legs posted until then, added up by hand.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, SeedableRng, rngs::StdRng};
use testkit_db::TestDb;

use crate::book::{Book, now, transfer};

#[tokio::test]
async fn as_of_agrees_with_brute_force() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    let mut rng = StdRng::seed_from_u64(20);
    for n in 0..80 {
        let (d, amount) = (rng.random_range(0..3), rng.random_range(1..1_000));
        let lines = format!("escrow:x:ETH > dep:{d}:ETH {amount}");
        match n % 4 {
            0 => {
                let key = format!("held:{n}");
                book.hold(&transfer(&key, "deposit", &lines)).await.unwrap();
                if n % 8 == 0 {
                    book.capture(&key, &format!("captured:{n}"), "deposit").await.unwrap();
                }
            }
            1 => {
                book.did(&format!("first:{n}"), "deposit", &lines).await;
                book.reverse(&format!("first:{n}"), &format!("undone:{n}")).await.unwrap();
            }
            _ => book.did(&format!("post:{n}"), "deposit", &lines).await,
        }
    }
    let legs: Vec<(String, String, i16, String, DateTime<Utc>)> = sqlx::query_as(
        "select d.code, c.code, l.phase::smallint, l.amount::text, l.posted_at from ledger.legs l
         join ledger.accounts d on d.id = l.debit_id join ledger.accounts c on c.id = l.credit_id",
    )
    .fetch_all(&db.app)
    .await
    .unwrap();

    let mut moments: Vec<DateTime<Utc>> = legs.iter().map(|leg| leg.4).collect();
    moments.extend(legs.iter().map(|leg| leg.4 - TimeDelta::microseconds(1)));
    moments.extend([now() + TimeDelta::hours(1), now() - TimeDelta::days(3650)]);
    let mut conn = db.app.acquire().await.unwrap();
    for code in ["escrow:x:ETH", "dep:0:ETH", "dep:1:ETH", "dep:2:ETH"] {
        for at in &moments {
            let mut want = 0;
            for (debit, credit, phase, amount, posted_at) in &legs {
                if posted_at <= at && [0, 2].contains(phase) {
                    let amount: i128 = amount.parse().unwrap();
                    let up = if code.starts_with("escrow") { debit } else { credit };
                    let down = if code.starts_with("escrow") { credit } else { debit };
                    want += if up == code { amount } else { 0 };
                    want -= if down == code { amount } else { 0 };
                }
            }
            let got = ledger::balance_as_of(&mut conn, code, *at).await.unwrap().unwrap();
            assert_eq!(got.minor(), want, "{code} at {at}");
        }
    }
    let unknown = ledger::balance_as_of(&mut conn, "dep:9:ETH", now()).await.unwrap();
    assert_eq!(unknown, None);
}
