//! `chukta demo`: the whole product on this machine, with real payments on local chain nodes.
//!
//! Every role is its own process, as in production: the simulators, the chain nodes, and
//! `chukta serve`. This process is the merchant and the payer, and the only one that ever holds a
//! private key: the publicly known ones of the local nodes. The books are read to be shown.

mod drive;
mod http;
mod nodes;
mod proof;
mod scene;
mod signer;
mod stories;
mod treasury;

use std::{path::Path, process::ExitCode, time::Duration};

use cli::{config::Config, shutdown};

/// How the demo is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// End after the drive instead of staying up.
    #[arg(long)]
    once: bool,
    /// Kill the fleet, and the signer the next time, without a word every so many seconds during
    /// the drive.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(5..))]
    kill_every: Option<u64>,
    /// The database to make anew for this run.
    #[arg(long, default_value = "chukta_demo")]
    database: String,
}

/// Drives the stories, with a killer beside them where one is asked for.
async fn driven(scene: &scene::Scene, options: &Demo) -> anyhow::Result<stories::Report> {
    let driven = async {
        let (report, ()) = tokio::try_join!(stories::drive(scene), treasury::trouble(scene))?;
        Ok(report)
    };
    let Some(seconds) = options.kill_every else { return driven.await };
    let killer = async {
        loop {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            scene.kill_fleet().await?;
            println!("── fleet killed and started again");
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            scene.kill_signer().await?;
            println!("── signer killed and started again");
        }
    };
    tokio::select! {
        report = driven => report,
        broken = killer => broken,
    }
}

/// Builds the scene, drives the payments, proves the books; stays up unless `once`.
pub(crate) async fn run(config: &Config, options: Demo) -> anyhow::Result<ExitCode> {
    let mut told = shutdown::listen()?;
    let driven = async {
        let scene = scene::Scene::build(config, &options.database).await?;
        let report = driven(&scene, &options).await?;
        let swept = treasury::settle(&scene).await?;
        let moved = treasury::tell(&scene).await?;
        let balanced = proof::prove(&scene).await?;
        anyhow::Ok((scene, report, balanced && swept && moved))
    };
    let (scene, report, balanced) = tokio::select! {
        driven = driven => driven?,
        () = asked(&mut told) => return Ok(ExitCode::FAILURE),
    };
    let books = if balanced { "books balanced" } else { "BOOKS DIFFER" };
    let good = report.expected == report.payments && balanced;
    if !options.once {
        stay(&scene).await?;
        println!("demo: {} payments, {} as expected, {books}", report.payments, report.expected);
        asked(&mut shutdown::listen()?).await;
        scene.strike().await;
        return Ok(ExitCode::SUCCESS);
    }
    scene.strike().await;
    println!("demo: {} payments, {} as expected, {books}", report.payments, report.expected);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn asked(told: &mut tokio::sync::watch::Receiver<bool>) {
    while !*told.borrow_and_update() {
        if told.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Tells a person what is there to play with.
async fn stay(scene: &scene::Scene) -> anyhow::Result<()> {
    let path = scene.dir.join("merchant.key");
    private_file(&path, scene.api_key.expose()).await?;
    println!("\nThe fleet stays up until ctrl-c.");
    println!("  API            {}", scene.api_url);
    println!("  API key        in {}", path.display());
    println!("  simulators     {}", scene.outside.control_url());
    for (network, url) in scene.nodes.told() {
        println!("  {network:14} {url}");
    }
    println!("  settings       {}", scene.settings.display());
    println!(
        "  try            curl -s -H \"Authorization: Bearer $(cat {})\" {}/v1/payments",
        path.display(),
        scene.api_url
    );
    Ok(())
}

/// Writes a file only its owner can read.
async fn private_file(path: &Path, content: &str) -> anyhow::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(path).await?;
    file.write_all(content.as_bytes()).await?;
    file.flush().await?;
    Ok(())
}
