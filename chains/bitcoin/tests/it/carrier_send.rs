//! Sending: twice, against itself, with coins that are gone, to nodes that are.

use chains::{
    Chain as _,
    carrier::{Carrier as _, SendError, SignedTx},
    sandbox::{Keep, Sandbox as _},
};
use chains_bitcoin::BitcoinChain;
use chains_bitcoin_sandbox::dev_sign;

use crate::{
    moving::{all, forged, venue, wish},
    world::{World, config, sats},
};

const DEAD: &str = "http://user:secret@127.0.0.1:9";

fn refused(code: &str) -> Result<(), SendError> {
    Err(SendError::Refused(code.to_owned()))
}

#[tokio::test]
async fn sending_again_is_harmless() {
    let world = World::start().await;
    let deposits = world.deposits(&[50_000]).await;
    // To ourselves, so that it can be moved on.
    let signed = world.sent(&all(&world.chain, &deposits, &world.address(9)).await).await;
    assert_eq!(world.chain.send(&signed).await, Ok(()));
    let (a, b) = tokio::join!(world.chain.send(&signed), world.chain.send(&signed));
    assert_eq!((a, b), (Ok(()), Ok(())));
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.chain.send(&signed).await, Ok(()));
    // Its output is spent as well: the node says "missing or spent", and means its own.
    let sources = [world.source(9)];
    let on = world.chain.movable(&sources, primitives::Asset::Btc).await.unwrap();
    world.sent(&all(&world.chain, &on, &venue()).await).await;
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.chain.send(&signed).await, Ok(()));
}

#[tokio::test]
async fn two_moves_of_one_output_are_one() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000, 30_000]).await;
    let one = all(&world.chain, &deposits[..2], &venue()).await;
    let other = all(&world.chain, &deposits[1..], &venue()).await;
    let first = world.sent(&one).await;
    let second = dev_sign(&other.unsigned).unwrap();
    assert_eq!(world.chain.send(&second).await, refused("replacement_fee_too_low"));
    world.payer.mine(1).await.unwrap();
    assert!(world.is_in_a_block(&first.tx_id).await);
    assert_eq!(world.chain.send(&second).await, refused("inputs_spent"));
    // The first output of it is gone; the last one is still there.
    let again = world.chain.draft(&wish(&deposits[1..], &venue(), None)).await;
    assert!(again.is_err(), "{again:?}");
    world.sent(&all(&world.chain, &deposits[2..], &venue()).await).await;
}

// A deposit that a reorganisation took away, after its move was signed.
#[tokio::test]
async fn coins_that_never_were_cannot_be_sent() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000]).await;
    let signed = dev_sign(&all(&world.chain, &deposits, &venue()).await.unsigned).unwrap();
    world.payer.reorg(1, Keep::Nothing).await.unwrap();
    assert_eq!(world.chain.send(&signed).await, refused("inputs_spent"));
    assert_eq!(world.left(&deposits).await, []);
    assert!(world.chain.draft(&wish(&deposits, &venue(), None)).await.is_err());
}

// It may be a day behind, or have been fed by a liar: it says nothing about our coins.
#[tokio::test]
async fn a_node_that_lacks_the_coins_has_no_say() {
    let (world, stranger) = (World::start().await, World::start().await);
    let deposits = world.deposits(&[10_000]).await;
    let signed = dev_sign(&all(&world.chain, &deposits, &venue()).await.unsigned).unwrap();
    let unknown = SendError::Unknown("the node does not know the coins yet".to_owned());
    assert_eq!(stranger.chain.send(&signed).await, Err(unknown));
    // One that has them is enough, wherever in the list it is.
    let urls = [stranger.node.rpc_url(), DEAD, world.node.rpc_url()];
    let all_of_them = BitcoinChain::connect(&config(&urls)).unwrap();
    assert_eq!(all_of_them.send(&signed).await, Ok(()));
    world.payer.mine(1).await.unwrap();
    assert!(world.is_in_a_block(&signed.tx_id).await);
}

#[tokio::test]
async fn no_answer_is_unknown() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let draft = all(&world.chain, &deposits[..1], &venue()).await;
    let signed = dev_sign(&draft.unsigned).unwrap();
    let dead = BitcoinChain::connect(&config(&[DEAD])).unwrap();
    assert_eq!(
        dead.send(&signed).await,
        Err(SendError::Unknown("node unavailable: no connection".to_owned()))
    );
    // A node that was never reached does not take a refusal back.
    let both = BitcoinChain::connect(&config(&[DEAD, world.node.rpc_url()])).unwrap();
    let free = forged(&draft, 10_000, None);
    assert_eq!(both.send(&dev_sign(&free).unwrap()).await, refused("fee_too_low"));
    assert_eq!(both.send(&signed).await, Ok(()));
}

#[tokio::test]
async fn what_no_node_would_take_is_refused_by_name() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000]).await;
    let draft = all(&world.chain, &deposits, &venue()).await;
    let good = dev_sign(&draft.unsigned).unwrap();
    let send = |unsigned| {
        let (signed, chain) = (dev_sign(&unsigned).unwrap(), &world.chain);
        async move { chain.send(&signed).await }
    };
    assert_eq!(send(forged(&draft, 10_000, None)).await, refused("fee_too_low"));
    let dust = send(forged(&draft, 100, None)).await;
    assert!(matches!(dust, Err(SendError::Refused(_))), "{dust:?}");
    let more = send(forged(&draft, 20_000, None)).await;
    assert!(matches!(&more, Err(SendError::Refused(why)) if why.contains("in-belowout")));
    let (tx_id, raw) = (good.tx_id.clone(), good.raw.clone());
    let malformed = [
        SignedTx { tx_id: "ab".repeat(32), raw: raw.clone() },
        SignedTx { tx_id: tx_id.clone(), raw: raw[2..].to_owned() },
        SignedTx { tx_id: tx_id.clone(), raw: String::new() },
        SignedTx { tx_id: tx_id.clone(), raw: "zz".to_owned() },
        SignedTx { tx_id: tx_id.clone(), raw: "00".repeat(1_000_000) },
    ];
    for signed in malformed {
        assert_eq!(world.chain.send(&signed).await, refused("malformed"));
    }
    // One bit of the signature: the id stays, it covers no witness.
    let at = raw.len() - 8 - 68 - 20;
    let digit = if &raw[at..=at] == "0" { "1" } else { "0" };
    let raw = format!("{}{digit}{}", &raw[..at], &raw[at + 1..]);
    assert_eq!(world.chain.send(&SignedTx { tx_id, raw }).await, refused("bad_signature"));
    assert_eq!(world.chain.pending(&world.watched()).await, Ok(Some(vec![])));
    assert_eq!(world.chain.send(&good).await, Ok(()));
    assert_eq!(draft.amount.checked_add(draft.fee_max), Ok(sats(10_000)));
}
