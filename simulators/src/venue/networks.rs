//! The networks the venues take coins on, and what moving a coin there costs and needs.
//!
//! Invariant: names here are the product's (`bitcoin`, `ethereum`, `base`, `solana`); each venue
//! writes its own. A network that was registered with a node shows addresses of that very chain and
//! asks for that many confirmations.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rust_decimal::Decimal;

use super::{address, market::decimal};

/// A coin on a network.
#[derive(Debug)]
pub struct Rail {
    pub coin: &'static str,
    /// `bitcoin`, `ethereum`, `base` or `solana`.
    pub network: &'static str,
    /// What the venue keeps of a withdrawal.
    pub fee: Decimal,
    /// The smallest withdrawal.
    pub least: Decimal,
    pub places: u32,
    /// Confirmations until a deposit is credited.
    pub confirmations: u32,
}

const fn rail(
    coin: &'static str,
    network: &'static str,
    fee: (u32, u32),
    least: (u32, u32),
    places: u32,
) -> Rail {
    let confirmations = match network.as_bytes() {
        b"ethereum" => 6,
        b"base" => 10,
        _ => 1,
    };
    let (fee, least) = (decimal(fee.0, fee.1), decimal(least.0, least.1));
    Rail { coin, network, fee, least, places, confirmations }
}

/// The first rail of a coin is its default network.
pub static RAILS: [Rail; 9] = [
    rail("BTC", "bitcoin", (1, 4), (1, 3), 8),
    rail("ETH", "ethereum", (12, 4), (5, 3), 8),
    rail("ETH", "base", (1, 4), (1, 3), 8),
    rail("SOL", "solana", (1, 3), (1, 1), 8),
    rail("USDT", "ethereum", (3, 0), (10, 0), 6),
    rail("USDT", "solana", (1, 0), (10, 0), 6),
    rail("USDC", "ethereum", (3, 0), (10, 0), 6),
    rail("USDC", "base", (1, 1), (1, 0), 6),
    rail("USDC", "solana", (5, 1), (5, 0), 6),
];

/// The rails of one coin, the default network first.
pub(crate) fn rails(coin: &str) -> impl Iterator<Item = &'static Rail> {
    RAILS.iter().filter(move |rail| rail.coin == coin)
}

/// The coin on this network, or on its default one.
#[must_use]
pub fn rail_of(coin: &str, network: Option<&str>) -> Option<&'static Rail> {
    rails(coin).find(|rail| network.is_none_or(|network| rail.network == network))
}

/// What a registered node says about its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Local {
    /// The human-readable part of its segwit addresses, where it has any.
    pub(crate) hrp: &'static str,
    /// Until a deposit is credited, and until it can be withdrawn again.
    pub(crate) confirmations: u32,
    pub(crate) unlock: u32,
}

/// The networks that a node was registered for.
#[derive(Debug, Default)]
pub struct Networks(Mutex<BTreeMap<String, Local>>);

impl Networks {
    pub(crate) fn set(&self, network: &str, local: Local) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(network.to_owned(), local);
    }

    fn local(&self, network: &str) -> Option<Local> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(network).cloned()
    }

    /// Whether a node stands for this network.
    pub(crate) fn is_local(&self, network: &str) -> bool {
        self.local(network).is_some()
    }

    /// Confirmations until a deposit is credited, and until it can be withdrawn again.
    pub(crate) fn confirmations(&self, rail: &Rail) -> (u32, u32) {
        let local = self.local(rail.network);
        local.map_or((rail.confirmations, rail.confirmations), |l| (l.confirmations, l.unlock))
    }

    /// Where `venue` takes coins on this network.
    pub(crate) fn address(&self, seed: u64, venue: &str, network: &str) -> Option<String> {
        let hrp = self.local(network).map_or("bc", |local| local.hrp);
        address::address_on(seed, venue, network, hrp)
    }
}
