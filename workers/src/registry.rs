//! One line per job. A job missing here never runs, and a test compares this list with
//! `settlement::jobs::KINDS`.

use std::{future::Future, sync::Arc};

use queue::{JobArgs, JobError, Lease, Outcome, Runner};

use crate::{Ctx, WorkError, jobs};

/// A runner that knows the jobs `wanted` says yes to. `name` is part of the worker names.
#[must_use]
pub fn runner(ctx: &Ctx, name: &str, wanted: &dyn Fn(&str) -> bool) -> Runner {
    let runner = Runner::new(ctx.base.pool.clone(), Arc::clone(&ctx.base.clock), name);
    let ctx = (ctx, wanted);
    let runner = with(runner, ctx, jobs::scan_chain::run);
    let runner = with(runner, ctx, jobs::confirm_deposit::run);
    let runner = with(runner, ctx, jobs::refill_addresses::run);
    let runner = with(runner, ctx, jobs::sync_rates::run);
    let runner = with(runner, ctx, jobs::convert::run);
    let runner = with(runner, ctx, jobs::resolve_conversion::run);
    let runner = with(runner, ctx, jobs::pay_out::run);
    let runner = with(runner, ctx, jobs::resolve_payout::run);
    let runner = with(runner, ctx, jobs::process_inbox::run);
    let runner = with(runner, ctx, jobs::expire_payment::run);
    let runner = with(runner, ctx, jobs::notify_merchant::run);
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
        let running = run(ctx.clone(), job, lease);
        async move { running.await.map_err(JobError::from) }
    })
}
