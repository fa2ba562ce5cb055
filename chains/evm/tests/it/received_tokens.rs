//! What counts as received, in tokens: honest ones, ones that keep a fee, ones that lie, and logs
//! made to deceive. The books follow what the address gained, never what a log says.

use chains::{Arrived, Chain as _, TxPlace};
use primitives::Asset;

use crate::world::{World, amounts, by_hash, place, seen_by, usdc_minor, watched, wei};

#[tokio::test]
async fn a_plain_token_payment_counts_once() {
    let world = World::start().await;
    let to = world.address(0);
    let tx = world.payer.send_token(&world.usdc, &to, usdc_minor(1_000_000)).await.unwrap();

    let seen = world.seen(&tx).await;
    assert_eq!(amounts(&seen), [(1, to.clone(), usdc_minor(1_000_000))]);
    assert_eq!(seen[0].from, Some(world.payer.address()));
    let balance = world.chain.held(std::slice::from_ref(&to), Asset::Usdc).await;
    assert_eq!(balance, Ok(usdc_minor(1_000_000)));
}

// One per cent stays with the token. Its log may say so, or state the gross: the same arrives.
#[tokio::test]
async fn a_fee_on_transfer_counts_as_what_arrived() {
    let world = World::start().await;
    let to = world.address(0);
    for gross in [false, true] {
        let token = world.payer.deploy_fee_token(gross).await.unwrap();
        let chain = world.listing(&token);
        world.payer.mint(&token, &world.payer.address(), usdc_minor(5_000_000)).await.unwrap();
        let tx = world.payer.send_token(&token, &to, usdc_minor(1_000_000)).await.unwrap();
        let seen = seen_by(&chain, &tx).await;
        assert_eq!(amounts(&seen), [(1, to.clone(), usdc_minor(990_000))], "gross: {gross}");
    }
}

// Two payments in one block share what arrived in proportion.
#[tokio::test]
async fn two_payments_of_a_token_with_a_hidden_fee_share_what_arrived() {
    let world = World::start().await;
    let to = world.address(0);
    let token = world.payer.deploy_fee_token(true).await.unwrap();
    world.payer.mint(&token, &world.payer.address(), usdc_minor(5_000_000)).await.unwrap();
    world.payer.set_automine(false).await.unwrap();
    let tx = world.payer.send_token(&token, &to, usdc_minor(1_000_000)).await.unwrap();
    world.payer.send_token(&token, &to, usdc_minor(2_000_000)).await.unwrap();
    world.payer.mine(1).await.unwrap();

    let chain = world.listing(&token);
    let mut got: Vec<i128> =
        amounts(&seen_by(&chain, &tx).await).iter().map(|(_, _, a)| a.minor()).collect();
    got.sort_unstable();
    assert_eq!(got, [990_000, 1_980_000]);
}

#[tokio::test]
async fn a_token_that_lies_is_not_credited() {
    let world = World::start().await;
    let token = world.payer.deploy_lying_token().await.unwrap();
    let tx =
        world.payer.send_token(&token, &world.address(0), usdc_minor(1_000_000)).await.unwrap();

    assert!(world.payer.wait(&tx).await.unwrap());
    assert_eq!(seen_by(&world.listing(&token), &tx).await, []);
}

#[tokio::test]
async fn a_poisoning_log_of_zero_is_none() {
    let world = World::start().await;
    let (from, to) = (world.address(1), world.address(0));
    let tx = world.payer.poison(&world.usdc, &from, &to).await.unwrap();

    assert!(world.payer.wait(&tx).await.unwrap());
    assert_eq!(world.seen(&tx).await, []);
}

#[tokio::test]
async fn a_reverted_token_transfer_is_none() {
    let world = World::start().await;
    let to = world.address(0);
    let tx = world.payer.send_failing_token(&world.usdc, &to, usdc_minor(5)).await.unwrap();

    let place = world.chain.locate(&tx, &[]).await.unwrap();
    assert!(matches!(place, TxPlace::Included { succeeded: false, .. }), "{place:?}");
    assert_eq!(world.seen(&tx).await, []);
}

// Same name, same symbol, same decimals, other contract: reported, never an amount.
#[tokio::test]
async fn a_clone_with_the_same_symbol_is_an_unknown_token() {
    let world = World::start().await;
    let clone = world.payer.deploy_token("USD Coin", "USDC", 6).await.unwrap();
    let to = world.address(0);
    world.payer.mint(&clone, &world.payer.address(), usdc_minor(2_000_000)).await.unwrap();
    let tx = world.payer.send_token(&clone, &to, usdc_minor(2_000_000)).await.unwrap();

    let seen = world.seen(&tx).await;
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].ordinal, &seen[0].to), (1, &to));
    let expected = Arrived::UnknownToken { contract: clone, minor: "2000000".to_owned() };
    assert_eq!(seen[0].arrived, expected);
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Usdc).await, Ok(usdc_minor(0)));
}

#[tokio::test]
async fn two_transfers_in_one_transaction_have_their_own_ordinals() {
    let world = World::start().await;
    let (payer, to) = (&world.payer, world.address(0));
    let wallet = payer.deploy_wallet().await.unwrap();
    payer.mint(&world.usdc, &wallet, usdc_minor(100)).await.unwrap();
    let both = (usdc_minor(30), usdc_minor(20));
    let tx = payer.wallet_pay_token_twice(&wallet, &world.usdc, &to, both).await.unwrap();

    let seen = world.seen(&tx).await;
    let expected = [(1, to.clone(), usdc_minor(30)), (2, to, usdc_minor(20))];
    assert_eq!(amounts(&seen), expected);
}

// More hits than receipts are asked for one by one: the block's receipts come in one call. Coins
// and tokens, ten payees, one block; nobody is missed and nobody is paid twice.
#[tokio::test]
async fn a_full_block_of_payments_is_read_completely() {
    let world = World::start().await;
    let payer = &world.payer;
    payer.set_automine(false).await.unwrap();
    let mut last = String::new();
    for index in 0..10 {
        let to = world.address(index);
        payer.send_native(&to, wei(i128::from(index) + 1)).await.unwrap();
        let tokens = usdc_minor(i128::from(index) + 101);
        last = payer.send_token(&world.usdc, &to, tokens).await.unwrap();
    }
    payer.mine(1).await.unwrap();

    let (_, hash) = place(&world.chain, &last).await;
    let facts = world.chain.read_block(&by_hash(&hash), &watched(&world.chain)).await.unwrap();
    let mut got = amounts(&facts.sightings);
    got.sort_by_key(|(_, _, amount)| amount.minor());
    let coins = (0..10).map(|i| (0, world.address(i), wei(i128::from(i) + 1)));
    let tokens = (0..10).map(|i| (1, world.address(i), usdc_minor(i128::from(i) + 101)));
    assert_eq!(got, coins.chain(tokens).collect::<Vec<_>>());
}

// What goes back to a payer: at any address, in any asset, and only by a transaction that
// succeeded.
#[tokio::test]
async fn what_went_out_is_seen_at_any_address() {
    let world = World::start().await;
    let theirs = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    let coins = world.payer.send_native(theirs, wei(5)).await.unwrap();
    let tokens = world.payer.send_token(&world.usdc, theirs, usdc_minor(7)).await.unwrap();
    let failed = world.payer.send_failing_native(theirs, wei(3)).await.unwrap();
    let (chain, lower) = (&world.chain, theirs.to_lowercase());
    for (tx, asset, ordinal, amount) in
        [(&coins, Asset::Eth, 0, wei(5)), (&tokens, Asset::Usdc, 1, usdc_minor(7))]
    {
        let (_, hash) = place(chain, tx).await;
        let seen = chain.outgoing(&tx.to_uppercase().replace("0X", "0x"), &lower, asset).await;
        let seen = seen.unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!((&seen[0].tx_id, seen[0].ordinal, seen[0].amount), (tx, ordinal, amount));
        assert_eq!(seen[0].block.hash, hash);
    }
    assert_eq!(chain.outgoing(&coins, theirs, Asset::Usdc).await, Ok(vec![]));
    assert_eq!(chain.outgoing(&coins, &world.address(0), Asset::Eth).await, Ok(vec![]));
    assert_eq!(chain.outgoing(&failed, theirs, Asset::Eth).await, Ok(vec![]));
    assert!(chain.outgoing(&coins, "bc1q", Asset::Eth).await.is_err());
}
