//! `chukta refund`: what is owed back to payers, where it goes, and the proof that it went.
//!
//! Invariant: nothing is signed or sent here. A transaction counts as a refund when a final block
//! of its network shows exactly the amount at the address, read from our own node, and when it is
//! not a payer's own deposit.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use chains::{Chain, TxPlace};
use primitives::{Amount, Asset, DepositId, RefundId};
use settlement::{
    Base,
    deposit::Depth,
    policy,
    refund::{self, Paid, Refund},
};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Lists what is owed and has not left.
    List,
    /// Decides that a deposit that was set aside goes back.
    Promise {
        /// The deposit, `dep_…`: the subject of its case.
        deposit: String,
    },
    /// Notes where a payer wants it, and how they proved that the address is theirs.
    Address {
        /// The refund, `ref_…`.
        refund: String,
        address: String,
        #[arg(long)]
        proof: String,
    },
    /// Records the transaction that paid it, after reading it from the chain.
    Sent {
        /// The refund, `ref_…`.
        refund: String,
        #[arg(long)]
        tx: String,
        /// What the network took from our own address for it, in units of its coin.
        #[arg(long, requires = "fee_asset")]
        fee: Option<String>,
        #[arg(long)]
        fee_asset: Option<Asset>,
    },
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    match command {
        Command::List => list(&base).await?,
        Command::Promise { deposit } => {
            let deposit: DepositId = deposit.parse()?;
            let mut tx = base.pool.begin().await?;
            refund::promise_deposit_in(&mut tx, &base, deposit).await?;
            tx.commit().await?;
            println!("{deposit} is owed back");
        }
        Command::Address { refund, address, proof } => {
            let id: RefundId = refund.parse()?;
            let known = load(&base, id).await?;
            let chains = wiring::chains(config)?;
            let chain = chains.get(&known.network).context("its network is not configured")?;
            let canonical = chain.canonical(&address);
            let canonical = canonical
                .with_context(|| format!("{address} is not an address of {}", known.network))?;
            let mut tx = base.pool.begin().await?;
            refund::address_in(&mut tx, &base, id, &canonical, &proof).await?;
            tx.commit().await?;
            println!("{id}: {} goes to {canonical}", known.amount);
        }
        Command::Sent { refund, tx, fee, fee_asset } => {
            let id: RefundId = refund.parse()?;
            let fee = fee.zip(fee_asset).map(|(fee, asset)| Amount::parse_units(&fee, asset));
            sent(config, &base, id, &tx, fee.transpose().context("--fee")?).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(base: &Base) -> anyhow::Result<()> {
    let mut conn = base.pool.acquire().await?;
    for owed in refund::open(&mut conn).await? {
        let payment = owed.payment.map_or_else(|| "no payment".to_owned(), |id| id.to_string());
        println!(
            "{}  {}  {}  {} on {}  {}  {payment}  {}",
            owed.promised_at.format("%Y-%m-%d %H:%M:%S"),
            owed.id,
            owed.state,
            owed.amount,
            owed.network,
            owed.kind,
            owed.address.as_deref().unwrap_or("no address yet"),
        );
    }
    Ok(())
}

async fn load(base: &Base, id: RefundId) -> anyhow::Result<Refund> {
    let mut conn = base.pool.acquire().await?;
    refund::get_in(&mut conn, id).await?.with_context(|| format!("no refund {id}"))
}

async fn sent(
    config: &Config,
    base: &Base,
    id: RefundId,
    tx_id: &str,
    network_fee: Option<Amount>,
) -> anyhow::Result<()> {
    let known = load(base, id).await?;
    let chains = wiring::chains(config)?;
    let chain = chains.get(&known.network).context("its network is not configured")?;
    let mut paid = look(base, chain.as_ref(), &known, tx_id).await?;
    paid.network_fee = network_fee;
    let mut tx = base.pool.begin().await?;
    refund::sent_in(&mut tx, base, id, &paid).await?;
    tx.commit().await?;
    println!("{id}: {} was sent in {}", known.amount, paid.tx_id);
    Ok(())
}

/// What a final block shows of the transaction.
async fn look(base: &Base, chain: &dyn Chain, known: &Refund, tx_id: &str) -> anyhow::Result<Paid> {
    let address = known.address.clone().context("no address was noted for it yet")?;
    let place = chain.locate(tx_id, &[]).await?;
    if !matches!(place, TxPlace::Included { succeeded: true, .. }) {
        bail!("the transaction is not in a block, or it failed");
    }
    let asset = known.amount.asset();
    let found = chain.outgoing(tx_id, &address, asset).await?;
    let found = found.into_iter().find(|outgoing| outgoing.amount == known.amount);
    let found = found.with_context(|| {
        format!("the transaction does not bring {} to {address} from us", known.amount)
    })?;
    ensure!(
        !is_a_deposit(base, known, &found.tx_id).await?,
        "the transaction is itself a deposit: what a payer sent is no refund"
    );
    let head = chain.head().await?;
    let depth = Depth { latest: head.latest.height, safe: head.safe, finalized: head.finalized };
    let rule = {
        let mut conn = base.pool.acquire().await?;
        policy::current_in(&mut conn, base, &known.network, asset).await?.tier(None)?.last
    };
    let now = chain.block_at(found.block.height).await?;
    let stands = now.is_some_and(|now| now.hash == found.block.hash);
    ensure!(
        stands && rule.is_met(depth, found.block.height),
        "the transaction is not final yet: ask again later"
    );
    Ok(Paid {
        network: known.network.clone(),
        tx_id: found.tx_id,
        ordinal: i64::from(found.ordinal),
        to: address,
        amount: known.amount,
        block_hash: found.block.hash,
        network_fee: None,
    })
}

/// Whether the transaction brought us something: then whoever sent it was no hand of ours.
async fn is_a_deposit(base: &Base, known: &Refund, tx_id: &str) -> anyhow::Result<bool> {
    let known_to_us = sqlx::query_scalar(
        "select exists (select from deposits where network = $1 and tx_id = $2)",
    )
    .bind(known.network.as_str())
    .bind(tx_id)
    .fetch_one(&base.pool)
    .await?;
    Ok(known_to_us)
}
