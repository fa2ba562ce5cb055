//! Asking without end: it fills neither the disk nor the memory, and nothing is forgotten that must
//! not be.

use std::fs;

use signer::AnswerLimits;
use signing::{Intent, SignError, Signer as _};

use crate::world::{Move, World, evm_intent, evm_transfer, id, refused};

fn small() -> World {
    let mut world = World::new();
    world.config.answers = AnswerLimits {
        signed_per_minute: 4,
        signed_per_day: 6,
        refused_per_minute: 5,
        refused_per_day: 8,
        bytes_per_day: 1_000_000,
    };
    world
}

fn bad(number: u128) -> Intent {
    Intent { to: "nowhere".to_owned(), ..Move::new(1, 1_000, 300).intent(number) }
}

fn lines(world: &World, what: &str) -> usize {
    let log = fs::read_to_string(&world.config.log).unwrap();
    log.matches(&format!("\"{what}\":")).count()
}

#[tokio::test]
async fn refusals_are_written_down_so_many_times_and_then_summed_up() {
    let world = small();
    let service = world.start();
    for number in 0..1_000 {
        let answer = service.sign(&bad(number)).await;
        let is_refused = matches!(answer, Err(SignError::Refused { .. }));
        assert_eq!(is_refused, number < 5, "{number}: {answer:?}");
        assert_eq!(matches!(answer, Err(SignError::Unavailable(_))), number >= 5);
    }
    assert_eq!(lines(&world, "refused"), 5);
    // An honest one is served meanwhile.
    service.sign(&Move::new(1, 1_000, 300).intent(5_000)).await.unwrap();
    world.pass(60);
    service.look_at_list().await;
    let log = fs::read_to_string(&world.config.log).unwrap();
    assert!(log.contains("\"not_written\":{\"count\":995,"), "{log}");
    // The day's number is over as well, also after a restart.
    for number in 2_000..2_010 {
        let answer = service.sign(&bad(number)).await;
        assert_eq!(matches!(answer, Err(SignError::Refused { .. })), number < 2_003, "{number}");
    }
    drop(service);
    let service = world.start();
    world.pass(3_600);
    assert!(matches!(service.sign(&bad(3_000)).await, Err(SignError::Unavailable(_))));
    world.pass(86_400);
    assert_eq!(refused(&service, &bad(3_000)).await, "malformed");
    assert_eq!(lines(&world, "refused"), 9);
}

// One nonce asked for at a thousand fees is one movement to the limits, and a line each.
#[tokio::test]
async fn signatures_have_a_number_as_well() {
    let world = small();
    let service = world.start();
    let mut signed = 0;
    for number in 0..100_u64 {
        let mut transfer = evm_transfer(0, 1, None);
        transfer.priority_fee_per_gas = number.to_string();
        match service.sign(&evm_intent(u128::from(number), &transfer)).await {
            Ok(_) => signed += 1,
            Err(SignError::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(signed, 4);
    world.pass(61);
    for number in 200..300 {
        let transfer = evm_transfer(1, i128::from(number), None);
        if service.sign(&evm_intent(u128::try_from(number).unwrap(), &transfer)).await.is_ok() {
            signed += 1;
        }
    }
    assert_eq!((signed, lines(&world, "signed")), (6, 6));
}

#[tokio::test]
async fn bytes_have_a_bound_too() {
    let mut world = small();
    world.config.answers.bytes_per_day = 1_000;
    let service = world.start();
    let answers = [
        service.sign(&Move::new(1, 1_000, 300).intent(1)).await.is_ok(),
        service.sign(&Move::new(2, 1_000, 300).intent(2)).await.is_ok(),
        service.sign(&Move::new(3, 1_000, 300).intent(3)).await.is_ok(),
    ];
    assert!(answers[0] && !answers[2], "{answers:?}");
    world.pass(86_401);
    service.sign(&Move::new(3, 1_000, 300).intent(3)).await.unwrap();
}

// What was signed under an id is its answer for ever; a refusal is final for a month.
#[tokio::test]
async fn refusals_are_forgotten_after_a_month_and_signatures_never() {
    let world = World::new();
    let service = world.start();
    let signed = service.sign(&Move::new(1, 1_000_000, 1_000).intent(1)).await.unwrap();
    let second = Move::new(2, 1_000_000, 1_000).intent(2);
    let third = Move::new(3, 1_000_000, 1_000).intent(3);
    service.sign(&second).await.unwrap();
    assert_eq!(refused(&service, &third).await, "over_limit");
    world.pass(29 * 86_400);
    assert_eq!(refused(&service, &bad(4)).await, "malformed");
    assert_eq!(refused(&service, &third).await, "over_limit");
    world.pass(2 * 86_400);
    assert_eq!(refused(&service, &bad(5)).await, "malformed");
    for _ in 0..2 {
        let service = &service;
        assert_eq!(
            service.sign(&Move::new(1, 1_000_000, 1_000).intent(1)).await,
            Ok(signed.clone())
        );
        let other = Intent { id: id(1), ..third.clone() };
        assert_eq!(refused(service, &other).await, "id_reused");
    }
    drop(service);
    let service = world.start();
    assert_eq!(service.sign(&Move::new(1, 1_000_000, 1_000).intent(1)).await, Ok(signed));
    service.sign(&third).await.unwrap();
}
