//! What is not drafted: tokens that say no, wishes that make no sense, fees beyond the settings,
//! and answers that are none.

use chains::{
    ReadError,
    carrier::{Carrier as _, DraftError, KeyRef, Movable, Source, Wish},
};
use chains_evm::{EvmChain, EvmConfig, FeeConfig};
use primitives::Asset;
use serde_json::{Value, json};

use crate::{
    carrier::{ETHER, VENUE, everything, evm, movable, source},
    proxy::{Proxy, no_method, with_result},
    world::{World, config, usdc_minor, wei},
};

async fn refusal(chain: &EvmChain, wish: &Wish) -> String {
    match chain.draft(wish).await {
        Err(DraftError::Refused(why)) => why,
        other => panic!("{wish:?}: {other:?}"),
    }
}

#[tokio::test]
async fn tokens_that_say_no_are_refused() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let refusing = world.payer.deploy_refusing_token(true).await.unwrap();
    let chain = world.listing(&refusing);
    world.payer.mint(&refusing, &from.address, usdc_minor(100)).await.unwrap();
    let place = movable(&chain, &from, Asset::Usdc).await;
    assert!(refusal(&chain, &everything(place.clone(), VENUE)).await.contains("says no"));

    // It holds nothing of this one: the transfer reverts.
    assert!(refusal(&world.chain, &everything(place.clone(), VENUE)).await.contains("refuses"));
    let nobody = world.listing(&world.address(5));
    assert!(refusal(&nobody, &everything(place, VENUE)).await.contains("no contract"));
}

// USDT answers nothing to a transfer; that is a yes where there is a contract.
#[tokio::test]
async fn a_token_without_an_answer_is_carried() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    world.payer.send_token(&world.usdc, &from.address, usdc_minor(5)).await.unwrap();
    let place = movable(&world.chain, &from, Asset::Usdc).await;
    for (answer, good) in [("0x", true), ("0x01", false), ("0xzz", false)] {
        let proxy = Proxy::start(world.anvil.rpc_url(), move |method, found| {
            Some(if method == "eth_call" { with_result(found, json!(answer)) } else { found })
        })
        .await;
        let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
        let drafted = chain.draft(&everything(place.clone(), VENUE)).await;
        assert_eq!(drafted.is_ok(), good, "{answer}: {drafted:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_coins_gets_none() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let reverter = world.payer.deploy_reverter().await.unwrap();
    let place = movable(&world.chain, &from, Asset::Eth).await;
    assert!(refusal(&world.chain, &everything(place, &reverter)).await.contains("would fail"));
}

#[tokio::test]
async fn what_the_fee_would_eat_stays() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(1_000_000)).await.unwrap();
    let place = movable(&world.chain, &from, Asset::Eth).await;
    let drafted = world.chain.draft(&everything(place, VENUE)).await;
    assert!(matches!(drafted, Err(DraftError::NotWorth(_))), "{drafted:?}");
}

#[tokio::test]
async fn wishes_that_make_no_sense_are_refused() {
    let world = World::start().await;
    let (chain, from) = (&world.chain, source(&world.chain, 0));
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    let place = movable(chain, &from, Asset::Eth).await;
    let good = everything(place.clone(), VENUE);
    assert!(chain.draft(&good).await.is_ok());
    let at = |to: &str| Wish { to: to.to_owned(), ..good.clone() };
    let part = |amount| Wish { amount: Some(amount), ..good.clone() };
    let of = |movable: Movable| Wish { from: vec![movable], ..good.clone() };
    let other = Source { key: KeyRef::Deposit(1), ..from.clone() };
    let foreign = Source { address: VENUE.to_owned(), key: KeyRef::Deposit(0) };
    let hardened = Source { key: KeyRef::Deposit(u32::MAX), ..from.clone() };
    let bad = [
        Wish { from: vec![], ..good.clone() },
        Wish { from: vec![place.clone(), place.clone()], ..good.clone() },
        at(&from.address),
        at(&world.usdc),
        at("0x0000000000000000000000000000000000000000"),
        at("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"),
        at(&VENUE.replace("C5", "c5")),
        part(wei(0)),
        part(wei(-1)),
        part(usdc_minor(1)),
        part(wei(2 * ETHER)),
        // Nothing is left for the fee.
        part(wei(ETHER)),
        of(Movable { amount: wei(0), ..place.clone() }),
        of(Movable { amount: wei(-1), ..place.clone() }),
        // More than the place holds.
        of(Movable { amount: wei(2 * ETHER), ..place.clone() }),
        of(Movable { outpoint: Some("aa:0".to_owned()), ..place.clone() }),
        of(Movable { source: other, ..place.clone() }),
        of(Movable { source: foreign, ..place.clone() }),
        of(Movable { source: hardened, ..place.clone() }),
    ];
    for wish in bad {
        refusal(chain, &wish).await;
    }
    let sol = primitives::Amount::try_new(5, Asset::Sol).unwrap();
    refusal(chain, &of(Movable { amount: sol, ..place })).await;
}

#[tokio::test]
async fn fees_stay_below_the_settings() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    world.payer.send_token(&world.usdc, &from.address, usdc_minor(5)).await.unwrap();
    let coin = everything(movable(&world.chain, &from, Asset::Eth).await, VENUE);
    let token = everything(movable(&world.chain, &from, Asset::Usdc).await, VENUE);
    let with = |fees: FeeConfig, url: &str| {
        EvmChain::connect(&EvmConfig { fees, ..config(&[url], &world.usdc) }).unwrap()
    };
    // A node that suggests too much.
    let greedy = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        let hint = method == "eth_maxPriorityFeePerGas";
        Some(if hint { with_result(answer, json!("0xffffffffffff")) } else { answer })
    })
    .await;
    let fees = FeeConfig { priority_fee_per_gas_max: 3, ..FeeConfig::default() };
    let draft = with(fees, &greedy.url).draft(&token).await.unwrap();
    assert_eq!(evm(&draft).priority_fee_per_gas, "3");
    // One that suggests nothing.
    let mute = Proxy::start(world.anvil.rpc_url(), |method, answer| {
        let hint = method == "eth_maxPriorityFeePerGas";
        Some(if hint { no_method(&answer) } else { answer })
    })
    .await;
    let draft = with(FeeConfig::default(), &mute.url).draft(&token).await.unwrap();
    assert_eq!(evm(&draft).priority_fee_per_gas, "1000000000");
    // A network that asks for more than we pay, and a token that runs for too long.
    let tight = FeeConfig { fee_per_gas_max: 5, priority_fee_per_gas_max: 5, ..fees };
    let drafted = with(tight, world.anvil.rpc_url()).draft(&coin).await;
    assert!(matches!(drafted, Err(DraftError::NotWorth(_))), "{drafted:?}");
    let short = FeeConfig { gas_limit_max: 22_000, ..FeeConfig::default() };
    let short = with(short, world.anvil.rpc_url());
    assert!(short.draft(&coin).await.is_ok());
    assert!(refusal(&short, &token).await.contains("at most 22000"));
    for fees in [
        FeeConfig { gas_limit_max: 20_999, ..FeeConfig::default() },
        FeeConfig { fee_per_gas_max: 0, priority_fee_per_gas_max: 0, ..FeeConfig::default() },
        FeeConfig { fee_per_gas_max: 1, ..FeeConfig::default() },
    ] {
        let settings = EvmConfig { fees, ..config(&[world.anvil.rpc_url()], &world.usdc) };
        assert!(EvmChain::connect(&settings).is_err(), "{fees:?}");
    }
}

// Every question of a draft, answered with nonsense: an error, never a draft.
#[tokio::test]
async fn answers_that_are_none_make_no_draft() {
    let world = World::start().await;
    let from = source(&world.chain, 0);
    world.payer.send_native(&from.address, wei(ETHER)).await.unwrap();
    world.payer.send_token(&world.usdc, &from.address, usdc_minor(5)).await.unwrap();
    let coin = everything(movable(&world.chain, &from, Asset::Eth).await, VENUE);
    let token = everything(movable(&world.chain, &from, Asset::Usdc).await, VENUE);
    let asked = [
        "eth_getBlockByNumber",
        "eth_maxPriorityFeePerGas",
        "eth_getTransactionCount",
        "eth_getBalance",
        "eth_getCode",
        "eth_estimateGas",
    ];
    for bent in asked {
        for nonsense in [json!(null), json!("soon"), json!({}), json!([]), json!("0x")] {
            let shown = nonsense.clone();
            let proxy = Proxy::start(world.anvil.rpc_url(), move |method, answer| {
                Some(if method == bent { with_result(answer, nonsense.clone()) } else { answer })
            })
            .await;
            let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
            let wish = if bent == "eth_getCode" { &coin } else { &token };
            let drafted = chain.draft(wish).await;
            // No code at all is an answer.
            if bent == "eth_getCode" && (shown == json!("0x") || shown == json!([])) {
                continue;
            }
            let unread = matches!(drafted, Err(DraftError::Read(ReadError::Unavailable(_))));
            assert!(unread, "{bent} {shown}: {drafted:?}");
        }
    }
    // A tip without a fee, and a node of another chain.
    let old = Proxy::start(world.anvil.rpc_url(), |_, mut answer| {
        if let Some(tip) = answer["result"].as_object_mut() {
            tip.remove("baseFeePerGas");
        }
        Some(answer)
    })
    .await;
    let chain = EvmChain::connect(&config(&[&old.url], &world.usdc)).unwrap();
    assert!(matches!(chain.draft(&coin).await, Err(DraftError::Read(_))));
    let mut settings = config(&[world.anvil.rpc_url()], &world.usdc);
    settings.chain_id = 1;
    let chain = EvmChain::connect(&settings).unwrap();
    let drafted = chain.draft(&coin).await;
    assert!(matches!(drafted, Err(DraftError::Read(ReadError::Untrusted(_)))), "{drafted:?}");
}

#[tokio::test]
async fn a_cost_that_is_not_told_is_no_zero() {
    let world = World::start().await;
    let tx = world.payer.send_native(VENUE, wei(5)).await.unwrap();
    assert!(world.chain.cost(&tx).await.unwrap().unwrap().is_positive());
    let nobody = format!("0x{}", "5".repeat(64));
    assert_eq!(world.chain.cost(&nobody).await, Ok(None));
    assert!(world.chain.cost("0x12").await.is_err());
    let bends: [fn(&mut Value); 4] = [
        |receipt| receipt["effectiveGasPrice"] = json!(null),
        |receipt| receipt["gasUsed"] = json!("much"),
        |receipt| receipt["transactionHash"] = json!(format!("0x{}", "5".repeat(64))),
        |receipt| receipt["effectiveGasPrice"] = json!(format!("0x{}", "f".repeat(64))),
    ];
    for bend in bends {
        let proxy = Proxy::start(world.anvil.rpc_url(), move |method, mut answer| {
            if method == "eth_getTransactionReceipt" {
                bend(&mut answer["result"]);
            }
            Some(answer)
        })
        .await;
        let chain = EvmChain::connect(&config(&[&proxy.url], &world.usdc)).unwrap();
        let cost = chain.cost(&tx).await;
        assert!(matches!(cost, Err(ReadError::Unavailable(_))), "{cost:?}");
    }
}
