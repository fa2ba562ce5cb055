//! What every chain must do, asked of its real node.
//!
//! Invariant: one suite for all families; a family may lack a feature (no mempool, ids that fix
//! amounts) but never answer differently. What only one family knows is tested beside its adapter.
//!
//! Each adapter's tests say `chains_conformance::suite!(start)`, where `start` answers a
//! [`Subject`] with a node of its own.

pub mod cases;
mod follower;
pub mod proxy;
mod rng;

use std::any::Any;

use chains::{Chain, sandbox::Sandbox};

pub use follower::Follower;

/// A chain under test, and somebody who pays on it.
pub struct Subject {
    pub chain: Box<dyn Chain>,
    pub sandbox: Box<dyn Sandbox>,
    /// Keeps the node alive.
    pub node: Box<dyn Any + Send + Sync>,
}

/// One test per case, on a node of its own each.
#[macro_export]
macro_rules! suite {
    ($start:path) => {
        $crate::suite!($start:
            every_asset_arrives_once,
            blocks_are_linked,
            a_split_payment_is_two_deposits,
            a_dropped_deposit_is_gone,
            a_deposit_that_comes_back_is_the_same,
            an_amount_may_change_on_the_way_back,
            any_depth_unwinds_to_the_truth,
            a_mempool_shows_what_waits,
            a_lookalike_is_no_money,
            witnesses_tell_branches_apart,
            cost_does_not_grow_with_addresses,
            addresses_of_other_networks_are_none,
            uris_are_strict,
            nonsense_is_an_error,
            news_ends_the_wait,
        );
    };
    ($start:path: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                let subject = $start().await;
                if let Err(error) = $crate::cases::$case(&subject).await {
                    panic!("{error:?}");
                }
            }
        )+
    };
}
