//! Value on its way to us, and where the transaction that carries it is.

use primitives::Amount;

use crate::BlockRef;

/// What arrived: an asset from the allow-list, or something that only looks like money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    Known(Amount),
    /// A token we do not list. `minor` is what its log claims; nothing may be booked from it.
    UnknownToken {
        contract: String,
        minor: String,
    },
}

/// Value that reached a watched address in one block, or is on its way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub tx_id: String,
    /// Position within the transaction, independent of the block. Bitcoin: the output's index. EVM:
    /// 0 is the transaction's own value, 1 + n the n-th log of its receipt, 1 000 000 + n the n-th
    /// internal call with value. Solana: the index of the receiving account among the keys.
    pub ordinal: u32,
    /// The watched address (on Solana the reference), or the receiving wallet itself where nothing
    /// says which payment it is for.
    pub to: String,
    pub from: Option<String>,
    pub arrived: Arrived,
    /// What no second transaction can spend: outpoints `txid:index` on Bitcoin, `sender:nonce` on
    /// EVM. Empty where the network has no such thing, or in a block, where it does not matter.
    pub spends: Vec<String>,
}

/// Value that a transaction in a block brought to an address that need not be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// In the network's canonical text form.
    pub tx_id: String,
    pub block: BlockRef,
    /// As in [`Sighting`].
    pub ordinal: u32,
    pub amount: Amount,
}

/// Where a transaction is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxPlace {
    Included {
        height: u64,
        block_hash: String,
        succeeded: bool,
    },
    Pending,
    /// Another transaction spends what this one spent. `mined` is the height of the block that
    /// holds the other one, when it is in one; until that is final, this one may still win.
    Replaced {
        by: Option<String>,
        mined: Option<u64>,
    },
    /// The node knows nothing of it. Not proof that it will never come.
    Absent,
}
