//! One file per job.

pub(crate) mod accept_early;
pub(crate) mod confirm_deposit;
pub(crate) mod convert;
pub(crate) mod expire_payment;
pub(crate) mod notify_merchant;
pub(crate) mod pay_out;
pub(crate) mod process_inbox;
pub(crate) mod reconcile;
pub(crate) mod refill_addresses;
pub(crate) mod resolve_conversion;
pub(crate) mod resolve_move;
pub(crate) mod resolve_payout;
pub(crate) mod resolve_transfer;
pub(crate) mod scan_chain;
pub(crate) mod sweep;
pub(crate) mod sweep_stuck;
pub(crate) mod sync_rates;
pub(crate) mod tend_treasury;
pub(crate) mod thin_rates;
pub(crate) mod watch_credits;
pub(crate) mod watch_orders;
pub(crate) mod watch_rates;
