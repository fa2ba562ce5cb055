//! Reading transactions: every output that pays a watched address.
//!
//! Invariants: an output is named by its transaction and its index, whatever block it is in; an
//! output that was just mined into being (coinbase) is no payment, it may vanish for 100 blocks: it
//! is reported as something to look at. A transaction costs what its own outputs cost, whatever it
//! spends: it is named once, and of what it spends a few outputs are enough to know it by.

use std::str::FromStr as _;

use bitcoin::{
    Address, Block, Network, OutPoint, Script, ScriptBuf, Transaction, Txid, WPubkeyHash,
    hashes::Hash as _,
};
use chains::{Arrived, BlockRef, Outgoing, ReadError, Sighting, WatchSet};
use primitives::{Amount, Asset};

use crate::{locate::OUTPOINTS, node::garbage};

/// What the reward of a miner is called where a token has its contract.
const COINBASE: &str = "coinbase";

/// An output of the one kind our addresses are of.
#[derive(Debug, Clone, Copy)]
struct Output {
    index: u32,
    to: WPubkeyHash,
    sats: u64,
}

/// What has to be known of a transaction that may pay us.
#[derive(Debug)]
pub(crate) struct Payments {
    outputs: Box<[Output]>,
    spends: Box<[OutPoint]>,
}

impl Payments {
    /// `None` when no output is of the kind of our addresses.
    pub(crate) fn of(tx: &Transaction) -> Option<Self> {
        let outputs: Box<[Output]> = outputs(tx).collect();
        let spends = tx.input.iter().take(OUTPOINTS).map(|input| input.previous_output).collect();
        (!outputs.is_empty()).then_some(Self { outputs, spends })
    }

    /// What it would bring to watched addresses, with what it spends.
    pub(crate) fn sightings(
        &self,
        id: Txid,
        network: Network,
        watch: &WatchSet,
    ) -> Result<Vec<Sighting>, ReadError> {
        let paid: Vec<(Output, String)> = watched(&self.outputs, network, watch).collect();
        if paid.is_empty() {
            return Ok(Vec::new());
        }
        let id = id.to_string();
        let spends: Vec<String> = self.spends.iter().map(ToString::to_string).collect();
        let sighting = |(output, to): (Output, String)| {
            let arrived = Arrived::Known(btc(output.sats)?);
            let (tx_id, spends) = (id.clone(), spends.clone());
            Ok(Sighting { tx_id, ordinal: output.index, to, from: None, arrived, spends })
        };
        paid.into_iter().map(sighting).collect()
    }
}

/// What the transactions of a block brought to watched addresses.
pub(crate) fn block(
    block: &Block,
    network: Network,
    watch: &WatchSet,
) -> Result<Vec<Sighting>, ReadError> {
    let mut sightings = Vec::new();
    for tx in &block.txdata {
        let outputs: Vec<Output> = outputs(tx).collect();
        let mut paid = watched(&outputs, network, watch).peekable();
        if paid.peek().is_none() {
            continue;
        }
        let id = tx.compute_txid().to_string();
        for (output, to) in paid {
            let arrived = if tx.is_coinbase() {
                let (contract, minor) = (COINBASE.to_owned(), output.sats.to_string());
                Arrived::UnknownToken { contract, minor }
            } else {
                Arrived::Known(btc(output.sats)?)
            };
            let (tx_id, spends) = (id.clone(), Vec::new());
            let ordinal = output.index;
            sightings.push(Sighting { tx_id, ordinal, to, from: None, arrived, spends });
        }
    }
    sightings.sort_by(|a, b| (&a.tx_id, a.ordinal).cmp(&(&b.tx_id, b.ordinal)));
    Ok(sightings)
}

/// The outputs of one transaction of a block that pay `script`, of whatever kind it is.
pub(crate) fn outgoing(
    raw: &Block,
    tx_id: &str,
    script: &Script,
    block: &BlockRef,
) -> Result<Vec<Outgoing>, ReadError> {
    let id = Txid::from_str(tx_id).map_err(|_| garbage("no txid"))?;
    let tx = raw.txdata.iter().find(|tx| tx.compute_txid() == id);
    let tx = tx.ok_or_else(|| garbage("a block without the transaction"))?;
    if tx.is_coinbase() {
        return Ok(Vec::new());
    }
    let mut paid = Vec::new();
    for (ordinal, output) in (0_u32..).zip(&tx.output) {
        if *output.script_pubkey == *script && output.value.to_sat() > 0 {
            let (tx_id, amount) = (id.to_string(), btc(output.value.to_sat())?);
            paid.push(Outgoing { tx_id, block: block.clone(), ordinal, amount });
        }
    }
    Ok(paid)
}

/// Deposit addresses are all of this one kind; everything else costs one comparison.
fn outputs(tx: &Transaction) -> impl Iterator<Item = Output> {
    (0_u32..).zip(&tx.output).filter_map(|(index, output)| {
        let script = &output.script_pubkey;
        let to = script.as_bytes().get(2..).filter(|_| script.is_p2wpkh())?;
        let (to, sats) = (WPubkeyHash::from_slice(to).ok()?, output.value.to_sat());
        (sats > 0).then_some(Output { index, to, sats })
    })
}

fn watched(
    outputs: &[Output],
    network: Network,
    watch: &WatchSet,
) -> impl Iterator<Item = (Output, String)> {
    outputs.iter().filter_map(move |output| {
        let script = ScriptBuf::new_p2wpkh(&output.to);
        let to = Address::from_script(&script, network).ok()?.to_string();
        watch.contains(&to).then_some((*output, to))
    })
}

fn btc(sats: u64) -> Result<Amount, ReadError> {
    let amount = Amount::try_new(i128::from(sats), Asset::Btc);
    amount.map_err(|_| garbage("more coins than exist"))
}

#[cfg(test)]
mod tests {
    use bitcoin::{
        Sequence, TxIn, TxOut, Witness, absolute::LockTime, block::Header,
        constants::genesis_block, transaction::Version,
    };

    use super::*;

    const NETWORK: Network = Network::Regtest;

    /// As much as 100 kvB hold: inputs that spend different coins, outputs to one address.
    fn broad() -> (Transaction, WatchSet) {
        let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([7; 20]));
        let address = Address::from_script(&script, NETWORK).unwrap().to_string();
        let input = |vout| TxIn {
            previous_output: OutPoint { txid: Txid::from_byte_array([9; 32]), vout },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let value = bitcoin::Amount::from_sat(1_000);
        let output = TxOut { value, script_pubkey: script };
        let tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: (0..860).map(input).collect(),
            output: vec![output; 1_600],
        };
        (tx, std::iter::once(address).collect())
    }

    #[test]
    fn a_broad_transaction_costs_little() {
        let (tx, watch) = broad();
        let id = tx.compute_txid();
        let known = Payments::of(&tx).unwrap();
        assert_eq!((known.outputs.len(), known.spends.len()), (1_600, OUTPOINTS));
        let waiting = known.sightings(id, NETWORK, &watch).unwrap();
        assert_eq!(waiting.len(), 1_600);
        assert!(waiting.iter().all(|s| s.spends.len() == OUTPOINTS && s.tx_id == id.to_string()));
        let header: Header = genesis_block(NETWORK).header;
        let mined = Block { header, txdata: vec![tx] };
        let seen = block(&mined, NETWORK, &watch).unwrap();
        assert_eq!(seen.len(), 1_600);
        assert!(seen.iter().all(|s| s.spends.is_empty()));
        assert_eq!((seen[7].ordinal, &seen[7].arrived), (7, &waiting[7].arrived));
    }

    #[test]
    fn what_pays_another_kind_of_address_is_not_kept() {
        let (mut tx, watch) = broad();
        for output in &mut tx.output {
            output.script_pubkey = ScriptBuf::from_bytes([&[0x51, 0x20][..], &[3; 32]].concat());
        }
        assert!(Payments::of(&tx).is_none());
        tx.output.truncate(1);
        let block = Block { header: genesis_block(NETWORK).header, txdata: vec![tx] };
        assert!(super::block(&block, NETWORK, &watch).unwrap().is_empty());
    }
}
