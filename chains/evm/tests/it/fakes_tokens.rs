//! Fake deposits in tokens: contracts that lie, refuse, take back or only look alike.
//!
//! Each is listed as USDC where that makes the lie stronger, and executed by a real node.

use alloy::primitives::{U256, keccak256};

use crate::{
    fakes::{Verdict, judge, watching},
    fakes_shapes::transfer,
    world::{World, problem, usdc_minor, watched},
};

#[tokio::test]
async fn tokens_that_never_came() {
    let world = World::start().await;
    let (payer, to) = (&world.payer, world.address(0));
    for (vector, announces) in
        [("transfer answers false", false), ("transfer answers false and announces", true)]
    {
        let token = payer.deploy_refusing_token(announces).await.unwrap();
        let tx = payer.send_token(&token, &to, usdc_minor(5)).await.unwrap();
        assert!(payer.wait(&tx).await.unwrap(), "{vector}: the transaction itself succeeds");
        let chain = world.listing(&token);
        judge(&chain, &watched(&chain), (vector, &tx), Verdict::Nothing).await;
    }
    let token = payer.deploy_lying_token().await.unwrap();
    let lying = world.listing(&token);
    for (vector, minor) in
        [("a token that lies", 5), ("a lie of all there can be", 10_i128.pow(37))]
    {
        let tx = payer.send_token(&token, &to, usdc_minor(minor)).await.unwrap();
        judge(&lying, &watched(&lying), (vector, &tx), Verdict::Nothing).await;
    }

    let (chain, usdc) = (&world.chain, &world.usdc);
    let watch = watching(chain, &[&payer.address()]);
    let tx = payer.send_failing_token(usdc, &to, usdc_minor(5)).await.unwrap();
    judge(chain, &watch, ("a reverted token transfer", &tx), Verdict::Nothing).await;
    let tx = payer.poison(usdc, &world.address(1), &to).await.unwrap();
    judge(chain, &watch, ("poisoning with a log of zero", &tx), Verdict::Nothing).await;
    let tx = payer.send_token(usdc, &payer.address(), usdc_minor(5)).await.unwrap();
    judge(chain, &watch, ("tokens to oneself", &tx), Verdict::Nothing).await;
    let puppet = payer.deploy_puppet().await.unwrap();
    let tx = payer.puppet_mint(&puppet, usdc, &to, usdc_minor(5)).await.unwrap();
    judge(chain, &watch, ("a token's code run by a stranger", &tx), Verdict::Parked).await;

    let tx = payer.send_token(usdc, &to, usdc_minor(5)).await.unwrap();
    judge(chain, &watch, ("honest tokens", &tx), Verdict::Credited(vec![5])).await;
}

#[tokio::test]
async fn tokens_of_another_contract() {
    let world = World::start().await;
    let (payer, to, chain) = (&world.payer, world.address(0), &world.chain);
    for (vector, name, symbol) in [
        ("a lookalike", "USD Coin", "USDC"),
        ("a bridged token", "Bridged USDC", "USDC.e"),
        ("a symbol in other letters", "USD Coin", "USD\u{0421}"),
    ] {
        let token = payer.deploy_token(name, symbol, 6).await.unwrap();
        let tx = payer.mint(&token, &to, usdc_minor(5_000_000)).await.unwrap();
        judge(chain, &watched(chain), (vector, &tx), Verdict::Parked).await;
    }
    // Decimals that are not those of the books: a millionth would count as one.
    let token = payer.deploy_token("USD Coin", "USDC", 18).await.unwrap();
    let sentence = problem(&world.listing(&token)).await.unwrap();
    assert!(sentence.contains("18 decimals"), "decimals that lie: {sentence}");
}

#[tokio::test]
async fn tokens_that_came_in_part_or_went_again() {
    let world = World::start().await;
    let (payer, to) = (&world.payer, world.address(0));
    let token = payer.deploy_fee_token(true).await.unwrap();
    payer.mint(&token, &payer.address(), usdc_minor(5_000_000)).await.unwrap();
    let tx = payer.send_token(&token, &to, usdc_minor(1_000_000)).await.unwrap();
    let chain = world.listing(&token);
    let net = Verdict::Credited(vec![990_000]);
    judge(&chain, &watched(&chain), ("a token that keeps a fee and logs the gross", &tx), net)
        .await;

    let token = payer.deploy_talking_token().await.unwrap();
    let chain = world.listing(&token);
    let watch = watched(&chain);
    let hundred = transfer(&payer.address(), &to, U256::from(100));
    payer.set_automine(false).await.unwrap();
    let tx = payer.say(&token, &hundred).await.unwrap();
    payer.seize(&token, &to).await.unwrap();
    payer.mine(1).await.unwrap();
    judge(&chain, &watch, ("tokens seized in the same block", &tx), Verdict::Nothing).await;

    // Gained once, announced twice: the two claims share what came.
    let tx = payer.say(&token, &hundred).await.unwrap();
    let mut again = hundred.clone();
    again.gain = [0; 32];
    payer.say(&token, &again).await.unwrap();
    payer.mine(1).await.unwrap();
    let shared = Verdict::Credited(vec![50, 50]);
    judge(&chain, &watch, ("one gain announced twice", &tx), shared).await;

    // As an ERC-777 token does: two events of one movement.
    let mut sent = hundred.clone();
    sent.gain = [0; 32];
    sent.topics[0] = keccak256("Sent(address,address,address,uint256,bytes,bytes)").0;
    payer.say(&token, &sent).await.unwrap();
    let tx = payer.say(&token, &hundred).await.unwrap();
    payer.mine(1).await.unwrap();
    let once = Verdict::Credited(vec![100]);
    judge(&chain, &watch, ("one gain told by two kinds of event", &tx), once).await;
    payer.set_automine(true).await.unwrap();

    let tx = payer.say_and_undo(&token, &hundred).await.unwrap();
    assert!(payer.wait(&tx).await.unwrap());
    judge(&chain, &watch, ("a token transfer undone inside", &tx), Verdict::Nothing).await;
    let tx = payer.say_and_fail(&token, &hundred).await.unwrap();
    assert!(!payer.wait(&tx).await.unwrap());
    judge(&chain, &watch, ("logs of a transaction that failed", &tx), Verdict::Nothing).await;

    // Beyond what the books can hold, and truly gained: for a person to look at.
    let much = transfer(&payer.address(), &world.address(1), U256::MAX);
    let tx = payer.say(&token, &much).await.unwrap();
    judge(&chain, &watch, ("a value beyond i128", &tx), Verdict::Parked).await;

    let tx = payer.say(&token, &hundred).await.unwrap();
    judge(&chain, &watch, ("honest tokens", &tx), Verdict::Credited(vec![100])).await;
}

// Listed, honest, credited; then its owner changes the code.
#[tokio::test]
async fn a_token_upgraded_to_a_liar() {
    let world = World::start().await;
    let (payer, to, chain) = (&world.payer, world.address(0), &world.chain);
    let watch = watched(chain);
    let tx = payer.send_token(&world.usdc, &to, usdc_minor(5)).await.unwrap();
    judge(chain, &watch, ("before the upgrade", &tx), Verdict::Credited(vec![5])).await;
    let liar = payer.deploy_lying_token().await.unwrap();
    payer.replace_code(&world.usdc, &liar).await.unwrap();
    let tx = payer.send_token(&world.usdc, &to, usdc_minor(5)).await.unwrap();
    judge(chain, &watch, ("a token upgraded to a liar", &tx), Verdict::Nothing).await;
}
