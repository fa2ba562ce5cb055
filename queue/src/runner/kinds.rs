//! One registered kind of job with its type erased: how to decode it and start its body.
//!
//! Invariant: a body always runs in a task of its own, so no timeout and no shutdown ever cancels
//! it in the middle of a database call, and a panic stays inside.

use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::error::JobError;
use crate::job::{JobArgs, Outcome};
use crate::lease::Lease;

type Answer = Result<Outcome, JobError>;
type Start = dyn Fn(&[u8], Lease) -> Result<JoinHandle<Answer>, serde_json::Error> + Send + Sync;

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) timeout: Duration,
    pub(crate) workers: usize,
    start: Box<Start>,
}

impl Kind {
    pub(crate) fn new<J, Fut>(handler: impl Fn(J, Lease) -> Fut + Send + Sync + 'static) -> Self
    where
        J: JobArgs,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let handler = std::sync::Arc::new(handler);
        let start = move |args: &[u8], lease: Lease| {
            let job: J = serde_json::from_slice(args)?;
            let span = tracing::info_span!(
                "job",
                kind = J::KIND,
                id = lease.job_id(),
                attempt = lease.attempt()
            );
            let handler = handler.clone();
            // The handler is called inside the task: it may panic before it returns its future.
            let body = async move { handler(job, lease).await };
            Ok(tokio::spawn(body.instrument(span)))
        };
        Self {
            name: J::KIND,
            timeout: J::TIMEOUT,
            workers: J::WORKERS.max(1),
            start: Box::new(start),
        }
    }

    pub(crate) fn start(
        &self,
        args: &[u8],
        lease: Lease,
    ) -> Result<JoinHandle<Answer>, serde_json::Error> {
        (self.start)(args, lease)
    }
}
