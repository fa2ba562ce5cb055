//! End a payment whose time is up, once every network it could be paid on was looked at since.

use queue::{Lease, Outcome};
use settlement::{
    jobs::ExpirePayment,
    payment::{self, Expiry},
};

use crate::{Ctx, WorkError};

pub(crate) async fn run(ctx: Ctx, job: ExpirePayment, lease: Lease) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(&lease).await?;
    let outcome = match payment::expire_in(&mut tx, &ctx.base, job.payment).await? {
        Expiry::Ended => Outcome::Done,
        Expiry::NotYet(at) => Outcome::Again(at),
    };
    ctx.finish(tx, &lease, outcome).await
}
