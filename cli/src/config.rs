//! Settings, read once: the built-in defaults, then a file, then the environment.
//!
//! Invariant: an unknown key is an error, a missing secret is an error when its command needs it,
//! and nothing else in the house reads the environment.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use primitives::{NetworkId, Secret};
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

/// The reference of every setting.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The first part of every setting's name: other variables of the same prefix belong to scripts.
const TOP: [&str; 13] = [
    "database_url",
    "owner_database_url",
    "redis_url",
    "database_connections",
    "api",
    "settlement",
    "bitcoin",
    "evm",
    "solana",
    "sandbox",
    "signer",
    "connectors",
    "rails",
];

/// Everything a process may be told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database_url: Secret,
    pub owner_database_url: Secret,
    pub redis_url: Secret,
    pub database_connections: u32,
    pub api: ApiConfig,
    pub settlement: settlement::Settings,
    #[serde(default)]
    pub bitcoin: Vec<chains_bitcoin::BitcoinConfig>,
    #[serde(default)]
    pub solana: Vec<chains_solana::SolanaConfig>,
    /// Payers on local nodes, for the programs of the sandbox. Nothing of the product reads it.
    #[serde(default)]
    pub sandbox: Vec<SandboxConfig>,
    #[serde(default)]
    pub evm: Vec<chains_evm::EvmConfig>,
    /// Who signs; without it nothing of ours is moved.
    #[serde(default)]
    pub signer: Option<SignerConfig>,
    #[serde(default)]
    pub connectors: Vec<exchanges::registry::Config>,
    #[serde(default)]
    pub rails: Vec<payouts::registry::Config>,
}

/// Where the signer listens. Its keys, its list and its limits are its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    pub socket: PathBuf,
    /// For one intent, from connecting to the last byte.
    #[serde(default = "five_seconds")]
    pub timeout_ms: u64,
}

const fn five_seconds() -> u64 {
    5_000
}

/// What a payer speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayerKind {
    Anvil,
    Bitcoind,
    Surfnet,
}

/// A payer on one local network.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    pub network: NetworkId,
    pub kind: PayerKind,
    /// With the login in it, where the node wants one.
    #[serde(deserialize_with = "address")]
    pub rpc_url: Url,
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = (self.rpc_url.host_str(), self.rpc_url.port());
        f.debug_struct("SandboxConfig")
            .field("network", &self.network)
            .field("kind", &self.kind)
            .field("node", &address)
            .finish_non_exhaustive()
    }
}

/// The text itself stays out of the error: it may carry a login.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| D::Error::custom("not a URL"))
}

/// The API's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    pub listen: std::net::SocketAddr,
    #[serde(default)]
    pub limits: api::ApiSettings,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// A sentence naming the key that is wrong, never its value.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            if !file.is_file() {
                bail!("no settings file at {}", file.display());
            }
            figment = figment.merge(Toml::file(file));
        }
        let env = Env::prefixed("CHUKTA_")
            .filter(|key| {
                let name = key.as_str().to_ascii_lowercase();
                TOP.contains(&name.split("__").next().unwrap_or(""))
            })
            .split("__");
        figment.merge(env).extract().map_err(|error| {
            let path = error.path.join(".");
            anyhow::anyhow!("setting `{path}`: {}", reason(&error))
        })
    }

    /// The application's database.
    ///
    /// # Errors
    /// When it is not set.
    pub fn database(&self) -> anyhow::Result<&str> {
        required(&self.database_url, "CHUKTA_DATABASE_URL")
    }

    /// The schema owner's database.
    ///
    /// # Errors
    /// When it is not set.
    pub fn owner_database(&self) -> anyhow::Result<&str> {
        required(&self.owner_database_url, "CHUKTA_OWNER_DATABASE_URL")
    }
}

fn required<'a>(value: &'a Secret, name: &str) -> anyhow::Result<&'a str> {
    let value = value.expose();
    (!value.is_empty()).then_some(value).with_context(|| format!("{name} is not set"))
}

/// What is wrong, without echoing the value: it may be a secret.
fn reason(error: &figment::Error) -> String {
    use figment::error::Kind;
    match &error.kind {
        Kind::InvalidType(_, expected) => format!("expected {expected}"),
        Kind::InvalidValue(_, expected) => format!("expected {expected}"),
        Kind::UnknownField(field, _) => format!("no such setting: {field}"),
        Kind::MissingField(field) => format!("missing: {field}"),
        Kind::Message(message) => message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_complete() {
        let config = Config::load(None).unwrap();
        assert_eq!(config.settlement.fee_bps.get(), 100);
        assert!(config.database().is_err());
    }

    #[test]
    fn a_login_is_not_shown() {
        let text = r#"{"network":"bitcoin","kind":"bitcoind",
            "rpc_url":"http://chukta:very-secret@127.0.0.1:18443"}"#;
        let shown = format!("{:?}", serde_json::from_str::<SandboxConfig>(text).unwrap());
        assert!(shown.contains("127.0.0.1") && !shown.contains("secret"), "{shown}");
        let error = serde_json::from_str::<SandboxConfig>(&text.replace("http", "")).err();
        assert!(!error.unwrap().to_string().contains("secret"));
    }
}
