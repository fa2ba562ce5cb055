//! Tell a merchant's endpoint about an event: same id and same bytes on every try, for three days.

use outbound::webhook::{self, SigningSecret};
use queue::{Lease, Outcome};
use settlement::{
    jobs::NotifyMerchant,
    notice::{self, Try},
};

use crate::{Ctx, WorkError};

pub(crate) async fn run(ctx: Ctx, job: NotifyMerchant, lease: Lease) -> Result<Outcome, WorkError> {
    let message = {
        let mut conn = ctx.conn().await?;
        notice::message(&mut conn, job.delivery).await?
    };
    if !message.pending {
        return Ok(Outcome::Done);
    }
    let secrets: Vec<SigningSecret> =
        message.secret.iter().filter_map(|secret| SigningSecret::parse(secret).ok()).collect();
    let tried = if secrets.is_empty() {
        let error = "the endpoint has no usable signing secret".to_owned();
        Try::Failed { status: None, error, permanent: true }
    } else {
        let id = message.event.to_string();
        let sent = webhook::Message {
            url: &message.url,
            id: &id,
            at: ctx.now(),
            body: &message.body,
            secrets: &secrets,
        };
        in_our_words(ctx.webhooks.send(&sent).await)
    };
    let mut tx = ctx.begin(&lease).await?;
    let outcome = match notice::tried_in(&mut tx, &ctx.base, &message, &tried).await? {
        Some(at) => Outcome::Again(at),
        None => Outcome::Done,
    };
    ctx.finish(tx, &lease, outcome).await
}

fn in_our_words(outcome: webhook::Outcome) -> Try {
    match outcome {
        webhook::Outcome::Delivered(status) => Try::Delivered { status: i32::from(status) },
        webhook::Outcome::Refused { status, permanent } => {
            Try::Failed { status: Some(i32::from(status)), error: "refused".to_owned(), permanent }
        }
        webhook::Outcome::Failed(error) => Try::Failed { status: None, error, permanent: false },
    }
}
