//! What a shop is paid is what the conversion credited, whatever the fees are today.

use std::sync::Arc;

use anyhow::Result;
use primitives::Asset;
use serde_json::json;
use settlement::{Base, bookkeeping::promises, payout};

use crate::world::{World, net, settings};

#[tokio::test]
async fn comes_from_the_legs_and_not_from_the_settings() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    let dearer = settings(|s| {
        s["fee_bps"] = json!(900);
        s["gst_bps"] = json!(0);
    });
    let base = Base { settings: Arc::new(dearer), ..w.base.clone() };
    let mut tx = base.pool.begin().await?;
    payout::plan_in(&mut tx, &base, asked.id).await?;
    payout::plan_in(&mut tx, &base, asked.id).await?;
    tx.commit().await?;
    assert_eq!(w.count("select count(*) from payouts").await?, 1);
    let planned = w.count("select amount_minor::bigint from payouts").await?;
    assert_eq!(i128::from(planned), net(100_000));
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

/// Honoured short: the payout is what was credited, not what was asked for.
#[tokio::test]
async fn is_what_was_credited_when_a_policy_took_less() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| {
        c.short = settlement::merchant_policy::Action::Honour;
        c.tolerance_bps = primitives::Bps::new(100).unwrap();
    })
    .await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, crate::world::part(asked.quote.payable, 9_920)).await?;
    let mut tx = w.base.pool.begin().await?;
    payout::plan_in(&mut tx, &w.base, asked.id).await?;
    tx.commit().await?;
    let planned = w.count("select amount_minor::bigint from payouts").await?;
    assert_eq!(i128::from(planned), w.owed_to_shop().await?);
    assert!(i128::from(planned) < net(100_000));
    Ok(())
}

/// A conversion that was reversed owes nothing, and nothing is paid.
#[tokio::test]
async fn is_nothing_after_a_reversal() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    let key = format!("conv:{}", asked.id);
    let how = ledger::Resolution {
        key: format!("{key}:undo"),
        kind: ledger::REVERSAL,
        actor: "a test".to_owned(),
        effective_at: w.now(),
        meta: json!({}),
    };
    let mut tx = w.base.pool.begin().await?;
    ledger::reverse(&mut tx, &key, &how).await?;
    payout::plan_in(&mut tx, &w.base, asked.id).await?;
    let payment = settlement::payment::get_in(&mut tx, asked.id).await?;
    assert!(promises::credited_in(&mut tx, &payment).await?.is_zero());
    tx.commit().await?;
    assert_eq!(w.count("select count(*) from payouts").await?, 0);
    w.sound().await
}
