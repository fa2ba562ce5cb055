//! Nodes that are down, slow, endless or mad: every question is answered `Unavailable`, soon, and
//! with bounded memory. None of it ever reads as "nothing arrived".

use std::time::{Duration, Instant};

use chains::{Chain as _, ReadError};
use chains_evm::{EvmChain, EvmConfig};
use primitives::Asset;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    proxy::{answer_with, read_body, refusing, serve},
    world::{by_hash, config, problem, watched},
};

const HASH: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";
const CONTRACT: &str = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";

async fn expect_unavailable(url: &str) {
    let config = EvmConfig {
        request_timeout_ms: 500,
        max_response_bytes: 64 * 1024,
        ..config(&[&format!("{url}/v2/very-secret-key")], CONTRACT)
    };
    let chain = EvmChain::connect(&config).unwrap();
    let watch = watched(&chain);
    let address = chain.derive(0).unwrap().address;
    let begun = Instant::now();
    let answers = [
        chain.head().await.err(),
        chain.block_at(1).await.err(),
        chain.block(HASH).await.err(),
        chain.read_block(&by_hash(HASH), &watch).await.err(),
        chain.locate(HASH, &[]).await.err(),
        chain.held(std::slice::from_ref(&address), Asset::Eth).await.err(),
        chain.held(std::slice::from_ref(&address), Asset::Usdc).await.err(),
    ];
    let shown = problem(&chain).await.unwrap();
    assert!(!shown.contains("very-secret-key") && shown.len() < 300, "{shown}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    for (index, answer) in answers.into_iter().enumerate() {
        let Some(ReadError::Unavailable(why)) = answer else { panic!("{index}: {answer:?}") };
        assert!(!why.contains("very-secret-key") && why.len() < 300, "{why}");
    }
}

async fn answering(status: &'static str, body: &'static str) -> String {
    let (url, _task) = serve(move |mut socket: TcpStream| async move {
        read_body(&mut socket).await?;
        answer_with(&mut socket, status, body.as_bytes()).await
    })
    .await;
    url
}

#[tokio::test]
async fn nonsense_is_unavailable() {
    for (status, body) in [
        ("200 OK", "nonsense"),
        ("200 OK", ""),
        ("200 OK", "<html><body>Login to the wifi</body></html>"),
        ("200 OK", "{}"),
        ("200 OK", "[]"),
        ("200 OK", r#"{"jsonrpc":"2.0","id":0}"#),
        ("200 OK", r#"{"jsonrpc":"2.0","id":0,"result":{"a":[{}]}}"#),
        ("200 OK", r#"{"jsonrpc":"2.0","id":0,"result":"0xzz"}"#),
        ("200 OK", r#"{"jsonrpc":"2.0","id":0,"result":null}"#),
        (
            "200 OK",
            r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"very-secret-key"}}"#,
        ),
        ("200 OK", r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no"}}"#),
        ("302 Found", ""),
        ("401 Unauthorized", "very-secret-key"),
        ("429 Too Many Requests", r#"{"error":"slow down"}"#),
        ("500 Internal Server Error", "oops"),
        ("503 Service Unavailable", "<html>"),
    ] {
        expect_unavailable(&answering(status, body).await).await;
    }
}

#[tokio::test]
async fn silence_is_unavailable() {
    // Takes the question and never answers.
    let (url, _task) = serve(|mut socket: TcpStream| async move {
        read_body(&mut socket).await?;
        tokio::time::sleep(Duration::from_secs(60)).await;
        Some(())
    })
    .await;
    expect_unavailable(&url).await;
}

#[tokio::test]
async fn a_trickle_is_unavailable() {
    // A byte now and then: alive by every measure but the clock.
    let (url, _task) = serve(|mut socket: TcpStream| async move {
        read_body(&mut socket).await?;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n").await.ok()?;
        loop {
            socket.write_all(b" ").await.ok()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    expect_unavailable(&url).await;
}

#[tokio::test]
async fn an_endless_answer_is_unavailable() {
    let (url, _task) = serve(|mut socket: TcpStream| async move {
        read_body(&mut socket).await?;
        socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[").await.ok()?;
        loop {
            socket.write_all(&[b' '; 4096]).await.ok()?;
        }
    })
    .await;
    expect_unavailable(&url).await;
}

#[tokio::test]
async fn a_hang_up_is_unavailable() {
    let (url, _task) = serve(|mut socket: TcpStream| async move {
        read_body(&mut socket).await?;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{").await.ok()
    })
    .await;
    expect_unavailable(&url).await;
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let (url, _kept) = refusing();
    expect_unavailable(&url).await;
}

// A plain server behind an https address: no panic for want of a TLS provider, no plain text sent.
#[tokio::test]
async fn a_node_without_tls_is_unavailable_over_https() {
    let url = answering("200 OK", r#"{"jsonrpc":"2.0","id":0,"result":"0x7a69"}"#).await;
    expect_unavailable(&url.replace("http://", "https://")).await;
}
