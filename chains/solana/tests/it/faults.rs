//! Nodes that are down, wrong, or answer nonsense: an error, never "no deposit".

use chains::{Chain as _, ReadError, Says, Step, WatchSet, sandbox::Sandbox as _};
use chains_solana::{SolanaChain, SolanaConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::world::{World, config};

/// A server that answers every request with these bytes, whatever was asked.
async fn server(status: &'static str, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-key", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let body = body.clone();
            tokio::spawn(async move {
                let mut buffer = [0_u8; 4_096];
                let _ = socket.read(&mut buffer).await;
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(head.as_bytes()).await;
                let _ = socket.write_all(&body).await;
            });
        }
    });
    url
}

fn at(urls: &[&str], settings: SolanaConfig) -> SolanaConfig {
    let rpc_urls = urls.iter().map(|url| url.parse().unwrap()).collect();
    SolanaConfig { rpc_urls, ws_urls: vec![], ..settings }
}

async fn refuses(settings: &SolanaConfig) -> Vec<ReadError> {
    let chain = SolanaChain::connect(settings).unwrap();
    let errors = vec![
        chain.head().await.unwrap_err(),
        chain.block_at(1_000).await.unwrap_err(),
        chain.held(&[], primitives::Asset::Sol).await.unwrap_err(),
        chain.locate(&"2".repeat(88), &[]).await.unwrap_err(),
    ];
    for error in &errors {
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    errors
}

#[tokio::test]
async fn bad_answers_are_errors() {
    let world = World::start().await;
    let answers: [(&str, Vec<u8>); 6] = [
        ("200 OK", b"<html>welcome</html>".to_vec()),
        ("200 OK", b"{\"jsonrpc\":\"2.0\",\"result\":null,\"id\":1}".to_vec()),
        ("200 OK", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32005}}".to_vec()),
        ("429 Too Many Requests", Vec::new()),
        ("500 Internal Server Error", b"oops".to_vec()),
        ("200 OK", b"{\"result\":\"".to_vec()),
    ];
    for (status, body) in answers {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let url = server(status, body).await;
        for error in refuses(&at(&[&url], config(&world.node))).await {
            assert!(matches!(error, ReadError::Unavailable(_)), "{shown}: {error:?}");
        }
    }
    let url = server("200 OK", vec![b' '; 100 * 1024 * 1024]).await;
    let large = ReadError::Unavailable("answer too large".to_owned());
    let errors = refuses(&at(&[&url], config(&world.node))).await;
    assert!(errors.iter().all(|error| *error == large), "{errors:?}");
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused() {
    let world = World::start().await;
    let mut settings = config(&world.node);
    settings.genesis_hash = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d".to_owned();
    for error in refuses(&settings).await {
        assert!(matches!(&error, ReadError::Untrusted(why) if why.contains("another network")));
    }
    assert!(world.chain.examine().await[0].problem.is_none());
}

#[tokio::test]
async fn another_node_takes_over_when_one_is_down() {
    let world = World::start().await;
    let settings = at(&["http://127.0.0.1:9", world.node.rpc_url()], config(&world.node));
    let both = SolanaChain::connect(&settings).unwrap();
    let tip = both.head().await.unwrap().latest;
    world.payer.mine(1).await.unwrap();
    assert!(matches!(both.step(&tip).await, Ok(Step::Next(_))));
    let all = both.witnesses(&tip).await;
    assert!(matches!(all[0].says, Says::Silent(_)) && all[1].says == Says::Same, "{all:?}");
    let reports = both.examine().await;
    assert!(reports[0].problem.as_ref().unwrap().contains("no connection"), "{reports:?}");
}

#[tokio::test]
async fn a_mint_that_is_none_is_named() {
    let world = World::start().await;
    let mut settings = config(&world.node);
    settings.mints[0].mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v".to_owned();
    let chain = SolanaChain::connect(&settings).unwrap();
    let problem = chain.examine().await[0].problem.clone().unwrap();
    assert!(problem.contains("the mint of USDC does not exist"), "{problem}");
}

// Skipped slots are no blocks, and no reason to stop.
#[tokio::test]
async fn skipped_slots_are_stepped_over() {
    let world = World::start().await;
    let start = world.chain.head().await.unwrap().latest;
    world.payer.mine(20).await.unwrap();
    let (mut at, mut gaps) = (start, 0);
    while let Step::Next(next) = world.chain.step(&at).await.unwrap() {
        assert_eq!(next.parent_hash, at.hash);
        if next.height > at.height + 1 {
            gaps += 1;
            assert_eq!(world.chain.block_at(at.height + 1).await, Ok(None));
        }
        let facts = world.chain.read_block(&next, &WatchSet::default()).await.unwrap();
        assert_eq!(facts.block.hash, next.hash);
        at = next;
    }
    assert!(gaps >= 2, "no slot was skipped");
}

#[tokio::test]
async fn settings_are_checked_without_a_node() {
    let world = World::start().await;
    let good = config(&world.node);
    let twice = [good.mints.clone(), good.mints.clone()].concat();
    let mut decimals = good.mints.clone();
    decimals[0].decimals = 9;
    let bad = [
        SolanaConfig { rpc_urls: vec![], ..good.clone() },
        SolanaConfig { rpc_urls: vec!["ftp://127.0.0.1".parse().unwrap()], ..good.clone() },
        SolanaConfig { ws_urls: vec!["http://127.0.0.1".parse().unwrap()], ..good.clone() },
        SolanaConfig { wallet: "0x12".to_owned(), ..good.clone() },
        SolanaConfig { retired_wallets: vec![good.wallet.clone()], ..good.clone() },
        SolanaConfig { retired_wallets: vec!["0x12".to_owned()], ..good.clone() },
        // A reference is no wallet: nobody has its key.
        SolanaConfig { genesis_hash: "mainnet".to_owned(), ..good.clone() },
        SolanaConfig { mints: twice, ..good.clone() },
        SolanaConfig { mints: decimals, ..good.clone() },
        SolanaConfig { request_timeout_ms: 0, ..good.clone() },
        SolanaConfig { reference_seed: primitives::Secret::new("short"), ..good.clone() },
    ];
    for settings in bad {
        let error = SolanaChain::connect(&settings).err().unwrap();
        assert!(error.to_string().contains("settings of network solana"), "{error}");
    }
}
