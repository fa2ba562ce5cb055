//! What the fleet's settings need of the keys: their public side.

use primitives::NetworkId;
use serde::Serialize;

use crate::{
    config::NetworkConfig,
    examine::{Bitcoin, Evm},
    keys::{KeyStore, PublicAccount},
};

/// The public side of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Public {
    pub network: NetworkId,
    /// Of the account: zpub or vpub for Bitcoin, xpub for EVM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xpub: Option<String>,
    /// Where gas is paid from: it must hold coins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_station: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<String>,
}

/// One entry per network of the settings, in their order.
#[must_use]
pub fn public(networks: &[NetworkConfig], keys: &dyn KeyStore) -> Vec<Public> {
    let one = |config: &NetworkConfig| {
        let network = config.network().clone();
        let account = keys.account(&network)?;
        let mut public = Public { network, xpub: None, gas_station: None, wallet: None };
        match (config, account) {
            (NetworkConfig::Bitcoin(_), PublicAccount::Secp256k1(account)) => {
                public.xpub = Some(Bitcoin::published(&account));
            }
            (_, PublicAccount::Secp256k1(account)) => {
                public.xpub = Some(account.to_string());
                public.gas_station = Evm::gas_station(&account);
            }
            (_, PublicAccount::Ed25519(wallet)) => public.wallet = Some(wallet.to_string()),
        }
        Some(public)
    };
    networks.iter().filter_map(one).collect()
}
