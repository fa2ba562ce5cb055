//! Bitcoin: a PSBT whose every input is ours, with one output: the destination. What it takes
//! beyond the amount is fee, so all that the inputs hold is counted by a limit.
//!
//! There is no change: the fleet moves whole outputs, and what goes to an index of ours that no
//! process looks at is gone, uncounted.
//!
//! A signature of a witness input covers the value of that input only. Somebody who lies about
//! another input's value gets a signature that is worthless there; by asking twice for one
//! transaction, lying about a different input each time, he would collect good signatures for a fee
//! nobody saw. So the values said for one transaction are kept as a [`Claim`]: others are refused.

use std::collections::BTreeSet;

use ::bitcoin::{
    Address, Amount as Coins, CompressedPublicKey, EcdsaSighashType, Network, NetworkKind,
    OutPoint, Psbt, Transaction, TxOut,
    bip32::{ChildNumber, Xpub},
    hashes::Hash as _,
    psbt::Input,
    secp256k1::{PublicKey, Secp256k1, VerifyOnly},
    sighash::SighashCache,
    transaction::Version,
};
use primitives::Asset;
use sha2::{Digest as _, Sha256};
use signing::{Intent, Purpose};

use super::{Claim, Examined, within_fee_max};
use crate::{config::BitcoinChain, keys::KeyPath, refusal::Refusal};

/// A network of Bitcoin and our account on it.
pub(crate) struct Bitcoin {
    network: Network,
    account: Xpub,
    curve: Secp256k1<VerifyOnly>,
}

/// A transaction without witnesses, and what each of its inputs signs.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) tx: Transaction,
    pub(crate) inputs: Vec<Signing>,
}

#[derive(Debug)]
pub(crate) struct Signing {
    pub(crate) key: KeyPath,
    pub(crate) public: PublicKey,
    pub(crate) digest: [u8; 32],
}

/// An input: its key, which is ours, and the output it spends.
struct Spent {
    key: KeyPath,
    public: PublicKey,
    output: TxOut,
}

/// Deposits are on branch 0; an account brought from elsewhere may hold coins on its branch 1.
const LAST_BRANCH: u32 = 1;

impl Bitcoin {
    pub(crate) fn new(chain: BitcoinChain, account: Xpub) -> Self {
        let network = match chain {
            BitcoinChain::Mainnet => Network::Bitcoin,
            BitcoinChain::Testnet4 => Network::Testnet4,
            BitcoinChain::Signet => Network::Signet,
            BitcoinChain::Regtest => Network::Regtest,
        };
        Self { network, account, curve: Secp256k1::verification_only() }
    }

    pub(crate) fn canonical(&self, address: &str) -> Option<String> {
        self.address(address).map(|address| address.to_string())
    }

    fn address(&self, text: &str) -> Option<Address> {
        text.parse::<Address<_>>().ok()?.require_network(self.network).ok()
    }

    pub(crate) fn examine(&self, intent: &Intent, psbt: &str) -> Result<Examined, Refusal> {
        if intent.purpose == Purpose::Gas {
            return Err(Refusal::not_allowed("nothing needs gas here"));
        }
        if intent.amount.asset() != Asset::Btc {
            return Err(Refusal::does_not_match("only bitcoins move here"));
        }
        let to = self
            .address(&intent.to)
            .ok_or_else(|| Refusal::malformed("the destination is no address here"))?;
        let psbt: Psbt = psbt.parse().map_err(|_| Refusal::malformed("not a PSBT"))?;
        check_shape(&psbt)?;
        let spent = self.inputs(&psbt)?;
        check_output(&psbt.unsigned_tx, intent, &to)?;
        let fee = fee(&psbt.unsigned_tx, &spent)?;
        within_fee_max(fee, intent)?;
        let tx = psbt.unsigned_tx;
        let claim = Claim { tx_id: tx.compute_txid().to_string(), values: digest_of(&spent) };
        let spends = spends(&tx);
        let inputs = digests(&tx, &spent)?;
        let work = super::Work::Bitcoin(Work { tx, inputs });
        Ok(Examined { to: to.to_string(), fee, spends, claim: Some(claim), work })
    }

    fn inputs(&self, psbt: &Psbt) -> Result<Vec<Spent>, Refusal> {
        let mut spent = Vec::new();
        for input in &psbt.inputs {
            let output = input
                .witness_utxo
                .clone()
                .ok_or_else(|| Refusal::malformed("an input does not say what it spends"))?;
            let (key, public) = self.key_of(input, &output)?;
            if input.sighash_type.is_some_and(|kind| kind != EcdsaSighashType::All.into()) {
                return Err(Refusal::does_not_match("an input would sign less than everything"));
            }
            spent.push(Spent { key, public, output });
        }
        Ok(spent)
    }

    /// The key must be ours by derivation, and the output must be that key's.
    fn key_of(&self, input: &Input, utxo: &TxOut) -> Result<(KeyPath, PublicKey), Refusal> {
        let foreign = || Refusal::unknown_key("an input is not ours");
        let mut named = input.bip32_derivation.iter();
        let (public, (_, path)) = named.next().ok_or_else(foreign)?;
        if named.next().is_some() {
            return Err(Refusal::malformed("an input names more than one key"));
        }
        let (path, derived) = self.derive(path.as_ref()).ok_or_else(foreign)?;
        if derived != *public || utxo.script_pubkey != script_of(derived) {
            return Err(foreign());
        }
        Ok((path, derived))
    }

    fn derive(&self, path: &[ChildNumber]) -> Option<(KeyPath, PublicKey)> {
        let [
            ChildNumber::Normal { index: branch @ 0..=LAST_BRANCH },
            ChildNumber::Normal { index },
        ] = path
        else {
            return None;
        };
        let key = self.account.derive_pub(&self.curve, &path).ok()?.public_key;
        Some((KeyPath { branch: *branch, index: *index }, key))
    }

    /// For people: the account as wallets write it (zpub, or vpub on test networks).
    pub(crate) fn published(account: &Xpub) -> String {
        const ZPUB: [u8; 4] = [0x04, 0xb2, 0x47, 0x46];
        const VPUB: [u8; 4] = [0x04, 0x5f, 0x1c, 0xf6];
        let version = if account.network == NetworkKind::Main { ZPUB } else { VPUB };
        let mut bytes = account.encode();
        let (head, _) = bytes.split_at_mut(4);
        head.copy_from_slice(&version);
        ::bitcoin::base58::encode_check(&bytes)
    }
}

fn script_of(key: PublicKey) -> ::bitcoin::ScriptBuf {
    ::bitcoin::ScriptBuf::new_p2wpkh(&CompressedPublicKey(key).wpubkey_hash())
}

fn check_shape(psbt: &Psbt) -> Result<(), Refusal> {
    let tx = &psbt.unsigned_tx;
    let counted = tx.input.len() == psbt.inputs.len() && tx.output.len() == psbt.outputs.len();
    if !counted || tx.input.is_empty() {
        return Err(Refusal::malformed("the PSBT is not whole"));
    }
    if tx.output.len() != 1 {
        return Err(Refusal::does_not_match("it has other outputs than the payment"));
    }
    if ![Version::ONE, Version::TWO].contains(&tx.version) || !tx.lock_time.is_block_height() {
        return Err(Refusal::does_not_match("it is not a plain transaction"));
    }
    let mut seen = BTreeSet::new();
    for input in &tx.input {
        if !seen.insert(input.previous_output) {
            return Err(Refusal::malformed("it spends one output twice"));
        }
        if !input.sequence.is_rbf() || input.sequence.is_relative_lock_time() {
            return Err(Refusal::does_not_match("an input does not signal replaceability"));
        }
    }
    Ok(())
}

fn check_output(tx: &Transaction, intent: &Intent, to: &Address) -> Result<(), Refusal> {
    let wanted = u64::try_from(intent.amount.minor())
        .map_err(|_| Refusal::malformed("more than there are bitcoins"))?;
    let wanted = TxOut { value: Coins::from_sat(wanted), script_pubkey: to.script_pubkey() };
    if tx.output != [wanted] {
        return Err(Refusal::does_not_match("no output pays this amount to the destination"));
    }
    Ok(())
}

fn fee(tx: &Transaction, spent: &[Spent]) -> Result<i128, Refusal> {
    let add = |sum: Coins, output: &TxOut| sum.checked_add(output.value);
    let paid = spent.iter().map(|spent| &spent.output).try_fold(Coins::ZERO, add);
    let got = tx.output.iter().try_fold(Coins::ZERO, add);
    let fee = paid.zip(got).and_then(|(paid, got)| paid.checked_sub(got));
    let fee = fee.ok_or_else(|| Refusal::malformed("it pays out more than it spends"))?;
    Ok(i128::from(fee.to_sat()))
}

fn digests(tx: &Transaction, spent: &[Spent]) -> Result<Vec<Signing>, Refusal> {
    let mut cache = SighashCache::new(tx);
    let mut inputs = Vec::new();
    for (index, Spent { key, public, output }) in spent.iter().enumerate() {
        let (script, kind) = (&output.script_pubkey, EcdsaSighashType::All);
        let digest = cache
            .p2wpkh_signature_hash(index, script, output.value, kind)
            .map_err(|_| Refusal::malformed("an input cannot be signed"))?;
        inputs.push(Signing { key: *key, public: *public, digest: digest.to_byte_array() });
    }
    Ok(inputs)
}

/// Transactions that spend exactly the same outputs exclude each other. Ones that share some of
/// them do so in pairs only, so they are not counted as one.
fn spends(tx: &Transaction) -> [u8; 32] {
    let outputs: BTreeSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    let mut hash = Sha256::new();
    for output in outputs {
        hash.update(output.txid.to_byte_array());
        hash.update(output.vout.to_le_bytes());
    }
    hash.finalize().into()
}

fn digest_of(spent: &[Spent]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for spent in spent {
        hash.update(spent.output.value.to_sat().to_le_bytes());
    }
    hash.finalize().into()
}
