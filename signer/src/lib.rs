//! The only place with private keys: a process that signs what it has read, understood, and been
//! allowed to. What it refuses and how it is set up: see its README.
//!
//! Invariants: intents are typed and transactions are built or taken apart here, so no blind bytes
//! are signed; every answer is in the signer's own log before anybody hears it. No other product
//! room links this crate; the fleet speaks to it through `signing`. The demo's own payers have keys
//! of local nodes' wallets, which are none of these.

mod allow;
mod config;
mod disk;
mod examine;
mod flow;
mod keys;
mod limits;
mod local;
mod log;
mod public;
mod refusal;
mod server;
mod sign;
mod steady;

pub use config::{AnswerLimits, Clients, Config, ConfigError, NetworkConfig};
pub use disk::{DiskError, read_secret};
pub use keys::{
    DeriveError, FileKeys, KeyError, KeyPath, KeyStore, PublicAccount, SealError, Secrets, ToSign,
    open, seal,
};
pub use local::{LocalSigner, StartError};
pub use log::{LogError, Verified, verify};
pub use public::{Public, public};
pub use refusal::Code;
pub use server::Server;

/// The secrets of the sandboxes, for local nodes only: everybody has them. The words `abandon …
/// about`, and the wallet of the local Solana.
pub const SANDBOX_SECRETS: &str = include_str!("../sandbox-secrets.json");
