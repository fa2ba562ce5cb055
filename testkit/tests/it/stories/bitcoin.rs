//! Payments in Bitcoin, on a real node: seen before a block, taken back, spent twice, in parts.

use anyhow::Result;
use chains::sandbox::Keep;
use primitives::Asset;
use testkit::{Fleet, Options, Other};

use super::{net, open_cases};

async fn open() -> Result<Fleet> {
    let others = vec![Other::bitcoin().await?];
    Fleet::with(Options { others, ..Options::new()? }).await
}

const ELSEWHERE: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

#[tokio::test]
async fn shown_before_a_block_and_settled_after_two() -> Result<()> {
    let fleet = open().await?;
    let bitcoin = fleet.other("bitcoin")?;
    let asked = fleet.ask_on(bitcoin, 250_000, Asset::Btc).await?;
    assert!(asked.quote.uri.starts_with("bitcoin:bcrt1q"), "{}", asked.quote.uri);
    bitcoin.sandbox.pay(&asked.quote.address, asked.payable()).await?;
    fleet.step(2).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits[0].state.as_str()), ("awaiting_deposit", "pending"));
    fleet.check_books().await?;
    bitcoin.sandbox.mine(1).await?;
    fleet.step(2).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits[0].state.as_str()), ("confirming", "seen"));
    bitcoin.sandbox.mine(1).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits.len()), ("settled", 1));
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(250_000));
    fleet.check_books().await
}

/// A payment that waits is nobody's money: its payer takes it back, for a higher fee.
#[tokio::test]
async fn taken_back_before_a_block() -> Result<()> {
    let fleet = open().await?;
    let bitcoin = fleet.other("bitcoin")?;
    let payer = bitcoin.bitcoin.clone().unwrap();
    let asked = fleet.ask_on(bitcoin, 250_000, Asset::Btc).await?;
    let tx = bitcoin.sandbox.pay(&asked.quote.address, asked.payable()).await?;
    fleet.step(2).await?;
    payer.replace(&tx, &[(ELSEWHERE, 1_000)]).await?;
    fleet.step(2).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits[0].state.as_str()), ("awaiting_deposit", "replaced"));
    bitcoin.sandbox.mine(3).await?;
    fleet.advance(1_000).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.sums.credited.minor()), ("expired", 0));
    fleet.check_books().await
}

/// The replacement pays us as well, another amount: what is in the block counts, once.
#[tokio::test]
async fn replaced_by_another_amount() -> Result<()> {
    let fleet = open().await?;
    let bitcoin = fleet.other("bitcoin")?;
    let payer = bitcoin.bitcoin.clone().unwrap();
    let asked = fleet.ask_on(bitcoin, 250_000, Asset::Btc).await?;
    let tx = bitcoin.sandbox.pay(&asked.quote.address, asked.percent(50)?).await?;
    fleet.step(2).await?;
    let whole = u64::try_from(asked.payable().minor())?;
    payer.replace(&tx, &[(&asked.quote.address, whole)]).await?;
    fleet.step(2).await?;
    bitcoin.sandbox.mine(2).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!(story.state, "settled");
    let mut states: Vec<_> = story.deposits.iter().map(|d| d.state.as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, ["confirmed", "replaced"]);
    fleet.check_books().await
}

/// The branch with the payment loses, and the new one spends the same coins elsewhere.
#[tokio::test]
async fn spent_twice_by_a_reorganisation() -> Result<()> {
    let fleet = open().await?;
    let bitcoin = fleet.other("bitcoin")?;
    let asked = fleet.ask_on(bitcoin, 250_000, Asset::Btc).await?;
    bitcoin.sandbox.pay(&asked.quote.address, asked.payable()).await?;
    bitcoin.sandbox.mine(1).await?;
    fleet.step(2).await?;
    assert_eq!(fleet.story(&asked).await?.state, "confirming");
    bitcoin.sandbox.reorg(1, Keep::Nothing).await?;
    fleet.step(2).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits[0].state.as_str()), ("awaiting_deposit", "orphaned"));
    fleet.check_books().await?;
    fleet.advance(1_000).await?;
    assert_eq!(fleet.story(&asked).await?.state, "expired");
    fleet.check_books().await
}

/// Two outputs of one transaction and a second transaction pay one payment together; what is too
/// much is the payer's.
#[tokio::test]
async fn several_outputs_and_transactions_to_one_payment() -> Result<()> {
    let fleet = open().await?;
    let bitcoin = fleet.other("bitcoin")?;
    let payer = bitcoin.bitcoin.clone().unwrap();
    let asked = fleet.ask_on(bitcoin, 250_000, Asset::Btc).await?;
    let part = |percent| anyhow::Ok(u64::try_from(asked.percent(percent)?.minor())?);
    let to = asked.quote.address.as_str();
    payer.pay_many(&[(to, part(30)?), (ELSEWHERE, 5_000), (to, part(30)?)]).await?;
    payer.pay_many(&[(to, part(60)?)]).await?;
    bitcoin.sandbox.mine(2).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.deposits.len()), ("settled", 3));
    assert!(open_cases(&story).iter().any(|case| case.starts_with("overpaid")), "{story:?}");
    fleet.check_books().await
}
