//! The venues' own wallets on a local chain: what they send their customers' withdrawals from.
//!
//! Invariant: one call of `send` makes at most one transaction that pays. Whether one that got no
//! answer left is not known, so it is never tried again. What a withdrawal is, and when it may
//! leave, is deliberately elsewhere: in `venue::custody` and `transit`.

mod bitcoin;
mod evm;
mod solana;

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{
    Kind, Spec,
    rpc::{Refused, Rpc},
};
use crate::{World, transit::Errand, venue::Found};
use bitcoin::HotBitcoin;
use evm::HotEvm;
use solana::HotSolana;

/// Why a withdrawal has not left.
#[derive(Debug)]
pub(super) enum Unsent {
    /// Nothing was sent: it is tried again.
    Later(anyhow::Error),
    /// The node gave no answer: nobody here knows.
    Lost(anyhow::Error),
}

impl From<anyhow::Error> for Unsent {
    fn from(error: anyhow::Error) -> Self {
        Self::Later(error)
    }
}

/// What a node said to a transaction: only its own refusal proves that nothing was sent.
fn broadcast(answer: anyhow::Result<String>) -> Result<String, Unsent> {
    answer.map_err(|error| {
        if error.downcast_ref::<Refused>().is_some() {
            Unsent::Later(error)
        } else {
            Unsent::Lost(error)
        }
    })
}

pub(super) enum Hot {
    Bitcoin(HotBitcoin),
    Evm(HotEvm),
    Solana(HotSolana),
}

impl Hot {
    pub(super) async fn connect(
        spec: &Spec,
        world: &World,
        hrp: &'static str,
    ) -> anyhow::Result<Self> {
        let rpc = Rpc::new(&spec.rpc_url)?;
        let tokens = spec.tokens.iter().map(|(coin, at)| (coin.to_ascii_uppercase(), at.clone()));
        let tokens: BTreeMap<String, String> = tokens.collect();
        let custodians = world.transit.custodians();
        let venues: Vec<&'static str> = custodians.iter().map(|venue| venue.name()).collect();
        Ok(match spec.kind {
            Kind::Bitcoind => Self::Bitcoin(HotBitcoin::new(rpc, world.seed, hrp, &venues)),
            Kind::Anvil => Self::Evm(HotEvm::connect(rpc, tokens, &venues).await?),
            Kind::Surfnet => Self::Solana(HotSolana::new(rpc, world.seed, tokens, &venues)),
        })
    }

    /// Where each venue's coins are sent from.
    pub(super) const fn addresses(&self) -> &BTreeMap<&'static str, String> {
        match self {
            Self::Bitcoin(wallet) => &wallet.addresses,
            Self::Evm(wallet) => &wallet.addresses,
            Self::Solana(wallet) => &wallet.addresses,
        }
    }

    /// Coins that came to an address in a block.
    pub(super) fn notice(&mut self, found: &Found) {
        if let Self::Bitcoin(wallet) = self {
            wallet.notice(found);
        }
    }

    /// Sends what the errand says; answers the transaction's id.
    pub(super) async fn send(&mut self, errand: &Errand) -> Result<String, Unsent> {
        match self {
            Self::Bitcoin(wallet) => wallet.send(errand).await,
            Self::Evm(wallet) => wallet.send(errand).await,
            Self::Solana(wallet) => wallet.send(errand).await,
        }
    }
}

/// As many of a coin's smallest units.
fn units(amount: Decimal, places: u32) -> anyhow::Result<u128> {
    let one = Decimal::try_from_i128_with_scale(10_i128.saturating_pow(places), 0)?;
    let units = amount.checked_mul(one).filter(|units| units.is_integer());
    units.and_then(|units| units.to_u128()).context("an amount the coin cannot carry")
}

fn unknown_venue(venue: &str) -> anyhow::Error {
    anyhow!("{venue} has no wallet on this chain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_become_units() {
        assert_eq!(units(Decimal::new(15, 1), 18).unwrap(), 1_500_000_000_000_000_000);
        assert_eq!(units(Decimal::new(1, 6), 6).unwrap(), 1);
        assert!(units(Decimal::new(1, 7), 6).is_err());
        assert!(units(Decimal::new(-1, 0), 6).is_err());
    }
}
