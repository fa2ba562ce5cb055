//! Where to begin: a sound policy per family of networks. Nothing uses these by itself; an operator
//! sets them, and from then on they are a version like any other.

use primitives::{Amount, Asset};

use super::{Rule, Tier};

/// Networks that come to rest alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Bitcoin,
    Ethereum,
    /// Its own validators, with a finality tag of its own.
    Sidechain,
    /// Final when its data is final on Ethereum.
    Rollup,
    Solana,
}

impl Family {
    const NAMES: [(&'static str, Self); 5] = [
        ("bitcoin", Self::Bitcoin),
        ("ethereum", Self::Ethereum),
        ("sidechain", Self::Sidechain),
        ("rollup", Self::Rollup),
        ("solana", Self::Solana),
    ];

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, family)| *family)
    }
}

/// The tiers to begin with.
#[must_use]
pub fn start_values(family: Family) -> Vec<Tier> {
    let tier = |paise, show, accept, last| {
        let from = Amount::try_new(paise, Asset::Inr).unwrap_or(Amount::zero(Asset::Inr));
        Tier { from, show, accept, last, min_witnesses: 1 }
    };
    let (block, last) = (Rule::Depth(1), Rule::Finalized);
    match family {
        Family::Bitcoin => vec![
            tier(0, Rule::Mempool, block, Rule::Depth(2)),
            tier(5_000_000, Rule::Mempool, Rule::Depth(3), Rule::Depth(3)),
            tier(100_000_000, Rule::Mempool, Rule::Depth(6), Rule::Depth(6)),
        ],
        Family::Ethereum | Family::Rollup => vec![tier(0, block, Rule::Safe, last)],
        Family::Sidechain | Family::Solana => vec![tier(0, block, last, last)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_begins_soundly() {
        for (name, family) in Family::NAMES {
            assert_eq!(super::super::check(&start_values(family)), Ok(()), "{name}");
            assert_eq!(Family::parse(name), Some(family));
        }
        assert_eq!(Family::parse("dogecoin"), None);
    }
}
