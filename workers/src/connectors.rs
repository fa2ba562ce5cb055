//! Every connector of the fleet, by the name the database knows it under.

use std::{collections::BTreeMap, sync::Arc};

use chains::{Chain, carrier::Carrier};
use exchanges::{Custody, Exchange, OrderNews, PriceStream, RateSource};
use payouts::Rail;
use primitives::NetworkId;
use signing::Signer;

use crate::WorkError;

/// The outside, as the jobs reach it. Built by the composition root or by a test.
#[derive(Default, Clone)]
pub struct Connectors {
    pub chains: BTreeMap<NetworkId, Arc<dyn Chain>>,
    pub exchanges: BTreeMap<String, Arc<dyn Exchange>>,
    pub rate_sources: Vec<Arc<dyn RateSource>>,
    pub price_streams: Vec<Arc<dyn PriceStream>>,
    pub order_news: Vec<Arc<dyn OrderNews>>,
    pub rails: BTreeMap<String, Arc<dyn Rail>>,
    /// The treasury's side of each network, and of each venue.
    pub carriers: BTreeMap<NetworkId, Arc<dyn Carrier>>,
    pub custody: BTreeMap<String, Arc<dyn Custody>>,
    /// Who holds the keys; without, nothing of ours moves.
    pub signer: Option<Arc<dyn Signer>>,
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connectors")
            .field("chains", &self.chains.keys())
            .field("exchanges", &self.exchanges.keys())
            .field("rails", &self.rails.keys())
            .field("carriers", &self.carriers.keys())
            .field("custody", &self.custody.keys())
            .field("signer", &self.signer.is_some())
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

    pub(crate) fn carrier(&self, network: &NetworkId) -> Result<&dyn Carrier, WorkError> {
        let carrier = self.carriers.get(network).map(AsRef::as_ref);
        carrier.ok_or_else(|| WorkError::NotConfigured(format!("the carrier of {network}")))
    }

    pub(crate) fn custody(&self, venue: &str) -> Result<&dyn Custody, WorkError> {
        let custody = self.custody.get(venue).map(AsRef::as_ref);
        custody.ok_or_else(|| WorkError::NotConfigured(format!("custody at {venue}")))
    }

    pub(crate) fn signer(&self) -> Result<&dyn Signer, WorkError> {
        let signer = self.signer.as_deref();
        signer.ok_or_else(|| WorkError::NotConfigured("the signer".to_owned()))
    }

    pub(crate) fn rail(&self, rail: &str) -> Result<&dyn Rail, WorkError> {
        let found = self.rails.get(rail).map(AsRef::as_ref);
        found.ok_or_else(|| WorkError::NotConfigured(format!("rail {rail}")))
    }
}
