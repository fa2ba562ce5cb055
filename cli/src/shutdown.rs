//! The one signal that ends a process: SIGTERM, or ctrl-c.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// A receiver that turns true when the process is asked to stop.
///
/// # Errors
/// When the signal cannot be listened to.
pub fn listen() -> std::io::Result<watch::Receiver<bool>> {
    let (tell, told) = watch::channel(false);
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop");
        let _ = tell.send(true);
        tell.closed().await;
    });
    Ok(told)
}
