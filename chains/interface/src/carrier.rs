//! Moving our own coins on a network: what can be moved, what it costs, and sending what a signer
//! has signed.
//!
//! Invariants: no key is ever here. A draft is frozen before it is signed and names everything the
//! transaction will do; the same signed bytes sent twice are one transaction. Deciding what is to
//! be moved, and booking it, is deliberately elsewhere: in `settlement`.

use async_trait::async_trait;
use primitives::{Amount, Asset, NetworkId};
use serde::{Deserialize, Serialize};

use crate::ReadError;
pub use crate::witnessed::{NotYet, Ours, Overtaken, Standing, Testimony, Tips, Told, Witnessed};

/// Which of our keys a place belongs to. The key itself is the signer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRef {
    /// The deposit address at this index: branch 0 of the network's account. On Solana always 0:
    /// the one wallet.
    Deposit(u32),
    /// The gas station of an EVM network: branch 1, index 0 of the same account. On Bitcoin the
    /// address there is the one change comes back to.
    Gas,
}

/// A place of ours on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub address: String,
    pub key: KeyRef,
}

/// Something of ours that can be moved: one output on Bitcoin, one address's balance elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Movable {
    pub source: Source,
    pub amount: Amount,
    /// `txid:index` on Bitcoin, nothing elsewhere.
    pub outpoint: Option<String>,
}

/// What is to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Any number of outputs of one network on Bitcoin, exactly one place elsewhere.
    pub from: Vec<Movable>,
    pub to: String,
    /// What is to reach `to`. `None`: everything, less the fee where the coin itself pays it.
    pub amount: Option<Amount>,
}

/// A transaction in full, not signed. What a signer reads, checks and signs; no field is a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Unsigned {
    /// BIP174 in base64. Every input carries its `witness_utxo` and the derivation path of its key
    /// relative to the account: `branch/index`; every input signals replaceability.
    Bitcoin { psbt: String },
    /// An EIP-1559 transfer of the coin itself, or one ERC-20 `transfer`. Nothing else exists.
    Evm(EvmTransfer),
    /// One system transfer, or one `transfer_checked`, with an `idempotent create` before it where
    /// the receiver may have no token account.
    Solana(SolanaTransfer),
}

/// Numbers that do not fit JSON's are decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvmTransfer {
    pub chain_id: u64,
    pub from: Source,
    pub nonce: u64,
    pub to: String,
    /// The token's contract; `None` moves the coin itself.
    pub token: Option<String>,
    /// Base units of what is moved.
    pub minor: String,
    pub gas_limit: u64,
    /// Wei per gas.
    pub fee_per_gas_max: String,
    pub priority_fee_per_gas: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolanaTransfer {
    /// The fleet's wallet: pays, signs, and owns what is moved.
    pub from: Source,
    /// The receiving wallet, not its token account.
    pub to: String,
    pub token: Option<SolanaToken>,
    pub minor: u64,
    pub blockhash: String,
    /// Where the blockhash was read. Not in the message: by it a blockhash that is over is told
    /// from one that a node has not seen yet.
    pub blockhash_slot: u64,
    /// Micro-lamports per compute unit, and the units asked for.
    pub unit_price: u64,
    pub unit_limit: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolanaToken {
    pub mint: String,
    /// The token program that owns the mint.
    pub program: String,
    pub decimals: u8,
    /// True: the receiver's token account is made first, at our cost, where it does not exist.
    pub create_account: bool,
}

/// A transaction that is decided, in every byte but the signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub from: Vec<Movable>,
    pub to: String,
    /// What reaches `to`.
    pub amount: Amount,
    /// The most the network may take, in its own coin. Exact on Bitcoin.
    pub fee_max: Amount,
    pub unsigned: Unsigned,
}

/// A transaction that may be sent, by anybody who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTx {
    /// In the network's canonical text form: a signature on Solana.
    pub tx_id: String,
    /// The wire form in hexadecimal.
    pub raw: String,
}

/// Why there is no draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A token cannot be moved before its address holds this much more of the network's coin.
    #[error("its address needs {0} more for the fee")]
    NeedsGas(Amount),
    /// The fee would take all of it, or the output would be dust.
    #[error("it is not worth moving: {0}")]
    NotWorth(String),
    /// What was asked for cannot be on this network.
    #[error("cannot be: {0}")]
    Refused(String),
}

/// What became of sending. Sending again is harmless: it is the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The network will never take it as it is: spent inputs, a used nonce, an old blockhash, a
    /// fee below what stands in its place.
    #[error("refused: {0}")]
    Refused(String),
    /// No node answered: it may have been taken.
    #[error("unknown: {0}")]
    Unknown(String),
}

/// The treasury's side of one network. Where a transaction is afterwards is told by
/// [`crate::Chain::locate`], what it brought by [`crate::Chain::outgoing`].
#[async_trait]
pub trait Carrier: Send + Sync {
    fn network(&self) -> &NetworkId;

    /// The coin that pays fees here.
    fn native(&self) -> Asset;

    /// Where fees of token moves are paid from, where addresses do not pay for themselves.
    fn gas_station(&self) -> Option<Source>;

    /// What these places hold of an asset, in blocks, at the tip. Bounded; immature outputs of
    /// miners are left out.
    async fn movable(&self, sources: &[Source], asset: Asset) -> Result<Vec<Movable>, ReadError>;

    /// As `movable`, for whoever knows what came in: each place with the `txid:index` of every
    /// output that paid it. Where value is in outputs only these are asked for, and no node has to
    /// walk through all there are (minutes on Bitcoin); elsewhere they are not read.
    async fn unspent(
        &self,
        places: &[(Source, Vec<String>)],
        asset: Asset,
    ) -> Result<Vec<Movable>, ReadError> {
        let sources: Vec<Source> = places.iter().map(|(source, _)| source.clone()).collect();
        self.movable(&sources, asset).await
    }

    /// Where change of our own moves comes back to, on networks that make change. It is found by
    /// [`Carrier::unspent`] like any other place.
    fn change(&self) -> Option<Source> {
        None
    }

    /// Those that bring more than moving them costs today, as many as one transaction may take, the
    /// largest first: one that does not would make a whole [`Wish`] not worth drafting. Where each
    /// place is moved by itself: all of them.
    async fn worth_moving(&self, of: &[Movable]) -> Result<Vec<Movable>, ReadError> {
        Ok(of.to_vec())
    }

    /// Decides a transaction at today's fee. Reads only.
    async fn draft(&self, wish: &Wish) -> Result<Draft, DraftError>;

    /// The same move at a higher fee, so that at most one of the two can ever be in a chain: the
    /// same inputs on Bitcoin, the same nonce on EVM. On Solana only where the old blockhash can be
    /// proven to be over: `Refused` before.
    async fn bump(&self, draft: &Draft) -> Result<Draft, DraftError>;

    async fn send(&self, signed: &SignedTx) -> Result<(), SendError>;

    /// What was signed, written as a draft: whatever its bytes tell stands in place of what `like`
    /// says, which was drafted for the same move. Asks nobody.
    ///
    /// # Errors
    /// A sentence when the bytes are not this transaction, or it is not from the same places to the
    /// same destination.
    fn read_signed(&self, like: &Draft, signed: &SignedTx) -> Result<Draft, String>;

    /// What the network took for a transaction that is in a block, also for one that failed there.
    /// `None` while it is in none.
    async fn cost(&self, tx_id: &str) -> Result<Option<Amount>, ReadError>;

    /// Where every configured node by itself has a transaction of ours, and how far its chain is:
    /// none stands in for another. `spends` as in [`crate::Chain::locate`]. [`Witnessed`] says what
    /// follows from it; whoever asks no node gets nothing concluded.
    async fn testimonies(&self, tx_id: &str, spends: &[String]) -> Vec<Testimony>;
}
