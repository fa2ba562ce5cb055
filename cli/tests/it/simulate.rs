//! `chukta simulate`: its first line is a contract with everybody who scripts against it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::binary::chukta;

fn base_url<'a>(said: &'a Value, simulator: &str) -> &'a str {
    let url = said[simulator]["base_url"].as_str().unwrap();
    let rest = url.strip_prefix("http://127.0.0.1:").unwrap();
    assert!(rest.parse::<u16>().is_ok_and(|port| port > 0), "only scheme, host and port: {url}");
    url
}

// The first line is one JSON object of exactly the documented shape, on loopback, and SIGTERM ends
// the process with success. No database is configured.
#[test]
fn first_line_and_end() {
    let mut child =
        chukta().arg("simulate").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let mut keys: Vec<&String> = said.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        ["binance", "coinbase", "coingecko", "control", "merchant", "razorpayx", "wazirx"]
    );
    for simulator in keys {
        base_url(&said, simulator);
    }
    for (simulator, fields) in [
        ("wazirx", vec!["api_key", "secret"]),
        ("binance", vec!["api_key", "secret", "ed25519_api_key", "ed25519_private_key"]),
        ("coinbase", vec!["api_key", "secret", "ed25519_api_key", "ed25519_private_key"]),
        ("coingecko", vec!["api_key"]),
        ("razorpayx", vec!["key_id", "key_secret", "account_number", "webhook_secret"]),
    ] {
        for field in fields {
            assert!(!said[simulator][field].as_str().unwrap().is_empty(), "{simulator}.{field}");
        }
        assert_eq!(
            said[simulator].as_object().unwrap().len(),
            1 + match simulator {
                "razorpayx" | "binance" | "coinbase" => 4,
                "coingecko" => 1,
                _ => 2,
            }
        );
    }
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(asked.success() && child.wait().unwrap().success());
}

// `--ports` takes six or seven, and says so.
#[test]
fn ports_are_six() {
    let refused = chukta().args(["simulate", "--ports", "1,2,3"]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("six numbers"));
}
