//! Reading a signed transaction back into a draft.
//!
//! Invariant: the draft that is written has the id of what was signed: on this network the id names
//! every input, output and amount, and no signature. Nothing is asked of a node.

use std::str::FromStr as _;

use bitcoin::Psbt;
use chains::carrier::{Draft, SignedTx, Unsigned};

use super::{inputs::held, plan::Plan, send};
use crate::chain::BitcoinChain;

pub(super) fn read(chain: &BitcoinChain, like: &Draft, signed: &SignedTx) -> Result<Draft, String> {
    let tx = send::read(signed).map_err(|error| error.to_string())?;
    let coins = chain.wanted(&like.from).map_err(|error| error.to_string())?;
    let to = chain.destination(&like.to).map_err(|error| error.to_string())?;
    let layout = chain.layout(&to, None);
    let (first, change) = match tx.output.as_slice() {
        [first] => (first, None),
        [first, back] if back.script_pubkey == layout.change => (first, Some(back.value.to_sat())),
        _ => return Err("it pays somebody else".to_owned()),
    };
    if first.script_pubkey != layout.to {
        return Err("it pays somebody else".to_owned());
    }
    let reaches = first.value.to_sat();
    let held = held(&coins).map_err(|error| error.to_string())?;
    let fee = reaches.checked_add(change.unwrap_or(0)).and_then(|out| held.checked_sub(out));
    let fee = fee.ok_or("it pays more than these outputs hold")?;
    let plan = Plan { reaches, change, fee, must: fee, vsize: 0 };
    let draft = chain.settle(&coins, &to, &plan).map_err(|error| error.to_string())?;
    let Unsigned::Bitcoin { psbt } = &draft.unsigned else {
        return Err("not a draft of this network".to_owned());
    };
    let psbt = Psbt::from_str(psbt).map_err(|error| error.to_string())?;
    if psbt.unsigned_tx.compute_txid() != tx.compute_txid() {
        return Err("it does not spend these outputs, as we write it".to_owned());
    }
    Ok(draft)
}
