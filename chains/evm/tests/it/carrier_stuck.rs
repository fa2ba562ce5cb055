//! Transfers that do not come on by themselves, on a live anvil: bumped, outrun, forgotten, too
//! cheap for a network that has become dear. Whatever happens, one of them is mined, and its cost
//! is what was paid.

use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, Draft, DraftError, SendError, Wish, Witnessed},
};
use chains_evm::{EvmChain, EvmConfig, FeeConfig};
use chains_evm_sandbox::dev_sign;
use primitives::Asset;

use crate::{
    carrier::{ETHER, VENUE, arrived, carry, everything, evm, held, movable, source},
    witnessed::{ours, stands},
    world::{World, config, place, usdc_minor, wei},
};

const GWEI: u64 = 1_000_000_000;

/// A sweep of the first address that was sent and is in no block.
async fn waiting(world: &World) -> Draft {
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    world.payer.set_automine(false).await.unwrap();
    let wish = everything(movable(chain, &from, Asset::Eth).await, VENUE);
    let draft = chain.draft(&wish).await.unwrap();
    assert_eq!(chain.send(&dev_sign(&draft).unwrap()).await, Ok(()));
    draft
}

// Nodes forget; the one that is mined may be the one that was given up for the other.
#[tokio::test]
async fn the_first_one_is_mined_after_the_second_was_sent() {
    let world = World::start().await;
    let first = waiting(&world).await;
    let chain = &world.chain;
    let second = chain.bump(&first).await.unwrap();
    let per_gas = |draft: &Draft| {
        let fees = evm(draft);
        let number = |text: &str| text.parse::<u128>().unwrap();
        (number(&fees.fee_per_gas_max), number(&fees.priority_fee_per_gas))
    };
    let (old, new) = (per_gas(&first), per_gas(&second));
    assert!(new.0 * 10 >= old.0 * 11 && new.1 * 10 >= old.1 * 11, "{old:?} {new:?}");
    assert_eq!(evm(&first).nonce, evm(&second).nonce);
    let (one, two) = (dev_sign(&first).unwrap(), dev_sign(&second).unwrap());
    assert_eq!(chain.send(&two).await, Ok(()));
    world.payer.forget(&two.tx_id).await.unwrap();
    assert_eq!(chain.send(&one).await, Ok(()));
    world.payer.mine(1).await.unwrap();
    let at = place(chain, &one.tx_id).await;
    assert!(stands(chain, &one.tx_id, &at).await.is_ok());
    assert_eq!(chain.cost(&one.tx_id).await, Ok(Some(first.fee_max)));
    assert_eq!(chain.cost(&two.tx_id).await, Ok(None));
    assert_eq!(arrived(chain, &one.tx_id, VENUE, Asset::Eth).await, first.amount);
    // No second send, no third version, and the move is not over by its own hand.
    assert!(matches!(chain.send(&two).await, Err(SendError::Refused(_))));
    assert_eq!(chain.send(&one).await, Ok(()), "it is there already");
    for draft in [&first, &second] {
        let bumped = chain.bump(draft).await;
        assert!(matches!(bumped, Err(DraftError::Refused(_))), "{bumped:?}");
    }
    let lost = ours(&second, &two);
    let place = chain.locate(&lost.tx_id, &lost.spends).await.unwrap();
    let by = Some(one.tx_id.clone());
    assert_eq!(place, TxPlace::Replaced { by, mined: Some(at.0) });
    assert!(Witnessed::new(chain).overtaken(&[ours(&first, &one), lost]).await.is_err());
}

// The network becomes dearer than the sweep offers, then dearer than we ever pay, then cheap again.
#[tokio::test]
async fn above_the_cap_nothing_is_made_and_below_it_everything_goes_on() {
    let world = World::start().await;
    let first = waiting(&world).await;
    let most = u64::try_from(evm(&first).fee_per_gas_max.parse::<u128>().unwrap()).unwrap();
    let caps = FeeConfig { fee_per_gas_max: 4 * most, ..FeeConfig::default() };
    let settings = EvmConfig { fees: caps, ..config(&[world.anvil.rpc_url()], &world.usdc) };
    let chain = EvmChain::connect(&settings).unwrap();
    // Twice what it offers: it waits, and a bump brings it on.
    world.payer.set_base_fee(2 * most).await.unwrap();
    world.payer.mine(1).await.unwrap();
    let tx = dev_sign(&first).unwrap();
    let spends = ours(&first, &tx).spends;
    // Nodes differ in whether they keep what is too cheap; nobody calls it over.
    let out = chain.locate(&tx.tx_id, &spends).await.unwrap();
    assert!(matches!(out, TxPlace::Pending | TxPlace::Absent), "{out:?}");
    let second = chain.bump(&first).await.unwrap();
    assert!(evm(&second).fee_per_gas_max.parse::<u64>().unwrap() <= 4 * most);
    // Ten times as much: neither a draft nor a bump, and nothing is lost by that.
    world.payer.set_base_fee(10 * most).await.unwrap();
    world.payer.mine(1).await.unwrap();
    for draft in [&first, &second] {
        let bumped = chain.bump(draft).await;
        assert!(matches!(bumped, Err(DraftError::NotWorth(_))), "{bumped:?}");
    }
    let drafted = chain.draft(&everything(first.from[0].clone(), VENUE)).await;
    assert!(matches!(drafted, Err(DraftError::NotWorth(_))), "{drafted:?}");
    assert!(Witnessed::new(&chain).overtaken(&[ours(&first, &tx)]).await.is_err());
    // Cheap again: what was sent long ago goes, handed out once more where it was forgotten.
    world.payer.set_base_fee(GWEI / 1_000).await.unwrap();
    world.payer.mine(1).await.unwrap();
    assert_eq!(chain.send(&tx).await, Ok(()));
    world.payer.set_base_fee(GWEI / 1_000).await.unwrap();
    world.payer.mine(1).await.unwrap();
    let at = place(&chain, &tx.tx_id).await;
    assert!(stands(&chain, &tx.tx_id, &at).await.is_ok());
    let cost = chain.cost(&tx.tx_id).await.unwrap().unwrap();
    assert_eq!(cost, first.fee_max, "all that was offered, where everything goes");
    assert_eq!(held(&world, &first.from[0].source.address, Asset::Eth).await, 0);
}

// A token that refuses once it is in a block: it cost gas, the tokens stay, and they go later.
#[tokio::test]
async fn a_token_that_reverts_costs_gas_and_nothing_else() {
    let world = World::start().await;
    let token = world.payer.deploy_talking_token().await.unwrap();
    let chain = world.listing(&token);
    let (from, station) = (source(&chain, 0), chain.gas_station().unwrap());
    world.payer.mint(&token, &from.address, usdc_minor(100)).await.unwrap();
    world.payer.send_native(&station.address, wei(ETHER)).await.unwrap();
    let wish = everything(movable(&chain, &from, Asset::Usdc).await, VENUE);
    // The station tops it up, with room for the next time.
    let Err(DraftError::NeedsGas(gas)) = chain.draft(&wish).await else { panic!("no gas yet") };
    let place_of_gas = movable(&chain, &station, Asset::Eth).await;
    let part = Some(wei(gas.minor() * 4));
    let top_up = Wish { from: vec![place_of_gas], to: from.address.clone(), amount: part };
    carry(&world, &chain.draft(&top_up).await.unwrap()).await;
    let draft = chain.draft(&wish).await.unwrap();
    let before = held(&world, &from.address, Asset::Eth).await;
    // It is emptied between the draft and the block.
    world.payer.seize(&token, &from.address).await.unwrap();
    let signed = dev_sign(&draft).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));
    assert!(!world.payer.wait(&signed.tx_id).await.unwrap());
    let TxPlace::Included { height, block_hash, succeeded } =
        chain.locate(&signed.tx_id, &[]).await.unwrap()
    else {
        panic!("in no block")
    };
    assert!(!succeeded);
    // A failure is an end that all nodes have to agree on too.
    let at = (height, block_hash);
    assert!(stands(&chain, &signed.tx_id, &at).await.is_err(), "it did not succeed");
    let failed = chains::carrier::Standing { block_hash: &at.1, height, succeeded };
    assert!(Witnessed::new(&chain).stands(&signed.tx_id, failed).await.is_ok());
    let cost = chain.cost(&signed.tx_id).await.unwrap().unwrap();
    assert!(cost.is_positive() && cost.minor() <= draft.fee_max.minor());
    assert_eq!(held(&world, &from.address, Asset::Eth).await, before - cost.minor());
    assert_eq!(chain.outgoing(&signed.tx_id, VENUE, Asset::Usdc).await, Ok(vec![]));
    // Its nonce is used: the same bytes bring nothing, a new draft takes the next one.
    assert_eq!(chain.send(&signed).await, Ok(()));
    world.payer.mint(&token, &from.address, usdc_minor(100)).await.unwrap();
    let again = everything(movable(&chain, &from, Asset::Usdc).await, VENUE);
    let again = chain.draft(&again).await.unwrap();
    assert_eq!(evm(&again).nonce, evm(&draft).nonce + 1);
    let tx = carry(&world, &again).await;
    assert_eq!(arrived(&chain, &tx, VENUE, Asset::Usdc).await, again.amount);
}
