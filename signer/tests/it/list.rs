//! The allow-list: what is new waits, what is gone is gone at once, what cannot be read allows
//! nothing.

use primitives::Asset;
use signer::LocalSigner;
use signing::{Intent, SignError, Signer as _};

use crate::world::{
    EVM_COLD, EVM_VENUE, USDC, World, evm_intent, evm_transfer, refused, venues, write,
};

const DAY: i64 = 86_400;

fn to_venue(number: u64) -> Intent {
    evm_intent(u128::from(number), &evm_transfer(number, 5, None))
}

fn to(number: u64, address: &str) -> Intent {
    let mut transfer = evm_transfer(number, 5, None);
    transfer.to = address.to_owned();
    evm_intent(u128::from(number), &transfer)
}

/// When it may be asked again; anything else fails the test.
async fn waits_until(service: &LocalSigner, intent: &Intent) -> String {
    match service.sign(intent).await {
        Err(SignError::NotBefore { at, .. }) => at.to_rfc3339(),
        other => panic!("it does not wait: {other:?}"),
    }
}

async fn waits(service: &LocalSigner, intent: &Intent) -> bool {
    matches!(service.sign(intent).await, Err(SignError::NotBefore { .. }))
}

async fn is_undecided(service: &LocalSigner, intent: &Intent) -> bool {
    matches!(service.sign(intent).await, Err(SignError::Unavailable(_)))
}

#[tokio::test]
async fn what_is_new_waits_and_a_restart_does_not_shorten_it() {
    let world = World::waiting(86_400);
    let service = world.start();
    assert_eq!(waits_until(&service, &to_venue(1)).await, "2027-01-16T08:00:00+00:00");
    drop(service);
    world.pass(DAY - 1);
    let service = world.start();
    assert_eq!(waits_until(&service, &to_venue(2)).await, "2027-01-16T08:00:00+00:00");
    world.pass(1);
    // Nothing was decided before: the same intent passes at its time.
    for number in 1..3 {
        service.sign(&to_venue(number)).await.unwrap();
    }
}

#[tokio::test]
async fn a_delay_that_is_shortened_later_does_not_shorten_what_waits() {
    let mut world = World::waiting(86_400);
    drop(world.start());
    world.config.activation_delay_s = 0;
    let service = world.start();
    assert!(waits(&service, &to_venue(1)).await);
}

#[tokio::test]
async fn what_is_gone_is_gone_at_once_and_waits_when_it_comes_back() {
    let world = World::waiting(86_400);
    let service = world.start();
    world.pass(DAY);
    service.sign(&to_venue(1)).await.unwrap();
    world.allow(2, &[("ethereum", "fund_venue", EVM_COLD)]);
    assert_eq!(refused(&service, &to_venue(2)).await, "not_allowed");
    world.allow(3, &venues());
    assert!(waits(&service, &to_venue(3)).await);
    world.pass(DAY);
    service.sign(&to_venue(4)).await.unwrap();
}

#[tokio::test]
async fn what_stays_in_a_new_version_does_not_wait_again() {
    let world = World::waiting(86_400);
    let service = world.start();
    world.pass(DAY);
    let mut rows = venues();
    rows.push(("ethereum", "fund_venue", EVM_COLD));
    world.allow(2, &rows);
    service.sign(&to_venue(1)).await.unwrap();
    assert!(waits(&service, &to(2, EVM_COLD)).await);
    world.pass(DAY);
    service.sign(&to(3, EVM_COLD)).await.unwrap();
}

// The file names a time of its own; the later of the two counts.
#[tokio::test]
async fn a_version_may_say_when_it_begins() {
    let world = World::new();
    let text = std::fs::read_to_string(&world.config.allow_list).unwrap();
    let text = text.replace("version = 1", "version = 1\nactive_from = \"2027-01-15T09:00:00Z\"");
    write(&world.config.allow_list, &text);
    let service = world.start();
    assert_eq!(waits_until(&service, &to_venue(1)).await, "2027-01-15T09:00:00+00:00");
    world.pass(3_600);
    service.sign(&to_venue(2)).await.unwrap();
}

#[tokio::test]
async fn a_list_that_cannot_be_trusted_allows_nothing() {
    let world = World::new();
    let service = world.start();
    service.sign(&to_venue(1)).await.unwrap();
    let good = std::fs::read_to_string(&world.config.allow_list).unwrap();
    let bad_address = good.replace("version = 1", "version = 9").replace(EVM_VENUE, "0x12");
    let broken = [
        ("garbage", "version = ".to_owned()),
        ("an unknown word", format!("{good}\nspeed = 1\n")),
        ("an unknown network", good.replace("version = 1", "version = 9").replace("solana", "sol")),
        ("an address that is none", bad_address),
        (
            "a purpose no list has",
            good.replace("version = 1", "version = 9").replace("to_cold", "gas"),
        ),
        ("the same version with other content", format!("{good}# changed\n")),
        ("an older version", good.replace("version = 1", "version = 0")),
        (
            "an address for nothing",
            good.replace("version = 1", "version = 9").replace("\"ETH\", \"USDC\"", ""),
        ),
        (
            "a row without assets",
            good.replace("version = 1", "version = 9").replace("assets", "as"),
        ),
        ("a list that is too long", format!("{good}{}", "#".repeat(1024 * 1024))),
    ];
    for (number, (what, text)) in (2_u64..).zip(&broken) {
        write(&world.config.allow_list, text);
        assert!(is_undecided(&service, &to_venue(number)).await, "{what}");
    }
    write(&world.config.allow_list, &good);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&world.config.allow_list, everybody).unwrap();
    assert!(is_undecided(&service, &to_venue(49)).await, "a list anybody may write");
    std::fs::remove_file(&world.config.allow_list).unwrap();
    assert!(is_undecided(&service, &to_venue(50)).await, "no list");
    // The list that was seen last is good again when it is back, and nothing was refused for good.
    write(&world.config.allow_list, &good);
    for number in (2..=11).chain([49, 50]) {
        service.sign(&to_venue(number)).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_address_begins_to_wait_although_nobody_asks() {
    let world = World::waiting(86_400);
    let service = world.start();
    world.allow(2, &[("ethereum", "fund_venue", EVM_COLD)]);
    service.look_at_list().await;
    world.pass(DAY);
    service.sign(&to(1, EVM_COLD)).await.unwrap();
}

// What a venue does not credit there would be lost although the address is the venue's.
#[tokio::test]
async fn an_address_is_for_its_assets_only() {
    let world = World::new();
    let list = World::list(1, &venues()).replace("\"ETH\", \"USDC\"", "\"ETH\"");
    write(&world.config.allow_list, &list);
    let service = world.start();
    service.sign(&to_venue(1)).await.unwrap();
    let token = evm_intent(2, &evm_transfer(2, 5, Some(USDC)));
    assert_eq!(token.amount.asset(), Asset::Usdc);
    assert_eq!(refused(&service, &token).await, "not_allowed");
}

// An asset that comes to an address waits like an address; the one that was there does not.
#[tokio::test]
async fn a_new_asset_of_an_old_address_waits() {
    let world = World::waiting(86_400);
    let list = World::list(1, &venues());
    write(&world.config.allow_list, &list.replace("\"ETH\", \"USDC\"", "\"ETH\""));
    let service = world.start();
    world.pass(DAY);
    write(&world.config.allow_list, &list.replace("version = 1", "version = 2"));
    service.sign(&to_venue(1)).await.unwrap();
    let token = evm_intent(2, &evm_transfer(2, 5, Some(USDC)));
    assert!(waits(&service, &token).await);
    world.pass(DAY);
    service.sign(&token).await.unwrap();
}

// Somebody saves the file while it is asked, again and again: nothing is refused for good, and half
// a list is never taken for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_being_saved_parks_nothing() {
    let world = World::new();
    let service = std::sync::Arc::new(world.start());
    let whole = World::list(2, &venues());
    let path = world.config.allow_list.clone();
    let writer = std::thread::spawn(move || {
        for end in (0..whole.len()).step_by(40).chain([whole.len()]) {
            std::fs::write(&path, &whole[..end]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    for number in 1..200 {
        match service.sign(&to_venue(number)).await {
            Ok(_) | Err(SignError::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    writer.join().unwrap();
    for number in 1..200 {
        service.sign(&to_venue(number)).await.unwrap();
    }
    let log = std::fs::read_to_string(&world.config.log).unwrap();
    assert_eq!(log.matches("\"list\":").count(), 2, "one of a half was taken");
}
