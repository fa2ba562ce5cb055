//! EIP-7708: where it is live, coins are read from the logs of a pseudo contract. No local node has
//! the fork, so a proxy adds the logs that it would show.

use std::sync::Arc;

use alloy::primitives::U256;
use chains::{BlockFacts, Chain as _, ReadError, TxPlace};
use chains_evm::{EvmChain, EvmConfig, TokenConfig};
use primitives::Asset;
use serde_json::{Value, json};

use crate::{
    fakes_shapes::{PSEUDO, topic, transfer, word},
    head::untrusted,
    proxy::{Proxy, with_result},
    world::{World, amounts, by_hash, config, place, problem, usdc_minor, watched, wei},
};

/// Coins as the fork logs them: transaction, payer, payee, how many.
type Logged = (String, String, String, U256);

/// 5 wei to the first address; 7 units of USDC to the second; 9 wei from a wallet to the third.
struct Fork {
    world: World,
    hash: String,
    logged: Vec<Logged>,
}

impl Fork {
    async fn start() -> Self {
        let world = World::start().await;
        let (payer, from) = (&world.payer, world.payer.address());
        let wallet = payer.deploy_wallet().await.unwrap();
        payer.set_automine(false).await.unwrap();
        let plain = payer.send_native(&world.address(0), wei(5)).await.unwrap();
        payer.send_token(&world.usdc, &world.address(1), usdc_minor(7)).await.unwrap();
        let inner = payer.wallet_pay(&wallet, &world.address(2), wei(9)).await.unwrap();
        payer.mine(1).await.unwrap();
        let (_, hash) = place(&world.chain, &plain).await;
        let logged = vec![
            (plain, from.clone(), world.address(0), U256::from(5)),
            (inner.clone(), from, wallet.clone(), U256::from(9)),
            (inner, wallet, world.address(2), U256::from(9)),
        ];
        Self { world, hash, logged }
    }

    fn chain(&self, url: &str, on: bool) -> EvmChain {
        let settings = config(&[url], &self.world.usdc);
        EvmChain::connect(&EvmConfig { native_transfer_logs: on, ..settings }).unwrap()
    }

    /// The block with logs added to the list, and others to the receipts.
    async fn proxy(&self, listed: &[Logged], in_receipts: &[Logged]) -> Proxy {
        let (listed, in_receipts): (Arc<[Logged]>, Arc<[Logged]>) =
            (listed.into(), in_receipts.into());
        let hash = self.hash.clone();
        Proxy::start(self.world.anvil.rpc_url(), move |method, mut answer| {
            let result = &mut answer["result"];
            match method {
                "eth_getLogs" => {
                    let more = (1_000..).zip(&*listed).map(|(n, logged)| log(&hash, n, logged));
                    result.as_array_mut().unwrap().extend(more);
                }
                "eth_getTransactionReceipt" => add_to(result, &hash, &in_receipts),
                _ => {}
            }
            Some(answer)
        })
        .await
    }

    async fn read(
        &self,
        on: bool,
        listed: &[Logged],
        in_receipts: &[Logged],
    ) -> Result<BlockFacts, ReadError> {
        let proxy = self.proxy(listed, in_receipts).await;
        let chain = self.chain(&proxy.url, on);
        chain.read_block(&by_hash(&self.hash), &watched(&chain)).await
    }

    async fn by_traces(&self) -> BlockFacts {
        let chain = &self.world.chain;
        chain.read_block(&by_hash(&self.hash), &watched(chain)).await.unwrap()
    }
}

fn log(block: &str, number: usize, (tx, from, to, value): &Logged) -> Value {
    let hex = |word: [u8; 32]| alloy::hex::encode_prefixed(word);
    json!({
        "address": PSEUDO, "topics": [hex(topic()), hex(word(from)), hex(word(to))],
        "data": hex(value.to_be_bytes()), "blockHash": block, "transactionHash": tx,
        "logIndex": format!("{number:#x}"), "removed": false,
    })
}

/// In front of what contracts log, everything renumbered.
fn add_to(receipt: &mut Value, block: &str, logged: &[Logged]) {
    let tx = receipt["transactionHash"].clone();
    let ours = logged.iter().filter(|(of, ..)| tx == json!(of));
    let mut logs: Vec<Value> = ours.map(|logged| log(block, 0, logged)).collect();
    logs.extend(receipt["logs"].as_array().cloned().unwrap_or_default());
    for (number, log) in logs.iter_mut().enumerate() {
        log["logIndex"] = json!(format!("{number:#x}"));
    }
    receipt["logs"] = json!(logs);
}

// The same facts, the same ordinals, one call fewer.
#[tokio::test]
async fn coins_are_read_from_logs_and_nothing_is_traced() {
    let fork = Fork::start().await;
    let proxy = fork.proxy(&fork.logged, &fork.logged).await;
    let chain = fork.chain(&proxy.url, true);
    chain.block(&fork.hash).await.unwrap();
    proxy.take_calls();
    let facts = chain.read_block(&by_hash(&fork.hash), &watched(&chain)).await.unwrap();
    assert_eq!(amounts(&facts.sightings).len(), 3);
    assert_eq!(facts, fork.by_traces().await);
    let receipt = "eth_getTransactionReceipt";
    let expected =
        ["eth_call", "eth_call", "eth_getBlockByHash", "eth_getLogs", receipt, receipt, receipt];
    assert_eq!(proxy.take_calls(), expected);
}

// Switched off, the very same answers bring nothing twice: not as coins, not as a token.
#[tokio::test]
async fn switched_off_such_logs_are_nothing() {
    let fork = Fork::start().await;
    let facts = fork.read(false, &fork.logged, &fork.logged).await.unwrap();
    assert_eq!(facts, fork.by_traces().await);
    let forged = [
        fork.logged.clone(),
        vec![(
            fork.logged[0].0.clone(),
            fork.world.payer.address(),
            fork.world.address(3),
            U256::from(1_000_000),
        )],
    ]
    .concat();
    assert_eq!(fork.read(false, &forged, &forged).await.unwrap(), facts);
}

// A network without the fork, or a node without it: its silence would be "nothing came".
#[tokio::test]
async fn a_network_without_the_fork_is_found_out() {
    let fork = Fork::start().await;
    let chain = fork.chain(fork.world.anvil.rpc_url(), true);
    let read = chain.read_block(&by_hash(&fork.hash), &watched(&chain)).await;
    let Err(ReadError::Untrusted(why)) = &read else { panic!("{read:?}") };
    assert!(why.contains("native_transfer_logs"), "{why}");
    let sentence = problem(&chain).await.unwrap();
    assert!(sentence.contains("EIP-7708 is not live"), "{sentence}");
    assert_eq!(problem(&fork.chain(fork.world.anvil.rpc_url(), false)).await, None);
}

#[tokio::test]
async fn logs_and_receipts_must_agree() {
    let fork = Fork::start().await;
    let (all, short) = (&fork.logged, &fork.logged[..2]);
    for (what, listed, in_receipts) in [
        ("a receipt short of a log", all.as_slice(), short),
        ("none in the receipts' own", all.as_slice(), &all[1..]),
    ] {
        let read = fork.read(true, listed, in_receipts).await;
        assert!(read.is_err(), "{what}: {read:?}");
    }
    // Not listed and in no receipt: it was undone, or never asked for. Logs are what counts.
    let read = fork.read(true, short, short).await.unwrap();
    let got: Vec<i128> = amounts(&read.sightings).iter().map(|(_, _, a)| a.minor()).collect();
    assert_eq!(got.len(), 2, "{got:?}");
    // The transaction's own coins under another number, and more than can exist.
    let mut other = all.clone();
    other[0].3 = U256::from(6);
    assert!(untrusted(&fork.read(true, &other, &other).await));
    let mut beyond = all.clone();
    beyond[2].3 = U256::MAX;
    assert!(untrusted(&fork.read(true, &beyond, &beyond).await));
}

#[tokio::test]
async fn a_failed_transaction_logs_no_coins() {
    let world = World::start().await;
    let to = world.address(0);
    let tx = world.payer.send_failing_native(&to, wei(3)).await.unwrap();
    let place = world.chain.locate(&tx, &[]).await.unwrap();
    let TxPlace::Included { block_hash: hash, succeeded: false, .. } = place else {
        panic!("{place:?}")
    };
    let logged = vec![(tx, world.payer.address(), to, U256::from(3))];
    let fork = Fork { world, hash, logged };
    let nothing = fork.read(true, &[], &[]).await.unwrap();
    assert_eq!(nothing.sightings, []);
    let forged = fork.read(true, &fork.logged, &fork.logged).await;
    assert!(matches!(forged, Err(ReadError::Unavailable(_))), "{forged:?}");
}

// Bloom and receipts of a real node: a contract is put where the fork logs from.
#[tokio::test]
async fn a_list_without_the_pseudo_contract_is_doubted() {
    let world = World::start().await;
    let (payer, to) = (&world.payer, world.address(0));
    let talker = payer.deploy_talking_token().await.unwrap();
    payer.replace_code(PSEUDO, &talker).await.unwrap();
    payer.set_automine(false).await.unwrap();
    payer.send_token(&world.usdc, &world.address(1), usdc_minor(7)).await.unwrap();
    let saying = transfer(&payer.address(), &to, U256::from(5));
    let tx = payer.say(PSEUDO, &saying).await.unwrap();
    payer.mine(1).await.unwrap();
    let (_, hash) = place(&world.chain, &tx).await;
    let fork = Fork { world, hash, logged: Vec::new() };

    let read = fork.read(true, &[], &[]).await.unwrap();
    let coins = (1_000_000, to, wei(5));
    assert!(amounts(&read.sightings).contains(&coins), "{read:?}");
    let proxy = Proxy::start(fork.world.anvil.rpc_url(), |method, answer| {
        let mut logs = answer["result"].clone();
        if method != "eth_getLogs" {
            return Some(answer);
        }
        logs.as_array_mut().unwrap().retain(|log| log["address"] != json!(PSEUDO));
        Some(with_result(answer, logs))
    })
    .await;
    let chain = fork.chain(&proxy.url, true);
    let read = chain.read_block(&by_hash(&fork.hash), &watched(&chain)).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
}

#[test]
fn the_pseudo_contract_is_never_a_token() {
    let listed = TokenConfig { asset: Asset::Usdc, contract: PSEUDO.to_owned(), decimals: 6 };
    for on in [false, true] {
        let settings = EvmConfig {
            tokens: vec![listed.clone()],
            native_transfer_logs: on,
            ..config(&["http://127.0.0.1:1"], PSEUDO)
        };
        assert!(untrusted(&EvmChain::connect(&settings)));
    }
}
