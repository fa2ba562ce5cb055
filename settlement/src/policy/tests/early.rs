//! Early acceptance: a state and a memorandum, within the limit; rupees, sale and payout wait.

use ledger::LedgerError;
use primitives::{Asset, DepositId};

use super::{Asked, World, agreed, inr, net, tier};
use crate::{
    Error,
    bookkeeping::risk,
    conversion::{self, Levies, Market, Offer, Planned},
    deposit::{Confirmed, Depth},
    policy::{
        Finding,
        early::{Early, HonourError, accept_in, honour_in, is_due_in, open_in},
        look_in,
    },
    rates::Level,
};

async fn open() -> World {
    let world = World::open().await;
    world.set(&[tier(0, ["mempool", "1", "4"], 1)]).await;
    world
}

/// A payment of ₹ 1,000 whose deposit is in block 10, accepted at once.
async fn accepted(world: &World, tx: &str) -> (Asked, DepositId) {
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, tx, 1_000, ("b10", 10)).await;
    assert_eq!(world.accept(id, 10).await, Early::Accepted);
    (asked, id)
}

async fn sold(world: &World) -> Planned {
    world.clock.advance(chrono::TimeDelta::seconds(5));
    let none = primitives::Bps::ZERO;
    let market = Market {
        price_tick: rust_decimal::Decimal::ONE,
        quantity_step: rust_decimal::Decimal::new(1, 18),
        quantity_min: rust_decimal::Decimal::ZERO,
        quantity_max: None,
        notional_min: rust_decimal::Decimal::ZERO,
        is_open: true,
        takes_immediate: false,
        levies: Levies { fee: none, gst: none, tds: none },
        bids: vec![Level { price: 100.into(), quantity: 1_000.into() }],
        seen_at: world.base.now(),
    };
    let (venue, sell, quote) = ("wazirx".to_owned(), Asset::Eth, Asset::Inr);
    let offers = [Offer { venue, sell, quote, market: Ok(market) }];
    let mut tx = world.base.pool.begin().await.unwrap();
    let planned =
        conversion::plan_batch_in(&mut tx, &world.base, Asset::Eth, &offers).await.unwrap();
    tx.rollback().await.unwrap();
    planned
}

#[tokio::test]
async fn paid_is_said_early_and_everything_else_waits() {
    let world = open().await;
    world.grant(150_000).await;
    let (asked, id) = accepted(&world, "tx").await;
    assert_eq!(world.state(&asked).await, "accepted");
    assert_eq!(world.limit().await, (150_000, 100_000, 50_000));
    let told = "select count(*) from payment_events where kind = 'payment.accepted'
        and (data -> 'detail' ->> 'early')::boolean";
    assert_eq!(world.count(told).await, 1, "the shop is told");
    let books = world.books().await;
    assert_eq!((books.escrow, books.deposit, books.converted), (0, 0, 0), "{books:?}");
    assert_eq!(world.count("select count(*) from conversion_queue").await, 0);
    assert_eq!(sold(&world).await, Planned::Nothing);
    assert_eq!(world.count("select count(*) from payouts").await, 0);
    world.sound().await;

    assert_eq!(world.judge(id, 12, agreed()).await, Confirmed::Waits);
    assert_eq!(world.judge(id, 13, agreed()).await, Confirmed::Now);
    assert_eq!(world.state(&asked).await, "accepted");
    assert_eq!(world.limit().await, (150_000, 0, 150_000));
    let books = world.books().await;
    assert_eq!((books.escrow, books.deposit, books.converted), (1_000, 0, 1_000), "{books:?}");
    assert_eq!(world.count("select count(*) from conversion_queue").await, 1);
    let ended = "select count(*) from early_acceptances where outcome = 'final'";
    assert_eq!(world.count(ended).await, 1);
    world.sound().await;
}

#[tokio::test]
async fn without_a_limit_nothing_is_early() {
    let world = open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    let mut conn = world.base.pool.acquire().await.unwrap();
    let deposit = world.deposit(id).await;
    let applied = look_in(&mut conn, &world.base, &deposit).await.unwrap();
    assert!(!is_due_in(&mut conn, &deposit, &applied).await.unwrap(), "nobody is asked in vain");
    drop(conn);
    assert_eq!(world.accept(id, 10).await, Early::Waits);
    assert_eq!(world.state(&asked).await, "confirming");
    assert_eq!(world.judge(id, 13, agreed()).await, Confirmed::Now);
    assert_eq!(world.state(&asked).await, "accepted");
    world.sound().await;
}

#[tokio::test]
async fn beyond_the_limit_payments_wait_for_finality() {
    let world = open().await;
    world.grant(199_999).await;
    let (_, first) = accepted(&world, "one").await;
    let asked = world.ask(100_000, 1_000).await;
    let second = world.see(&asked, "two", 1_000, ("b10", 10)).await;
    assert_eq!(world.accept(second, 10).await, Early::Waits);
    assert_eq!(world.state(&asked).await, "confirming");
    assert_eq!(world.cases().await, ["risk_limit_reached"]);
    // What becomes final gives room again, and a raised limit does.
    world.judge(first, 13, agreed()).await;
    assert_eq!(world.accept(second, 11).await, Early::Accepted);
    world.sound().await;
}

/// Two payments at once, headroom for one: the books decide, not a look before them.
#[tokio::test]
async fn the_limit_holds_when_many_ask_at_once() {
    let world = open().await;
    world.grant(250_000).await;
    let mut waiting = Vec::new();
    for number in 0..6 {
        let asked = world.ask(100_000, 1_000).await;
        waiting.push(world.see(&asked, &format!("tx{number}"), 1_000, ("b10", 10)).await);
    }
    let mut running = Vec::new();
    for id in waiting {
        let base = world.base.clone();
        running.push(tokio::spawn(async move {
            let depth = Depth { latest: 10, safe: None, finalized: None };
            let finding = Finding { block_hash: "b10".to_owned(), depth, witnesses: agreed() };
            let mut tx = base.pool.begin().await.unwrap();
            match accept_in(&mut tx, &base, id, &finding).await {
                Ok(early) => {
                    tx.commit().await.unwrap();
                    early
                }
                Err(Error::Ledger(LedgerError::WouldOverdraw { .. })) => Early::Waits,
                Err(error) => panic!("{error:?}"),
            }
        }));
    }
    let mut taken = 0;
    for run in running {
        taken += i32::from(run.await.unwrap() == Early::Accepted);
    }
    assert_eq!(taken, 2);
    assert_eq!(world.limit().await, (250_000, 200_000, 50_000));
    world.sound().await;
}

#[tokio::test]
async fn a_limit_in_use_cannot_be_withdrawn() {
    let world = open().await;
    world.grant(150_000).await;
    accepted(&world, "tx").await;
    for (paise, fits) in [(50_001, false), (50_000, true)] {
        let mut tx = world.base.pool.begin().await.unwrap();
        let (lab, decision) = (net("lab"), world.base.uuid());
        let change = (inr(paise), false);
        let signed = ("test", "a test");
        let done = risk::limit_changed(&mut tx, &world.base, &lab, change, decision, signed).await;
        assert_eq!(done.is_ok(), fits, "{done:?}");
        if fits {
            tx.commit().await.unwrap();
        }
    }
    assert_eq!(world.limit().await, (100_000, 100_000, 0));
}

/// Parts count together, each only when it is deep enough itself.
#[tokio::test]
async fn parts_are_accepted_together() {
    let world = open().await;
    world.set(&[tier(0, ["mempool", "2", "4"], 1)]).await;
    world.grant(100_000).await;
    let asked = world.ask(100_000, 1_000).await;
    let one = world.see(&asked, "one", 600, ("b10", 10)).await;
    assert_eq!(world.accept(one, 11).await, Early::Waits, "not covered");
    let two = world.see(&asked, "two", 400, ("b11", 11)).await;
    assert_eq!(world.accept(one, 11).await, Early::Waits, "the second is not deep enough");
    assert_eq!(world.accept(two, 11).await, Early::Waits);
    assert_eq!(world.accept(two, 12).await, Early::Accepted);
    assert_eq!(world.judge(one, 13, agreed()).await, Confirmed::Now);
    assert_eq!(world.books().await.converted, 0, "half is final: nothing is sold");
    assert_eq!(world.limit().await.1, 100_000);
    assert_eq!(world.judge(two, 14, agreed()).await, Confirmed::Now);
    assert_eq!(world.books().await.converted, 1_000);
    assert_eq!(world.limit().await.1, 0);
    world.sound().await;
}

/// A tightened policy asks again: evidence of an older version is none.
#[tokio::test]
async fn evidence_belongs_to_its_policy() {
    let world = open().await;
    world.grant(100_000).await;
    let asked = world.ask(100_000, 1_000).await;
    let one = world.see(&asked, "one", 600, ("b10", 10)).await;
    assert_eq!(world.accept(one, 10).await, Early::Waits);
    world.set(&[tier(0, ["mempool", "3", "6"], 1)]).await;
    let two = world.see(&asked, "two", 400, ("b9", 9)).await;
    assert_eq!(world.accept(two, 11).await, Early::Waits, "one has two blocks of three");
    assert_eq!(world.accept(one, 12).await, Early::Accepted);
    world.sound().await;
}

#[tokio::test]
async fn a_deposit_that_comes_back_covers_what_was_accepted() {
    let world = open().await;
    world.grant(100_000).await;
    let (asked, id) = accepted(&world, "tx").await;
    world.gone(id).await;
    assert_eq!(world.state(&asked).await, "accepted", "the shop keeps its promise");
    assert_eq!(world.cases().await, ["early_acceptance_gone"]);
    assert_eq!(world.limit().await.1, 100_000, "the risk is still the house's");
    world.sound().await;
    world.see(&asked, "tx", 1_000, ("c11", 11)).await;
    assert_eq!(world.judge(id, 14, agreed()).await, Confirmed::Now);
    assert_eq!(world.cases().await, Vec::<String>::new());
    assert_eq!(world.limit().await.1, 0);
    let books = world.books().await;
    assert_eq!((books.converted, books.suspense, books.loss), (1_000, 0, 0), "{books:?}");
    world.sound().await;
}

/// The payer's wallet replaces the transaction: another id to the same address.
#[tokio::test]
async fn another_transaction_in_its_place_covers_it_too() {
    let world = open().await;
    world.grant(100_000).await;
    let (asked, id) = accepted(&world, "tx").await;
    world.gone(id).await;
    let second = world.see(&asked, "replacement", 1_000, ("c11", 11)).await;
    assert_eq!(world.judge(second, 14, agreed()).await, Confirmed::Now);
    let books = world.books().await;
    assert_eq!((books.converted, books.suspense), (1_000, 0), "{books:?}");
    assert_eq!(world.limit().await.1, 0);
    world.sound().await;
}

/// Paying twice is not covering: the second payment is the payer's.
#[tokio::test]
async fn a_second_payment_is_no_cover() {
    let world = open().await;
    world.grant(100_000).await;
    let (asked, first) = accepted(&world, "tx").await;
    let second = world.see(&asked, "again", 1_000, ("b10", 10)).await;
    assert_eq!(world.judge(second, 13, agreed()).await, Confirmed::Now);
    assert_eq!(world.books().await.converted, 0);
    assert_eq!(world.judge(first, 13, agreed()).await, Confirmed::Now);
    let books = world.books().await;
    assert_eq!(books.converted, 1_000, "{books:?}");
    assert_eq!(books.suspense + books.refund, 1_000, "{books:?}");
    world.sound().await;
}

async fn honour(world: &World, asked: &Asked) -> Result<i128, HonourError> {
    let mut tx = world.base.pool.begin().await.unwrap();
    let signed = ("ops", "the payer is gone");
    let lost = honour_in(&mut tx, &world.base, asked.payment, signed).await?;
    tx.commit().await.unwrap();
    Ok(lost.minor())
}

#[tokio::test]
async fn a_loss_is_honoured_once_and_shrinks_the_limit() {
    let world = open().await;
    world.grant(300_000).await;
    let (asked, id) = accepted(&world, "tx").await;
    assert!(matches!(honour(&world, &asked).await, Err(HonourError::NotLost)));
    world.gone(id).await;
    assert_eq!(honour(&world, &asked).await.unwrap(), 1_000);
    assert_eq!(world.limit().await, (200_000, 0, 200_000));
    let books = world.books().await;
    assert_eq!((books.escrow, books.converted, books.loss), (0, 1_000, 1_000), "{books:?}");
    let owed = world.balance(&crate::chart::merchant(world.merchant).code).await;
    assert_eq!(owed, 98_820, "the shop is owed its rupees");
    assert_eq!(world.count("select count(*) from conversion_queue").await, 1);
    assert_eq!(world.cases().await, Vec::<String>::new());
    assert!(matches!(honour(&world, &asked).await, Err(HonourError::NotOpen)));
    world.sound().await;
    // The deposit comes back after all: it is the house's.
    world.see(&asked, "tx", 1_000, ("c11", 11)).await;
    assert_eq!(world.judge(id, 14, agreed()).await, Confirmed::Now);
    let books = world.books().await;
    assert_eq!((books.escrow, books.loss, books.suspense), (1_000, 0, 0), "{books:?}");
    assert_eq!(world.cases().await, Vec::<String>::new());
    world.sound().await;
}

#[tokio::test]
async fn only_what_is_missing_is_a_loss() {
    let world = open().await;
    world.grant(100_000).await;
    let asked = world.ask(100_000, 1_000).await;
    let stays = world.see(&asked, "stays", 600, ("b10", 10)).await;
    let goes = world.see(&asked, "goes", 400, ("b10", 10)).await;
    world.accept(stays, 10).await;
    assert_eq!(world.accept(goes, 10).await, Early::Accepted);
    world.gone(goes).await;
    assert!(matches!(honour(&world, &asked).await, Err(HonourError::StillComing)));
    world.judge(stays, 13, agreed()).await;
    assert_eq!(honour(&world, &asked).await.unwrap(), 400);
    let books = world.books().await;
    assert_eq!((books.deposit, books.converted, books.loss), (0, 1_000, 400), "{books:?}");
    world.sound().await;
}

/// What was accepted for one network's quote is converted from another's: the first network's money
/// is too much, and a reorganisation unwinds the one that was converted.
#[tokio::test]
async fn the_network_that_converted_is_the_one_that_counts() {
    let world = open().await;
    world.grant(100_000).await;
    let asked = world.ask(100_000, 1_000).await;
    let beside = world.quote(asked.payment, "other", super::eth(1_000)).await;
    let here = world.see(&asked, "here", 1_000, ("b10", 10)).await;
    let there = world.see(&beside, "there", 1_000, ("o1", 1)).await;
    assert_eq!(world.accept(here, 10).await, Early::Accepted);
    let last = Depth { latest: 9, safe: None, finalized: Some(9) };
    assert_eq!(world.judge_at(there, last, agreed()).await, Confirmed::Now);
    assert_eq!(world.books().await.converted, 1_000, "the other network's");
    assert_eq!(world.limit().await.1, 0);
    assert_eq!(world.judge(here, 13, agreed()).await, Confirmed::Now);
    let books = world.books().await;
    assert_eq!((books.escrow, books.refund, books.deposit), (1_000, 1_000, 0), "{books:?}");
    world.sound().await;
    world.gone(there).await;
    let books = world.books().await;
    assert_eq!((books.loss, books.refund, books.escrow), (1_000, 1_000, 1_000), "{books:?}");
    world.sound().await;
    world.gone(here).await;
    let books = world.books().await;
    assert_eq!((books.loss, books.refund, books.escrow), (1_000, 0, 0), "{books:?}");
    world.sound().await;
}

/// Money that waits in suspense may be what is missing: nothing is honoured before it is decided.
#[tokio::test]
async fn nothing_is_lost_while_money_is_set_aside() {
    let world = open().await;
    world.grant(100_000).await;
    let (asked, first) = accepted(&world, "tx").await;
    let second = world.see(&asked, "again", 1_000, ("b10", 10)).await;
    assert_eq!(world.judge(second, 13, agreed()).await, Confirmed::Now);
    let third = world.see(&asked, "third", 1_000, ("b11", 11)).await;
    world.gone(first).await;
    assert!(matches!(honour(&world, &asked).await, Err(HonourError::StillComing)), "both wait");
    world.gone(third).await;
    assert!(matches!(honour(&world, &asked).await, Err(HonourError::StillComing)), "one waits");
    let mut tx = world.base.pool.begin().await.unwrap();
    crate::refund::promise_deposit_in(&mut tx, &world.base, second).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(honour(&world, &asked).await.unwrap(), 1_000, "it was given away");
    world.sound().await;
}

/// The payer's wallet replaced the transaction, and the house had honoured the loss by then: the
/// money is the house's, whatever the shop's policy is, once.
#[tokio::test]
async fn what_comes_after_a_loss_was_honoured_makes_it_good() {
    let world = open().await;
    world.grant(300_000).await;
    let (asked, first) = accepted(&world, "tx").await;
    world.gone(first).await;
    assert_eq!(honour(&world, &asked).await.unwrap(), 1_000);
    let second = world.see(&asked, "replacement", 1_200, ("c11", 11)).await;
    assert_eq!(world.judge(second, 14, agreed()).await, Confirmed::Now);
    let books = world.books().await;
    assert_eq!((books.loss, books.suspense, books.refund), (0, 200, 0), "{books:?}");
    world.sound().await;
    // Only what is left is anybody's.
    let mut tx = world.base.pool.begin().await.unwrap();
    crate::refund::promise_deposit_in(&mut tx, &world.base, second).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.books().await.refund, 200);
    // The first one comes as well: that is the payer's.
    world.see(&asked, "tx", 1_000, ("c12", 12)).await;
    assert_eq!(world.judge(first, 15, agreed()).await, Confirmed::Now);
    let books = world.books().await;
    assert_eq!((books.escrow, books.loss, books.suspense), (2_200, 0, 1_000), "{books:?}");
    world.sound().await;
    // And the second goes: the house bears it again.
    world.gone(second).await;
    let books = world.books().await;
    assert_eq!((books.loss, books.refund, books.suspense), (1_000, 0, 1_000), "{books:?}");
    world.sound().await;
}

#[tokio::test]
async fn a_loss_is_honoured_by_somebody_for_a_reason() {
    let world = open().await;
    world.grant(100_000).await;
    let (asked, id) = accepted(&world, "tx").await;
    world.gone(id).await;
    let long = "x".repeat(501);
    for signed in [("", "why"), ("ops", " "), ("ops", long.as_str())] {
        let mut tx = world.base.pool.begin().await.unwrap();
        let refused = honour_in(&mut tx, &world.base, asked.payment, signed).await;
        assert!(matches!(refused, Err(HonourError::Unsigned)), "{refused:?}");
    }
    let stranger = primitives::PaymentId::from_uuid(world.base.uuid());
    let mut tx = world.base.pool.begin().await.unwrap();
    let unknown = honour_in(&mut tx, &world.base, stranger, ("ops", "why")).await;
    assert!(matches!(unknown, Err(HonourError::NotOpen)), "{unknown:?}");
    drop(tx);
    let mut conn = world.base.pool.acquire().await.unwrap();
    assert_eq!(open_in(&mut conn).await.unwrap().len(), 1, "nothing changed");
}

/// A dispute stops early acceptance as well.
#[tokio::test]
async fn nothing_is_accepted_while_nodes_disagree() {
    let world = open().await;
    world.grant(100_000).await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    let other = super::Said::Other("x".to_owned());
    world.judge(id, 13, vec![super::word("a", super::Said::Same), super::word("b", other)]).await;
    assert_eq!(world.accept(id, 10).await, Early::Waits, "node b has not been heard");
    assert_eq!(world.state(&asked).await, "confirming");
    world.sound().await;
}
