//! Read models: one file per screen or document. They read; they never move anything.

mod events;
mod explain;

pub use events::{PaymentEvent, events_after};
pub use explain::{
    Explanation, ExplainedDeposit, ExplainedPayout, ExplainedQuote, ExplainedSale, LedgerLine,
    Step, Sums, explain,
};
