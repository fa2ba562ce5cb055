//! Reorganisations of every depth from 1 to 64, as a property: whatever the chain does, the books
//! hold what its canonical blocks say is final, and the house bears exactly what is missing.

use primitives::DepositId;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use super::{Asked, World, agreed, tier};
use crate::deposit::{Confirmed, DepositState};

const DEEPEST: u64 = 64;
const PAYABLE: i128 = 1_000;

/// What a new branch does with the transaction.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Dropped,
    /// In the branch, this many blocks above the fork, with this amount.
    Included {
        above: u64,
        minor: i128,
    },
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Mine(u64),
    Reorg {
        depth: u64,
        fate: Fate,
    },
    /// A transaction that waits gets into the next block.
    Included {
        minor: i128,
    },
}

fn amount() -> impl Strategy<Value = i128> {
    prop_oneof![3 => Just(PAYABLE), 1 => 1..PAYABLE, 1 => PAYABLE + 1..3 * PAYABLE]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        1 => Just(Fate::Dropped),
        3 => (1..=DEEPEST, amount()).prop_map(|(above, minor)| Fate::Included { above, minor }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..=DEEPEST).prop_map(Step::Mine),
        2 => (1..=DEEPEST, fate()).prop_map(|(depth, fate)| Step::Reorg { depth, fate }),
        1 => amount().prop_map(|minor| Step::Included { minor }),
    ]
}

/// The chain as the test plays it: one transaction, in a block or not.
struct Played<'a> {
    world: &'a World,
    asked: Asked,
    tx: String,
    id: DepositId,
    tip: u64,
    branch: u64,
    /// Height and amount of the transaction in the canonical chain.
    included: Option<(u64, i128)>,
    last: u64,
    before: (i128, i128),
}

impl<'a> Played<'a> {
    async fn begin(world: &'a World, depth: u64, number: usize) -> Self {
        let last = depth;
        let rule = last.to_string();
        world.set(&[tier(0, ["1", rule.as_str(), rule.as_str()], 1)]).await;
        let books = world.books().await;
        let asked = world.ask(100_000, PAYABLE).await;
        let tx = format!("tx-{depth}-{number}");
        let tip = 1_000;
        let hash = format!("{tx}:0:{tip}");
        let height = i64::try_from(tip).unwrap();
        let id = world.see(&asked, &tx, PAYABLE, (&hash, height)).await;
        let before = (books.escrow, books.loss);
        let included = Some((tip, PAYABLE));
        Self { world, asked, tx, id, tip, branch: 0, included, last, before }
    }

    async fn include(&mut self, height: u64, minor: i128) {
        let hash = format!("{}:{}:{height}", self.tx, self.branch);
        let at = (hash.as_str(), i64::try_from(height).unwrap());
        self.world.see(&self.asked, &self.tx, minor, at).await;
        self.included = Some((height, minor));
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Mine(blocks) => self.tip += blocks,
            Step::Included { minor } => {
                self.tip += 1;
                if self.included.is_none() {
                    self.include(self.tip, minor).await;
                }
            }
            Step::Reorg { depth, fate } => {
                let fork = self.tip - depth;
                self.branch += 1;
                self.tip += 1;
                if self.included.is_none_or(|(height, _)| height <= fork) {
                    return;
                }
                self.world.gone(self.id).await;
                self.included = None;
                if let Fate::Included { above, minor } = fate {
                    self.include(fork + above.min(depth + 1), minor).await;
                }
            }
        }
    }

    /// The job runs, as it does after every block.
    async fn judged(&self) {
        let before = self.world.deposit(self.id).await.state;
        if before != DepositState::Seen {
            return;
        }
        let (height, _) = self.included.unwrap();
        let deep = self.tip + 1 - height >= self.last;
        let confirmed = self.world.judge(self.id, self.tip, agreed()).await;
        let wanted = if deep { Confirmed::Now } else { Confirmed::Waits };
        assert_eq!(confirmed, wanted, "depth {} of {}", self.tip + 1 - height, self.last);
    }

    async fn checked(&self, step: Step) {
        let deposit = self.world.deposit(self.id).await;
        let net = match (self.included, deposit.state) {
            (Some((_, minor)), DepositState::Confirmed) => minor,
            (Some(_), DepositState::Seen) | (None, DepositState::Orphaned) => 0,
            (included, state) => {
                panic!("{included:?} on the chain, {state} in the books: {step:?}")
            }
        };
        let books = self.world.books().await;
        assert_eq!(books.escrow - self.before.0, net, "net credit after {step:?}");
        // The house bears what the shop was given and the chain does not hold.
        let given = self.world.payment(&self.asked).await.accepted_at.is_some();
        let borne = if given { (PAYABLE - net).max(0) } else { 0 };
        assert_eq!(books.loss - self.before.1, borne, "the loss after {step:?}");
    }
}

#[tokio::test]
async fn from_1_to_64_blocks_deep() {
    let world = World::open().await;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for depth in 1..=DEEPEST {
        // Each depth is met once after the deposit was final, and then whatever comes.
        let tree = (fate(), prop::collection::vec(step(), 1..5)).new_tree(&mut runner).unwrap();
        let (fate, rest) = tree.current();
        let mut steps = vec![Step::Mine(depth - 1), Step::Reorg { depth, fate }];
        steps.extend(rest);
        let mut played = Played::begin(&world, depth, 0).await;
        played.judged().await;
        for step in &steps {
            played.step(*step).await;
            played.judged().await;
            played.checked(*step).await;
        }
        // In the end every transaction of the chain is as deep as any rule asks.
        played.step(Step::Mine(DEEPEST)).await;
        played.judged().await;
        played.checked(Step::Mine(DEEPEST)).await;
    }
    world.sound().await;
}
