//! Reckoning a stored choice again: do its numbers follow from what lies beside them?
//!
//! Invariant: reads nothing but the choice itself, so it holds or does not hold for ever. Whether
//! the venues had shown the truth is not its question.

use super::{Candidate, Route, Verdict, Walk, amount, units};

impl Route {
    /// True when every candidate's rupees follow from the bids and levies stored with it, and none
    /// that could be taken was better than the one that was.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        let able = |c: &&Candidate| matches!(c.verdict, Verdict::Taken | Verdict::Behind { .. });
        let best = self.candidates.iter().filter(able).map(Candidate::rank).max();
        let mut taken = self.candidates.iter().filter(|c| c.verdict == Verdict::Taken);
        let is_best = match (taken.next(), taken.next()) {
            (None, None) => best.is_none(),
            (Some(one), None) => Some(one.rank()) == best,
            (_, Some(_)) => false,
        };
        is_best && self.candidates.iter().filter(able).all(|c| self.is_reckoned(c))
    }

    fn is_reckoned(&self, candidate: &Candidate) -> bool {
        let mut left = self.total;
        for leg in &candidate.legs {
            let fits = leg.quantity.asset() == leg.sell
                && left.asset() == leg.sell
                && leg.quantity.minor() <= left.minor();
            let walk = units(leg.quantity)
                .ok()
                .and_then(|quantity| Walk::of(&leg.walk.bids, quantity, leg.limit));
            let net = leg.levies.net(leg.walk.gross);
            if !fits || walk.as_ref() != Some(&leg.walk) || net != Some(leg.net) {
                return false;
            }
            let Ok(net) = amount(leg.net, leg.quote) else { return false };
            left = net;
        }
        candidate.net == Some(left)
    }
}
