//! `chukta retry`: a parked payout or sale is tried again, once more than the settings allow.
//!
//! Invariant: never while an earlier attempt may still have worked; the product decides that, not
//! this command.

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use primitives::{ConversionId, PaymentId, PayoutId};
use settlement::{Base, conversion, payout};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// A payout `pout_…`, a sale `conv_…`, or the payment `pay_…` that waits for one.
    what: String,
    /// What was found, and why it will work now.
    #[arg(long)]
    note: String,
}

#[derive(Debug, Clone, Copy)]
enum Parked {
    Payout(PayoutId),
    Conversion(ConversionId),
}

pub(crate) async fn run(config: &Config, options: Retry) -> anyhow::Result<ExitCode> {
    ensure!(
        (4..=500).contains(&options.note.trim().chars().count()),
        "--note: 4 to 500 characters"
    );
    let base = wiring::base(config).await?;
    let parked = find(&base, &options.what).await?;
    let mut tx = base.pool.begin().await?;
    let what = match parked {
        Parked::Payout(id) => {
            payout::retry_in(&mut tx, &base, id, options.note.trim()).await?;
            id.to_string()
        }
        Parked::Conversion(id) => {
            conversion::retry_in(&mut tx, &base, id, options.note.trim()).await?;
            id.to_string()
        }
    };
    tx.commit().await?;
    println!("{what} is tried again");
    Ok(ExitCode::SUCCESS)
}

async fn find(base: &Base, what: &str) -> anyhow::Result<Parked> {
    if let Ok(id) = what.parse() {
        return Ok(Parked::Payout(id));
    }
    if let Ok(id) = what.parse() {
        return Ok(Parked::Conversion(id));
    }
    let Ok(payment) = what.parse::<PaymentId>() else {
        bail!("{what} is not a payout, a sale or a payment");
    };
    let (payout, sale): (Option<uuid::Uuid>, Option<uuid::Uuid>) = sqlx::query_as(
        "select (select id from payouts where payment_id = p.id and state = 'in_review'),
                (select c.id from conversion_queue q
                 join conversions c on c.id = q.conversion_id or c.root = q.conversion_id
                 where q.payment_id = p.id and c.state = 'in_review' limit 1)
         from payments p where p.id = $1",
    )
    .bind(payment.uuid())
    .fetch_optional(&base.pool)
    .await?
    .with_context(|| format!("no payment {payment}"))?;
    match (payout, sale) {
        (Some(id), _) => Ok(Parked::Payout(PayoutId::from_uuid(id))),
        (None, Some(id)) => Ok(Parked::Conversion(ConversionId::from_uuid(id))),
        (None, None) => bail!("nothing of {payment} is parked"),
    }
}
