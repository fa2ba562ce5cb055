//! Logs: one line of JSON per event on standard error, `RUST_LOG` chooses how much.
//!
//! Invariant: standard output belongs to what a command prints.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging. A second call changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("info,sqlx=warn,apalis=warn,apalis_core=warn,hyper=warn")
    });
    let started = fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    if let Err(error) = started {
        eprintln!("chukta: logging is already set up: {error}");
    }
}
