//! Value that arrives, and value that only seems to.

use anyhow::{Context as _, ensure};
use chains::{Arrived, TxPlace};

use super::{address, addresses, amount, first_asset};
use crate::{Follower, Subject};

/// Every asset of the network, paid to an address of its own, is seen once, whole, and held.
///
/// # Errors
/// When the chain does not keep this.
pub async fn every_asset_arrives_once(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let assets = subject.sandbox.assets();
    ensure!(!assets.is_empty(), "nothing to pay with");
    for asset in chain.assets() {
        ensure!(assets.contains(&asset), "{asset} is listed and was never paid");
    }
    let watched = addresses(chain, 10)?;
    let mut follower = Follower::at_tip(chain, &watched).await?;
    for (index, asset) in (0_u32..).zip(assets) {
        let (to, paid) = (address(chain, index)?, amount(asset, index)?);
        let held = chain.held(&watched, asset).await?;
        let tx = subject.sandbox.pay(&to, paid).await?;
        subject.sandbox.mine(1).await?;
        follower.until(|found| found.iter().any(|f| f.sighting.tx_id == tx)).await?;
        let mine: Vec<_> =
            follower.found().into_iter().filter(|f| f.sighting.tx_id == tx).collect();
        let [one] = mine.as_slice() else { anyhow::bail!("not once: {mine:?}") };
        ensure!(one.amount()? == paid, "paid {paid}, seen {one:?}");
        ensure!(one.sighting.to == to, "to {to}, seen {one:?}");
        ensure!(chain.held(&watched, asset).await? == held.checked_add(paid)?, "not held");
        match chain.locate(&tx, &one.sighting.spends).await? {
            TxPlace::Included { block_hash, succeeded: true, height } => {
                let place = (&block_hash, height);
                ensure!(place == (&one.block.hash, one.block.height), "located elsewhere");
            }
            elsewhere => anyhow::bail!("in a block, located {elsewhere:?}"),
        }
    }
    Ok(())
}

/// Two payments to one address are two deposits.
///
/// # Errors
/// When the chain does not keep this.
pub async fn a_split_payment_is_two_deposits(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let (to, asset) = (address(chain, 3)?, first_asset(chain)?);
    let mut follower = Follower::at_tip(chain, std::slice::from_ref(&to)).await?;
    let same = amount(asset, 7)?;
    let first = subject.sandbox.pay(&to, same).await?;
    let second = subject.sandbox.pay(&to, same).await?;
    ensure!(first != second, "one id for two payments");
    subject.sandbox.mine(1).await?;
    follower.until(|found| found.len() >= 2).await?;
    let found = follower.found();
    ensure!(found.len() == 2, "two payments, seen {found:?}");
    for one in &found {
        ensure!(one.amount()? == same, "paid {same}, seen {one:?}");
        ensure!([&first, &second].contains(&&one.sighting.tx_id), "unknown {one:?}");
    }
    Ok(())
}

/// Before a block, a payment is shown with what it spends; in a block it waits no more. Where the
/// network shows nothing before a block, it says so.
///
/// # Errors
/// When the chain does not keep this.
pub async fn a_mempool_shows_what_waits(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let (to, asset) = (address(chain, 4)?, first_asset(chain)?);
    let watch = std::iter::once(to.clone()).collect();
    let Some(before) = chain.pending(&watch).await? else {
        return Ok(());
    };
    ensure!(before.is_empty(), "waiting before anybody paid: {before:?}");
    let mut follower = Follower::at_tip(chain, std::slice::from_ref(&to)).await?;
    let paid = amount(asset, 9)?;
    let tx = subject.sandbox.pay(&to, paid).await?;
    let waiting = chain.pending(&watch).await?.context("the mempool closed")?;
    let [one] = waiting.as_slice() else { anyhow::bail!("not once: {waiting:?}") };
    ensure!(one.tx_id == tx && one.arrived == Arrived::Known(paid), "seen {one:?}");
    ensure!(!one.spends.is_empty(), "nothing tells a replacement from an absence");
    ensure!(chain.locate(&tx, &one.spends).await? == TxPlace::Pending, "not pending");
    follower.follow().await?;
    ensure!(follower.found().is_empty(), "in no block yet: {:?}", follower.found());
    subject.sandbox.mine(1).await?;
    follower.until(|found| found.len() == 1).await?;
    let after = chain.pending(&watch).await?.context("the mempool closed")?;
    ensure!(after.is_empty(), "in a block and waiting: {after:?}");
    Ok(())
}

/// A token that calls itself like ours is seen as unknown, never as money.
///
/// # Errors
/// When the chain does not keep this.
pub async fn a_lookalike_is_no_money(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let to = address(chain, 5)?;
    let Some(token) = chain.assets().into_iter().nth(1) else {
        let sent = subject.sandbox.pay_lookalike(&to, amount(first_asset(chain)?, 1)?).await;
        ensure!(sent.is_err(), "a lookalike on a network without tokens");
        return Ok(());
    };
    let mut follower = Follower::at_tip(chain, std::slice::from_ref(&to)).await?;
    let tx = subject.sandbox.pay_lookalike(&to, amount(token, 11)?).await?;
    subject.sandbox.mine(1).await?;
    follower.until(|found| found.iter().any(|f| f.sighting.tx_id == tx)).await?;
    for one in follower.found() {
        let unknown = matches!(one.sighting.arrived, Arrived::UnknownToken { .. });
        ensure!(unknown, "credited: {one:?}");
    }
    Ok(())
}
