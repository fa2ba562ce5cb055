//! The long-running roles: the API, the jobs, or both in one process.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::watch};

use crate::{config::Config, shutdown, wiring};

/// The jobs that read chain nodes or derive addresses.
const CHAIN_JOBS: [&str; 3] = ["scan_chain", "confirm_deposit", "refill_addresses"];

/// What a process does.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    api: bool,
    jobs: Option<Jobs>,
    name: &'static str,
}

#[derive(Debug, Clone)]
enum Jobs {
    All,
    Only(Vec<String>),
    Except(Vec<String>),
}

impl Roles {
    pub(crate) const fn everything() -> Self {
        Self { api: true, jobs: Some(Jobs::All), name: "serve" }
    }

    pub(crate) const fn api() -> Self {
        Self { api: true, jobs: None, name: "api" }
    }

    pub(crate) fn work(only: Vec<String>, except: Vec<String>) -> Self {
        let jobs = match (only.is_empty(), except.is_empty()) {
            (false, _) => Jobs::Only(only),
            (true, false) => Jobs::Except(except),
            (true, true) => Jobs::All,
        };
        Self { api: false, jobs: Some(jobs), name: "work" }
    }

    pub(crate) fn scan() -> Self {
        let only = CHAIN_JOBS.iter().map(ToString::to_string).collect();
        Self { api: false, jobs: Some(Jobs::Only(only)), name: "scan" }
    }
}

impl Jobs {
    fn wants(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.iter().any(|k| k == kind),
            Self::Except(kinds) => kinds.iter().all(|k| k != kind),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        let (Self::Only(kinds) | Self::Except(kinds)) = self else { return Ok(()) };
        for kind in kinds {
            anyhow::ensure!(
                settlement::jobs::KINDS.contains(&kind.as_str()),
                "no job is called {kind}; there are: {}",
                settlement::jobs::KINDS.join(", ")
            );
        }
        Ok(())
    }
}

/// Runs the roles until a signal comes. A worker that ends by itself ends the process.
pub(crate) async fn run(config: &Config, roles: Roles) -> anyhow::Result<ExitCode> {
    let told = shutdown::listen()?;
    let work = roles.jobs.map(|jobs| work(config, jobs, roles.name, told.clone()));
    match (roles.api, work) {
        (true, Some(work)) => {
            tokio::try_join!(serve_api(config, told.clone()), work)?;
        }
        (true, None) => serve_api(config, told).await?,
        (false, Some(work)) => work.await?,
        (false, None) => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve_api(config: &Config, told: watch::Receiver<bool>) -> anyhow::Result<()> {
    let base = wiring::base(config).await?;
    let board = wiring::board(config, &base);
    let state = api::ApiState {
        base,
        board,
        settings: config.api.limits.clone(),
        migrations: migrations::MIGRATOR.iter().map(|m| m.version).collect(),
    };
    let listen = config.api.listen;
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    tracing::info!(listen = %listener.local_addr()?, "api");
    api::serve(listener, state, told).await?;
    Ok(())
}

async fn work(
    config: &Config,
    jobs: Jobs,
    name: &'static str,
    told: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    jobs.check()?;
    let ctx = wiring::ctx(config).await?;
    let runner = workers::runner(&ctx, name, &|kind| jobs.wants(kind));
    let ticking = tokio::spawn(workers::schedule().run(
        ctx.base.pool.clone(),
        std::sync::Arc::clone(&ctx.base.clock),
        told.clone(),
    ));
    let worked = runner.run(told).await;
    ticking.abort();
    worked.context("working")
}
