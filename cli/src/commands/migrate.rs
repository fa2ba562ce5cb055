//! `chukta migrate`: our schema, then the queue's, as the owner of the database.

use std::process::ExitCode;

use crate::config::Config;

/// Brings a database to this version.
///
/// # Errors
/// When a migration fails; what it had done is rolled back.
pub async fn database(url: &str) -> anyhow::Result<()> {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect(url).await?;
    migrations::MIGRATOR.run(&pool).await?;
    queue::setup(&pool).await?;
    pool.close().await;
    Ok(())
}

pub async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    database(config.owner_database()?).await?;
    println!("migrated");
    Ok(ExitCode::SUCCESS)
}
