//! What a block brings: coins, tokens, fees on the way, references.

use chains::{Arrived, Chain as _, TxPlace, sandbox::Sandbox as _};
use chains_solana::{SolanaChain, SolanaConfig};
use chains_solana_sandbox::{Payer, dev_wallet};
use primitives::Asset;

use crate::world::{World, config, lamports, usdc};

#[tokio::test]
async fn a_missing_token_account_is_made_by_the_payment() {
    let world = World::start().await;
    let reference = world.reference(0);
    assert_eq!(world.chain.held(&[], Asset::Usdc).await, Ok(usdc(0)));
    let first = world.payer.pay(&reference, usdc(2_500_000)).await.unwrap();
    let second = world.payer.pay(&reference, usdc(500_000)).await.unwrap();
    for (tx, units) in [(&first, 2_500_000), (&second, 500_000)] {
        let seen = world.seen(tx).await;
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!((&seen[0].to, &seen[0].arrived), (&reference, &Arrived::Known(usdc(units))));
    }
    assert_eq!(world.chain.held(&[reference], Asset::Usdc).await, Ok(usdc(3_000_000)));
}

#[tokio::test]
async fn coins_and_tokens_in_one_transaction_are_two_deposits() {
    let world = World::start().await;
    let reference = world.reference(1);
    let mut steps = world.payer.payment(lamports(5_000_000), &[&reference]).unwrap();
    steps.extend(world.payer.payment(usdc(7_000_000), &[]).unwrap());
    let tx = world.payer.send(steps, &[]).await.unwrap();
    let seen = world.seen(&tx).await;
    let mut arrived: Vec<_> = seen.iter().map(|s| s.arrived.clone()).collect();
    arrived.sort_by_key(|a| format!("{a:?}"));
    assert_eq!(arrived, [Arrived::Known(lamports(5_000_000)), Arrived::Known(usdc(7_000_000))]);
    assert!(seen.iter().all(|s| s.to == reference), "{seen:?}");
    assert_ne!(seen[0].ordinal, seen[1].ordinal);
}

// Two transfers of one asset in one transaction come in together: balances tell no more.
#[tokio::test]
async fn two_transfers_of_one_asset_are_their_sum() {
    let world = World::start().await;
    let reference = world.reference(2);
    let mut steps = world.payer.payment(lamports(3_000_000), &[&reference]).unwrap();
    steps.extend(world.payer.payment(lamports(4_000_000), &[&reference]).unwrap());
    let tx = world.payer.send(steps, &[]).await.unwrap();
    let seen = world.seen(&tx).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].arrived, Arrived::Known(lamports(7_000_000)));
}

// Without a reference, or with two open ones, nobody knows which payment it is: people decide.
#[tokio::test]
async fn what_names_no_payment_is_left_to_people() {
    let world = World::start().await;
    let (a, b) = (world.reference(0), world.reference(1));
    for references in [vec![], vec![a.as_str(), b.as_str()]] {
        let steps = world.payer.payment(lamports(5_000_000), &references).unwrap();
        let tx = world.payer.send(steps, &[]).await.unwrap();
        let seen = world.seen(&tx).await;
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].to, dev_wallet(), "{references:?}");
        assert_eq!(seen[0].arrived, Arrived::Known(lamports(5_000_000)));
    }
}

// Token-2022 with a transfer fee: what counts is what arrived, whatever the instruction said.
#[tokio::test]
async fn a_fee_on_the_way_counts_as_what_arrived() {
    let world = World::start().await;
    let mut settings = config(&world.node);
    settings.mints[0].mint = Payer::taxed_mint();
    let chain = SolanaChain::connect(&settings).unwrap();
    let reference = chain.derive(0).unwrap().address;
    let tx = world.payer.pay_taxed(5_000_000, &reference).await.unwrap();
    let TxPlace::Included { height, succeeded: true, .. } = chain.locate(&tx, &[]).await.unwrap()
    else {
        panic!("in no block");
    };
    let block = chain.block_at(height).await.unwrap().unwrap();
    let watch = std::iter::once(reference).collect();
    let facts = chain.read_block(&block, &watch).await.unwrap();
    assert_eq!(facts.sightings.len(), 1, "{facts:?}");
    assert_eq!(facts.sightings[0].arrived, Arrived::Known(usdc(4_950_000)));
    assert_eq!(chain.held(&[], Asset::Usdc).await, Ok(usdc(4_950_000)));
    assert_eq!(chain.examine().await.remove(0).problem, None);
}

#[tokio::test]
async fn finality_comes_with_depth() {
    let world = World::start().await;
    let tx = world.payer.pay(&world.reference(0), lamports(5_000_000)).await.unwrap();
    let TxPlace::Included { height, .. } = world.chain.locate(&tx, &[]).await.unwrap() else {
        panic!("in no block");
    };
    let head = world.chain.head().await.unwrap();
    assert!(head.finalized.unwrap() < height && head.safe.unwrap() >= height, "{head:?}");
    world.payer.finalize().await.unwrap();
    let head = world.chain.head().await.unwrap();
    assert!(head.finalized.unwrap() >= height, "{head:?}");
}

#[test]
fn references_are_one_per_number_and_hidden_from_logs() {
    let key = "mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN";
    let text = format!(
        r#"{{"network":"solana","genesis_hash":"{key}","rpc_urls":["http://127.0.0.1:1"],
            "wallet":"{}","reference_seed":"a seed of some length"}}"#,
        dev_wallet()
    );
    let settings: SolanaConfig = serde_json::from_str(&text).unwrap();
    let chain = SolanaChain::connect(&settings).unwrap();
    let keys: std::collections::HashSet<String> =
        (0..1_000).map(|index| chain.derive(index).unwrap().address).collect();
    assert_eq!(keys.len(), 1_000);
    assert!(chain.derive(1 << 31).is_err());
    assert!(!format!("{settings:?}").contains("a seed of"));
}
