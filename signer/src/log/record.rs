//! One line of the log, and how it is tied to the one before.
//!
//! Invariant: the hash is over the very text of the line, so no rewriting, however equal in
//! meaning, goes unseen.

use chains::carrier::SignedTx;
use chrono::{DateTime, Utc};
use primitives::{Asset, NetworkId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use signing::Purpose;
use uuid::Uuid;

use crate::{allow::Seen, refusal::Code};

/// The line before the first one.
pub(crate) const NO_HASH: [u8; 32] = [0; 32];
/// `,"hash":"` and 64 digits and `"}`.
const TAIL: usize = 9 + 64 + 2;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) what: What,
    /// Of the line before, in hexadecimal.
    pub(crate) prev: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// The process began, with these settings.
    Started {
        settings: String,
    },
    /// The allow-list was seen in a new version.
    List(Seen),
    Signed(Signed),
    Refused(Refused),
    /// So many more were refused an answer since then, because too many were written down.
    NotWritten {
        count: u64,
        since: DateTime<Utc>,
    },
}

/// Of the intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) id: Uuid,
    /// Of the whole intent.
    pub(crate) intent: String,
    pub(crate) purpose: Purpose,
    pub(crate) network: NetworkId,
    pub(crate) asset: Asset,
    pub(crate) minor: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signed {
    pub(crate) asked: Asked,
    pub(crate) to: String,
    /// The most it may cost, in the network's coin.
    pub(crate) fee: String,
    pub(crate) spends: String,
    /// What the inputs were said to be worth, where that cannot be known.
    pub(crate) values: Option<String>,
    pub(crate) tx: SignedTx,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub(crate) asked: Asked,
    pub(crate) code: Code,
    pub(crate) reason: String,
}

impl Record {
    /// The line without its end, and its hash.
    pub(crate) fn line(&self) -> Result<(String, [u8; 32]), serde_json::Error> {
        let body = serde_json::to_string(self)?;
        let hash = hash_of(body.as_bytes());
        let open = body.strip_suffix('}').unwrap_or(&body);
        Ok((format!("{open},\"hash\":\"{}\"}}", hex::encode(hash)), hash))
    }

    /// Reads a line back. `None` when a byte of it is not as it was written.
    pub(crate) fn read(line: &str) -> Option<(Self, [u8; 32])> {
        let (body, tail) = line.split_at_checked(line.len().checked_sub(TAIL)?)?;
        let said = tail.strip_prefix(",\"hash\":\"")?.strip_suffix("\"}")?;
        let body = format!("{body}}}");
        let hash = hash_of(body.as_bytes());
        if hex::encode(hash) != said {
            return None;
        }
        Some((serde_json::from_str(&body).ok()?, hash))
    }
}

fn hash_of(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}
