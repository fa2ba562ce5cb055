//! What tests of moving coins share: deposits of ours, and taking a draft to the network.

use bitcoin::{Amount as Sats, OutPoint, Psbt, Transaction, consensus::encode};
use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, Draft, KeyRef, Movable, SignedTx, Source, Unsigned, Wish},
    sandbox::Sandbox as _,
};
use chains_bitcoin::BitcoinChain;
use chains_bitcoin_sandbox::{dev_sign, venue_address};
use primitives::Asset;

use crate::world::{World, sats};

pub(crate) fn venue() -> String {
    venue_address().unwrap()
}

impl World {
    pub(crate) fn source(&self, index: u32) -> Source {
        Source { address: self.address(index), key: KeyRef::Deposit(index) }
    }

    /// One confirmed deposit each, to the addresses from index 0 on.
    pub(crate) async fn deposits(&self, amounts: &[u64]) -> Vec<Movable> {
        let mut deposits = Vec::new();
        for (index, amount) in (0_u32..).zip(amounts) {
            let source = self.source(index);
            let tx = self.payer.pay_many(&[(&source.address, *amount)]).await.unwrap();
            let amount = sats(i128::from(*amount));
            deposits.push(Movable { source, amount, outpoint: Some(format!("{tx}:0")) });
        }
        self.payer.mine(1).await.unwrap();
        deposits
    }

    /// One more, to the address of this index.
    pub(crate) async fn deposit_at(&self, index: u32, amount: u64) -> Movable {
        let source = self.source(index);
        let tx = self.payer.pay_many(&[(&source.address, amount)]).await.unwrap();
        self.payer.mine(1).await.unwrap();
        let amount = sats(i128::from(amount));
        Movable { source, amount, outpoint: Some(format!("{tx}:0")) }
    }

    /// What is left of them.
    pub(crate) async fn left(&self, of: &[Movable]) -> Vec<Movable> {
        self.chain.unspent(&known(of), Asset::Btc).await.unwrap()
    }

    pub(crate) async fn sent(&self, draft: &Draft) -> SignedTx {
        let signed = dev_sign(&draft.unsigned).unwrap();
        self.chain.send(&signed).await.unwrap();
        signed
    }

    pub(crate) async fn is_in_a_block(&self, tx: &str) -> bool {
        matches!(self.chain.locate(tx, &[]).await.unwrap(), TxPlace::Included { .. })
    }
}

/// The deposits as a table of them would name them.
pub(crate) fn known(of: &[Movable]) -> Vec<(Source, Vec<String>)> {
    of.iter().map(|one| (one.source.clone(), one.outpoint.clone().into_iter().collect())).collect()
}

pub(crate) fn sorted(mut movable: Vec<Movable>) -> Vec<Movable> {
    movable.sort_by(|a, b| a.outpoint.cmp(&b.outpoint));
    movable
}

pub(crate) async fn all(chain: &BitcoinChain, from: &[Movable], to: &str) -> Draft {
    chain.draft(&wish(from, to, None)).await.unwrap()
}

pub(crate) fn wish(from: &[Movable], to: &str, amount: Option<i128>) -> Wish {
    Wish { from: from.to_vec(), to: to.to_owned(), amount: amount.map(sats) }
}

pub(crate) fn psbt(draft: &Draft) -> Psbt {
    let Unsigned::Bitcoin { psbt } = &draft.unsigned else { panic!("{draft:?}") };
    psbt.parse().unwrap()
}

pub(crate) fn transaction(signed: &SignedTx) -> Transaction {
    encode::deserialize_hex(&signed.raw).unwrap()
}

/// A transaction that no carrier would draft: the outputs of a draft hold so much instead, and its
/// only input is another one.
pub(crate) fn forged(draft: &Draft, reaches: u64, spends: Option<(OutPoint, u64)>) -> Unsigned {
    let mut psbt = psbt(draft);
    psbt.unsigned_tx.output[0].value = Sats::from_sat(reaches);
    if let Some((at, held)) = spends {
        psbt.unsigned_tx.input[0].previous_output = at;
        psbt.inputs[0].witness_utxo.as_mut().unwrap().value = Sats::from_sat(held);
    }
    Unsigned::Bitcoin { psbt: psbt.to_string() }
}
