//! `make storm-orders`: so many randomised sales, on every core, and how fast they went.
//!
//! Arguments: the number of runs (10000), and the seed (1). A failure names its run, which replays.

use std::{sync::mpsc, thread, time::Instant};

use anyhow::{Context as _, Result};
use testkit::storm_orders::{Planted, Tally, storm};

/// Runs one thread takes at a time.
const SLICE: u64 = 500;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| match arguments.next().filter(|text| !text.is_empty()) {
        Some(text) => text.parse().with_context(|| format!("not a number: {text}")),
        None => Ok(default),
    };
    let (runs, seed) = (number(10_000)?, number(1)?);
    let threads =
        thread::available_parallelism().map_or(1, |n| u64::try_from(n.get()).unwrap_or(1));
    let started = Instant::now();
    let (told, heard) = mpsc::channel::<Result<Tally>>();
    for thread in 0..threads {
        let told = told.clone();
        thread::spawn(move || {
            let mut first = thread * SLICE;
            while first < runs {
                let slice = SLICE.min(runs - first);
                let done = storm(seed, first, slice, Planted::None);
                let failed = done.is_err();
                if told.send(done).is_err() || failed {
                    return;
                }
                first += threads * SLICE;
            }
        });
    }
    drop(told);
    let mut all = Tally::default();
    for done in heard {
        all = all.plus(done?);
    }
    let millis = started.elapsed().as_millis().max(1);
    let pace = u128::from(all.runs) * 1_000 / millis;
    println!(
        "storm-orders: seed {seed}, {} runs, {} orders, {} filled, {} for a person, \
         {} with a trade taken back, {} orders expired in part, {} filled after their end, \
         0 double sales; {pace} runs/s on {threads} threads",
        all.runs,
        all.orders,
        all.filled,
        all.in_review,
        all.taken_back,
        all.expired_in_part,
        all.filled_late,
    );
    Ok(())
}
