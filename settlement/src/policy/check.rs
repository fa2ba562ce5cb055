//! What a policy may say. A policy that is refused here cannot be set by anybody.
//!
//! Invariant: later is never weaker than earlier, and more money is never judged more lightly.

use primitives::Asset;

use super::{Rule, Tier};

const TIERS_MAX: usize = 16;
const WITNESSES_MAX: u16 = 16;

/// Why a policy was refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a policy has 1 to 16 tiers, the first from ₹ 0, in rising order of value")]
    Tiers,
    #[error("the value of a tier is in rupees")]
    NotRupees,
    #[error(
        "a deposit in the mempool is shown, and credited nowhere: accept and final need a block"
    )]
    MempoolCredits,
    #[error("`safe` is not final: it rests on assumptions that may break")]
    SafeIsNotFinal,
    #[error("from {0}: show, accept and final must each ask at least for what the one before asks")]
    OutOfOrder(String),
    #[error("from {0}: more money may not be judged by weaker rules or by fewer witnesses")]
    Lighter(String),
    #[error("1 to 16 witnesses")]
    Witnesses,
}

/// Judges the tiers of a policy.
///
/// # Errors
/// `Refusal`, naming the tier.
pub fn check(tiers: &[Tier]) -> Result<(), Refusal> {
    if tiers.len() > TIERS_MAX || tiers.first().is_none_or(|first| !first.from.is_zero()) {
        return Err(Refusal::Tiers);
    }
    tiers.iter().try_for_each(check_one)?;
    for (lower, higher) in tiers.iter().zip(tiers.iter().skip(1)) {
        if lower.from.minor() >= higher.from.minor() {
            return Err(Refusal::Tiers);
        }
        let lighter = !lower.accept.is_weaker(higher.accept)
            || !lower.last.is_weaker(higher.last)
            || lower.min_witnesses > higher.min_witnesses;
        if lighter {
            return Err(Refusal::Lighter(higher.from.to_string()));
        }
    }
    Ok(())
}

fn check_one(tier: &Tier) -> Result<(), Refusal> {
    if tier.from.asset() != Asset::Inr {
        return Err(Refusal::NotRupees);
    }
    if tier.accept == Rule::Mempool || tier.last == Rule::Mempool {
        return Err(Refusal::MempoolCredits);
    }
    if tier.last == Rule::Safe {
        return Err(Refusal::SafeIsNotFinal);
    }
    if !tier.show.is_weaker(tier.accept) || !tier.accept.is_weaker(tier.last) {
        return Err(Refusal::OutOfOrder(tier.from.to_string()));
    }
    if !(1..=WITNESSES_MAX).contains(&tier.min_witnesses) {
        return Err(Refusal::Witnesses);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use primitives::Amount;

    use super::*;

    fn tier(from: i128, rules: [&str; 3], min_witnesses: u16) -> Tier {
        let [show, accept, last] = rules.map(|rule| rule.parse().unwrap());
        Tier { from: Amount::try_new(from, Asset::Inr).unwrap(), show, accept, last, min_witnesses }
    }

    #[test]
    fn sound_policies_pass() {
        assert_eq!(check(&[tier(0, ["mempool", "1", "2"], 1)]), Ok(()));
        assert_eq!(check(&[tier(0, ["1", "safe", "finalized"], 2)]), Ok(()));
        let rising = [
            tier(0, ["mempool", "1", "2"], 1),
            tier(5_000_000, ["mempool", "3", "3"], 2),
            tier(100_000_000, ["mempool", "6", "finalized"], 2),
        ];
        assert_eq!(check(&rising), Ok(()));
    }

    #[test]
    fn each_unsound_policy_is_refused() {
        let fine = || tier(0, ["1", "2", "6"], 2);
        let high = |rules, witnesses| vec![fine(), tier(1_000, rules, witnesses)];
        for (tiers, refusal) in [
            (vec![], Refusal::Tiers),
            (vec![tier(1, ["1", "2", "6"], 1)], Refusal::Tiers),
            (vec![fine(), fine()], Refusal::Tiers),
            (vec![tier(0, ["mempool", "mempool", "6"], 1)], Refusal::MempoolCredits),
            (vec![tier(0, ["mempool", "mempool", "mempool"], 1)], Refusal::MempoolCredits),
            (vec![tier(0, ["1", "1", "safe"], 1)], Refusal::SafeIsNotFinal),
            (vec![tier(0, ["1", "7", "6"], 1)], Refusal::OutOfOrder("0.00 INR".to_owned())),
            (vec![tier(0, ["3", "2", "6"], 1)], Refusal::OutOfOrder("0.00 INR".to_owned())),
            (vec![tier(0, ["1", "finalized", "6"], 1)], Refusal::OutOfOrder("0.00 INR".into())),
            (high(["1", "2", "5"], 2), Refusal::Lighter("10.00 INR".to_owned())),
            (high(["1", "1", "6"], 2), Refusal::Lighter("10.00 INR".to_owned())),
            (high(["1", "2", "6"], 1), Refusal::Lighter("10.00 INR".to_owned())),
            (vec![tier(0, ["1", "2", "6"], 0)], Refusal::Witnesses),
            (vec![tier(0, ["1", "2", "6"], 17)], Refusal::Witnesses),
        ] {
            assert_eq!(check(&tiers), Err(refusal), "{tiers:?}");
        }
        let mut foreign = fine();
        foreign.from = Amount::zero(Asset::Eth);
        assert_eq!(check(&[foreign]), Err(Refusal::NotRupees));
    }
}
