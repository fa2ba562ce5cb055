//! How what the inputs hold is shared out: what reaches the destination, change, fee.
//!
//! Invariants: the three add up to what the inputs hold, to the satoshi; no output is dust; what
//! would be dust joins the fee. Pure: no node is asked.

use bitcoin::{Script, ScriptBuf};

use super::fee;

/// Where it goes.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) to: ScriptBuf,
    pub(super) change: ScriptBuf,
    /// `None`: everything.
    pub(super) amount: Option<u64>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) reaches: u64,
    pub(super) change: Option<u64>,
    pub(super) fee: u64,
    /// Of the fee, what was asked for; the rest is dust that joined it.
    pub(super) must: u64,
    pub(super) vsize: u64,
}

/// Below this an output costs more to spend than it is worth, and nobody passes it on.
fn dust(script: &Script) -> u64 {
    script.minimal_non_dust().to_sat()
}

/// `needed`: the fee for so many virtual bytes.
///
/// # Errors
/// A sentence when it is not worth it.
pub(super) fn make(
    held: u64,
    inputs: usize,
    layout: &Layout,
    needed: impl Fn(u64) -> u64,
) -> Result<Plan, String> {
    let (to, change) = (layout.to.len(), layout.change.len());
    let vsize = fee::vsize(inputs, &[to]);
    let must = needed(vsize);
    let Some(reaches) = layout.amount else {
        let left = held.checked_sub(must).filter(|left| *left >= dust(&layout.to));
        let reaches = left.ok_or_else(|| format!("of {held} sat the fee takes {must}"))?;
        return Ok(Plan { reaches, change: None, fee: must, must, vsize });
    };
    if reaches < dust(&layout.to) {
        return Err(format!("{reaches} sat are too little for an output"));
    }
    let too_little = || format!("{held} sat do not suffice for {reaches} and the fee");
    let left = held.checked_sub(reaches).ok_or_else(too_little)?;
    let larger = fee::vsize(inputs, &[to, change]);
    let more = needed(larger);
    if let Some(back) = left.checked_sub(more).filter(|back| *back >= dust(&layout.change)) {
        return Ok(Plan { reaches, change: Some(back), fee: more, must: more, vsize: larger });
    }
    if left < must {
        return Err(too_little());
    }
    Ok(Plan { reaches, change: None, fee: left, must, vsize })
}

#[cfg(test)]
mod tests {
    use bitcoin::{WPubkeyHash, hashes::Hash as _};

    use super::*;

    fn layout(amount: Option<u64>) -> Layout {
        let script = |n| ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([n; 20]));
        Layout { to: script(1), change: script(2), amount }
    }

    // Every amount, around every edge there is.
    #[test]
    fn it_always_adds_up() {
        for rate in [1_000, 1_337, 25_000] {
            for inputs in [1, 2, 7] {
                for held in (0..40_000).step_by(61) {
                    for amount in [None, Some(293), Some(294), Some(5_000), Some(held)] {
                        let layout = layout(amount);
                        let needed = |vsize| fee::at(rate, vsize);
                        let Ok(plan) = make(held, inputs, &layout, needed) else { continue };
                        let out = plan.reaches + plan.change.unwrap_or(0) + plan.fee;
                        assert_eq!(out, held);
                        assert!(plan.reaches >= 294 && plan.change.is_none_or(|back| back >= 294));
                        assert!(plan.fee >= plan.must && plan.must == needed(plan.vsize));
                        assert!(plan.fee - plan.must < 294 + fee::at(rate, 31) + 1);
                        assert!(amount.is_none_or(|amount| amount == plan.reaches));
                    }
                }
            }
        }
    }

    #[test]
    fn dust_joins_the_fee() {
        let plan = |held| make(held, 1, &layout(Some(10_000)), |vsize| vsize);
        assert!(plan(10_109).is_err());
        let without = plan(10_110).unwrap();
        assert_eq!((without.change, without.fee), (None, 110));
        let joined = plan(10_141 + 293).unwrap();
        assert_eq!((joined.change, joined.fee, joined.must), (None, 434, 110));
        let with = plan(10_141 + 294).unwrap();
        assert_eq!((with.change, with.fee), (Some(294), 141));
    }

    #[test]
    fn what_the_fee_would_eat_is_not_worth_it() {
        let all = |held| make(held, 1, &layout(None), |vsize| vsize);
        assert_eq!(all(110 + 294).map(|plan| plan.reaches), Ok(294));
        assert!(all(110 + 293).is_err());
        assert!(all(0).is_err());
    }
}
