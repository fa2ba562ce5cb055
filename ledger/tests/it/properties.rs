//! Any sequence of postings, holds, captures, releases, reversals, repetitions and mistakes does
//! exactly what a small model in memory says: the same answer each time, the same four counters
//! after each act, and an empty audit at the end.

use std::{cell::Cell, collections::BTreeMap};

use ledger::LedgerError;
use primitives::{Amount, Asset};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use testkit_db::TestDb;

use crate::book::{Book, resolution, transfer};

const CASES: u32 = 24;
const KEYS: usize = 10;
/// Name and guard: 1 credits may not exceed debits, 2 the reverse.
const ACCOUNTS: [(&str, u8); 5] =
    [("escrow", 1), ("dep", 2), ("trading", 0), ("claim", 1), ("suspense", 2)];
const KINDS: [(&str, &[(usize, usize)]); 5] = [
    ("deposit", &[(0, 1)]),
    ("deposit.reorg", &[(1, 0), (4, 0), (3, 0)]),
    ("convert", &[(1, 2)]),
    ("deposit.unidentified", &[(0, 4)]),
    ("clawback", &[(2, 3)]),
];

type Move = (usize, usize, i128);

#[derive(Debug, Clone)]
enum Act {
    Post {
        key: usize,
        kind: usize,
        moves: Vec<Move>,
        hold: bool,
        batch: bool,
    },
    /// Part is in percent; 100 goes through the plain door.
    Capture {
        key: usize,
        of: usize,
        part: i128,
    },
    Release {
        key: usize,
        of: usize,
    },
    Reverse {
        key: usize,
        of: usize,
    },
    Repeat {
        back: usize,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let key = || 0..KEYS;
    // Mostly legs the rules know, sometimes anything.
    let known = prop::sample::select(vec![(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (1, 1), (1, 2)]);
    let amount = || 1_i128..50;
    let lawful =
        (known, prop::collection::vec(amount(), 1..3)).prop_map(|((kind, leg), amounts)| {
            let (debit, credit) = KINDS[kind].1[leg];
            (kind, amounts.into_iter().map(|amount| (debit, credit, amount)).collect())
        });
    let anything =
        (0..KINDS.len(), prop::collection::vec((0..5_usize, 0..5_usize, amount()), 1..4));
    let content = prop_oneof![4 => lawful, 1 => anything];
    let post = (key(), content, any::<bool>(), any::<bool>())
        .prop_map(|(key, (kind, moves), hold, batch)| Act::Post { key, kind, moves, hold, batch });
    let act = prop_oneof![
        5 => post,
        2 => (key(), key(), prop_oneof![Just(100), 1_i128..100])
            .prop_map(|(key, of, part)| Act::Capture { key, of, part }),
        1 => (key(), key()).prop_map(|(key, of)| Act::Release { key, of }),
        1 => (key(), key()).prop_map(|(key, of)| Act::Reverse { key, of }),
        1 => (1..4_usize).prop_map(|back| Act::Repeat { back }),
    ];
    prop::collection::vec(act, 5..40)
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Plain { kind: usize, moves: Vec<Move>, hold: bool },
    Resolved { of: usize, amounts: Vec<i128>, release: bool },
    Reversed { of: usize },
}

#[derive(Debug, Clone)]
struct Entry {
    content: Content,
    kind: usize,
    posted: Vec<Move>,
    held: Vec<Move>,
    resolved_by: Option<usize>,
    reversed_by: Option<usize>,
}

/// Debits and credits, posted and pending.
type Counters = [[i128; 4]; 5];

#[derive(Debug, Default)]
struct Model {
    counters: Counters,
    entries: BTreeMap<usize, Entry>,
}

impl Model {
    /// What the books answer: `Ok(created)` or the name of the refusal.
    fn apply(&mut self, act: &Act) -> Result<bool, &'static str> {
        match act {
            Act::Post { key, kind, moves, hold, batch } => {
                let content = Content::Plain { kind: *kind, moves: moves.clone(), hold: *hold };
                self.post(*key, content, *batch && !*hold)
            }
            Act::Capture { key, of, part } => self.resolve(*key, *of, Some(*part)),
            Act::Release { key, of } => self.resolve(*key, *of, None),
            Act::Reverse { key, of } => self.reverse(*key, *of),
            Act::Repeat { .. } => unreachable!("repetitions are spelt out before"),
        }
    }

    fn known(&self, key: usize, content: &Content) -> Option<Result<bool, &'static str>> {
        let entry = self.entries.get(&key)?;
        Some(if entry.content == *content { Ok(false) } else { Err("Conflict") })
    }

    fn post(&mut self, key: usize, content: Content, batch: bool) -> Result<bool, &'static str> {
        let Content::Plain { kind, moves, hold } = content.clone() else { unreachable!() };
        if moves.iter().any(|(debit, credit, _)| debit == credit) {
            return Err("Malformed");
        }
        if let Some(answer) = self.known(key, &content) {
            return answer;
        }
        let mut next = self.counters;
        for (debit, credit, amount) in &moves {
            let shift = usize::from(hold) * 2;
            next[*debit][shift] += amount;
            next[*credit][1 + shift] += amount;
        }
        let allowed = moves.iter().all(|(d, c, _)| KINDS[kind].1.contains(&(*d, *c)));
        // A batch looks at the rules before it moves the balances, a single posting after.
        if batch && !allowed {
            return Err("NotAllowed");
        }
        self.move_to(next)?;
        if !allowed {
            return Err("NotAllowed");
        }
        self.counters = next;
        let (posted, held) = if hold { (Vec::new(), moves) } else { (moves, Vec::new()) };
        self.enter(key, kind, content, posted, held);
        Ok(true)
    }

    fn resolve(&mut self, key: usize, of: usize, part: Option<i128>) -> Result<bool, &'static str> {
        let held = self.entries.get(&of).filter(|entry| !entry.held.is_empty());
        let hold = held.ok_or("HoldNotFound")?.clone();
        if hold.resolved_by.is_some_and(|by| by != key) {
            return Err("AlreadyResolved");
        }
        let amounts: Vec<i128> =
            hold.held.iter().map(|(_, _, amount)| taken(*amount, part.unwrap_or(100))).collect();
        let content = Content::Resolved { of, amounts: amounts.clone(), release: part.is_none() };
        if let Some(answer) = self.known(key, &content) {
            return answer;
        }
        let mut next = self.counters;
        let mut posted = Vec::new();
        for ((debit, credit, held), amount) in hold.held.iter().zip(amounts) {
            next[*debit][2] -= held;
            next[*credit][3] -= held;
            if part.is_some() {
                next[*debit][0] += amount;
                next[*credit][1] += amount;
                posted.push((*debit, *credit, amount));
            }
        }
        self.move_to(next)?;
        self.counters = next;
        self.enter(key, hold.kind, content, posted, Vec::new());
        self.entries.get_mut(&of).unwrap().resolved_by = Some(key);
        Ok(true)
    }

    fn reverse(&mut self, key: usize, of: usize) -> Result<bool, &'static str> {
        let original = self.entries.get(&of).ok_or("TransferNotFound")?.clone();
        if original.reversed_by.is_some_and(|by| by != key) {
            return Err("AlreadyReversed");
        }
        if original.posted.is_empty() {
            return Err("Malformed");
        }
        let content = Content::Reversed { of };
        if let Some(answer) = self.known(key, &content) {
            return answer;
        }
        let mut next = self.counters;
        let mirror: Vec<Move> = original.posted.iter().map(|(d, c, a)| (*c, *d, *a)).collect();
        for (debit, credit, amount) in &mirror {
            next[*debit][0] += amount;
            next[*credit][1] += amount;
        }
        self.move_to(next)?;
        self.counters = next;
        self.enter(key, original.kind, content, mirror, Vec::new());
        self.entries.get_mut(&of).unwrap().reversed_by = Some(key);
        Ok(true)
    }

    fn enter(
        &mut self,
        key: usize,
        kind: usize,
        content: Content,
        posted: Vec<Move>,
        held: Vec<Move>,
    ) {
        let entry = Entry { content, kind, posted, held, resolved_by: None, reversed_by: None };
        self.entries.insert(key, entry);
    }

    fn move_to(&self, next: Counters) -> Result<(), &'static str> {
        let crossed = next.iter().zip(ACCOUNTS).any(|([dp, cp, dq, cq], (_, guard))| match guard {
            1 => cp + cq > *dp,
            2 => dp + dq > *cp,
            _ => false,
        });
        if crossed { Err("WouldOverdraw") } else { Ok(()) }
    }
}

/// The captured part of a held amount: at least one.
fn taken(held: i128, part: i128) -> i128 {
    (held * part / 100).max(1)
}

/// The same act through the doors, under names of this case.
async fn perform(
    book: &Book<'_>,
    case: u32,
    act: &Act,
    model: &Model,
) -> Result<bool, LedgerError> {
    let key = |n: &usize| format!("case:{case}:{n}");
    let kind_of = |n: &usize| KINDS[model.entries.get(n).map_or(0, |entry| entry.kind)].0;
    match act {
        Act::Post { key: n, kind, moves, hold, batch } => {
            let code = |at: &usize| format!("{}:{case}:ETH", ACCOUNTS[*at].0);
            let lines: Vec<String> =
                moves.iter().map(|(d, c, a)| format!("{} > {} {a}", code(d), code(c))).collect();
            let t = transfer(&key(n), KINDS[*kind].0, &lines.join("\n"));
            match (hold, batch) {
                (true, _) => book.hold(&t).await.map(|posted| posted.created),
                (false, true) => book.post_many(&[t]).await.map(|posted| posted[0].created),
                (false, false) => book.post(&t).await.map(|posted| posted.created),
            }
        }
        Act::Capture { key: n, of, part: 100 } => {
            book.capture(&key(of), &key(n), kind_of(of)).await.map(|posted| posted.created)
        }
        Act::Capture { key: n, of, part } => {
            let held = model.entries.get(of).map_or(&[][..], |entry| &entry.held);
            let amounts: Vec<Amount> = held
                .iter()
                .map(|(_, _, amount)| Amount::try_new(taken(*amount, *part), Asset::Eth).unwrap())
                .collect();
            let r = resolution(&key(n), kind_of(of));
            book.capture_part(&key(of), &r, &amounts).await.map(|posted| posted.created)
        }
        Act::Release { key: n, of } => {
            book.release(&key(of), &key(n), kind_of(of)).await.map(|posted| posted.created)
        }
        Act::Reverse { key: n, of } => {
            book.reverse(&key(of), &key(n)).await.map(|posted| posted.created)
        }
        Act::Repeat { .. } => unreachable!("repetitions are spelt out before"),
    }
}

fn name(error: &LedgerError) -> &'static str {
    match error {
        LedgerError::Conflict { .. } => "Conflict",
        LedgerError::WouldOverdraw { .. } => "WouldOverdraw",
        LedgerError::NotAllowed(_) => "NotAllowed",
        LedgerError::Malformed(_) => "Malformed",
        LedgerError::HoldNotFound { .. } => "HoldNotFound",
        LedgerError::AlreadyResolved { .. } => "AlreadyResolved",
        LedgerError::TransferNotFound { .. } => "TransferNotFound",
        LedgerError::AlreadyReversed { .. } => "AlreadyReversed",
        other => panic!("{other:?}"),
    }
}

async fn counters(book: &Book<'_>, case: u32) -> Counters {
    let mut conn = book.0.acquire().await.unwrap();
    let lines = ledger::trial_balance(&mut conn).await.unwrap();
    ACCOUNTS.map(|(word, _)| {
        let code = format!("{word}:{case}:ETH");
        lines.iter().find(|line| line.code == code).map_or([0; 4], |line| {
            [line.debits, line.credits, line.debits_pending, line.credits_pending]
                .map(Amount::minor)
        })
    })
}

async fn run_case(book: &Book<'_>, case: u32, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    let mut done: Vec<Act> = Vec::new();
    for act in acts {
        let act = match act {
            Act::Repeat { back } => match done.iter().rev().nth(back - 1) {
                Some(before) => before.clone(),
                None => continue,
            },
            other => other,
        };
        let got = perform(book, case, &act, &model).await.map_err(|error| name(&error));
        let want = model.apply(&act);
        prop_assert_eq!(got, want, "{:?} after {:?}", act, done);
        prop_assert_eq!(counters(book, case).await, model.counters, "{:?} after {:?}", act, done);
        done.push(act);
    }
    Ok(())
}

#[test]
fn the_books_do_what_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime.block_on(TestDb::create()).unwrap();
    let book = Book(&db.app);
    let config = Config {
        cases: CASES,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    // A fixed seed: a failure is the same failure tomorrow.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let case = Cell::new(0);
    let outcome = TestRunner::new_with_rng(config, rng).run(&acts(), |acts| {
        case.set(case.get() + 1);
        runtime.block_on(run_case(&book, case.get(), acts))
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    runtime.block_on(book.is_sound());
}
