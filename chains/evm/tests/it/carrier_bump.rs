//! A transfer that is stuck goes again at a higher fee: of all its versions one is ever mined.

use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, Draft, DraftError, Unsigned, Wish},
};
use chains_evm::{EvmChain, EvmConfig, FeeConfig};
use chains_evm_sandbox::dev_sign;
use primitives::Asset;

use crate::{
    carrier::{ETHER, VENUE, arrived, carry, everything, evm, held, movable, source, steady},
    world::{World, config, usdc_minor, wei},
};

fn fees(draft: &Draft) -> (u128, u128) {
    let transfer = evm(draft);
    let number = |text: &str| text.parse().unwrap();
    (number(&transfer.fee_per_gas_max), number(&transfer.priority_fee_per_gas))
}

#[tokio::test]
async fn only_the_dearer_of_two_sweeps_is_mined() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    world.payer.set_automine(false).await.unwrap();
    let place = movable(chain, &from, Asset::Eth).await;
    let first = chain.draft(&everything(place, VENUE)).await.unwrap();
    let signed = dev_sign(&first).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));

    let second = chain.bump(&first).await.unwrap();
    let (old, new) = (fees(&first), fees(&second));
    assert!(new.0 * 4 >= old.0 * 5 && new.1 * 4 >= old.1 * 5, "{old:?} {new:?}");
    assert_eq!(evm(&second).nonce, evm(&first).nonce);
    assert_eq!(second.amount.minor() + second.fee_max.minor(), ETHER);
    assert!(second.amount.minor() < first.amount.minor());
    let third = chain.bump(&second).await.unwrap();
    // By what was signed one version is told from another, whichever draft is at hand.
    let newer = dev_sign(&third).unwrap();
    assert_eq!(chain.read_signed(&third, &signed), Ok(first.clone()));
    assert_eq!(chain.read_signed(&first, &newer), Ok(third.clone()));
    for draft in [&second, &third] {
        assert_eq!(chain.send(&dev_sign(draft).unwrap()).await, Ok(()));
    }
    world.payer.mine(1).await.unwrap();

    let winner = dev_sign(&third).unwrap().tx_id;
    let place = chain.locate(&winner, &[]).await.unwrap();
    assert!(matches!(place, TxPlace::Included { succeeded: true, .. }), "{place:?}");
    let spends = [format!("{}:{}", from.address, evm(&first).nonce)];
    for loser in [&first, &second] {
        let tx = dev_sign(loser).unwrap();
        let place = chain.locate(&tx.tx_id, &spends).await.unwrap();
        assert!(matches!(place, TxPlace::Replaced { mined: Some(_), .. }), "{place:?}");
        assert_eq!(chain.cost(&tx.tx_id).await, Ok(None));
        let again = chain.send(&tx).await;
        assert!(again.is_err_and(|error| error.to_string().starts_with("refused")));
        let bumped = chain.bump(loser).await;
        assert!(matches!(bumped, Err(DraftError::Refused(_))), "{bumped:?}");
    }
    assert_eq!(held(&world, &from.address, Asset::Eth).await, 0);
    assert_eq!(arrived(chain, &winner, VENUE, Asset::Eth).await, third.amount);
}

#[tokio::test]
async fn a_token_needs_the_higher_fee_as_well() {
    let world = World::start().await;
    let (_proxy, chain) = steady(&world).await;
    let from = source(&chain, 0);
    world.payer.send_token(&world.usdc, &from.address, usdc_minor(5)).await.unwrap();
    let wish = everything(movable(&world.chain, &from, Asset::Usdc).await, VENUE);
    let Err(DraftError::NeedsGas(gas)) = chain.draft(&wish).await else { panic!("no gas yet") };
    world.payer.send_native(&from.address, gas).await.unwrap();
    let first = chain.draft(&wish).await.unwrap();
    assert_eq!(first.fee_max, gas);
    let Err(DraftError::NeedsGas(more)) = chain.bump(&first).await else { panic!("all is used") };
    // A quarter more per gas, rounded up.
    assert!((0..1_000_000).contains(&(more.minor() - gas.minor() / 4)), "{more} {gas}");

    world.payer.send_native(&from.address, more).await.unwrap();
    let second = chain.bump(&first).await.unwrap();
    assert_eq!(second.fee_max, gas.checked_add(more).unwrap());
    assert_eq!(evm(&second).nonce, evm(&first).nonce);
    carry(&world, &second).await;
}

#[tokio::test]
async fn a_bumped_token_arrives_once() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_token(&world.usdc, &from.address, usdc_minor(5)).await.unwrap();
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    world.payer.set_automine(false).await.unwrap();
    let wish = everything(movable(chain, &from, Asset::Usdc).await, VENUE);
    let first = chain.draft(&wish).await.unwrap();
    let second = chain.bump(&first).await.unwrap();
    assert_eq!(second.amount, first.amount);
    for draft in [&first, &second] {
        assert_eq!(chain.send(&dev_sign(draft).unwrap()).await, Ok(()));
    }
    world.payer.mine(2).await.unwrap();
    let tx = dev_sign(&second).unwrap().tx_id;
    assert_eq!(arrived(chain, &tx, VENUE, Asset::Usdc).await, usdc_minor(5));
    assert_eq!(held(&world, VENUE, Asset::Usdc).await, 5);
    let cost = chain.cost(&tx).await.unwrap().unwrap();
    assert_eq!(held(&world, &from.address, Asset::Eth).await, ETHER - cost.minor());
}

// A top-up names its amount: the fee rises beside it, not out of it.
#[tokio::test]
async fn a_part_stays_the_same() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(chain, &from, Asset::Eth).await;
    let part = wei(ETHER / 2);
    let wish = Wish { from: vec![place], to: VENUE.to_owned(), amount: Some(part) };
    let first = chain.draft(&wish).await.unwrap();
    let second = chain.bump(&first).await.unwrap();
    assert_eq!(second.amount, part);
    assert!(second.fee_max.minor() * 4 >= first.fee_max.minor() * 5);
    carry(&world, &second).await;
}

// What was cut to a venue's step has next to nothing beside it: what arrives shrinks.
#[tokio::test]
async fn a_cut_amount_makes_room_for_its_fee() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(chain, &from, Asset::Eth).await;
    let all = chain.draft(&everything(place.clone(), VENUE)).await.unwrap();
    let cut = wei(all.amount.minor() / 10_i128.pow(10) * 10_i128.pow(10) - 10_i128.pow(10));
    let wish = Wish { from: vec![place], to: VENUE.to_owned(), amount: Some(cut) };
    let first = chain.draft(&wish).await.unwrap();
    let second = chain.bump(&first).await.unwrap();
    let outlay = |draft: &Draft| draft.amount.minor() + draft.fee_max.minor();
    assert_eq!(outlay(&second), outlay(&first), "no more of the place leaves");
    assert!(second.amount.minor() < cut.minor());
    assert!(second.fee_max.minor() * 4 >= first.fee_max.minor() * 5);
    assert_eq!(evm(&second).nonce, evm(&first).nonce);
    let third = chain.bump(&second).await.unwrap();
    assert_eq!(outlay(&third), outlay(&first));
    carry(&world, &third).await;
}

#[tokio::test]
async fn fees_do_not_rise_for_ever() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let caps = FeeConfig { fee_per_gas_max: 12_000_000_000, ..FeeConfig::default() };
    let settings = EvmConfig { fees: caps, ..config(&[world.anvil.rpc_url()], &world.usdc) };
    let chain = EvmChain::connect(&settings).unwrap();
    let place = movable(&chain, &from, Asset::Eth).await;
    let mut draft = chain.draft(&everything(place, VENUE)).await.unwrap();
    let mut bumps = 0;
    let end = loop {
        match chain.bump(&draft).await {
            Ok(higher) => draft = higher,
            Err(end) => break end,
        }
        bumps += 1;
        assert!(bumps < 100);
    };
    assert!(matches!(end, DraftError::NotWorth(_)), "{end:?}");
    assert!(bumps > 0 && fees(&draft).0 <= 12_000_000_000);
}

#[tokio::test]
async fn a_draft_that_was_changed_is_refused() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(chain, &from, Asset::Eth).await;
    let good = chain.draft(&everything(place, VENUE)).await.unwrap();
    assert!(chain.bump(&good).await.is_ok());
    let with = |change: fn(&mut chains::carrier::EvmTransfer)| {
        let mut transfer = evm(&good).clone();
        change(&mut transfer);
        Draft { unsigned: Unsigned::Evm(transfer), ..good.clone() }
    };
    let bad = [
        with(|transfer| transfer.minor = "1".to_owned()),
        with(|transfer| transfer.minor = "-1".to_owned()),
        with(|transfer| transfer.chain_id = 1),
        with(|transfer| transfer.to = transfer.from.address.clone()),
        with(|transfer| transfer.token = Some(transfer.to.clone())),
        with(|transfer| transfer.gas_limit = u64::MAX),
        with(|transfer| transfer.priority_fee_per_gas = u128::MAX.to_string()),
        with(|transfer| transfer.from.key = chains::carrier::KeyRef::Gas),
        Draft { unsigned: Unsigned::Bitcoin { psbt: String::new() }, ..good.clone() },
        Draft { from: vec![], ..good.clone() },
        Draft { fee_max: wei(1), ..good.clone() },
        Draft { amount: usdc_minor(1), ..good.clone() },
    ];
    for draft in bad {
        let bumped = chain.bump(&draft).await;
        assert!(matches!(bumped, Err(DraftError::Refused(_))), "{draft:?}: {bumped:?}");
    }
}
