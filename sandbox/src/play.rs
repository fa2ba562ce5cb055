//! `pay`, `mine` and `reorg`: what payers, miners and bad luck do, on local nodes.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, bail, ensure};
use chains::sandbox::{Keep, Sandbox};
use cli::{
    config::{Config, PayerKind},
    wiring,
};
use primitives::{Amount, Asset, NetworkId, PaymentId};
use settlement::{
    Base,
    quote::{self, Quote},
};

use crate::payers::{self, percent};

/// How a payment is paid.
#[derive(Debug, clap::Args)]
pub(crate) struct Pay {
    /// The payment's id, `pay_…`.
    payment: PaymentId,
    /// What to pay in; the payment's newest quote when absent.
    #[arg(long, value_parser = asset)]
    asset: Option<Asset>,
    /// Where to pay; the first network that quotes the asset when absent.
    #[arg(long, value_parser = network)]
    network: Option<NetworkId>,
    /// Pays three fifths.
    #[arg(long, group = "how")]
    short: bool,
    /// Pays a fifth too much.
    #[arg(long, group = "how")]
    over: bool,
    /// Waits until the payment has ended, then pays.
    #[arg(long, group = "how")]
    late: bool,
    /// Pays in two parts.
    #[arg(long, group = "how")]
    split: bool,
    /// Pays with a token that only calls itself like the asset.
    #[arg(long, group = "how")]
    wrong_token: bool,
}

/// Which chain, and how many blocks.
#[derive(Debug, clap::Args)]
pub(crate) struct Mine {
    /// Every local chain when absent.
    #[arg(long, value_parser = network)]
    network: Option<NetworkId>,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    blocks: u32,
}

/// Which chain, how deep, and what becomes of the payments in the blocks that go.
#[derive(Debug, clap::Args)]
pub(crate) struct Reorg {
    /// Every local chain when absent.
    #[arg(long, value_parser = network)]
    network: Option<NetworkId>,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    depth: u32,
    /// The payments are in the new branch too, in other blocks.
    #[arg(long)]
    keep: bool,
}

fn asset(text: &str) -> Result<Asset, String> {
    let crypto = text.to_ascii_uppercase().parse::<Asset>().ok().filter(|a| a.is_crypto());
    crypto.ok_or_else(|| "one of BTC, ETH, SOL, USDC, USDT".to_owned())
}

fn network(text: &str) -> Result<NetworkId, String> {
    NetworkId::new(text).ok_or_else(|| "not the name of a network".to_owned())
}

pub(crate) async fn pay(config: &Config, options: &Pay) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let quote = chosen(&base, config, options).await?;
    let payer = payers::open(config, &quote.network).await?;
    let (to, amount) = payers::scan(config, &quote.uri, quote.asset)?;
    ensure!(to == quote.address, "the code names another address than the quote");
    if options.late {
        wait_for_the_end(&base, options.payment).await?;
    }
    for part in parts(options, amount)? {
        let tx = if options.wrong_token {
            payer.pay_lookalike(&to, part).await?
        } else {
            payer.pay(&to, part).await?
        };
        println!("paid {part} on {} to {to}: {tx}", quote.network);
    }
    if waits_for_a_miner(config, &quote.network) {
        println!("waits for a block: chukta mine --network {}", quote.network);
    }
    Ok(ExitCode::SUCCESS)
}

fn parts(options: &Pay, amount: Amount) -> anyhow::Result<Vec<Amount>> {
    Ok(match options {
        Pay { short: true, .. } => vec![percent(amount, 60)?],
        Pay { over: true, .. } => vec![percent(amount, 120)?],
        Pay { split: true, .. } => {
            let first = percent(amount, 40)?;
            vec![first, amount.checked_sub(first)?]
        }
        _ => vec![amount],
    })
}

/// Only this kind makes no block of its own accord.
fn waits_for_a_miner(config: &Config, network: &NetworkId) -> bool {
    let of_network = config.sandbox.iter().find(|settings| settings.network == *network);
    of_network.is_some_and(|settings| settings.kind == PayerKind::Bitcoind)
}

/// The quote to pay: the one that is there, or a new one.
async fn chosen(base: &Base, config: &Config, options: &Pay) -> anyhow::Result<Quote> {
    let mut conn = base.pool.acquire().await?;
    let quotes = quote::of_payment(&mut conn, options.payment).await?;
    let fits = |quote: &&Quote| {
        options.asset.is_none_or(|asset| quote.asset == asset)
            && options.network.as_ref().is_none_or(|network| quote.network == *network)
    };
    if let Some(newest) = quotes.iter().rev().find(fits) {
        return Ok(newest.clone());
    }
    let Some(asset) = options.asset else {
        bail!("the payment has no quote: name an --asset to pay in");
    };
    let methods = quote::options(&mut conn, base).await?;
    let fits = |method: &&(NetworkId, Asset)| {
        method.1 == asset && options.network.as_ref().is_none_or(|network| method.0 == *network)
    };
    let (network, asset) = methods.iter().find(fits).context("nobody can pay this here")?.clone();
    let merchant: uuid::Uuid = sqlx::query_scalar("select merchant_id from payments where id = $1")
        .bind(options.payment.uuid())
        .fetch_optional(&mut *conn)
        .await?
        .context("no such payment")?;
    drop(conn);
    // It tells why, where there is no price.
    wiring::board(config, base).latest(asset).await?;
    let mut tx = base.pool.begin().await?;
    let merchant = primitives::MerchantId::from_uuid(merchant);
    let method = (&network, asset);
    let quote = quote::create_in(&mut tx, base, merchant, options.payment, method).await?;
    tx.commit().await?;
    Ok(quote)
}

async fn wait_for_the_end(base: &Base, payment: PaymentId) -> anyhow::Result<()> {
    println!("waiting for the payment to end");
    loop {
        let state: String = sqlx::query_scalar("select state from payments where id = $1")
            .bind(payment.uuid())
            .fetch_optional(&base.pool)
            .await?
            .context("no such payment")?;
        match state.as_str() {
            "awaiting_deposit" | "confirming" => {}
            _ => return Ok(()),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The chain that was named, or all local ones.
fn chosen_chains(config: &Config, named: Option<&NetworkId>) -> anyhow::Result<Vec<NetworkId>> {
    let chains: Vec<NetworkId> = match named {
        Some(network) => vec![network.clone()],
        None => config.sandbox.iter().map(|settings| settings.network.clone()).collect(),
    };
    ensure!(!chains.is_empty(), "no [[sandbox]] in the settings");
    Ok(chains)
}

pub(crate) async fn mine(config: &Config, options: &Mine) -> anyhow::Result<ExitCode> {
    for network in chosen_chains(config, options.network.as_ref())? {
        let miner: Box<dyn Sandbox> = payers::open(config, &network).await?;
        miner.mine(options.blocks).await?;
        println!("{} blocks mined on {network}", options.blocks);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn reorg(config: &Config, options: &Reorg) -> anyhow::Result<ExitCode> {
    let keep = if options.keep { Keep::Everything } else { Keep::Nothing };
    let what = if options.keep { "their payments kept" } else { "their payments gone" };
    for network in chosen_chains(config, options.network.as_ref())? {
        let miner = payers::open(config, &network).await?;
        miner.reorg(options.depth, keep).await?;
        println!("the last {} blocks of {network} replaced, {what}", options.depth);
    }
    Ok(ExitCode::SUCCESS)
}
