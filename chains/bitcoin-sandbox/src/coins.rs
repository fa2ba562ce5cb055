//! The payer's key and the transactions he signs with it.
//!
//! Invariant: one well-known key, one kind of output (P2WPKH), for regtest only.

use bitcoin::{
    Address, Amount, CompressedPublicKey, EcdsaSighashType, Network, OutPoint, ScriptBuf, Sequence,
    Transaction, TxIn, TxOut, Witness,
    absolute::LockTime,
    key::{PrivateKey, Secp256k1},
    secp256k1::{All, Message, SecretKey},
    sighash::SighashCache,
    transaction::Version,
};

use super::{SandboxError, sentence};

/// An output somebody can spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coin {
    pub(super) at: OutPoint,
    pub(super) sats: u64,
}

pub(super) struct Purse {
    curve: Secp256k1<All>,
    key: PrivateKey,
}

impl Purse {
    /// `number` tells one sandbox purse from another.
    pub(super) fn new(number: u8) -> Result<Self, SandboxError> {
        let key = SecretKey::from_slice(&[number; 32]).map_err(sentence)?;
        Ok(Self { curve: Secp256k1::new(), key: PrivateKey::new(key, Network::Regtest) })
    }

    fn public(&self) -> Result<CompressedPublicKey, SandboxError> {
        CompressedPublicKey::from_private_key(&self.curve, &self.key).map_err(sentence)
    }

    pub(super) fn address(&self) -> Result<Address, SandboxError> {
        Ok(Address::p2wpkh(&self.public()?, Network::Regtest))
    }

    pub(super) fn script(&self) -> Result<ScriptBuf, SandboxError> {
        Ok(self.address()?.script_pubkey())
    }

    /// Spends the coins into `outputs`; what is left beyond `fee` comes back.
    pub(super) fn spend(
        &self,
        coins: &[Coin],
        outputs: &[(ScriptBuf, u64)],
        fee: u64,
    ) -> Result<Transaction, SandboxError> {
        let have: u64 = coins.iter().map(|coin| coin.sats).sum();
        let given: u64 = outputs.iter().map(|(_, sats)| sats).sum();
        let change = given
            .checked_add(fee)
            .and_then(|spent| have.checked_sub(spent))
            .ok_or_else(|| SandboxError("the payer has not enough coins".to_owned()))?;
        let output = |(script, sats): (ScriptBuf, u64)| TxOut {
            value: Amount::from_sat(sats),
            script_pubkey: script,
        };
        let mut outputs: Vec<TxOut> = outputs.iter().cloned().map(output).collect();
        if change >= 294 {
            outputs.push(output((self.script()?, change)));
        }
        let input = |coin: &Coin| TxIn {
            previous_output: coin.at,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins.iter().map(input).collect(),
            output: outputs,
        };
        self.sign(&mut tx, coins)?;
        Ok(tx)
    }

    fn sign(&self, tx: &mut Transaction, coins: &[Coin]) -> Result<(), SandboxError> {
        let (script, public) = (self.script()?, self.public()?);
        let mut cache = SighashCache::new(tx);
        for (index, coin) in coins.iter().enumerate() {
            let kind = EcdsaSighashType::All;
            let value = Amount::from_sat(coin.sats);
            let hash = cache.p2wpkh_signature_hash(index, &script, value, kind);
            let message = Message::from(hash.map_err(sentence)?);
            let signature = bitcoin::ecdsa::Signature {
                signature: self.curve.sign_ecdsa(&message, &self.key.inner),
                sighash_type: kind,
            };
            let witness = cache.witness_mut(index);
            let witness = witness.ok_or_else(|| SandboxError("no such input".to_owned()))?;
            *witness = Witness::p2wpkh(&signature, &public.0);
        }
        Ok(())
    }
}
