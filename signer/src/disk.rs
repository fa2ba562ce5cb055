//! Files as the signer reads and makes them: bounded, and closed to others where they hold secrets.
//!
//! Invariant: a file with a secret that others may read is refused, not warned about.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use zeroize::Zeroizing;

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct DiskError {
    pub path: String,
    pub reason: String,
}

pub(crate) fn disk_error(path: &Path, reason: impl ToString) -> DiskError {
    DiskError { path: path.display().to_string(), reason: reason.to_string() }
}

pub(crate) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, DiskError> {
    let file = File::open(path).map_err(|error| disk_error(path, error))?;
    read(path, file, most)
}

fn read(path: &Path, file: File, most: u64) -> Result<Vec<u8>, DiskError> {
    let mut bytes = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    let length = read.map_err(|error| disk_error(path, error))?;
    if u64::try_from(length).unwrap_or(u64::MAX) > most {
        return Err(disk_error(path, format!("longer than {most} bytes")));
    }
    Ok(bytes)
}

/// A file nobody but its owner may open.
pub(crate) fn read_private(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    let file = File::open(path).map_err(|error| disk_error(path, error))?;
    let mode = file.metadata().map_err(|error| disk_error(path, error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(disk_error(path, "others may open it: chmod 600"));
    }
    read(path, file, most).map(Zeroizing::new)
}

/// A passphrase and its like.
///
/// # Errors
/// When others may open the file, or it is long.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    read_private(path, 64 * 1024)
}

/// Makes a new file; one that exists is left as it is.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_folder(path)
    };
    write().map_err(|error| disk_error(path, error))
}

/// A new name is only on the disk once its folder is.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}
