//! Fake deposits by the shape of a log. A listed token says it on a real node, and the payee's
//! balance at that token does grow: the shape is the only reason to refuse.

use alloy::primitives::{Address, U256, keccak256};
use chains_evm_sandbox::Saying;

use crate::{
    fakes::{Verdict, judge},
    world::{World, watched},
};

/// Where EIP-7708 logs coins, on networks that have it.
pub(crate) const PSEUDO: &str = "0xfffffffffffffffffffffffffffffffffffffffe";

/// The first topic of every transfer.
pub(crate) fn topic() -> [u8; 32] {
    keccak256("Transfer(address,address,uint256)").0
}

/// An address as a topic.
pub(crate) fn word(address: &str) -> [u8; 32] {
    address.parse::<Address>().unwrap().into_word().0
}

/// A vector: its name, topics and data.
type Shape = (&'static str, Vec<[u8; 32]>, Vec<u8>);

/// An honest transfer: gained and logged alike.
pub(crate) fn transfer(from: &str, to: &str, minor: U256) -> Saying {
    Saying {
        to: to.to_owned(),
        gain: minor.to_be_bytes(),
        topics: vec![topic(), word(from), word(to)],
        data: minor.to_be_bytes_vec(),
    }
}

#[tokio::test]
async fn logs_that_only_look_like_transfers() {
    let world = World::start().await;
    let (payer, to) = (&world.payer, world.address(0));
    let token = payer.deploy_talking_token().await.unwrap();
    let chain = world.listing(&token);
    let watch = watched(&chain);
    let honest = transfer(&payer.address(), &to, U256::from(5));
    let (first, from, payee) = (topic(), word(&payer.address()), word(&to));
    let five = honest.data.clone();
    let mut dirty = payee;
    dirty[0] = 1;
    let shapes: [Shape; 14] = [
        ("four topics, as an NFT has", vec![first, from, payee, [5; 32]], five.clone()),
        ("four topics and no data", vec![first, from, payee, [5; 32]], Vec::new()),
        ("two topics", vec![first, from], five.clone()),
        ("one topic, all else in the data", vec![first], [&from, &payee, &five[..]].concat()),
        ("no topic", vec![], five.clone()),
        ("another event's topic", vec![keccak256("Sent()").0, from, payee], five.clone()),
        ("a rebase: more than before, from nobody", vec![rebase()], five.clone()),
        ("an approval", vec![approval(), from, payee], five.clone()),
        ("a payee with more than an address", vec![first, from, dirty], five.clone()),
        ("payer and payee in each other's place", vec![first, payee, from], five.clone()),
        ("short data", vec![first, from, payee], five[1..].to_vec()),
        ("no data", vec![first, from, payee], Vec::new()),
        ("long data", vec![first, from, payee], [&five[..], &five].concat()),
        ("a value of zero", vec![first, from, payee], vec![0; 32]),
    ];
    for (vector, topics, data) in shapes {
        let tx = payer.say(&token, &Saying { topics, data, ..honest.clone() }).await.unwrap();
        assert!(payer.wait(&tx).await.unwrap(), "{vector}: it was said");
        judge(&chain, &watch, (vector, &tx), Verdict::Nothing).await;
    }
    let tx = payer.say(&token, &honest).await.unwrap();
    judge(&chain, &watch, ("an honest log", &tx), Verdict::Credited(vec![5])).await;
}

// Neither coins nor a token: on a chain without the fork whoever speaks from there forges.
#[tokio::test]
async fn the_pseudo_contract_says_nothing_where_the_fork_is_not_live() {
    let world = World::start().await;
    let (payer, to) = (&world.payer, world.address(0));
    let token = payer.deploy_talking_token().await.unwrap();
    payer.replace_code(PSEUDO, &token).await.unwrap();
    let saying = transfer(&payer.address(), &to, U256::from(5));
    let tx = payer.say(PSEUDO, &saying).await.unwrap();
    assert!(payer.wait(&tx).await.unwrap());
    let vector = ("a log of the pseudo contract of EIP-7708", tx.as_str());
    judge(&world.chain, &watched(&world.chain), vector, Verdict::Nothing).await;
    // The same words from any other unlisted address are a token, parked.
    let tx = payer.say(&token, &saying).await.unwrap();
    judge(&world.chain, &watched(&world.chain), ("the same", &tx), Verdict::Parked).await;
}

fn rebase() -> [u8; 32] {
    keccak256("Rebase(uint256)").0
}

fn approval() -> [u8; 32] {
    keccak256("Approval(address,address,uint256)").0
}
