//! The allow-list: what is new waits, what is gone is gone at once, what cannot be read allows
//! nothing.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

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
    let text = fs::read_to_string(&world.config.allow_list).unwrap();
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
    let good = fs::read_to_string(&world.config.allow_list).unwrap();
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
    fs::set_permissions(&world.config.allow_list, everybody).unwrap();
    assert!(is_undecided(&service, &to_venue(49)).await, "a list anybody may write");
    fs::remove_file(&world.config.allow_list).unwrap();
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

/// The list as a pipe: each look at it finds the next text. Answers how long the signer waited
/// between one look and the next.
fn feed(path: &Path, texts: &[&str]) -> JoinHandle<Vec<Duration>> {
    let pipes: Vec<PathBuf> =
        (0..texts.len()).map(|n| path.with_extension(n.to_string())).collect();
    for pipe in &pipes {
        let made = Command::new("mkfifo").args(["-m", "600"]).arg(pipe).status().unwrap();
        assert!(made.success(), "mkfifo");
    }
    fs::rename(&pipes[0], path).unwrap();
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let path = path.to_owned();
    thread::spawn(move || {
        let (mut waits, mut last) = (Vec::new(), None::<Instant>);
        for (number, text) in texts.iter().enumerate() {
            // Opens once the signer has opened it to read; its next look finds the next pipe.
            let mut pipe = OpenOptions::new().write(true).open(&path).unwrap();
            waits.extend(last.map(|last| last.elapsed()));
            if let Some(next) = pipes.get(number + 1) {
                fs::rename(next, &path).unwrap();
            }
            pipe.write_all(text.as_bytes()).unwrap();
            last = Some(Instant::now());
        }
        waits
    })
}

// Somebody saves the file row by row while it is asked. What is there reads like a whole list each
// time, and there is more of it at the second look: nothing is refused for good, and a part is
// never taken for the list.
#[tokio::test]
async fn a_list_that_is_being_saved_parks_nothing() {
    let world = World::new();
    let service = world.start();
    let whole = World::list(2, &venues());
    let path = world.config.allow_list.clone();
    let rows = whole.match_indices("[[allow]]").map(|(at, _)| at);
    let ends: Vec<usize> = rows.chain([whole.len()]).collect();
    for (number, ends) in (1..).zip(ends.windows(2)) {
        let fed = feed(&path, &[&whole[..ends[0]], &whole[..ends[1]]]);
        assert!(is_undecided(&service, &to_venue(number)).await, "part {number} was taken");
        let waits = fed.join().unwrap();
        assert!(waits[0] >= Duration::from_millis(50), "the second look came at once: {waits:?}");
        fs::remove_file(&path).unwrap();
    }
    // Twice the same: that is the list.
    let fed = feed(&path, &[&whole, &whole]);
    service.sign(&to_venue(50)).await.unwrap();
    fed.join().unwrap();
    fs::remove_file(&path).unwrap();
    write(&path, &whole);
    for number in 1..5 {
        service.sign(&to_venue(number)).await.unwrap();
    }
    let log = fs::read_to_string(&world.config.log).unwrap();
    assert_eq!(log.matches("\"list\":").count(), 2, "a part was taken for the list");
}
