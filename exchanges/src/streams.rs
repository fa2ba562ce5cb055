//! What venues push over a WebSocket: prices, and hints that an order or a balance moved.
//!
//! Invariants: a push is never a fact of the books: whoever hears of an order asks for it, and
//! polling goes on whether the stream lives or not. A call waits no longer than it is told, and a
//! lost connection is opened again by a later call, with growing pauses.

use std::time::Duration;

use async_trait::async_trait;
use primitives::Asset;

use crate::Quotation;

/// Something moved at the venue; what it is must be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An order with this reference, ours or somebody's, came or changed.
    Order { client_ref: String },
    /// A balance changed: an execution, a deposit, a withdrawal.
    Balance { asset: Asset },
    /// The stream begins, or begins again: what happened before was not told.
    Gap,
}

/// A venue's own news about our account.
#[async_trait]
pub trait OrderNews: Send + Sync {
    /// Short lower-case name of the venue.
    fn venue(&self) -> &'static str;

    /// Waits for news, at most so long. Empty when there was none, or no connection.
    async fn wait(&self, at_most: Duration) -> Vec<News>;
}

/// Prices as they change.
#[async_trait]
pub trait PriceStream: Send + Sync {
    /// The same name as the source's `RateSource`.
    fn name(&self) -> &'static str;

    /// Waits for prices, at most so long: the newest of each market since the last call. Empty when
    /// nothing changed, or there is no connection: an old price is never told again.
    async fn next(&self, at_most: Duration) -> Vec<Quotation>;
}
