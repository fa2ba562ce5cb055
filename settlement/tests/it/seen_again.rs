//! A transaction that a reorganisation executed anew: nothing of the old execution is kept.

use anyhow::Result;
use primitives::{Amount, Asset};
use settlement::deposit;

use crate::world::{World, net};

/// To another payment, in another asset, with another amount: the identity is all that stays.
#[tokio::test]
async fn for_another_payment_in_another_asset() -> Result<()> {
    let w = World::open().await?;
    let first = w.ask(100_000, Asset::Usdc).await?;
    let second = w.ask(50_000, Asset::Usdt).await?;
    let height = w.block(w.now()).await?;
    let before = w.sighting(&first.quote.address, first.quote.payable, height);
    let id = w.see(&before).await?;
    assert_eq!(w.state(first.id).await?, "confirming");
    w.gone(id).await?;
    assert_eq!(w.state(first.id).await?, "awaiting_deposit");
    let height = w.block(w.now()).await?;
    let mut after = w.sighting(&second.quote.address, second.quote.payable, height);
    after.tx_id.clone_from(&before.tx_id);
    assert_eq!(w.see(&after).await?, id, "the same transaction is the same deposit");
    let mut conn = w.base.pool.acquire().await?;
    let now = deposit::get_in(&mut conn, id).await?;
    drop(conn);
    assert_eq!(now.payment, Some(second.id));
    assert_eq!(now.quote, Some(second.quote.id));
    assert_eq!((now.amount, now.address), (second.quote.payable, second.quote.address.clone()));
    w.confirm(id).await?;
    assert_eq!(w.state(second.id).await?, "accepted");
    assert_eq!(w.state(first.id).await?, "awaiting_deposit");
    assert_eq!(w.owed_to_shop().await?, net(50_000));
    assert_eq!(w.balance("escrow:anvil:USDC").await?, 0);
    assert_eq!(w.balance("escrow:anvil:USDT").await?, second.quote.payable.minor());
    w.sound().await
}

#[tokio::test]
async fn for_nobody() -> Result<()> {
    let w = World::open().await?;
    let first = w.ask(100_000, Asset::Usdc).await?;
    let height = w.block(w.now()).await?;
    let before = w.sighting(&first.quote.address, first.quote.payable, height);
    let id = w.see(&before).await?;
    w.gone(id).await?;
    let mut after = w.sighting("0xaddress19", first.quote.payable, w.block(w.now()).await?);
    after.tx_id.clone_from(&before.tx_id);
    w.see(&after).await?;
    w.confirm(id).await?;
    assert_eq!(w.state(first.id).await?, "awaiting_deposit");
    assert_eq!(w.outcome(id).await?.0, "review");
    assert_eq!(w.balance("suspense:USDC").await?, first.quote.payable.minor());
    assert_eq!(w.count("select count(*) from deposits where payment_id is null").await?, 1);
    w.sound().await
}

/// The same payment in a later block is in time by when it first came.
#[tokio::test]
async fn for_the_same_payment_after_the_rate_ended() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let height = w.block(w.now()).await?;
    let before = w.sighting(&asked.quote.address, asked.quote.payable, height);
    let id = w.see(&before).await?;
    w.gone(id).await?;
    w.pass(1_500);
    let height = w.block(w.now()).await?;
    let mut after = w.sighting(&asked.quote.address, asked.quote.payable, height);
    after.tx_id.clone_from(&before.tx_id);
    w.see(&after).await?;
    w.confirm(id).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    w.sound().await
}

/// While it is in a block, what a deposit says cannot be changed, whoever tries.
#[tokio::test]
async fn and_never_while_it_counts() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, Amount::try_new(5, Asset::Usdc)?).await?;
    for sql in [
        "update deposits set amount_minor = 6",
        "update deposits set asset = 'ETH'",
        "update deposits set address = 'elsewhere'",
        "update deposits set tx_id = 'another'",
    ] {
        assert!(sqlx::query(sql).execute(&w.db.owner).await.is_err(), "{sql}");
    }
    Ok(())
}
