//! Settings of Coinbase. Without a key it is a source of rates alone; with one it is a venue.
//!
//! Whether this is the live exchange or a simulator is said by `base_url` alone.

use std::collections::BTreeMap;

use outbound::{BaseUrl, BuildError, Settings};
use primitives::{Asset, Bps, NetworkId, Secret};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::key::Key;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub base_url: BaseUrl,
    /// Whether the dollar books are read beside the rupee rates.
    #[serde(default = "yes")]
    pub usd_books: bool,
    /// The name of a CDP key: `organizations/…/apiKeys/…`, or its id.
    pub api_key: Option<Secret>,
    /// Its private key: PEM of an ECDSA key (ES256), or Ed25519 as base64 or PEM.
    pub private_key: Option<Secret>,
    /// How long after its stamp a signed request is accepted: the fence of an unknown order.
    #[serde(default = "token_life_s")]
    pub token_life_s: u32,
    /// Used for choosing a route where the venue does not tell its commission.
    #[serde(default = "fee_bps")]
    pub fee_bps: Bps,
    /// How far back an order is looked for by our reference.
    #[serde(default = "look_back_days")]
    pub look_back_days: u32,
    /// Wait for the venue's published limits instead of running into them.
    #[serde(default = "yes")]
    pub paced: bool,
    /// The venue's names of our networks.
    #[serde(default = "networks")]
    pub networks: BTreeMap<NetworkId, String>,
    /// What the venue adds for the network when it sends a coin, in units of the coin: its API does
    /// not tell it before. What is not named here is not sent.
    #[serde(default)]
    pub send_fees: BTreeMap<NetworkId, BTreeMap<Asset, Fee>>,
    /// A page of orders is longer than most answers: eight MiB are allowed.
    #[serde(default = "http")]
    pub http: Settings,
}

/// Units of a coin, written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fee(pub Decimal);

impl<'de> Deserialize<'de> for Fee {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fee = crate::decimal::parse(&text).filter(|fee| *fee >= Decimal::ZERO);
        fee.map(Self).ok_or_else(|| D::Error::custom("not a fee, such as \"0.001\""))
    }
}

/// The vendor takes no token that lives longer.
const TOKEN_LIFE_S_MAX: u32 = 120;

impl Config {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        if !(2..=TOKEN_LIFE_S_MAX).contains(&self.token_life_s) {
            return refuse("token_life_s must be between 2 and 120");
        }
        if !(1..=365).contains(&self.look_back_days) {
            return refuse("look_back_days must be between 1 and 365");
        }
        let plain = |name: &String| {
            (1..=32).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !self.networks.values().all(plain) {
            return refuse("networks must be the venue's own names, such as ethereum");
        }
        Ok(())
    }

    /// The name of the key and the key; `None` where neither is given.
    pub(super) fn key(&self) -> Result<Option<(Secret, Key)>, BuildError> {
        let given = |secret: &Option<Secret>| {
            secret.clone().filter(|secret| !secret.expose().trim().is_empty())
        };
        match (given(&self.api_key), given(&self.private_key)) {
            (None, None) if self.api_key.is_none() && self.private_key.is_none() => Ok(None),
            (Some(name), Some(key)) => Ok(Some((name, Key::read(&key)?))),
            _ => refuse("api_key and private_key belong together, and neither may be empty"),
        }
    }
}

pub(super) fn refuse<T>(what: &str) -> Result<T, BuildError> {
    Err(BuildError::Config(format!("coinbase: {what}")))
}

const fn yes() -> bool {
    true
}

const fn token_life_s() -> u32 {
    10
}

const fn look_back_days() -> u32 {
    14
}

/// What a small account pays as a taker.
fn fee_bps() -> Bps {
    Bps::new(120).unwrap_or(Bps::ZERO)
}

fn networks() -> BTreeMap<NetworkId, String> {
    ["bitcoin", "ethereum", "base", "solana"]
        .into_iter()
        .filter_map(|name| Some((NetworkId::new(name)?, name.to_owned())))
        .collect()
}

fn http() -> Settings {
    Settings { response_bytes_max: 8 * 1024 * 1024, ..Settings::default() }
}
