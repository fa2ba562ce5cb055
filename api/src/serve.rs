//! The server: bounded connections, bounded headers, and a stop that ends nothing half done.
//!
//! HTTP/1.1 only, and no TLS: a proxy in front speaks both to the world.

use std::{io, pin::pin, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
};

use crate::state::{ApiState, assemble};

/// Each may hold one body of the largest size in memory.
const CONNECTIONS_MAX: usize = 1024;
/// Also how long a connection may idle between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Somewhat more than the headers a request may have, so that most who exceed them hear why.
const BUFFER_MAX: usize = 64 * 1024;
/// After a failed accept (out of file descriptors) the loop breathes before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests until `shutdown` turns true (or its sender is gone), then lets what was begun
/// end: requests get their answers, streams are closed, transactions finish.
///
/// # Errors
/// None at present: a failing accept is retried.
pub async fn serve(
    listener: TcpListener,
    state: ApiState,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let drain = Duration::from_millis(state.settings.drain_timeout_ms);
    // The router gets a flag of its own: a sender that was dropped means stop, too.
    let (stop, stopping) = watch::channel(false);
    let (at_work, mut all_done) = mpsc::channel(1);
    let service = TowerToHyperService::new(assemble(state, stopping.clone(), at_work.clone()));
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stopped = pin!(shutdown.wait_for(|stop| *stop));
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            _ = &mut stopped => break,
            (Ok(permit), accepted) = next => (permit, accepted),
            else => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let life = Life { permit, at_work: at_work.clone(), stopping: stopping.clone() };
                tokio::spawn(connection(stream, service.clone(), life));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, service, at_work));
    stop.send_replace(true);
    if tokio::time::timeout(drain, all_done.recv()).await.is_err() {
        tracing::warn!("stopped with work unfinished");
    }
    Ok(())
}

/// What a connection holds while it lives, and how it learns of the end.
struct Life {
    permit: OwnedSemaphorePermit,
    at_work: mpsc::Sender<()>,
    stopping: watch::Receiver<bool>,
}

async fn connection(stream: TcpStream, service: TowerToHyperService<axum::Router>, mut life: Life) {
    // An answer is small and complete: waiting to fill a packet only delays it.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(BUFFER_MAX);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        _ = life.stopping.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    drop((life.permit, life.at_work));
}
