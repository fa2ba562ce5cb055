//! Policies at work: a real node's blocks, witnesses and reorganisations decide.

use anyhow::Result;
use primitives::{Amount, Asset};
use settlement::{
    bookkeeping::risk,
    policy::{self, NewPolicy, Tier, early},
};
use testkit::{Fleet, network};

/// Rupees a shop is left with of ₹ 1,400: less one per cent, and the tax on that.
const NET: i128 = 140_000 - 1_400 - 252;

fn tier(rules: [&str; 3], min_witnesses: u16) -> Result<Tier> {
    let [show, accept, last] = rules;
    let from = Amount::zero(Asset::Inr);
    Ok(Tier {
        from,
        show: show.parse()?,
        accept: accept.parse()?,
        last: last.parse()?,
        min_witnesses,
    })
}

async fn set(fleet: &Fleet, tier: Tier) -> Result<()> {
    let network = network()?;
    let new = NewPolicy {
        network: &network,
        asset: Asset::Eth,
        tiers: &[tier],
        actor: "test",
        reason: "a test",
    };
    let mut tx = fleet.base.pool.begin().await?;
    policy::set_in(&mut tx, &fleet.base, &new).await?;
    Ok(tx.commit().await?)
}

async fn grant(fleet: &Fleet, paise: i128) -> Result<()> {
    let amount = Amount::try_new(paise, Asset::Inr)?;
    let (base, signed) = (&fleet.base, ("test", "a test"));
    let mut tx = base.pool.begin().await?;
    risk::limit_changed(&mut tx, base, &network()?, (amount, true), base.uuid(), signed).await?;
    Ok(tx.commit().await?)
}

async fn taken(fleet: &Fleet) -> Result<i128> {
    let mut conn = fleet.base.pool.acquire().await?;
    Ok(risk::limit_in(&mut conn, &network()?).await?.taken.minor())
}

async fn loss(fleet: &Fleet) -> Result<i128> {
    let mut conn = fleet.base.pool.acquire().await?;
    Ok(ledger::balance(&mut conn, "loss:ETH").await?.map_or(0, |b| b.posted.minor()))
}

#[tokio::test]
async fn paid_is_said_at_one_block_and_settled_when_final() -> Result<()> {
    let fleet = Fleet::open().await?;
    set(&fleet, tier(["mempool", "1", "4"], 1)?).await?;
    grant(&fleet, 200_000).await?;
    let asked = fleet.ask(140_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    assert_eq!(fleet.story(&asked).await?.state, "accepted");
    assert_eq!(taken(&fleet).await?, 140_000);
    fleet.advance(30).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.sums.credited.minor()), ("accepted", 0));
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (0, 0));
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(taken(&fleet).await?, 0);
    assert_eq!(fleet.received_by(fleet.shop()?)?, NET);
    fleet.check_books().await
}

#[tokio::test]
async fn a_loss_is_honoured_and_the_shop_is_paid() -> Result<()> {
    let fleet = Fleet::open().await?;
    set(&fleet, tier(["mempool", "1", "4"], 1)?).await?;
    grant(&fleet, 200_000).await?;
    let asked = fleet.ask(140_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.node.payer.reorg(1, &[]).await?;
    fleet.advance(30).await?;
    assert_eq!(fleet.story(&asked).await?.state, "accepted");
    assert_eq!(fleet.cases().await?, ["early_acceptance_gone"]);
    assert_eq!(fleet.payouts_at_bank()?, 0);
    let mut tx = fleet.base.pool.begin().await?;
    let signed = ("ops", "the payer is gone");
    let lost = early::honour_in(&mut tx, &fleet.base, asked.payment, signed).await?;
    tx.commit().await?;
    assert_eq!(lost, asked.payable());
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    assert_eq!(loss(&fleet).await?, asked.payable().minor());
    assert_eq!(fleet.received_by(fleet.shop()?)?, NET);
    fleet.check_books().await
}

/// The node is one, the policy wants two: unknown, for as long as it takes.
#[tokio::test]
async fn one_node_is_not_two_witnesses() -> Result<()> {
    let fleet = Fleet::open().await?;
    set(&fleet, tier(["mempool", "3", "3"], 2)?).await?;
    let asked = fleet.ask(140_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.mine(9).await?;
    fleet.advance(20).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits[0].state.as_str()), ("confirming", "seen"));
    assert_eq!(fleet.cases().await?, Vec::<String>::new());
    set(&fleet, tier(["mempool", "3", "3"], 1)?).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&asked).await?.state, "settled");
    fleet.check_books().await
}

/// Blocks that were final are gone, at several depths: the books follow the chain down and up.
#[tokio::test]
async fn final_blocks_go_and_come_back() -> Result<()> {
    let fleet = Fleet::open().await?;
    set(&fleet, tier(["mempool", "3", "3"], 1)?).await?;
    for depth in [3_u64, 4, 9, 17, 31] {
        let asked = fleet.ask(140_000, Asset::Eth).await?;
        let sent = fleet.pay(&asked, asked.payable()).await?;
        let included = fleet.node.payer.height().await?;
        let raw = fleet.node.payer.raw_transaction(&sent).await?;
        fleet.mine(depth - 1).await?;
        fleet.settle().await?;
        assert_eq!(fleet.story(&asked).await?.state, "settled", "depth {depth}");
        fleet.check_books().await?;
        let deep = fleet.node.payer.height().await? - included + 1;
        assert!(deep >= depth);
        fleet.node.payer.reorg(deep, &[]).await?;
        fleet.advance(5).await?;
        let story = fleet.story(&asked).await?;
        assert_eq!(story.deposits[0].state, "orphaned", "depth {depth}");
        assert_eq!(loss(&fleet).await?, asked.payable().minor(), "depth {depth}");
        assert!(story.cases.contains(&"reorg_after_final (open)".to_owned()));
        fleet.check_books().await?;
        assert_eq!(fleet.node.send_raw(&raw).await?, sent);
        fleet.settle().await?;
        let story = fleet.story(&asked).await?;
        assert_eq!(story.deposits[0].state, "confirmed", "depth {depth}");
        assert_eq!(story.cases, ["reorg_after_final (closed)"], "depth {depth}");
        assert_eq!(loss(&fleet).await?, 0, "depth {depth}");
        fleet.check_books().await?;
    }
    Ok(())
}
