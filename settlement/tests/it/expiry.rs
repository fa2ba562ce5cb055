//! The end of waiting: only past the deadline by the network's own stamps, and never in review
//! without a case.

use anyhow::Result;
use chrono::TimeDelta;
use primitives::Asset;
use settlement::{
    deposit::{self, Gone, OnItsWay},
    payment::Expiry,
};

use crate::world::{World, net};

/// The node lags: it stands at its head, whose newest block is older than the deadline. A block
/// stamped before the deadline may still come, and counts.
#[tokio::test]
async fn waits_for_blocks_stamped_before_the_deadline() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 600).await?;
    let quote = w.quote(id, Asset::Usdc).await?;
    let ends = w.payment(id).await?.expires_at;
    w.block(ends - TimeDelta::seconds(30)).await?;
    w.pass(610);
    w.at_head().await?;
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "the head is not past the deadline");
    let height = w.block(ends - TimeDelta::seconds(5)).await?;
    let mut seen = w.sighting(&quote.address, quote.payable, height);
    seen.block_time = ends - TimeDelta::seconds(5);
    let deposit = w.see(&seen).await?;
    w.at_head().await?;
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "a deposit is being confirmed");
    w.confirm(deposit).await?;
    assert_eq!(w.state(id).await?, "accepted");
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

#[tokio::test]
async fn ends_after_a_block_stamped_past_the_deadline() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 600).await?;
    w.quote(id, Asset::Usdc).await?;
    w.pass(605);
    w.block(w.now()).await?;
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "not at the head since the deadline");
    w.at_head().await?;
    assert_eq!(w.expire(id).await?, Expiry::Ended);
    assert_eq!(w.state(id).await?, "expired");
    Ok(())
}

/// Where no block comes for long, standing at the head all that while is enough; a node that is
/// down is not.
#[tokio::test]
async fn ends_on_a_quiet_network_and_never_on_a_silent_node() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 600).await?;
    w.quote(id, Asset::Usdc).await?;
    w.pass(50_000);
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "nobody has looked");
    w.at_head().await?;
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "one look is not all that while");
    w.pass(500);
    w.block(w.payment(id).await?.expires_at - TimeDelta::seconds(1)).await?;
    w.pass(500);
    w.at_head().await?;
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "the cursor moved in between");
    w.pass(5_000);
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "nobody has looked since");
    w.pass(-4_400);
    w.at_head().await?;
    assert_eq!(w.expire(id).await?, Expiry::Ended);
    Ok(())
}

/// The time at the head counts from the deadline on, not from before it.
#[tokio::test]
async fn standing_at_the_head_before_the_deadline_is_not_enough() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 900).await?;
    w.quote(id, Asset::Usdc).await?;
    w.pass(10);
    w.at_head().await?;
    w.pass(900);
    w.at_head().await?;
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "ten seconds past it");
    w.pass(590);
    w.at_head().await?;
    assert_eq!(w.expire(id).await?, Expiry::Ended);
    Ok(())
}

/// One node forgot what was on its way: another may still have it, until the grace is over. What
/// was replaced is awaited no more.
#[tokio::test]
async fn waits_for_what_a_node_dropped() -> Result<()> {
    for (gone, held) in [(Gone::Absent, true), (Gone::Replaced { by: None }, false)] {
        let w = World::open().await?;
        let id = w.create(100_000, 600).await?;
        let quote = w.quote(id, Asset::Usdc).await?;
        let on_its_way = OnItsWay {
            network: w.network.clone(),
            tx_id: "0xmempool".to_owned(),
            ordinal: 0,
            address: quote.address.clone(),
            amount: quote.payable,
            spends: Vec::new(),
        };
        let mut tx = w.base.pool.begin().await?;
        deposit::on_its_way_in(&mut tx, &w.base, &on_its_way).await?;
        let waiting = deposit::waiting(&mut tx, &w.network).await?;
        deposit::not_coming_in(&mut tx, &w.base, waiting[0].id, &gone).await?;
        tx.commit().await?;
        w.pass(605);
        w.block(w.now()).await?;
        w.pass(1);
        w.at_head().await?;
        let ended = w.expire(id).await?;
        assert_eq!(matches!(ended, Expiry::NotYet(_)), held, "{gone:?}: {ended:?}");
        w.pass(7_300);
        w.at_head().await?;
        assert_eq!(w.expire(id).await?, Expiry::Ended, "{gone:?}: the grace is over");
    }
    Ok(())
}

/// A payment that was never quoted waits for no network.
#[tokio::test]
async fn without_an_address_it_just_ends() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 600).await?;
    w.pass(601);
    assert_eq!(w.expire(id).await?, Expiry::Ended);
    assert_eq!(w.state(id).await?, "expired");
    Ok(())
}

/// Late money that was seen and then orphaned is no reason for a review.
#[tokio::test]
async fn late_money_that_was_orphaned_is_no_review() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 1_200).await?;
    let quote = w.quote(id, Asset::Usdc).await?;
    w.pass(1_000);
    let height = w.block(w.now()).await?;
    let late = w.see(&w.sighting(&quote.address, quote.payable, height)).await?;
    assert!(w.payment(id).await?.flags.late);
    w.pass(300);
    w.block(w.now()).await?;
    w.pass(1);
    w.at_head().await?;
    assert!(matches!(w.expire(id).await?, Expiry::NotYet(_)), "it may still become final");
    w.gone(late).await?;
    assert_eq!(w.expire(id).await?, Expiry::Ended);
    assert_eq!(w.state(id).await?, "expired");
    assert!(w.cases(id, true).await?.is_empty());
    w.sound().await
}

/// The case was closed before the time was up: the review opens another.
#[tokio::test]
async fn a_review_always_has_a_case() -> Result<()> {
    let w = World::open().await?;
    let id = w.create(100_000, 1_200).await?;
    let quote = w.quote(id, Asset::Usdc).await?;
    w.pass(1_000);
    w.pay(&quote.address, quote.payable).await?;
    assert_eq!(w.cases(id, true).await?, ["late_deposit"]);
    sqlx::query("update cases set closed_at = now()").execute(&w.db.owner).await?;
    w.until_expired(id).await?;
    assert_eq!(w.state(id).await?, "in_review");
    assert_eq!(w.cases(id, true).await?, ["late_deposit"]);
    w.sound().await
}
