//! Settings of Binance. Without a key it is a source of rates alone; with one it is a venue.
//!
//! Whether this is the live exchange, its test network or a simulator is said by `base_url` alone:
//! the addresses of the streams follow from it where they are not given.

use std::collections::BTreeMap;

use outbound::{BaseUrl, BuildError, Settings};
use primitives::{Bps, NetworkId, Secret};
use serde::Deserialize;

use super::key::Key;
use crate::socket::WsUrl;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Scheme, host and port of REST; the paths are ours.
    pub base_url: BaseUrl,
    pub api_key: Option<Secret>,
    /// The secret of an HMAC key.
    pub secret: Option<Secret>,
    /// The private key of an Ed25519 key, as PEM (PKCS#8), instead of `secret`.
    pub ed25519_pem: Option<Secret>,
    /// How long after its timestamp a signed request is accepted: the fence of an unknown order.
    #[serde(default = "recv_window_ms")]
    pub recv_window_ms: u32,
    /// Used for choosing a route where the venue does not tell its commission.
    #[serde(default = "fee_bps")]
    pub fee_bps: Bps,
    /// Spread orders over the venue's window instead of running into its end.
    #[serde(default = "paced")]
    pub paced: bool,
    /// Where prices are pushed: `wss://stream.binance.com:9443`.
    pub stream_url: Option<WsUrl>,
    /// Where news of the account is pushed: `wss://ws-api.binance.com:443`.
    pub ws_api_url: Option<WsUrl>,
    /// The venue's names of our networks.
    #[serde(default = "networks")]
    pub networks: BTreeMap<NetworkId, String>,
    /// The list of all coins and networks is longer than most answers: eight MiB are allowed.
    #[serde(default = "http")]
    pub http: Settings,
}

const LIVE: &str = "api.binance.com";
const TESTNET: &str = "testnet.binance.vision";

impl Config {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        if !(1..=60_000).contains(&self.recv_window_ms) {
            return refuse("recv_window_ms must be between 1 and 60000");
        }
        let plain = |name: &String| {
            (1..=20).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if !self.networks.values().all(plain) {
            return refuse("networks must be the venue's own names, such as ETH");
        }
        Ok(())
    }

    /// The API key and what signs for it; `None` where no key is given at all.
    pub(super) fn key(&self) -> Result<Option<(Secret, Key)>, BuildError> {
        let (secret, pem) = (self.secret.as_ref(), self.ed25519_pem.as_ref());
        let Some(api_key) = &self.api_key else {
            if secret.is_some() || pem.is_some() {
                return refuse("secret and ed25519_pem need an api_key");
            }
            return Ok(None);
        };
        if api_key.expose().trim().is_empty() {
            return refuse("api_key must not be empty");
        }
        let key = match (secret, pem) {
            (Some(secret), None) if !secret.expose().trim().is_empty() => Key::Hmac(secret.clone()),
            (None, Some(pem)) => Key::from_pem(pem)?,
            _ => return refuse("an api_key needs either secret or ed25519_pem, not empty"),
        };
        Ok(Some((api_key.clone(), key)))
    }

    pub(super) fn stream_url(&self) -> Option<WsUrl> {
        let known = match self.base_url.host() {
            LIVE => Some("wss://stream.binance.com:9443"),
            TESTNET => Some("wss://stream.testnet.binance.vision"),
            _ => None,
        };
        self.stream_url.clone().or_else(|| WsUrl::parse(known?).ok())
    }

    pub(super) fn ws_api_url(&self) -> Option<WsUrl> {
        let known = match self.base_url.host() {
            LIVE => Some("wss://ws-api.binance.com:443"),
            TESTNET => Some("wss://ws-api.testnet.binance.vision"),
            _ => None,
        };
        self.ws_api_url.clone().or_else(|| WsUrl::parse(known?).ok())
    }

    /// The test network has no wallet.
    pub(super) fn has_wallet(&self) -> bool {
        self.base_url.host() != TESTNET
    }
}

pub(super) fn refuse<T>(what: &str) -> Result<T, BuildError> {
    Err(BuildError::Config(format!("binance: {what}")))
}

const fn recv_window_ms() -> u32 {
    5_000
}

const fn paced() -> bool {
    true
}

fn fee_bps() -> Bps {
    Bps::new(10).unwrap_or(Bps::ZERO)
}

fn networks() -> BTreeMap<NetworkId, String> {
    [("bitcoin", "BTC"), ("ethereum", "ETH"), ("base", "BASE"), ("solana", "SOL")]
        .into_iter()
        .filter_map(|(ours, theirs)| Some((NetworkId::new(ours)?, theirs.to_owned())))
        .collect()
}

fn http() -> Settings {
    Settings { response_bytes_max: 8 * 1024 * 1024, ..Settings::default() }
}
