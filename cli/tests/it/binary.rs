//! Running the binary, with a clean environment but for what a test gives it.

use std::process::{Command, Output};

/// The binary with none of our variables set.
pub(crate) fn chukta() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chukta"));
    for (name, _) in std::env::vars() {
        if name.starts_with("CHUKTA_") {
            command.env_remove(name);
        }
    }
    command
}

/// A variable that `make test` sets.
pub(crate) fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`"))
}

pub(crate) fn text(output: &Output) -> (String, String) {
    let of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (of(&output.stdout), of(&output.stderr))
}

/// The fleet's binary pays nobody: what does is another program, and the words go to it as typed.
#[test]
fn the_sandboxes_commands_are_another_programs() {
    for command in ["demo", "pay", "mine", "reorg"] {
        let output = chukta().args([command, "--help"]).output().unwrap();
        let (said, complained) = text(&output);
        assert!(output.status.success(), "{command}: {complained}");
        assert!(said.contains(&format!("Usage: chukta-sandbox {command}")), "{said}");
    }
    let output = chukta().args(["mine", "--config", "no-such-file.toml"]).output().unwrap();
    assert!(!output.status.success());
    let (_, complained) = text(&output);
    assert!(complained.starts_with("chukta-sandbox: no settings file"), "{complained}");
    let alone = tempfile::tempdir().unwrap();
    let moved = alone.path().join("chukta");
    std::fs::copy(env!("CARGO_BIN_EXE_chukta"), &moved).unwrap();
    let output = Command::new(&moved).arg("demo").output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).1.contains("no chukta-sandbox beside"), "{}", text(&output).1);
}
