//! Deposit addresses: equal to published ones, and to what the holder of the private key derives.

use std::sync::OnceLock;

use alloy::signers::local::PrivateKeySigner;
use bitcoin::{
    NetworkKind,
    bip32::{ChildNumber, DerivationPath, Xpriv, Xpub},
    hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha512},
    secp256k1::{All, Secp256k1},
};
use chains::{Chain as _, UriError};
use chains_evm::{EvmChain, EvmConfig};
use chains_evm_sandbox::dev_xpub;
use primitives::{Amount, Asset};
use proptest::prelude::*;

use crate::world::{config, usdc_minor, wei};

const TEST: &str = "test test test test test test test test test test test junk";
const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon about";
const CONTRACT: &str = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";

/// BIP-39 with an empty passphrase: PBKDF2 of one block. Only tests ever hold a mnemonic.
fn master(mnemonic: &str) -> Xpriv {
    let mac = |data: &[u8]| {
        let mut engine = HmacEngine::<sha512::Hash>::new(mnemonic.as_bytes());
        engine.input(data);
        Hmac::<sha512::Hash>::from_engine(engine).to_byte_array()
    };
    let mut round = mac(b"mnemonic\0\0\0\x01");
    let mut seed = round;
    for _ in 1..2_048 {
        round = mac(&round);
        seed.iter_mut().zip(round).for_each(|(sum, byte)| *sum ^= byte);
    }
    Xpriv::new_master(NetworkKind::Main, &seed).unwrap()
}

fn account(curve: &Secp256k1<All>, mnemonic: &str, path: &str) -> Xpriv {
    master(mnemonic).derive_priv(curve, &path.parse::<DerivationPath>().unwrap()).unwrap()
}

fn xpub(mnemonic: &str, path: &str) -> String {
    let curve = Secp256k1::new();
    Xpub::from_priv(&curve, &account(&curve, mnemonic, path)).to_string()
}

fn chain(xpub: &str) -> Result<EvmChain, chains::ReadError> {
    EvmChain::connect(&EvmConfig {
        xpub: xpub.to_owned(),
        ..config(&["http://127.0.0.1:1"], CONTRACT)
    })
}

#[test]
fn the_usual_test_phrase_gives_the_usual_addresses() {
    let chain = chain(&xpub(TEST, "m/44'/60'/0'")).unwrap();
    for (index, address) in [
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    ]
    .into_iter()
    .enumerate()
    {
        let derived = chain.derive(u32::try_from(index).unwrap()).unwrap();
        assert_eq!(derived.address, address);
        assert_eq!(derived.path, format!("m/44'/60'/0'/0/{index}"));
    }
}

#[test]
fn the_sandbox_account_is_the_one_it_says() {
    assert_eq!(dev_xpub(), xpub(ABANDON, "m/44'/60'/0'"));
    let first = chain(dev_xpub()).unwrap().derive(0).unwrap();
    assert_eq!(first.address, "0x9858EfFD232B4033E47d90003D41EC34EcaEda94");
}

#[test]
fn the_path_names_the_account() {
    let derived = chain(&xpub(TEST, "m/44'/60'/7'")).unwrap().derive(3).unwrap();
    assert_eq!(derived.path, "m/44'/60'/7'/0/3");
}

// A private key in the settings is refused, and not repeated in the refusal.
#[test]
fn only_the_public_key_of_an_account_is_taken() {
    let curve = Secp256k1::new();
    let private = account(&curve, TEST, "m/44'/60'/0'").to_string();
    let cases = [
        private.clone(),
        xpub(TEST, "m/44'/60'"),
        xpub(TEST, "m/44'/60'/0'/0"),
        xpub(TEST, "m/44'/60'/0"),
        String::new(),
        "xpub".to_owned(),
    ];
    for case in &cases {
        let error = chain(case).err().map(|error| error.to_string()).unwrap();
        assert!(error.contains("xpub") && !error.contains(&private), "{error}");
    }
}

#[test]
fn hardened_indexes_cannot_be_derived() {
    let chain = chain(dev_xpub()).unwrap();
    assert!(chain.derive((1 << 31) - 1).is_ok());
    assert!(chain.derive(1 << 31).is_err());
    assert!(chain.derive(u32::MAX).is_err());
}

#[test]
fn payment_uris_name_the_chain_and_the_contract() {
    let chain = chain(dev_xpub()).unwrap();
    let to = chain.derive(0).unwrap().address;
    assert_eq!(chain.payment_uri(&to, wei(5)).unwrap(), format!("ethereum:{to}@31337?value=5"));
    assert_eq!(
        chain.payment_uri(&to.to_lowercase(), usdc_minor(7)).unwrap(),
        format!("ethereum:{CONTRACT}@31337/transfer?address={to}&uint256=7")
    );
    for payable in [wei(5), usdc_minor(7)] {
        let template = chain.payment_uri_template(payable.asset()).unwrap();
        let filled =
            template.replace("{address}", &to).replace("{minor}", &payable.minor().to_string());
        assert_eq!(filled, chain.payment_uri(&to, payable).unwrap());
    }
    let bitcoin = Amount::try_new(5, Asset::Btc).unwrap();
    assert_eq!(chain.payment_uri_template(Asset::Btc), Err(UriError::UnknownAsset));
    assert_eq!(chain.payment_uri(&to, bitcoin), Err(UriError::UnknownAsset));
    assert_eq!(chain.payment_uri("bc1q", wei(5)), Err(UriError::BadAddress));
    assert_eq!(chain.payment_uri(&to, wei(0)), Err(UriError::NotPositive));
}

fn both_sides() -> &'static (EvmChain, Xpriv, Secp256k1<All>) {
    static BOTH: OnceLock<(EvmChain, Xpriv, Secp256k1<All>)> = OnceLock::new();
    BOTH.get_or_init(|| {
        let curve = Secp256k1::new();
        let account = account(&curve, TEST, "m/44'/60'/0'");
        let public = chain(&Xpub::from_priv(&curve, &account).to_string()).unwrap();
        (public, account, curve)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Whoever holds the private key can spend from every address we show.
    #[test]
    fn the_private_key_opens_every_address(index in 0_u32..(1 << 31)) {
        let (public, account, curve) = both_sides();
        let path = [ChildNumber::Normal { index: 0 }, ChildNumber::Normal { index }];
        let key = account.derive_priv(curve, &path).unwrap().private_key.secret_bytes();
        let signer = PrivateKeySigner::from_slice(&key).unwrap();
        prop_assert_eq!(public.derive(index).unwrap().address, signer.address().to_string());
    }
}
