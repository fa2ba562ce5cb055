//! Payments on Solana: told apart by references, final by the cluster's word, across skipped slots.

use anyhow::Result;
use chains::sandbox::Keep;
use primitives::{Amount, Asset};
use testkit::{Fleet, Options, Other};

use super::net;

async fn open() -> Result<Fleet> {
    let others = vec![Other::solana().await?];
    Fleet::with(Options { others, ..Options::new()? }).await
}

#[tokio::test]
async fn settled_when_the_cluster_calls_it_final() -> Result<()> {
    let fleet = open().await?;
    let solana = fleet.other("solana")?;
    let mut due = 0;
    for (asset, paise) in [(Asset::Sol, 150_000), (Asset::Usdc, 90_000)] {
        let asked = fleet.ask_on(solana, paise, asset).await?;
        assert!(asked.quote.uri.contains(&format!("reference={}", asked.quote.address)));
        solana.sandbox.pay(&asked.quote.address, asked.payable()).await?;
        fleet.step(2).await?;
        assert_eq!(fleet.story(&asked).await?.state, "confirming");
        solana.sandbox.finalize().await?;
        fleet.settle().await?;
        assert_eq!(fleet.story(&asked).await?.state, "settled");
        due += net(paise);
    }
    assert_eq!(fleet.received_by(fleet.shop()?)?, due);
    fleet.check_books().await
}

/// Nothing says which payment it is for: booked, and a person is told.
#[tokio::test]
async fn without_a_reference_it_waits_for_a_person() -> Result<()> {
    let fleet = open().await?;
    let solana = fleet.other("solana")?;
    let wallet = chains_solana_sandbox::dev_wallet();
    solana.sandbox.pay(&wallet, Amount::try_new(700_000_000, Asset::Sol)?).await?;
    solana.sandbox.finalize().await?;
    fleet.settle().await?;
    let cases = fleet.cases().await?;
    assert!(cases.iter().any(|case| case.contains("deposit_without_payment")), "{cases:?}");
    fleet.check_books().await
}

#[tokio::test]
async fn taken_back_and_included_again() -> Result<()> {
    let fleet = open().await?;
    let solana = fleet.other("solana")?;
    let asked = fleet.ask_on(solana, 150_000, Asset::Sol).await?;
    solana.sandbox.pay(&asked.quote.address, asked.payable()).await?;
    // Across skipped slots.
    solana.sandbox.mine(9).await?;
    fleet.step(2).await?;
    assert_eq!(fleet.story(&asked).await?.state, "confirming");
    solana.sandbox.reorg(10, Keep::Everything).await?;
    solana.sandbox.finalize().await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits.len()), ("settled", 1));
    assert_eq!(fleet.count("select count(*) from inclusions").await?, 2);
    fleet.check_books().await
}
