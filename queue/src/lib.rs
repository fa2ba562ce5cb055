//! Durable jobs in PostgreSQL, with apalis as the engine. The only room that knows apalis.
//!
//! Invariants: a job is enqueued, and may be completed, inside the caller's business transaction;
//! whoever writes as the holder of a job is fenced by its run; a job that may still be due is never
//! lost (it runs again instead), so handlers are written to be run again. A job is a *hint that
//! something may be due*; the truth is the row it names, and what a job does stands in `workers`.
//!
//! # How a run goes
//!
//! 1. An apalis worker (`batch_size(1)`, one job at a time) fetches a row: `Queued`.
//! 2. Our supervisor marks it `Running` with a fresh *run* token and opens a row of
//!    `jobs.job_attempts`, both in one statement. Only then does the body start, in its own task.
//! 3. The body ends, panics or overruns its time. The supervisor writes the outcome, fenced by the
//!    token; a body that called [`Lease::finish_in`] has already done so in its own transaction.
//! 4. The trigger in `sql/hardening.sql` counts, backs off, kills at the cap, honours re-run marks
//!    and closes the attempt row.
//!
//! The engine's own locks and acknowledgements are switched off: they travel through memory, arrive
//! late and are wrong for timeouts, panics and delays. Of the engine remain fetching, heartbeats,
//! leases, the recovery of orphans and supervision.
//!
//! # What counts
//!
//! `MAX_ATTEMPTS` counts failures *in a row*: errors, panics, overruns and workers that died with
//! the job. [`Outcome::Again`] is not an attempt and starts the count anew, so a job that waits for
//! days is not killed by a handful of failures on the way. A job handed back before its body
//! started has lost nothing.
//!
//! # Connections
//!
//! A [`Runner`] keeps one connection for `LISTEN` and borrows others briefly; give its pool at
//! least two plus one per worker stream plus what the handlers use.

pub mod admin;
pub mod backoff;
mod enqueue;
mod error;
mod job;
mod lease;
mod prune;
mod runner;
mod setup;
pub mod ticks;

pub use enqueue::{Enqueued, enqueue, enqueue_once, ensure};
pub use error::{JobError, QueueError};
pub use job::{JobArgs, Outcome};
pub use lease::Lease;
pub use prune::{Pruned, prune};
pub use runner::{Drained, Failure, Pulse, Runner};
pub use setup::{SETUP_SQL, setup};
