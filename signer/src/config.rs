//! The signer's settings: one TOML file, read once.
//!
//! Invariants: unknown words are refused, an asset without a limit has none of it to give, and no
//! secret stands in the file. The list of allowed addresses is deliberately another file: it
//! changes while the signer runs.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use primitives::{Asset, NetworkId};
use serde::{Deserialize, Deserializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use signing::Purpose;

use crate::disk;

/// Settings are small; anything longer is not settings.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Relative paths are relative to the folder of this file.
    pub socket: PathBuf,
    pub keys: PathBuf,
    /// Missing: the first line of standard input is the passphrase.
    pub passphrase_file: Option<PathBuf>,
    pub log: PathBuf,
    pub allow_list: PathBuf,
    /// From the first sight of an address in the list to the first transaction to it.
    pub activation_delay_s: u64,
    /// Who may ask beside the signer's own user.
    pub clients: Option<Clients>,
    pub networks: Vec<NetworkConfig>,
    #[serde(default)]
    pub limits: Vec<LimitConfig>,
    /// How much may be written down, whatever is asked.
    #[serde(default)]
    pub answers: AnswerLimits,
    /// Of the file's bytes, for the log: a changed limit leaves a trace.
    #[serde(skip)]
    pub digest: String,
}

/// The fleet under a user of its own, which cannot read the key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    pub uid: u32,
    /// A group both users are in: the socket and its folder are opened to it.
    pub gid: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NetworkConfig {
    Bitcoin(BitcoinConfig),
    Evm(EvmConfig),
    Solana(SolanaConfig),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BitcoinChain {
    Mainnet,
    Testnet4,
    Signet,
    Regtest,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitcoinConfig {
    pub network: NetworkId,
    pub chain: BitcoinChain,
    /// Of the account, where the key comes from the seed: `m/84'/0'/0'` or `m/84'/1'/0'`.
    pub path: Option<String>,
    pub fee: FeeLimit,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvmConfig {
    pub network: NetworkId,
    pub chain_id: u64,
    /// The coin that pays fees.
    #[serde(default = "ether")]
    pub coin: Asset,
    #[serde(default)]
    pub tokens: Vec<ContractConfig>,
    /// Of the account, where the key comes from the seed: `m/44'/60'/0'`.
    pub path: Option<String>,
    pub fee: FeeLimit,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractConfig {
    pub asset: Asset,
    pub contract: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolanaConfig {
    pub network: NetworkId,
    #[serde(default)]
    pub tokens: Vec<MintConfig>,
    /// Where the key comes from the seed: `m/44'/501'/0'/0'`.
    pub path: Option<String>,
    pub fee: FeeLimit,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintConfig {
    pub asset: Asset,
    pub mint: String,
    /// The token program that owns the mint.
    #[serde(default = "token_program")]
    pub program: String,
    pub decimals: u8,
}

/// What the network may take, in minor units of its coin, as decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeLimit {
    #[serde(deserialize_with = "minor")]
    pub per_tx: i128,
    #[serde(deserialize_with = "minor")]
    pub per_hour: i128,
    #[serde(deserialize_with = "minor")]
    pub per_day: i128,
}

/// What may leave, in minor units as decimal text: of one asset, for one purpose, on all networks
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    pub purpose: Purpose,
    pub asset: Asset,
    #[serde(deserialize_with = "minor")]
    pub per_tx: i128,
    #[serde(deserialize_with = "minor")]
    pub per_hour: i128,
    #[serde(deserialize_with = "minor")]
    pub per_day: i128,
}

/// What the log takes: so nobody fills the disk by asking. Beyond it nothing is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerLimits {
    pub signed_per_minute: u64,
    pub signed_per_day: u64,
    pub refused_per_minute: u64,
    pub refused_per_day: u64,
    pub bytes_per_day: u64,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self {
            signed_per_minute: 300,
            signed_per_day: 5_000,
            refused_per_minute: 120,
            refused_per_day: 5_000,
            bytes_per_day: 256 * 1024 * 1024,
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    Unreadable(#[from] disk::DiskError),
    #[error("the settings of the signer: {0}")]
    Wrong(String),
}

impl NetworkConfig {
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        match self {
            Self::Bitcoin(bitcoin) => &bitcoin.network,
            Self::Evm(evm) => &evm.network,
            Self::Solana(solana) => &solana.network,
        }
    }

    #[must_use]
    pub const fn fee(&self) -> FeeLimit {
        match self {
            Self::Bitcoin(bitcoin) => bitcoin.fee,
            Self::Evm(evm) => evm.fee,
            Self::Solana(solana) => solana.fee,
        }
    }

    /// What two networks must not share.
    const fn chain(&self) -> (u8, u64) {
        match self {
            Self::Bitcoin(_) => (0, 0),
            Self::Evm(evm) => (1, evm.chain_id),
            Self::Solana(_) => (2, 0),
        }
    }

    /// The coin that pays fees.
    #[must_use]
    pub const fn coin(&self) -> Asset {
        match self {
            Self::Bitcoin(_) => Asset::Btc,
            Self::Evm(evm) => evm.coin,
            Self::Solana(_) => Asset::Sol,
        }
    }
}

impl Config {
    /// # Errors
    /// A sentence naming what is wrong.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let bytes = disk::read_guarded(file, MAX_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::Wrong("no text".into()))?;
        let mut config = Self::parse(&text)?;
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        let Self { socket, keys, passphrase_file, log, allow_list, .. } = &mut config;
        let paths = [socket, keys, log, allow_list].into_iter().chain(passphrase_file.iter_mut());
        for path in paths {
            *path = folder.join(&*path);
        }
        Ok(config)
    }

    /// # Errors
    /// A sentence naming what is wrong.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // Only the message: the rest of toml's error repeats lines of the file.
        let mut config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Wrong(error.message().to_owned()))?;
        config.check().map_err(ConfigError::Wrong)?;
        config.digest = hex::encode(Sha256::digest(text));
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        let mut chains = BTreeSet::new();
        for network in &self.networks {
            let name = network.network();
            if !names.insert(name) {
                return Err(format!("two networks are called {name}"));
            }
            // What excludes each other counts once on one network. A second name for it would count
            // it twice, and would be a second list; a transaction of Bitcoin or Solana does not say
            // which chain it is for, so of each there is one.
            if !chains.insert(network.chain()) {
                return Err(format!("{name} is another network's chain, or may be"));
            }
            if let NetworkConfig::Evm(evm) = network {
                one_each(name, evm.tokens.iter().map(|token| token.asset).chain([evm.coin]))?;
            }
            if let NetworkConfig::Solana(solana) = network {
                one_each(name, solana.tokens.iter().map(|token| token.asset).chain([Asset::Sol]))?;
                let odd = |token: &&MintConfig| u32::from(token.decimals) != token.asset.scale();
                if let Some(token) = solana.tokens.iter().find(odd) {
                    return Err(format!("{name}: {} has other decimals", token.asset));
                }
            }
            let FeeLimit { per_tx, per_hour, per_day } = network.fee();
            ascending(&format!("fee of {name}"), [per_tx, per_hour, per_day])?;
        }
        let mut limited = BTreeSet::new();
        for limit in &self.limits {
            if !limited.insert((limit.purpose, limit.asset)) {
                return Err(format!("two limits for {} and one purpose", limit.asset));
            }
            let bounds = [limit.per_tx, limit.per_hour, limit.per_day];
            ascending(&format!("limit of {}", limit.asset), bounds)?;
        }
        Ok(())
    }
}

fn one_each(network: &NetworkId, assets: impl Iterator<Item = Asset>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for asset in assets {
        if !seen.insert(asset) {
            return Err(format!("{network} lists {asset} twice"));
        }
    }
    Ok(())
}

fn ascending(what: &str, bounds: [i128; 3]) -> Result<(), String> {
    if bounds.is_sorted() {
        return Ok(());
    }
    Err(format!("{what}: per_tx must not be above per_hour, nor per_hour above per_day"))
}

fn minor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| D::Error::custom("a limit is whole minor units, as text"))
}

const fn ether() -> Asset {
    Asset::Eth
}

fn token_program() -> String {
    spl_token_interface::ID.to_string()
}
