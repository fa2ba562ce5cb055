//! Moving our own money: sweeps of coins and tokens to a venue, each really carried out. What
//! left, what arrived and what the network took add up to the wei.

use chains::{
    Chain as _, Outgoing,
    carrier::{
        Carrier as _, Draft, DraftError, EvmTransfer, KeyRef, Movable, Source, Unsigned, Wish,
    },
};
use chains_evm::EvmChain;
use chains_evm_sandbox::dev_sign;
use primitives::{Amount, Asset};
use serde_json::json;

use crate::{
    proxy::Proxy,
    world::{World, config, usdc_minor, wei},
};

pub(crate) const ETHER: i128 = 1_000_000_000_000_000_000;
pub(crate) const VENUE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// The n-th deposit address as a place to move from.
pub(crate) fn source(chain: &EvmChain, index: u32) -> Source {
    Source { address: chain.derive(index).unwrap().address, key: KeyRef::Deposit(index) }
}

/// What it holds by its own word.
pub(crate) async fn movable(chain: &EvmChain, source: &Source, asset: Asset) -> Movable {
    let held = chain.movable(std::slice::from_ref(source), asset).await.unwrap();
    let [one] = held.as_slice() else { panic!("{held:?}") };
    one.clone()
}

pub(crate) fn everything(from: Movable, to: &str) -> Wish {
    Wish { from: vec![from], to: to.to_owned(), amount: None }
}

pub(crate) fn evm(draft: &Draft) -> &EvmTransfer {
    let Unsigned::Evm(transfer) = &draft.unsigned else { panic!("{draft:?}") };
    transfer
}

/// Signs, sends, and waits for the block.
pub(crate) async fn carry(world: &World, draft: &Draft) -> String {
    let signed = dev_sign(draft).unwrap();
    assert_eq!(world.chain.send(&signed).await, Ok(()));
    assert!(world.payer.wait(&signed.tx_id).await.unwrap(), "{draft:?}");
    signed.tx_id
}

pub(crate) async fn held(world: &World, address: &str, asset: Asset) -> i128 {
    let address = address.to_owned();
    world.chain.held(std::slice::from_ref(&address), asset).await.unwrap().minor()
}

pub(crate) async fn arrived(chain: &EvmChain, tx: &str, to: &str, asset: Asset) -> Amount {
    let seen: Vec<Outgoing> = chain.outgoing(tx, to, asset).await.unwrap();
    let [one] = seen.as_slice() else { panic!("{seen:?}") };
    one.amount
}

/// The network's own fee stands still at a gwei.
pub(crate) async fn steady(world: &World) -> (Proxy, EvmChain) {
    let proxy = Proxy::start(world.anvil.rpc_url(), |method, mut answer| {
        if method == "eth_getBlockByNumber" && answer["result"]["baseFeePerGas"].is_string() {
            answer["result"]["baseFeePerGas"] = json!("0x3b9aca00");
        }
        Some(answer)
    })
    .await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
    (proxy, chain)
}

#[tokio::test]
async fn a_sweep_of_coins_leaves_nothing() {
    let world = World::start().await;
    let from = source(&world.chain, 3);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let before = held(&world, VENUE, Asset::Eth).await;
    let place = movable(&world.chain, &from, Asset::Eth).await;
    assert_eq!(place.amount, wei(ETHER));
    let draft = world.chain.draft(&everything(place, &VENUE.to_lowercase())).await.unwrap();
    assert_eq!(draft.to, VENUE);
    assert_eq!(evm(&draft).gas_limit, 21_000);
    let tx = carry(&world, &draft).await;

    assert_eq!(held(&world, &from.address, Asset::Eth).await, 0);
    assert_eq!(held(&world, VENUE, Asset::Eth).await - before, draft.amount.minor());
    assert_eq!(arrived(&world.chain, &tx, VENUE, Asset::Eth).await, draft.amount);
    let cost = world.chain.cost(&tx).await.unwrap().unwrap();
    assert_eq!(cost, draft.fee_max);
    assert_eq!(cost.minor() + draft.amount.minor(), ETHER);
    assert_eq!(world.chain.movable(&[from], Asset::Eth).await, Ok(vec![]));
}

#[tokio::test]
async fn balances_come_in_few_calls() {
    let world = World::start().await;
    let places: Vec<Source> = (0..250).map(|index| source(&world.chain, index)).collect();
    for index in [0, 120, 249_usize] {
        world.payer.send_native(&places[index].address, wei(7)).await.unwrap();
        world.payer.send_token(&world.usdc, &places[index].address, usdc_minor(9)).await.unwrap();
    }
    world.chain.head().await.unwrap();
    for (asset, amount) in [(Asset::Eth, wei(7)), (Asset::Usdc, usdc_minor(9))] {
        let before = world.chain.calls();
        let held = world.chain.movable(&places, asset).await.unwrap();
        assert_eq!(world.chain.calls() - before, 3);
        let keys: Vec<KeyRef> = held.iter().map(|one| one.source.key).collect();
        assert_eq!(keys, [0, 120, 249].map(KeyRef::Deposit));
        assert!(held.iter().all(|one| one.amount == amount && one.outpoint.is_none()));
    }
    assert!(world.chain.movable(&places, Asset::Sol).await.is_err());
    let nobody = Source { address: "bc1q".to_owned(), key: KeyRef::Deposit(0) };
    assert!(world.chain.movable(&[nobody], Asset::Eth).await.is_err());
}

#[tokio::test]
async fn a_token_waits_for_gas_from_the_station() {
    let world = World::start().await;
    let (_proxy, chain) = steady(&world).await;
    let (from, station) = (source(&chain, 0), chain.gas_station().unwrap());
    assert_eq!((chain.native(), station.key), (Asset::Eth, KeyRef::Gas));
    world.payer.send_token(&world.usdc, &from.address, usdc_minor(5_000_000)).await.unwrap();
    world.payer.send_native(&station.address, wei(ETHER)).await.unwrap();
    let wish = everything(movable(&world.chain, &from, Asset::Usdc).await, VENUE);
    let Err(DraftError::NeedsGas(all)) = chain.draft(&wish).await else { panic!("no gas yet") };

    let first = wei(all.minor() / 3);
    for part in [first, all.checked_sub(first).unwrap()] {
        let place = movable(&world.chain, &station, Asset::Eth).await;
        let top_up = Wish { from: vec![place], to: from.address.clone(), amount: Some(part) };
        let top_up = chain.draft(&top_up).await.unwrap();
        assert_eq!(top_up.amount, part);
        carry(&world, &top_up).await;
        if part == first {
            let rest = DraftError::NeedsGas(all.checked_sub(first).unwrap());
            assert_eq!(chain.draft(&wish).await, Err(rest));
        }
    }
    let draft = chain.draft(&wish).await.unwrap();
    assert_eq!(draft.fee_max, all);
    assert_eq!(draft.amount, usdc_minor(5_000_000));
    let tx = carry(&world, &draft).await;

    assert_eq!(held(&world, &from.address, Asset::Usdc).await, 0);
    assert_eq!(arrived(&chain, &tx, VENUE, Asset::Usdc).await, draft.amount);
    let cost = chain.cost(&tx).await.unwrap().unwrap();
    assert!(cost.minor() < all.minor());
    assert_eq!(held(&world, &from.address, Asset::Eth).await, all.minor() - cost.minor());
}

// The base fee moves between a top-up and the transfer it was for: no second top-up for that.
#[tokio::test]
async fn a_little_less_than_wanted_is_enough() {
    let world = World::start().await;
    let (_proxy, chain) = steady(&world).await;
    let from = source(&chain, 0);
    world.payer.send_token(&world.usdc, &from.address, usdc_minor(5)).await.unwrap();
    let wish = everything(movable(&world.chain, &from, Asset::Usdc).await, VENUE);
    let Err(DraftError::NeedsGas(all)) = chain.draft(&wish).await else { panic!("no gas yet") };
    let less = wei(all.minor() * 9 / 10);
    world.payer.send_native(&from.address, less).await.unwrap();
    let draft = chain.draft(&wish).await.unwrap();
    assert!(draft.fee_max.minor() <= less.minor());
    carry(&world, &draft).await;
}

#[tokio::test]
async fn a_part_leaves_the_rest() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(&world.chain, &from, Asset::Eth).await;
    let part = Some(wei(ETHER / 4));
    let wish = Wish { from: vec![place], to: VENUE.to_owned(), amount: part };
    let draft = world.chain.draft(&wish).await.unwrap();
    let tx = carry(&world, &draft).await;
    let cost = world.chain.cost(&tx).await.unwrap().unwrap();
    assert!(cost.minor() < draft.fee_max.minor());
    assert_eq!(held(&world, &from.address, Asset::Eth).await, ETHER * 3 / 4 - cost.minor());
}

// What comes in after the wish stays: only what was planned is moved.
#[tokio::test]
async fn what_came_later_is_not_moved() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let wish = everything(movable(&world.chain, &from, Asset::Eth).await, VENUE);
    world.payer.send_native(&from.address, wei(77)).await.unwrap();
    let draft = world.chain.draft(&wish).await.unwrap();
    carry(&world, &draft).await;
    assert_eq!(held(&world, &from.address, Asset::Eth).await, 77);
}

#[tokio::test]
async fn a_contract_may_receive() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    let wallet = world.payer.deploy_wallet().await.unwrap();
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(&world.chain, &from, Asset::Eth).await;
    let draft = world.chain.draft(&everything(place, &wallet)).await.unwrap();
    assert!(evm(&draft).gas_limit > 21_000);
    let tx = carry(&world, &draft).await;
    assert_eq!(arrived(&world.chain, &tx, &wallet, Asset::Eth).await, draft.amount);
    let cost = world.chain.cost(&tx).await.unwrap().unwrap();
    let left = held(&world, &from.address, Asset::Eth).await;
    assert_eq!(left + cost.minor() + draft.amount.minor(), ETHER);
    assert!(left < draft.fee_max.minor());
}

// The books follow what arrived: a token that keeps one per cent delivers less than was sent.
#[tokio::test]
async fn what_a_token_keeps_did_not_arrive() {
    let world = World::start().await;
    let token = world.payer.deploy_fee_token(true).await.unwrap();
    let chain = world.listing(&token);
    let from = source(&chain, 0);
    world.payer.mint(&token, &from.address, usdc_minor(1_000_000)).await.unwrap();
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(&chain, &from, Asset::Usdc).await;
    let draft = chain.draft(&everything(place, VENUE)).await.unwrap();
    let tx = carry(&world, &draft).await;
    assert_eq!(arrived(&chain, &tx, VENUE, Asset::Usdc).await, usdc_minor(990_000));
}

// A reorganisation drops the sweep: it cost nothing, and the same bytes go again.
#[tokio::test]
async fn a_sweep_that_was_dropped_goes_again() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    world.payer.mine(1).await.unwrap();
    let place = movable(&world.chain, &from, Asset::Eth).await;
    let draft = world.chain.draft(&everything(place, VENUE)).await.unwrap();
    let signed = dev_sign(&draft).unwrap();
    assert_eq!(carry(&world, &draft).await, signed.tx_id);
    assert!(world.chain.cost(&signed.tx_id).await.unwrap().is_some());

    world.payer.reorg(1, &[]).await.unwrap();
    assert_eq!(world.chain.cost(&signed.tx_id).await, Ok(None));
    assert_eq!(world.chain.outgoing(&signed.tx_id, VENUE, Asset::Eth).await, Ok(vec![]));
    assert_eq!(held(&world, &from.address, Asset::Eth).await, ETHER);
    carry(&world, &draft).await;
    assert_eq!(arrived(&world.chain, &signed.tx_id, VENUE, Asset::Eth).await, draft.amount);
    assert_eq!(held(&world, &from.address, Asset::Eth).await, 0);
}

// A transfer that fails in its block brought nothing and cost all the same.
#[tokio::test]
async fn a_failed_transfer_costs() {
    let world = World::start().await;
    let token = world.payer.deploy_talking_token().await.unwrap();
    let chain = world.listing(&token);
    let from = source(&chain, 0);
    world.payer.mint(&token, &from.address, usdc_minor(100)).await.unwrap();
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(&chain, &from, Asset::Usdc).await;
    let draft = chain.draft(&everything(place, VENUE)).await.unwrap();
    world.payer.seize(&token, &from.address).await.unwrap();
    let signed = dev_sign(&draft).unwrap();
    assert_eq!(chain.send(&signed).await, Ok(()));
    assert!(!world.payer.wait(&signed.tx_id).await.unwrap());
    assert_eq!(chain.outgoing(&signed.tx_id, VENUE, Asset::Usdc).await, Ok(vec![]));
    let cost = chain.cost(&signed.tx_id).await.unwrap().unwrap();
    assert!(cost.is_positive());
    assert_eq!(held(&world, &from.address, Asset::Eth).await, ETHER - cost.minor());
}

// The OP stack charges for its data beside the gas: kept back before, counted after.
#[tokio::test]
async fn data_fees_are_kept_back_and_counted() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let wish = everything(movable(&world.chain, &from, Asset::Eth).await, VENUE);
    let wallet = world.payer.deploy_wallet().await.unwrap();
    world.payer.replace_code("0x420000000000000000000000000000000000000f", &wallet).await.unwrap();
    let unread = world.chain.draft(&wish).await;
    assert!(matches!(unread, Err(DraftError::Read(_))), "no oracle is no zero: {unread:?}");

    let proxy = Proxy::start(world.anvil.rpc_url(), |method, mut answer| match method {
        "eth_call" => {
            let bound = format!("{:#066x}", 5_000);
            Some(json!({"jsonrpc": "2.0", "id": answer["id"], "result": bound}))
        }
        "eth_getTransactionReceipt" => {
            answer["result"]["l1Fee"] = json!("0x1388");
            Some(answer)
        }
        _ => Some(answer),
    })
    .await;
    let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
    let draft = chain.draft(&wish).await.unwrap();
    let gas = 21_000 * evm(&draft).fee_per_gas_max.parse::<i128>().unwrap();
    assert_eq!(draft.fee_max, wei(gas + 10_000));
    assert_eq!(draft.amount, wei(ETHER - gas - 10_000));
    let tx = carry(&world, &draft).await;
    let gas = world.chain.cost(&tx).await.unwrap().unwrap();
    assert_eq!(chain.cost(&tx).await, Ok(Some(wei(gas.minor() + 5_000))));
}
