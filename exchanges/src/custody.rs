//! Coins on their way into a venue and out of it, over a chain.
//!
//! Invariants as for orders: a withdrawal carries our own reference and has a twin that finds it; a
//! status we do not know is *pending*. Rupees have no such door here: no venue's API moves them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, CallResult, NetworkId};
use rust_decimal::Decimal;

use crate::ClientRef;

/// Where a venue takes coins of one asset on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueAddress {
    pub asset: Asset,
    pub network: NetworkId,
    pub address: String,
    /// Memo or destination tag, where the network has one.
    pub tag: Option<String>,
}

/// How far a deposit or a withdrawal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Also every status we do not know.
    Pending,
    /// A deposit that can be traded; a withdrawal that left.
    Done,
    /// A deposit the venue does not credit, a withdrawal that never left.
    Failed,
}

/// A deposit as the venue tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueDeposit {
    pub venue_id: String,
    pub asset: Asset,
    pub network: NetworkId,
    pub amount: Amount,
    pub tx_id: String,
    pub passage: Passage,
    pub at: DateTime<Utc>,
}

/// A withdrawal we ask for. To addresses the venue's own list allows, where it keeps one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWithdrawal {
    pub client_ref: ClientRef,
    pub network: NetworkId,
    /// What leaves our balance, the venue's fee included.
    pub amount: Amount,
    pub to: String,
    pub stamp: DateTime<Utc>,
}

/// A withdrawal as the venue tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    pub venue_id: String,
    pub client_ref: ClientRef,
    /// What arrives at the other end.
    pub net: Amount,
    pub fee: Amount,
    pub tx_id: Option<String>,
    pub passage: Passage,
}

/// What a withdrawal over one network costs and needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawalTerms {
    pub fee: Decimal,
    pub amount_min: Decimal,
    pub is_open: bool,
}

/// What the key in our settings may do at the venue, as the venue tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRights {
    pub may_withdraw: bool,
    /// Only from the machines that stand in the venue's own list.
    pub is_bound_to_ips: bool,
}

/// A venue that takes and gives coins over chains. Networks are named as in our settings; the
/// adapter knows the venue's names for them.
#[async_trait]
pub trait Custody: Send + Sync {
    fn venue(&self) -> &'static str;

    /// `None` where the venue's API does not tell.
    async fn key_rights(&self) -> CallResult<Option<KeyRights>> {
        Ok(None)
    }

    async fn deposit_address(&self, asset: Asset, network: &NetworkId) -> CallResult<VenueAddress>;

    /// Deposits of an asset since a time; `None` where the venue's API does not tell them: there a
    /// credit is seen in the balance alone.
    async fn deposits(
        &self,
        asset: Asset,
        since: DateTime<Utc>,
    ) -> CallResult<Option<Vec<VenueDeposit>>>;

    async fn withdrawal_terms(
        &self,
        asset: Asset,
        network: &NetworkId,
    ) -> CallResult<WithdrawalTerms>;

    /// Asks once. Never retried here.
    async fn withdraw(&self, new: &NewWithdrawal) -> CallResult<Withdrawal>;

    /// The withdrawal with our reference. `None` is not proof of absence.
    async fn find_withdrawal(
        &self,
        asset: Asset,
        client_ref: &ClientRef,
    ) -> CallResult<Option<Withdrawal>>;
}
