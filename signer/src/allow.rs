//! The list of addresses coins may go to: a file people edit, and the log's memory of it.
//!
//! Invariants: an address that left the file is refused from the next question on; one that came is
//! refused until its time, which is written into the log at first sight and survives restarts. A
//! list that cannot be read, or is older than one already seen, allows nothing.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::NetworkId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use signing::Purpose;

use crate::{disk, examine::Networks, refusal::Refusal};

const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u64,
    /// RFC 3339. Additions of this version wait for it, beside the delay of the settings.
    active_from: Option<DateTime<Utc>>,
    #[serde(default)]
    allow: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    network: NetworkId,
    purpose: Purpose,
    address: String,
    /// For people.
    #[expect(dead_code, reason = "only so that it may be written")]
    note: Option<String>,
}

/// An address of the list, and since when it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowed {
    pub(crate) network: NetworkId,
    pub(crate) purpose: Purpose,
    pub(crate) address: String,
    pub(crate) active_at: DateTime<Utc>,
}

/// A version of the list, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    pub(crate) version: u64,
    /// Of the file's bytes.
    pub(crate) digest: String,
    pub(crate) allowed: Vec<Allowed>,
}

/// Where the list is, and how long additions wait.
#[derive(Debug)]
pub(crate) struct AllowList {
    path: PathBuf,
    delay: TimeDelta,
}

impl AllowList {
    pub(crate) fn new(path: &Path, delay_s: u64) -> Result<Self, String> {
        let delay = i64::try_from(delay_s).ok().and_then(TimeDelta::try_seconds);
        let delay = delay.ok_or("activation_delay_s is beyond all numbers")?;
        Ok(Self { path: path.to_owned(), delay })
    }

    /// What the file says now. `Ok(None)`: what was seen last.
    pub(crate) fn read(
        &self,
        networks: &Networks,
        last: Option<&Seen>,
        now: DateTime<Utc>,
    ) -> Result<Option<Seen>, String> {
        let bytes = disk::read_bounded(&self.path, MAX_BYTES).map_err(|error| error.to_string())?;
        let digest = hex::encode(Sha256::digest(&bytes));
        if last.is_some_and(|seen| seen.digest == digest) {
            return Ok(None);
        }
        let text = str::from_utf8(&bytes).map_err(|_| "the allow-list is no text")?;
        let file: File = toml::from_str(text)
            .map_err(|error| format!("the allow-list cannot be read: {}", error.message()))?;
        if last.is_some_and(|seen| file.version <= seen.version) {
            return Err("the allow-list changed and its version was not raised".to_owned());
        }
        let active_at = now
            .checked_add_signed(self.delay)
            .map(|after| file.active_from.map_or(after, |from| from.max(after)))
            .ok_or("the activation is beyond all time")?;
        let mut allowed: Vec<Allowed> = Vec::new();
        for row in file.allow {
            let network = networks
                .get(&row.network)
                .ok_or_else(|| format!("the allow-list names {}: no such network", row.network))?;
            let address =
                network
                    .canonical(&row.address)
                    .filter(|_| row.purpose != Purpose::Gas)
                    .ok_or_else(|| format!("the allow-list has no address for {}", row.network))?;
            let mut entry =
                Allowed { network: row.network, purpose: row.purpose, address, active_at };
            let known = last.and_then(|seen| seen.allowed.iter().find(|old| old.is_same(&entry)));
            if let Some(known) = known {
                entry.active_at = known.active_at;
            }
            if !allowed.iter().any(|other| other.is_same(&entry)) {
                allowed.push(entry);
            }
        }
        Ok(Some(Seen { version: file.version, digest, allowed }))
    }
}

impl Allowed {
    fn is_same(&self, other: &Self) -> bool {
        (&self.network, self.purpose, &self.address)
            == (&other.network, other.purpose, &other.address)
    }
}

impl Seen {
    pub(crate) fn check(
        &self,
        network: &NetworkId,
        purpose: Purpose,
        to: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let listed = self.allowed.iter().find(|allowed| {
            allowed.network == *network && allowed.purpose == purpose && allowed.address == to
        });
        match listed {
            Some(allowed) if allowed.active_at <= now => Ok(()),
            Some(allowed) => {
                let from = allowed.active_at.to_rfc3339();
                Err(Refusal::not_allowed(format!("the address is new: allowed from {from}")))
            }
            None => Err(Refusal::not_allowed("the address is not in the allow-list")),
        }
    }
}
