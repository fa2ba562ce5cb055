//! Listening on a line that is opened again when it is lost.
//!
//! Invariant: a call waits no longer than it is told, whether there is a line or not. A line that
//! is lost is opened by a later call, after growing pauses; one that we left ourselves at once.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use crate::socket::{Line, Lost, Patience, is_our_own};

/// Where a line is, or when the next one may be opened.
#[derive(Debug, Default)]
pub(crate) struct Door {
    pub(crate) line: Option<Line>,
    pub(crate) patience: Patience,
}

/// Who listens at a vendor, and what for.
pub(crate) trait Listener: Sync {
    type Told: Send;

    const VENDOR: &'static str;
    /// `price stream`, for the log.
    const WHAT: &'static str;

    fn door(&self) -> &Mutex<Door>;

    /// What is said within a time, over the line that is there or over one it opens.
    fn heard(
        &self,
        door: &mut Door,
        at_most: Duration,
    ) -> impl Future<Output = Result<Vec<Self::Told>, Lost>> + Send;
}

/// What somebody is told within a time; nothing when there is no line.
pub(crate) async fn listen<L: Listener>(listener: &L, at_most: Duration) -> Vec<L::Told> {
    let started = Instant::now();
    let mut door = listener.door().lock().await;
    let pause = if door.line.is_some() { Duration::ZERO } else { door.patience.left() };
    if pause >= at_most {
        tokio::time::sleep(at_most).await;
        return Vec::new();
    }
    tokio::time::sleep(pause).await;
    let left = || at_most.saturating_sub(started.elapsed());
    let mut told = listener.heard(&mut door, left()).await;
    if told.as_ref().is_err_and(|lost| is_our_own(lost)) {
        told = listener.heard(&mut door, left()).await;
    }
    match told {
        Ok(told) => told,
        Err(lost) => {
            tracing::warn!(vendor = L::VENDOR, "{} {lost}", L::WHAT);
            door.patience.failed();
            Vec::new()
        }
    }
}
