//! A frozen account stops its own money and no scan.

use anyhow::Result;
use primitives::Asset;
use settlement::{
    chart,
    payment::{self, AtPrice},
};

use crate::world::{World, net};

async fn freeze(w: &World, asset: Asset, frozen: bool) -> Result<()> {
    let code = chart::deposit(w.merchant, asset).code;
    let mut tx = w.db.owner.begin().await?;
    let changed = sqlx::query(
        "update ledger.balances b set frozen = $2 from ledger.accounts a
         where a.id = b.account_id and a.code = $1",
    )
    .bind(code)
    .bind(frozen)
    .execute(&mut *tx)
    .await?;
    anyhow::ensure!(changed.rows_affected() == 1, "no such account");
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn what_comes_is_set_aside_with_a_case() -> Result<()> {
    let w = World::open().await?;
    let before = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&before.quote.address, before.quote.payable).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    freeze(&w, Asset::Usdc, true).await?;
    let height = w.block(w.now()).await?;
    let id = w.see(&w.sighting(&asked.quote.address, asked.quote.payable, height)).await?;
    assert_eq!(w.cases(asked.id, true).await?, ["shop_account_frozen"], "told at once");
    w.confirm(id).await?;
    assert_eq!(w.balance("suspense:USDC").await?, asked.quote.payable.minor());
    assert_eq!(w.outcome(id).await?.0, "review");
    freeze(&w, Asset::Usdc, false).await?;
    let mut tx = w.base.pool.begin().await?;
    payment::attribute_in(&mut tx, &w.base, id, asked.id, AtPrice::Quoted).await?;
    tx.commit().await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.owed_to_shop().await?, 2 * net(100_000));
    assert!(w.cases(asked.id, true).await?.is_empty());
    w.sound().await
}
