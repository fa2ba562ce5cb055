//! Where private keys may be used: in the signer, and by the payers of the sandbox, who have test
//! wallets on local nodes. Which crates link what is the dependency table's part; a crate that has
//! both a chain's reader and its payer is judged here, file by file.

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
    ["chains/bitcoin/src/sandbox/", "chains/evm/src/sandbox/", "chains/solana/src/sandbox/"];

/// Who may reach a payer: the demo, and the commands that play one.
const PLAYERS: [&str; 5] = [
    "chains/",
    "cli/src/demo/",
    "cli/src/sandbox.rs",
    "cli/src/commands/play.rs",
    "cli/src/config.rs",
];

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

/// Paths into a sandbox from code that is neither the demo nor a command of it.
pub fn strayed_payers(source: &Source) -> Result<Vec<Violation>> {
    let Some(code) = product(source)? else { return Ok(Vec::new()) };
    if begins(source, &PLAYERS) {
        return Ok(Vec::new());
    }
    let steps = code.iter().zip(code.iter().skip(1)).zip(code.iter().skip(2));
    let found = steps.filter(|((word, first), second)| {
        word.is_word("sandbox") && first.is_sign(':') && second.is_sign(':')
    });
    Ok(found
        .map(|((word, _), _)| {
            let reason = "reaches a payer of the sandbox: only the demo's commands do";
            Violation::at(&source.path, word.line, reason)
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
        for path in ["chains/solana/src/sandbox/payer.rs", "signer/src/sign.rs"] {
            assert_eq!(strayed_keys(&source(path, text)).unwrap(), [], "{path}");
        }
        let tested = source("chains/evm/src/derive.rs", "#[cfg(test)] mod tests { use a::Xpriv; }");
        assert_eq!(strayed_keys(&tested).unwrap(), []);
    }

    #[test]
    fn a_role_that_reaches_a_payer_is_caught() {
        for text in ["use chains_evm::sandbox::Payer;", "use chains::{Chain, sandbox::Sandbox};"] {
            let found = strayed_payers(&source("workers/src/lib.rs", text)).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(strayed_payers(&source("cli/src/demo/nodes.rs", text)).unwrap(), []);
        }
        let wiring = source("cli/src/wiring.rs", "fn f() { crate::sandbox::open(); }");
        assert_eq!(strayed_payers(&wiring).unwrap().len(), 1);
        let other = source("api/src/lib.rs", "let sandbox = Opened { sandbox: true };");
        assert_eq!(strayed_payers(&other).unwrap(), []);
    }
}
