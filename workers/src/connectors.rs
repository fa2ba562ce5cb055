//! Every connector of the fleet, by the name the database knows it under.

use std::{collections::BTreeMap, sync::Arc};

use chains::Chain;
use exchanges::{Exchange, RateSource};
use payouts::Rail;
use primitives::NetworkId;

use crate::WorkError;

/// The outside, as the jobs reach it. Built by the composition root or by a test.
#[derive(Default, Clone)]
pub struct Connectors {
    pub chains: BTreeMap<NetworkId, Arc<dyn Chain>>,
    pub exchanges: BTreeMap<String, Arc<dyn Exchange>>,
    pub rate_sources: Vec<Arc<dyn RateSource>>,
    pub rails: BTreeMap<String, Arc<dyn Rail>>,
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connectors")
            .field("chains", &self.chains.keys())
            .field("exchanges", &self.exchanges.keys())
            .field("rails", &self.rails.keys())
            .finish_non_exhaustive()
    }
}

impl Connectors {
    pub(crate) fn chain(&self, network: &NetworkId) -> Result<&dyn Chain, WorkError> {
        let chain = self.chains.get(network).map(AsRef::as_ref);
        chain.ok_or_else(|| WorkError::NotConfigured(format!("network {network}")))
    }

    pub(crate) fn exchange(&self, venue: &str) -> Result<&dyn Exchange, WorkError> {
        let exchange = self.exchanges.get(venue).map(AsRef::as_ref);
        exchange.ok_or_else(|| WorkError::NotConfigured(format!("venue {venue}")))
    }

    pub(crate) fn rail(&self, rail: &str) -> Result<&dyn Rail, WorkError> {
        let found = self.rails.get(rail).map(AsRef::as_ref);
        found.ok_or_else(|| WorkError::NotConfigured(format!("rail {rail}")))
    }
}
