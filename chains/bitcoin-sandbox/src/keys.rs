//! The private half of `dev_xpub`: signs what the carrier drafted, in tests and demos of one
//! process.
//!
//! Invariants: everybody's key, for test networks only; it signs whatever it is given. The fleet's
//! signer, which does not, is a process of its own and deliberately elsewhere.

use std::{collections::BTreeMap, str::FromStr as _};

use bitcoin::{
    Address, Network, PrivateKey, Psbt, PublicKey, Witness, base58,
    bip32::Xpriv,
    consensus::encode,
    secp256k1::{All, Secp256k1},
};
use chains::carrier::{SignedTx, Unsigned};

use super::{SandboxError, coins::Purse, sentence};

/// Account private key m/84'/0'/0' of the mnemonic `abandon … about`, as BIP84 publishes it.
const PUBLISHED: &str = concat!(
    "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvB",
    "RmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE",
);
/// Of a key of test networks.
const TPRV: [u8; 4] = [0x04, 0x35, 0x83, 0x94];
/// Tells the venue's purse from the payer's.
const VENUE: u8 = 0x56;

/// An address on regtest whose key is neither the fleet's nor the payer's.
///
/// # Errors
/// Never in practice.
pub fn venue_address() -> Result<String, SandboxError> {
    Ok(Purse::new(VENUE)?.address()?.to_string())
}

/// Signs every input of a draft.
///
/// # Errors
/// When it is no PSBT, or an input does not name a key of `dev_xpub`.
pub fn dev_sign(unsigned: &Unsigned) -> Result<SignedTx, SandboxError> {
    let Unsigned::Bitcoin { psbt } = unsigned else {
        return Err(SandboxError("no PSBT".to_owned()));
    };
    let curve = Secp256k1::new();
    let account = account()?;
    let mut psbt = Psbt::from_str(psbt).map_err(sentence)?;
    let all = 0..psbt.inputs.len();
    let keys = all.map(|index| key(&psbt, index, &account, &curve));
    let keys: BTreeMap<PublicKey, PrivateKey> = keys.collect::<Result<_, _>>()?;
    if psbt.sign(&keys, &curve).is_err() {
        return Err(SandboxError("an input that cannot be signed".to_owned()));
    }
    for input in &mut psbt.inputs {
        let signed = input.partial_sigs.pop_first();
        let (public, signature) = signed.ok_or_else(|| SandboxError("not signed".to_owned()))?;
        input.final_script_witness = Some(Witness::p2wpkh(&signature, &public.inner));
    }
    let tx = psbt.extract_tx_unchecked_fee_rate();
    Ok(SignedTx { tx_id: tx.compute_txid().to_string(), raw: encode::serialize_hex(&tx) })
}

fn account() -> Result<Xpriv, SandboxError> {
    let mut bytes = base58::decode_check(PUBLISHED).map_err(sentence)?;
    let version = bytes.get_mut(..4).ok_or_else(|| SandboxError("no key".to_owned()))?;
    version.copy_from_slice(&TPRV);
    Xpriv::decode(&bytes).map_err(sentence)
}

/// The key at the path the input names, when it is that of what it spends.
fn key(
    psbt: &Psbt,
    index: usize,
    account: &Xpriv,
    curve: &Secp256k1<All>,
) -> Result<(PublicKey, PrivateKey), SandboxError> {
    let derivation = psbt.inputs.get(index).and_then(|input| input.bip32_derivation.iter().next());
    let (named, (_, path)) =
        derivation.ok_or_else(|| SandboxError("an input without a path".to_owned()))?;
    let private = account.derive_priv(curve, path).map_err(sentence)?.to_priv();
    let public = private.public_key(curve);
    let address = Address::p2wpkh(&public.try_into().map_err(sentence)?, Network::Regtest);
    let spent = psbt.spend_utxo(index).map_err(sentence)?;
    if public.inner != *named || address.script_pubkey() != spent.script_pubkey {
        return Err(SandboxError("an input of another key".to_owned()));
    }
    Ok((public, private))
}
