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
