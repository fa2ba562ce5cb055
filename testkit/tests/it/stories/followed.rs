//! The scan itself: any depth unwinds, an old leader is fenced out, reading again finds nothing,
//! a day away is caught up.

use anyhow::{Context as _, Result};
use primitives::Asset;
use settlement::deposit::{
    cursor::{self, FollowedBlock},
    leader,
};
use testkit::{Fleet, Options, network};

/// Depths from 1 to 64 on one fleet, confirmed or not by then: the books equal the chain after
/// each.
#[tokio::test]
async fn any_depth_unwinds_state_and_books() -> Result<()> {
    for confirmations in [3, 100] {
        let mut options = Options::new()?;
        if let Some(settings) = options.settings.networks.get_mut(&network()?) {
            settings.confirm = settlement::AcceptRule::Depth { blocks: confirmations };
        }
        let fleet = Fleet::with(options).await?;
        // So that no reorganisation reaches below the first block that was followed.
        fleet.mine(64).await?;
        fleet.step(2).await?;
        for depth in [1_u64, 2, 3, 5, 13, 34, 64] {
            let asked = fleet.ask(140_000, Asset::Usdc).await?;
            fleet.pay(&asked, asked.payable()).await?;
            fleet.mine(depth.saturating_sub(1)).await?;
            fleet.step(2).await?;
            let before = fleet.story(&asked).await?.deposits[0].state.clone();
            assert!(["seen", "confirmed"].contains(&before.as_str()), "depth {depth}: {before}");
            fleet.node.payer.reorg(depth, &[]).await?;
            fleet.mine(1).await?;
            fleet.step(4).await?;
            let story = fleet.story(&asked).await?;
            assert_eq!(story.deposits[0].state, "orphaned", "depth {depth}");
            fleet.settle().await?;
            fleet.check_books().await.with_context(|| format!("depth {depth}"))?;
        }
    }
    Ok(())
}

/// A leader that was frozen, and wakes up after another one took the lead, changes nothing.
#[tokio::test]
async fn an_old_leader_is_fenced_out() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.mine(1).await?;
    fleet.step(2).await?;
    let (network, base) = (network()?, &fleet.base);
    let mut conn = base.pool.acquire().await?;
    let old = leader::take_in(&mut conn, base, &network, "the frozen one").await?;
    let mut at = cursor::get(&mut conn, &network).await?.context("no cursor")?;
    at.leader = Some(old);
    assert_eq!(leader::take_in(&mut conn, base, &network, "the frozen one").await?, old);
    let new = leader::take_in(&mut conn, base, &network, "the next one").await?;
    assert!(new > old);
    let next = FollowedBlock {
        height: at.height + 1,
        hash: "0xmade-up".to_owned(),
        parent_hash: at.hash.clone(),
        stamped_at: None,
    };
    assert!(!leader::holds_in(&mut conn, &network, old).await?);
    assert!(!cursor::advance_in(&mut conn, base, &network, &at, &next).await?, "it moved");
    drop(conn);
    // The fleet takes the lead back and goes on.
    let asked = fleet.ask(140_000, Asset::Usdc).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.check_books().await
}

#[tokio::test]
async fn reading_again_finds_nothing_new() -> Result<()> {
    let fleet = Fleet::open().await?;
    for asset in [Asset::Eth, Asset::Usdc] {
        let asked = fleet.ask(140_000, asset).await?;
        fleet.pay(&asked, asked.payable()).await?;
    }
    fleet.settle().await?;
    let done = workers::rescan(&fleet.worker.ctx, &network()?, 0).await?;
    assert_eq!((done.seen, done.new), (2, 0), "{done:?}");
    assert!(done.blocks > 5, "{done:?}");
    fleet.check_books().await?;
    let nowhere = primitives::NetworkId::new("nowhere").context("a name")?;
    assert!(workers::rescan(&fleet.worker.ctx, &nowhere, 0).await.is_err());
    Ok(())
}

/// Away for thousands of blocks: caught up in bounded batches, nothing missed.
#[tokio::test]
async fn a_day_away_is_caught_up() -> Result<()> {
    let fleet = Fleet::open().await?;
    fleet.step(2).await?;
    let asked = fleet.ask(140_000, Asset::Usdc).await?;
    fleet.mine(1_000).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.mine(1_000).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    assert!(fleet.count("select count(*) from chain_blocks where canonical").await? > 2_000);
    fleet.check_books().await
}
