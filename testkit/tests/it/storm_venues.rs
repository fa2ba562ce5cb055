//! A storm at the venues: they fall silent, freeze, thin out, close, lose answers and fill in part,
//! while sales are planned, sent, followed and moved away. When it is over everything that was paid
//! is sold once and paid out once, whatever way it went.
//!
//! `CHUKTA_STORM_SEED` replays a storm, `CHUKTA_STORM_PAYMENTS` makes it longer.

use anyhow::{Context as _, Result, ensure};
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha20Rng;
use rust_decimal::Decimal;
use settlement::conversion::dust;
use simulators::fault::Fault;
use testkit::{ASSETS, Asked, Fleet, Options};

const SEED: u64 = 4;
const PAYMENTS: usize = 16;

/// What may become of one call that places an order: done or not, and told or not.
const ANSWERS: [&str; 9] = [
    "reset_applied",
    "reset_not_applied",
    "http_500_applied",
    "http_500_not_applied",
    "http_504_applied",
    "malformed",
    "delayed_apply",
    "rate_limited",
    "partial_fill",
];
/// A venue and one of its markets.
type BookOf = (&'static str, &'static str);

const BOOKS: [BookOf; 5] = [
    ("wazirx", "ETHINR"),
    ("wazirx", "USDCINR"),
    ("wazirx", "USDTINR"),
    ("binance", "ETHUSDT"),
    ("binance", "USDCUSDT"),
];
const MORE_BOOKS: [BookOf; 6] =
    [BOOKS[0], BOOKS[1], BOOKS[2], BOOKS[3], BOOKS[4], ("coinbase", "ETHUSDT")];

/// Batches of which the venues' executions sold more, over all their parts, than payers brought and
/// the parts took along of the dust.
pub(crate) const SOLD_TWICE: &str =
    "select count(*) from (select b.input_minor + sum(p.taken_minor) as given,
       sum(coalesce(f.sold, 0)) as sold from conversions b
       join conversions p on (p.id = b.id or p.root = b.id) and p.asset = b.asset
       left join (select conversion_id, sum(sold_minor) as sold from fills k where not exists (
           select from fills_taken_back t where t.venue = k.venue and t.trade_id = k.trade_id)
         group by conversion_id) f on f.conversion_id = p.id
       where b.root is null group by b.id, b.input_minor) s
     where sold > given";

#[expect(clippy::disallowed_methods, reason = "a replay is asked for by whoever runs the test")]
fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn sells_once() -> Result<()> {
    over(Options::with_binance()?, &BOOKS).await
}

/// The same with Coinbase as a third venue.
#[tokio::test]
async fn sells_once_at_three() -> Result<()> {
    over(Options::with_coinbase()?, &MORE_BOOKS).await
}

async fn over(options: Options, books: &[BookOf]) -> Result<()> {
    let seed = asked_for("CHUKTA_STORM_SEED").unwrap_or(SEED);
    let payments = asked_for("CHUKTA_STORM_PAYMENTS").map_or(Ok(PAYMENTS), usize::try_from)?;
    println!("CHUKTA_STORM_SEED={seed} CHUKTA_STORM_PAYMENTS={payments}");
    let mut options = Options { seed, ..options };
    options.settings.venue_patience_s = 60;
    let fleet = Fleet::with(options).await?;
    let venues = fleet.base.settings.selling_venues().into_iter().map(str::to_owned).collect();
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let mut storm = Storm { fleet: &fleet, rng, venues, books, asked: Vec::new() };
    for _ in 0..payments {
        storm.payment().await?;
        for _ in 0..storm.rng.random_range(1..4) {
            storm.mishap().await?;
            let seconds = storm.rng.random_range(1..30);
            fleet.step(seconds).await?;
        }
    }
    storm.calm().await?;
    storm.check().await.with_context(|| format!("CHUKTA_STORM_SEED={seed}"))
}

struct Storm<'a> {
    fleet: &'a Fleet,
    rng: ChaCha20Rng,
    venues: Vec<String>,
    books: &'a [BookOf],
    asked: Vec<Asked>,
}

impl Storm<'_> {
    fn one<T: Clone>(&mut self, of: &[T]) -> Result<T> {
        of.choose(&mut self.rng).cloned().context("nothing to choose from")
    }

    /// Somebody pays what was asked, to the unit. Without a quote the sky clears first.
    async fn payment(&mut self) -> Result<()> {
        let fleet = self.fleet;
        let asset = self.one(&ASSETS)?;
        let paise = self.rng.random_range(20_000..4_000_000);
        let asked = match fleet.ask(paise, asset).await {
            Ok(asked) => asked,
            Err(_) => {
                self.clear().await?;
                fleet.step(31).await?;
                fleet.ask(paise, asset).await?
            }
        };
        fleet.pay(&asked, asked.payable()).await?;
        fleet.step(2).await?;
        fleet.mine(3).await?;
        self.asked.push(asked);
        Ok(())
    }

    async fn mishap(&mut self) -> Result<()> {
        let fleet = self.fleet;
        let venues = self.venues.clone();
        let venue = self.one(&venues)?;
        let mut fault = match self.rng.random_range(0..10) {
            // Silent for a while, altogether or about some things only.
            0 | 1 => {
                let operation = self.one(&["*", "*", "place_order", "get_order", "depth"])?;
                let mut fault = Fault::new(&venue, operation, "http_503");
                fault.times = self.rng.random_range(5..60);
                fault
            }
            2 => {
                let mut fault = Fault::new(&venue, "place_order", "rate_limited");
                fault.times = self.rng.random_range(5..30);
                fault
            }
            3 => {
                let (venue, pair) = self.one(self.books)?;
                let share = Decimal::new(1, self.one(&[0, 0, 3, 5])?);
                return fleet.depth(venue, pair, share);
            }
            4 => {
                let frozen = self.rng.random_bool(0.6);
                return fleet.freeze(&venue, frozen).await;
            }
            _ => Fault::new(&venue, "place_order", self.one(&ANSWERS)?),
        };
        if fault.name == "partial_fill" {
            fault.value = Some(self.rng.random_range(1..9_999).to_string());
        }
        fleet.outside.queue(fault)
    }

    async fn clear(&self) -> Result<()> {
        self.fleet.outside.sims.world.faults.clear();
        for (venue, pair) in self.books {
            self.fleet.depth(venue, pair, Decimal::ONE)?;
        }
        for venue in &self.venues {
            self.fleet.freeze(venue, false).await?;
        }
        Ok(())
    }

    async fn calm(&self) -> Result<()> {
        self.clear().await?;
        self.fleet.mine(4).await?;
        self.fleet.advance(1_800).await?;
        self.fleet.settle().await?;
        self.fleet.advance(300).await?;
        self.fleet.settle().await
    }

    async fn check(&self) -> Result<()> {
        let fleet = self.fleet;
        for asked in &self.asked {
            let story = fleet.story(asked).await?;
            let state = story.state;
            ensure!(state == "settled", "{} is {state}; {:?}", asked.payment, fleet.failures());
            ensure!(story.held.is_none(), "{}: {:?}", asked.payment, story.held);
        }
        ensure!(fleet.payouts_at_bank()? == self.asked.len(), "payouts");
        let none = [
            "select count(*) from conversions where state <> 'filled'",
            "select count(*) from order_attempts where state in ('planned', 'sent', 'unknown',
               'open') or (state in ('filled', 'closed', 'absent') and looked_at is null)",
            "select count(*) from cases where kind in ('oversold', 'order_came_late')",
            "select count(*) from cases where kind = 'venue_silent' and closed_at is null",
            SOLD_TWICE,
        ];
        let waiting: Vec<String> = sqlx::query_scalar(
            "select concat_ws(' ', h.subject, h.kind, c.state, h.reason) from sale_holds h
             left join conversions c on h.subject = 'conv_' || replace(c.id::text, '-', '')
             where h.reason is not null",
        )
        .fetch_all(&fleet.db.owner)
        .await?;
        ensure!(waiting.is_empty(), "{waiting:?}");
        for sql in none {
            ensure!(fleet.count(sql).await? == 0, "{sql}");
        }
        let mut conn = fleet.base.pool.acquire().await?;
        for line in dust::list_in(&mut conn).await? {
            ensure!(line.lies == line.books, "{line:?}");
        }
        drop(conn);
        let moved = "select count(*) from conversions where part = 'rest'";
        let lost = "select count(*) from order_attempts where state = 'absent'";
        println!(
            "{} payments, {} orders, {} proven absent, {} rests sold elsewhere, {} runs failed",
            self.asked.len(),
            fleet.count("select count(*) from order_attempts").await?,
            fleet.count(lost).await?,
            fleet.count(moved).await?,
            fleet.failures().len()
        );
        ensure!(fleet.outside.sims.world.faults.struck().len() > PAYMENTS / 2, "a calm storm");
        fleet.check_books().await
    }
}
