//! Read models: one file per screen or document. They read; they never move anything.

mod events;
mod explain;
mod slippage;

pub use events::{PaymentEvent, events_after};
pub use explain::{
    ExplainedDeposit, ExplainedPayout, ExplainedQuote, ExplainedSale, Explanation, LedgerLine,
    Step, Sums, explain,
};
pub use slippage::Slippage;
