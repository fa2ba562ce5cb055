//! docker-compose.yml against the programs it starts, without a Docker engine: its files are there,
//! its settings are ours, its commands exist, and its signer holds the keys of its fleet.
//!
//! The file is read by its indentation: names, commands and paths are all that is needed of it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::binary::{chukta, given, text};

const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines below `name:` that are further in, from `lines`.
fn block<'a>(lines: &[&'a str], name: &str) -> Vec<&'a str> {
    let is_start = |line: &&str| line.trim_start().starts_with(&format!("{name}:"));
    let at = lines.iter().position(is_start);
    let at = at.unwrap_or_else(|| panic!("no {name} in docker-compose.yml"));
    let further = |line: &&&str| line.trim().is_empty() || depth(line) > depth(lines[at]);
    lines[at + 1..].iter().take_while(further).copied().collect()
}

fn unquoted(word: &str) -> String {
    word.trim().trim_matches('"').to_owned()
}

/// A list in one line, or one item a line; a folded item is one word.
fn list(lines: &[&str], name: &str) -> Vec<String> {
    let start = format!("{name}: [");
    let inline = lines.iter().find_map(|line| line.trim().strip_prefix(&start)?.strip_suffix(']'));
    if let Some(inline) = inline {
        let quoted = inline.split("\", \"").map(unquoted);
        return quoted.collect();
    }
    let mut items: Vec<String> = Vec::new();
    for line in block(lines, name) {
        match line.trim().strip_prefix("- ") {
            Some(">-") => items.push(String::new()),
            Some(item) => items.push(unquoted(item)),
            None => {
                let last = items.last_mut().unwrap();
                *last = format!("{last} {}", line.trim()).trim().to_owned();
            }
        }
    }
    items
}

/// Every service with its lines.
fn services(compose: &str) -> Vec<(String, Vec<&str>)> {
    let lines: Vec<&str> = compose.lines().collect();
    let all = block(&lines, "services");
    let is_name =
        |line: &str| depth(line) == 2 && !line.trim().starts_with('#') && !line.trim().is_empty();
    let name = |line: &str| line.trim().split(':').next().unwrap().to_owned();
    let names = all.iter().enumerate().filter(|(_, line)| is_name(line));
    // From its own line on: others name it before, as what they wait for.
    names.map(|(at, line)| (name(line), block(&all[at..], &name(line)))).collect()
}

fn exists(arguments: &[String]) {
    let output = chukta().args(arguments).arg("--help").output().unwrap();
    let (said, complained) = text(&output);
    assert!(output.status.success() && said.contains("Usage"), "{arguments:?}: {complained}");
}

#[test]
fn every_command_exists() {
    let compose = read("docker-compose.yml");
    let mut seen = Vec::new();
    for (name, lines) in services(&compose) {
        if !lines.iter().any(|line| line.trim() == "<<: *chukta") {
            continue;
        }
        let command = list(&lines, "command");
        exists(&command);
        seen.push(name);
    }
    assert_eq!(seen, ["simulators", "migrate", "open-books", "api", "sandbox", "scan", "work"]);
    let checks = compose.lines().filter_map(|line| line.trim().strip_prefix("test: [\"CMD\", "));
    let checks = checks.filter(|check| check.starts_with("\"chukta\""));
    let mut count = 0;
    for check in checks {
        let words: Vec<String> = check.trim_end_matches(']').split(", ").map(unquoted).collect();
        exists(&words[1..]);
        count += 1;
    }
    assert_eq!(count, 3, "the health checks that ask our own binary");
    // What its own comment tells a person to run.
    let told = compose.lines().filter_map(|line| line.split("run --rm ").nth(1));
    let told: Vec<Vec<&str>> = told.map(|line| line.split(' ').take(2).collect()).collect();
    assert_eq!(told, [["api", "seed"], ["sandbox", "pay"], ["sandbox", "mine"]]);
    for service_and_command in told {
        // The sandbox's commands are handed over to its own program.
        exists(&[service_and_command[1].to_owned()]);
    }
}

#[test]
fn every_file_is_there() {
    let compose = read("docker-compose.yml");
    let files: Vec<&str> =
        compose.lines().filter_map(|line| line.trim().strip_prefix("file: ")).collect();
    assert_eq!(files.len(), 7);
    for file in files {
        assert!(!read(file).is_empty(), "{file}");
    }
    // An engine cannot write text from here into a container that is read only.
    assert!(!compose.contains("content: |"));
    let dockerfile = read("Dockerfile");
    for target in compose.lines().filter_map(|line| line.trim().strip_prefix("target: ")) {
        let is_stage = !target.starts_with('/');
        assert!(!is_stage || dockerfile.contains(&format!(" AS {target}\n")), "{target}");
    }
    for program in ["chukta", "chukta-signer", "chukta-sandbox"] {
        let (built, taken) =
            (format!("--bin {program}"), format!("/src/target/release/{program} "));
        assert!(dockerfile.contains(&built) && dockerfile.contains(&taken), "{program}");
    }
}

// The doctor reads every setting, then names each part that is not there: no container is.
#[test]
fn its_settings_are_ours() {
    let output = chukta()
        .arg("doctor")
        .env("CHUKTA_CONFIG", root().join("config/compose/chukta.toml"))
        .env("CHUKTA_DATABASE_URL", given("CHUKTA_TEST_POSTGRES_URL"))
        .env("CHUKTA_SIGNER__SOCKET", "/run/signer/signer.sock")
        .output()
        .unwrap();
    let (said, complained) = text(&output);
    for line in [
        "ok    network bitcoin: has a node",
        "ok    network ethereum: has a node",
        "ok    network base: has a node",
        "ok    venue wazirx: has a connector",
        "ok    rail razorpayx: has a connector",
        "venue binance: key may read holdings",
        "signer: listens",
    ] {
        assert!(said.contains(line), "{line} in: {said}\n{complained}");
    }
}

/// What the simulators of seed 1 say of themselves.
fn said() -> String {
    let mut child = chukta()
        .args(["simulate", "--webhook-url=http://127.0.0.1:9/"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

#[test]
fn its_credentials_are_those_of_the_simulators() {
    let said: serde_json::Value = serde_json::from_str(&said()).unwrap();
    let settings = read("config/compose/chukta.toml");
    for (who, what) in [
        ("wazirx", "api_key"),
        ("wazirx", "secret"),
        ("binance", "api_key"),
        ("binance", "secret"),
        ("coingecko", "api_key"),
        ("razorpayx", "key_id"),
        ("razorpayx", "key_secret"),
        ("razorpayx", "account_number"),
        ("razorpayx", "webhook_secret"),
    ] {
        let value = said[who][what].as_str().unwrap();
        assert!(settings.contains(&format!("\"{value}\"")), "{who} {what}");
    }
}

/// The signer's own binary, beside ours.
fn signer() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_chukta")).with_file_name("chukta-signer");
    assert!(beside.is_file(), "no chukta-signer beside chukta: run `make test`, which builds it");
    beside
}

/// One of the signer's containers: its own command, with the places of this test.
fn container(name: &str, home: &Path) -> Command {
    let compose = read("docker-compose.yml");
    let all = services(&compose);
    let lines = &all.iter().find(|(known, _)| known == name).unwrap().1;
    let shell = list(&compose.lines().collect::<Vec<_>>(), "entrypoint");
    assert_eq!(shell, ["/bin/sh", "-ec"]);
    let [script] = list(lines, "command").try_into().unwrap();
    let mut command = Command::new(&shell[0]);
    command.arg(&shell[1]).arg(moved(&script, home)).stdin(Stdio::null());
    command
}

fn moved(text: &str, home: &Path) -> String {
    let home = home.display();
    let root = root();
    text.replace("chukta-signer ", &format!("{} ", signer().display()))
        .replace("/var/lib/signer", &format!("{home}"))
        .replace("/etc/signer", &format!("{home}"))
        .replace("/run/signer", &format!("{home}/run"))
        .replace(
            "/run/secrets/signer_passphrase",
            &format!("{}/config/compose/passphrase", root.display()),
        )
        .replace(
            "/run/secrets/signer_keys",
            &format!("{}/signer/sandbox-secrets.json", root.display()),
        )
}

#[test]
fn its_signer_holds_the_keys_of_its_fleet_and_serves() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let settings = moved(&read("config/compose/signer.toml"), home);
    // This user is in no such group.
    let settings = settings.lines().filter(|line| !line.starts_with("clients"));
    fs::write(home.join("signer.toml"), settings.collect::<Vec<_>>().join("\n")).unwrap();
    fs::write(home.join("allow.toml"), read("config/compose/allow.toml")).unwrap();
    let closed = fs::Permissions::from_mode(0o600);
    fs::set_permissions(home.join("signer.toml"), closed).unwrap();
    // The second time the keys are there, and stay.
    for _ in 0..2 {
        assert!(container("signer-keys", home).output().unwrap().status.success());
    }
    let public = Command::new(signer())
        .args(["public", "--config"])
        .arg(home.join("signer.toml"))
        .stdin(fs::File::open(root().join("config/compose/passphrase")).unwrap())
        .output()
        .unwrap();
    let public = text(&public).0;
    let fleet = read("config/compose/chukta.toml");
    let keys: Vec<&str> = fleet.lines().filter_map(|line| line.strip_prefix("xpub = ")).collect();
    assert_eq!(keys.len(), 3);
    for key in keys {
        assert!(public.contains(key), "{key} in: {public}");
    }
    let mut serving = container("signer", home).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while UnixStream::connect(home.join("run/signer.sock")).is_err() {
        assert!(Instant::now() < deadline, "it does not serve");
        std::thread::sleep(Duration::from_millis(20));
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
}

#[test]
fn coins_may_go_to_the_simulated_venues_only() {
    let allowed = read("config/compose/allow.toml");
    let addresses: Vec<String> =
        allowed.lines().filter_map(|line| line.strip_prefix("address = ")).map(unquoted).collect();
    let of = |venue, network, hrp| simulators::venue::address_on(1, venue, network, hrp).unwrap();
    let ether = of("binance", "ethereum", "");
    assert_eq!(addresses, [of("wazirx", "bitcoin", "bcrt"), ether.clone(), ether]);
}
