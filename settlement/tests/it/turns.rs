//! A venue takes executions back and lists them again: each turn is booked once, and where the
//! books do not cover it a person is called and the sale waits.

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use ledger::Leg;
use primitives::{Amount, Asset, ConversionId};
use serde_json::{Value, json};
use settlement::{
    Error, bookkeeping, case, chart,
    conversion::{self, FillFacts, LateLook, OrderFacts, OrderOutcome},
};

use crate::{
    retry::selling,
    sales::{closed, closed_short, fill, kinds, late, sold},
    world::World,
};

async fn told(w: &World, id: ConversionId, facts: &OrderFacts) -> Result<OrderOutcome, Error> {
    let mut tx = w.base.pool.begin().await?;
    let outcome = conversion::order_in(&mut tx, &w.base, id, 1, facts).await?;
    tx.commit().await?;
    Ok(outcome)
}

/// A trade of a live order that was taken back: the order closed without it.
async fn taken_back_alive(w: &World) -> Result<(ConversionId, FillFacts)> {
    let (_, id) = selling(w).await?;
    let first = fill(w, "t1", Amount::try_new(1_500_000, Asset::Usdc)?);
    let open = OrderFacts { closed: false, ..closed(&[&first]) };
    assert_eq!(told(w, id, &open).await?, OrderOutcome::Open);
    // Seen missing once: it may still count, so nothing more may be sold.
    assert_eq!(told(w, id, &closed(&[])).await?, OrderOutcome::TooMuch);
    w.pass(6);
    assert_eq!(told(w, id, &closed(&[])).await?, OrderOutcome::Short);
    assert_eq!((sold(w, id).await?, kinds(w).await?), (0, vec!["fill_reversed".to_owned()]));
    w.pass(25);
    Ok((id, first))
}

/// A look that booked a turn is not the last one.
fn after_a_fence(w: &World) -> DateTime<Utc> {
    w.now() + TimeDelta::seconds(20)
}

#[tokio::test]
async fn listed_again_it_counts_again() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = taken_back_alive(&w).await?;
    let free = w.balance("venue:wazirx:USDC:free").await?;
    for next in [LateLook::Later(after_a_fence(&w)), LateLook::Done, LateLook::Done] {
        assert_eq!(late(&w, id, &closed(&[&first])).await?, next);
        w.pass(20);
        assert_eq!(sold(&w, id).await?, 1_500_000);
        assert_eq!(w.balance("venue:wazirx:USDC:free").await?, free - 1_500_000);
        assert_eq!(w.balance("venue:wazirx:INR:free").await?, first.gross.minor());
    }
    assert_eq!(kinds(&w).await?, ["fill_reinstated", "fill_reversed"]);
    assert_eq!(w.count("select count(*) from fill_reinstatements").await?, 1);
    assert_eq!(w.count("select count(*) from fills_taken_back").await?, 0);
    w.sound().await
}

/// From a list that does not add up nothing is taken, and it is asked for less often in the end.
#[tokio::test]
async fn listed_again_by_an_old_answer_it_does_not_count() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = taken_back_alive(&w).await?;
    let half =
        OrderFacts { executed: Amount::try_new(2_000_000, Asset::Usdc)?, ..closed(&[&first]) };
    assert_eq!(late(&w, id, &half).await?, LateLook::Later(w.now() + TimeDelta::seconds(6)));
    assert_eq!(sold(&w, id).await?, 0);
    w.pass(1_000);
    assert_eq!(late(&w, id, &half).await?, LateLook::Later(w.now() + TimeDelta::minutes(1)));
    assert_eq!(kinds(&w).await?, ["fill_reversed", "order_unknown"]);
    w.sound().await
}

/// The order says that nothing was executed, and its list shows the trade: neither is believed, and
/// nothing is certain before both say the same.
#[tokio::test]
async fn an_order_that_contradicts_its_list_is_not_done() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = taken_back_alive(&w).await?;
    let lie = OrderFacts { executed: Amount::zero(Asset::Usdc), ..closed(&[&first]) };
    for _ in 0..2 {
        assert_eq!(late(&w, id, &lie).await?, LateLook::Later(w.now() + TimeDelta::seconds(6)));
        assert_eq!(sold(&w, id).await?, 0);
        w.pass(6);
    }
    assert!(matches!(late(&w, id, &closed(&[&first])).await?, LateLook::Later(_)));
    assert_eq!(sold(&w, id).await?, 1_500_000, "not sold a second time");
    w.pass(20);
    assert_eq!(late(&w, id, &closed(&[&first])).await?, LateLook::Done);
    w.sound().await
}

/// The same of a trade that nobody has taken back, and of one that is listed before the one in
/// whose place it was executed is gone.
#[tokio::test]
async fn more_on_the_list_than_executed_is_not_done() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = closed_short(&w).await?;
    let instead = FillFacts { trade_id: "t1-corrected".to_owned(), ..first.clone() };
    let both = OrderFacts { executed: first.sold, ..closed(&[&first, &instead]) };
    assert_eq!(late(&w, id, &both).await?, LateLook::Later(w.now() + TimeDelta::seconds(2)));
    assert_eq!(sold(&w, id).await?, 3_000_000, "until the first is gone");
    assert!(matches!(late(&w, id, &closed(&[&instead])).await?, LateLook::Later(_)));
    w.pass(6);
    let looked = late(&w, id, &closed(&[&instead])).await?;
    assert_eq!((looked, sold(&w, id).await?), (LateLook::Later(after_a_fence(&w)), 1_500_000));
    w.pass(20);
    assert_eq!(late(&w, id, &closed(&[&instead])).await?, LateLook::Done);
    assert_eq!(kinds(&w).await?, ["fill_reversed"]);
    w.sound().await
}

/// A person is called to an order that does not add up, whatever was closed while it lived.
#[tokio::test]
async fn a_person_is_called_once_more_after_the_end() -> Result<()> {
    let w = World::open().await?;
    let (_, id) = selling(&w).await?;
    let mut conn = w.base.pool.acquire().await?;
    let sale = conversion::get_in(&mut conn, id).await?;
    let order = conversion::live_attempt_in(&mut conn, &sale).await?.context("an order")?;
    conversion::show_unknown_in(&mut conn, &w.base, &order).await?;
    let shown = case::open_cases(&mut conn).await?;
    case::close_in(&mut conn, &w.base, shown[0].id, "the venue answers").await?;
    drop(conn);
    w.pass(1);
    let first = fill(&w, "t1", Amount::try_new(1_500_000, Asset::Usdc)?);
    assert_eq!(told(&w, id, &closed(&[&first])).await?, OrderOutcome::Short);
    let lie = OrderFacts { executed: Amount::zero(Asset::Usdc), ..closed(&[&first]) };
    for cases in [0, 1, 1] {
        assert!(matches!(late(&w, id, &lie).await?, LateLook::Later(_)));
        let open = "select count(*) from cases where kind = 'order_unknown' and closed_at is null";
        assert_eq!(w.count(open).await?, cases);
        w.pass(900);
    }
    w.sound().await
}

/// Gone in the look after the end, and back ten seconds later: it was not the last look.
#[tokio::test]
async fn gone_in_the_look_after_the_end_and_back() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = closed_short(&w).await?;
    assert!(matches!(late(&w, id, &closed(&[])).await?, LateLook::Later(_)));
    w.pass(6);
    assert_eq!(late(&w, id, &closed(&[])).await?, LateLook::Later(after_a_fence(&w)));
    // Sooner than asked for, the answer is the same: a job may be called early.
    w.pass(5);
    let same = w.now() + TimeDelta::seconds(15);
    assert_eq!(late(&w, id, &closed(&[])).await?, LateLook::Later(same));
    w.pass(5);
    assert_eq!(late(&w, id, &closed(&[&first])).await?, LateLook::Later(after_a_fence(&w)));
    assert_eq!(sold(&w, id).await?, 1_500_000);
    w.pass(20);
    assert_eq!(late(&w, id, &closed(&[&first])).await?, LateLook::Done);
    assert_eq!(kinds(&w).await?, ["fill_reinstated", "fill_reversed"]);
    w.sound().await
}

/// Back and forth: every turn is booked once, under a name of its own.
#[tokio::test]
async fn as_often_as_the_venue_likes() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = taken_back_alive(&w).await?;
    // Not closed: the look is not over.
    let open = OrderFacts { closed: false, ..closed(&[&first]) };
    for round in 1..=2 {
        assert!(matches!(late(&w, id, &open).await?, LateLook::Later(_)));
        assert_eq!(sold(&w, id).await?, 1_500_000, "{round}");
        if round == 2 {
            break;
        }
        // It disappears behind a fill that keeps the look open.
        let other = OrderFacts { executed: Amount::try_new(1, Asset::Usdc)?, ..closed(&[]) };
        assert!(matches!(late(&w, id, &other).await?, LateLook::Later(_)), "does not add up");
        assert_eq!(sold(&w, id).await?, 1_500_000);
    }
    assert!(matches!(late(&w, id, &closed(&[])).await?, LateLook::Later(_)));
    w.pass(6);
    assert_eq!(late(&w, id, &closed(&[])).await?, LateLook::Later(after_a_fence(&w)));
    assert_eq!((sold(&w, id).await?, w.balance("venue:wazirx:INR:free").await?), (0, 0));
    let mut conn = w.base.pool.acquire().await?;
    for key in ["fill:wazirx:t1:back", "fill:wazirx:t1:again:1", "fill:wazirx:t1:again:1:back"] {
        ledger::find(&mut conn, key).await?.with_context(|| key.to_owned())?;
    }
    drop(conn);
    assert_eq!(kinds(&w).await?, ["fill_reinstated", "fill_reversed", "fill_reversed"]);
    w.sound().await
}

async fn rupees_leave(w: &World, amount: Amount) -> Result<()> {
    let bank = chart::bank("razorpayx");
    let transit = chart::transit("wazirx", "bank", Asset::Inr);
    let legs = [
        (
            "transfer.out",
            Leg::new(transit.clone(), chart::venue_free("wazirx", Asset::Inr), amount),
        ),
        ("transfer.in", Leg::new(bank, transit, amount)),
    ];
    let mut conn = w.base.pool.acquire().await?;
    for (kind, leg) in legs {
        let transfer = ledger::Transfer {
            key: format!("test:{kind}"),
            kind,
            correlation: None,
            actor: "a test".to_owned(),
            effective_at: w.now(),
            meta: json!({}),
            legs: vec![leg],
        };
        ledger::post(&mut conn, &transfer).await?;
    }
    Ok(())
}

async fn is_booked(w: &World) -> Result<Value> {
    let detail: Value = sqlx::query_scalar("select detail from cases where kind = 'fill_reversed'")
        .fetch_one(&w.base.pool)
        .await?;
    Ok(detail["booked"].clone())
}

/// The proceeds have left the venue: nothing is booked, a person is called, and once the rupees are
/// back the books follow by themselves.
#[tokio::test]
async fn taken_back_when_its_rupees_are_gone() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = closed_short(&w).await?;
    rupees_leave(&w, first.gross).await?;
    assert!(matches!(late(&w, id, &closed(&[])).await?, LateLook::Later(_)));
    for _ in 0..2 {
        w.pass(60);
        let looked = late(&w, id, &closed(&[])).await?;
        assert_eq!(looked, LateLook::Later(w.now() + TimeDelta::minutes(1)));
        assert_eq!((sold(&w, id).await?, is_booked(&w).await?), (1_500_000, json!(false)));
        assert_eq!(kinds(&w).await?, ["fill_reversed"]);
        assert_eq!(w.count("select count(*) from fill_reversals").await?, 0);
    }
    let mut tx = w.base.pool.begin().await?;
    let venue = chart::venue_free("wazirx", Asset::Inr);
    bookkeeping::capital_paid_in(&mut tx, &w.base, venue, first.gross, "rupees back").await?;
    tx.commit().await?;
    w.pass(60);
    assert_eq!(late(&w, id, &closed(&[])).await?, LateLook::Later(after_a_fence(&w)));
    w.pass(20);
    assert_eq!(late(&w, id, &closed(&[])).await?, LateLook::Done);
    assert_eq!((sold(&w, id).await?, is_booked(&w).await?), (0, json!(true)));
    assert_eq!(w.balance("venue:wazirx:INR:free").await?, 0);
    w.sound().await
}

/// The same number with another content is the venue's contradiction: nothing is booked of it, and
/// a person is called, once.
#[tokio::test]
async fn another_content_under_the_same_number() -> Result<()> {
    let w = World::open().await?;
    let (_, id) = selling(&w).await?;
    let first = fill(&w, "t1", Amount::try_new(1_500_000, Asset::Usdc)?);
    let open = |fill: &FillFacts| OrderFacts { closed: false, ..closed(&[fill]) };
    assert_eq!(told(&w, id, &open(&first)).await?, OrderOutcome::Open);
    let rupees = w.balance("venue:wazirx:INR:free").await?;
    for changed in [
        FillFacts { gross: World::inr(first.gross.minor() + 1), ..first.clone() },
        FillFacts { sold: Amount::try_new(1_400_000, Asset::Usdc)?, ..first.clone() },
    ] {
        let refused = told(&w, id, &open(&changed)).await;
        let Err(Error::Inconsistent(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("other content"), "{why}");
        for _ in 0..2 {
            let mut tx = w.base.pool.begin().await?;
            conversion::show_contradiction_in(&mut tx, &w.base, id, &why).await?;
            tx.commit().await?;
        }
    }
    assert_eq!(kinds(&w).await?, ["order_unknown"]);
    assert_eq!(
        (sold(&w, id).await?, w.balance("venue:wazirx:INR:free").await?),
        (1_500_000, rupees)
    );
    assert_eq!(told(&w, id, &open(&first)).await?, OrderOutcome::Open, "as it was");
    w.sound().await
}

/// Booked under the bare number by an older release: under its full name it is the same trade.
#[tokio::test]
async fn a_trade_keeps_the_name_it_was_booked_under() -> Result<()> {
    let w = World::open().await?;
    let (_, id) = selling(&w).await?;
    let old = fill(&w, "77", Amount::try_new(1_500_000, Asset::Usdc)?);
    let new = FillFacts { trade_id: "USDCINR-77".to_owned(), ..old.clone() };
    assert_eq!(
        told(&w, id, &OrderFacts { closed: false, ..closed(&[&old]) }).await?,
        OrderOutcome::Open
    );
    let mut conn = w.base.pool.acquire().await?;
    assert!(conversion::knows_trade(&mut conn, "wazirx", "USDCINR-77").await?);
    assert!(!conversion::knows_trade(&mut conn, "wazirx", "ETHINR-77").await?);
    drop(conn);
    assert_eq!(told(&w, id, &closed(&[&new])).await?, OrderOutcome::Short);
    assert_eq!((sold(&w, id).await?, w.count("select count(*) from fills").await?), (1_500_000, 1));
    w.pass(25);
    assert_eq!(late(&w, id, &closed(&[&new])).await?, LateLook::Done);
    assert!(kinds(&w).await?.is_empty());
    w.sound().await
}
