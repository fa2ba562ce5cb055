//! The whole fleet in one process, for stories: real database, real chain node, real adapters over
//! HTTP, and simulators with books of their own, all on a clock that moves only when told.
//!
//! Invariants: what a story asserts is checked against the simulators' books, which share no code
//! with the product; nothing here waits for real time, but for answers that are on the wire. The
//! stories themselves are in `tests/it`.

mod books;
mod drive;
mod fleet;
mod gate;
mod http;
mod node;
mod other;
mod outside;
mod process;
mod settings;
pub mod storm_orders;

pub use drive::Asked;
pub use fleet::{Fleet, Options, Shop};
pub use gate::{Gate, When};
pub use http::Http;
pub use node::{Node, Tokens};
pub use other::Other;
pub use outside::Outside;
pub use process::Process;
pub use settings::{ASSETS, CONFIRMATIONS, network, settings};
