//! Numbers that look random and are the same in every run.

/// A linear congruential generator (Knuth's constants): enough to vary depths and amounts.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 1 to `most`.
    pub(crate) fn up_to(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let high = u32::try_from(self.0 >> 32).unwrap_or(0);
        (high % most.max(1)).saturating_add(1)
    }
}
