//! What nodes answer, as far as we read it, and how addresses and hashes are written.
//!
//! Invariant: only the fields we act on are here, so a new transaction type or a new header field
//! of some network cannot stop the reading. Addresses leave this crate in EIP-55 form, hashes in
//! lower case.

use alloy::primitives::{Address, B256, Bloom, Bytes, U64, U256};
use chains::{BlockRef, ReadError};
use chrono::DateTime;
use primitives::{Amount, Asset};
use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    pub(crate) number: U64,
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    pub(crate) timestamp: U64,
    pub(crate) logs_bloom: Bloom,
    pub(crate) transactions_root: B256,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Block {
    #[serde(flatten)]
    pub(crate) header: Header,
    pub(crate) transactions: Vec<Tx>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tx {
    pub(crate) hash: B256,
    pub(crate) from: Address,
    pub(crate) to: Option<Address>,
    pub(crate) value: U256,
}

/// A transaction asked for by its hash: all that is read is whether it is in a block.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TxMention {
    pub(crate) hash: B256,
    #[serde(default)]
    pub(crate) block_hash: Option<B256>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    pub(crate) transaction_hash: B256,
    pub(crate) block_hash: B256,
    pub(crate) block_number: U64,
    /// Absent before EIP-658, where success cannot be told: then nothing is counted.
    #[serde(default)]
    pub(crate) status: Option<U64>,
    pub(crate) logs: Vec<Log>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Log {
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
    #[serde(default)]
    pub(crate) block_hash: Option<B256>,
    #[serde(default)]
    pub(crate) transaction_hash: Option<B256>,
    /// Moves with the block: never an identity, but within one answer no two logs share it.
    #[serde(default)]
    pub(crate) log_index: Option<U64>,
    #[serde(default)]
    pub(crate) removed: bool,
}

impl Header {
    pub(crate) fn height(&self) -> u64 {
        self.number.to::<u64>()
    }

    pub(crate) fn reference(&self) -> Result<BlockRef, ReadError> {
        let time = i64::try_from(self.timestamp.to::<u64>())
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .ok_or_else(|| garbage("a block outside of time"))?;
        Ok(BlockRef {
            height: self.height(),
            hash: text_of_hash(self.hash),
            parent_hash: text_of_hash(self.parent_hash),
            time,
        })
    }
}

/// A number by the book: `0x` and at least one digit. The crate's own types read `0x` as zero,
/// and a fee, a balance or a nonce that nobody told is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) U256);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").filter(|digits| (1..=64).contains(&digits.len()));
        let number = digits.and_then(|digits| U256::from_str_radix(digits, 16).ok());
        number.map(Self).ok_or_else(|| D::Error::custom("not a quantity"))
    }
}

impl Quantity {
    pub(crate) fn u128(self) -> Option<u128> {
        u128::try_from(self.0).ok()
    }

    pub(crate) fn u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

/// An answer that cannot be used. Says nothing about deposits.
pub(crate) fn garbage(what: &str) -> ReadError {
    ReadError::Unavailable(format!("the node answered with {what}"))
}

/// With its checksum.
#[must_use]
pub fn text_of_address(address: Address) -> String {
    address.to_checksum(None)
}

/// `0x` and 64 hex digits.
#[must_use]
pub fn text_of_hash(hash: B256) -> String {
    hash.to_string()
}

/// `0x` and 64 hex digits, nothing else.
#[must_use]
pub fn hash_of(text: &str) -> Option<B256> {
    text.strip_prefix("0x").filter(|hex| hex.len() == 64)?.parse().ok()
}

/// `0x` and 40 hex digits. Mixed case must carry a true checksum: a typed address is a risk.
#[must_use]
pub fn address_of(text: &str) -> Option<Address> {
    let hex = text.strip_prefix("0x").filter(|hex| hex.len() == 40)?;
    let address: Address = hex.parse().ok()?;
    let lower = !hex.bytes().any(|b| b.is_ascii_uppercase());
    let upper = !hex.bytes().any(|b| b.is_ascii_lowercase());
    (lower || upper || text_of_address(address) == text).then_some(address)
}

/// `None` when the number is beyond what the books can hold.
pub(crate) fn amount_of(value: U256, asset: Asset) -> Option<Amount> {
    let minor = i128::try_from(u128::try_from(value).ok()?).ok()?;
    Amount::try_new(minor, asset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The examples of EIP-55 itself, and one with a single letter's case changed.
    #[test]
    fn addresses_are_read_with_their_checksum() {
        for good in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
        ] {
            let address = address_of(good).unwrap();
            assert!(text_of_address(address).eq_ignore_ascii_case(good));
        }
        for bad in [
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
            "",
        ] {
            assert_eq!(address_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn quantities_have_digits() {
        let read = |text: &str| serde_json::from_str::<Quantity>(text).ok().map(|read| read.0);
        assert_eq!(read("\"0x0\""), Some(U256::ZERO));
        assert_eq!(read("\"0x1f\""), Some(U256::from(31)));
        assert_eq!(read(&format!("\"0x{}\"", "f".repeat(64))), Some(U256::MAX));
        for bad in ["\"0x\"", "\"\"", "\"31\"", "31", "null", "\"0x-1\"", "\"0xg\""] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&format!("\"0x{}\"", "f".repeat(65))), None);
    }

    #[test]
    fn numbers_beyond_the_books_are_no_amounts() {
        assert_eq!(amount_of(U256::from(7), Asset::Eth).map(Amount::minor), Some(7));
        assert_eq!(amount_of(U256::from(10).pow(U256::from(38)), Asset::Eth), None);
        assert_eq!(amount_of(U256::MAX, Asset::Usdc), None);
    }
}
