//! Fake deposits: transactions that look like payments to us. None is credited.
//!
//! The first ones are executed by the runtime; the others are put into a block as a node would show
//! them, because no honest runtime makes them.

use chains::{Arrived, Chain as _, ReadError, Sighting, sandbox::Sandbox as _};
use chains_solana_sandbox::{Payer, dev_mints, dev_wallet};
use serde_json::{Value, json};

use crate::world::{World, lamports, usdc};

/// What is wrong with a transaction that is shown.
type Change = Box<dyn FnOnce(&mut Value)>;

fn known(seen: &[Sighting]) -> Vec<&Sighting> {
    seen.iter().filter(|s| matches!(s.arrived, Arrived::Known(_))).collect()
}

#[tokio::test]
async fn executed_ones() {
    let world = World::start().await;
    let (payer, reference) = (&world.payer, world.reference(0));
    // 1: a failed transaction with the right reference: more than the payer has.
    let steps = payer.payment(lamports(900_000_000_000_000), &[&reference]).unwrap();
    // The node may refuse it or execute and fail it; both credit nothing.
    if let Ok(tx) = payer.send(steps, &[]).await {
        assert!(world.seen(&tx).await.is_empty(), "a failed payment");
    }
    // 2: our reference in a payment to somebody else.
    let stranger = payer.coins(&payer.address(), 5_000_000, &[&reference]).unwrap();
    let tx = payer.send(stranger, &[]).await.unwrap();
    assert!(world.seen(&tx).await.is_empty(), "a reference alone");
    // 3: coins to the reference itself, which nobody can spend.
    let lost = payer.coins(&reference, 5_000_000, &[]).unwrap();
    let tx = payer.send(lost, &[]).await.unwrap();
    assert!(known(&world.seen(&tx).await).is_empty(), "coins to a reference");
    // 4: a token that calls itself USDC.
    let tx = payer.pay_lookalike(&reference, usdc(5_000_000)).await.unwrap();
    let seen = world.seen(&tx).await;
    assert!(known(&seen).is_empty() && seen.len() == 1, "a lookalike: {seen:?}");
    // 5: a listed symbol under another program, with a fee.
    let tx = payer.pay_taxed(5_000_000, &reference).await.unwrap();
    assert!(known(&world.seen(&tx).await).is_empty(), "an unlisted mint of Token-2022");
    // 6: a payment of nothing.
    let tx = payer.pay(&reference, usdc(0)).await.unwrap();
    assert!(world.seen(&tx).await.is_empty(), "nothing");
}

/// A block's transaction: two accounts, the wallet second, and whatever is changed.
fn shown(reference: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mint = &dev_mints()[0].mint;
    let balance = |units: &str| {
        json!([{
            "accountIndex": 2, "mint": mint, "owner": dev_wallet(),
            "programId": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "uiTokenAmount": { "amount": units, "decimals": 6, "uiAmountString": "0" },
        }])
    };
    let key = |pubkey: &str, signer: bool, writable: bool| {
        json!({
            "pubkey": pubkey, "signer": signer, "writable": writable, "source": "transaction",
        })
    };
    let mut tx = json!({
        "version": 0,
        "meta": {
            "err": null, "status": { "Ok": null }, "fee": 5000,
            "preBalances": [9_000_000, 1_000_000, 2_039_280, 0],
            "postBalances": [8_995_000, 1_000_000, 2_039_280, 0],
            "preTokenBalances": balance("100"), "postTokenBalances": balance("100"),
        },
        "accountKeys": [
            key("mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN", true, true),
            key(&dev_wallet(), false, true),
            key("82ZJ7nbGpixjeDCmEhUcmwXYfvurzAgGdtSMuHnUgyny", false, true),
            key(reference, false, false),
        ],
        "transaction": { "signatures": [bs58::encode(rand_bytes()).into_string()] },
    });
    change(&mut tx);
    tx
}

/// Another one every time.
fn rand_bytes() -> [u8; 64] {
    use std::sync::atomic::{AtomicU8, Ordering};
    static NEXT: AtomicU8 = AtomicU8::new(1);
    [NEXT.fetch_add(1, Ordering::Relaxed); 64]
}

async fn read(world: &World, tx: Value) -> Result<Vec<Sighting>, ReadError> {
    world.payer.inject(tx).await.unwrap();
    let tip = world.chain.head().await.unwrap().latest;
    Ok(world.chain.read_block(&tip, &world.watched()).await?.sightings)
}

#[tokio::test]
async fn shown_ones_bring_nothing() {
    let world = World::start().await;
    let reference = world.reference(0);
    let vectors: Vec<(&str, Change)> = vec![
        ("unchanged balances", Box::new(|_| {})),
        (
            "a failed transaction with gains",
            Box::new(|tx| {
                tx["meta"]["err"] = json!({ "InstructionError": [0, "Custom"] });
                tx["meta"]["postBalances"][1] = json!(9_000_000);
            }),
        ),
        ("a loss", Box::new(|tx| tx["meta"]["postBalances"][1] = json!(900_000))),
        (
            "a token loss",
            Box::new(|tx| {
                tx["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = json!("1");
            }),
        ),
        (
            "tokens of somebody else",
            Box::new(|tx| {
                for side in ["preTokenBalances", "postTokenBalances"] {
                    tx["meta"][side][0]["owner"] =
                        json!("mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN");
                }
                tx["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = json!("5000000");
            }),
        ),
        (
            "a gain between our own accounts",
            Box::new(|tx| {
                let mut second = tx["meta"]["postTokenBalances"][0].clone();
                second["accountIndex"] = json!(3);
                second["uiTokenAmount"]["amount"] = json!("100");
                tx["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = json!("0");
                tx["meta"]["postTokenBalances"].as_array_mut().unwrap().push(second);
            }),
        ),
        (
            "a transaction our wallet signed",
            Box::new(|tx| {
                tx["accountKeys"][1]["signer"] = json!(true);
                tx["meta"]["postBalances"][1] = json!(9_000_000);
            }),
        ),
    ];
    for (name, change) in vectors {
        let seen = read(&world, shown(&reference, change)).await.unwrap();
        assert!(seen.is_empty(), "{name}: {seen:?}");
    }
}

#[tokio::test]
async fn an_unlisted_mint_is_no_money() {
    let world = World::start().await;
    let tx = shown(&world.reference(0), |tx| {
        for side in ["preTokenBalances", "postTokenBalances"] {
            tx["meta"][side][0]["mint"] = json!(Payer::taxed_mint());
        }
        tx["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = json!("5000000");
    });
    let seen = read(&world, tx).await.unwrap();
    assert!(seen.len() == 1 && known(&seen).is_empty(), "{seen:?}");
}

// The same block with an honest gain is credited: the vectors above fail for their own reason.
#[tokio::test]
async fn an_honest_one_among_them_counts() {
    let world = World::start().await;
    let reference = world.reference(0);
    let tx = shown(&reference, |tx| {
        tx["meta"]["postBalances"][1] = json!(6_000_000);
        // The reference may come through a lookup table.
        tx["accountKeys"][3]["source"] = json!("lookupTable");
    });
    let seen = read(&world, tx).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].to, &seen[0].arrived), (&reference, &Arrived::Known(lamports(5_000_000))));
}

#[tokio::test]
async fn shown_ones_that_make_no_sense_refuse_the_block() {
    let world = World::start().await;
    let reference = world.reference(0);
    let vectors: Vec<(&str, Change)> = vec![
        ("no outcome", Box::new(|tx| tx["meta"] = Value::Null)),
        (
            "no word on success",
            Box::new(|tx| {
                tx["meta"].as_object_mut().unwrap().remove("err");
            }),
        ),
        (
            "fewer balances than accounts",
            Box::new(|tx| {
                tx["meta"]["postBalances"] = json!([1, 9_000_000]);
            }),
        ),
        (
            "tokens without an owner",
            Box::new(|tx| {
                tx["meta"]["postTokenBalances"][0].as_object_mut().unwrap().remove("owner");
            }),
        ),
        (
            "tokens of no account",
            Box::new(|tx| {
                tx["meta"]["postTokenBalances"][0]["accountIndex"] = json!(77);
            }),
        ),
        (
            "an amount that is no number",
            Box::new(|tx| {
                tx["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = json!("1e9");
            }),
        ),
        (
            "an amount below zero",
            Box::new(|tx| {
                tx["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = json!("-5");
            }),
        ),
        (
            "an amount beyond 64 bits",
            Box::new(|tx| {
                let beyond = "18446744073709551616";
                tx["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] = json!(beyond);
            }),
        ),
        ("a balance below zero", Box::new(|tx| tx["meta"]["postBalances"][1] = json!(-1))),
    ];
    for (name, change) in vectors {
        let seen = read(&world, shown(&reference, change)).await;
        assert!(matches!(seen, Err(ReadError::Unavailable(_))), "{name}: {seen:?}");
    }
}
