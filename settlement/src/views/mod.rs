//! Read models: one file per screen or document. They read; they never move anything.

mod events;
mod explain;
mod profit;
mod sale;
mod share;
mod slippage;

pub use events::{PaymentEvent, events_after};
pub use explain::{
    ExplainedDeposit, ExplainedPayout, ExplainedQuote, Explanation, LedgerLine, Step, Sums, explain,
};
pub use profit::{AccountChange, Kept, Profit, ProfitLine, profit_of_day};
pub use sale::{ExplainedLeg, ExplainedSale};
pub use slippage::Slippage;
