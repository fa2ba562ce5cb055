//! Who may ask: merchants, their API keys and the scopes of a key.
//!
//! Invariants: a key is shown once and stored only as a hash; an unknown key costs the same work
//! as a known one; what a key may do is a closed list. Users, sessions and roles are deliberately
//! not here yet; what a merchant owns is `settlement`'s.

mod error;
mod key;
mod merchant;
mod scope;

pub use error::Error;
pub use key::{
    KeyKind, NewApiKey, Principal, authenticate, create_api_key_in, is_key_shaped, revoke,
};
pub use merchant::{create_merchant_in, disable_merchant_in};
pub use scope::{Scope, Scopes};
