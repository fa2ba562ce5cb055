//! Nodes that answer one question of the carrier wrongly: an error, never a draft and never a cost
//! that somebody made up; and prices that stay below the settings.

use chains::{
    ReadError,
    carrier::{Carrier as _, DraftError},
    sandbox::Sandbox as _,
};
use chains_solana::{SolanaChain, SolanaConfig};
use primitives::Asset;
use serde_json::{Value, json};

use crate::{
    carrier::{carry, everything, funded, movable, solana, venue, wallet},
    proxy::{Proxy, no_method, with_result},
    world::{World, config, lamports},
};

fn at(url: &str, world: &World) -> SolanaConfig {
    let rpc_urls = vec![url.parse().unwrap()];
    SolanaConfig { rpc_urls, ws_urls: vec![], ..config(&world.node) }
}

#[tokio::test]
async fn answers_that_are_none_make_no_draft() {
    let world = funded(500_000_000, 9_000_000).await;
    let to = venue();
    let tokens = everything(movable(&world.chain, Asset::Usdc).await, &to);
    let coins = everything(movable(&world.chain, Asset::Sol).await, &to);
    for bent in [
        "getMultipleAccounts",
        "getLatestBlockhash",
        "getMinimumBalanceForRentExemption",
        "getRecentPrioritizationFees",
        "simulateTransaction",
    ] {
        for nonsense in [json!(null), json!("soon"), json!({}), json!(0), json!({"value": []})] {
            let shown = nonsense.clone();
            let proxy = Proxy::start(world.node.rpc_url(), move |method, answer| {
                Some(if method == bent { with_result(answer, nonsense.clone()) } else { answer })
            })
            .await;
            let chain = SolanaChain::connect(&at(&proxy.url, &world)).unwrap();
            for wish in [&tokens, &coins] {
                let drafted = chain.draft(wish).await;
                let unread = matches!(drafted, Err(DraftError::Read(ReadError::Unavailable(_))));
                assert!(unread, "{bent} {shown}: {drafted:?}");
            }
            if bent == "getMultipleAccounts" {
                assert!(chain.movable(&[wallet()], Asset::Usdc).await.is_err());
                assert!(chain.movable(&[wallet()], Asset::Sol).await.is_err());
            }
        }
    }
}

type Bend = fn(&mut Value);

#[tokio::test]
async fn accounts_that_contradict_the_settings_make_no_draft() {
    let world = funded(500_000_000, 9_000_000).await;
    let wish = everything(movable(&world.chain, Asset::Usdc).await, &venue());
    let bends: [(Bend, bool); 8] = [
        // The mint: gone, of another program, with other decimals, with an extension.
        (|found| found[2] = Value::Null, true),
        (|found| found[2]["owner"] = json!("11111111111111111111111111111111"), true),
        (|found| found[2]["data"]["parsed"]["info"]["decimals"] = json!(9), true),
        (
            |found| {
                found[2]["data"]["parsed"]["info"]["extensions"] =
                    json!([{ "extension": "transferHook" }]);
            },
            true,
        ),
        // Our account: frozen, somebody else's, of another mint, without an amount.
        (|found| found[3]["data"]["parsed"]["info"]["state"] = json!("frozen"), true),
        (|found| found[3]["data"]["parsed"]["info"]["owner"] = json!("somebody"), true),
        (|found| found[3]["data"]["parsed"]["info"]["mint"] = json!("another"), false),
        (|found| found[3]["data"]["parsed"]["info"]["tokenAmount"] = Value::Null, false),
    ];
    for (nth, (bend, refused)) in bends.into_iter().enumerate() {
        let proxy = Proxy::start(world.node.rpc_url(), move |method, mut answer| {
            if method == "getMultipleAccounts" {
                bend(&mut answer["result"]["value"]);
            }
            Some(answer)
        })
        .await;
        let chain = SolanaChain::connect(&at(&proxy.url, &world)).unwrap();
        let drafted = chain.draft(&wish).await;
        let is_refused = matches!(drafted, Err(DraftError::Refused(_)));
        assert!(drafted.is_err() && is_refused == refused, "{nth}: {drafted:?}");
    }
}

#[tokio::test]
async fn a_simulation_that_fails_makes_no_draft() {
    let world = funded(500_000_000, 0).await;
    let wish = everything(movable(&world.chain, Asset::Sol).await, &venue());
    for (error, refused) in [
        (json!("BlockhashNotFound"), false),
        (json!({"InstructionError": [2, {"Custom": 1}]}), true),
        (json!("AccountNotFound"), true),
    ] {
        let shown = error.clone();
        let proxy = Proxy::start(world.node.rpc_url(), move |method, mut answer| {
            if method == "simulateTransaction" {
                answer["result"]["value"]["err"] = error.clone();
            }
            Some(answer)
        })
        .await;
        let chain = SolanaChain::connect(&at(&proxy.url, &world)).unwrap();
        let drafted = chain.draft(&wish).await;
        let is_refused = matches!(drafted, Err(DraftError::Refused(_)));
        assert!(drafted.is_err() && is_refused == refused, "{shown}: {drafted:?}");
    }
}

#[tokio::test]
async fn prices_stay_below_the_settings() {
    let world = funded(500_000_000, 0).await;
    let wish = everything(movable(&world.chain, Asset::Sol).await, &venue());
    let paid = |prices: Vec<u64>| {
        let fees: Vec<Value> = (1..)
            .zip(prices)
            .map(|(slot, price): (u64, u64)| json!({"slot": slot, "prioritizationFee": price}))
            .collect();
        Proxy::start(world.node.rpc_url(), move |method, answer| {
            let asked = method == "getRecentPrioritizationFees";
            Some(if asked { with_result(answer, json!(fees)) } else { answer })
        })
    };
    for (prices, price) in [
        (vec![], 0),
        (vec![0, 0, 0, 900], 900),
        (vec![10, 40, 30, 20, 0], 30),
        (vec![7], 7),
        (vec![u64::MAX], 1_000_000),
    ] {
        let proxy = paid(prices.clone()).await;
        let chain = SolanaChain::connect(&at(&proxy.url, &world)).unwrap();
        let draft = chain.draft(&wish).await.unwrap();
        assert_eq!(solana(&draft).unit_price, price, "{prices:?}");
        let units = u64::from(solana(&draft).unit_limit) * price;
        let fee = 5_000 + units.div_ceil(1_000_000);
        assert_eq!(draft.fee_max, lamports(i128::from(fee)));
    }
    let mute = Proxy::start(world.node.rpc_url(), |method, answer| {
        let asked = method == "getRecentPrioritizationFees";
        Some(if asked { no_method(&answer) } else { answer })
    })
    .await;
    let chain = SolanaChain::connect(&at(&mute.url, &world)).unwrap();
    assert_eq!(solana(&chain.draft(&wish).await.unwrap()).unit_price, 0);
    let free = SolanaConfig { unit_price_max: 3, ..at(world.node.rpc_url(), &world) };
    assert!(SolanaChain::connect(&free).unwrap().draft(&wish).await.is_ok());
}

// What is paid for priority is paid in full, and counted.
#[tokio::test]
async fn a_priority_is_part_of_the_cost() {
    let world = funded(500_000_000, 9_000_000).await;
    let proxy = Proxy::start(world.node.rpc_url(), |method, answer| {
        let fees = json!([{"slot": 1, "prioritizationFee": 777_777}]);
        let asked = method == "getRecentPrioritizationFees";
        Some(if asked { with_result(answer, fees) } else { answer })
    })
    .await;
    let chain = SolanaChain::connect(&at(&proxy.url, &world)).unwrap();
    for asset in [Asset::Usdc, Asset::Sol] {
        let wish = everything(movable(&chain, asset).await, &venue());
        let draft = chain.draft(&wish).await.unwrap();
        let tx = carry(&world, &draft).await;
        assert_eq!(chain.cost(&tx).await, Ok(Some(draft.fee_max)));
    }
}

#[tokio::test]
async fn a_cost_that_is_not_told_is_no_zero() {
    let world = funded(500_000_000, 0).await;
    let wish = everything(movable(&world.chain, Asset::Sol).await, &venue());
    let tx = carry(&world, &world.chain.draft(&wish).await.unwrap()).await;
    let bends: [Bend; 6] = [
        |found| *found = Value::Null,
        |found| found["meta"]["preBalances"] = json!([]),
        |found| found["meta"]["preBalances"][0] = json!(1),
        |found| found["meta"]["fee"] = json!(90_000_000_000_u64),
        |found| drop(found["meta"].as_object_mut().unwrap().remove("err")),
        |found| found["transaction"]["signatures"][0] = json!("another"),
    ];
    for (nth, bend) in bends.into_iter().enumerate() {
        let proxy = Proxy::start(world.node.rpc_url(), move |method, mut answer| {
            if method == "getTransaction" {
                bend(&mut answer["result"]);
            }
            Some(answer)
        })
        .await;
        let chain = SolanaChain::connect(&at(&proxy.url, &world)).unwrap();
        let cost = chain.cost(&tx).await;
        assert!(matches!(cost, Err(ReadError::Unavailable(_))), "{nth}: {cost:?}");
    }
    let nobody = "2".repeat(88);
    assert_eq!(world.chain.cost(&nobody).await, Ok(None));
    assert!(world.chain.cost("0x12").await.is_err());
    // Somebody else's transaction is none of ours to book.
    let theirs = world.payer.pay(&world.reference(0), lamports(5_000_000)).await.unwrap();
    assert!(world.chain.cost(&theirs).await.is_err());
}
