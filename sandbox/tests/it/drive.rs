//! The whole product under `kill -9`: the demo's own drive, with its fleet and its signer killed in
//! turn and started again, every few seconds. Each payment must still end as expected, every event
//! reach the merchant, and the simulators' books equal ours: nothing lost, nothing doubled.

use std::process::Command;

/// A variable that `make test` sets.
fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
}

/// The program with none of our variables set.
fn sandbox() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chukta-sandbox"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHUKTA_")) {
        command.env_remove(name);
    }
    command
}

#[test]
fn killing_the_fleet_and_the_signer_loses_and_doubles_nothing() {
    let owner = given("CHUKTA_TEST_POSTGRES_URL");
    let mut app = url::Url::parse(&owner).unwrap();
    app.set_username("chukta_app").unwrap();
    app.set_password(None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let output = sandbox()
        .args(["demo", "--once", "--kill-every", "7", "--database", "chukta_killed"])
        .current_dir(dir.path())
        .env("CHUKTA_OWNER_DATABASE_URL", &owner)
        .env("CHUKTA_DATABASE_URL", app.as_str())
        .env("CHUKTA_REDIS_URL", given("CHUKTA_TEST_REDIS_URL"))
        .env("CHUKTA_ANVIL", given("CHUKTA_ANVIL"))
        .env("CHUKTA_BITCOIND", given("CHUKTA_BITCOIND"))
        .env("CHUKTA_SURFPOOL", given("CHUKTA_SURFPOOL"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap_or_default();
    for who in ["fleet", "signer"] {
        assert!(said.contains(&format!("{who} killed")), "the {who} was never killed: {said}");
    }
    assert!(
        output.status.success() && last == "demo: 16 payments, 16 as expected, books balanced",
        "{said}\n{complained}"
    );
}
