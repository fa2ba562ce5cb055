//! The signer's own log: lines that are only ever added, each naming the hash of the one before.
//!
//! Invariants: one process writes at a time; a line is on the disk before anybody hears what it
//! says; an incomplete last line is a crash before that and is taken away, any other damage stops
//! the signer. What the lines mean for limits is in [`Book`].

mod book;
mod record;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

pub(crate) use self::{
    book::{Book, Known, Place},
    record::{Asked, NO_HASH, Record, Refused, Signed, What},
};
use crate::disk::{DiskError, is_private, sync_folder};

/// Far more than a line can be: an intent has at most 1 MiB.
const MAX_LINE: u64 = 8 * 1024 * 1024;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log {path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("the log {0}")]
    Open(#[from] DiskError),
    #[error("the log {0} is used by another process")]
    InUse(String),
    #[error("the log {path} was changed: line {line} {what}")]
    Damaged { path: String, line: u64, what: &'static str },
}

/// The log, open for adding. Its file is locked as long as it lives.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    length: u64,
    seq: u64,
    hash: [u8; 32],
    /// A write that may be half done: nothing more is added.
    broken: bool,
}

/// What a whole log says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub lines: u64,
    /// Of the last line; zeros where there is none.
    pub hash: [u8; 32],
    /// Bytes of an incomplete last line.
    pub torn: u64,
}

impl Log {
    /// Opens or makes the log, and reads all of it into a book.
    ///
    /// # Errors
    /// When it is damaged, or another process has it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Book), LogError> {
        let io = |error| io_error(path, error);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(io)?;
        lock(path, &file)?;
        is_private(path, &file)?;
        sync_folder(path).map_err(io)?;
        let mut book = Book::default();
        let verified = walk(path, &file, |record, place| book.take(record, place))?;
        let length = file.metadata().map_err(io)?.len().saturating_sub(verified.torn);
        if verified.torn > 0 {
            tracing::warn!(bytes = verified.torn, "took away an incomplete last line of the log");
            file.set_len(length).and_then(|()| file.sync_all()).map_err(io)?;
        }
        let (seq, hash) = (verified.lines, verified.hash);
        Ok((Self { path: path.to_owned(), file, length, seq, hash, broken: false }, book))
    }

    /// Adds a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it may not be. Nothing can be added afterwards: what is on the disk is not known.
    pub(crate) fn append(
        &mut self,
        at: DateTime<Utc>,
        what: What,
    ) -> Result<(Record, Place), LogError> {
        if self.broken {
            let error = std::io::Error::other("an earlier line could not be written");
            return Err(io_error(&self.path, error));
        }
        let seq = self.seq.saturating_add(1);
        let record = Record { seq, at, what, prev: hex::encode(self.hash) };
        let (line, hash) =
            record.line().map_err(|error| io_error(&self.path, std::io::Error::other(error)))?;
        let bytes = format!("{line}\n");
        self.broken = true;
        self.file
            .write_all(bytes.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|error| io_error(&self.path, error))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let place = Place { offset: self.length, length };
        self.length = self.length.saturating_add(length);
        (self.seq, self.hash, self.broken) = (seq, hash, false);
        Ok((record, place))
    }

    /// Reads a line again.
    ///
    /// # Errors
    /// When it is not there any more as it was written.
    pub(crate) fn read(&self, place: Place) -> Result<Record, LogError> {
        let io = |error| io_error(&self.path, error);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place.offset)).map_err(io)?;
        let mut line = String::new();
        file.take(place.length).read_to_string(&mut line).map_err(io)?;
        let record = line.strip_suffix('\n').and_then(Record::read);
        let damaged = || damaged(&self.path, 0, "is not as it was written");
        Ok(record.ok_or_else(damaged)?.0)
    }

    /// A line that was just written means nothing: the log must not go on.
    pub(crate) fn damaged(&mut self, what: &'static str) -> LogError {
        self.broken = true;
        damaged(&self.path, self.seq, what)
    }

    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }
}

/// Reads a log without changing it, also while a signer writes it.
///
/// # Errors
/// The first line that is not as it was written.
pub fn verify(path: &Path) -> Result<Verified, LogError> {
    let file = File::open(path).map_err(|error| io_error(path, error))?;
    walk(path, &file, |_, _| Ok(()))
}

fn lock(path: &Path, file: &File) -> Result<(), LogError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => LogError::InUse(path.display().to_string()),
        TryLockError::Error(error) => io_error(path, error),
    })
}

/// Every whole line, in order.
fn walk(
    path: &Path,
    file: &File,
    mut take: impl FnMut(Record, Place) -> Result<(), &'static str>,
) -> Result<Verified, LogError> {
    let mut reader = BufReader::new(file);
    let mut verified = Verified { lines: 0, hash: NO_HASH, torn: 0 };
    let (mut offset, mut at) = (0_u64, DateTime::<Utc>::MIN_UTC);
    loop {
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
        let length = read.map_err(|error| io_error(path, error))?;
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let number = verified.lines.saturating_add(1);
        let wrong = |what| damaged(path, number, what);
        let Some(line) = bytes.strip_suffix(b"\n") else {
            if length >= MAX_LINE {
                return Err(wrong("has no end"));
            }
            verified.torn = length;
            return Ok(verified);
        };
        let (record, hash) = str::from_utf8(line)
            .ok()
            .and_then(Record::read)
            .ok_or_else(|| wrong("is not as it was written"))?;
        if record.seq != number || record.prev != hex::encode(verified.hash) {
            return Err(wrong("does not follow the one before"));
        }
        if record.at < at {
            return Err(wrong("is older than the one before"));
        }
        at = record.at;
        take(record, Place { offset, length }).map_err(wrong)?;
        offset = offset.saturating_add(length);
        (verified.lines, verified.hash) = (number, hash);
    }
}

fn io_error(path: &Path, error: std::io::Error) -> LogError {
    LogError::Io { path: path.display().to_string(), error }
}

fn damaged(path: &Path, line: u64, what: &'static str) -> LogError {
    LogError::Damaged { path: path.display().to_string(), line, what }
}
