//! The same move at a higher fee.
//!
//! Invariants: the same inputs, so at most one of the two can be in a chain; the fee outbids all
//! that stands in its place by BIP125, and is at least a quarter higher. A draft that is not as we
//! write them is refused.

use std::str::FromStr as _;

use bitcoin::{OutPoint, Psbt};
use chains::carrier::{Draft, DraftError, Unsigned};

use super::{
    fee::{self, Rates},
    inputs::{Coin, held},
    plan::Layout,
    refused, sats,
};

/// Longer than a PSBT with as many inputs as we put into one.
const LONGEST: usize = 1_000_000;

/// What a draft decided.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) fee: u64,
    /// What has to reach the destination; `None` when nothing comes back and the destination bears
    /// the fee.
    pub(super) amount: Option<u64>,
}

/// Checks that the draft is about these inputs and this destination, and adds up.
pub(super) fn read(draft: &Draft, coins: &[Coin], layout: &Layout) -> Result<Old, DraftError> {
    let Unsigned::Bitcoin { psbt } = &draft.unsigned else {
        return Err(refused("a draft of another kind of network"));
    };
    let psbt = Some(psbt).filter(|text| text.len() <= LONGEST);
    let psbt = psbt.and_then(|text| Psbt::from_str(text).ok());
    let tx = psbt.ok_or_else(|| refused("a draft that cannot be read"))?.unsigned_tx;
    let ours = || refused("not a draft of ours");
    let mut spent: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    spent.sort();
    if !spent.iter().eq(coins.iter().map(|coin| &coin.at)) {
        return Err(ours());
    }
    let (first, back) = match tx.output.as_slice() {
        [first] => (first, 0),
        [first, change] if change.script_pubkey == layout.change => (first, change.value.to_sat()),
        _ => return Err(ours()),
    };
    let reaches = first.value.to_sat();
    let (amount, fee) = (sats(draft.amount), sats(draft.fee_max));
    if first.script_pubkey != layout.to || amount != Some(reaches) {
        return Err(ours());
    }
    let out = reaches.checked_add(back).and_then(|out| held(coins).ok()?.checked_sub(out));
    let fee = fee.filter(|fee| out == Some(*fee)).ok_or_else(ours)?;
    Ok(Old { fee, amount: (tx.output.len() == 2).then_some(reaches) })
}

/// The least fee of a replacement, for so many virtual bytes. `standing`: what pays in its place
/// now, with all that hangs on it.
pub(super) fn needed(old: u64, standing: u64, rates: Rates, rate: u64) -> impl Fn(u64) -> u64 {
    let quarter = old.saturating_add(old.div_ceil(4));
    let outbid = old.max(standing);
    move |vsize| {
        let step = outbid.saturating_add(fee::at(rates.step, vsize));
        fee::at(rate, vsize).max(quarter).max(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { advice: 2_000, floor: 1_000, step: 1_000, cap: 300_000 };

    #[test]
    fn it_outbids_by_every_rule() {
        // A quarter more; the step; what hangs on the old one; today's rate.
        assert_eq!(needed(10_001, 0, RATES, 2_000)(110), 12_502);
        assert_eq!(needed(300, 300, RATES, 2_000)(110), 410);
        assert_eq!(needed(300, 50_000, RATES, 2_000)(110), 50_110);
        assert_eq!(needed(300, 300, RATES, 9_000)(110), 990);
    }
}
