//! The allow-list: what is new waits, what is gone is gone at once, what cannot be read allows
//! nothing.

use signing::{Intent, Signer as _};

use crate::world::{EVM_COLD, EVM_VENUE, World, evm_intent, evm_transfer, refused, venues};

const DAY: i64 = 86_400;

fn to_venue(number: u64) -> Intent {
    evm_intent(u128::from(number), &evm_transfer(number, 5, None))
}

fn to(number: u64, address: &str) -> Intent {
    let mut transfer = evm_transfer(number, 5, None);
    transfer.to = address.to_owned();
    evm_intent(u128::from(number), &transfer)
}

fn reason(world: &World, intent: &Intent) -> String {
    let log = std::fs::read_to_string(&world.config.log).unwrap();
    let line = log.lines().find(|line| line.contains(&intent.id.to_string())).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["what"]["refused"]["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_new_waits_and_a_restart_does_not_shorten_it() {
    let world = World::waiting(86_400);
    let service = world.start();
    assert_eq!(refused(&service, &to_venue(1)).await, "not_allowed");
    assert!(reason(&world, &to_venue(1)).contains("allowed from 2027-01-16T08:00:00"));
    drop(service);
    world.pass(DAY - 1);
    let service = world.start();
    assert_eq!(refused(&service, &to_venue(2)).await, "not_allowed");
    world.pass(1);
    service.sign(&to_venue(3)).await.unwrap();
}

#[tokio::test]
async fn a_delay_that_is_shortened_later_does_not_shorten_what_waits() {
    let mut world = World::waiting(86_400);
    drop(world.start());
    world.config.activation_delay_s = 0;
    let service = world.start();
    assert_eq!(refused(&service, &to_venue(1)).await, "not_allowed");
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
    assert_eq!(refused(&service, &to_venue(3)).await, "not_allowed");
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
    assert_eq!(refused(&service, &to(2, EVM_COLD)).await, "not_allowed");
    world.pass(DAY);
    service.sign(&to(3, EVM_COLD)).await.unwrap();
}

// The file names a time of its own; the later of the two counts.
#[tokio::test]
async fn a_version_may_say_when_it_begins() {
    let world = World::new();
    let text = std::fs::read_to_string(&world.config.allow_list).unwrap();
    let text = text.replace("version = 1", "version = 1\nactive_from = \"2027-01-15T09:00:00Z\"");
    std::fs::write(&world.config.allow_list, text).unwrap();
    let service = world.start();
    assert_eq!(refused(&service, &to_venue(1)).await, "not_allowed");
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
        ("a list that is too long", format!("{good}{}", "#".repeat(1024 * 1024))),
    ];
    for (number, (what, text)) in (2_u64..).zip(&broken) {
        std::fs::write(&world.config.allow_list, text).unwrap();
        assert_eq!(refused(&service, &to_venue(number)).await, "not_allowed", "{what}");
    }
    std::fs::remove_file(&world.config.allow_list).unwrap();
    assert_eq!(refused(&service, &to_venue(50)).await, "not_allowed");
    // The list that was seen last is good again when it is back.
    std::fs::write(&world.config.allow_list, good).unwrap();
    service.sign(&to_venue(51)).await.unwrap();
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
