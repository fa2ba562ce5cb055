//! The chain takes a deposit back before it was final: the payment waits again, and the same
//! transaction in another block is credited once.

use anyhow::Result;
use primitives::Asset;
use testkit::Fleet;

use super::net;

#[tokio::test]
async fn and_included_again() -> Result<()> {
    let fleet = Fleet::open().await?;
    for asset in [Asset::Eth, Asset::Usdc] {
        let asked = fleet.ask(140_000, asset).await?;
        let sent = fleet.pay(&asked, asked.payable()).await?;
        let raw = fleet.node.payer.raw_transaction(&sent).await?;
        fleet.step(2).await?;
        assert_eq!(fleet.story(&asked).await?.state, "confirming");
        fleet.node.payer.reorg(1, &[]).await?;
        fleet.step(2).await?;
        let story = fleet.story(&asked).await?;
        assert_eq!(story.state, "awaiting_deposit");
        assert_eq!(story.deposits[0].state, "orphaned");
        fleet.check_books().await?;
        assert_eq!(fleet.node.send_raw(&raw).await?, sent);
        fleet.settle().await?;
        let story = fleet.story(&asked).await?;
        assert_eq!((story.state, story.deposits.len()), ("settled", 1));
        assert_eq!(story.deposits[0].state, "confirmed");
        assert_eq!(story.sums.credited.minor(), 140_000);
    }
    assert_eq!(fleet.received_by(fleet.shop()?)?, 2 * net(140_000));
    fleet.check_books().await
}

/// The new branch carries the transaction itself, in a later block.
#[tokio::test]
async fn in_another_block() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(140_000, Asset::Eth).await?;
    let sent = fleet.pay(&asked, asked.payable()).await?;
    let raw = fleet.node.payer.raw_transaction(&sent).await?;
    fleet.mine(1).await?;
    fleet.step(2).await?;
    fleet.node.payer.reorg(2, &[(raw, 1)]).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits.len()), ("settled", 1));
    assert_eq!(fleet.count("select count(*) from inclusions").await?, 2);
    fleet.check_books().await
}

/// Never included again: the payment expires with nothing credited.
#[tokio::test]
async fn and_never_seen_again() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(140_000, Asset::Usdt).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.node.payer.reorg(1, &[]).await?;
    fleet.advance(1_000).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.sums.credited.minor()), ("expired", 0));
    fleet.check_books().await
}

/// A block we called final is gone: the books follow the chain, what the shop was paid is our loss
/// until it comes back, and a person is called.
#[tokio::test]
async fn after_it_was_final() -> Result<()> {
    let fleet = Fleet::open().await?;
    let asked = fleet.ask(140_000, Asset::Usdt).await?;
    fleet.pay(&asked, asked.payable()).await?;
    let included = fleet.node.payer.height().await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    let deep = fleet.node.payer.height().await? + 1 - included;
    fleet.node.payer.reorg(deep, &[]).await?;
    fleet.advance(90).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(
        (story.state, story.cases.as_slice()),
        ("settled", &["reorg_after_final (open)".to_owned()][..])
    );
    assert_eq!(story.deposits[0].state, "orphaned");
    assert_eq!(fleet.payouts_at_bank()?, 1);
    assert!(!fleet.cases().await?.contains(&"books_differ".to_owned()));
    fleet.check_books().await
}
