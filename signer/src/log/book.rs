//! What the log means: which ids were answered, what left lately, which list was seen.
//!
//! Invariants: made from lines only, by the same code at start and while running; a restart changes
//! nothing. What was signed is remembered for ever, what was refused for a month: how many of both
//! there can be in a day is [`crate::flow`]'s part.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use primitives::NetworkId;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::record::{Record, Signed, What};
use crate::{
    allow::Seen,
    examine::Claim,
    flow::{Flow, Kind},
    limits::{Movement, Recent},
};

/// Where a line is in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A refusal is final for so long. Whoever asks again later asks anew.
const REMEMBERED: TimeDelta = TimeDelta::days(30);

/// What is known of an intent before it is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    /// It was answered, there.
    Answered(Place),
    /// Another one was signed under its id, which is the id's answer for ever.
    Reused,
    New,
}

/// An id, and the hash of an intent that was asked for under it.
type Named = (Uuid, [u8; 32]);

#[derive(Debug, Default)]
pub(crate) struct Book {
    signed: HashMap<Uuid, ([u8; 32], Place)>,
    /// Each by itself: one that is refused under an id takes nothing back of another one's refusal.
    refused: HashMap<Named, (DateTime<Utc>, Place)>,
    /// In their order, so that the oldest are forgotten.
    refusals: VecDeque<(DateTime<Utc>, Named)>,
    /// By transaction: what its inputs were said to be worth. A hash, because there are many.
    values: HashMap<[u8; 32], [u8; 32]>,
    pub(crate) recent: Recent,
    pub(crate) flow: Flow,
    pub(crate) list: Option<Seen>,
    pub(crate) last: Option<DateTime<Utc>>,
}

impl Book {
    /// One more line.
    pub(crate) fn take(&mut self, record: Record, place: Place) -> Result<(), &'static str> {
        let at = record.at;
        self.last = Some(at);
        match record.what {
            What::Started { .. } | What::NotWritten { .. } => {}
            What::List(seen) => self.list = Some(seen),
            What::Signed(signed) => {
                let intent = bytes(&signed.asked.intent)?;
                self.signed.insert(signed.asked.id, (intent, place));
                self.flow.add(at, Kind::Signed, place.length);
                self.count(at, signed)?;
            }
            What::Refused(refused) => {
                let intent = bytes(&refused.asked.intent)?;
                self.flow.add(at, Kind::Refused, place.length);
                self.refuse(at, (refused.asked.id, intent), place);
            }
        }
        Ok(())
    }

    /// Under an id that was signed nothing else is, whatever was refused: that needs no memory.
    fn refuse(&mut self, at: DateTime<Utc>, named: Named, place: Place) {
        let old = at.checked_sub_signed(REMEMBERED);
        while self.refusals.front().is_some_and(|first| Some(first.0) <= old) {
            let Some((_, first)) = self.refusals.pop_front() else { break };
            if self.refused.get(&first).is_some_and(|known| Some(known.0) <= old) {
                self.refused.remove(&first);
            }
        }
        if !self.signed.contains_key(&named.0) {
            self.refused.insert(named, (at, place));
            self.refusals.push_back((at, named));
        }
    }

    fn count(&mut self, at: DateTime<Utc>, signed: Signed) -> Result<(), &'static str> {
        let number = |text: &str| text.parse().map_err(|_| "holds a number that is none");
        if let Some(values) = &signed.values {
            let key = key_of(&signed.asked.network, &signed.tx.tx_id);
            self.values.insert(key, bytes(values)?);
        }
        self.recent.add(Movement {
            at,
            network: signed.asked.network,
            purpose: signed.asked.purpose,
            asset: signed.asked.asset,
            minor: number(&signed.asked.minor)?,
            fee: number(&signed.fee)?,
            spends: bytes(&signed.spends)?,
        });
        Ok(())
    }

    pub(crate) fn known(&self, id: Uuid, intent: [u8; 32]) -> Known {
        match (self.signed.get(&id), self.refused.get(&(id, intent))) {
            (Some((of, place)), _) if *of == intent => Known::Answered(*place),
            (Some(_), _) => Known::Reused,
            (None, Some((_, place))) => Known::Answered(*place),
            (None, None) => Known::New,
        }
    }

    /// Whether the same was said of this transaction's inputs before, or nothing yet.
    pub(crate) fn agrees(&self, network: &NetworkId, claim: &Claim) -> bool {
        let said = self.values.get(&key_of(network, &claim.tx_id));
        said.is_none_or(|values| *values == claim.values)
    }
}

fn key_of(network: &NetworkId, tx_id: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(network.as_str())
        .chain_update([0])
        .chain_update(tx_id)
        .finalize()
        .into()
}

fn bytes(text: &str) -> Result<[u8; 32], &'static str> {
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).map_err(|_| "holds a hash that is none")?;
    Ok(out)
}
