//! Reading transactions: every output that pays a watched address.
//!
//! Invariants: an output is named by its transaction and its index, whatever block it is in; an
//! output that was just mined into being (coinbase) is no payment, it may vanish for 100 blocks.

use bitcoin::{Address, Block, Network, Transaction};
use chains::{Arrived, ReadError, Sighting, WatchSet};
use primitives::{Amount, Asset};

use crate::node::garbage;

/// What the transactions of a block brought to watched addresses.
pub(crate) fn block(
    block: &Block,
    network: Network,
    watch: &WatchSet,
) -> Result<Vec<Sighting>, ReadError> {
    let mut sightings = Vec::new();
    for tx in &block.txdata {
        if tx.is_coinbase() {
            continue;
        }
        sightings.extend(transaction(tx, network, watch)?);
    }
    sightings.sort_by(|a, b| (&a.tx_id, a.ordinal).cmp(&(&b.tx_id, b.ordinal)));
    Ok(sightings)
}

pub(crate) fn transaction(
    tx: &Transaction,
    network: Network,
    watch: &WatchSet,
) -> Result<Vec<Sighting>, ReadError> {
    let mut sightings = Vec::new();
    for (index, output) in tx.output.iter().enumerate() {
        // Deposit addresses are all of this one kind; everything else costs one comparison.
        if !output.script_pubkey.is_p2wpkh() {
            continue;
        }
        let Ok(address) = Address::from_script(&output.script_pubkey, network) else {
            continue;
        };
        let to = address.to_string();
        if !watch.contains(&to) || output.value.to_sat() == 0 {
            continue;
        }
        let amount = Amount::try_new(i128::from(output.value.to_sat()), Asset::Btc);
        sightings.push(Sighting {
            tx_id: tx.compute_txid().to_string(),
            ordinal: u32::try_from(index).map_err(|_| garbage("outputs without end"))?,
            to,
            from: None,
            arrived: Arrived::Known(amount.map_err(|_| garbage("more coins than exist"))?),
            spends: tx.input.iter().map(|input| input.previous_output.to_string()).collect(),
        });
    }
    Ok(sightings)
}
