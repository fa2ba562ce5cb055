//! Accounts are opened on first use, by many at once, and stand for one thing for ever.

use ledger::{Account, LedgerError};
use primitives::Asset;
use testkit_db::TestDb;
use uuid::Uuid;

use crate::book::{Book, transfer};

#[tokio::test]
async fn many_may_open_the_same_accounts_at_once() {
    let db = TestDb::create_with_connections(16).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let pool = db.app.clone();
            tokio::spawn(async move {
                // Half of them name the accounts the other way round.
                let lines = ["escrow:a:ETH > dep:a:ETH 1", "escrow:b:ETH > dep:b:ETH 1"];
                let lines = if n % 2 == 0 { [lines[0], lines[1]] } else { [lines[1], lines[0]] };
                let t = transfer(&format!("open:{n}"), "deposit", &lines.join("\n"));
                Book(&pool).post(&t).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().created);
    }
    assert_eq!(Book(&db.app).posted("dep:a:ETH").await, 16);
    let accounts: i64 = sqlx::query_scalar("select count(*) from ledger.accounts")
        .fetch_one(&db.app)
        .await
        .unwrap();
    assert_eq!(accounts, 4);
    Book(&db.app).is_sound().await;
}

#[tokio::test]
async fn a_code_stands_for_one_thing() {
    let db = TestDb::create().await.unwrap();
    let book = Book(&db.app);
    book.did("dep:1", "deposit", "escrow:a:ETH > dep:a:ETH 5").await;

    let mut other_owner = transfer("dep:2", "deposit", "escrow:a:ETH > dep:a:ETH 5");
    other_owner.legs[0].credit = other_owner.legs[0].credit.clone().owned_by(Uuid::from_u128(7));
    let mut other_role = transfer("dep:3", "deposit", "escrow:a:ETH > dep:a:ETH 5");
    other_role.legs[0].credit = Account::new("suspense", "dep:a:ETH", Asset::Eth);
    let mut unknown_role = transfer("dep:4", "deposit", "escrow:a:ETH > dep:a:ETH 5");
    unknown_role.legs[0].credit = Account::new("no.such.role", "new:a:ETH", Asset::Eth);
    let mut bad_code = transfer("dep:5", "deposit", "escrow:a:ETH > dep:a:ETH 5");
    bad_code.legs[0].credit = Account::new("deposit", "dep a", Asset::Eth);
    for t in [other_owner, other_role, unknown_role, bad_code] {
        let refused = book.post(&t).await;
        assert!(matches!(refused, Err(LedgerError::Malformed(_))), "{}: {refused:?}", t.key);
    }
    assert_eq!(book.posted("dep:a:ETH").await, 5);

    let mut owned = transfer("dep:6", "deposit", "escrow:a:ETH > dep:mine:ETH 5");
    owned.legs[0].credit = owned.legs[0].credit.clone().owned_by(Uuid::from_u128(7));
    assert!(book.post(&owned).await.unwrap().created);
    let owner: Option<Uuid> =
        sqlx::query_scalar("select owner_id from ledger.accounts where code = 'dep:mine:ETH'")
            .fetch_one(&db.app)
            .await
            .unwrap();
    assert_eq!(owner, Some(Uuid::from_u128(7)));
}
