//! The suite every chain passes, on anvil.

use chains_conformance::Subject;
use chains_evm::{EvmChain, EvmConfig, TokenConfig};
use chains_evm_sandbox::{Anvil, AnvilOptions, AnvilSandbox, Payer, dev_payer_key};
use primitives::Asset;

use crate::world::config;

async fn start() -> Subject {
    let anvil = Anvil::start(AnvilOptions::default()).await.unwrap();
    let payer = Payer::connect(anvil.rpc_url(), dev_payer_key()).await.unwrap();
    let usdc = payer.deploy_token("USD Coin", "USDC", 6).await.unwrap();
    let usdt = payer.deploy_token("Tether USD", "USDT", 6).await.unwrap();
    let mut settings = config(&[anvil.rpc_url()], &usdc);
    let other = TokenConfig { asset: Asset::Usdt, contract: usdt.clone(), decimals: 6 };
    settings.tokens.push(other);
    let ws = anvil.rpc_url().replace("http://", "ws://").parse().unwrap();
    let settings = EvmConfig { ws_urls: vec![ws], ..settings };
    let tokens = vec![(Asset::Usdc, usdc), (Asset::Usdt, usdt)];
    let sandbox = AnvilSandbox::open(payer, tokens).await.unwrap();
    let chain = EvmChain::connect(&settings).unwrap();
    Subject { chain: Box::new(chain), sandbox: Box::new(sandbox), node: Box::new(anvil) }
}

chains_conformance::suite!(start);
