//! Settings and keys that do not fit are refused before anything is served.

use primitives::{Entropy, NetworkId};
use signer::{Config, FileKeys, KeyStore as _, Secrets, open, public, seal};

use crate::world::World;

const ONE: &str = r#"
socket = "run/s"
keys = "k"
log = "l"
allow_list = "a"
activation_delay_s = 0
[[networks]]
kind = "bitcoin"
network = "bitcoin"
chain = "mainnet"
fee = { per_tx = "1", per_hour = "2", per_day = "3" }
"#;
const EVM: &str = r#"
[[networks]]
kind = "evm"
network = "ethereum"
chain_id = 1
tokens = []
fee = { per_tx = "1", per_hour = "2", per_day = "3" }
"#;
const SOLANA: &str = r#"
[[networks]]
kind = "solana"
network = "solana"
fee = { per_tx = "1", per_hour = "2", per_day = "3" }
"#;
const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon about";

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(Config::parse(ONE).is_ok());
    let limit = |bounds: &str| {
        format!("{ONE}[[limits]]\npurpose = \"fund_venue\"\nasset = \"BTC\"\n{bounds}\n")
    };
    let fine = "per_tx = \"1\"\nper_hour = \"1\"\nper_day = \"1\"";
    assert!(Config::parse(&limit(fine)).is_ok());
    let network = ONE.find("[[networks]]").unwrap();
    let again = |chain: &str, part: &str| {
        part.replace("network = \"bitcoin\"", "network = \"other\"").replace("mainnet", chain)
    };
    assert!(Config::parse(&format!("{ONE}{SOLANA}{EVM}")).is_ok());
    let answers = format!("{ONE}[answers]\nrefused_per_day = 7\n");
    assert_eq!(Config::parse(&answers).unwrap().answers.refused_per_day, 7);
    for (what, text) in [
        ("an unknown word", format!("speed = 1\n{ONE}")),
        ("an unknown word in a network", format!("{ONE}speed = 1\n")),
        ("two of one name", format!("{ONE}{}", EVM.replace("ethereum", "bitcoin"))),
        ("two of one chain", format!("{ONE}{EVM}{}", EVM.replace("ethereum", "other"))),
        // Their transactions do not say which chain they are for.
        ("two of Bitcoin", format!("{ONE}{}", again("regtest", &ONE[network..]))),
        ("two of one Bitcoin", format!("{ONE}{}", again("mainnet", &ONE[network..]))),
        ("two of Solana", format!("{ONE}{SOLANA}{}", SOLANA.replace("\"solana\"\nf", "\"s2\"\nf"))),
        ("a fee below its part", ONE.replace("per_hour = \"2\"", "per_hour = \"0\"")),
        ("a negative fee", ONE.replace("per_tx = \"1\"", "per_tx = \"-1\"")),
        ("a fee that is no text", ONE.replace("per_tx = \"1\"", "per_tx = 1")),
        ("a fraction", limit(&fine.replace("\"1\"", "\"1.5\""))),
        ("two limits", format!("{}{}", limit(fine), limit(fine).replace(ONE, ""))),
        ("an hour below its part", limit(&fine.replace("per_tx = \"1\"", "per_tx = \"2\""))),
        ("no network name", ONE.replace("network = \"bitcoin\"", "network = \"No\"")),
        ("no fee", ONE.replace("fee = ", "free = ")),
        (
            "the coin as a token",
            format!("{ONE}{}", EVM.replace("[]", "[{ asset = \"ETH\", contract = \"0x\" }]")),
        ),
    ] {
        assert!(Config::parse(&text).is_err(), "{what}");
    }
}

#[test]
fn every_network_needs_a_key_that_fits() {
    let config = Config::parse(&format!("{ONE}{EVM}")).unwrap();
    let keys = |secrets: &str| {
        FileKeys::new(&Secrets::parse(secrets).unwrap(), &config.networks).err().unwrap()
    };
    // BIP84's own account, imported; there is nothing for the other network.
    let zprv = concat!(
        "zprvAdG4iTXWBoARxkkzNpNh8r6Qag3irQB8PzEMkAFeTRXxHpbF9z4QgEvB",
        "RmfvqWvGp42t42nvgGpNgYSJA9iefm1yYNZKEm7z6qUWCroSQnE",
    );
    let imported = |network: &str, kind: &str, key: &str| {
        format!("{{\"imported\":{{\"{network}\":{{\"{kind}\":\"{key}\"}}}}}}")
    };
    let error = keys(&imported("bitcoin", "xprv", zprv)).to_string();
    assert_eq!(error, "ethereum: no key: neither a seed nor an imported one");
    let error = keys(&imported("bitcoin", "ed25519", &"77".repeat(32))).to_string();
    assert!(error.contains("another kind of network"), "{error}");
    // The master key of BIP32's first vector: not an account.
    let master = concat!(
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiC",
        "hkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
    );
    let error = keys(&imported("bitcoin", "xprv", master)).to_string();
    assert!(error.contains("not the key of an account"), "{error}");
    let test = Config::parse(&ONE.replace("mainnet", "regtest")).unwrap();
    let secrets = Secrets::parse(imported("bitcoin", "xprv", zprv)).unwrap();
    let error = FileKeys::new(&secrets, &test.networks).err().unwrap().to_string();
    assert!(error.contains("for another network"), "{error}");
}

// BIP84's vectors, whether the key comes from the words or is brought as text; EVM and Solana as
// common wallets derive them.
#[test]
fn the_public_side_is_the_published_one() {
    let config = Config::parse(&format!("{ONE}{EVM}{SOLANA}")).unwrap();
    let keys = FileKeys::new(&Secrets::from_words(WORDS).unwrap(), &config.networks).unwrap();
    let shown = public(&config.networks, &keys);
    let zpub = concat!(
        "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3Ef",
        "H1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs",
    );
    assert_eq!(shown[0].xpub.as_deref(), Some(zpub));
    let xpub = concat!(
        "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrg",
        "jtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt",
    );
    assert_eq!(shown[1].xpub.as_deref(), Some(xpub));
    assert_eq!(shown[1].gas_station, Some(crate::world::evm_address(1, 0)));
    let wallet = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
    assert_eq!(shown[2].wallet.as_deref(), Some(wallet));
}

// What the sandboxes of the chains publish is what the sandbox's secrets open.
#[test]
fn the_sandbox_is_the_one_the_chains_use() {
    let world = World::new();
    let shown = public(&world.config.networks, &world.keys());
    let vpub = concat!(
        "vpub5YvMuJNjRSYon44z9QmCfdf8SqJRVNvz6m55Qy5iVjZQxDfUgtiQjnc7",
        "CC1fAbED2tAGCZRERUfvtn2DstZGU6HMns6dXXH2wujSc2wfi2x",
    );
    assert_eq!(shown[0].xpub.as_deref(), Some(vpub));
    let wallet = solana_keypair::Keypair::new_from_array([0x77; 32]);
    let wallet = solana_signer::Signer::pubkey(&wallet).to_string();
    assert_eq!(shown[2].wallet, Some(wallet));
    assert!(world.keys().account(&NetworkId::new("dogecoin").unwrap()).is_none());
}

#[test]
fn a_key_file_opens_with_its_passphrase_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let secrets = Secrets::from_words(WORDS).unwrap();
    let entropy = Entropy::seeded(1);
    let short = seal(&file, &secrets, b"eleven char", &entropy).unwrap_err();
    assert!(short.to_string().contains("at least 12"), "{short}");
    seal(&file, &secrets, b"correct horse battery", &entropy).unwrap();
    let again = seal(&file, &secrets, b"correct horse battery", &entropy).unwrap_err();
    assert!(again.to_string().contains("exists"), "{again}");
    assert!(open(&file, b"correct horse battery").is_ok());
    let sentence = "the passphrase does not open the key file, or the file was changed";
    assert_eq!(open(&file, b"correct horse batterY").unwrap_err().to_string(), sentence);

    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("abandon"));
    for (from, to) in [("\"passes\": 3", "\"passes\": 2"), ("\"sealed\": \"", "\"sealed\": \"AAAA")]
    {
        assert!(text.contains(from));
        std::fs::write(&file, text.replace(from, to)).unwrap();
        let error = open(&file, b"correct horse battery").unwrap_err().to_string();
        assert_eq!(error, sentence);
    }
    let greedy = text.replace("\"memory_kib\": 65536", "\"memory_kib\": 4294967295");
    std::fs::write(&file, greedy).unwrap();
    let error = open(&file, b"correct horse battery").unwrap_err().to_string();
    assert_eq!(error, "not a key file of this signer");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&file, everybody).unwrap();
    let error = open(&file, b"correct horse battery").unwrap_err().to_string();
    assert!(error.contains("others may open it"), "{error}");
}

// Whoever may write the limits has all the limits are for; whoever may write the log, their use.
#[test]
fn limits_and_log_are_closed_to_others() {
    let world = World::new();
    let settings = world.path("signer.toml");
    let open = |path: &std::path::Path, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    };
    for mode in [0o620, 0o602, 0o666] {
        open(&settings, mode);
        let error = Config::load(&settings).unwrap_err().to_string();
        assert!(error.contains("others may write it"), "{error}");
    }
    open(&settings, 0o644);
    assert!(Config::load(&settings).is_ok(), "others may read limits");
    drop(world.start());
    for mode in [0o640, 0o604, 0o666] {
        open(&world.config.log, mode);
        let error = world.try_start().err().unwrap().to_string();
        assert!(error.contains("others may open it"), "{error}");
    }
    open(&world.config.log, 0o600);
    drop(world.start());
}
