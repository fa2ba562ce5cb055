//! The names and arguments of every job. What a job does stands in `workers`, one file each.
//!
//! Invariant: arguments are ids only; a job is a hint that something may be due, and the truth is
//! the row it names. Wiping the queue changes no outcome: `sweep_stuck` derives due work anew.

use std::time::Duration;

use primitives::{
    Asset, ConversionId, DeliveryId, DepositId, InboxId, MoveId, NetworkId, PaymentId, PayoutId,
    TransferId,
};
use queue::JobArgs;
use serde::{Deserialize, Serialize};

macro_rules! jobs {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* } = $kind:literal,
       attempts $attempts:literal, seconds $seconds:literal, workers $workers:literal;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $(pub $field: $ty),* }

            impl JobArgs for $name {
                const KIND: &'static str = $kind;
                const MAX_ATTEMPTS: i32 = $attempts;
                const TIMEOUT: Duration = Duration::from_secs($seconds);
                const WORKERS: usize = $workers;

                fn key(&self) -> String {
                    let parts: Vec<String> = vec![$kind.to_owned() $(, self.$field.to_string())*];
                    parts.join(":")
                }
            }
        )+

        /// The kind of every job, for the tables of tests and docs.
        pub const KINDS: &[&str] = &[$($kind),+];
    };
}

jobs! {
    /// Read new blocks of a network and record what they brought. A run waits at the tip for news,
    /// so every network needs a worker of its own.
    ScanChain { network: NetworkId } = "scan_chain",
        attempts 1000000, seconds 60, workers 8;
    /// Confirm a seen deposit once it is deep enough.
    ConfirmDeposit { deposit: DepositId } = "confirm_deposit",
        attempts 1000, seconds 30, workers 2;
    /// Derive deposit addresses ahead of need.
    RefillAddresses { network: NetworkId } = "refill_addresses",
        attempts 1000, seconds 60, workers 1;
    /// Ask every source for prices and judge them.
    SyncRates {} = "sync_rates",
        attempts 3, seconds 25, workers 1;
    /// Listen to price streams, and judge anew what they move.
    WatchRates {} = "watch_rates",
        attempts 3, seconds 60, workers 1;
    /// Listen to the venues' news about our orders and balances.
    WatchOrders {} = "watch_orders",
        attempts 3, seconds 60, workers 1;
    /// Keep the history of rates: days ahead of time, thinned with age.
    ThinRates {} = "thin_rates",
        attempts 3, seconds 120, workers 1;
    /// Sell accepted crypto of one asset as one batch.
    Convert { asset: Asset } = "convert",
        attempts 1000, seconds 60, workers 1;
    /// Follow an order until its outcome is certain.
    ResolveConversion { conversion: ConversionId } = "resolve_conversion",
        attempts 1000, seconds 60, workers 2;
    /// Send a merchant's rupees.
    PayOut { payout: PayoutId } = "pay_out",
        attempts 1000, seconds 60, workers 2;
    /// Follow a payout until its outcome is certain.
    ResolvePayout { payout: PayoutId } = "resolve_payout",
        attempts 1000, seconds 60, workers 2;
    /// Read a stored webhook.
    ProcessInbox { letter: InboxId } = "process_inbox",
        attempts 50, seconds 30, workers 1;
    /// End a payment whose time is up.
    ExpirePayment { payment: PaymentId } = "expire_payment",
        attempts 1000, seconds 30, workers 1;
    /// Tell a merchant's endpoint about an event.
    NotifyMerchant { delivery: DeliveryId } = "notify_merchant",
        attempts 1000, seconds 40, workers 2;
    /// Plan moves of final deposits to the venues that need them.
    Sweep { network: NetworkId, asset: Asset } = "sweep",
        attempts 1000, seconds 60, workers 1;
    /// Have a move signed, send it, and follow it until a final block holds it.
    ResolveMove { moved: MoveId } = "resolve_move",
        attempts 1000, seconds 60, workers 2;
    /// See at a venue what was on its way to it.
    WatchCredits { venue: String, asset: Asset } = "watch_credits",
        attempts 1000, seconds 60, workers 1;
    /// Ask one venue to send coins to another, and follow them until they left.
    ResolveTransfer { transfer: TransferId } = "resolve_transfer",
        attempts 1000, seconds 60, workers 1;
    /// Even out what venues hold, and show what is low or late.
    TendTreasury {} = "tend_treasury",
        attempts 3, seconds 60, workers 1;
    /// Find entities whose state says work but which no job holds.
    SweepStuck {} = "sweep_stuck",
        attempts 3, seconds 60, workers 1;
    /// Compare the books with what the outside says we hold.
    Reconcile {} = "reconcile",
        attempts 3, seconds 60, workers 1;
}
