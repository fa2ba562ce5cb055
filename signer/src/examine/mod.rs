//! Reads a transaction and says what it does, in the words of the intent. Whatever it does beyond
//! them is a refusal.
//!
//! Invariants: nothing is signed that is not read in full here; what is signed is made here from
//! checked fields, never passed through. Lists and limits are deliberately elsewhere.

mod evm;
mod psbt;
mod solana;

use std::collections::BTreeMap;

use chains::carrier::{KeyRef, Unsigned};
use primitives::{Asset, NetworkId};
use signing::{Intent, Purpose};

#[cfg(test)]
pub(crate) use self::evm::Work as EvmWork;
pub(crate) use self::{evm::Evm, psbt::Bitcoin, solana::Solana};
use crate::{
    config::{FeeLimit, NetworkConfig},
    keys::{KeyPath, KeyStore, PublicAccount},
    refusal::Refusal,
};

/// What a transaction does, and what is to be signed of it.
#[derive(Debug)]
pub(crate) struct Examined {
    /// The destination, in the one form it is compared in.
    pub(crate) to: String,
    /// The most it may cost, in the network's coin.
    pub(crate) fee: i128,
    /// Two transactions with the same value here cannot both happen. Others may.
    pub(crate) spends: [u8; 32],
    pub(crate) claim: Option<Claim>,
    pub(crate) work: Work,
}

/// What somebody says a transaction's inputs are worth, which no signature here can check: see
/// [`psbt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) tx_id: String,
    pub(crate) values: [u8; 32],
}

#[derive(Debug)]
pub(crate) enum Work {
    Bitcoin(psbt::Work),
    Evm(evm::Work),
    Solana(solana::Work),
}

/// A network as the signer knows it: its public keys and what exists on it.
pub(crate) struct Network {
    pub(crate) coin: Asset,
    pub(crate) fee: FeeLimit,
    kind: Kind,
}

enum Kind {
    Bitcoin(Bitcoin),
    Evm(Box<Evm>),
    Solana(Solana),
}

pub(crate) type Networks = BTreeMap<NetworkId, Network>;

/// # Errors
/// A sentence naming the network whose settings and keys do not fit.
pub(crate) fn networks(configs: &[NetworkConfig], keys: &dyn KeyStore) -> Result<Networks, String> {
    let mut networks = Networks::new();
    for config in configs {
        let name = config.network();
        let account = keys.account(name).ok_or_else(|| format!("{name}: there is no key"))?;
        let kind = match (config, account) {
            (NetworkConfig::Bitcoin(bitcoin), PublicAccount::Secp256k1(account)) => {
                Kind::Bitcoin(Bitcoin::new(bitcoin.chain, account))
            }
            (NetworkConfig::Evm(evm), PublicAccount::Secp256k1(account)) => {
                Kind::Evm(Box::new(Evm::new(evm, account).map_err(|why| format!("{name}: {why}"))?))
            }
            (NetworkConfig::Solana(solana), PublicAccount::Ed25519(wallet)) => {
                Kind::Solana(Solana::new(solana, wallet).map_err(|why| format!("{name}: {why}"))?)
            }
            _ => return Err(format!("{name}: the key is of another kind")),
        };
        let network = Network { coin: config.coin(), fee: config.fee(), kind };
        networks.insert(name.clone(), network);
    }
    Ok(networks)
}

impl Network {
    /// An address in the one form it is compared in; `None` when it is none of this network.
    pub(crate) fn canonical(&self, address: &str) -> Option<String> {
        match &self.kind {
            Kind::Bitcoin(bitcoin) => bitcoin.canonical(address),
            Kind::Evm(_) => evm::canonical(address),
            Kind::Solana(_) => solana::canonical(address),
        }
    }

    /// Whether an address, in its canonical form, is our own deposit address of that index.
    pub(crate) fn is_own_deposit(&self, canonical: &str, index: u32) -> bool {
        match &self.kind {
            Kind::Evm(evm) => evm.is_own_deposit(canonical, index),
            Kind::Bitcoin(_) | Kind::Solana(_) => false,
        }
    }

    pub(crate) fn examine(&self, intent: &Intent) -> Result<Examined, Refusal> {
        if !intent.amount.is_positive() {
            return Err(Refusal::malformed("the amount is not positive"));
        }
        if intent.fee_max.asset() != self.coin {
            return Err(Refusal::does_not_match("fees are not paid in that coin here"));
        }
        let examined = match (&self.kind, &intent.unsigned) {
            (Kind::Bitcoin(bitcoin), Unsigned::Bitcoin { psbt }) => {
                bitcoin.examine(intent, psbt)?
            }
            (Kind::Evm(evm), Unsigned::Evm(transfer)) => evm.examine(intent, transfer)?,
            (Kind::Solana(solana), Unsigned::Solana(transfer)) => {
                solana.examine(intent, transfer)?
            }
            _ => return Err(Refusal::does_not_match("a transaction of another kind of network")),
        };
        if examined.fee > self.fee.per_tx {
            return Err(Refusal::fee_too_high("the fee is above the limit of the network"));
        }
        Ok(examined)
    }
}

/// Deposits pay venues and cold storage; the gas station pays gas, and nothing else.
fn source_for(purpose: Purpose, key: KeyRef) -> Result<KeyPath, Refusal> {
    match (purpose, key) {
        (Purpose::FundVenue | Purpose::ToCold, KeyRef::Deposit(_))
        | (Purpose::Gas, KeyRef::Gas) => Ok(key.into()),
        (Purpose::FundVenue | Purpose::ToCold, KeyRef::Gas) => {
            Err(Refusal::not_allowed("the gas station pays for gas only"))
        }
        (Purpose::Gas, KeyRef::Deposit(_)) => {
            Err(Refusal::not_allowed("gas comes from the gas station only"))
        }
    }
}

/// The destination as the transaction has it must be the one the intent names.
fn same_destination(said: Option<String>, done: Option<String>) -> Result<String, Refusal> {
    let said = said.ok_or_else(|| Refusal::malformed("the destination is no address here"))?;
    let done =
        done.ok_or_else(|| Refusal::malformed("the transaction's destination is no address"))?;
    if said != done {
        return Err(Refusal::does_not_match("the transaction pays somebody else"));
    }
    Ok(said)
}

fn within_fee_max(fee: i128, intent: &Intent) -> Result<(), Refusal> {
    if fee > intent.fee_max.minor() {
        return Err(Refusal::fee_too_high("the transaction may cost more than the intent says"));
    }
    Ok(())
}
