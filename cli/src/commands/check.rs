//! Commands that look and say: doctor, reconcile, ledgerck, health. They change nothing.

use std::process::ExitCode;

use outbound::{BaseUrl, Client, Settings, Target};
use primitives::{Clock as _, SystemClock};
use sqlx::Row as _;

use crate::{config::Config, wiring};

/// Every check of the doctor, said aloud one per line.
struct Report {
    failed: u32,
}

impl Report {
    fn say<T>(&mut self, what: &str, result: anyhow::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                println!("ok    {what}");
                Some(value)
            }
            Err(error) => {
                self.failed = self.failed.saturating_add(1);
                println!("FAIL  {what}: {error:#}");
                None
            }
        }
    }

    const fn code(&self) -> ExitCode {
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Checks a deployment part by part; a part that is down does not hide the others.
pub(crate) async fn doctor(config: &Config) -> anyhow::Result<ExitCode> {
    let mut report = Report { failed: 0 };
    if let Some(base) = report.say("database reachable", wiring::base(config).await) {
        report.say("database durable and migrated", durable(&base.pool).await);
    }
    nodes(config, &mut report).await?;
    let connectors = wiring::connectors(config)?;
    for (venue, exchange) in &connectors.exchanges {
        let offset = async {
            let theirs = exchange.server_time().await?;
            let apart = (theirs - SystemClock.now()).num_milliseconds().abs();
            anyhow::ensure!(apart < 500, "clocks are {apart} ms apart");
            Ok(())
        };
        report.say(&format!("venue {venue}: answers, clocks agree"), offset.await);
        let holdings = exchange.holdings().await.map_err(Into::into);
        report.say(&format!("venue {venue}: key may read holdings"), holdings);
    }
    for (venue, custody) in &connectors.custody {
        let rights = custody.key_rights().await.map_err(Into::into);
        let guarded = rights.and_then(|rights| guarded(rights).map_err(anyhow::Error::msg));
        report.say(&format!("venue {venue}: its key withdraws from nowhere but here"), guarded);
    }
    if let Some(signer) = &config.signer {
        let open = tokio::net::UnixStream::connect(&signer.socket).await;
        report.say("signer: listens", open.map(drop).map_err(Into::into));
    }
    for (name, rail) in &connectors.rails {
        let balance = rail.balance().await.map_err(Into::into);
        report.say(&format!("rail {name}: key may read the balance"), balance);
    }
    // A rate source without a key is no venue: what is to sell has to be able to.
    let rail = config.settlement.rail.as_str();
    let venues = config.settlement.selling_venues().into_iter();
    for (what, name, has) in venues
        .map(|venue| ("venue", venue, connectors.exchanges.contains_key(venue)))
        .chain([("rail", rail, connectors.rails.contains_key(rail))])
    {
        let known = if has { Ok(()) } else { Err(anyhow::anyhow!("not configured")) };
        report.say(&format!("{what} {name}: has a connector"), known);
    }
    Ok(report.code())
}

/// Whoever has a key that may withdraw, and may use it from anywhere, has the coins at the venue.
/// Where a venue does not tell, there is nothing to say.
fn guarded(rights: Option<exchanges::custody::KeyRights>) -> Result<(), &'static str> {
    match rights {
        Some(rights) if rights.may_withdraw && !rights.is_bound_to_ips => Err(
            "it may withdraw from any machine: bind it to the addresses of the workers, and turn \
             on the venue's list of withdrawal addresses",
        ),
        _ => Ok(()),
    }
}

/// Every node of every network, each with what is wrong with it.
async fn nodes(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    let chains = wiring::chains(config)?;
    for (network, chain) in &chains {
        for node in chain.examine().await {
            let tip = node.tip.map_or_else(|| "no tip".to_owned(), |tip| format!("tip {tip}"));
            let what = format!("network {network}: node {}, {tip}", node.node);
            report.say(&what, node.problem.map_or(Ok(()), |why| Err(anyhow::anyhow!(why))));
        }
    }
    for network in config.settlement.networks.keys() {
        let known = if chains.contains_key(network) {
            Ok(())
        } else {
            Err(anyhow::anyhow!("no node is configured"))
        };
        report.say(&format!("network {network}: has a node"), known);
    }
    Ok(())
}

async fn durable(pool: &sqlx::PgPool) -> anyhow::Result<()> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(pool).await?;
        anyhow::ensure!(value == "on", "{setting} is {value}: money needs it on");
    }
    let row = sqlx::query("select count(*) as n, current_user::text as who from payments")
        .fetch_one(pool)
        .await?;
    let who: &str = row.try_get("who")?;
    anyhow::ensure!(who == "chukta_app", "connected as {who}, not as chukta_app");
    Ok(())
}

/// Compares the books with the outside once.
pub(crate) async fn reconcile(config: &Config) -> anyhow::Result<ExitCode> {
    let ctx = wiring::ctx(config).await?;
    let mut differences = 0_u32;
    for line in workers::compare_all(&ctx).await? {
        let verdict = match (line.agrees(), line.in_flight) {
            (true, _) => "equal",
            (false, true) => "moving",
            (false, false) => {
                differences = differences.saturating_add(1);
                "DIFFER"
            }
        };
        println!("{verdict:7} {:?}: books {}, outside {}", line.scope, line.books, line.other);
    }
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks the books themselves.
pub(crate) async fn ledgerck(config: &Config) -> anyhow::Result<ExitCode> {
    let base = wiring::base(config).await?;
    let mut conn = base.pool.acquire().await?;
    let defects = ledger::audit(&mut conn).await?;
    for defect in &defects {
        println!("DEFECT {defect:?}");
    }
    let wrong = unexplained_quotes(&mut conn).await?;
    if defects.is_empty() && wrong == 0 {
        println!("the books are in order");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Every quote is made again from its own row; answers how many are something else.
async fn unexplained_quotes(conn: &mut sqlx::PgConnection) -> anyhow::Result<usize> {
    let (mut after, mut wrong) = (None, 0_usize);
    loop {
        let (found, last) = settlement::quote::unexplained_in(conn, after, 1_000).await?;
        for quote in &found {
            println!("QUOTE {quote} is not what its own row gives");
        }
        wrong = wrong.saturating_add(found.len());
        let Some(last) = last else { return Ok(wrong) };
        after = Some(last);
    }
}

/// Asks a health endpoint once.
pub(crate) async fn health(url: &str) -> anyhow::Result<ExitCode> {
    let parsed = url::Url::parse(url)?;
    let base = BaseUrl::parse(&parsed[..url::Position::BeforePath])?;
    let settings =
        Settings { connect_timeout_ms: 1_000, total_timeout_ms: 3_000, ..Settings::default() };
    let client = Client::try_new("health", &settings, std::sync::Arc::new(SystemClock))?;
    let answer = client.get(Target::new(&base, parsed.path())).await?;
    Ok(if answer.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
