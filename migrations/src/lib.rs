//! The database's history, as one [`MIGRATOR`].
//!
//! Invariant: a file that has run anywhere is never edited; a change is a new file with a later
//! number. `build.rs` makes cargo notice a new file. SQL stands beside this crate's manifest,
//! nothing else lives here; who may run it, and with which rights, stands in the first file.

/// All migrations, in order.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
