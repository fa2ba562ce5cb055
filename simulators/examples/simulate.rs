//! Starts every simulator, prints the one JSON line, and runs until stdin closes or ctrl-c.

use std::{io::Read, sync::Arc, thread};

use anyhow::Context;
use primitives::SystemClock;
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let running = simulators::start(simulators::Options::new(Arc::new(SystemClock))).await?;
    println!("{}", running.first_line());
    let (close, closed) = oneshot::channel::<()>();
    // A blocked read cannot be cancelled, so it has a thread that the process does not wait for.
    thread::spawn(move || {
        let mut ignored = [0_u8; 1024];
        while matches!(std::io::stdin().read(&mut ignored), Ok(read) if read > 0) {}
        drop(close);
    });
    tokio::select! {
        _ = closed => {}
        signal = tokio::signal::ctrl_c() => signal.context("cannot wait for ctrl-c")?,
    }
    running.shutdown().await;
    Ok(())
}
