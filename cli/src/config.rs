//! Settings, read once: the built-in defaults, then a file, then the environment.
//!
//! Invariant: an unknown key is an error, a missing secret is an error when its command needs it,
//! and nothing else in the house reads the environment.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use primitives::Secret;
use serde::Deserialize;

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
pub(crate) struct Config {
    pub(crate) database_url: Secret,
    pub(crate) owner_database_url: Secret,
    pub(crate) redis_url: Secret,
    pub(crate) database_connections: u32,
    pub(crate) api: ApiConfig,
    pub(crate) settlement: settlement::Settings,
    #[serde(default)]
    pub(crate) bitcoin: Vec<chains_bitcoin::BitcoinConfig>,
    #[serde(default)]
    pub(crate) solana: Vec<chains_solana::SolanaConfig>,
    /// Payers on local nodes, for `chukta pay`, `mine` and `reorg`. Nothing of the product reads
    /// it.
    #[serde(default)]
    pub(crate) sandbox: Vec<crate::sandbox::SandboxConfig>,
    #[serde(default)]
    pub(crate) evm: Vec<chains_evm::EvmConfig>,
    /// Who signs; without it nothing of ours is moved.
    #[serde(default)]
    pub(crate) signer: Option<SignerConfig>,
    #[serde(default)]
    pub(crate) connectors: Vec<exchanges::registry::Config>,
    #[serde(default)]
    pub(crate) rails: Vec<payouts::registry::Config>,
}

/// Where the signer listens. Its keys, its list and its limits are its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignerConfig {
    pub(crate) socket: PathBuf,
    /// For one intent, from connecting to the last byte.
    #[serde(default = "five_seconds")]
    pub(crate) timeout_ms: u64,
}

const fn five_seconds() -> u64 {
    5_000
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiConfig {
    pub(crate) listen: std::net::SocketAddr,
    #[serde(default)]
    pub(crate) limits: api::ApiSettings,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// A sentence naming the key that is wrong, never its value.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
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
    pub(crate) fn database(&self) -> anyhow::Result<&str> {
        required(&self.database_url, "CHUKTA_DATABASE_URL")
    }

    /// The schema owner's database.
    ///
    /// # Errors
    /// When it is not set.
    pub(crate) fn owner_database(&self) -> anyhow::Result<&str> {
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
}
