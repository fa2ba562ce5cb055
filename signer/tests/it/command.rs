//! The process itself: keys made, served, shown and survived.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use signer::SANDBOX_SECRETS;
use signing::{Signer as _, SocketSigner};

use crate::world::{Move, World};

const PASSPHRASE: &str = "a passphrase for tests";

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chukta-signer"));
    command.args(arguments).current_dir(world.folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(world: &World, arguments: &[&str], stdin: &str) -> Output {
    let mut child = command(world, arguments).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

fn passphrase(world: &World, text: &str) {
    let file = world.path("passphrase");
    fs::write(&file, format!("{text}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Ends with the test, whatever happens in it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn serve(world: &World) -> (Process, SocketSigner) {
    let mut child = command(world, &["serve", "--config", "signer.toml"]);
    let child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let process = Process(child);
    let socket = world.path("run/signer.sock");
    let deadline = Instant::now() + Duration::from_secs(60);
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        assert!(Instant::now() < deadline, "the signer does not serve");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (process, SocketSigner::connect(socket, Duration::from_secs(20)))
}

fn init(world: &World) {
    passphrase(world, PASSPHRASE);
    let arguments =
        ["init", "--keys", "keys.json", "--passphrase-file", "passphrase", "--secrets-from-stdin"];
    let made = run(world, &arguments, SANDBOX_SECRETS);
    assert!(made.status.success(), "{}", said(&made));
}

#[tokio::test]
async fn it_signs_and_says_the_same_after_it_was_killed() {
    let world = World::new();
    init(&world);
    let wish = Move::new(1, 500_000, 1_000);
    let (mut process, client) = serve(&world).await;
    let signed = client.sign(&wish.intent(1)).await.unwrap();
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    // Its socket is still there, and nobody's.
    assert!(world.path("run/signer.sock").exists());
    let (process, client) = serve(&world).await;
    assert_eq!(client.sign(&wish.intent(1)).await, Ok(signed));

    let second = run(&world, &["serve", "--config", "signer.toml"], "");
    assert!(!second.status.success());
    assert!(said(&second).contains("used by another process"), "{}", said(&second));
    let verified = run(&world, &["log", "verify", "--config", "signer.toml"], "");
    assert!(said(&verified).starts_with("4 lines, the last one is "), "{}", said(&verified));
    drop(process);
    let log = fs::read_to_string(world.path("signer.log")).unwrap();
    fs::write(world.path("signer.log"), log.replacen("500000", "500001", 1)).unwrap();
    let verified = run(&world, &["log", "verify", "--config", "signer.toml"], "");
    assert!(!verified.status.success());
    assert!(said(&verified).contains("was changed: line 3"), "{}", said(&verified));
}

// Killed in the middle of forty askings, again and again: whatever answer anybody got is the answer
// afterwards, and all of them together are within the hour's limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_kill_changes_an_answer_or_a_limit() {
    let world = World::new();
    init(&world);
    let mut answers = std::collections::HashMap::new();
    for round in 0..6_u64 {
        let (mut process, client) = serve(&world).await;
        let ask = |number: u8| {
            let client = client.clone();
            let intent = Move::new(number, 100_000, 1_000).intent(u128::from(number));
            tokio::spawn(async move { (number, client.sign(&intent).await) })
        };
        let asked: Vec<_> = (1..=40).map(ask).collect();
        tokio::time::sleep(Duration::from_millis(3 + round * 17)).await;
        process.0.kill().unwrap();
        process.0.wait().unwrap();
        for task in asked {
            let (number, answer) = task.await.unwrap();
            if matches!(answer, Err(signing::SignError::Unavailable(_))) {
                continue;
            }
            let first = answers.entry(number).or_insert_with(|| answer.clone());
            assert_eq!(*first, answer, "{number} in round {round}");
        }
    }
    let (_process, client) = serve(&world).await;
    let mut signed = 0;
    for number in 1..=40 {
        let intent = Move::new(number, 100_000, 1_000).intent(u128::from(number));
        let answer = client.sign(&intent).await;
        assert!(answers.get(&number).is_none_or(|first| *first == answer), "{number}");
        signed += usize::from(answer.is_ok());
    }
    // Two millions an hour.
    assert_eq!(signed, 20);
}

// Killed while it wrote: the line is not whole, so nobody heard its answer. Asked again it is the
// same transaction, counted once; what was refused before stays refused.
#[tokio::test]
async fn a_torn_line_was_never_an_answer() {
    let world = World::new();
    init(&world);
    let (mut process, client) = serve(&world).await;
    let first = Move::new(1, 900_000, 1_000).intent(1);
    let last = Move::new(2, 900_000, 1_000).intent(3);
    let signed = client.sign(&first).await.unwrap();
    let refused = client.sign(&Move::new(9, 1_200_000, 1_000).intent(2)).await.unwrap_err();
    let torn = client.sign(&last).await.unwrap();
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let log = fs::read(world.path("signer.log")).unwrap();
    let line = log[..log.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for kept in [line + 1, line + 200, log.len() - 1] {
        fs::write(world.path("signer.log"), &log[..kept]).unwrap();
        let (mut process, client) = serve(&world).await;
        assert_eq!(client.sign(&first).await, Ok(signed.clone()));
        let again = client.sign(&Move::new(9, 1_200_000, 1_000).intent(2)).await;
        assert_eq!(again, Err(refused.clone()), "for ever");
        // 900 000 of the two millions of this hour are used, not more.
        assert_eq!(client.sign(&last).await, Ok(torn.clone()));
        assert_eq!(client.sign(&last).await, Ok(torn.clone()));
        let more = client.sign(&Move::new(3, 200_000, 1_000).intent(4)).await;
        assert!(more.is_ok(), "{more:?}");
        let most = client.sign(&Move::new(4, 1_000, 300).intent(5)).await;
        assert!(matches!(most, Err(signing::SignError::Refused { .. })), "{most:?}");
        process.0.kill().unwrap();
        process.0.wait().unwrap();
        let verified = run(&world, &["log", "verify", "--config", "signer.toml"], "");
        assert!(verified.status.success(), "{}", said(&verified));
    }
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    let world = World::new();
    init(&world);
    let (mut process, _client) = serve(&world).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.path("run")), 0o700);
    assert_eq!(mode(&world.path("run/signer.sock")), 0o600);
    assert_eq!(mode(&world.path("signer.log")), 0o600);
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(process.0.wait().unwrap().success());
    assert!(!world.path("run/signer.sock").exists());
}

#[test]
fn the_public_side_is_shown_and_nothing_else() {
    let world = World::new();
    init(&world);
    let shown = run(&world, &["public", "--config", "signer.toml"], "");
    let text = String::from_utf8(shown.stdout.clone()).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(shown[0]["xpub"].as_str().unwrap().starts_with("vpub"));
    assert_eq!(shown[1]["gas_station"], crate::world::evm_address(1, 0));
    assert_eq!(shown[2]["network"], "solana");
    for secret in [PASSPHRASE, "abandon", "prv", "7777"] {
        assert!(!text.contains(secret), "{secret} is shown");
    }
}

#[test]
fn keys_are_made_closed_and_never_over_others() {
    let world = World::new();
    // Passphrase and words from standard input, one after the other.
    let words = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let arguments = ["init", "--keys", "keys.json", "--mnemonic-from-stdin"];
    let made = run(&world, &arguments, &format!("{PASSPHRASE}\n{words}\n"));
    assert!(made.status.success(), "{}", said(&made));
    assert!(!said(&made).contains("winner") && !said(&made).contains(PASSPHRASE));
    let file = world.path("keys.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&file).unwrap();
    let again = run(&world, &arguments, &format!("{PASSPHRASE}\n{words}\n"));
    assert!(!again.status.success() && fs::read(&file).unwrap() == before);

    let fresh = run(&world, &["init", "--keys", "fresh.json"], &format!("{PASSPHRASE}\n"));
    assert!(fresh.status.success(), "{}", said(&fresh));
    let bad = format!("{PASSPHRASE}\nlegal winner thank\n");
    let bad = run(&world, &["init", "--keys", "bad.json", "--mnemonic-from-stdin"], &bad);
    assert!(said(&bad).contains("no words of BIP39"), "{}", said(&bad));
    assert!(!world.path("bad.json").exists());
    let none = run(&world, &["init", "--keys", "none.json"], "\n");
    assert!(said(&none).contains("no passphrase"), "{}", said(&none));
}

#[test]
fn a_wrong_passphrase_is_one_sentence() {
    let world = World::new();
    init(&world);
    passphrase(&world, "another passphrase");
    let refused = run(&world, &["serve", "--config", "signer.toml"], "");
    let sentence =
        "chukta-signer: the passphrase does not open the key file, or the file was changed\n";
    assert_eq!(said(&refused), sentence);
    assert!(!refused.status.success());
    let open = fs::Permissions::from_mode(0o640);
    fs::set_permissions(world.path("passphrase"), open).unwrap();
    let refused = run(&world, &["serve", "--config", "signer.toml"], "");
    assert!(said(&refused).contains("others may open it"), "{}", said(&refused));
}
