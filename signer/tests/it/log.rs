//! The log: what a crash leaves is mended, what anybody changes stops the signer.

use std::fs;

use signer::{LogError, StartError, verify};
use signing::Signer as _;

use crate::world::{Move, World, refused};

async fn used() -> World {
    let world = World::new();
    let service = world.start();
    service.sign(&Move::new(1, 1_000_000, 1_000).intent(1)).await.unwrap();
    service.sign(&Move::new(2, 500_000, 1_000).intent(2)).await.unwrap();
    assert_eq!(refused(&service, &Move::new(3, 100_000, 1).intent(3).spoiled()).await, "malformed");
    world
}

trait Spoil {
    fn spoiled(&self) -> Self;
}

impl Spoil for signing::Intent {
    /// With a PSBT that is none.
    fn spoiled(&self) -> Self {
        let psbt = "x".to_owned();
        Self { unsigned: chains::carrier::Unsigned::Bitcoin { psbt }, ..self.clone() }
    }
}

fn text(world: &World) -> String {
    fs::read_to_string(&world.config.log).unwrap()
}

fn damage(world: &World) -> String {
    match world.try_start() {
        Err(StartError::Log(error @ LogError::Damaged { .. })) => error.to_string(),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("a damaged log was taken"),
    }
}

// A crash may leave any part of the last line. All before it is kept, and counted.
#[tokio::test]
async fn a_torn_last_line_is_taken_away() {
    let world = used().await;
    let whole = text(&world);
    let last = whole.trim_end().rfind('\n').unwrap() + 1;
    for end in [last + 1, last + 40, whole.len() - 1] {
        fs::write(&world.config.log, &whole[..end]).unwrap();
        assert_eq!(verify(&world.config.log).unwrap().torn, u64::try_from(end - last).unwrap());
        let service = world.start();
        // One and a half million are still counted in this hour.
        let more = Move::new(9, 600_000, 1_000).intent(100 + u128::try_from(end).unwrap());
        assert_eq!(refused(&service, &more).await, "over_limit");
        drop(service);
        assert_eq!(verify(&world.config.log).unwrap().torn, 0);
        assert!(text(&world).starts_with(&whole[..last]));
    }
    // What a crash leaves when the disk had no time for the bytes at all.
    let mut zeros = whole.as_bytes()[..last].to_vec();
    zeros.extend_from_slice(&[0; 100]);
    fs::write(&world.config.log, zeros).unwrap();
    drop(world.start());
}

#[tokio::test]
async fn any_other_damage_stops_the_signer() {
    let world = used().await;
    let whole = text(&world);
    let lines: Vec<&str> = whole.lines().collect();
    let joined = |lines: &[&str]| format!("{}\n", lines.join("\n"));
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    let mut without = lines.clone();
    without.remove(2);
    let mut twice = lines.clone();
    twice.insert(2, lines[2]);
    for (what, text) in [
        ("a smaller amount", whole.replacen("\"minor\":\"1000000\"", "\"minor\":\"1\"", 1)),
        ("another hash", whole.replacen("\"prev\":\"0", "\"prev\":\"1", 1)),
        ("a space", whole.replacen(",\"what\"", ", \"what\"", 1)),
        ("two lines swapped", joined(&swapped)),
        ("a line removed", joined(&without)),
        ("the first line removed", joined(&lines[1..])),
        ("a line twice", joined(&twice)),
        ("an empty line", format!("{whole}\n")),
        ("a line of something else", format!("{whole}hello\n")),
    ] {
        assert_ne!(text, whole, "{what}");
        fs::write(&world.config.log, &text).unwrap();
        let error = damage(&world);
        assert!(error.contains("was changed: line "), "{what}: {error}");
        assert!(verify(&world.config.log).is_err(), "{what}");
    }
    fs::write(&world.config.log, &whole).unwrap();
    drop(world.start());
}

// Every byte that is changed is seen.
#[tokio::test]
async fn a_flipped_bit_anywhere_is_seen() {
    let world = used().await;
    let whole = text(&world).into_bytes();
    let mut at = 0;
    while at < whole.len() - 1 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&world.config.log, &bytes).unwrap();
        assert!(verify(&world.config.log).is_err(), "byte {at}");
        at += 7;
    }
}

#[tokio::test]
async fn two_signers_do_not_share_a_log() {
    let world = World::new();
    let first = world.start();
    assert!(matches!(world.try_start(), Err(StartError::Log(LogError::InUse(_)))));
    drop(first);
    drop(world.start());
}

#[tokio::test]
async fn the_log_says_who_asked_for_what() {
    let world = used().await;
    let lines: Vec<serde_json::Value> =
        text(&world).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| line["what"].as_object().unwrap().keys().next().unwrap().as_str())
        .collect();
    assert_eq!(kinds, ["started", "list", "signed", "signed", "refused"]);
    let signed = &lines[2]["what"]["signed"];
    assert_eq!(signed["asked"]["minor"], "1000000");
    assert_eq!(signed["asked"]["purpose"], "fund_venue");
    assert_eq!(signed["asked"]["network"], "bitcoin");
    assert_eq!(signed["fee"], "1000");
    assert_eq!(lines[4]["what"]["refused"]["code"], "malformed");
    assert_eq!(lines[0]["prev"], "0".repeat(64));
    assert_eq!(lines[1]["prev"], lines[0]["hash"]);
    assert_eq!(verify(&world.config.log).unwrap().lines, 5);
}
