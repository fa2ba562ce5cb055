//! What a venue does to an order after its end is booked: a late fill once, a fill taken back by a
//! contra entry.

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use primitives::{Amount, Asset, ConversionId};
use rust_decimal::Decimal;
use settlement::conversion::{
    self, ConversionState, FillFacts, LateLook, OrderFacts, OrderOutcome,
};

use crate::{retry::selling, world::World};

pub(crate) fn fill(w: &World, trade_id: &str, sold: Amount) -> FillFacts {
    let none = World::inr(0);
    FillFacts {
        trade_id: trade_id.to_owned(),
        sold,
        gross: World::inr(sold.minor() * 80 / 10_000),
        fee: none,
        fee_gst: none,
        tds: none,
        price: Decimal::from(80),
        executed_at: w.now(),
    }
}

pub(crate) fn closed(fills: &[&FillFacts]) -> OrderFacts {
    let sold: i128 = fills.iter().map(|fill| fill.sold.minor()).sum();
    OrderFacts {
        venue_order_id: "1".to_owned(),
        closed: true,
        executed: Amount::try_new(sold, Asset::Usdc).unwrap(),
        fills: fills.iter().copied().cloned().collect(),
    }
}

pub(crate) async fn late(w: &World, id: ConversionId, facts: &OrderFacts) -> Result<LateLook> {
    let mut tx = w.base.pool.begin().await?;
    let look = conversion::late_in(&mut tx, &w.base, id, 1, Some(facts)).await?;
    tx.commit().await?;
    Ok(look)
}

/// A conversion whose first order closed with one fill of a dollar and a half.
pub(crate) async fn closed_short(w: &World) -> Result<(ConversionId, FillFacts)> {
    let (_, id) = selling(w).await?;
    let first = fill(w, "t1", Amount::try_new(1_500_000, Asset::Usdc)?);
    let mut tx = w.base.pool.begin().await?;
    let facts = closed(&[&first]);
    let outcome = conversion::order_in(&mut tx, &w.base, id, 1, &facts).await?;
    assert_eq!(outcome, OrderOutcome::Short);
    tx.commit().await?;
    w.pass(25);
    Ok((id, first))
}

pub(crate) async fn sold(w: &World, id: ConversionId) -> Result<i128> {
    let mut conn = w.base.pool.acquire().await?;
    Ok(conversion::get_in(&mut conn, id).await?.sold.minor())
}

pub(crate) async fn kinds(w: &World) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar("select kind from cases order by kind").fetch_all(&w.base.pool).await?)
}

#[tokio::test]
async fn a_late_fill_is_booked_once() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = closed_short(&w).await?;
    let second = fill(&w, "t2", Amount::try_new(250_000, Asset::Usdc)?);
    let facts = closed(&[&first, &second]);
    for _ in 0..2 {
        assert_eq!(late(&w, id, &facts).await?, LateLook::Done);
        assert_eq!(sold(&w, id).await?, 1_750_000);
    }
    let mut tx = w.base.pool.begin().await?;
    let conversion = conversion::get_in(&mut tx, id).await?;
    assert!(conversion::unlooked_in(&mut tx, &w.base, &conversion).await?.is_empty());
    tx.rollback().await?;
    assert!(kinds(&w).await?.is_empty());
    w.sound().await
}

/// Late fills sold the rest: the sale ends without a look at any market, when its orders have had
/// their last look, once.
#[tokio::test]
async fn sold_out_by_late_fills_it_ends() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = closed_short(&w).await?;
    let mut conn = w.base.pool.acquire().await?;
    let target = conversion::get_in(&mut conn, id).await?.target;
    let rest = fill(&w, "t2", target.checked_sub(first.sold)?);
    let all = closed(&[&first, &rest]);
    let open = OrderFacts { closed: false, ..all.clone() };
    let end = async || {
        let mut tx = w.base.pool.begin().await?;
        let ended = conversion::end_sold_in(&mut tx, &w.base, id).await?;
        tx.commit().await?;
        anyhow::Ok(ended)
    };
    assert!(!end().await?, "there is something left to sell");
    assert!(matches!(late(&w, id, &open).await?, LateLook::Later(_)));
    assert_eq!(sold(&w, id).await?, target.minor());
    assert!(!end().await?, "its last look is not made");
    assert_eq!(late(&w, id, &all).await?, LateLook::Done);
    assert!(end().await?);
    assert!(!end().await?, "once");
    assert_eq!(conversion::get_in(&mut conn, id).await?.state, ConversionState::Filled);
    assert_eq!(w.count("select count(*) from payouts").await?, 1);
    drop(conn);
    w.sound().await
}

/// Two sales are released from a silent venue at once: whoever asks last ends its case.
#[tokio::test]
async fn a_silence_ends_with_the_last_of_two() -> Result<()> {
    let w = World::open().await?;
    let (_, one) = selling(&w).await?;
    let (_, two) = selling(&w).await?;
    for id in [one, two] {
        let mut conn = w.base.pool.acquire().await?;
        conversion::silent_in(&mut conn, &w.base, id, "no answer").await?;
        conversion::show_silent_in(&mut conn, &w.base, id, "no answer").await?;
    }
    let open = "select count(*) from cases where kind = 'venue_silent' and closed_at is null";
    let end = async |expected: i64| {
        let mut conn = w.base.pool.acquire().await?;
        conversion::end_silence_in(&mut conn, &w.base, "wazirx").await?;
        assert_eq!(w.count(open).await?, expected);
        anyhow::Ok(())
    };
    end(1).await?;
    let resting = OrderFacts { closed: false, ..closed(&[]) };
    let mut first = w.base.pool.begin().await?;
    let mut second = w.base.pool.begin().await?;
    conversion::order_in(&mut first, &w.base, one, 1, &resting).await?;
    conversion::order_in(&mut second, &w.base, two, 1, &resting).await?;
    first.commit().await?;
    end(1).await?;
    second.commit().await?;
    end(0).await?;
    w.sound().await
}

#[tokio::test]
async fn a_fill_taken_back_is_mirrored_after_two_looks() -> Result<()> {
    let w = World::open().await?;
    let (id, first) = closed_short(&w).await?;
    let looked = late(&w, id, &closed(&[])).await?;
    assert_eq!(looked, LateLook::Later(w.now() + TimeDelta::seconds(6)));
    // Listed again in between: it was not taken back, and the next sighting is the first.
    w.pass(3);
    let open = OrderFacts { closed: false, ..closed(&[&first]) };
    assert!(matches!(late(&w, id, &open).await?, LateLook::Later(_)));
    w.pass(4);
    assert!(matches!(late(&w, id, &closed(&[])).await?, LateLook::Later(_)));
    assert_eq!(sold(&w, id).await?, 1_500_000);
    w.pass(6);
    let fence = w.now() + TimeDelta::seconds(20);
    assert_eq!(late(&w, id, &closed(&[])).await?, LateLook::Later(fence));
    assert_eq!(sold(&w, id).await?, 0);
    w.pass(20);
    assert_eq!(late(&w, id, &closed(&[])).await?, LateLook::Done);
    assert_eq!(kinds(&w).await?, ["fill_reversed"]);
    let mut conn = w.base.pool.acquire().await?;
    let contra = ledger::find(&mut conn, "fill:wazirx:t1:back").await?;
    assert_eq!(contra.context("a contra entry")?.kind, "reversal");
    drop(conn);
    w.sound().await
}
