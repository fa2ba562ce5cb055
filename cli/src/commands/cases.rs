//! `chukta cases`: what a person must look at, and noting that somebody did.

use std::process::ExitCode;

use primitives::CaseId;
use settlement::case;

use crate::{config::Config, wiring};

#[derive(Debug, clap::Args)]
pub(crate) struct Cases {
    /// Close this case, `case_…`; it moves no money.
    #[arg(long, requires = "note")]
    close: Option<String>,
    /// What was done.
    #[arg(long)]
    note: Option<String>,
}

pub(crate) async fn run(config: &Config, options: Cases) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let mut conn = base.pool.acquire().await?;
    if let (Some(id), Some(note)) = (options.close, options.note) {
        let id: CaseId = id.parse()?;
        anyhow::ensure!(case::close_in(&mut conn, &base, id, &note).await?, "no open case {id}");
        println!("closed {id}");
        return Ok(ExitCode::SUCCESS);
    }
    for open in case::open_cases(&mut conn).await? {
        let amount = open.amount.map_or_else(String::new, |amount| format!("  {amount}"));
        let payment = open.payment.map_or_else(String::new, |id| format!("  {id}"));
        println!(
            "{}  {}  {}  {}{amount}{payment}  {}",
            open.opened_at.format("%Y-%m-%d %H:%M:%S"),
            open.id,
            open.kind,
            open.subject,
            open.detail
        );
    }
    Ok(ExitCode::SUCCESS)
}
