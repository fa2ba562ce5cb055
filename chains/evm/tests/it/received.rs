//! What counts as received, in coins: each row of the table of cases that fooled a naive reader.
//! Every test pays on a real node in one special way and asks what the block brought.

use chains::{Chain as _, TxPlace};
use primitives::Asset;

use crate::world::{World, amounts, seen_by, wei};
use chains_evm::TraceMode;

#[tokio::test]
async fn a_plain_payment_counts_once() {
    let world = World::start().await;
    let to = world.address(0);
    let tx = world.payer.send_native(&to, wei(5)).await.unwrap();

    let seen = world.seen(&tx).await;
    assert_eq!(amounts(&seen), [(0, to.clone(), wei(5))]);
    assert_eq!(seen[0].tx_id, tx);
    assert_eq!(seen[0].from, Some(world.payer.address()));
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Eth).await, Ok(wei(5)));
}

#[tokio::test]
async fn a_contract_wallet_pays_by_an_internal_call() {
    let world = World::start().await;
    let to = world.address(0);
    let wallet = world.payer.deploy_wallet().await.unwrap();
    let tx = world.payer.wallet_pay(&wallet, &to, wei(7)).await.unwrap();

    let seen = world.seen(&tx).await;
    assert_eq!(amounts(&seen), [(1_000_000, to, wei(7))]);
    assert_eq!(seen[0].from.as_deref(), Some(wallet.as_str()));
}

// `payTwice` calls itself for each payment, and each of those calls the payee; only the latter
// carry value.
#[tokio::test]
async fn two_internal_payments_in_one_transaction_are_two() {
    let world = World::start().await;
    let to = world.address(0);
    let wallet = world.payer.deploy_wallet().await.unwrap();
    let both = (wei(3), wei(4));
    let tx = world.payer.wallet_pay_twice(&wallet, &to, both).await.unwrap();

    let expected = [(1_000_000, to.clone(), wei(3)), (1_000_001, to.clone(), wei(4))];
    assert_eq!(amounts(&world.seen(&tx).await), expected);
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Eth).await, Ok(wei(7)));
}

#[tokio::test]
async fn an_undone_internal_payment_is_none() {
    let world = World::start().await;
    let wallet = world.payer.deploy_wallet().await.unwrap();
    let to = world.address(0);
    let tx = world.payer.wallet_pay_and_undo(&wallet, &to, wei(9)).await.unwrap();

    assert!(world.payer.wait(&tx).await.unwrap(), "the transaction itself succeeds");
    assert_eq!(world.seen(&tx).await, []);
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Eth).await, Ok(wei(0)));
}

#[tokio::test]
async fn a_failed_transaction_with_value_is_none() {
    let world = World::start().await;
    let to = world.address(0);
    let tx = world.payer.send_failing_native(&to, wei(3)).await.unwrap();

    let place = world.chain.locate(&tx, &[]).await.unwrap();
    assert!(matches!(place, TxPlace::Included { succeeded: false, .. }), "{place:?}");
    assert_eq!(world.seen(&tx).await, []);
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Eth).await, Ok(wei(0)));
    // The trick leaves the address as it was.
    let tx = world.payer.send_native(&to, wei(3)).await.unwrap();
    assert_eq!(amounts(&world.seen(&tx).await), [(0, to, wei(3))]);
}

#[tokio::test]
async fn a_failing_internal_payment_to_a_contract_is_none() {
    let world = World::start().await;
    let wallet = world.payer.deploy_wallet().await.unwrap();
    let reverter = world.payer.deploy_reverter().await.unwrap();
    let tx = world.payer.wallet_pay(&wallet, &reverter, wei(3)).await.unwrap();

    assert!(!world.payer.wait(&tx).await.unwrap());
    assert_eq!(world.seen(&tx).await, []);
}

#[tokio::test]
async fn the_inheritance_of_a_destroyed_contract_arrives() {
    let world = World::start().await;
    let to = world.address(0);
    let wallet = world.payer.deploy_wallet().await.unwrap();
    world.payer.send_native(&wallet, wei(11)).await.unwrap();
    let tx = world.payer.wallet_destroy(&wallet, &to).await.unwrap();

    assert_eq!(amounts(&world.seen(&tx).await), [(1_000_000, to.clone(), wei(11))]);
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Eth).await, Ok(wei(11)));
}

// A delegate call shows the value of the frame around it; nothing moves.
#[tokio::test]
async fn borrowed_value_in_a_delegate_call_is_none() {
    let world = World::start().await;
    let to = world.address(0);
    let wallet = world.payer.deploy_wallet().await.unwrap();
    let tx = world.payer.wallet_delegate(&wallet, &to, wei(6)).await.unwrap();

    assert!(world.payer.wait(&tx).await.unwrap());
    assert_eq!(world.seen(&tx).await, []);
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Eth).await, Ok(wei(0)));
}

#[tokio::test]
async fn a_payment_of_nothing_is_none() {
    let world = World::start().await;
    let tx = world.payer.send_native(&world.address(0), wei(0)).await.unwrap();
    assert_eq!(world.seen(&tx).await, []);
}

// Both dialects tell the same story with the same ordinals; without tracing, internal payments
// are not seen, and everything else is.
#[tokio::test]
async fn both_tracing_dialects_agree() {
    let world = World::start().await;
    let (payer, to) = (&world.payer, world.address(0));
    let wallet = payer.deploy_wallet().await.unwrap();
    payer.send_native(&wallet, wei(11)).await.unwrap();
    payer.set_automine(false).await.unwrap();
    let twice = payer.wallet_pay_twice(&wallet, &to, (wei(3), wei(4))).await.unwrap();
    payer.wallet_pay_and_undo(&wallet, &to, wei(9)).await.unwrap();
    payer.wallet_delegate(&wallet, &to, wei(6)).await.unwrap();
    payer.send_native(&to, wei(5)).await.unwrap();
    payer.wallet_destroy(&wallet, &to).await.unwrap();
    payer.mine(1).await.unwrap();

    let parity = seen_by(&world.tracing(TraceMode::TraceBlock), &twice).await;
    let geth = seen_by(&world.tracing(TraceMode::DebugTraceBlock), &twice).await;
    assert_eq!(parity, geth);
    // 9 and 6 stayed in the wallet, so it leaves 11 + 9 + 6.
    let mut minors: Vec<i128> = amounts(&parity).iter().map(|(_, _, a)| a.minor()).collect();
    minors.sort_unstable();
    assert_eq!(minors, [3, 4, 5, 26]);
    assert_eq!(world.chain.held(std::slice::from_ref(&to), Asset::Eth).await, Ok(wei(38)));

    let off = seen_by(&world.tracing(TraceMode::Off), &twice).await;
    assert_eq!(amounts(&off), [(0, to, wei(5))]);
}
