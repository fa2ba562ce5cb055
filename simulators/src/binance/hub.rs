//! What every open socket hears, and the top of the book that the market streams last showed.
//!
//! Invariant: a note reaches every socket that is open when it is sent, in order; one that cannot
//! keep up is closed, as at the vendor. The update id of a symbol grows with every change.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// Events a slow socket may fall behind.
const BEHIND: usize = 8_192;

/// Something for the open sockets.
#[derive(Debug, Clone)]
pub(crate) enum Note {
    /// An event of the account, for who subscribed to it.
    User(Value),
    /// By the hand of a test.
    Act(Act),
}

/// What can be done to all open sockets over control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    /// `serverShutdown`, and the end after the delay.
    Shutdown,
    /// The end of the 24 hours: a close frame.
    Close,
    /// The connection breaks without a word.
    Break,
    /// `eventStreamTerminated` on every user-data subscription; the socket stays.
    Terminate,
    /// Nothing more is sent for the delay, pings included: a dead connection that looks alive.
    Silence,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Act {
    pub(crate) deed: Deed,
    pub(crate) delay: Option<Duration>,
}

pub(crate) fn sender() -> broadcast::Sender<Note> {
    broadcast::channel(BEHIND).0
}

/// Bid, bid size, ask, ask size.
pub(crate) type Top = [String; 4];

#[derive(Debug, Default)]
pub(crate) struct Hub {
    tops: Mutex<BTreeMap<String, (Top, u64)>>,
    open: AtomicU64,
}

impl Hub {
    /// The update id of this top of the book: the last one's, or a new one when it changed.
    pub(crate) fn update_id(&self, symbol: &str, top: &Top, now_ms: u64) -> u64 {
        let mut tops = self.tops.lock().unwrap_or_else(PoisonError::into_inner);
        match tops.get_mut(symbol) {
            Some((shown, id)) if shown == top => *id,
            Some((shown, id)) => {
                shown.clone_from(top);
                *id = now_ms.max(id.saturating_add(1));
                *id
            }
            None => {
                tops.insert(symbol.to_owned(), (top.clone(), now_ms));
                now_ms
            }
        }
    }

    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }
}
