//! The HTTP side all simulators share: one server per simulator, calls read whole and bounded,
//! faults put on the wire.
//!
//! Invariant: no request body above [`BODY_LIMIT`] and no reading longer than [`READ_LIMIT`];
//! dropping a [`Server`] stops it.

mod call;
pub(crate) mod faults;

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) use call::Call;
pub(crate) use faults::Dialect;

pub(crate) const BODY_LIMIT: usize = 64 * 1024;
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// A listening server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(address: SocketAddr, router: Router) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr().context("a bound socket has an address")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // An error means the sender is gone, which asks for the same.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "simulator stopped");
            }
        });
        Ok(Self { address, stop: Some(stop), task })
    }

    /// Lets requests under way finish for a moment, then cuts them.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means the server has ended already.
            let _ = stop.send(());
        }
        // Hanging answers (timeouts on purpose) are cut by the drop that follows.
        let _ = tokio::time::timeout(STOP_LIMIT, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
