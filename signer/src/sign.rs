//! From what was examined to a transaction that may be sent.
//!
//! Invariant: every signature is checked against the public key before it leaves, so that a broken
//! key store is an error here and not a transaction nobody understands.

use alloy::{
    consensus::{SignableTransaction as _, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
    primitives::{Signature as EvmSignature, U256},
};
use bitcoin::{
    EcdsaSighashType, Witness, consensus,
    ecdsa::Signature as InputSignature,
    secp256k1::{Message, PublicKey, Secp256k1, ecdsa::Signature},
};
use chains::carrier::SignedTx;
use primitives::NetworkId;
use solana_keypair::Signature as WalletSignature;

use crate::{
    examine::Work,
    keys::{KeyError, KeyPath, KeyStore, ToSign},
};

/// Signs through a key store.
pub(crate) async fn sign(
    keys: &dyn KeyStore,
    network: &NetworkId,
    work: Work,
) -> Result<SignedTx, KeyError> {
    match work {
        Work::Bitcoin(work) => {
            let mut tx = work.tx;
            for (index, input) in work.inputs.iter().enumerate() {
                let signature = ecdsa(keys, network, input.key, input.digest).await?;
                check(&signature, input.digest, &input.public)?;
                let signature = InputSignature { signature, sighash_type: EcdsaSighashType::All };
                let place = tx.input.get_mut(index).ok_or_else(|| failed("no such input"))?;
                place.witness = Witness::p2wpkh(&signature, &input.public);
            }
            let tx_id = tx.compute_txid().to_string();
            Ok(SignedTx { tx_id, raw: consensus::encode::serialize_hex(&tx) })
        }
        Work::Evm(work) => {
            let hash = work.tx.signature_hash();
            let signature = ecdsa(keys, network, work.key, hash.0).await?.serialize_compact();
            let (r, s) = signature.split_at(32);
            let (r, s) = (U256::from_be_slice(r), U256::from_be_slice(s));
            // A key store gives no parity: the one that leads back to our address is it.
            let signature = [false, true]
                .map(|parity| EvmSignature::new(r, s, parity))
                .into_iter()
                .find(|signature| {
                    signature.recover_address_from_prehash(&hash).ok() == Some(work.from)
                })
                .ok_or_else(|| failed("a signature of another key"))?;
            let tx = TxEnvelope::from(work.tx.into_signed(signature));
            let tx_id = tx.tx_hash().to_string();
            Ok(SignedTx { tx_id, raw: hex::encode(tx.encoded_2718()) })
        }
        Work::Solana(work) => {
            let place = KeyPath { branch: 0, index: 0 };
            let signed = keys.sign(network, place, ToSign::Message(&work.message)).await?;
            let signature = WalletSignature::from(signed);
            if !signature.verify(work.wallet.as_ref(), &work.message) {
                return Err(failed("a signature of another key"));
            }
            // One signature, and its count before it.
            let mut raw = vec![1];
            raw.extend_from_slice(&signed);
            raw.extend_from_slice(&work.message);
            Ok(SignedTx { tx_id: signature.to_string(), raw: hex::encode(raw) })
        }
    }
}

/// With a low `s`, which networks insist on and machines made for keys do not give.
async fn ecdsa(
    keys: &dyn KeyStore,
    network: &NetworkId,
    key: KeyPath,
    digest: [u8; 32],
) -> Result<Signature, KeyError> {
    let signed = keys.sign(network, key, ToSign::Digest(digest)).await?;
    let mut signature = Signature::from_compact(&signed).map_err(|_| failed("no signature"))?;
    signature.normalize_s();
    Ok(signature)
}

fn check(signature: &Signature, digest: [u8; 32], public: &PublicKey) -> Result<(), KeyError> {
    Secp256k1::verification_only()
        .verify_ecdsa(&Message::from_digest(digest), signature, public)
        .map_err(|_| failed("a signature of another key"))
}

fn failed(why: &str) -> KeyError {
    KeyError::Failed(why.to_owned())
}

#[cfg(test)]
mod tests {
    use alloy::{
        consensus::TxEip1559,
        primitives::{TxKind, address},
    };
    use async_trait::async_trait;
    use bitcoin::secp256k1::SecretKey;

    use super::*;
    use crate::{examine, keys::PublicAccount};

    /// One key, whatever is asked for; `high` gives signatures as machines made for keys do.
    struct OneKey {
        private: SecretKey,
        high: bool,
    }

    #[async_trait]
    impl KeyStore for OneKey {
        fn account(&self, _: &NetworkId) -> Option<PublicAccount> {
            None
        }

        async fn sign(
            &self,
            _: &NetworkId,
            _: KeyPath,
            what: ToSign<'_>,
        ) -> Result<[u8; 64], KeyError> {
            let ToSign::Digest(digest) = what else { panic!("a message") };
            let curve = Secp256k1::new();
            let signature = curve.sign_ecdsa(&Message::from_digest(digest), &self.private);
            let mut bytes = signature.serialize_compact();
            if self.high {
                let order = U256::from_str_radix(ORDER, 16).unwrap();
                let high = order - U256::from_be_slice(&bytes[32..]);
                bytes[32..].copy_from_slice(&high.to_be_bytes::<32>());
            }
            Ok(bytes)
        }
    }

    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    const KEY: &str = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    /// Test 25 of web3.js 1.x, `eth.accounts.signTransaction`.
    const RAW: &str = concat!(
        "02f86e0180843b9aca0084b2d05e00826a4094f0109fc8df283027b6285cc889f5aa624eac1f55843b9aca00",
        "80c080a0d1290a118d51918c1ca17e3af0267c45efcd745cf42e78eabc444c424d6bcf37",
        "a003c81e1fda169575023a94200ee034128747f91020e704abaee30dbcfc785c36",
    );

    fn work() -> Work {
        let tx = TxEip1559 {
            chain_id: 1,
            nonce: 0,
            gas_limit: 27_200,
            max_fee_per_gas: 3_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(address!("0xF0109fC8DF283027b6285cc889F5aA624EaC1F55")),
            value: U256::from(1_000_000_000),
            ..TxEip1559::default()
        };
        let from = address!("0x2c7536E3605D9C16a7a3D7b1898e529396a65c23");
        Work::Evm(examine::EvmWork { tx, key: KeyPath { branch: 0, index: 0 }, from })
    }

    #[tokio::test]
    async fn signs_the_published_transaction() {
        let network = NetworkId::new("ethereum").unwrap();
        for high in [false, true] {
            let keys = OneKey { private: KEY.parse().unwrap(), high };
            assert_eq!(sign(&keys, &network, work()).await.unwrap().raw, RAW);
        }
    }

    #[tokio::test]
    async fn a_signature_of_another_key_never_leaves() {
        let network = NetworkId::new("ethereum").unwrap();
        let keys = OneKey { private: "11".repeat(32).parse().unwrap(), high: false };
        assert!(sign(&keys, &network, work()).await.is_err());
    }
}
