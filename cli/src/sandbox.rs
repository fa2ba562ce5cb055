//! Payers on local nodes: which network they pay on, and how they read a QR.
//!
//! Invariant: only the demo and the commands of the sandbox come here. Every payer refuses a node
//! that is not a local one of its kind; no process that settles payments holds a key.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use chains::{bip21, parse_eip681, sandbox::Sandbox, solana_pay};
use primitives::{Amount, Asset, NetworkId};
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use crate::config::Config;

/// What a payer speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Anvil,
    Bitcoind,
    Surfnet,
}

/// A payer on one local network.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SandboxConfig {
    pub(crate) network: NetworkId,
    pub(crate) kind: Kind,
    /// With the login in it, where the node wants one.
    #[serde(deserialize_with = "url")]
    pub(crate) rpc_url: Url,
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = (self.rpc_url.host_str(), self.rpc_url.port());
        f.debug_struct("SandboxConfig")
            .field("network", &self.network)
            .field("kind", &self.kind)
            .field("node", &address)
            .finish_non_exhaustive()
    }
}

/// The text itself stays out of the error: it may carry a login.
fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| D::Error::custom("not a URL"))
}

/// The payer of a network.
///
/// # Errors
/// When the network has none, or its node is not a local one of the kind named.
pub(crate) async fn open(config: &Config, network: &NetworkId) -> anyhow::Result<Box<dyn Sandbox>> {
    let settings = config.sandbox.iter().find(|settings| settings.network == *network);
    let settings = settings.with_context(|| format!("network {network} has no [[sandbox]]"))?;
    let url = settings.rpc_url.as_str();
    Ok(match settings.kind {
        Kind::Anvil => {
            let evm = config.evm.iter().find(|evm| evm.network == *network);
            let evm = evm.with_context(|| format!("network {network} is no [[evm]]"))?;
            let key = chains_evm::sandbox::dev_payer_key();
            let payer = chains_evm::sandbox::Payer::connect(url, key).await?;
            let tokens = evm.tokens.iter().map(|t| (t.asset, t.contract.clone())).collect();
            Box::new(chains_evm::sandbox::AnvilSandbox::open(payer, tokens).await?)
        }
        Kind::Bitcoind => Box::new(chains_bitcoin::sandbox::Payer::connect(url).await?),
        Kind::Surfnet => {
            let solana = config.solana.iter().find(|solana| solana.network == *network);
            let solana = solana.with_context(|| format!("network {network} is no [[solana]]"))?;
            Box::new(chains_solana::sandbox::Payer::connect(url, &solana.wallet).await?)
        }
    })
}

/// What a wallet makes of a QR: where to, and how much. `asset` is what the payer chose to pay in;
/// a code that asks for something else is refused.
///
/// # Errors
/// When the code is not one a careful wallet would pay.
pub(crate) fn scan(config: &Config, uri: &str, asset: Asset) -> anyhow::Result<(String, Amount)> {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "bitcoin" => {
            let asked = bip21::parse(uri)?;
            ensure!(asset == Asset::Btc, "the code asks for BTC, not {asset}");
            Ok((asked.address, asked.amount.context("the code names no amount")?))
        }
        "ethereum" => {
            let asked = parse_eip681(uri)?;
            let evm = config.evm.iter().find(|evm| evm.chain_id == asked.chain_id);
            let evm = evm.with_context(|| format!("no network with id {}", asked.chain_id))?;
            let listed = match &asked.token {
                None => Some(evm.native),
                Some(token) => {
                    let same =
                        |t: &&chains_evm::TokenConfig| t.contract.eq_ignore_ascii_case(token);
                    evm.tokens.iter().find(same).map(|listed| listed.asset)
                }
            };
            ensure!(listed == Some(asset), "the code does not ask for {asset}");
            let minor = asked.minor.context("the code names no amount")?;
            Ok((asked.to, Amount::parse_minor(&minor, asset)?))
        }
        "solana" => {
            let asked = solana_pay::parse(uri)?;
            let mints = config.solana.iter().flat_map(|solana| &solana.mints);
            let listed = match &asked.spl_token {
                None => Some(Asset::Sol),
                Some(mint) => mints.into_iter().find(|m| m.mint == *mint).map(|m| m.asset),
            };
            ensure!(listed == Some(asset), "the code does not ask for {asset}");
            let [reference] = asked.references.as_slice() else {
                bail!("the code names no reference, or several");
            };
            let units = asked.amount.context("the code names no amount")?;
            Ok((reference.clone(), Amount::parse_units(&units, asset)?))
        }
        _ => bail!("no wallet here reads this code"),
    }
}

/// A share of an amount, in percent, rounded down.
///
/// # Errors
/// When it does not fit.
pub(crate) fn percent(amount: Amount, percent: i128) -> anyhow::Result<Amount> {
    let minor = amount.minor().checked_mul(percent).map(|p| p / 100).context("out of range")?;
    Ok(Amount::try_new(minor, amount.asset())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_not_shown() {
        let text = r#"{"network":"bitcoin","kind":"bitcoind",
            "rpc_url":"http://chukta:very-secret@127.0.0.1:18443"}"#;
        let shown = format!("{:?}", serde_json::from_str::<SandboxConfig>(text).unwrap());
        assert!(shown.contains("127.0.0.1") && !shown.contains("secret"), "{shown}");
        let error = serde_json::from_str::<SandboxConfig>(&text.replace("http", "")).err();
        assert!(!error.unwrap().to_string().contains("secret"));
    }
}
