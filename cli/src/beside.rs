//! Programs of ours that are other processes on purpose, found beside the one that runs.

use std::{
    convert::Infallible, ffi::OsString, os::unix::process::CommandExt as _, path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, ensure};

/// Where a program of ours is: in the folder of the one that runs.
///
/// # Errors
/// A sentence when it is not there.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let mine = std::env::current_exe()?;
    let program = mine.with_file_name(name);
    ensure!(
        program.is_file(),
        "there is no {name} beside {}: build all of it (`cargo build --workspace --bins`)",
        mine.display()
    );
    Ok(program)
}

/// Turns this process into another program: its exit status and signals are that one's.
/// Answers only why it could not.
#[must_use]
pub fn become_program(name: &str, arguments: &[OsString]) -> anyhow::Error {
    match replaced(name, arguments) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn replaced(name: &str, arguments: &[OsString]) -> anyhow::Result<Infallible> {
    let error = Command::new(program(name)?).args(arguments).exec();
    Err(error).with_context(|| format!("{name} cannot be started"))
}
