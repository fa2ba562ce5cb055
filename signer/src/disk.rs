//! Files as the signer reads and makes them: bounded, and closed to others where they hold secrets.
//!
//! Invariants: a file with a secret that others may read is refused, not warned about; so is one
//! with limits, addresses or the log that others may write.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
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
    is_private(path, &file)?;
    read(path, file, most).map(Zeroizing::new)
}

/// A file others may read, and nobody but its owner may write: limits and lists.
pub(crate) fn read_guarded(path: &Path, most: u64) -> Result<Vec<u8>, DiskError> {
    let file = File::open(path).map_err(|error| disk_error(path, error))?;
    is_ours(path, &file, 0o022, "others may write it: chmod go-w")?;
    read(path, file, most)
}

/// The same rule for a file that is open already.
pub(crate) fn is_private(path: &Path, file: &File) -> Result<(), DiskError> {
    is_ours(path, file, 0o077, "others may open it: chmod 600")
}

fn is_ours(path: &Path, file: &File, closed: u32, why: &str) -> Result<(), DiskError> {
    let found = file.metadata().map_err(|error| disk_error(path, error))?;
    if found.permissions().mode() & closed != 0 {
        return Err(disk_error(path, why));
    }
    // Whoever owns a file may change it whatever its mode says. Where the system does not tell who
    // we are, having opened a closed file is all there is.
    if own_user().is_some_and(|own| found.uid() != own && found.uid() != 0) {
        return Err(disk_error(path, "it is another user's: chown it to the signer's"));
    }
    Ok(())
}

/// The user this process acts as, where the system says so.
fn own_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
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
