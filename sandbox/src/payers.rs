//! Payers on local nodes: which network they pay on, and how they read a QR.
//!
//! Invariant: every payer refuses a node that is not a local one of its kind.

use anyhow::{Context as _, bail, ensure};
use chains::{bip21, parse_eip681, sandbox::Sandbox, solana_pay};
use cli::config::{Config, PayerKind};
use primitives::{Amount, Asset, NetworkId};

/// The payer of a network.
///
/// # Errors
/// When the network has none, or its node is not a local one of the kind named.
pub(crate) async fn open(config: &Config, network: &NetworkId) -> anyhow::Result<Box<dyn Sandbox>> {
    let settings = config.sandbox.iter().find(|settings| settings.network == *network);
    let settings = settings.with_context(|| format!("network {network} has no [[sandbox]]"))?;
    let url = settings.rpc_url.as_str();
    Ok(match settings.kind {
        PayerKind::Anvil => {
            let evm = config.evm.iter().find(|evm| evm.network == *network);
            let evm = evm.with_context(|| format!("network {network} is no [[evm]]"))?;
            let key = chains_evm_sandbox::dev_payer_key();
            let payer = chains_evm_sandbox::Payer::connect(url, key).await?;
            let tokens = evm.tokens.iter().map(|t| (t.asset, t.contract.clone())).collect();
            Box::new(chains_evm_sandbox::AnvilSandbox::open(payer, tokens).await?)
        }
        PayerKind::Bitcoind => Box::new(chains_bitcoin_sandbox::Payer::connect(url).await?),
        PayerKind::Surfnet => {
            let solana = config.solana.iter().find(|solana| solana.network == *network);
            let solana = solana.with_context(|| format!("network {network} is no [[solana]]"))?;
            Box::new(chains_solana_sandbox::Payer::connect(url, &solana.wallet).await?)
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
