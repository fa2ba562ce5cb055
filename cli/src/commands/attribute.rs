//! `chukta attribute dep_… pay_…`: money that was set aside is given to the payment it is for.

use std::process::ExitCode;

use primitives::{DepositId, PaymentId};
use settlement::payment::{self, AtPrice};

use crate::{config::Config, wiring};

#[derive(Debug, clap::Args)]
pub(crate) struct Attribute {
    /// The deposit, `dep_…`: the subject of its case.
    deposit: String,
    /// The payment it is for, `pay_…`.
    payment: String,
    /// The price it is taken at: the rate of now, or the payment's last quote for it.
    #[arg(long, value_parser = ["today", "quoted"], default_value = "today")]
    at: String,
}

pub(crate) async fn run(config: &Config, options: Attribute) -> anyhow::Result<ExitCode> {
    let deposit: DepositId = options.deposit.parse()?;
    let to: PaymentId = options.payment.parse()?;
    let price = if options.at == "quoted" { AtPrice::Quoted } else { AtPrice::Today };
    let base = wiring::base(config).await?;
    let mut tx = base.pool.begin().await?;
    let done = payment::attribute_in(&mut tx, &base, deposit, to, price).await?;
    tx.commit().await?;
    println!("{to} is {}", done.state);
    if done.due.is_positive() {
        println!("still missing: {} to {}", done.due, done.quote.address);
    }
    Ok(ExitCode::SUCCESS)
}
