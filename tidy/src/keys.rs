//! Where private keys may be used: in the signer, and by the payers of the sandbox, who have test
//! wallets on local nodes. Who may link those crates is the dependency table's part; a reader's
//! library has keys as well, so its own words are judged here, file by file.

use anyhow::{Context, Result};

use crate::{
    Violation,
    repository::Source,
    tokens::{Token, tokens, without_tests},
};

/// The signer, the simulated venues with keys of their own, and what is no part of the product.
const FREE: [&str; 4] = ["signer/src/", "simulators/", "testkit/", "tidy/"];

/// A wallet on a local node: test keys that everybody has.
const SANDBOXES: [&str; 3] =
    ["chains/bitcoin-sandbox/", "chains/evm-sandbox/", "chains/solana-sandbox/"];

/// What code that signs for a chain cannot do without.
const WORDS: [&str; 14] = [
    "Keypair",
    "MnemonicBuilder",
    "PrivateKey",
    "PrivateKeySigner",
    "SecretKey",
    "SigningKey",
    "Xpriv",
    "derive_priv",
    "ed25519_dalek",
    "k256",
    "sign_ecdsa",
    "signers",
    "solana_keypair",
    "solana_signer",
];

/// Private keys of chains in product code outside the signer and the sandboxes.
pub fn strayed_keys(source: &Source) -> Result<Vec<Violation>> {
    let Some(code) = product(source)? else { return Ok(Vec::new()) };
    if begins(source, &SANDBOXES) {
        return Ok(Vec::new());
    }
    let found = code.iter().filter(|token| token.word().is_some_and(|word| WORDS.contains(&word)));
    Ok(found
        .map(|token| {
            let word = token.word().unwrap_or_default();
            Violation::at(&source.path, token.line, format!("{word}: keys are the signer's"))
        })
        .collect())
}

fn product(source: &Source) -> Result<Option<Vec<Token>>> {
    if source.is_test() || !source.path.contains("src/") || begins(source, &FREE) {
        return Ok(None);
    }
    let all = tokens(&source.text).with_context(|| source.path.clone())?;
    Ok(Some(without_tests(&all)))
}

fn begins(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_key_in_a_role_or_a_reader_is_caught() {
        let text = "use solana_keypair::Keypair;";
        for path in ["workers/src/moving.rs", "chains/solana/src/chain.rs", "api/src/lib.rs"] {
            assert_eq!(strayed_keys(&source(path, text)).unwrap().len(), 2, "{path}");
        }
        for path in ["chains/solana-sandbox/src/payer.rs", "signer/src/sign.rs"] {
            assert_eq!(strayed_keys(&source(path, text)).unwrap(), [], "{path}");
        }
        let tested = source("chains/evm/src/derive.rs", "#[cfg(test)] mod tests { use a::Xpriv; }");
        assert_eq!(strayed_keys(&tested).unwrap(), []);
    }
}
