//! Settings and checks: wrong ones give a clear sentence and never echo a secret.

use std::io::{BufRead as _, Write as _};

use crate::binary::{chukta, given, text};

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn unknown_keys_and_wrong_types_are_named_without_their_value() {
    for (content, named) in [
        ("[settlement]\nfee_bp = 1\n", "fee_bp"),
        ("[settlement]\nfee_bps = \"hunter2-secret\"\n", "fee_bps"),
        ("[settlement]\nfee_bps = 10001\n", "fee_bps"),
        ("[[connectors]]\nkind = \"wazirx\"\nsecret = \"hunter2-secret\"\n", "connectors"),
    ] {
        let file = file(content);
        let output = chukta().args(["doctor", "--config"]).arg(file.path()).output().unwrap();
        let (_, said) = text(&output);
        assert!(!output.status.success(), "{content}");
        assert!(said.contains(named), "{named} in: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_missing_database_is_a_sentence() {
    for command in [vec!["serve"], vec!["migrate"], vec!["ledgerck"]] {
        let output = chukta().args(&command).output().unwrap();
        let (_, said) = text(&output);
        assert!(!output.status.success() && said.contains("DATABASE_URL is not set"), "{said}");
    }
    let none = chukta().args(["doctor", "--config", "no-such-file.toml"]).output().unwrap();
    assert!(text(&none).1.contains("no settings file"));
}

const NOWHERE: &str = r#"
[settlement.networks.nowhere]
assets = ["ETH"]
confirm = { rule = "finalized" }
poll_ms = 1000
batch_blocks = 10
reorg_limit = 32
[[evm]]
network = "nowhere"
chain_id = 1
rpc_urls = ["http://127.0.0.1:9"]
"#;

// The doctor names each part that is wrong and goes on to the next.
#[test]
fn doctor_names_what_is_down() {
    let file = file(&format!(
        r#"{NOWHERE}xpub = "{}"
"#,
        chains_evm_sandbox::dev_xpub()
    ));
    let url = given("CHUKTA_TEST_POSTGRES_URL");
    let output = chukta()
        .args(["doctor", "--config"])
        .arg(file.path())
        .env("CHUKTA_DATABASE_URL", url)
        .output()
        .unwrap();
    let (said, _) = text(&output);
    assert!(!output.status.success());
    for line in [
        "FAIL  network nowhere: node 127.0.0.1:9, no tip",
        "FAIL  venue wazirx: has a connector",
        "FAIL  rail razorpayx: has a connector",
        "ok    database reachable",
    ] {
        assert!(said.contains(line), "{line} in: {said}");
    }
}

// Generated documents are what the binary prints; `make generate` writes them.
#[test]
fn generated_documents_are_current() {
    for (command, committed) in [
        ("openapi", include_str!("../../../api/openapi.json")),
        ("states", include_str!("../../../docs/STATES.md")),
    ] {
        let output = chukta().arg(command).output().unwrap();
        assert_eq!(text(&output).0.trim(), committed.trim(), "run `make generate`");
    }
}

/// The outside of a test, ended with it.
struct Outside {
    child: std::process::Child,
    said: serde_json::Value,
}

impl Outside {
    fn start() -> Self {
        let mut child = chukta()
            .arg("simulate")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, said: serde_json::from_str(&line).unwrap() }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

// Coinbase by either kind of key; without one it tells rates and is no venue to sell at.
#[test]
fn doctor_asks_coinbase_by_its_key() {
    let outside = Outside::start();
    let said = &outside.said["coinbase"];
    let word = |field: &str| said[field].as_str().unwrap();
    let asked = |keys: &str| {
        let url = word("base_url");
        let file = file(&format!(
            "[settlement.venues.coinbase]\n[[connectors]]\nkind = \"coinbase\"\n\
             base_url = \"{url}\"\n{keys}"
        ));
        let output = chukta().args(["doctor", "--config"]).arg(file.path()).output().unwrap();
        let (told, complained) = text(&output);
        assert!(told.contains("has a connector"), "{told}{complained}");
        told
    };
    // A TOML text escapes as this does: the line breaks of a PEM become `\n`.
    let with = |name: &str, key: &str| {
        let (name, key) = (word(name), word(key));
        asked(&format!("api_key = {name:?}\nprivate_key = {key:?}\n"))
    };
    for told in [with("api_key", "secret"), with("ed25519_api_key", "ed25519_private_key")] {
        for line in [
            "ok    venue coinbase: answers, clocks agree",
            "ok    venue coinbase: key may read holdings",
            "ok    venue coinbase: has a connector",
        ] {
            assert!(told.contains(line), "{line} in: {told}");
        }
    }
    let told = with("api_key", "ed25519_private_key");
    assert!(told.contains("FAIL  venue coinbase: key may read holdings"), "{told}");
    assert!(told.contains("access refused"), "{told}");
    assert!(asked("").contains("FAIL  venue coinbase: has a connector"));
}
