//! The cases, by what they are about. Each is one sentence every chain must make true.

mod arriving;
mod asking;
mod branches;

use chains::Chain;
use primitives::{Amount, Asset};

pub use arriving::{
    a_lookalike_is_no_money, a_mempool_shows_what_waits, a_split_payment_is_two_deposits,
    every_asset_arrives_once,
};
pub use asking::{
    addresses_of_other_networks_are_none, blocks_are_linked, cost_does_not_grow_with_addresses,
    news_ends_the_wait, nonsense_is_an_error, uris_are_strict,
};
pub use branches::{
    a_deposit_that_comes_back_is_the_same, a_dropped_deposit_is_gone,
    an_amount_may_change_on_the_way_back, any_depth_unwinds_to_the_truth,
    witnesses_tell_branches_apart,
};

/// An amount above every chain's dust that no other payment of the suite has.
fn amount(asset: Asset, salt: u32) -> anyhow::Result<Amount> {
    let base: i128 = match asset {
        Asset::Btc => 50_000,
        Asset::Sol => 3_000_000,
        _ => 1_000_000,
    };
    Ok(Amount::try_new(base + i128::from(salt), asset)?)
}

fn address(chain: &dyn Chain, index: u32) -> anyhow::Result<String> {
    let derived = chain.derive(index).map_err(anyhow::Error::msg)?;
    Ok(derived.address)
}

fn addresses(chain: &dyn Chain, count: u32) -> anyhow::Result<Vec<String>> {
    (0..count).map(|index| address(chain, index)).collect()
}

fn first_asset(chain: &dyn Chain) -> anyhow::Result<Asset> {
    let first = chain.assets().into_iter().next();
    first.ok_or_else(|| anyhow::anyhow!("a network without assets"))
}
