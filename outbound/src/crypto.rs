//! The one TLS provider of the process.
//!
//! Invariant: ring, installed once. Two providers compiled in make rustls panic at the first
//! connection unless somebody chose; this is where we choose.

/// Installs ring for the whole process. Call it first thing in `main`; repeating it is harmless.
pub fn install_crypto() {
    // An error means somebody installed a provider before us, which is what we want to be true.
    drop(rustls::crypto::ring::default_provider().install_default());
}
