//! A block that was final is gone: state and books are unwound together, whatever had become of the
//! money, and what comes back is credited once.

use chrono::TimeDelta;
use primitives::{Amount, Asset, DepositId};

use super::{
    Asked, World, agreed,
    books::{Books, EMPTY},
    net,
};
use crate::{
    deposit::Confirmed,
    payment::{self, Expiry},
};

async fn confirmed(world: &World, to: &Asked, tx: &str, minor: i128) -> DepositId {
    let id = world.see(to, tx, minor, ("b10", 10)).await;
    assert_eq!(world.judge(id, 12, agreed()).await, Confirmed::Now);
    id
}

async fn back(world: &World, to: &Asked, tx: &str, minor: i128) {
    let id = world.see(to, tx, minor, ("c11", 11)).await;
    assert_eq!(world.judge(id, 13, agreed()).await, Confirmed::Now);
}

/// A part of a payment that was final: the debt leaves with the crypto, the payment waits again.
#[tokio::test]
async fn what_is_unspent_leaves_with_its_debt() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = confirmed(&world, &asked, "tx", 600).await;
    assert_eq!(world.books().await, Books { escrow: 600, deposit: 600, ..EMPTY });
    world.gone(id).await;
    assert_eq!(world.books().await, EMPTY);
    assert_eq!(world.deposit(id).await.state.name(), "orphaned");
    assert_eq!(world.state(&asked).await, "awaiting_deposit");
    assert_eq!(world.cases().await, ["reorg_after_final"]);
    world.sound().await;
    world.gone(id).await;
    assert_eq!(world.books().await, EMPTY, "once is enough");
    // Another amount in another block: what the chain says now.
    back(&world, &asked, "tx", 1_000).await;
    assert_eq!(world.state(&asked).await, "accepted");
    assert_eq!(world.books().await, Books { escrow: 1_000, converted: 1_000, ..EMPTY });
    world.sound().await;
}

#[tokio::test]
async fn of_two_parts_only_one_leaves() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let goes = confirmed(&world, &asked, "goes", 300).await;
    confirmed(&world, &asked, "stays", 200).await;
    world.gone(goes).await;
    assert_eq!(world.books().await, Books { escrow: 200, deposit: 200, ..EMPTY });
    assert_eq!(world.state(&asked).await, "confirming");
    world.sound().await;
}

#[tokio::test]
async fn what_waits_in_suspense_leaves_it() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let mut stranger = asked.clone();
    stranger.address = "nobody's".to_owned();
    let goes = confirmed(&world, &stranger, "goes", 300).await;
    confirmed(&world, &stranger, "stays", 200).await;
    assert_eq!(world.books().await.suspense, 500);
    world.gone(goes).await;
    assert_eq!(world.books().await, Books { escrow: 200, suspense: 200, ..EMPTY });
    world.sound().await;
    back(&world, &stranger, "goes", 300).await;
    assert_eq!(world.books().await, Books { escrow: 500, suspense: 500, ..EMPTY });
    world.sound().await;
}

/// Twice the price: the surplus was promised back. When a deposit goes, the promise goes first and
/// the shop's payment stays covered.
#[tokio::test]
async fn a_promise_that_was_not_sent_is_taken_back() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let first = world.see(&asked, "first", 1_000, ("b10", 10)).await;
    let second = world.see(&asked, "second", 1_000, ("b10", 10)).await;
    world.judge(first, 12, agreed()).await;
    world.judge(second, 12, agreed()).await;
    let both = Books { escrow: 2_000, refund: 1_000, converted: 1_000, ..EMPTY };
    assert_eq!(world.books().await, both);
    world.gone(first).await;
    assert_eq!(world.books().await, Books { escrow: 1_000, converted: 1_000, ..EMPTY });
    assert_eq!(world.state(&asked).await, "accepted");
    world.sound().await;
}

/// Only a part of the surplus is gone: the rest of the promise is made anew.
#[tokio::test]
async fn what_is_left_of_a_promise_is_promised_again() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let small = world.see(&asked, "small", 400, ("b10", 10)).await;
    let large = world.see(&asked, "large", 1_600, ("b10", 10)).await;
    world.judge(small, 12, agreed()).await;
    world.judge(large, 12, agreed()).await;
    assert_eq!(world.books().await.refund, 1_000);
    world.gone(small).await;
    assert_eq!(
        world.books().await,
        Books { escrow: 1_600, refund: 600, converted: 1_000, ..EMPTY }
    );
    world.sound().await;
}

/// The payment ran out of time with too little; what came was promised back; then it is gone.
#[tokio::test]
async fn an_underpaid_promise_is_taken_back() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = confirmed(&world, &asked, "tx", 600).await;
    let before = world.books().await;
    for _ in 0..12 {
        world.clock.advance(TimeDelta::minutes(30));
        let mut tx = world.base.pool.begin().await.unwrap();
        sqlx::query(
            "insert into chain_cursors (network, height, hash, head, scanned_at)
             values ('lab', 99, 'x', 99, $1) on conflict (network) do update set scanned_at = $1",
        )
        .bind(world.base.now())
        .execute(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "insert into chain_blocks (network, height, hash, parent_hash, canonical, seen_at,
               stamped_at) values ('lab', 99, 'x', 'w', true, $1, $1)
             on conflict (network, hash) do update set seen_at = $1, stamped_at = $1",
        )
        .bind(world.base.now())
        .execute(&mut *tx)
        .await
        .unwrap();
        let ended = payment::expire_in(&mut tx, &world.base, asked.payment).await.unwrap();
        tx.commit().await.unwrap();
        if ended == Expiry::Ended {
            break;
        }
    }
    assert_eq!(world.state(&asked).await, "in_review", "{before:?}");
    assert_eq!(world.books().await, Books { escrow: 600, refund: 600, ..EMPTY });
    world.gone(id).await;
    assert_eq!(world.books().await, EMPTY);
    world.sound().await;
}

/// The crypto had become the shop's rupees: a claim on nobody, written off, with a case.
#[tokio::test]
async fn what_was_converted_is_the_houses_loss() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = confirmed(&world, &asked, "tx", 1_000).await;
    let owed = world.balance(&crate::chart::merchant(world.merchant).code).await;
    world.gone(id).await;
    assert_eq!(world.books().await, Books { converted: 1_000, loss: 1_000, ..EMPTY });
    assert_eq!(world.balance("claim:ETH").await, 0, "written off at once");
    let legs = "select count(*) from ledger.legs l
        join ledger.accounts d on d.id = l.debit_id join ledger.accounts c on c.id = l.credit_id
        where (d.code, c.code) in (('claim:ETH', 'escrow:lab:ETH'), ('loss:ETH', 'claim:ETH'))";
    assert_eq!(world.count(legs).await, 2, "receivable > escrow, loss > receivable");
    assert_eq!(world.state(&asked).await, "accepted", "the shop is guaranteed");
    assert_eq!(world.balance(&crate::chart::merchant(world.merchant).code).await, owed);
    assert_eq!(world.deposit(id).await.state.name(), "orphaned");
    let detail: serde_json::Value =
        sqlx::query_scalar("select detail from cases where kind = 'reorg_after_final'")
            .fetch_one(&world.db.app)
            .await
            .unwrap();
    assert_eq!(
        (&detail["booked"], &detail["lost"]["amount_minor"]),
        (&true.into(), &"1000".into())
    );
    world.sound().await;
}

#[tokio::test]
async fn what_comes_back_credits_the_loss() {
    // (what comes back, what the house still bears, what is over)
    for (minor, loss, over) in [(1_000, 0, 0), (700, 300, 0), (1_500, 0, 500)] {
        let world = World::open().await;
        let asked = world.ask(100_000, 1_000).await;
        let id = confirmed(&world, &asked, "tx", 1_000).await;
        world.gone(id).await;
        back(&world, &asked, "tx", minor).await;
        let wanted = Books { escrow: minor, suspense: over, converted: 1_000, loss, ..EMPTY };
        assert_eq!(world.books().await, wanted, "{minor} came back");
        let open = world.cases().await;
        match (loss, over) {
            (0, 0) => assert!(open.is_empty(), "{open:?}"),
            (0, _) => assert_eq!(open, ["deposit_after_end"], "what is over is somebody's"),
            _ => assert_eq!(open, ["reorg_after_final"], "what is missing stays a case"),
        }
        world.sound().await;
        // And goes again, and comes again.
        world.gone(id).await;
        let again = Books { escrow: 0, suspense: 0, loss: 1_000, ..wanted };
        assert_eq!(world.books().await, again, "{minor} gone again");
        world.sound().await;
        let id = world.see(&asked, "tx", 1_000, ("d12", 12)).await;
        assert_eq!(world.judge(id, 14, agreed()).await, Confirmed::Now);
        assert_eq!(world.books().await, Books { escrow: 1_000, suspense: 0, loss: 0, ..wanted });
        world.sound().await;
    }
}

/// What made good a loss is not the deposit's to give away, nor is any of it another's to lose.
#[tokio::test]
async fn what_made_good_a_loss_is_given_to_nobody() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = confirmed(&world, &asked, "tx", 1_000).await;
    world.gone(id).await;
    back(&world, &asked, "tx", 1_000).await;
    let mut tx = world.base.pool.begin().await.unwrap();
    let promised = crate::refund::promise_deposit_in(&mut tx, &world.base, id).await;
    assert!(matches!(promised, Err(crate::refund::PromiseError::Borne)), "{promised:?}");
    drop(tx);
    // More comes back: the rest, and only that, may pay another payment.
    world.gone(id).await;
    back(&world, &asked, "tx", 1_400).await;
    let other = world.ask(100_000, 1_000).await;
    let mut tx = world.base.pool.begin().await.unwrap();
    let at = payment::AtPrice::Quoted;
    payment::attribute_in(&mut tx, &world.base, id, other.payment, at).await.unwrap();
    tx.commit().await.unwrap();
    let books = Books { escrow: 1_400, deposit: 400, converted: 1_000, ..EMPTY };
    assert_eq!(world.books().await, books);
    assert_eq!(world.state(&other).await, "confirming", "400 of 1,000");
    world.sound().await;
    let rest = world.see(&other, "rest", 600, ("c12", 12)).await;
    assert_eq!(world.judge(rest, 14, agreed()).await, Confirmed::Now);
    assert_eq!(world.state(&other).await, "accepted");
    assert_eq!(world.books().await, Books { escrow: 2_000, converted: 2_000, ..EMPTY });
    world.sound().await;
    world.gone(id).await;
    assert_eq!(world.books().await, Books { escrow: 600, converted: 2_000, loss: 1_400, ..EMPTY });
    world.sound().await;
}

/// Back in the very block it was in: the chain changed its mind twice.
#[tokio::test]
async fn the_same_block_may_win_after_all() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = confirmed(&world, &asked, "tx", 1_000).await;
    world.gone(id).await;
    world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    assert_eq!(world.judge(id, 12, agreed()).await, Confirmed::Now);
    assert_eq!(world.books().await, Books { escrow: 1_000, converted: 1_000, ..EMPTY });
    assert_eq!(world.count("select count(*) from inclusion_evidence").await, 2);
    world.sound().await;
}

/// The same asset on two networks: what came on one is never taken for the other.
#[tokio::test]
async fn another_networks_money_is_not_touched() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let wei = |minor| Amount::try_new(minor, Asset::Eth).unwrap();
    let beside = world.quote(asked.payment, "other", wei(2_000)).await;
    let elsewhere = world.see(&beside, "elsewhere", 500, ("o1", 1)).await;
    let last = crate::deposit::Depth { latest: 9, safe: None, finalized: Some(9) };
    assert_eq!(world.judge_at(elsewhere, last, agreed()).await, Confirmed::Now);
    let id = confirmed(&world, &asked, "tx", 1_000).await;
    assert_eq!(world.state(&asked).await, "accepted");
    let promised = world.books().await.refund;
    assert_eq!(promised, 500, "it paid nothing");
    world.gone(id).await;
    let books = world.books().await;
    assert_eq!((books.refund, books.loss), (500, 1_000), "{books:?}");
    assert_eq!(world.balance(&crate::chart::escrow(&net("other"), Asset::Eth).code).await, 500);
}

/// The crypto has left the addresses of the network: nothing is booked that is not there, the scan
/// goes on, a person is told.
#[tokio::test]
async fn what_the_books_cannot_take_back_is_shown() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = confirmed(&world, &asked, "tx", 1_000).await;
    let lab = net("lab");
    let treasury = ledger::Account::new("transit", "transit:lab-venue:ETH", Asset::Eth);
    let swept = ledger::Transfer {
        key: "out:lab:sweep".to_owned(),
        kind: "transfer.out",
        correlation: None,
        actor: "test".to_owned(),
        effective_at: world.base.now(),
        meta: serde_json::json!({}),
        legs: vec![ledger::Leg::new(
            treasury,
            crate::chart::escrow(&lab, Asset::Eth),
            super::eth(1),
        )],
    };
    let mut conn = world.base.pool.acquire().await.unwrap();
    ledger::post(&mut conn, &swept).await.unwrap();
    drop(conn);
    world.gone(id).await;
    assert_eq!(world.deposit(id).await.state.name(), "confirmed", "state and books together");
    assert_eq!(world.books().await.escrow, 999);
    assert_eq!(world.cases().await, ["reorg_after_final"]);
    // It comes back: it is in the books already.
    world.see(&asked, "tx", 1_000, ("c11", 11)).await;
    assert_eq!(world.books().await.escrow, 999);
    assert_eq!(world.books().await.suspense, 0);
}
