//! Nodes that are down, wrong, or answer nonsense: an error, never "no deposit".

use std::time::Duration;

use chains::{Chain as _, ReadError, Says, Step, WatchSet, sandbox::Sandbox as _};
use chains_bitcoin::{BitcoinChain, BitcoinConfig, BitcoinNetwork};
use chains_bitcoin_sandbox::{Bitcoind, BitcoindOptions, dev_xpub};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::world::{World, config, sats};

/// A server that answers every request with these bytes, whatever was asked.
async fn server(status: &'static str, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", listener.local_addr().unwrap());
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

/// A server that answers by method.
async fn server_by(answer: fn(&str) -> &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = String::new();
                while !request.contains('}') {
                    let mut buffer = [0_u8; 4_096];
                    let Ok(length @ 1..) = socket.read(&mut buffer).await else { return };
                    request.push_str(&String::from_utf8_lossy(&buffer[..length]));
                }
                let call = request.split("\r\n\r\n").nth(1).unwrap();
                let call: serde_json::Value = serde_json::from_str(call).unwrap();
                let (id, method) = (&call["id"], call["method"].as_str().unwrap());
                let body = format!(r#"{{"result":{},"error":null,"id":{id}}}"#, answer(method));
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
                let reply = format!("{head}: {}\r\n\r\n{body}", body.len());
                let _ = socket.write_all(reply.as_bytes()).await;
            });
        }
    });
    url
}

const REGTEST: &str = "\"0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206\"";

// After a start a node reads its mempool back: what it shows meanwhile is a part of it.
#[tokio::test]
async fn a_mempool_that_is_being_loaded_says_nothing() {
    let loading = server_by(|method| match method {
        "getblockhash" => REGTEST,
        "getmempoolinfo" => r#"{"loaded":false,"size":0}"#,
        _ => "[]",
    });
    let chain = BitcoinChain::connect(&config(&[&loading.await])).unwrap();
    assert_eq!(chain.pending(&WatchSet::default()).await, Ok(None));
    let silent = server_by(|method| match method {
        "getblockhash" => REGTEST,
        "getmempoolinfo" => r#"{"size":0}"#,
        _ => "[]",
    });
    let chain = BitcoinChain::connect(&config(&[&silent.await])).unwrap();
    assert!(matches!(chain.pending(&WatchSet::default()).await, Err(ReadError::Unavailable(_))));
    let loaded = server_by(|method| match method {
        "getblockhash" => REGTEST,
        "getmempoolinfo" => r#"{"loaded":true,"size":0}"#,
        _ => "[]",
    });
    let chain = BitcoinChain::connect(&config(&[&loaded.await])).unwrap();
    assert_eq!(chain.pending(&WatchSet::default()).await, Ok(Some(vec![])));
}

async fn refuses(config: &BitcoinConfig) -> Vec<ReadError> {
    let chain = BitcoinChain::connect(config).unwrap();
    let mut errors = vec![chain.head().await.unwrap_err()];
    errors.push(chain.block_at(1).await.unwrap_err());
    errors.push(chain.pending(&WatchSet::default()).await.unwrap_err());
    errors.push(chain.locate(&"0".repeat(64), &[]).await.unwrap_err());
    for error in &errors {
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    errors
}

#[tokio::test]
async fn bad_answers_are_errors() {
    let answers: [(&str, Vec<u8>); 7] = [
        ("200 OK", b"<html>welcome</html>".to_vec()),
        ("200 OK", b"{\"result\":null,\"error\":null,\"id\":1}".to_vec()),
        ("200 OK", b"{\"result\":{\"chain\":1},\"error\":null,\"id\":1}".to_vec()),
        ("401 Unauthorized", Vec::new()),
        ("503 Service Unavailable", Vec::new()),
        ("500 Internal Server Error", b"oops".to_vec()),
        ("200 OK", b"{\"result\":\"".to_vec()),
    ];
    for (status, body) in answers {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let url = server(status, body).await;
        for error in refuses(&config(&[&url])).await {
            assert!(matches!(error, ReadError::Unavailable(_)), "{shown}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_a_hundred_megabytes_is_cut_off() {
    let url = server("200 OK", vec![b' '; 100 * 1024 * 1024]).await;
    let errors = refuses(&config(&[&url])).await;
    let large = ReadError::Unavailable("answer too large".to_owned());
    assert!(errors.iter().all(|error| *error == large), "{errors:?}");
}

#[tokio::test]
async fn a_silent_node_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let impatient = BitcoinConfig { request_timeout_ms: 200, ..config(&[&url]) };
    let chain = BitcoinChain::connect(&impatient).unwrap();
    let error = chain.head().await.unwrap_err();
    assert_eq!(error, ReadError::Unavailable("no answer in time".to_owned()));
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused() {
    let world = World::start().await;
    let settings = BitcoinConfig {
        chain: BitcoinNetwork::Signet,
        xpub: dev_xpub().to_owned(),
        ..config(&[world.node.rpc_url()])
    };
    for error in refuses(&settings).await {
        assert!(matches!(&error, ReadError::Untrusted(why) if why.contains("another network")));
    }
    let chain = BitcoinChain::connect(&settings).unwrap();
    let report = chain.examine().await;
    assert!(report[0].problem.as_ref().unwrap().contains("0f9188f13cb7b2c7"), "{report:?}");
    assert!(world.chain.examine().await[0].problem.is_none());
}

#[tokio::test]
async fn another_node_takes_over_when_one_is_down() {
    let world = World::start().await;
    let dead = "http://user:secret@127.0.0.1:9";
    let both = BitcoinChain::connect(&config(&[dead, world.node.rpc_url()])).unwrap();
    let tip = both.head().await.unwrap().latest;
    world.payer.pay(&world.address(0), sats(10_000)).await.unwrap();
    world.payer.mine(1).await.unwrap();
    assert!(matches!(both.step(&tip).await, Ok(Step::Next(_))));
    let all = both.witnesses(&tip).await;
    assert!(matches!(all[0].says, Says::Silent(_)), "{all:?}");
    assert_eq!(all[1].says, Says::Same);
    let reports = both.examine().await;
    assert!(reports[0].problem.as_ref().unwrap().contains("no connection"), "{reports:?}");
    assert_eq!(reports[0].node, "127.0.0.1:9");
}

// Two nodes on two branches: the one we follow is followed, the other one is heard.
#[tokio::test]
async fn a_node_on_another_branch_is_heard_and_not_followed() {
    let (ours, other) = (World::start().await, World::start().await);
    let urls = [ours.node.rpc_url(), other.node.rpc_url()];
    let both = BitcoinChain::connect(&config(&urls)).unwrap();
    let tip = both.head().await.unwrap().latest;
    let says: Vec<Says> = both.witnesses(&tip).await.into_iter().map(|w| w.says).collect();
    assert_eq!(says[0], Says::Same);
    assert!(matches!(says[1], Says::Other(_)), "{says:?}");
    drop(ours);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(matches!(both.step(&tip).await, Err(ReadError::Unavailable(_))));
}

#[test]
fn settings_are_checked_without_a_node() {
    let good = config(&["http://127.0.0.1:1"]);
    let bad = [
        BitcoinConfig { rpc_urls: vec![], ..good.clone() },
        BitcoinConfig { rpc_urls: vec!["ftp://127.0.0.1".parse().unwrap()], ..good.clone() },
        BitcoinConfig { xpub: "xpub".to_owned(), ..good.clone() },
        BitcoinConfig { chain: BitcoinNetwork::Mainnet, ..good.clone() },
        BitcoinConfig { request_timeout_ms: 0, ..good.clone() },
    ];
    for settings in bad {
        let error = BitcoinChain::connect(&settings).err().unwrap();
        assert!(error.to_string().contains("settings of network bitcoin"), "{error}");
    }
}

// Each has a password of its own, and shows it to nobody by accident.
#[tokio::test]
async fn no_node_takes_the_login_of_another() {
    let (one, other) = (World::start().await, World::start().await);
    let login = |url: &str| url.split('@').next().unwrap().to_owned();
    let (mine, theirs) = (login(one.node.rpc_url()), login(other.node.rpc_url()));
    assert_ne!(mine, theirs);
    let wrong = one.node.rpc_url().replace(&mine, &theirs);
    let error = BitcoinChain::connect(&config(&[&wrong])).unwrap().head().await.unwrap_err();
    assert_eq!(error, ReadError::Unavailable("the node refuses the login".to_owned()));
    let password = mine.rsplit(':').next().unwrap();
    assert!(!format!("{:?}", one.node).contains(password));
}

// Whoever names a port gets that one or a sentence, never somebody else's node.
#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = BitcoindOptions { port, ..BitcoindOptions::default() };
    let error = Bitcoind::start(options).await.unwrap_err();
    assert_eq!(error.to_string(), "bitcoind ended as it started");
}
