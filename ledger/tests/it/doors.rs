//! The doors: idempotency and conflict, batches, reversal, and every refusal under its own name.

use chrono::TimeDelta;
use ledger::{LedgerError, REVERSAL};
use serde_json::json;
use testkit_db::TestDb;
use uuid::Uuid;

use crate::book::{Book, now, resolution, transfer};

#[tokio::test]
async fn the_same_content_posts_once_and_other_content_is_a_conflict() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    let t = transfer("dep:1", "deposit", "escrow:x:ETH > dep:m:ETH 5");
    let first = book.post(&t).await.unwrap();
    let mut later = t.clone();
    later.effective_at = now();
    later.actor = "somebody else".to_owned();
    later.meta = json!({"retry": true});
    let again = book.post(&later).await.unwrap();
    assert!(first.created && !again.created);
    assert_eq!(first.id, again.id);

    let lines = [
        "escrow:x:ETH > dep:m:ETH 6",
        "escrow:x:ETH > dep:n:ETH 5",
        "escrow:x:ETH > dep:m:ETH 5\nescrow:x:ETH > dep:m:ETH 5",
    ];
    for lines in lines {
        let refused = book.post(&transfer("dep:1", "deposit", lines)).await;
        assert!(matches!(refused, Err(LedgerError::Conflict { .. })), "{lines}: {refused:?}");
        let refused = book.post_many(&[transfer("dep:1", "deposit", lines)]).await;
        assert!(matches!(refused, Err(LedgerError::Conflict { .. })), "{lines}: {refused:?}");
    }
    let other_kind = transfer("dep:1", "deposit.unidentified", "escrow:x:ETH > dep:m:ETH 5");
    assert!(matches!(book.post(&other_kind).await, Err(LedgerError::Conflict { .. })));
    assert!(matches!(book.hold(&t).await, Err(LedgerError::Conflict { .. })), "held, not posted");
    assert_eq!(book.posted("dep:m:ETH").await, 5);
    book.is_sound().await;
}

// Thirty-two callers post the same event at once: it is posted once, all get the same id.
#[tokio::test]
async fn one_event_from_many_sides_posts_once() {
    let db = TestDb::create_with_connections(32).await.unwrap();
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let pool = db.app.clone();
            tokio::spawn(async move {
                let t = transfer("dep:1", "deposit", "escrow:x:ETH > dep:m:ETH 5");
                if n % 3 == 0 {
                    Book(&pool).post_many(&[t]).await.unwrap()[0]
                } else {
                    Book(&pool).post(&t).await.unwrap()
                }
            })
        })
        .collect();
    let mut posted = Vec::new();
    for task in tasks {
        posted.push(task.await.unwrap());
    }
    assert_eq!(posted.iter().filter(|p| p.created).count(), 1);
    assert!(posted.iter().all(|p| p.id == posted[0].id));
    assert_eq!(Book(&db.app).posted("dep:m:ETH").await, 5);
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_and_may_be_repeated_one_by_one() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    let mut batch: Vec<_> = (0..50)
        .map(|n| {
            let lines = "escrow:x:ETH > dep:m:ETH 5000000000000000000000000";
            let more = format!("{lines}\nescrow:y:ETH > dep:m:ETH {}", n + 1);
            transfer(&format!("many:{n}"), "deposit", if n % 2 == 0 { lines } else { &more })
        })
        .collect();
    book.post(&batch[7]).await.unwrap();
    batch.push(transfer("many:bad", "deposit.reorg", "dep:none:ETH > escrow:x:ETH 1"));
    let refused = book.post_many(&batch).await;
    assert!(matches!(refused, Err(LedgerError::WouldOverdraw { .. })), "{refused:?}");
    batch.pop();

    let posted = book.post_many(&batch).await.unwrap();
    assert_eq!(posted.len(), 50);
    assert_eq!(posted.iter().filter(|p| !p.created).count(), 1);
    assert!(!posted[7].created);
    for (t, first) in batch.iter().zip(&posted) {
        let again = book.post(t).await.unwrap();
        assert_eq!((again.id, again.created), (first.id, false));
    }
    assert!(book.post_many(&batch).await.unwrap().iter().all(|p| !p.created));
    assert_eq!(book.post_many(&[]).await.unwrap(), []);
    let twice = [batch[0].clone(), batch[0].clone()];
    assert!(matches!(book.post_many(&twice).await, Err(LedgerError::Malformed(_))));
    assert_eq!(book.posted("dep:m:ETH").await, 50 * 5_000_000_000_000_000_000_000_000 + 650);
    book.is_sound().await;
}

#[tokio::test]
async fn a_transfer_is_reversed_exactly_and_once() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    let payment = Uuid::from_u128(42);
    let mut t =
        transfer("dep:1", "deposit", "escrow:x:ETH > dep:m:ETH 7\nescrow:y:ETH > dep:m:ETH 2");
    t.correlation = Some(payment);
    book.post(&t).await.unwrap();
    let wrong = resolution("dep:1:undo", "deposit");
    let mut conn = db.app.acquire().await.unwrap();
    let refused = ledger::reverse(&mut conn, "dep:1", &wrong).await;
    assert!(matches!(refused, Err(LedgerError::NotAllowed(_))), "{refused:?}");
    drop(conn);
    assert!(book.reverse("dep:1", "dep:1:undo").await.unwrap().created);
    assert!(!book.reverse("dep:1", "dep:1:undo").await.unwrap().created);
    let again = book.reverse("dep:1", "dep:1:undo:2").await;
    assert!(matches!(again, Err(LedgerError::AlreadyReversed { .. })), "{again:?}");
    let missing = book.reverse("dep:2", "dep:2:undo").await;
    assert!(matches!(missing, Err(LedgerError::TransferNotFound { .. })), "{missing:?}");
    assert_eq!(book.posted("escrow:x:ETH").await, 0);

    let mut conn = db.app.acquire().await.unwrap();
    let story = ledger::transfers_of(&mut conn, payment).await.unwrap();
    let keys: Vec<&str> = story.iter().map(|t| t.key.as_str()).collect();
    assert_eq!(keys, ["dep:1", "dep:1:undo"], "the correlation is copied");
    assert_eq!((story[1].kind.as_str(), story[1].reverses.as_deref()), (REVERSAL, Some("dep:1")));
    assert_eq!(story[1].legs[0].debit, "dep:m:ETH");
    assert_eq!(story[0].legs[1].amount.minor(), 2);
    assert_eq!((story[0].actor.as_str(), &story[0].meta), ("test", &json!({"why": "test"})));
    assert_eq!(ledger::find(&mut conn, "dep:9").await.unwrap(), None);
    drop(conn);
    book.is_sound().await;
}

// The money has moved on: the mirror image would overdraw, and is refused.
#[tokio::test]
async fn a_reversal_cannot_take_what_is_gone() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    book.did("dep:1", "deposit", "escrow:x:ETH > dep:m:ETH 7").await;
    book.did("conv:1", "convert", "dep:m:ETH > trading:ETH 7").await;
    let refused = book.reverse("dep:1", "dep:1:undo").await;
    assert!(
        matches!(&refused, Err(LedgerError::WouldOverdraw { account: Some(a) })
            if a == "dep:m:ETH"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn every_refusal_has_its_name() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    book.did("dep:1", "deposit", "escrow:x:ETH > dep:m:ETH 5").await;

    let over = book.post(&transfer("conv:1", "convert", "dep:m:ETH > trading:ETH 6")).await;
    assert!(
        matches!(&over, Err(LedgerError::WouldOverdraw { account: Some(a) }) if a == "dep:m:ETH"),
        "{over:?}"
    );
    let rule = book.post(&transfer("bad:1", "payout", "dep:m:ETH > trading:ETH 1")).await;
    assert!(
        matches!(&rule, Err(LedgerError::NotAllowed(why))
            if why == "kind payout does not allow deposit > trading"),
        "{rule:?}"
    );
    let two = "dep:m:ETH > trading:ETH 1\ndep:m:ETH > escrow:x:ETH 1";
    let rule = book.post(&transfer("bad:2", "convert", two)).await;
    assert!(
        matches!(&rule, Err(LedgerError::NotAllowed(why))
            if why == "kind convert does not allow deposit > escrow"),
        "{rule:?}"
    );
    let unknown = book.post(&transfer("bad:3", "no.such.kind", "escrow:x:ETH > dep:m:ETH 1")).await;
    assert!(matches!(unknown, Err(LedgerError::Malformed(_))), "{unknown:?}");
    book.is_sound().await;
}

#[tokio::test]
async fn closed_periods_and_frozen_accounts_stay_as_they_are() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    book.did("dep:1", "deposit", "escrow:x:ETH > dep:m:ETH 5").await;

    let mut late = transfer("bad:4", "deposit", "escrow:x:ETH > dep:m:ETH 1");
    late.effective_at = now() + TimeDelta::hours(2);
    assert!(matches!(book.post(&late).await, Err(LedgerError::ClosedPeriod)));
    assert!(matches!(book.post_many(&[late]).await, Err(LedgerError::ClosedPeriod)));

    sqlx::query("update ledger.closings set closed_through = now() - interval '1 day'")
        .execute(&db.owner)
        .await
        .unwrap();
    let mut early = transfer("bad:5", "deposit", "escrow:x:ETH > dep:m:ETH 1");
    early.effective_at = now() - TimeDelta::days(2);
    assert!(matches!(book.post(&early).await, Err(LedgerError::ClosedPeriod)));
    assert!(matches!(book.post_many(&[early]).await, Err(LedgerError::ClosedPeriod)));

    freeze(&db, true).await;
    let frozen = transfer("ice:1", "deposit", "escrow:x:ETH > dep:m:ETH 1");
    assert!(matches!(book.post(&frozen).await, Err(LedgerError::Frozen)));
    assert!(matches!(
        book.post_many(std::slice::from_ref(&frozen)).await,
        Err(LedgerError::Frozen)
    ));
    freeze(&db, false).await;
    assert!(book.post(&frozen).await.unwrap().created);
    book.is_sound().await;
}

async fn freeze(db: &TestDb, frozen: bool) {
    sqlx::query(
        "update ledger.balances set frozen = $1
         where account_id = (select id from ledger.accounts where code = 'dep:m:ETH')",
    )
    .bind(frozen)
    .execute(&db.owner)
    .await
    .unwrap();
}

// What is wrong by itself is refused before the database is asked, so the transaction lives on.
#[tokio::test]
async fn a_malformed_transfer_does_not_cost_the_transaction() {
    let db = TestDb::create().await.unwrap();
    let mut tx = db.app.begin().await.unwrap();
    let good = transfer("good:1", "deposit", "escrow:x:ETH > dep:m:ETH 1");
    let mut bad = Vec::new();
    for lines in [
        "escrow:x:ETH > escrow:x:ETH 1",
        "escrow:x:ETH > dep:m:ETH 0",
        "escrow:x:ETH > dep:m:ETH -1",
        "escrow:x:ETH > dep:m:USDC 1",
    ] {
        bad.push(transfer("bad:1", "deposit", lines));
    }
    let mut none = good.clone();
    none.legs.clear();
    let mut many = good.clone();
    many.legs = vec![good.legs[0].clone(); 201];
    let mut short = good.clone();
    short.key = "abc".to_owned();
    let mut nobody = good.clone();
    nobody.actor.clear();
    bad.extend([none, many, short, nobody]);
    for t in bad {
        let refused = ledger::post(&mut tx, &t).await;
        assert!(matches!(refused, Err(LedgerError::Malformed(_))), "{t:?}: {refused:?}");
    }
    assert!(ledger::post(&mut tx, &good).await.unwrap().created);
    tx.commit().await.unwrap();
    assert_eq!(Book(&db.app).posted("dep:m:ETH").await, 1);

    let mut talkative = transfer("bad:2", "deposit", "escrow:x:ETH > dep:m:ETH 1");
    talkative.meta = json!({"notes": "x".repeat(17_000)});
    let refused = Book(&db.app).post(&talkative).await;
    assert!(matches!(refused, Err(LedgerError::Malformed(_))), "{refused:?}");
}
