//! Blocks that are replaced by others.

use anyhow::{Context as _, ensure};
use chains::{Says, Step, TxPlace, sandbox::Keep};

use super::{address, addresses, amount, first_asset};
use crate::{Follower, Subject, rng::Numbers};

/// The deepest reorganisation a chain must be followed through.
const DEEPEST: u32 = 64;

/// A deposit whose block is replaced by one without it is nowhere.
///
/// # Errors
/// When the chain does not keep this.
pub async fn a_dropped_deposit_is_gone(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let (to, asset) = (address(chain, 0)?, first_asset(chain)?);
    let mut follower = Follower::at_tip(chain, std::slice::from_ref(&to)).await?;
    let tx = subject.sandbox.pay(&to, amount(asset, 1)?).await?;
    subject.sandbox.mine(1).await?;
    follower.until(|found| found.len() == 1).await?;
    let found = follower.found();
    let one = found.first().context("found nothing")?;
    subject.sandbox.reorg(follower.depth_of(&one.block)?, Keep::Nothing).await?;
    let left = chain.step(&one.block).await?;
    ensure!(left == Step::Left, "the branch is gone, the chain says {left:?}");
    follower.until(<[_]>::is_empty).await?;
    ensure!(follower.rewinds > 0, "the branch was left unnoticed");
    let place = chain.locate(&tx, &one.sighting.spends).await?;
    ensure!(!matches!(place, TxPlace::Included { .. } | TxPlace::Pending), "gone: {place:?}");
    let held = chain.held(std::slice::from_ref(&to), asset).await?;
    ensure!(held.is_zero(), "gone, and {held} held");
    Ok(())
}

/// Seen, orphaned, included again in another block: one deposit, by its transaction and ordinal.
///
/// # Errors
/// When the chain does not keep this.
pub async fn a_deposit_that_comes_back_is_the_same(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let (to, asset) = (address(chain, 1)?, first_asset(chain)?);
    let mut follower = Follower::at_tip(chain, std::slice::from_ref(&to)).await?;
    // The branches part above the block the follower started with.
    subject.sandbox.mine(3).await?;
    subject.sandbox.pay(&to, amount(asset, 2)?).await?;
    subject.sandbox.mine(1).await?;
    follower.until(|found| found.len() == 1).await?;
    let before = follower.found();
    let first = before.first().context("found nothing")?;
    let depth = follower.depth_of(&first.block)?.saturating_add(1);
    subject.sandbox.reorg(depth, Keep::Everything).await?;
    let old = first.block.hash.clone();
    follower.until(|found| found.iter().any(|f| f.block.hash != old)).await?;
    let after = follower.found();
    let [again] = after.as_slice() else { anyhow::bail!("not once: {after:?}") };
    ensure!(again.sighting.tx_id == first.sighting.tx_id, "another id: {again:?}");
    ensure!(again.sighting.ordinal == first.sighting.ordinal, "another ordinal: {again:?}");
    ensure!(again.amount()? == first.amount()?, "another amount: {again:?}");
    Ok(())
}

/// Where an id does not fix its amount, what counts is what the canonical block brought.
///
/// # Errors
/// When the chain does not keep this.
pub async fn an_amount_may_change_on_the_way_back(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let (to, asset) = (address(chain, 2)?, first_asset(chain)?);
    let (first, second) = (amount(asset, 500)?, amount(asset, 300)?);
    let mut follower = Follower::at_tip(chain, std::slice::from_ref(&to)).await?;
    subject.sandbox.mine(3).await?;
    let Some(tx) = subject.sandbox.pay_changeable(&to, first, second).await? else {
        return Ok(());
    };
    subject.sandbox.mine(1).await?;
    let brought = |found: &[crate::follower::Found], what| {
        found.iter().any(|f| f.sighting.tx_id == tx && f.amount().is_ok_and(|a| a == what))
    };
    follower.until(|found| brought(found, first)).await?;
    let found = follower.found();
    let one = found.iter().find(|f| f.sighting.tx_id == tx).context("found nothing")?;
    let depth = follower.depth_of(&one.block)?.saturating_add(2);
    subject.sandbox.reorg(depth, Keep::Everything).await?;
    follower.until(|found| brought(found, second)).await?;
    let all = follower.found();
    ensure!(!brought(&all, first), "the amount of a lost branch still counts: {all:?}");
    Ok(())
}

/// Payments in many blocks, then a reorganisation, of one depth after the other from 1 to 64:
/// what the follower holds is what the canonical branch brought.
///
/// # Errors
/// When the chain does not keep this.
pub async fn any_depth_unwinds_to_the_truth(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    let (to, asset) = (addresses(chain, 4)?, first_asset(chain)?);
    let mut numbers = Numbers::new(7);
    let mut follower = Follower::at_tip(chain, &to).await?;
    // A base that no reorganisation reaches below.
    subject.sandbox.mine(DEEPEST).await?;
    let mut alive = 0_usize;
    for (round, depth) in (0_u32..).zip(1..=DEEPEST) {
        let address = to.get(usize::try_from(round)? % to.len()).context("no address")?;
        // Deep enough that the payment is in the part that goes.
        let above = numbers.up_to(depth).saturating_sub(1);
        subject.sandbox.pay(address, amount(asset, round)?).await?;
        subject.sandbox.mine(1).await?;
        alive = alive.saturating_add(1);
        follower.until(|found| found.len() == alive).await?;
        if above > 0 {
            subject.sandbox.mine(above).await?;
        }
        follower.follow().await?;
        let found = follower.found();
        let depths = found.iter().map(|f| follower.depth_of(&f.block));
        let depths = depths.collect::<anyhow::Result<Vec<u32>>>()?;
        let under = depths.iter().min().copied().context("found nothing")?;
        let depth = depth.max(under).min(DEEPEST);
        let keep = if numbers.up_to(2) == 1 { Keep::Everything } else { Keep::Nothing };
        let stays = |depth_of: u32| keep == Keep::Everything || depth_of > depth;
        let kept = found.iter().zip(&depths).filter(|(_, depth_of)| stays(**depth_of));
        let kept: Vec<_> = kept.map(|(f, _)| f.sighting.clone()).collect();
        alive = kept.len();
        let rewinds = follower.rewinds;
        subject.sandbox.reorg(depth, keep).await?;
        let reached = follower.until(|found| found.len() == alive).await;
        reached.with_context(|| format!("depth {depth}, {keep:?}: {alive} of {found:?}"))?;
        let now: Vec<_> = follower.found().into_iter().map(|f| f.sighting).collect();
        ensure!(now == kept, "depth {depth}, {keep:?}: {now:?} instead of {kept:?}");
        ensure!(follower.rewinds > rewinds, "depth {depth}: the branch was left unnoticed");
    }
    Ok(())
}

/// A node vouches for a block of its branch, and names the other one for a block of a lost branch.
///
/// # Errors
/// When the chain does not keep this.
pub async fn witnesses_tell_branches_apart(subject: &Subject) -> anyhow::Result<()> {
    let chain = subject.chain.as_ref();
    subject.sandbox.mine(3).await?;
    let tip = chain.head().await?.latest;
    let ours = chain.block_at(tip.height).await?.context("no tip")?;
    let all = chain.witnesses(&ours).await;
    ensure!(!all.is_empty() && all.iter().all(|w| w.says == Says::Same), "{all:?}");
    ensure!(all.iter().all(|w| !w.node.contains('@')), "a witness shows its login: {all:?}");
    subject.sandbox.reorg(2, Keep::Nothing).await?;
    let all = chain.witnesses(&ours).await;
    ensure!(all.iter().all(|w| matches!(w.says, Says::Other(_))), "the branch is gone: {all:?}");
    Ok(())
}
