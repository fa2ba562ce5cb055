//! Nodes that lie, stutter or are dear: an error or a refusal, never a wrong transaction.

use std::sync::{Arc, Mutex};

use chains::{
    Chain as _, ReadError,
    carrier::{Carrier as _, Draft, DraftError, KeyRef, Movable, SendError, Source},
};
use chains_bitcoin::{BitcoinChain, BitcoinConfig, BitcoinNetwork};
use chains_bitcoin_sandbox::dev_sign;
use primitives::Asset;

use crate::{
    moving::{all, known, psbt, venue, wish},
    proxy::{liar, liar_about},
    world::{World, config, sats},
};

fn chain(url: &str) -> BitcoinChain {
    BitcoinChain::connect(&config(&[url])).unwrap()
}

async fn drafted(url: &str, from: &[Movable]) -> Result<Draft, DraftError> {
    chain(url).draft(&wish(from, &venue(), None)).await
}

#[tokio::test]
async fn a_lie_about_an_output_makes_no_draft() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let url = world.node.rpc_url();
    // The amount: the treasury asks for what it was told, the transaction itself says otherwise.
    let richer = liar(url, |method, real| {
        Ok(if method == "gettxout" {
            real.replace("0.00010000", "0.00910000")
        } else {
            real.into()
        })
    });
    let richer = richer.await;
    let told = chain(&richer).unspent(&known(&deposits), Asset::Btc).await.unwrap();
    assert!(told.iter().any(|one| one.amount == sats(910_000)), "{told:?}");
    let answer = drafted(&richer, &told).await;
    assert!(matches!(&answer, Err(DraftError::Refused(why)) if why.contains("another amount")));
    let not_there = liar_about(url, "gettxout", "null").await;
    let answer = drafted(&not_there, &deposits).await;
    assert!(matches!(answer, Err(DraftError::Refused(_))), "{answer:?}");
    // Another transaction under the id that was asked for.
    let other = liar(url, move |method, real| {
        let real = real.to_owned();
        Ok(if method == "getrawtransaction" {
            real.replacen("02000000", "01000000", 1)
        } else {
            real
        })
    });
    let answer = drafted(&other.await, &deposits).await;
    assert!(matches!(answer, Err(DraftError::Read(ReadError::Unavailable(_)))), "{answer:?}");
}

const NONSENSE: [&str; 8] = ["null", "[]", "{}", "7", "\"x\"", "[[]]", "{\"feerate\":-1}", "true"];

/// A chain behind a node that answers nonsense to one method, another one whenever it is told.
async fn talking(world: &World) -> (BitcoinChain, Arc<Mutex<(&'static str, &'static str)>>) {
    let told = Arc::new(Mutex::new(("", "")));
    let says = Arc::clone(&told);
    let liar = liar(world.node.rpc_url(), move |method, real| {
        let (about, nonsense) = *says.lock().unwrap();
        Ok(if method == about { nonsense.to_owned() } else { real.to_owned() })
    });
    (chain(&liar.await), told)
}

#[tokio::test]
async fn nonsense_is_unavailable() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let (chain, told) = talking(&world).await;
    let draft = all(&chain, &deposits, &venue()).await;
    let methods = [
        "getmempoolinfo",
        "estimatesmartfee",
        "gettxout",
        "getrawtransaction",
        "gettxspendingprevout",
    ];
    let meant = [("gettxout", "null"), ("estimatesmartfee", "{}")];
    for method in methods {
        for answer in NONSENSE {
            if meant.contains(&(method, answer)) {
                continue;
            }
            *told.lock().unwrap() = (method, answer);
            let read = chain.draft(&wish(&deposits, &venue(), None)).await;
            let is_read = matches!(&read, Err(DraftError::Read(ReadError::Unavailable(_))));
            assert!(is_read, "{method} {answer}: {read:?}");
            let bumped = chain.bump(&draft).await;
            assert!(matches!(bumped, Err(DraftError::Read(_))), "{method} {answer}: {bumped:?}");
        }
    }
    *told.lock().unwrap() = ("", "");
    assert_eq!(all(&chain, &deposits, &venue()).await, draft);
}

#[tokio::test]
async fn nonsense_is_no_coin() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let sources: Vec<_> = deposits.iter().map(|one| one.source.clone()).collect();
    let (chain, told) = talking(&world).await;
    for answer in NONSENSE {
        *told.lock().unwrap() = ("scantxoutset", answer);
        let walked = chain.movable(&sources, Asset::Btc).await;
        assert!(matches!(walked, Err(ReadError::Unavailable(_))), "{answer}: {walked:?}");
        *told.lock().unwrap() = ("gettxout", answer);
        let found = chain.unspent(&known(&deposits), Asset::Btc).await;
        match answer {
            "null" => assert_eq!(found, Ok(vec![])),
            _ => assert!(matches!(found, Err(ReadError::Unavailable(_))), "{answer}: {found:?}"),
        }
    }
}

// Where coins are worth something nobody guesses a fee.
#[tokio::test]
async fn on_mainnet_no_advice_is_no_rate() {
    let world = World::start().await;
    let liar = liar(world.node.rpc_url(), |method, real| {
        let real = real.to_owned();
        let genesis = "\"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f\"";
        Ok(if method == "getblockhash" { genesis.to_owned() } else { real })
    });
    // BIP84's account, as published.
    let xpub = concat!(
        "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3Ef",
        "H1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs",
    );
    let settings = BitcoinConfig {
        chain: BitcoinNetwork::Mainnet,
        xpub: xpub.to_owned(),
        ..config(&[&liar.await])
    };
    let chain = BitcoinChain::connect(&settings).unwrap();
    let address = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu";
    let source = Source { address: address.to_owned(), key: KeyRef::Deposit(0) };
    let outpoint = Some(format!("{}:0", "ab".repeat(32)));
    let one = [Movable { source, amount: sats(50_000), outpoint }];
    let to = "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g";
    let sentence = "the node has seen too few blocks to advise a fee".to_owned();
    let none = ReadError::Unavailable(sentence);
    assert_eq!(chain.worth_moving(&one).await, Err(none.clone()));
    assert_eq!(chain.draft(&wish(&one, to, None)).await, Err(DraftError::Read(none)));
}

#[tokio::test]
async fn a_walk_at_a_time() {
    let world = World::start().await;
    let sources = [world.source(0)];
    let busy = liar(world.node.rpc_url(), |method, real| match method {
        "scantxoutset" => Err((-8, "Scan already in progress, use action \"abort\"".to_owned())),
        _ => Ok(real.to_owned()),
    });
    let answer = chain(&busy.await).movable(&sources, Asset::Btc).await;
    let sentence = "the node is walking through its outputs already".to_owned();
    assert_eq!(answer, Err(ReadError::Unavailable(sentence)));
    world.deposits(&[10_000]).await;
    let mixed = liar(world.node.rpc_url(), |method, real| {
        // Somebody else's output among ours.
        Ok(if method == "scantxoutset" {
            real.replace("\"scriptPubKey\":\"0014", "\"scriptPubKey\":\"0015")
        } else {
            real.to_owned()
        })
    });
    let answer = chain(&mixed.await).movable(&sources, Asset::Btc).await;
    assert!(matches!(answer, Err(ReadError::Unavailable(_))), "{answer:?}");
}

// Advice is followed within limits; what it would eat stays where it is.
#[tokio::test]
async fn fees_follow_advice_within_limits() {
    let world = World::start().await;
    let deposits = world.deposits(&[100_000, 3_000, 50_000]).await;
    let url = world.node.rpc_url();
    // 50 sat/vB: an input of 68 bytes costs 3400.
    let dear = liar_about(url, "estimatesmartfee", "{\"feerate\":0.00050000,\"blocks\":6}").await;
    let answer = drafted(&dear, &deposits).await;
    let named = deposits[1].outpoint.clone().unwrap();
    assert!(
        matches!(&answer, Err(DraftError::NotWorth(why)) if why.contains(&named)),
        "{answer:?}"
    );
    let worth = chain(&dear).worth_moving(&deposits).await.unwrap();
    assert_eq!(worth, [deposits[0].clone(), deposits[2].clone()]);
    let draft = drafted(&dear, &worth).await.unwrap();
    assert_eq!((draft.fee_max, psbt(&draft).outputs.len()), (sats(178 * 50), 1));
    // Ten thousand times as dear: the limit, 300.
    let absurd = liar_about(url, "estimatesmartfee", "{\"feerate\":5.0}").await;
    let draft = drafted(&absurd, &worth).await.unwrap();
    assert_eq!(draft.fee_max, sats(178 * 300));
    let cheap = liar_about(url, "estimatesmartfee", "{\"feerate\":0.00000001}").await;
    let draft = drafted(&cheap, &worth).await.unwrap();
    assert_eq!(draft.fee_max, sats(178), "never below what is passed on");
    // A full mempool raises the floor; above the limit nothing is moved.
    let pool = |floor: &str| {
        format!(
            "{{\"loaded\":true,\"mempoolminfee\":{floor},\"minrelaytxfee\":0.00001000,\
             \"incrementalrelayfee\":0.00001000}}"
        )
    };
    let full = liar_about(url, "getmempoolinfo", pool("0.00020000")).await;
    let draft = drafted(&full, &worth).await.unwrap();
    assert_eq!(draft.fee_max, sats(178 * 40));
    let over = liar_about(url, "getmempoolinfo", pool("0.00300001")).await;
    let answer = drafted(&over, &worth).await;
    assert!(matches!(answer, Err(DraftError::NotWorth(_))), "{answer:?}");
    assert_eq!(chain(&over).worth_moving(&worth).await, Ok(vec![]));
    // What is not read through says nothing of what waits.
    let loading = pool("0.00001000").replace("true", "false");
    let loading = liar_about(url, "getmempoolinfo", loading).await;
    let answer = drafted(&loading, &worth).await;
    assert!(matches!(answer, Err(DraftError::Read(ReadError::Unavailable(_)))), "{answer:?}");
}

#[tokio::test]
async fn a_nonsensical_receipt_is_unknown() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000]).await;
    let signed = dev_sign(&all(&world.chain, &deposits, &venue()).await.unsigned).unwrap();
    let other = format!("\"{}\"", "ab".repeat(32));
    for answer in ["null", "{}", "7", other.as_str()] {
        let liar = chain(&liar_about(world.node.rpc_url(), "sendrawtransaction", answer).await);
        let said = liar.send(&signed).await;
        assert!(matches!(said, Err(SendError::Unknown(_))), "{answer}: {said:?}");
    }
    let cut = liar(world.node.rpc_url(), |method, real| match method {
        "sendrawtransaction" => Err((-1, "map::at".to_owned())),
        _ => Ok(real.to_owned()),
    });
    // One node refuses, another may have taken it.
    let (cut, silent) = (cut.await, world.node.rpc_url());
    assert!(matches!(chain(&cut).send(&signed).await, Err(SendError::Unknown(_))));
    let both = BitcoinChain::connect(&config(&[&cut, silent])).unwrap();
    assert_eq!(both.send(&signed).await, Ok(()));
}

#[tokio::test]
async fn a_cost_is_proven() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000]).await;
    let signed = world.sent(&all(&world.chain, &deposits, &venue()).await).await;
    let url = world.node.rpc_url();
    assert!(world.chain.cost("x").await.is_err());
    assert_eq!(world.chain.cost(&"ab".repeat(32)).await, Ok(None));
    // "It is in a block", says a node of what waits.
    let tip = tip_of(&world).await;
    let early =
        format!("{{\"txid\":\"{}\",\"blockhash\":\"{tip}\",\"confirmations\":3}}", signed.tx_id);
    let early = chain(&liar_about(url, "getrawtransaction", early).await);
    let answer = early.cost(&signed.tx_id).await;
    assert!(matches!(answer, Err(ReadError::Unavailable(_))), "{answer:?}");
    for nonsense in ["null", "7", "{}", "\"00\""] {
        let liar = chain(&liar_about(url, "getrawtransaction", nonsense).await);
        let answer = liar.cost(&signed.tx_id).await;
        assert!(matches!(answer, Err(ReadError::Unavailable(_))), "{nonsense}: {answer:?}");
    }
}

async fn tip_of(world: &World) -> String {
    world.chain.head().await.unwrap().latest.hash
}
