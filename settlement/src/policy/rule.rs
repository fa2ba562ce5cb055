//! One rule of a policy: how deep a block must be, or what the protocol must say of it.
//!
//! Invariant: rules of two kinds are compared only where one contains the other; what cannot be
//! compared is not stronger.

use std::{fmt, str::FromStr};

use crate::deposit::Depth;

/// The deepest rule that can be written.
const DEPTH_MAX: u64 = 9_999;

/// How far a deposit must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// On its way, in no block. Only ever good for showing.
    Mempool,
    /// In a block with this many blocks from it to the tip, itself included.
    Depth(u64),
    Safe,
    Finalized,
}

/// The text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a rule is `mempool`, a number of blocks from 1 to 9999, `safe` or `finalized`")]
pub struct NoRule;

impl Rule {
    /// True when a block at `height` has come that far. A node that does not know `safe` or
    /// `finalized` never satisfies a rule that asks for it.
    #[must_use]
    pub fn is_met(self, depth: Depth, height: u64) -> bool {
        match self {
            Self::Mempool => true,
            Self::Depth(blocks) => depth.blocks(height).is_some_and(|deep| deep >= blocks),
            Self::Safe => depth.safe.is_some_and(|safe| safe >= height),
            Self::Finalized => depth.finalized.is_some_and(|last| last >= height),
        }
    }

    /// True when whatever meets this rule meets the other as well.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Mempool)
            | (Self::Finalized, Self::Finalized | Self::Safe)
            | (Self::Safe, Self::Safe) => true,
            // The tags of a protocol lie blocks behind the tip, however many: at least the block.
            (Self::Finalized | Self::Safe, Self::Depth(1)) => true,
            (Self::Depth(deep), Self::Depth(less)) => deep >= less,
            _ => false,
        }
    }

    /// True when the rule may stand for less than the other: contained in it, or the shallow kind
    /// of the two.
    pub(super) const fn is_weaker(self, than: Self) -> bool {
        than.contains(self)
            || matches!((self, than), (Self::Depth(_), Self::Safe | Self::Finalized))
    }

    /// As the database writes it.
    pub(super) fn stored(self) -> String {
        match self {
            Self::Depth(blocks) => format!("depth:{blocks}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mempool => f.write_str("mempool"),
            Self::Depth(blocks) => write!(f, "{blocks}"),
            Self::Safe => f.write_str("safe"),
            Self::Finalized => f.write_str("finalized"),
        }
    }
}

impl FromStr for Rule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        match text {
            "mempool" => return Ok(Self::Mempool),
            "safe" => return Ok(Self::Safe),
            "finalized" => return Ok(Self::Finalized),
            _ => {}
        }
        let digits = text.strip_prefix("depth:").unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let blocks = digits.parse().ok().filter(|blocks| (1..=DEPTH_MAX).contains(blocks));
        blocks.filter(|_| plain).map(Self::Depth).ok_or(NoRule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_the_block_itself() {
        let tip = Depth { latest: 10, safe: Some(8), finalized: None };
        assert!(Rule::Depth(1).is_met(tip, 10) && !Rule::Depth(2).is_met(tip, 10));
        assert!(Rule::Depth(3).is_met(tip, 8) && !Rule::Depth(1).is_met(tip, 11));
        assert!(Rule::Safe.is_met(tip, 8) && !Rule::Safe.is_met(tip, 9));
        assert!(!Rule::Finalized.is_met(tip, 1), "a tag the node does not know is never met");
    }

    #[test]
    fn rules_are_written_and_read() {
        for text in ["mempool", "1", "9999", "safe", "finalized"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert_eq!("depth:6".parse(), Ok(Rule::Depth(6)));
        for bad in ["", "0", "-1", "10000", "+3", "Safe", "depth:", "6 ", "latest"] {
            assert_eq!(bad.parse::<Rule>(), Err(NoRule), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not_stronger() {
        assert!(
            Rule::Depth(6).contains(Rule::Depth(6)) && !Rule::Depth(5).contains(Rule::Depth(6))
        );
        assert!(Rule::Finalized.contains(Rule::Safe) && !Rule::Safe.contains(Rule::Finalized));
        assert!(
            !Rule::Finalized.contains(Rule::Depth(2)) && !Rule::Depth(500).contains(Rule::Safe)
        );
        assert!(Rule::Depth(12).is_weaker(Rule::Finalized));
        assert!(!Rule::Finalized.is_weaker(Rule::Depth(500)));
    }
}
