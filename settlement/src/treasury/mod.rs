//! The treasury: our own coins on their way from deposit addresses to venues, and between venues.
//!
//! Invariants: a source carries one live move, and a move's attempts are frozen transactions of
//! which at most one can ever be in a chain. What is owed back never leaves. Nothing is booked
//! because it was decided or sent: only because a final block shows it, or the venue does. Keys,
//! nodes and venues are deliberately elsewhere: the workers bring what they say.

mod address;
mod adopt;
mod again;
mod asking;
mod candidates;
mod cold;
mod credit;
mod forecast;
mod gas;
mod lane;
mod nonce;
mod owed;
mod people;
mod plan;
mod record;
mod settings;
mod store;
mod transfer;
mod transfer_hand;
mod transfer_record;
mod unwind;
mod view;
mod worth;
mod write_off;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, MoveId, NetworkId};
use serde_json::Value;
use uuid::Uuid;

pub use address::{Offer, VenueAddress, confirm_in, known_in, offered_in};
pub use adopt::{Adopted, adopt_in, reused_in};
pub use again::{NewAttempt, bump_in, redraft_in};
pub use asking::{asked_in, not_before_in, refused_by_signer_in, signed_in};
pub use candidates::{Candidates, Place, candidates_in, coverable_in, forget_emptied_in};
pub use cold::{ColdStore, cold_stores_in, excess_in};
pub use credit::{
    Balance, ByBalance, Credit, CreditState, Item, arrived_in, by_balance_in, credited_by_hand_in,
    credits_in, waiting_in,
};
pub use forecast::{Demand, Forecast, demand_in, forecasts_in, spread};
pub use gas::{Goal, Served};
pub use lane::destination_in;
pub use nonce::{Behind, Turn, behind_in, next_nonce_in, release_in, turn_in};
pub use people::{PersonError, abandon_in, cancel_in, retry_in, undecided_in};
pub use plan::{NewMove, NewSource, Planned, gas_out_in, is_gas_coming_in, plan_in};
pub use record::{
    Final, InBlock, accepted_in, block_gone_in, failed_in, final_in, included_in, is_final_in,
    mark_sent_in, may_go_on_in, overtaken_in, refused_by_network_in, resume_in, stuck_in,
};
pub use settings::{Amounts, Cold, Lane, NetworkTreasury, TreasurySettings, VenueTreasury};
pub use store::{BlockSeen, attempts_in, block_seen_in, get_in};
pub use transfer::{
    NewTransfer, Transfer, TransferEvent, TransferState, get_transfer_in, mark_transfer_in,
    plan_transfers_in, wishes_in,
};
pub use transfer_hand::{Evidence, transfer_left_in, transfer_never_left_in};
pub use transfer_record::{Left, left_in, not_asked_in, refused_in, unknown_in};
pub use unwind::unwind_in;
pub use view::{OpenMove, Overview, alarms_in, overview_in};
pub use write_off::{WrittenOff, write_off_in};

use crate::transition::machine;

machine! {
    MoveState, MoveEvent, "move";
    states {
        Planned = "planned",
        Signed = "signed",
        Sent = "sent",
        Included = "included",
        Final = "final",
        Credited = "credited",
        Replaced = "replaced",
        Failed = "failed",
        Unwound = "unwound",
        Cancelled = "cancelled",
        InReview = "in_review",
    }
    events {
        Signature = "signature",
        Sending = "sending",
        SeenInBlock = "seen_in_block",
        BlockGone = "block_gone",
        Deep = "deep",
        DeepFailure = "deep_failure",
        FinalBlockGone = "final_block_gone",
        CreditSeen = "credit_seen",
        BumpPlanned = "bump_planned",
        BumpDropped = "bump_dropped",
        Redrafted = "redrafted",
        Overtaken = "overtaken",
        NeedsPerson = "needs_person",
        TryAgain = "try_again",
        Cancel = "cancel",
        Abandoned = "abandoned",
        NothingArrived = "nothing_arrived",
    }
}

impl MoveState {
    const fn step(self, event: MoveEvent) -> Option<Self> {
        use MoveEvent as E;
        Some(match (self, event) {
            (Self::Planned, E::Signature) => Self::Signed,
            (Self::Signed | Self::Unwound, E::Sending)
            | (Self::Included, E::BlockGone)
            | (Self::Planned, E::BumpDropped) => Self::Sent,
            // An earlier attempt may be in a block while a later one is planned.
            (
                Self::Planned | Self::Signed | Self::Sent | Self::Unwound | Self::InReview,
                E::SeenInBlock,
            ) => Self::Included,
            (Self::Included, E::Deep) => Self::Final,
            (Self::Included, E::DeepFailure) => Self::Failed,
            (Self::Final, E::CreditSeen) => Self::Credited,
            (Self::Final | Self::Credited | Self::Failed, E::FinalBlockGone) => Self::Unwound,
            (Self::Sent, E::BumpPlanned) | (Self::InReview, E::TryAgain) => Self::Planned,
            (
                Self::Planned | Self::Signed | Self::Sent | Self::Unwound | Self::InReview,
                E::Overtaken,
            ) => Self::Replaced,
            (Self::Planned | Self::Included, E::NeedsPerson) => Self::InReview,
            // Only while nothing was handed out; what is planned after it shares its fence.
            (Self::Planned | Self::Signed | Self::InReview, E::Cancel)
            // Only with the chain's proof that nothing of it can happen any more.
            | (
                Self::Planned | Self::Signed | Self::Sent | Self::Unwound | Self::InReview,
                E::Abandoned,
            ) => Self::Cancelled,
            (Self::InReview, E::NothingArrived) => Self::Failed,
            // The signer's refusal was for good: another attempt stands in its place.
            (Self::Planned, E::Redrafted) => Self::Planned,
            _ => return None,
        })
    }

    /// True while it may still take its coins away, or bring them back.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Credited | Self::Replaced | Self::Failed | Self::Cancelled)
    }

    /// True while its attempts must be looked for on the chain.
    #[must_use]
    pub const fn is_on_chain(self) -> bool {
        self.is_open() && !matches!(self, Self::Final)
    }
}

/// What a move is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovePurpose {
    /// Deposits to a venue.
    FundVenue,
    /// From the gas station to one of our addresses.
    Gas,
    /// Deposits to cold storage.
    ToCold,
}

impl MovePurpose {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FundVenue => "fund_venue",
            Self::Gas => "gas",
            Self::ToCold => "to_cold",
        }
    }
}

/// One move as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub id: MoveId,
    pub purpose: MovePurpose,
    pub network: NetworkId,
    pub asset: Asset,
    pub venue: Option<String>,
    pub to: String,
    pub takes_all: bool,
    pub state: MoveState,
    /// How often it began anew after a final block was gone, from 1.
    pub round: i32,
    /// Of the newest attempt: what reaches `to`, and the most the network may take.
    pub amount: Amount,
    pub fee_max: Amount,
    pub hold_key: Option<String>,
    /// The attempt that is in a block, and the block.
    pub won: Option<i32>,
    pub block_hash: Option<String>,
    pub height: Option<i64>,
    /// What a final block shows.
    pub arrived: Option<Amount>,
    pub cost: Option<Amount>,
    pub credited: Option<Amount>,
    pub retry_at: Option<DateTime<Utc>>,
    pub planned_at: DateTime<Utc>,
    pub final_at: Option<DateTime<Utc>>,
    /// Of a top-up: which of our deposit addresses `to` is.
    pub to_index: Option<u32>,
}

/// One frozen transaction of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveAttempt {
    pub move_id: MoveId,
    pub attempt: i32,
    /// The signer knows it under this name.
    pub intent: Uuid,
    pub amount: Amount,
    pub fee_max: Amount,
    /// As the network's carrier wrote it.
    pub draft: Value,
    pub state: MoveAttemptState,
    pub tx_id: Option<String>,
    pub raw: Option<String>,
    pub asked_at: Option<DateTime<Utc>>,
    pub first_sent_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    /// Why the signer, or the network, will never take it as it is.
    pub refused: Option<String>,
    /// The attempt under whose id the signer had signed this one: it was adopted by a person.
    pub adopts: Option<i32>,
}

/// Where one attempt stands. `Sent` was handed to the nodes at least once, or is about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveAttemptState {
    Planned,
    Signed,
    Sent,
    /// In a final block.
    Won,
    /// Another attempt of the move won, or a foreign transaction did.
    Lost,
    /// We never had it signed, and never will.
    Dropped,
}

impl MoveAttemptState {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Planned, "planned"),
        (Self::Signed, "signed"),
        (Self::Sent, "sent"),
        (Self::Won, "won"),
        (Self::Lost, "lost"),
        (Self::Dropped, "dropped"),
    ];

    fn parse(name: &str) -> Result<Self, crate::Error> {
        let known = Self::NAMES.iter().find(|(_, n)| *n == name).map(|(s, _)| *s);
        known.ok_or_else(|| crate::Error::Inconsistent(format!("attempt state {name}")))
    }
}
