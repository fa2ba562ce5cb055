//! A second EVM network is one entry more in the settings. Each network reads its own nodes and
//! refuses the other's, whatever they show.

use chains::{Chain as _, ReadError, TxPlace};
use chains_evm::{EvmChain, EvmConfig};
use chains_evm_sandbox::{Anvil, AnvilOptions, Payer, dev_account, dev_payer_key};
use primitives::Asset;
use serde_json::{Value, json};

use crate::{
    head::untrusted,
    world::{amounts, by_hash, place, seen_by, usdc_minor, watched, wei},
};

/// A node of one network, with a USDC of its own.
struct Site {
    anvil: Anvil,
    payer: Payer,
    usdc: String,
}

impl Site {
    async fn start(chain_id: u64) -> Self {
        let options = AnvilOptions { chain_id, ..AnvilOptions::default() };
        let anvil = Anvil::start(options).await.unwrap();
        let payer = Payer::connect(anvil.rpc_url(), dev_payer_key()).await.unwrap();
        let usdc = payer.deploy_token("USD Coin", "USDC", 6).await.unwrap();
        payer.mint(&usdc, &payer.address(), usdc_minor(1_000_000)).await.unwrap();
        Self { anvil, payer, usdc }
    }

    /// The entry as an operator writes it.
    fn entry(&self, network: &str, account: u32) -> Value {
        json!({
            "network": network,
            "chain_id": self.payer.chain_id(),
            "rpc_urls": [self.anvil.rpc_url()],
            "xpub": dev_account(account).unwrap(),
            "tokens": [{"asset": "USDC", "contract": self.usdc, "decimals": 6}],
        })
    }
}

/// Two networks from one table.
struct Two {
    sites: [Site; 2],
    settings: Vec<EvmConfig>,
    chains: Vec<EvmChain>,
}

impl Two {
    async fn start() -> Self {
        let sites = [Site::start(31_337).await, Site::start(8_453).await];
        let table = json!([sites[0].entry("ethereum", 0), sites[1].entry("base", 1)]);
        let settings: Vec<EvmConfig> = serde_json::from_str(&table.to_string()).unwrap();
        let chains = settings.iter().map(|entry| EvmChain::connect(entry).unwrap()).collect();
        Self { sites, settings, chains }
    }
}

#[tokio::test]
async fn a_second_network_is_one_entry_more() {
    let two = Two::start().await;
    for ((site, chain), name) in two.sites.iter().zip(&two.chains).zip(["ethereum", "base"]) {
        assert_eq!(chain.network().as_str(), name);
        assert!(chain.examine().await.iter().all(|node| node.problem.is_none()), "{name}");
        let to = chain.derive(0).unwrap().address;
        let coins = site.payer.send_native(&to, wei(5)).await.unwrap();
        assert_eq!(amounts(&seen_by(chain, &coins).await), [(0, to.clone(), wei(5))]);
        let tokens = site.payer.send_token(&site.usdc, &to, usdc_minor(7)).await.unwrap();
        assert_eq!(amounts(&seen_by(chain, &tokens).await), [(1, to.clone(), usdc_minor(7))]);
        let chain_id = site.payer.chain_id();
        let uri = chain.payment_uri(&to, wei(5)).unwrap();
        assert_eq!(uri, format!("ethereum:{to}@{chain_id}?value=5"));
        assert!(chain.payment_uri_template(Asset::Usdc).unwrap().contains(&site.usdc));
    }
    let addresses = two.chains.iter().map(|chain| chain.derive(0).unwrap().address);
    let addresses: Vec<String> = addresses.collect();
    assert_ne!(addresses[0], addresses[1], "networks have keys of their own");
}

#[tokio::test]
async fn each_network_refuses_the_node_of_the_other() {
    let two = Two::start().await;
    for (ours, theirs) in [(0, 1), (1, 0)] {
        let other = &two.settings[theirs];
        let settings = EvmConfig { rpc_urls: other.rpc_urls.clone(), ..two.settings[ours].clone() };
        let chain = EvmChain::connect(&settings).unwrap();
        let to = chain.derive(0).unwrap().address;
        let tx = two.sites[theirs].payer.send_native(&to, wei(5)).await.unwrap();
        let (_, hash) = place(&two.chains[theirs], &tx).await;
        assert!(untrusted(&chain.head().await));
        assert!(untrusted(&chain.block_at(1).await));
        assert!(untrusted(&chain.read_block(&by_hash(&hash), &watched(&chain)).await));
        assert!(untrusted(&chain.locate(&tx, &[]).await));
        assert!(untrusted(&chain.held(&[to], Asset::Eth).await));
        let problem = chain.examine().await.remove(0).problem.unwrap();
        let (is, wanted) = (other.chain_id, settings.chain_id);
        assert_eq!(problem, format!("chain id is {is}, wanted {wanted}"));

        // As a stand-in for one that is down it is refused as well.
        let mut rpc_urls = vec!["http://127.0.0.1:1".parse().unwrap()];
        rpc_urls.extend(other.rpc_urls.clone());
        let chain = EvmChain::connect(&EvmConfig { rpc_urls, ..settings }).unwrap();
        let head = chain.head().await;
        assert!(matches!(head, Err(ReadError::Unavailable(_))), "{head:?}");
    }
}

// The same address exists on every EVM network. Coins of another one are not ours to count.
#[tokio::test]
async fn a_payment_on_the_other_network_is_not_seen_here() {
    let two = Two::start().await;
    let (here, there) = (&two.chains[0], &two.sites[1]);
    let to = here.derive(0).unwrap().address;
    let coins = there.payer.send_native(&to, wei(5)).await.unwrap();
    let tokens = there.payer.send_token(&there.usdc, &to, usdc_minor(7)).await.unwrap();
    for tx in [coins, tokens] {
        assert_eq!(here.locate(&tx, &[]).await, Ok(TxPlace::Absent));
        let (height, hash) = place(&two.chains[1], &tx).await;
        let read = here.read_block(&by_hash(&hash), &watched(here)).await;
        assert_eq!(read, Err(ReadError::UnknownBlock));
        if let Some(block) = here.block_at(height).await.unwrap() {
            assert_eq!(here.read_block(&block, &watched(here)).await.unwrap().sightings, []);
        }
    }
    assert_eq!(here.held(&[to], Asset::Eth).await, Ok(wei(0)));
}
