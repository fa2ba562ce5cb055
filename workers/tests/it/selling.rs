//! The job that follows a sale, at a venue whose every word is put into its mouth.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use exchanges::{
    Book, ClientRef, Exchange, Fill, Holding, Levies, MarketRules, NewOrder, Order, OrderKind,
    OrderState, Pair, Resting,
};
use outbound::webhook::{Policy, Sender};
use primitives::{Amount, Asset, CallError, CallResult, ConversionId};
use rust_decimal::Decimal;
use settlement::{bookkeeping, jobs::ResolveConversion};
use testkit::{Fleet, Process};
use workers::{Connectors, Ctx};

/// Where an order stands, how much of it is executed, and its list.
type Said = (OrderState, i64, CallResult<Vec<Fill>>);

/// Says of each order what it was told to say; its markets never answer.
#[derive(Default)]
struct Venue {
    orders: Mutex<BTreeMap<String, Said>>,
    cancelled: Mutex<Vec<String>>,
}

impl Venue {
    fn says(&self, name: &str, state: OrderState, executed: i64, fills: CallResult<Vec<Fill>>) {
        self.orders.lock().unwrap().insert(name.to_owned(), (state, executed, fills));
    }

    fn silent<T>() -> CallResult<T> {
        Err(CallError::Unknown("silent".to_owned()))
    }
}

#[async_trait]
impl Exchange for Venue {
    fn venue(&self) -> &'static str {
        "wazirx"
    }

    fn market(&self, sell: Asset) -> Option<Pair> {
        (sell == Asset::Usdc).then_some(Pair { base: sell, quote: Asset::Inr })
    }

    fn takes(&self, _: OrderKind) -> bool {
        true
    }

    fn recv_window(&self) -> TimeDelta {
        TimeDelta::seconds(5)
    }

    async fn server_time(&self) -> CallResult<DateTime<Utc>> {
        Self::silent()
    }

    async fn rules(&self, _: Pair) -> CallResult<MarketRules> {
        Self::silent()
    }

    async fn levies(&self, _: Pair) -> CallResult<Levies> {
        Self::silent()
    }

    async fn book(&self, _: Pair) -> CallResult<Book> {
        Self::silent()
    }

    async fn place_order(&self, _: &NewOrder) -> CallResult<Order> {
        Self::silent()
    }

    async fn find_order(&self, pair: Pair, name: &ClientRef) -> CallResult<Option<Order>> {
        let orders = self.orders.lock().unwrap();
        let told = orders.get(name.as_str()).map(|(state, executed, _)| Order {
            venue_order_id: "1".to_owned(),
            client_ref: name.clone(),
            pair,
            state: *state,
            quantity: Decimal::from(10),
            executed: Decimal::from(*executed),
            price: Decimal::from(80),
        });
        Ok(told)
    }

    async fn cancel_order(&self, _: Pair, name: &ClientRef) -> CallResult<Order> {
        self.cancelled.lock().unwrap().push(name.as_str().to_owned());
        Self::silent()
    }

    async fn fills(&self, order: &Order) -> CallResult<Vec<Fill>> {
        self.orders.lock().unwrap()[order.client_ref.as_str()].2.clone()
    }

    async fn fills_since(&self, _: Pair, _: DateTime<Utc>) -> CallResult<Vec<Fill>> {
        Self::silent()
    }

    async fn open_orders(&self, _: Pair) -> CallResult<Vec<Resting>> {
        Self::silent()
    }

    async fn holdings(&self) -> CallResult<Vec<Holding>> {
        Self::silent()
    }
}

/// A sale of ten dollars, and whoever follows it.
struct Sale {
    fleet: Fleet,
    venue: Arc<Venue>,
    process: Process,
    id: ConversionId,
}

impl Sale {
    /// In this state, with so much of it sold.
    async fn new(state: &str, sold: i64) -> Result<Self> {
        let fleet = Fleet::open().await?;
        let venue = Arc::new(Venue::default());
        let mut connectors = Connectors::default();
        let exchange: Arc<dyn Exchange> = Arc::<Venue>::clone(&venue);
        connectors.exchanges.insert("wazirx".to_owned(), exchange);
        let policy = Policy { allow_loopback: true, trusted_hosts: Vec::new() };
        let (base, board) = (fleet.base.clone(), fleet.board.clone());
        let ctx = Ctx::new(base, board, connectors, Sender::try_new(policy)?);
        let runner = workers::runner(&ctx, "follows", &|kind| kind == "resolve_conversion");
        let id = ConversionId::from_uuid(fleet.base.uuid());
        sqlx::query(
            "insert into conversions (id, venue, asset, state, input_minor, target_minor,
               sold_minor, created_at, updated_at)
             values ($1, 'wazirx', 'USDC', $2, 10000000, 10000000, $3, $4, $4)",
        )
        .bind(id.uuid())
        .bind(state)
        .bind(sold)
        .bind(fleet.now())
        .execute(&fleet.db.owner)
        .await?;
        Ok(Self { fleet, venue, process: Process { ctx, runner }, id })
    }

    /// One of its orders, of all of it; ended a minute ago unless it is alive.
    async fn order(&self, attempt: i32, name: &str, state: &str) -> Result<()> {
        let now = self.fleet.now();
        let ended = matches!(state, "closed" | "absent").then(|| now - TimeDelta::minutes(1));
        sqlx::query(
            "insert into order_attempts (conversion_id, attempt, client_ref, quantity,
               quantity_minor, price, state, planned_at, sent_at, closed_at, evidence)
             values ($1, $2, $3, 10, 10000000, 80, $4, $5, $5, $6, '{\"second\": {}}')",
        )
        .bind(self.id.uuid())
        .bind(attempt)
        .bind(name)
        .bind(state)
        .bind(now)
        .bind(ended)
        .execute(&self.fleet.db.owner)
        .await?;
        if ended.is_none() {
            let mut conn = self.fleet.base.pool.acquire().await?;
            let (base, all) = (&self.fleet.base, Amount::try_new(10_000_000, Asset::Usdc)?);
            let id = self.id.uuid();
            bookkeeping::order_placed(&mut conn, base, "wazirx", id, name, all).await?;
        }
        Ok(())
    }

    /// Time passes, and the sale is looked at.
    async fn after(&self, seconds: i64) -> Result<()> {
        self.fleet.pass(seconds).await?;
        let mut conn = self.fleet.base.pool.acquire().await?;
        let job = ResolveConversion { conversion: self.id };
        queue::enqueue(&mut conn, &job, self.fleet.now()).await?;
        drop(conn);
        self.fleet.keep(self.process.runner.drain().await?);
        Ok(())
    }

    fn cancelled(&self, name: &str) -> bool {
        self.venue.cancelled.lock().unwrap().iter().any(|cancelled| cancelled == name)
    }

    async fn state(&self) -> Result<(String, i64)> {
        Ok(sqlx::query_as("select state, sold_minor::bigint from conversions where id = $1")
            .bind(self.id.uuid())
            .fetch_one(&self.fleet.db.owner)
            .await?)
    }
}

/// The first order was proven absent, exists after all and does not come to an end, or cannot even
/// be read: the second one is followed, and cancelled when it has rested for too long.
#[tokio::test]
async fn an_order_that_came_late_does_not_starve_the_living() -> Result<()> {
    let unread = Err(CallError::Unknown("executions lag behind their order".to_owned()));
    for (state, executed, fills) in
        [(OrderState::Open, 0, Ok(Vec::new())), (OrderState::Closed, 5, unread)]
    {
        let sale = Sale::new("submitted", 0).await?;
        sale.order(1, "late", "absent").await?;
        sale.order(2, "living", "open").await?;
        sale.venue.says("late", state, executed, fills);
        sale.venue.says("living", OrderState::Open, 0, Ok(Vec::new()));
        sale.after(1).await?;
        assert!(!sale.cancelled("living"), "it has time");
        sale.after(60).await?;
        assert!(sale.cancelled("living"), "{:?}", sale.fleet.failures());
        sale.venue.says("living", OrderState::Closed, 0, Ok(Vec::new()));
        sale.after(2).await?;
        assert_eq!(sale.state().await?.0, "partly_filled");
    }
    Ok(())
}

/// A closed order that says it executed nothing, while its list shows the trade we have booked:
/// nothing is taken back, and the sale goes on when the venue says one thing.
#[tokio::test]
async fn the_list_of_a_closed_order_is_read_whatever_it_says() -> Result<()> {
    let sale = Sale::new("submitted", 0).await?;
    sale.order(1, "one", "open").await?;
    let fleet = &sale.fleet;
    let sold = Amount::try_new(5_000_000, Asset::Usdc)?;
    let none = Amount::zero(Asset::Inr);
    let fill = Fill {
        trade_id: "7".to_owned(),
        venue_order_id: "1".to_owned(),
        sold,
        gross: Amount::try_new(40_000, Asset::Inr)?,
        fee: none,
        fee_gst: none,
        tds: none,
        price: Decimal::from(80),
        executed_at: fleet.now(),
    };
    sale.venue.says("one", OrderState::Open, 5, Ok(vec![fill.clone()]));
    sale.after(1).await?;
    assert_eq!(sale.state().await?, ("submitted".to_owned(), 5_000_000), "{:?}", fleet.failures());
    sale.venue.says("one", OrderState::Closed, 0, Ok(vec![fill.clone()]));
    for _ in 0..4 {
        sale.after(7).await?;
        assert_eq!(sale.state().await?, ("submitted".to_owned(), 5_000_000));
    }
    assert!(!fleet.cases().await?.contains(&"fill_reversed".to_owned()));
    sale.venue.says("one", OrderState::Closed, 5, Ok(vec![fill]));
    sale.after(7).await?;
    assert_eq!(sale.state().await?, ("partly_filled".to_owned(), 5_000_000));
    Ok(())
}

/// Everything is sold, by fills that came after the end of their order: the sale ends, although its
/// venue's market does not answer, and although the venue is frozen.
#[tokio::test]
async fn with_nothing_left_to_sell_no_market_is_asked() -> Result<()> {
    for frozen in [false, true] {
        let sale = Sale::new("partly_filled", 10_000_000).await?;
        sale.order(1, "one", "closed").await?;
        let looked = "update order_attempts set looked_at = closed_at, executed_minor = 10000000";
        sqlx::query(looked).execute(&sale.fleet.db.owner).await?;
        sale.fleet.freeze("wazirx", frozen).await?;
        sale.after(1).await?;
        assert_eq!(sale.state().await?.0, "filled", "{:?}", sale.fleet.failures());
        let held = "select count(*) from sale_holds where reason is not null";
        assert_eq!(sale.fleet.count(held).await?, 0);
        let job = "select status from apalis.jobs where job_type = 'resolve_conversion'";
        let job: String = sqlx::query_scalar(job).fetch_one(&sale.fleet.db.owner).await?;
        assert_eq!(job, "Done");
    }
    Ok(())
}
