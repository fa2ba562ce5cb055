//! One line per job. A job missing here never runs, and a test compares this list with
//! `settlement::jobs::KINDS`.

use std::{future::Future, sync::Arc};

use queue::{JobArgs, JobError, Lease, Outcome, Runner};
use serde_json::json;
use settlement::case;

use crate::{Ctx, WorkError, jobs};

/// Failures in a row after which a person is told.
const SHOWN_AFTER: i32 = 8;

/// A runner that knows the jobs `wanted` says yes to. `name` is part of the worker names.
#[must_use]
pub fn runner(ctx: &Ctx, name: &str, wanted: &dyn Fn(&str) -> bool) -> Runner {
    let runner = Runner::new(ctx.base.pool.clone(), Arc::clone(&ctx.base.clock), name);
    let ctx = (ctx, wanted);
    let runner = with(runner, ctx, jobs::scan_chain::run);
    let runner = with(runner, ctx, jobs::confirm_deposit::run);
    let runner = with(runner, ctx, jobs::refill_addresses::run);
    let runner = with(runner, ctx, jobs::sync_rates::run);
    let runner = with(runner, ctx, jobs::watch_rates::run);
    let runner = with(runner, ctx, jobs::watch_orders::run);
    let runner = with(runner, ctx, jobs::thin_rates::run);
    let runner = with(runner, ctx, jobs::convert::run);
    let runner = with(runner, ctx, jobs::resolve_conversion::run);
    let runner = with(runner, ctx, jobs::pay_out::run);
    let runner = with(runner, ctx, jobs::resolve_payout::run);
    let runner = with(runner, ctx, jobs::process_inbox::run);
    let runner = with(runner, ctx, jobs::expire_payment::run);
    let runner = with(runner, ctx, jobs::notify_merchant::run);
    let runner = with(runner, ctx, jobs::sweep::run);
    let runner = with(runner, ctx, jobs::resolve_move::run);
    let runner = with(runner, ctx, jobs::watch_credits::run);
    let runner = with(runner, ctx, jobs::resolve_transfer::run);
    let runner = with(runner, ctx, jobs::tend_treasury::run);
    let runner = with(runner, ctx, jobs::sweep_stuck::run);
    with(runner, ctx, jobs::reconcile::run)
}

fn with<J, F, R>(runner: Runner, (ctx, wanted): (&Ctx, &dyn Fn(&str) -> bool), run: F) -> Runner
where
    J: JobArgs,
    F: Fn(Ctx, J, Lease) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<Outcome, WorkError>> + Send + 'static,
{
    if !wanted(J::KIND) {
        return runner;
    }
    let ctx = ctx.clone();
    runner.register(move |job: J, lease: Lease| {
        let (shown, attempt) = (job.key(), lease.attempt());
        let running = run(ctx.clone(), job, lease);
        let ctx = ctx.clone();
        async move {
            match running.await {
                Ok(outcome) => Ok(outcome),
                Err(error) => Err(failed(&ctx, &shown, attempt, error).await),
            }
        }
    })
}

/// A job that goes on failing is shown to a person long before it is given up.
async fn failed(ctx: &Ctx, key: &str, attempt: i32, error: WorkError) -> JobError {
    let error = JobError::from(error);
    if attempt == SHOWN_AFTER && !matches!(error, JobError::LeaseLost) {
        let new = case::NewCase {
            kind: "job_failing",
            subject: key,
            payment: None,
            amount: None,
            detail: json!({ "failures": attempt, "error": error.to_string() }),
        };
        let opened = async {
            let mut conn = ctx.conn().await?;
            case::open_in(&mut conn, &ctx.base, new).await?;
            Ok::<_, WorkError>(())
        };
        if let Err(weather) = opened.await {
            tracing::warn!(key, error = %weather, "the case of a failing job could not be opened");
        }
    }
    error
}
