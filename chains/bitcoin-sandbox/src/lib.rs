//! A throw-away regtest world: a local bitcoind and a payer who mines to a key of his own.
//!
//! Invariants: the only place of the room with private keys, and they are everybody's; a payer
//! refuses any node that is not on regtest. The node's own wallet is not used: it stops sending
//! after some hundred unconfirmed payments, and some builds have none.

mod bitcoind;
mod coins;
mod keys;
mod miner;
mod payer;

pub use bitcoind::{Bitcoind, BitcoindOptions};
pub use chains::sandbox::SandboxError;
pub use keys::{dev_sign, venue_address};
pub use payer::Payer;

/// Account public key m/84'/0'/0' of the mnemonic `abandon … about`, as BIP84 publishes it, written
/// for test networks. Everybody can spend from its addresses: for local nodes only.
#[must_use]
pub const fn dev_xpub() -> &'static str {
    DEV_XPUB
}

const DEV_XPUB: &str = concat!(
    "vpub5YvMuJNjRSYon44z9QmCfdf8SqJRVNvz6m55Qy5iVjZQxDfUgtiQjnc7",
    "CC1fAbED2tAGCZRERUfvtn2DstZGU6HMns6dXXH2wujSc2wfi2x",
);

fn sentence(error: impl std::fmt::Display) -> SandboxError {
    SandboxError(error.to_string())
}
