//! Fake deposits, judged: transactions that look like payments to us and are none. Here the judge,
//! and coins; tokens, logs of odd shapes and nodes that lie are next door (`fakes_*.rs`).
//!
//! Every vector has a name and exactly one verdict. All of this file is executed by a real node.
//! Each group ends with an honest payment, which is credited: the judge can see.

use chains::{Arrived, BlockFacts, Chain as _, ReadError, WatchSet};
use chains_evm::EvmChain;

use crate::world::{World, by_hash, place, watched, wei};

/// What became of a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not a trace of it.
    Nothing,
    /// Reported as a token nobody lists: shown to people, worth nothing.
    Parked,
    /// These minor units, smallest first, and nothing else.
    Credited(Vec<i128>),
    /// The block is not read; it will be asked for again.
    Refused,
    /// The node is not believed any more.
    Distrusted,
}

pub(crate) fn verdict(read: &Result<BlockFacts, ReadError>) -> Verdict {
    let facts = match read {
        Ok(facts) => facts,
        Err(ReadError::Untrusted(_)) => return Verdict::Distrusted,
        Err(_) => return Verdict::Refused,
    };
    let known = |arrived: &Arrived| match arrived {
        Arrived::Known(amount) => Some(amount.minor()),
        Arrived::UnknownToken { .. } => None,
    };
    let mut credited: Vec<i128> =
        facts.sightings.iter().filter_map(|sighting| known(&sighting.arrived)).collect();
    credited.sort_unstable();
    if facts.sightings.is_empty() {
        Verdict::Nothing
    } else if credited.is_empty() {
        Verdict::Parked
    } else {
        assert_eq!(credited.len(), facts.sightings.len(), "{facts:?}");
        Verdict::Credited(credited)
    }
}

/// The first deposit addresses, and whoever else is on trial.
pub(crate) fn watching(chain: &EvmChain, others: &[&str]) -> WatchSet {
    let mut watch = watched(chain);
    others.iter().for_each(|other| watch.insert((*other).to_owned()));
    watch
}

/// Reads the block of `tx` and compares.
pub(crate) async fn judge(
    chain: &EvmChain,
    watch: &WatchSet,
    (vector, tx): (&str, &str),
    expected: Verdict,
) {
    let (_, hash) = place(chain, tx).await;
    let read = chain.read_block(&by_hash(&hash), watch).await;
    assert_eq!(verdict(&read), expected, "{vector}: {read:?}");
}

#[tokio::test]
async fn coins_that_never_came() {
    let world = World::start().await;
    let (payer, to, chain) = (&world.payer, world.address(0), &world.chain);
    let wallet = payer.deploy_wallet().await.unwrap();
    let reverter = payer.deploy_reverter().await.unwrap();
    let watch = watching(chain, &[&wallet, &reverter, &payer.address()]);
    let fakes = [
        ("a failed transaction with value", payer.send_failing_native(&to, wei(3)).await),
        ("an internal payment undone", payer.wallet_pay_and_undo(&wallet, &to, wei(9)).await),
        (
            "a reverted transaction whose trace shows a payment that worked",
            payer.wallet_pay_then_fail(&wallet, &to, wei(9)).await,
        ),
        ("value borrowed by a delegate call", payer.wallet_delegate(&wallet, &to, wei(6)).await),
        ("a payment of nothing", payer.send_native(&to, wei(0)).await),
        ("an internal payment of nothing", payer.wallet_pay(&wallet, &to, wei(0)).await),
        ("coins to oneself", payer.send_native(&payer.address(), wei(5)).await),
        ("coins to a contract that refuses them", payer.send_native(&reverter, wei(5)).await),
    ];
    for (vector, tx) in fakes {
        let tx = tx.unwrap();
        // The wallet is watched, and commands to it carry the value: that alone is income.
        let carried = match vector {
            "an internal payment undone" => Verdict::Credited(vec![9]),
            "value borrowed by a delegate call" => Verdict::Credited(vec![6]),
            _ => Verdict::Nothing,
        };
        judge(chain, &watch, (vector, &tx), carried).await;
        judge(chain, &watched(chain), (vector, &tx), Verdict::Nothing).await;
    }

    // 15 = 9 + 6 stayed in the wallet. It pays itself, and leaves itself all it has.
    let own = watching(chain, &[&wallet]);
    let tx = payer.wallet_pay(&wallet, &wallet, wei(0)).await.unwrap();
    judge(chain, &own, ("an internal payment to oneself", &tx), Verdict::Nothing).await;
    let tx = payer.wallet_destroy(&wallet, &wallet).await.unwrap();
    judge(chain, &own, ("an inheritance to oneself", &tx), Verdict::Nothing).await;

    let tx = payer.send_native(&to, wei(5)).await.unwrap();
    judge(chain, &watch, ("honest coins", &tx), Verdict::Credited(vec![5])).await;
}

// The branch that lost is not read, whatever it paid.
#[tokio::test]
async fn coins_of_a_branch_that_lost() {
    let world = World::start().await;
    let tx = world.payer.send_native(&world.address(0), wei(5)).await.unwrap();
    let (height, hash) = place(&world.chain, &tx).await;
    let watch = watched(&world.chain);
    judge(&world.chain, &watch, ("before", &tx), Verdict::Credited(vec![5])).await;
    world.payer.reorg(1, &[]).await.unwrap();
    let read = world.chain.read_block(&by_hash(&hash), &watch).await;
    assert_eq!(verdict(&read), Verdict::Refused, "a deposit of a branch that lost: {read:?}");
    let now = world.chain.block_at(height).await.unwrap().unwrap();
    let read = world.chain.read_block(&now, &watch).await;
    assert_eq!(verdict(&read), Verdict::Nothing, "{read:?}");
}
