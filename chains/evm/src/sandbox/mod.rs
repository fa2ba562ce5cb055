//! A throw-away world: a local anvil, a payer with a well-known key, and contracts that misbehave.
//!
//! Invariants: the only place of the house with private keys, and they are everybody's; a payer
//! refuses any node that does not call itself anvil. For the demo, the testkit and tests; the
//! product reads chains through [`crate::EvmChain`] and never comes here.

mod anvil;
mod artefacts;
mod control;
mod payer;
mod tricks;
mod world;

pub use anvil::{Anvil, AnvilOptions};
pub use chains::sandbox::SandboxError;
pub use payer::Payer;
use primitives::Secret;
pub use world::AnvilSandbox;

/// Account public key m/44'/60'/0' of the mnemonic `abandon abandon abandon abandon abandon abandon
/// abandon abandon abandon abandon abandon about`. Everybody can spend from its addresses: for
/// local nodes only. Anvil's own rich accounts have another mnemonic, so deposits start at zero.
#[must_use]
pub const fn dev_xpub() -> &'static str {
    DEV_XPUB
}

/// The private key of the first rich account of every anvil, printed by each of them at start.
#[must_use]
pub fn dev_payer_key() -> Secret {
    Secret::new("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
}

const DEV_XPUB: &str = concat!(
    "xpub6DCoCpSuQZB2jawqnGMEPS63ePKWkwWPH4TU45Q7LPXWuNd8TMtVxRrg",
    "jtEshuqpK3mdhaWHPFsBngh5GFZaM6si3yZdUsT8ddYM3PwnATt",
);
