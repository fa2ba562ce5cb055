//! Questions: what they cost, and what nonsense is answered with.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use chains::{BlockRef, Step, UriError, WatchSet};
use primitives::{Amount, Asset};
use tokio::time::Instant;

use super::{address, amount, first_asset};
use crate::{Follower, Subject};

/// Addresses of every family, real and well-formed.
const ADDRESSES: [(&str, &str); 5] = [
    ("bitcoin", "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"),
    ("bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
    ("bitcoin test", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"),
    ("evm", "0x742d35Cc6634C0532925a3b844Bc454e4438f44e"),
    ("solana", "mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN"),
];

/// Blocks form a chain by hash, and there is none above the tip.
///
/// # Errors
/// When the chain does not keep this.
pub async fn blocks_are_linked(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let start = chain.head().await?.latest;
    subject.sandbox.mine(3).await?;
    let mut at = chain.block_at(start.height).await?.context("no block at the old tip")?;
    ensure!(at.hash == start.hash, "the old tip is another block");
    for _ in 0..3 {
        let step = chain.step(&at).await?;
        let Step::Next(next) = step else { anyhow::bail!("after {at:?}: {step:?}") };
        ensure!(next.parent_hash == at.hash && next.height > at.height, "{next:?} after {at:?}");
        ensure!(chain.block(&next.hash).await?.height == next.height, "another by its hash");
        at = next;
    }
    let far = at.height.saturating_add(1_000_000);
    ensure!(chain.block_at(far).await?.is_none(), "a block above the tip");
    let head = chain.head().await?;
    ensure!(head.safe.is_none_or(|safe| safe <= head.latest.height), "safe above the tip");
    ensure!(head.finalized.is_none_or(|last| last <= head.latest.height), "final above the tip");
    Ok(())
}

/// Reading a block costs the same number of calls for 10 and for 100 000 watched addresses. The
/// figures are printed.
///
/// # Errors
/// When the chain does not keep this.
pub async fn cost_does_not_grow_with_addresses(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let (to, asset) = (address(chain, 0)?, first_asset(chain)?);
    let mut follower = Follower::at_tip(chain, std::slice::from_ref(&to)).await?;
    subject.sandbox.pay(&to, amount(asset, 1)?).await?;
    subject.sandbox.mine(1).await?;
    follower.until(|found| found.len() == 1).await?;
    let block = follower.found().first().context("found nothing")?.block.clone();
    let parent = chain.block(&block.parent_hash).await;
    let mut costs = Vec::new();
    for count in [10_usize, 100_000] {
        // Deriving is not the subject here; what matters is how many are looked for.
        let others = (1..count).map(|n| format!("{n:0>42}"));
        let watch: WatchSet = others.chain(std::iter::once(to.clone())).collect();
        let (before, started) = (chain.calls(), Instant::now());
        if let Ok(parent) = &parent {
            chain.step(parent).await?;
        }
        let stepped = chain.calls().saturating_sub(before);
        let facts = chain.read_block(&block, &watch).await?;
        let cost = chain.calls().saturating_sub(before);
        ensure!(facts.sightings.len() == 1, "not found among {count}");
        let (took, network) = (started.elapsed(), chain.network());
        println!("{network}: {count} watched: {cost} calls ({stepped} to step), {took:.1?}");
        costs.push(cost);
    }
    ensure!(costs.windows(2).all(|pair| pair.first() == pair.last()), "cost grows: {costs:?}");
    ensure!(costs.iter().all(|cost| *cost <= 10), "not O(1): {costs:?}");
    Ok(())
}

/// An address of another network is no address here.
///
/// # Errors
/// When the chain does not keep this.
pub async fn addresses_of_other_networks_are_none(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let own = address(chain, 0)?;
    ensure!(chain.canonical(&own).as_ref() == Some(&own), "our own address is none");
    let accepted: Vec<_> =
        ADDRESSES.iter().filter(|(_, text)| chain.canonical(text).is_some()).collect();
    ensure!(accepted.len() <= 1, "addresses of several families: {accepted:?}");
    let asset = first_asset(chain)?;
    for (family, text) in ADDRESSES {
        if accepted.contains(&&(family, text)) {
            continue;
        }
        let uri = chain.payment_uri(text, amount(asset, 1)?);
        ensure!(uri == Err(UriError::BadAddress), "{text}: {uri:?}");
        let held = chain.held(&[text.to_owned()], asset).await;
        ensure!(held.is_err(), "{text} holds {held:?}");
    }
    Ok(())
}

/// A URI names what the network can deliver, and a positive amount.
///
/// # Errors
/// When the chain does not keep this.
pub async fn uris_are_strict(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let to = address(chain, 0)?;
    for asset in Asset::ALL {
        let listed = chain.assets().contains(&asset);
        let uri = chain.payment_uri(&to, amount(asset, 5)?);
        ensure!(uri.is_ok() == listed, "{asset}: {uri:?}");
        ensure!(chain.payment_uri_template(asset).is_ok() == listed, "{asset}: its template");
        if listed {
            let template = chain.payment_uri_template(asset)?;
            let paid = amount(asset, 5)?;
            let filled = template
                .replace("{address}", &to)
                .replace("{minor}", &paid.minor().to_string())
                .replace("{units}", &paid.to_units());
            ensure!(uri? == filled, "template and URI differ");
            let nothing = chain.payment_uri(&to, Amount::zero(asset));
            ensure!(nothing == Err(UriError::NotPositive), "a URI for nothing: {nothing:?}");
        }
    }
    Ok(())
}

/// Words that are no hashes, ids or addresses are errors and break nothing.
///
/// # Errors
/// When the chain does not keep this.
pub async fn nonsense_is_an_error(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let long = "x".repeat(10_000);
    for word in ["", "0x", "latest", "'; drop table deposits;--", "\u{0}", long.as_str()] {
        let (hash, parent_hash) = (word.to_owned(), String::new());
        let block = BlockRef { height: 1, hash, parent_hash, time: chrono::DateTime::UNIX_EPOCH };
        ensure!(chain.block(word).await.is_err(), "a block by {word:.20}");
        ensure!(chain.step(&block).await.is_err(), "a step from {word:.20}");
        ensure!(chain.locate(word, &[]).await.is_err(), "a transaction by {word:.20}");
        let facts = chain.read_block(&block, &WatchSet::default()).await;
        ensure!(facts.is_err(), "the facts of {word:.20}");
        ensure!(chain.canonical(word).is_none(), "an address: {word:.20}");
    }
    ensure!(chain.derive(u32::MAX).is_err(), "an index beyond all keys");
    chain.head().await?;
    Ok(())
}

/// Waiting for news ends when there is a block, or when the time is up; how soon is printed.
///
/// # Errors
/// When the chain does not keep this.
pub async fn news_ends_the_wait(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let tip = chain.head().await?.latest;
    chain.wait_for_news(&tip, Duration::from_millis(300)).await;
    let mut took = Vec::new();
    for _ in 0..5 {
        let tip = chain.head().await?.latest;
        let waiting = async {
            let started = Instant::now();
            chain.wait_for_news(&tip, Duration::from_secs(10)).await;
            started.elapsed()
        };
        let mining = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            subject.sandbox.mine(1).await
        };
        let (waited, mined) = tokio::join!(waiting, mining);
        mined?;
        took.push(waited.saturating_sub(Duration::from_millis(100)));
    }
    println!("{}: news after {took:.0?}", chain.network());
    let head = chain.head().await?.latest;
    ensure!(head.height > tip.height, "nothing was mined");
    Ok(())
}
