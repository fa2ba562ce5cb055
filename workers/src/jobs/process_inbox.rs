//! Read a stored webhook: verify it, then ask the rail for the truth. The webhook itself moves
//! nothing; a forged one changes nothing but its own row.

use queue::{Lease, Outcome};
use settlement::{
    inbox::{self, Letter, Reading},
    jobs::ProcessInbox,
    payout,
};

use crate::{Ctx, WorkError, in_our_words};

pub(crate) async fn run(ctx: Ctx, job: ProcessInbox, lease: Lease) -> Result<Outcome, WorkError> {
    let letter = {
        let mut conn = ctx.conn().await?;
        inbox::get(&mut conn, job.letter).await?
    };
    if !letter.is_new {
        return Ok(Outcome::Done);
    }
    let rail = ctx.connectors.rail(&letter.rail)?;
    let signatures: Vec<&str> = letter.signatures.iter().map(String::as_str).collect();
    let event = match rail.read_webhook(&signatures, &letter.body) {
        Ok(event) => event,
        Err(error) => {
            return close(&ctx, &letter, &lease, Reading::Refused, &error.to_string()).await;
        }
    };
    let known = {
        let mut conn = ctx.conn().await?;
        let by_id = match &event.rail_payout_id {
            Some(id) => payout::by_rail_id_in(&mut conn, id).await?,
            None => None,
        };
        match (by_id, &event.reference) {
            (Some(known), _) => Some(known),
            (None, Some(reference)) => payout::by_reference_in(&mut conn, reference).await?,
            (None, None) => None,
        }
    };
    let (Some((id, attempt)), Some(rail_id)) = (known, &event.rail_payout_id) else {
        return close(&ctx, &letter, &lease, Reading::Read, "names no payout of ours").await;
    };
    let told = rail.fetch(rail_id).await?;
    let mut tx = ctx.begin(&lease).await?;
    payout::record_in(&mut tx, &ctx.base, id, attempt, &in_our_words::rail_payout(&told)).await?;
    inbox::close_in(&mut tx, &ctx.base, letter.id, Reading::Read, &event.event).await?;
    ctx.finish(tx, &lease, Outcome::Done).await
}

async fn close(
    ctx: &Ctx,
    letter: &Letter,
    lease: &Lease,
    reading: Reading,
    note: &str,
) -> Result<Outcome, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    inbox::close_in(&mut tx, &ctx.base, letter.id, reading, note).await?;
    ctx.finish(tx, lease, Outcome::Done).await
}
