//! Limits over time, over restarts and over each other; and one answer per id.

use std::sync::Arc;

use primitives::Asset;
use signing::{Intent, SignError, Signer as _};

use crate::world::{Move, World, amount, code, evm_intent, evm_transfer, refused};

/// A million satoshis, of coins of their own.
fn million(number: u8) -> Intent {
    Move::new(number, 1_000_000, 1_000).intent(u128::from(number))
}

#[tokio::test]
async fn an_hour_and_a_day_are_kept_over_restarts() {
    let world = World::new();
    let service = world.start();
    service.sign(&million(1)).await.unwrap();
    service.sign(&million(2)).await.unwrap();
    assert_eq!(refused(&service, &million(3)).await, "over_limit");
    drop(service);
    let service = world.start();
    assert_eq!(refused(&service, &million(4)).await, "over_limit");
    world.pass(3_600);
    service.sign(&million(5)).await.unwrap();
    assert_eq!(refused(&service, &million(6)).await, "over_limit");
    world.pass(3_600);
    drop(service);
    let service = world.start();
    // The hour is over, the day is not.
    assert_eq!(refused(&service, &million(7)).await, "over_limit");
    world.pass(86_400);
    service.sign(&million(8)).await.unwrap();
}

#[tokio::test]
async fn one_transaction_has_a_limit_and_an_asset_without_one_has_none() {
    let world = World::new();
    let service = world.start();
    let large = Move::new(1, 1_000_001, 1_000).intent(1);
    assert_eq!(refused(&service, &large).await, "over_limit");
    let mut cold = evm_intent(2, &evm_transfer(0, 5, None));
    cold.to = crate::world::EVM_COLD.to_owned();
    let chains::carrier::Unsigned::Evm(transfer) = &mut cold.unsigned else { unreachable!() };
    transfer.to.clone_from(&cold.to);
    cold.purpose = signing::Purpose::ToCold;
    assert_eq!(refused(&service, &cold).await, "over_limit");
}

// A clock that is set back gives nothing back.
#[tokio::test]
async fn time_does_not_run_backwards() {
    let world = World::new();
    let service = world.start();
    world.pass(10_000);
    service.sign(&million(1)).await.unwrap();
    service.sign(&million(2)).await.unwrap();
    world.pass(-9_000);
    assert_eq!(refused(&service, &million(3)).await, "over_limit");
    drop(service);
    let service = world.start();
    assert_eq!(refused(&service, &million(4)).await, "over_limit");
    world.pass(9_000 + 3_600);
    service.sign(&million(5)).await.unwrap();
}

#[tokio::test]
async fn a_bump_counts_once_by_the_larger() {
    let world = World::new();
    let service = world.start();
    for (number, fee) in [(1, 1_000), (2, 2_000), (3, 4_000)] {
        let bump = Move { coins: vec![(0, 3, 1_001_000)], ..Move::new(1, 1_001_000 - fee, fee) };
        service.sign(&bump.intent(number)).await.unwrap();
    }
    service.sign(&Move::new(2, 1_000_000, 1_000).intent(4)).await.unwrap();
    assert_eq!(refused(&service, &million(5)).await, "over_limit");
    // The same on EVM: one nonce, one movement.
    let one = 1_000_000_000_000_000_000;
    for number in 10..20 {
        service.sign(&evm_intent(number, &evm_transfer(0, one, None))).await.unwrap();
    }
    for nonce in 1..5 {
        let intent = evm_intent(20 + u128::from(nonce), &evm_transfer(nonce, one, None));
        service.sign(&intent).await.unwrap();
    }
    assert_eq!(refused(&service, &evm_intent(30, &evm_transfer(5, 1, None))).await, "over_limit");
}

// A{1,2} and then {1} and {2} alone: the last two can both happen, so sharing an input with one
// earlier transaction makes nothing free.
#[tokio::test]
async fn sharing_some_inputs_is_not_replacing() {
    let world = World::new();
    let service = world.start();
    let coins = vec![(0, 1, 700_000), (0, 2, 301_000)];
    let both = Move { coins: coins.clone(), ..Move::new(1, 1_000_000, 1_000) };
    service.sign(&both.intent(1)).await.unwrap();
    let first = Move { coins: coins[..1].to_vec(), ..Move::new(1, 699_700, 300) };
    service.sign(&first.intent(2)).await.unwrap();
    let second = Move { coins: coins[1..].to_vec(), ..Move::new(1, 300_700, 300) };
    let mut psbt = second.psbt();
    psbt.unsigned_tx.input[0].previous_output.vout = 1;
    let intent = crate::world::with_psbt(&second.intent(3), &psbt);
    assert_eq!(refused(&service, &intent).await, "over_limit");
}

#[tokio::test]
async fn an_id_has_one_answer_for_ever() {
    let world = World::new();
    let service = world.start();
    let first = service.sign(&million(1)).await.unwrap();
    service.sign(&million(2)).await.unwrap();
    let refusal = service.sign(&million(3)).await;
    // Asking again costs nothing and changes nothing, also when nothing would be allowed any more.
    world.allow(2, &[]);
    for _ in 0..3 {
        assert_eq!(service.sign(&million(1)).await.as_ref(), Ok(&first));
    }
    drop(service);
    let service = world.start();
    assert_eq!(service.sign(&million(1)).await, Ok(first));
    // A refusal is final: whoever got it may have asked anew under another id.
    world.allow(3, &crate::world::venues());
    world.pass(3_600);
    assert_eq!(service.sign(&million(3)).await, refusal);
    assert_eq!(code(refusal), "over_limit");
    service.sign(&Move::new(3, 1_000_000, 1_000).intent(4)).await.unwrap();
}

#[tokio::test]
async fn an_id_is_not_used_for_something_else() {
    let world = World::new();
    let service = world.start();
    let first = service.sign(&million(1)).await.unwrap();
    let other = Intent { id: million(1).id, ..million(9) };
    let larger = Intent { fee_max: amount(1_001, Asset::Btc), ..million(1) };
    for _ in 0..2 {
        assert_eq!(refused(&service, &other).await, "id_reused");
        assert_eq!(refused(&service, &larger).await, "id_reused");
    }
    drop(service);
    let service = world.start();
    assert_eq!(refused(&service, &other).await, "id_reused");
    assert_eq!(service.sign(&million(1)).await, Ok(first));
}

// Somebody who knows which id comes next can have it refused, and no more: nothing is signed under
// it, so the real intent is judged by itself.
#[tokio::test]
async fn a_refused_id_is_still_free_for_what_it_is_for() {
    let world = World::new();
    let service = world.start();
    let early = Intent { to: "nowhere".to_owned(), ..million(1) };
    assert_eq!(refused(&service, &early).await, "malformed");
    assert_eq!(refused(&service, &early).await, "malformed");
    let signed = service.sign(&million(1)).await.unwrap();
    // Now it stands for that, and for nothing else.
    assert_eq!(refused(&service, &early).await, "id_reused");
    drop(service);
    let service = world.start();
    assert_eq!(service.sign(&million(1)).await, Ok(signed));
    assert_eq!(refused(&service, &early).await, "id_reused");
}

// Another intent that is refused under the same id takes no refusal back.
#[tokio::test]
async fn every_refusal_under_an_id_stays() {
    let world = World::new();
    let mut service = world.start();
    service.sign(&million(1)).await.unwrap();
    service.sign(&million(2)).await.unwrap();
    let first = million(3);
    let second = Intent { id: first.id, ..million(4) };
    assert_eq!(refused(&service, &first).await, "over_limit");
    assert_eq!(refused(&service, &second).await, "over_limit");
    // There is room again: judged anew, either would be signed.
    world.pass(3_600);
    for _ in 0..2 {
        assert_eq!(refused(&service, &first).await, "over_limit");
        assert_eq!(refused(&service, &second).await, "over_limit");
        drop(service);
        service = world.start();
    }
    service.sign(&Intent { id: first.id, ..million(5) }).await.unwrap();
    assert_eq!(refused(&service, &first).await, "id_reused");
}

// A clock set ahead by an hour or a day empties no window while the signer runs, and does not let
// an address that waits begin.
#[tokio::test]
async fn a_clock_that_leaps_decides_nothing() {
    for leap in [3_600, 86_400] {
        let world = World::waiting(0);
        let service = world.start();
        let first = service.sign(&million(1)).await.unwrap();
        service.sign(&million(2)).await.unwrap();
        world.leap(leap);
        for number in 3..6 {
            let answer = service.sign(&million(number)).await;
            let Err(SignError::Unavailable(why)) = answer else { panic!("decided: {answer:?}") };
            assert!(why.contains(&format!("the clock went {leap} s further")), "{why}");
        }
        service.look_at_list().await;
        // What was answered is answered.
        assert_eq!(service.sign(&million(1)).await, Ok(first));
        world.leap(-leap);
        assert_eq!(refused(&service, &million(3)).await, "over_limit");
        world.pass(3_600);
        service.sign(&million(4)).await.unwrap();
    }
}

// A person who starts the signer anew says that the clock is right.
#[tokio::test]
async fn a_start_takes_the_clock_as_it_is() {
    let world = World::new();
    let service = world.start();
    service.sign(&million(1)).await.unwrap();
    world.leap(7_200);
    assert!(matches!(service.sign(&million(2)).await, Err(SignError::Unavailable(_))));
    drop(service);
    let service = world.start();
    service.sign(&million(2)).await.unwrap();
    // The log's time stays when the clock goes back.
    drop(service);
    world.leap(-7_200);
    let service = world.start();
    service.sign(&million(3)).await.unwrap();
    assert_eq!(refused(&service, &million(4)).await, "over_limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_at_once_get_no_more_than_the_limit() {
    let world = World::new();
    let service = Arc::new(world.start());
    let ask = |number: u8| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.sign(&million(number)).await })
    };
    let asked: Vec<_> = (1..=20).map(ask).collect();
    let mut signed = 0;
    for answer in asked {
        match answer.await.unwrap() {
            Ok(_) => signed += 1,
            refused => assert_eq!(code(refused), "over_limit"),
        }
    }
    assert_eq!(signed, 2);
}

// The same id from twenty sides is signed once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_askings_for_one_are_one() {
    let world = World::new();
    let service = Arc::new(world.start());
    let ask = |_| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.sign(&million(1)).await.unwrap() })
    };
    let asked: Vec<_> = (0..20).map(ask).collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let log = std::fs::read_to_string(&world.config.log).unwrap();
    assert_eq!(log.matches("\"signed\"").count(), 1);
}
