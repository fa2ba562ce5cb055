//! Ask for every job that some row waits for and nobody has queued, show dead jobs to a person,
//! and prune what is old.

use queue::{Lease, Outcome, admin};
use serde_json::json;
use settlement::{case, jobs::SweepStuck, stuck};

use crate::{Ctx, WorkError};

pub(crate) async fn run(ctx: Ctx, _: SweepStuck, lease: Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(&lease).await?;
    let dead = admin::Filter { state: Some(admin::State::Killed), ..admin::Filter::default() };
    for job in admin::jobs(&mut tx, &dead).await? {
        let new = case::NewCase {
            kind: "job_dead",
            subject: &job.id,
            payment: None,
            amount: None,
            detail: json!({ "kind": job.kind, "key": job.key, "error": job.error }),
        };
        case::open_in(&mut tx, &ctx.base, new).await?;
    }
    // After the dead were shown: the sweep gives their work a new job.
    let found = stuck::sweep_in(&mut tx, &ctx.base).await?;
    if found > 0 {
        tracing::warn!(found, "work had no job");
    }
    queue::prune(&mut tx).await?;
    ctx.finish(tx, &lease, Outcome::Done).await?;
    // Seals what is finished, apart: the chain of seals waits for every running transaction.
    let mut conn = ctx.conn().await?;
    ledger::seal(&mut conn).await.map_err(settlement::Error::from)?;
    Ok(Outcome::Done)
}
