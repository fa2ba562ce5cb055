//! The real signer behind its socket, and real nodes: what a carrier drafts is signed, sent, bumped
//! and mined, and the signer counts what left once.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use chains::{
    Chain as _, TxPlace,
    carrier::{
        Carrier, Draft, DraftError, KeyRef, Movable, SignedTx, Source, Standing, Wish, Witnessed,
    },
    sandbox::Sandbox as _,
};
use primitives::{Amount, Asset, NetworkId, SystemClock};
use signer::{Config, FileKeys, LocalSigner, SANDBOX_SECRETS, Secrets, Server};
use signing::{Intent, Purpose, SignError, Signer as _, SocketSigner};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

const EVM_VENUE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const SOL_VENUE: &str = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
const ETHER: i128 = 1_000_000_000_000_000_000;

/// A signer that allows one network and one venue. Its folder goes with it.
struct Desk {
    _folder: TempDir,
    client: SocketSigner,
    stop: Option<oneshot::Sender<()>>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }
}

impl Desk {
    fn open(network: &str, limits: &str, allowed: (&str, &str)) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let settings = format!(
            "socket = \"run/signer.sock\"\nkeys = \"keys.json\"\npassphrase_file = \"passphrase\"\n\
             log = \"signer.log\"\nallow_list = \"allow.toml\"\nactivation_delay_s = 0\n\
             [[networks]]\n{network}\n{limits}"
        );
        let (name, venue) = allowed;
        let list = format!(
            "version = 1\n[[allow]]\nnetwork = \"{name}\"\npurpose = \"fund_venue\"\n\
             address = \"{venue}\"\nassets = [\"BTC\", \"ETH\", \"SOL\", \"USDC\"]\n"
        );
        for (name, text) in [("signer.toml", settings), ("allow.toml", list)] {
            fs::write(path(name), text)?;
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o600))?;
        }
        let config = Config::load(&path("signer.toml"))?;
        let keys = FileKeys::new(&Secrets::parse(SANDBOX_SECRETS)?, &config.networks)?;
        let service = LocalSigner::start(&config, Arc::new(keys), Arc::new(SystemClock))?;
        let server = Server::bind(&config.socket, config.clients)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Arc::new(service);
        tokio::spawn(async move {
            let stop = async move {
                stopped.await.ok();
            };
            server.serve(service, stop).await.ok();
        });
        let client = SocketSigner::connect(config.socket, Duration::from_secs(20));
        Ok(Self { _folder: folder, client, stop: Some(stop) })
    }

    async fn ask(
        &self,
        network: &NetworkId,
        purpose: Purpose,
        draft: &Draft,
    ) -> Result<SignedTx, SignError> {
        let intent = Intent {
            id: next_id(),
            purpose,
            network: network.clone(),
            to: draft.to.clone(),
            amount: draft.amount,
            fee_max: draft.fee_max,
            to_index: (purpose == Purpose::Gas).then_some(0),
            unsigned: draft.unsigned.clone(),
        };
        let signed = self.client.sign(&intent).await?;
        // The same question is the same transaction, for ever.
        assert_eq!(self.client.sign(&intent).await, Ok(signed.clone()));
        Ok(signed)
    }
}

/// One that was never used in this process: every question is another attempt.
fn next_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn limit(purpose: &str, asset: Asset, per_tx: i128, per_hour: i128) -> String {
    format!(
        "[[limits]]\npurpose = \"{purpose}\"\nasset = \"{asset}\"\nper_tx = \"{per_tx}\"\n\
         per_hour = \"{per_hour}\"\nper_day = \"{per_hour}\"\n"
    )
}

fn over_limit(answer: &Result<SignedTx, SignError>) -> bool {
    matches!(answer, Err(SignError::Refused { code, .. }) if code == "over_limit")
}

/// That the transaction stands in its block at every node, and what it cost.
async fn stood<T: chains::Chain + Carrier>(chain: &T, tx: &str) -> Result<Amount> {
    let TxPlace::Included { height, block_hash, succeeded } = chain.locate(tx, &[]).await? else {
        bail!("{tx} is in no block")
    };
    let standing = Standing { block_hash: &block_hash, height, succeeded };
    Witnessed::new(chain).stands(tx, standing).await?;
    ensure!(succeeded, "{tx} failed");
    chain.cost(tx).await?.context("a block without a cost")
}

#[tokio::test]
async fn a_consolidation_of_bitcoins_is_replaced_and_counted_once() -> Result<()> {
    use chains_bitcoin::{BitcoinChain, BitcoinConfig, BitcoinNetwork};
    use chains_bitcoin_sandbox::{Bitcoind, BitcoindOptions, Payer, dev_xpub, venue_address};
    let node = Bitcoind::start(BitcoindOptions::default()).await?;
    let payer = Payer::connect(node.rpc_url()).await?;
    let network = NetworkId::new("bitcoin").unwrap();
    let settings = BitcoinConfig::new(
        network.clone(),
        BitcoinNetwork::Regtest,
        node.rpc_url().parse()?,
        dev_xpub(),
    );
    let chain = BitcoinChain::connect(&settings)?;
    let venue = venue_address()?;
    let own = "kind = \"bitcoin\"\nnetwork = \"bitcoin\"\nchain = \"regtest\"\n\
        path = \"m/84'/0'/0'\"\n\
        fee = { per_tx = \"20000\", per_hour = \"100000\", per_day = \"100000\" }\n";
    let limits = limit("fund_venue", Asset::Btc, 90_000, 90_000);
    let desk = Desk::open(own, &limits, ("bitcoin", &venue))?;
    let mut deposits = Vec::new();
    for (index, sats) in [(0, 10_000), (1, 20_000), (2, 30_000), (3, 50_000)] {
        let address = chain.derive(index).map_err(anyhow::Error::msg)?.address;
        let tx = payer.pay_many(&[(&address, sats)]).await?;
        let amount = Amount::try_new(i128::from(sats), Asset::Btc)?;
        let source = Source { address, key: KeyRef::Deposit(index) };
        deposits.push(Movable { source, amount, outpoint: Some(format!("{tx}:0")) });
    }
    payer.mine(1).await?;
    let wish = Wish { from: deposits[..3].to_vec(), to: venue.clone(), amount: None };
    let first = chain.draft(&wish).await?;
    let old = desk.ask(&network, Purpose::FundVenue, &first).await?;
    chain.send(&old).await?;
    // 60 000 of 90 000 an hour are used: the same coins again are not more.
    let second = chain.bump(&first).await?;
    let new = desk.ask(&network, Purpose::FundVenue, &second).await?;
    chain.send(&new).await?;
    let other = Wish { from: deposits[3..].to_vec(), to: venue, amount: None };
    let other = chain.draft(&other).await?;
    assert!(over_limit(&desk.ask(&network, Purpose::FundVenue, &other).await));
    payer.mine(1).await?;
    assert_eq!(stood(&chain, &new.tx_id).await?, second.fee_max);
    assert_eq!(chain.cost(&old.tx_id).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_token_is_fuelled_bumped_and_arrives_once() -> Result<()> {
    use chains_evm::{EvmChain, EvmConfig, TokenConfig};
    use chains_evm_sandbox::{Anvil, AnvilOptions, Payer, dev_payer_key, dev_xpub};
    let anvil = Anvil::start(AnvilOptions::default()).await?;
    let payer = Payer::connect(anvil.rpc_url(), dev_payer_key()).await?;
    let contract = payer.deploy_token("USD Coin", "USDC", 6).await?;
    let network = NetworkId::new("ethereum").unwrap();
    let rpc = anvil.rpc_url().parse()?;
    let settings = EvmConfig {
        tokens: vec![TokenConfig { asset: Asset::Usdc, contract: contract.clone(), decimals: 6 }],
        ..EvmConfig::new(network.clone(), 31_337, rpc, dev_xpub())
    };
    let chain = EvmChain::connect(&settings)?;
    let own = format!(
        "kind = \"evm\"\nnetwork = \"ethereum\"\nchain_id = 31337\n\
         tokens = [{{ asset = \"USDC\", contract = \"{contract}\" }}]\n\
         fee = {{ per_tx = \"{ETHER}\", per_hour = \"{ETHER}\", per_day = \"{ETHER}\" }}\n"
    );
    let limits = limit("fund_venue", Asset::Usdc, 5_000_000, 7_000_000)
        + &limit("gas", Asset::Eth, ETHER / 10, ETHER / 10);
    let desk = Desk::open(&own, &limits, ("ethereum", EVM_VENUE))?;
    let address = chain.derive(0).map_err(anyhow::Error::msg)?.address;
    let from = Source { address: address.clone(), key: KeyRef::Deposit(0) };
    let station = chain.gas_station().context("a station")?;
    let usdc = Amount::try_new(5_000_000, Asset::Usdc)?;
    payer.mint(&contract, &address, usdc).await?;
    payer.send_native(&station.address, Amount::try_new(ETHER, Asset::Eth)?).await?;
    let place = Movable { source: from, amount: usdc, outpoint: None };
    let wish = Wish { from: vec![place], to: EVM_VENUE.to_owned(), amount: None };
    let Err(DraftError::NeedsGas(gas)) = chain.draft(&wish).await else { bail!("gas already") };
    // Room for two bumps.
    let part = Some(Amount::try_new(gas.minor() * 3, Asset::Eth)?);
    let held = chain.movable(&[station], Asset::Eth).await?;
    let top_up = chain.draft(&Wish { from: held, to: address, amount: part }).await?;
    let elsewhere = desk.ask(&network, Purpose::FundVenue, &top_up).await;
    assert!(matches!(elsewhere, Err(SignError::Refused { .. })), "gas is gas: {elsewhere:?}");
    let fuel = desk.ask(&network, Purpose::Gas, &top_up).await?;
    chain.send(&fuel).await?;
    ensure!(payer.wait(&fuel.tx_id).await?, "no fuel");
    payer.set_automine(false).await?;
    let mut draft = chain.draft(&wish).await?;
    let mut sent = Vec::new();
    for _ in 0..3 {
        let signed = desk.ask(&network, Purpose::FundVenue, &draft).await?;
        chain.send(&signed).await?;
        sent.push(signed);
        draft = chain.bump(&draft).await?;
    }
    payer.mine(1).await?;
    let (last, lost) = sent.split_last().context("three")?;
    assert!(stood(&chain, &last.tx_id).await?.is_positive());
    for tx in lost {
        assert_eq!(chain.cost(&tx.tx_id).await?, None);
    }
    let arrived = chain.outgoing(&last.tx_id, EVM_VENUE, Asset::Usdc).await?;
    assert_eq!(arrived.iter().map(|one| one.amount).collect::<Vec<_>>(), [usdc]);
    let seen = chain.held(&[EVM_VENUE.to_owned()], Asset::Usdc).await?;
    assert_eq!(seen, usdc, "once");
    Ok(())
}

#[tokio::test]
async fn an_expired_transfer_is_signed_anew_and_arrives_once() -> Result<()> {
    use chains_solana::SolanaChain;
    use chains_solana_sandbox::{
        Payer, Surfnet, SurfnetOptions, dev_config, dev_mints, dev_wallet,
    };
    let node = Surfnet::start(SurfnetOptions::default()).await?;
    let payer = Payer::connect(node.rpc_url(), &dev_wallet()).await?;
    let network = NetworkId::new("solana").unwrap();
    let chain = SolanaChain::connect(&dev_config(network.clone(), &node)?)?;
    let mint = dev_mints().first().context("a mint")?.mint.clone();
    let own = format!(
        "kind = \"solana\"\nnetwork = \"solana\"\n\
         tokens = [{{ asset = \"USDC\", mint = \"{mint}\", decimals = 6 }}]\n\
         fee = {{ per_tx = \"3000000\", per_hour = \"10000000\", per_day = \"10000000\" }}\n"
    );
    let limits = limit("fund_venue", Asset::Usdc, 5_000_000, 10_000_000);
    let desk = Desk::open(&own, &limits, ("solana", SOL_VENUE))?;
    let reference = chain.derive(0).map_err(anyhow::Error::msg)?.address;
    payer.pay(&reference, Amount::try_new(500_000_000, Asset::Sol)?).await?;
    payer.pay(&reference, Amount::try_new(9_000_000, Asset::Usdc)?).await?;
    payer.finalize().await?;
    let source = Source { address: dev_wallet(), key: KeyRef::Deposit(0) };
    let from = chain.movable(&[source], Asset::Usdc).await?;
    let part = Amount::try_new(4_000_000, Asset::Usdc)?;
    let wish = Wish { from, to: SOL_VENUE.to_owned(), amount: Some(part) };
    let first = chain.draft(&wish).await?;
    let lost = desk.ask(&network, Purpose::FundVenue, &first).await?;
    // Never sent, and its time is over.
    ensure!(chain.bump(&first).await.is_err(), "it may still be sent");
    payer.new_blockhash().await?;
    payer.mine(200).await?;
    let second = chain.bump(&first).await?;
    let signed = desk.ask(&network, Purpose::FundVenue, &second).await?;
    chain.send(&signed).await?;
    // The account of the receiver is made at our cost, and that is in what it cost.
    assert_eq!(stood(&chain, &signed.tx_id).await?, second.fee_max);
    let late = chain.send(&lost).await;
    assert!(late.is_err(), "{late:?}");
    let arrived = chain.outgoing(&signed.tx_id, SOL_VENUE, Asset::Usdc).await?;
    assert_eq!(arrived.iter().map(|one| one.amount).collect::<Vec<_>>(), [part]);
    // Nothing on this network keeps two of them apart, so the signer has counted both.
    let third = chain.draft(&Wish { amount: Some(part), ..wish.clone() }).await;
    let held = Wish { from: vec![], ..wish };
    assert!(third.is_err() && chain.draft(&held).await.is_err(), "it holds less by now");
    let source = Source { address: dev_wallet(), key: KeyRef::Deposit(0) };
    let from = chain.movable(&[source], Asset::Usdc).await?;
    let rest = Wish { from, to: SOL_VENUE.to_owned(), amount: Some(part) };
    let third = chain.draft(&rest).await?;
    assert!(over_limit(&desk.ask(&network, Purpose::FundVenue, &third).await));
    Ok(())
}
