//! Holds: money that is spoken for but not moved. Captured or released once, for at most its
//! amount.

use ledger::{LedgerError, Phase};
use primitives::{Amount, Asset};
use testkit_db::TestDb;

use crate::book::{Book, resolution, transfer};

fn inr(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Inr).unwrap()
}

/// A float of 1000 at the bank and 1000 owed to a merchant.
async fn funded(book: &Book<'_>) {
    book.did("cap:1", "capital", "bank:r:INR > cap:INR 1000").await;
    book.did("conv:1", "convert", "dep:m:ETH > trading:ETH 5\ntrading:INR > merchant:m:INR 1000")
        .await;
}

async fn with_deposit(book: &Book<'_>) {
    book.did("dep:1", "deposit", "escrow:x:ETH > dep:m:ETH 5").await;
    funded(book).await;
}

#[tokio::test]
async fn a_hold_counts_against_both_sides_until_it_ends() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    with_deposit(&book).await;
    let payout = "merchant:m:INR > bank:r:INR";
    let first = transfer("pay:1:hold", "payout", &format!("{payout} 700"));
    assert!(book.hold(&first).await.unwrap().created);
    assert!(!book.hold(&first).await.unwrap().created, "the same hold again");

    let mut conn = db.app.acquire().await.unwrap();
    let merchant = ledger::balance(&mut conn, "merchant:m:INR").await.unwrap().unwrap();
    assert_eq!(merchant.posted, inr(1000));
    assert_eq!((merchant.pending_in, merchant.pending_out), (inr(0), inr(700)));
    assert_eq!(merchant.available(), Ok(inr(300)));
    let bank = ledger::balance(&mut conn, "bank:r:INR").await.unwrap().unwrap();
    assert_eq!((bank.posted, bank.pending_out), (inr(1000), inr(700)));
    drop(conn);

    let second = transfer("pay:2:hold", "payout", &format!("{payout} 301"));
    let refused = book.hold(&second).await;
    assert!(
        matches!(&refused, Err(LedgerError::WouldOverdraw { account: Some(account) })
            if account == "merchant:m:INR" || account == "bank:r:INR"),
        "{refused:?}"
    );
    assert!(book.capture("pay:1:hold", "pay:1:done", "payout").await.unwrap().created);
    assert!(!book.capture("pay:1:hold", "pay:1:done", "payout").await.unwrap().created);
    assert_eq!(book.posted("merchant:m:INR").await, 300);

    for refused in [
        book.capture("pay:1:hold", "pay:1:again", "payout").await,
        book.release("pay:1:hold", "pay:1:failed", "payout").await,
    ] {
        assert!(matches!(refused, Err(LedgerError::AlreadyResolved { .. })), "{refused:?}");
    }
    let other = book.release("pay:1:hold", "pay:1:done", "payout").await;
    assert!(matches!(other, Err(LedgerError::Conflict { key }) if key == "pay:1:done"));
    for missing in ["pay:9:hold", "cap:1", "pay:1:done"] {
        let refused = book.capture(missing, "pay:9:done", "payout").await;
        assert!(matches!(refused, Err(LedgerError::HoldNotFound { .. })), "{missing}");
    }
    book.is_sound().await;
}

#[tokio::test]
async fn a_released_hold_is_free_again() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    with_deposit(&book).await;
    for attempt in 1..=3 {
        let key = format!("pay:{attempt}:hold");
        let t = transfer(&key, "payout", "merchant:m:INR > bank:r:INR 1000");
        assert!(book.hold(&t).await.unwrap().created);
        let failed = format!("pay:{attempt}:failed");
        assert!(book.release(&key, &failed, "payout").await.unwrap().created);
    }
    assert_eq!(book.posted("merchant:m:INR").await, 1000);
    let mut conn = db.app.acquire().await.unwrap();
    let record = ledger::find(&mut conn, "pay:2:failed").await.unwrap().unwrap();
    assert_eq!(record.legs[0].phase, Phase::Release);
    drop(conn);
    book.is_sound().await;
}

#[tokio::test]
async fn several_legs_are_held_and_captured_in_part() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    with_deposit(&book).await;
    let cost = transfer(
        "pay:1:cost:hold",
        "payout.cost",
        "payoutfee:INR > bank:r:INR 500\ngst.input:INR > bank:r:INR 90",
    );
    book.hold(&cost).await.unwrap();
    let r = resolution("pay:1:cost", "payout.cost");
    for amounts in [
        vec![inr(500)],
        vec![inr(501), inr(90)],
        vec![inr(0), inr(90)],
        vec![Amount::try_new(1, Asset::Eth).unwrap(), inr(90)],
    ] {
        let refused = book.capture_part("pay:1:cost:hold", &r, &amounts).await;
        assert!(matches!(refused, Err(LedgerError::Malformed(_))), "{amounts:?}: {refused:?}");
    }
    let part = [inr(400), inr(72)];
    assert!(book.capture_part("pay:1:cost:hold", &r, &part).await.unwrap().created);
    assert!(!book.capture_part("pay:1:cost:hold", &r, &part).await.unwrap().created);
    assert_eq!(book.posted("bank:r:INR").await, 528);
    let mut conn = db.app.acquire().await.unwrap();
    let bank = ledger::balance(&mut conn, "bank:r:INR").await.unwrap().unwrap();
    assert_eq!(bank.pending_out, inr(0), "the rest of the hold is free");
    drop(conn);
    book.is_sound().await;
}

// Sixteen callers try to end one hold in different ways at once: one wins, the others learn it.
#[tokio::test]
async fn a_hold_is_resolved_once_under_a_race() {
    let db = TestDb::create_with_connections(16).await.unwrap();
    let book = Book(&db.app);
    with_deposit(&book).await;
    let t = transfer("pay:1:hold", "payout", "merchant:m:INR > bank:r:INR 700");
    book.hold(&t).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let pool = db.app.clone();
            tokio::spawn(async move {
                let (book, key) = (Book(&pool), format!("pay:1:end:{n}"));
                if n % 2 == 0 {
                    book.capture("pay:1:hold", &key, "payout").await
                } else {
                    book.release("pay:1:hold", &key, "payout").await
                }
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(posted) => won += i32::from(posted.created),
            Err(LedgerError::AlreadyResolved { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
    book.is_sound().await;
}
