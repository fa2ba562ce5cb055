//! A database of its own for every test, cloned from a template that is migrated once.
//!
//! Invariants: what a test sees is exactly what `chukta migrate` makes, the job engine's schema
//! included; `app` is the application's own role, `owner` the server's superuser. The server is the
//! one named by `CHUKTA_TEST_POSTGRES_URL`; starting one is deliberately elsewhere (`make test`).

mod template;

use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use url::Url;

pub use template::hash;

const APP_ROLE: &str = "chukta_app";
const APP_CONNECTIONS: u32 = 10;
const OWNER_CONNECTIONS: u32 = 4;
const DROP_TIMEOUT: Duration = Duration::from_secs(10);

/// A migrated, empty database. It is dropped when the value is, at the latest.
#[derive(Debug)]
pub struct TestDb {
    /// Superuser: for what operators and migrations do, and for looking behind the curtain.
    pub owner: PgPool,
    /// The role the fleet runs as.
    pub app: PgPool,
    admin: Url,
    name: String,
    dropped: bool,
}

impl TestDb {
    /// A new database with the usual number of connections.
    ///
    /// # Errors
    /// When `CHUKTA_TEST_POSTGRES_URL` is missing (run `make test`) or the server refuses.
    pub async fn create() -> anyhow::Result<Self> {
        Self::create_with_connections(APP_CONNECTIONS).await
    }

    /// A new database whose application pool may hold this many connections.
    ///
    /// # Errors
    /// As [`TestDb::create`].
    pub async fn create_with_connections(app_connections: u32) -> anyhow::Result<Self> {
        let admin = server_url()?;
        let mut conn = connect(&admin).await?;
        let template = template::ensure(&mut conn, &admin).await?;
        // The name carries its birth by the server's clock, so that leftovers can be told by age.
        let name: String = sqlx::query_scalar(
            "select format('chukta_test_%s_%s', extract(epoch from now())::bigint,
                           left(replace(gen_random_uuid()::text, '-', ''), 16))",
        )
        .fetch_one(&mut conn)
        .await?;
        let sql = format!("create database {name} template {template}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.context("clone the template")?;
        conn.close().await?;
        let owner_url = in_database(&admin, &name);
        let app_url = as_app(&owner_url)?;
        let owner = ledger::connect_pool(owner_url.as_str(), OWNER_CONNECTIONS).await?;
        let app = ledger::connect_pool(app_url.as_str(), app_connections).await?;
        Ok(Self { owner, app, admin, name, dropped: false })
    }

    /// The database's name on its server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where `owner` is connected to.
    #[must_use]
    pub fn owner_url(&self) -> String {
        in_database(&self.admin, &self.name).into()
    }

    /// Where `app` is connected to.
    #[must_use]
    pub fn app_url(&self) -> String {
        let owner = in_database(&self.admin, &self.name);
        as_app(&owner).unwrap_or(owner).into()
    }

    /// Closes both pools and drops the database.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drop_now(mut self) -> anyhow::Result<()> {
        self.dropped = true;
        self.app.close().await;
        self.owner.close().await;
        drop_database(&self.admin, &self.name).await
    }
}

/// Best effort, bounded, on a thread of its own: the test's runtime may be busy with this drop.
impl Drop for TestDb {
    fn drop(&mut self) {
        if self.dropped {
            return;
        }
        let (admin, name) = (self.admin.clone(), self.name.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                // What is left behind is swept when the next template is made. The timer is made
                // inside: it needs the runtime.
                let _left = runtime.block_on(async {
                    tokio::time::timeout(DROP_TIMEOUT, drop_database(&admin, &name)).await
                });
            }
        });
        let _left = thread.join();
    }
}

async fn drop_database(admin: &Url, name: &str) -> anyhow::Result<()> {
    let mut conn = connect(admin).await?;
    let sql = format!("drop database if exists {name} with (force)");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut conn).await.context("drop the test database")?;
    conn.close().await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "tests have no cli to read settings for them")]
fn server_url() -> anyhow::Result<Url> {
    let url = std::env::var("CHUKTA_TEST_POSTGRES_URL").context(
        "CHUKTA_TEST_POSTGRES_URL is not set: this test needs a PostgreSQL server; \
         run `make test`, which starts a private one",
    )?;
    let url: Url = url.parse().context("CHUKTA_TEST_POSTGRES_URL is not a URL")?;
    ensure!(url.has_host(), "CHUKTA_TEST_POSTGRES_URL names no host");
    Ok(url)
}

/// A single connection to the database of `url`, outside any pool.
async fn connect(url: &Url) -> anyhow::Result<PgConnection> {
    let options: PgConnectOptions = url.as_str().parse()?;
    options
        .options([("client_min_messages", "error")])
        .disable_statement_logging()
        .connect()
        .await
        .context("connect to CHUKTA_TEST_POSTGRES_URL; is the server of `make test` running?")
}

fn in_database(server: &Url, name: &str) -> Url {
    let mut url = server.clone();
    url.set_path(name);
    url
}

fn as_app(url: &Url) -> anyhow::Result<Url> {
    let mut url = url.clone();
    let user = url.set_username(APP_ROLE);
    let password = url.set_password(None);
    ensure!(user.is_ok() && password.is_ok(), "CHUKTA_TEST_POSTGRES_URL cannot carry a user");
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn migrating_again_changes_nothing() {
        let db = TestDb::create().await.unwrap();
        migrations::MIGRATOR.run(&db.owner).await.unwrap();
        queue::setup(&db.owner).await.unwrap();
        db.drop_now().await.unwrap();
    }

    // Two databases are apart, both roles can work, and nothing stays behind.
    #[tokio::test]
    async fn a_test_has_its_own_database() {
        let one = TestDb::create().await.unwrap();
        let two = TestDb::create().await.unwrap();
        assert_ne!(one.name(), two.name());
        let who: String =
            sqlx::query_scalar("select current_user::text").fetch_one(&one.app).await.unwrap();
        assert_eq!(who, APP_ROLE);
        let open = "select ledger.open_account('escrow:test:ETH', 'ETH', 'escrow')";
        sqlx::query(open).execute(&one.app).await.unwrap();
        let count = "select count(*) from ledger.accounts";
        let there: i64 = sqlx::query_scalar(count).fetch_one(&one.owner).await.unwrap();
        let here: i64 = sqlx::query_scalar(count).fetch_one(&two.owner).await.unwrap();
        assert_eq!((there, here), (1, 0));

        let (admin, names) =
            (one.admin.clone(), vec![one.name().to_owned(), two.name().to_owned()]);
        one.drop_now().await.unwrap();
        drop(two);
        let mut conn = connect(&admin).await.unwrap();
        let left: i64 =
            sqlx::query_scalar("select count(*) from pg_database where datname = any($1)")
                .bind(&names)
                .fetch_one(&mut conn)
                .await
                .unwrap();
        assert_eq!(left, 0);
    }
}
