//! The list of addresses coins may go to: a file people edit, and the log's memory of it.
//!
//! Invariants: an address that left the file is refused from the next question on; one that came is
//! put off until its time, which is written into the log at first sight and survives restarts.
//! While a list cannot be read, or is older than one already seen, nothing of it is allowed and
//! nothing is refused for good: somebody may be saving it.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Asset, NetworkId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use signing::Purpose;

use crate::{disk, examine::Networks, refusal::Refusal};

const MAX_BYTES: u64 = 1024 * 1024;
/// A new list counts once it has stayed the same so long: half of one may read like a whole one.
const SETTLES: Duration = Duration::from_millis(50);

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
    /// What it credits. Another asset sent there may be lost.
    assets: Vec<Asset>,
    /// For people.
    #[expect(dead_code, reason = "only so that it may be written")]
    note: Option<String>,
}

/// An address of the list for one asset, and since when it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowed {
    pub(crate) network: NetworkId,
    pub(crate) purpose: Purpose,
    pub(crate) address: String,
    /// `None` in logs from before lists had assets: it allows nothing, and its time counts.
    #[serde(default)]
    pub(crate) asset: Option<Asset>,
    pub(crate) active_at: DateTime<Utc>,
}

/// Why the list does not let coins go somewhere now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unlisted {
    No(Refusal),
    /// It waits until then.
    NotBefore(DateTime<Utc>),
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
        let bytes = self.bytes()?;
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
            for entry in entries(networks, row, active_at)? {
                add(&mut allowed, entry, last);
            }
        }
        // Waits on this thread, as for the disk; only where all of it reads well and is new.
        thread::sleep(SETTLES);
        if self.bytes()? != bytes {
            return Err("the allow-list is being changed".to_owned());
        }
        Ok(Some(Seen { version: file.version, digest, allowed }))
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        disk::read_guarded(&self.path, MAX_BYTES).map_err(|error| error.to_string())
    }
}

/// A row: one entry for each of its assets.
fn entries(
    networks: &Networks,
    row: Row,
    active_at: DateTime<Utc>,
) -> Result<Vec<Allowed>, String> {
    let Row { network: name, purpose, address, assets, note: _ } = row;
    let network = networks
        .get(&name)
        .ok_or_else(|| format!("the allow-list names {name}: no such network"))?;
    let address = network
        .canonical(&address)
        .filter(|_| purpose != Purpose::Gas)
        .ok_or_else(|| format!("the allow-list has no address for {name}"))?;
    if assets.is_empty() {
        return Err(format!("the allow-list has an address of {name} without assets"));
    }
    let entry = |asset| Allowed {
        network: name.clone(),
        purpose,
        address: address.clone(),
        asset: Some(asset),
        active_at,
    };
    Ok(assets.into_iter().map(entry).collect())
}

/// What was there before keeps its time.
fn add(allowed: &mut Vec<Allowed>, mut entry: Allowed, last: Option<&Seen>) {
    let known = last.and_then(|seen| {
        seen.allowed.iter().find(|old| {
            old.is_place(&entry.network, entry.purpose, &entry.address)
                && (old.asset.is_none() || old.asset == entry.asset)
        })
    });
    if let Some(known) = known {
        entry.active_at = known.active_at;
    }
    if !allowed.contains(&entry) {
        allowed.push(entry);
    }
}

impl Allowed {
    fn is_place(&self, network: &NetworkId, purpose: Purpose, address: &str) -> bool {
        (&self.network, self.purpose, self.address.as_str()) == (network, purpose, address)
    }
}

impl Seen {
    pub(crate) fn check(
        &self,
        (network, purpose): (&NetworkId, Purpose),
        to: &str,
        asset: Asset,
        now: DateTime<Utc>,
    ) -> Result<(), Unlisted> {
        let no = |why: String| Err(Unlisted::No(Refusal::not_allowed(why)));
        let mut there = self.allowed.iter().filter(|a| a.is_place(network, purpose, to)).peekable();
        if there.peek().is_none() {
            return no("the address is not in the allow-list".to_owned());
        }
        match there.find(|allowed| allowed.asset == Some(asset)) {
            Some(allowed) if allowed.active_at <= now => Ok(()),
            Some(allowed) => Err(Unlisted::NotBefore(allowed.active_at)),
            None => no(format!("the allow-list does not let {asset} go to that address")),
        }
    }
}
