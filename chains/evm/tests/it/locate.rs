//! A nonce that another transaction used: the height that is told does not run away with the tip,
//! is never below the block of the other one, and becomes final by every rule.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chains::{Chain as _, TxPlace, carrier::Carrier as _};
use chains_evm::EvmChain;
use chains_evm_sandbox::dev_sign;
use primitives::Asset;
use serde_json::{Value, json};

use crate::{
    carrier::{ETHER, VENUE, everything, evm, movable, source},
    proxy::{Proxy, with_error, with_result},
    world::{World, config, place, wei},
};

const COUNT: &str = "eth_getTransactionCount";

/// A was replaced by B, which is in a block.
struct Replaced {
    world: World,
    loser: String,
    winner: String,
    spends: [String; 1],
    /// Of the block B is in.
    height: u64,
}

impl Replaced {
    async fn start() -> Self {
        let world = World::start().await;
        let (chain, from) = (&world.chain, source(&world.chain, 0));
        world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
        world.payer.set_automine(false).await.unwrap();
        let first = chain.draft(&everything(movable(chain, &from, Asset::Eth).await, VENUE)).await;
        let first = first.unwrap();
        let second = chain.bump(&first).await.unwrap();
        let (loser, winner) = (dev_sign(&first).unwrap(), dev_sign(&second).unwrap());
        assert_eq!(chain.send(&loser).await, Ok(()));
        assert_eq!(chain.send(&winner).await, Ok(()));
        world.payer.mine(1).await.unwrap();
        let (height, _) = place(chain, &winner.tx_id).await;
        let spends = [format!("{}:{}", from.address, evm(&first).nonce)];
        Self { loser: loser.tx_id, winner: winner.tx_id, spends, height, world }
    }

    async fn mined(&self, chain: &EvmChain) -> u64 {
        match chain.locate(&self.loser, &self.spends).await.unwrap() {
            TxPlace::Replaced { by, mined: Some(mined) } => {
                // A height that is exact names who is there.
                let named = (mined == self.height).then(|| self.winner.clone());
                assert_eq!(by, named);
                mined
            }
            elsewhere => panic!("{elsewhere:?}"),
        }
    }

    async fn through(
        &self,
        bend: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> (Proxy, EvmChain) {
        let proxy = Proxy::start(self.world.anvil.rpc_url(), bend).await;
        let chain = EvmChain::connect(&config(&[&proxy.url], &self.world.usdc)).unwrap();
        (proxy, chain)
    }
}

#[tokio::test]
async fn the_height_of_a_used_nonce_becomes_final() {
    let replaced = Replaced::start().await;
    let chain = &replaced.world.chain;
    assert_eq!(replaced.mined(chain).await, replaced.height);
    // A rule that B's block meets by itself is met by the answer too, up to the next step.
    for above in 1..=70 {
        replaced.world.payer.mine(1).await.unwrap();
        let (head, mined) = (chain.head().await.unwrap(), replaced.mined(chain).await);
        let tip = head.latest.height;
        assert_eq!(tip, replaced.height + above);
        assert!(mined >= replaced.height, "{mined} {head:?}");
        for depth in [1, 2, 4, 8, 16, 32, 64] {
            assert!(above < depth || mined <= tip - depth, "{mined} {depth} {head:?}");
        }
        for tagged in [head.safe.unwrap(), head.finalized.unwrap()] {
            assert!(tagged < replaced.height || mined <= tagged, "{mined} {head:?}");
        }
    }
    for (more, depth) in [(200, 256), (800, 1024)] {
        replaced.world.payer.mine(more).await.unwrap();
        let tip = chain.head().await.unwrap().latest.height;
        let mined = replaced.mined(chain).await;
        assert!((replaced.height..=tip - depth).contains(&mined), "{mined} {tip}");
    }
}

#[tokio::test]
async fn looking_for_the_height_is_bounded() {
    let replaced = Replaced::start().await;
    let (proxy, chain) = replaced.through(|_, answer| Some(answer)).await;
    for more in [1, 10, 50, 300, 1000] {
        replaced.world.payer.mine(more).await.unwrap();
        drop(proxy.take_calls());
        replaced.mined(&chain).await;
        let calls = proxy.take_calls();
        assert!(calls.iter().filter(|call| *call == COUNT).count() <= 16, "{calls:?}");
        assert!(calls.len() <= 26, "{calls:?}");
    }
    // Nothing of the kind for a nonce that is free.
    let free = [format!("{}:99", source(&chain, 0).address)];
    drop(proxy.take_calls());
    let unknown = format!("0x{}", "7".repeat(64));
    assert_eq!(chain.locate(&unknown, &free).await, Ok(TxPlace::Absent));
    assert_eq!(proxy.take_calls().len(), 3);
}

// The tip is all it can tell: an upper bound, and no error.
#[tokio::test]
async fn a_node_without_old_state_tells_the_tip() {
    let replaced = Replaced::start().await;
    replaced.world.payer.mine(40).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let (_proxy, chain) = replaced
        .through(move |method, answer| {
            // The tag and the tip are answered.
            let old = method == COUNT && counter.fetch_add(1, Ordering::SeqCst) >= 2;
            Some(if old { with_error(&answer, -32000, "missing trie node") } else { answer })
        })
        .await;
    assert_eq!(replaced.mined(&chain).await, replaced.height + 40);
    assert!(asked.load(Ordering::SeqCst) <= 6);
}

// Refuses the first state it is asked for only: the newer ones still tell.
#[tokio::test]
async fn a_node_with_some_old_state_tells_what_it_has() {
    let replaced = Replaced::start().await;
    replaced.world.payer.mine(40).await.unwrap();
    let asked = AtomicUsize::new(0);
    let (_proxy, chain) = replaced
        .through(move |method, answer| {
            let gone = method == COUNT && asked.fetch_add(1, Ordering::SeqCst) == 2;
            Some(if gone { with_error(&answer, -32000, "missing trie node") } else { answer })
        })
        .await;
    let mined = replaced.mined(&chain).await;
    assert!((replaced.height..replaced.height + 40).contains(&mined), "{mined}");
}

#[tokio::test]
async fn a_branch_that_changes_meanwhile_says_nothing() {
    let replaced = Replaced::start().await;
    replaced.world.payer.mine(10).await.unwrap();
    let asked = AtomicUsize::new(0);
    let (_proxy, chain) = replaced
        .through(move |method, mut answer| {
            // safe, finalized, latest; the fourth is the look back.
            if method == "eth_getBlockByNumber" && asked.fetch_add(1, Ordering::SeqCst) >= 3 {
                answer["result"]["hash"] = json!(format!("0x{}", "2".repeat(64)));
            }
            Some(answer)
        })
        .await;
    let place = chain.locate(&replaced.loser, &replaced.spends).await;
    assert!(place.is_err(), "{place:?}");
}

// The node did not know it, then mined it: its own nonce is no sign of another one.
#[tokio::test]
async fn what_is_mined_between_two_calls_is_not_replaced() {
    let replaced = Replaced::start().await;
    let asked = AtomicUsize::new(0);
    let (_proxy, chain) = replaced
        .through(move |method, answer| {
            let first =
                method == "eth_getTransactionReceipt" && asked.fetch_add(1, Ordering::SeqCst) == 0;
            let hide = first || method == "eth_getTransactionByHash";
            Some(if hide { with_result(answer, Value::Null) } else { answer })
        })
        .await;
    let place = chain.locate(&replaced.winner, &replaced.spends).await.unwrap();
    let TxPlace::Included { height, .. } = place else { panic!("{place:?}") };
    assert_eq!(height, replaced.height);
}
