//! A throw-away Solana: a local runtime, a payer with a well-known key, and tokens that misbehave.
//!
//! Invariants: the only place of the room with private keys, and they are everybody's; a payer
//! refuses any node that does not know our own commands. The product reads through
//! [`chains_solana::SolanaChain`] and never comes here.

mod payer;
mod signer;
mod surfnet;
mod tokens;

pub use chains::sandbox::SandboxError;
use chains_solana::{MintConfig, SolanaConfig};
pub use payer::Payer;
pub use signer::dev_sign;
use solana_keypair::Keypair;
use solana_signer::Signer as _;
pub use surfnet::{Surfnet, SurfnetOptions};

/// Seeds of the sandbox's keys, by what they are for.
const PAYER: u8 = 0x42;
const WALLET: u8 = 0x77;
const USDC: u8 = 0x11;
const USDT: u8 = 0x12;
const LOOKALIKE: u8 = 0x13;
const TAXED: u8 = 0x14;

fn keypair(seed: u8) -> Keypair {
    Keypair::new_from_array([seed; 32])
}

/// The wallet payments come to in the sandbox. Everybody has its key.
#[must_use]
pub fn dev_wallet() -> String {
    keypair(WALLET).pubkey().to_string()
}

/// The mints the payer makes: listed ones for USDC and USDT.
#[must_use]
pub fn dev_mints() -> Vec<MintConfig> {
    let mint = |asset, seed: u8| {
        let mint = keypair(seed).pubkey().to_string();
        MintConfig { asset, mint, decimals: 6 }
    };
    vec![mint(primitives::Asset::Usdc, USDC), mint(primitives::Asset::Usdt, USDT)]
}

/// Settings that fit a local node.
///
/// # Errors
/// When the node's URLs are none.
pub fn dev_config(
    network: primitives::NetworkId,
    node: &Surfnet,
) -> Result<SolanaConfig, SandboxError> {
    let written = serde_json::json!({
        "network": network,
        "genesis_hash": node.genesis_hash(),
        "rpc_urls": [node.rpc_url()],
        "ws_urls": [node.ws_url()],
        "wallet": dev_wallet(),
        "reference_seed": "the seed of a sandbox",
    });
    let mut config: SolanaConfig = serde_json::from_value(written).map_err(sentence)?;
    config.mints = dev_mints();
    Ok(config)
}

fn sentence(error: impl std::fmt::Display) -> SandboxError {
    SandboxError(error.to_string())
}
