//! A venue's push moves a look forward, and does nothing else.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Result;
use async_trait::async_trait;
use exchanges::{News, OrderNews};
use outbound::webhook::{Policy, Sender};
use primitives::{Asset, ConversionId};
use testkit::{Fleet, Options, Process};
use uuid::Uuid;
use workers::{Connectors, Ctx};

/// A venue that tells what it was given to tell, once.
struct Told(Mutex<VecDeque<Vec<News>>>);

#[async_trait]
impl OrderNews for Told {
    fn venue(&self) -> &'static str {
        "binance"
    }

    async fn wait(&self, _: Duration) -> Vec<News> {
        self.0.lock().unwrap().pop_front().unwrap_or_default()
    }
}

async fn hearing(fleet: &Fleet, news: Vec<Vec<News>>) -> Result<Process> {
    let told = Told(Mutex::new(news.into()));
    let connectors = Connectors { order_news: vec![Arc::new(told)], ..Connectors::default() };
    let policy = Policy { allow_loopback: true, trusted_hosts: Vec::new() };
    let ctx =
        Ctx::new(fleet.base.clone(), fleet.board.clone(), connectors, Sender::try_new(policy)?);
    let runner = workers::runner(&ctx, "hears", &|kind| kind == "watch_orders");
    Ok(Process { ctx, runner })
}

async fn order(fleet: &Fleet, venue: &str, client_ref: &str, state: &str) -> Result<Uuid> {
    let id = fleet.base.uuid();
    sqlx::query(
        "with c as (insert into conversions (id, venue, asset, state, target_minor, created_at,
           updated_at) values ($1, $2, 'ETH', 'submitted', 1, $5, $5) returning id)
         insert into order_attempts (conversion_id, attempt, client_ref, quantity, quantity_minor,
           price, state, planned_at) select id, 1, $3, 1, 1, 1, $4, $5 from c",
    )
    .bind(id)
    .bind(venue)
    .bind(client_ref)
    .bind(state)
    .bind(fleet.now())
    .execute(&fleet.db.owner)
    .await?;
    Ok(id)
}

async fn looked_at(fleet: &Fleet) -> Result<Vec<Uuid>> {
    let keys: Vec<String> = sqlx::query_scalar(
        "select idempotency_key from apalis.jobs where job_type = 'resolve_conversion'
           and status = 'Pending' order by run_at, id",
    )
    .fetch_all(&fleet.db.owner)
    .await?;
    let id = |key: &String| -> Result<Uuid> {
        let id: ConversionId = key.rsplit(':').next().unwrap_or_default().parse()?;
        Ok(id.uuid())
    };
    keys.iter().map(id).collect()
}

#[tokio::test]
async fn a_push_moves_a_look_forward() -> Result<()> {
    let mut options = Options::with_binance()?;
    options.settings.order_news_linger_ms = 600;
    let fleet = Fleet::with(options).await?;
    let open = order(&fleet, "binance", "o-open", "open").await?;
    let unknown = order(&fleet, "binance", "o-unknown", "unknown").await?;
    order(&fleet, "binance", "o-sent", "sent").await?;
    order(&fleet, "wazirx", "o-elsewhere", "open").await?;
    let named = |client_ref: &str| News::Order { client_ref: client_ref.to_owned() };
    let all = ["o-open", "o-open", "o-sent", "o-elsewhere", "somebody's"].map(named);
    let process = hearing(&fleet, vec![all.to_vec()]).await?;
    fleet.pass(31).await?;
    fleet.tick().await?;
    fleet.keep(process.runner.drain().await?);
    assert_eq!(looked_at(&fleet).await?, [open], "only what lives there, by its name");
    // Nobody listened for a while: everything that lives there is looked at.
    let balance = News::Balance { asset: Asset::Eth };
    let process = hearing(&fleet, vec![vec![News::Gap, balance]]).await?;
    fleet.pass(31).await?;
    fleet.tick().await?;
    fleet.keep(process.runner.drain().await?);
    let mut both = looked_at(&fleet).await?;
    both.sort_unstable();
    let mut expected = [open, unknown];
    expected.sort_unstable();
    assert_eq!(both, expected);
    Ok(())
}
