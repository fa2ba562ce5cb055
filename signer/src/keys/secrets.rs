//! What a key file holds, in the clear: words or a seed, and keys brought from elsewhere.
//!
//! Invariants: the text is wiped when it is dropped, is never shown by `Debug`, and is read without
//! copies; what cannot be read in full is refused before it is sealed.

use std::{collections::BTreeMap, fmt};

use bip39::Mnemonic;
use primitives::{Entropy, NetworkId};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::DeriveError;

/// JSON: `{"words": "…"}` or `{"seed": "128 hex digits"}`, and
/// `{"imported": {"<network>": {"xprv": "…"}, "<network>": {"ed25519": "…"}}}`. An `xprv` is the
/// key of an account (xprv, zprv, tprv, vprv); `ed25519` is 32 bytes in hexadecimal, or the 64
/// bytes of a wallet in base58.
pub struct Secrets(Zeroizing<Vec<u8>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow)]
    words: Option<&'a str>,
    seed: Option<&'a str>,
    #[serde(borrow, default)]
    imported: BTreeMap<&'a str, Imported<'a>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum Imported<'a> {
    Xprv(&'a str),
    Ed25519(&'a str),
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// # Errors
    /// When a part of it is no key. Nothing of the text is in the error.
    pub fn parse(text: impl Into<Vec<u8>>) -> Result<Self, DeriveError> {
        let secrets = Self(Zeroizing::new(text.into()));
        let plain = secrets.plain()?;
        secrets.seed()?;
        if plain.words.is_none() && plain.seed.is_none() && plain.imported.is_empty() {
            return Err(wrong("hold no key"));
        }
        for (network, imported) in &plain.imported {
            NetworkId::new(network).ok_or_else(|| wrong("name something that is no network"))?;
            match imported {
                Imported::Xprv(text) => drop(xprv(text)?),
                Imported::Ed25519(text) => drop(ed25519(text)?),
            }
        }
        drop(plain);
        Ok(secrets)
    }

    /// # Errors
    /// When these are not words of BIP39 with a right checksum.
    pub fn from_words(words: &str) -> Result<Self, DeriveError> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str("{\"words\":\"");
        for (index, word) in words.split_whitespace().enumerate() {
            // Letters only: nothing here needs an escape.
            if !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
                return Err(wrong("are no words of BIP39"));
            }
            if index > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
        text.push_str("\"}");
        Self::parse(text.as_bytes())
    }

    /// Twenty-four new words.
    ///
    /// # Errors
    /// Never in practice: 32 bytes are always words.
    pub fn fresh(entropy: &Entropy) -> Result<Self, DeriveError> {
        let bytes = Zeroizing::new(entropy.bytes::<32>());
        let mut mnemonic =
            Mnemonic::from_entropy(&*bytes).map_err(|_| wrong("cannot be made of new words"))?;
        let words = Zeroizing::new(mnemonic.to_string());
        mnemonic.zeroize();
        Self::from_words(&words)
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Of BIP39, without a passphrase of its own: the file's passphrase is the second factor.
    pub(super) fn seed(&self) -> Result<Option<Zeroizing<[u8; 64]>>, DeriveError> {
        let plain = self.plain()?;
        match (plain.words, plain.seed) {
            (Some(_), Some(_)) => Err(wrong("hold words and a seed: one of them")),
            (Some(words), None) => {
                let mut mnemonic =
                    Mnemonic::parse(words).map_err(|_| wrong("are no words of BIP39"))?;
                let seed = Zeroizing::new(mnemonic.to_seed(""));
                mnemonic.zeroize();
                Ok(Some(seed))
            }
            (None, Some(text)) => {
                let mut seed = Zeroizing::new([0; 64]);
                hex::decode_to_slice(text, &mut *seed)
                    .map_err(|_| wrong("hold a seed that is not 64 bytes of hexadecimal"))?;
                Ok(Some(seed))
            }
            (None, None) => Ok(None),
        }
    }

    pub(super) fn imported(
        &self,
        network: &NetworkId,
    ) -> Result<Option<Imported<'_>>, DeriveError> {
        Ok(self.plain()?.imported.get(network.as_str()).copied())
    }

    fn plain(&self) -> Result<Plain<'_>, DeriveError> {
        serde_json::from_slice(&self.0).map_err(|_| wrong("cannot be read"))
    }
}

/// An extended private key without the four bytes that say what addresses it is for.
pub(super) fn xprv(text: &str) -> Result<Zeroizing<[u8; 78]>, DeriveError> {
    const MAIN: [u8; 4] = [0x04, 0x88, 0xad, 0xe4];
    const MAIN_P2WPKH: [u8; 4] = [0x04, 0xb2, 0x43, 0x0c];
    const TEST: [u8; 4] = [0x04, 0x35, 0x83, 0x94];
    const TEST_P2WPKH: [u8; 4] = [0x04, 0x5f, 0x18, 0xbc];
    let none = || wrong("hold something that is no extended private key");
    let decoded = Zeroizing::new(bitcoin::base58::decode_check(text).map_err(|_| none())?);
    let mut key = Zeroizing::new(<[u8; 78]>::try_from(decoded.as_slice()).map_err(|_| none())?);
    let (version, _) = key.split_at_mut(4);
    let plain = match <[u8; 4]>::try_from(&*version).map_err(|_| none())? {
        MAIN | MAIN_P2WPKH => MAIN,
        TEST | TEST_P2WPKH => TEST,
        _ => return Err(none()),
    };
    version.copy_from_slice(&plain);
    Ok(key)
}

pub(super) fn ed25519(text: &str) -> Result<Zeroizing<[u8; 32]>, DeriveError> {
    let none = || wrong("hold something that is no Ed25519 key");
    let mut key = Zeroizing::new([0; 32]);
    if text.len() == 64 {
        hex::decode_to_slice(text, &mut *key).map_err(|_| none())?;
        return Ok(key);
    }
    let bytes = Zeroizing::new(bs58::decode(text).into_vec().map_err(|_| none())?);
    // Checks that its public half belongs to its private one.
    solana_keypair::Keypair::try_from(bytes.as_slice()).map_err(|_| none())?;
    let (private, _) = bytes.split_at_checked(32).ok_or_else(none)?;
    key.copy_from_slice(private);
    Ok(key)
}

fn wrong(what: &str) -> DeriveError {
    DeriveError(format!("the secrets {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon about";

    #[test]
    fn words_give_the_published_seed() {
        let secrets = Secrets::from_words(ABANDON).unwrap();
        let seed = hex::encode(*secrets.seed().unwrap().unwrap());
        assert!(
            seed.starts_with("5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1")
        );
        assert_eq!(format!("{secrets:?}"), "Secrets(…)");
    }

    #[test]
    fn new_words_are_twenty_four_and_differ() {
        let entropy = Entropy::seeded(1);
        let (one, two) = (Secrets::fresh(&entropy).unwrap(), Secrets::fresh(&entropy).unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.plain().unwrap().words.unwrap().split(' ').count(), 24);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let long = "ab".repeat(63);
        for text in [
            "",
            "{}",
            "[]",
            "{\"words\":\"abandon abandon\"}",
            "{\"words\":\"abandon abandon abandon abandon abandon abandon abandon abandon abandon \
             abandon abandon abandon\"}",
            &format!("{{\"seed\":\"{long}\"}}"),
            "{\"imported\":{\"bitcoin\":{\"xprv\":\"hunter2\"}}}",
            "{\"imported\":{\"solana\":{\"ed25519\":\"hunter2\"}}}",
            "{\"imported\":{\"NOT A NETWORK\":{\"ed25519\":\"hunter2\"}}}",
            "{\"word\":\"hunter2\"}",
        ] {
            let error = Secrets::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("the secrets ") && !error.contains("hunter2"), "{error}");
        }
    }
}
