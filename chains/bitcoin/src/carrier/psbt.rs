//! Writing a plan down as a PSBT (BIP174).
//!
//! Invariants: every input carries the output it spends and the path of its key, and says that it
//! may be replaced; the destination is the first output, change the second. The same plan is the
//! same bytes.

use bitcoin::{
    Amount, CompressedPublicKey, Psbt, Sequence, Transaction, TxIn, TxOut,
    absolute::LockTime,
    bip32::{ChildNumber, DerivationPath, Fingerprint},
    transaction::Version,
};
use chains::carrier::KeyRef;

use super::{
    inputs::Coin,
    plan::{Layout, Plan},
};

pub(super) fn write(
    coins: &[Coin],
    plan: &Plan,
    layout: &Layout,
    change: CompressedPublicKey,
) -> Result<String, String> {
    let input = |coin: &Coin| TxIn {
        previous_output: coin.at,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        ..TxIn::default()
    };
    let output = |sats, script_pubkey| TxOut { value: Amount::from_sat(sats), script_pubkey };
    let mut outputs = vec![output(plan.reaches, layout.to.clone())];
    outputs.extend(plan.change.map(|sats| output(sats, layout.change.clone())));
    let tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: outputs,
    };
    let mut psbt = Psbt::from_unsigned_tx(tx).map_err(|error| error.to_string())?;
    for (input, coin) in psbt.inputs.iter_mut().zip(coins) {
        input.witness_utxo = Some(coin.output());
        let origin = origin(coin.place.source.key)?;
        input.bip32_derivation.insert(coin.place.key.0, origin);
    }
    if let Some(output) = psbt.outputs.get_mut(1) {
        output.bip32_derivation.insert(change.0, origin(KeyRef::Gas)?);
    }
    Ok(psbt.to_string())
}

/// Relative to the account. Which account it is, its holder knows: no fingerprint is told.
fn origin(key: KeyRef) -> Result<(Fingerprint, DerivationPath), String> {
    let (branch, index) = match key {
        KeyRef::Deposit(index) => (0, index),
        KeyRef::Gas => (1, 0),
    };
    let child = |n| ChildNumber::from_normal_idx(n).map_err(|error| error.to_string());
    let path = vec![child(branch)?, child(index)?];
    Ok((Fingerprint::default(), DerivationPath::from(path)))
}
