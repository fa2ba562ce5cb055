//! The key file: secrets under a passphrase. Argon2id makes the key, XChaCha20-Poly1305 seals.
//!
//! Invariants: how the key was made is part of what is authenticated; a file is never written over;
//! a wrong passphrase and a changed file are the same sentence, and neither says more.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use primitives::Entropy;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{DeriveError, Secrets};
use crate::disk::{self, DiskError};

const MAX_BYTES: u64 = 1024 * 1024;
/// Below this, guessing is cheap whatever the function.
const MIN_PASSPHRASE: usize = 12;
/// More than OWASP asks of Argon2id, and less than a small machine has.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// A changed file must not make the signer ask for all memory.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    cipher: String,
    nonce: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    header: Header,
    sealed: String,
}

const FORMAT: &str = "chukta-keys-1";
const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20-poly1305";

/// Why a key file could not be written or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("a passphrase has at least {MIN_PASSPHRASE} characters")]
    ShortPassphrase,
    #[error("not a key file of this signer")]
    NotAKeyFile,
    #[error("the passphrase does not open the key file, or the file was changed")]
    WrongPassphrase,
    #[error(transparent)]
    Secrets(#[from] DeriveError),
}

/// Writes a new key file, readable by its owner only.
///
/// # Errors
/// When the file exists, or the passphrase is short.
pub fn seal(
    file: &Path,
    secrets: &Secrets,
    passphrase: &[u8],
    entropy: &Entropy,
) -> Result<(), SealError> {
    if passphrase.len() < MIN_PASSPHRASE {
        return Err(SealError::ShortPassphrase);
    }
    let header = Header {
        format: FORMAT.to_owned(),
        kdf: KDF.to_owned(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        salt: hex::encode(entropy.bytes::<16>()),
        cipher: CIPHER.to_owned(),
        nonce: hex::encode(entropy.bytes::<24>()),
    };
    let (cipher, nonce, aad) = prepare(&header, passphrase)?;
    let payload = Payload { msg: secrets.expose(), aad: &aad };
    let sealed = cipher.encrypt(&nonce, payload).map_err(|_| SealError::NotAKeyFile)?;
    let file_text = Sealed { header, sealed: STANDARD.encode(sealed) };
    let mut text = serde_json::to_vec_pretty(&file_text).map_err(|_| SealError::NotAKeyFile)?;
    text.push(b'\n');
    Ok(disk::create_private(file, &text)?)
}

/// # Errors
/// When others may open the file, or the passphrase is another one.
pub fn open(file: &Path, passphrase: &[u8]) -> Result<Secrets, SealError> {
    let text = disk::read_private(file, MAX_BYTES)?;
    let Sealed { header, sealed } =
        serde_json::from_slice(&text).map_err(|_| SealError::NotAKeyFile)?;
    let (cipher, nonce, aad) = prepare(&header, passphrase)?;
    let sealed = STANDARD.decode(sealed).map_err(|_| SealError::NotAKeyFile)?;
    let payload = Payload { msg: &sealed, aad: &aad };
    let mut plain =
        Zeroizing::new(cipher.decrypt(&nonce, payload).map_err(|_| SealError::WrongPassphrase)?);
    Ok(Secrets::parse(std::mem::take(&mut *plain))?)
}

fn prepare(
    header: &Header,
    passphrase: &[u8],
) -> Result<(XChaCha20Poly1305, XNonce, Vec<u8>), SealError> {
    let known = header.format == FORMAT && header.kdf == KDF && header.cipher == CIPHER;
    let bounded = header.memory_kib <= MOST_MEMORY_KIB && header.passes <= MOST_PASSES;
    if !known || !bounded {
        return Err(SealError::NotAKeyFile);
    }
    let none = |_| SealError::NotAKeyFile;
    let (mut salt, mut nonce) = ([0; 16], [0; 24]);
    hex::decode_to_slice(&header.salt, &mut salt).map_err(none)?;
    hex::decode_to_slice(&header.nonce, &mut nonce).map_err(none)?;
    let params = Params::new(header.memory_kib, header.passes, 1, Some(32))
        .map_err(|_| SealError::NotAKeyFile)?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, &salt, &mut *key)
        .map_err(|_| SealError::NotAKeyFile)?;
    let aad = serde_json::to_vec(header).map_err(|_| SealError::NotAKeyFile)?;
    Ok((XChaCha20Poly1305::new((&*key).into()), nonce.into(), aad))
}
