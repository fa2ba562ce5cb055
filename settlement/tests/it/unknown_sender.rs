//! Money to an address of ours that no payment has been given, or to our wallet without a name.

use anyhow::Result;
use primitives::{Amount, Asset};
use settlement::payment::{AtPrice, attribute_in};

use crate::world::{World, net};

fn usdc(minor: i128) -> Amount {
    Amount::try_new(minor, Asset::Usdc).unwrap()
}

#[tokio::test]
async fn is_booked_with_a_case_and_nobodys_payment() -> Result<()> {
    let w = World::open().await?;
    for to in ["0xaddress19", "our wallet, which no payment owns"] {
        let deposit = w.pay(to, usdc(5_000_000)).await?;
        assert_eq!(w.outcome(deposit).await?, ("review".to_owned(), 0));
    }
    assert_eq!(w.balance("suspense:USDC").await?, 10_000_000);
    let open = "select count(*) from cases where kind = 'deposit_without_payment'
                and closed_at is null and payment_id is null";
    assert_eq!(w.count(open).await?, 2);
    w.sound().await
}

#[tokio::test]
async fn dust_to_it_calls_nobody() -> Result<()> {
    let w = World::open().await?;
    for _ in 0..5 {
        let deposit = w.pay("0xaddress19", usdc(3)).await?;
        assert_eq!(w.outcome(deposit).await?.0, "dust");
    }
    assert_eq!(w.count("select count(*) from cases where closed_at is null").await?, 0);
    assert_eq!(w.balance("suspense:USDC").await?, 15);
    w.sound().await
}

/// The payer calls: it was for that payment.
#[tokio::test]
async fn finds_its_payment() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let deposit = w.pay("0xaddress19", asked.quote.payable).await?;
    let mut tx = w.base.pool.begin().await?;
    let done = attribute_in(&mut tx, &w.base, deposit, asked.id, AtPrice::Quoted).await?;
    tx.commit().await?;
    assert_eq!(done.state.name(), "accepted");
    assert!(done.due.is_zero());
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    assert_eq!(w.count("select count(*) from cases where closed_at is null").await?, 0);
    assert_eq!((w.balance("suspense:USDC").await?, w.of_shop(Asset::Usdc).await?), (0, 0));
    w.sound().await
}
