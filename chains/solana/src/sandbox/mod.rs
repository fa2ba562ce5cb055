//! A throw-away Solana: a local runtime, a payer with a well-known key, and tokens that misbehave.
//!
//! Invariants: the only place of the room with private keys, and they are everybody's; a payer
//! refuses any node that does not know our own commands. The product reads through
//! [`crate::SolanaChain`] and never comes here.

mod payer;
mod signer;
mod surfnet;
mod tokens;

pub use chains::sandbox::SandboxError;
pub use payer::Payer;
pub use signer::dev_sign;
use solana_keypair::Keypair;
use solana_signer::Signer as _;
pub use surfnet::{Surfnet, SurfnetOptions};

use crate::{MintConfig, SolanaConfig};

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
    let url = |text: &str| text.parse().map_err(|_| SandboxError("not a URL".to_owned()));
    Ok(SolanaConfig {
        network,
        genesis_hash: node.genesis_hash().to_owned(),
        rpc_urls: vec![url(node.rpc_url())?],
        ws_urls: vec![url(node.ws_url())?],
        wallet: dev_wallet(),
        retired_wallets: Vec::new(),
        reference_seed: primitives::Secret::new("the seed of a sandbox"),
        mints: dev_mints(),
        reserve_lamports: crate::config::default_reserve(),
        unit_price_max: crate::config::default_unit_price_max(),
        request_timeout_ms: crate::config::default_timeout_ms(),
        max_response_bytes: crate::config::default_max_bytes(),
    })
}

fn sentence(error: impl std::fmt::Display) -> SandboxError {
    SandboxError(error.to_string())
}
