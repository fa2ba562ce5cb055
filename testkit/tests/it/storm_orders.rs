//! Two thousand randomised sales against the simulator's engine, and proof that the storm can see:
//! a bug put in on purpose is caught. `make storm-orders N=1000000` runs as many as one likes.

use anyhow::Result;
use testkit::storm_orders::{Planted, storm};

#[test]
fn two_thousand_sales_and_no_double_sale() -> Result<()> {
    let tally = storm(1, 0, 2_000, Planted::None)?;
    assert_eq!(tally.runs, 2_000);
    assert_eq!(tally.filled + tally.in_review, 2_000, "{tally:?}");
    assert!(tally.orders > 3_000, "the faults struck: {tally:?}");
    assert!(tally.taken_back > 20 && tally.in_review < 100, "{tally:?}");
    assert!(tally.expired_in_part > 200 && tally.filled_late > 100, "{tally:?}");
    Ok(())
}

#[test]
fn the_same_seed_is_the_same_storm() -> Result<()> {
    assert_eq!(storm(7, 100, 50, Planted::None)?, storm(7, 100, 50, Planted::None)?);
    Ok(())
}

#[test]
fn a_planted_bug_is_caught() {
    for planted in [Planted::NoFence, Planted::NoLookAgain, Planted::SameReference] {
        let seen = storm(1, 0, 2_000, planted).unwrap_err();
        let why = format!("{seen:#}");
        assert!(["S1", "S2", "S4", "S5", "cannot be"].iter().any(|s| why.contains(s)), "{why}");
    }
}
