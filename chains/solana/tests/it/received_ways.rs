//! Ways a payment may come: lookup tables, closed accounts, several of our accounts; and its way
//! from a leader's hands into a final block.

use chains::{Arrived, Chain as _, Step, TxPlace, sandbox::Sandbox as _};
use chains_solana_sandbox::{Payer, dev_mints, dev_wallet};
use primitives::Asset;
use solana_keypair::Keypair;
use solana_pubkey::Pubkey;
use solana_signer::Signer as _;
use solana_system_interface::instruction as system;
use spl_associated_token_account_interface::address::get_associated_token_address;
use spl_token_interface::instruction as token;

use crate::world::{World, lamports, usdc};

fn key(text: &str) -> Pubkey {
    text.parse().unwrap()
}

// Wallet, token account, mint and reference all come from a lookup table: none is in the message.
#[tokio::test]
async fn a_lookup_table_hides_nothing() {
    let world = World::start().await;
    let reference = world.reference(0);
    let (wallet, mint) = (key(&dev_wallet()), key(&dev_mints()[0].mint));
    let purse = get_associated_token_address(&wallet, &mint);
    let mut steps = world.payer.payment(lamports(5_000_000), &[&reference]).unwrap();
    steps.extend(world.payer.payment(usdc(7_000_000), &[&reference]).unwrap());
    let table = [wallet, purse, mint, key(&reference)];
    let tx = world.payer.send_by_table(steps, &table).await.unwrap();
    let mut seen = world.seen(&tx).await;
    seen.sort_by_key(|s| format!("{:?}", s.arrived));
    let arrived: Vec<_> = seen.iter().map(|s| s.arrived.clone()).collect();
    assert_eq!(arrived, [Arrived::Known(lamports(5_000_000)), Arrived::Known(usdc(7_000_000))]);
    assert!(seen.iter().all(|s| s.to == reference), "{seen:?}");
    assert_ne!(seen[0].ordinal, seen[1].ordinal);
}

// No transfer at all among the instructions: an account is closed and its coins come to us.
#[tokio::test]
async fn coins_of_a_closed_account_count_as_what_arrived() {
    let world = World::start().await;
    let reference = world.reference(0);
    let tx = world.payer.pay_changeable(&reference, lamports(4_000_000), lamports(1)).await;
    let seen = world.seen(&tx.unwrap().unwrap()).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0].to, &seen[0].arrived), (&reference, &Arrived::Known(lamports(4_000_000))));
}

// Somebody pays into another token account of ours, as an old wallet or a careless hand does.
#[tokio::test]
async fn every_token_account_of_the_wallet_counts() {
    let world = World::start().await;
    let (me, mint) = (key(&world.payer.address()), key(&dev_mints()[0].mint));
    let program = key("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
    let other = Keypair::new();
    let from = get_associated_token_address(&me, &mint);
    let mut steps = vec![
        system::create_account(&me, &other.pubkey(), 2_039_280, 165, &program),
        token::initialize_account3(&program, &other.pubkey(), &mint, &key(&dev_wallet())).unwrap(),
        token::transfer(&program, &from, &other.pubkey(), &me, &[], 3_000_000).unwrap(),
    ];
    steps.extend(world.payer.payment(usdc(2_000_000), &[&world.reference(0)]).unwrap());
    let tx = world.payer.send(steps, &[&other]).await.unwrap();
    let seen = world.seen(&tx).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].arrived, Arrived::Known(usdc(5_000_000)));
    assert_eq!(world.chain.held(&[world.reference(0)], Asset::Usdc).await, Ok(usdc(5_000_000)));
}

// The drawer of sandbox commands is another process with the same key each time.
#[tokio::test]
async fn equal_payments_of_several_payers_are_several() {
    let world = World::start().await;
    let reference = world.reference(0);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..3 {
        let other = Payer::connect(world.node.rpc_url(), &dev_wallet()).await.unwrap();
        ids.insert(other.pay(&reference, lamports(5_000_000)).await.unwrap());
    }
    assert_eq!(ids.len(), 3);
    let held = world.chain.held(&[reference], Asset::Sol).await;
    assert_eq!(held, Ok(lamports(15_000_000)));
}

// Processed is a rumour: shown as pending, in no block anybody reads.
#[tokio::test]
async fn a_processed_payment_is_pending_and_in_no_block() {
    let world = World::start().await;
    let start = world.chain.head().await.unwrap().latest;
    world.payer.set_automine(false).await.unwrap();
    let tx = world.payer.pay(&world.reference(0), lamports(5_000_000)).await.unwrap();
    assert_eq!(world.chain.locate(&tx, &[]).await, Ok(TxPlace::Pending));
    assert_eq!(world.chain.step(&start).await, Ok(Step::AtTip));
    world.payer.mine(1).await.unwrap();
    let place = world.chain.locate(&tx, &[]).await.unwrap();
    assert!(matches!(place, TxPlace::Included { succeeded: true, .. }), "{place:?}");
    let never = bs58::encode([7_u8; 64]).into_string();
    assert_eq!(world.chain.locate(&never, &[]).await, Ok(TxPlace::Absent));
}

// From the payment's block being there to its sighting, by subscription. The figure is printed.
#[tokio::test]
async fn a_payment_is_seen_at_once() {
    let world = World::start().await;
    let (watch, reference) = (world.watched(), world.reference(0));
    let mut at = world.chain.head().await.unwrap().latest;
    world.chain.wait_for_news(&at, std::time::Duration::from_millis(300)).await;
    let mut took = Vec::new();
    for round in 0..10 {
        let (world, from) = (&world, at.clone());
        let seeing = async {
            let mut at = from;
            loop {
                while let Step::Next(next) = world.chain.step(&at).await.unwrap() {
                    at = next;
                    let facts = world.chain.read_block(&at, &watch).await.unwrap();
                    if !facts.sightings.is_empty() {
                        return (at, tokio::time::Instant::now());
                    }
                }
                world.chain.wait_for_news(&at, std::time::Duration::from_secs(10)).await;
            }
        };
        let paying = async {
            world.payer.pay(&reference, lamports(5_000_000 + round)).await.unwrap();
            tokio::time::Instant::now()
        };
        let ((block, seen), paid) = tokio::join!(seeing, paying);
        at = block;
        took.push(seen.saturating_duration_since(paid));
    }
    took.sort_unstable();
    println!("solana: seen after {:.1?} (median), {:.1?} (worst)", took[5], took[9]);
    // A subscription that told nothing would cost whole waits each time; a stall hits one of them.
    assert!(took[5] < std::time::Duration::from_secs(1), "{took:?}");
    assert!(took[9] < std::time::Duration::from_secs(10), "{took:?}");
}
