//! A storm: random shops, payments and mishaps, from one seed. When it is over and everything is
//! healed, every payment has ended or is a person's business, and all books are equal.
//!
//! `CHUKTA_STORM_SEED` replays a storm, `CHUKTA_STORM_PAYMENTS` makes it longer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use primitives::{Amount, Asset};
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha20Rng;
use rust_decimal::Decimal;
use serde_json::json;
use settlement::{payment, switch::Switch};
use simulators::{
    fault::Fault,
    prices::{Mode, ModeRequest},
};
use testkit::{ASSETS, Asked, Fleet, Options};

const SEED: u64 = 20_261_121;
const PAYMENTS: usize = 25;

/// What strikes one call of the venue or the bank.
const WIRE: [&str; 10] = [
    "http_500_applied",
    "http_500_not_applied",
    "reset_applied",
    "reset_not_applied",
    "http_503",
    "http_504_applied",
    "malformed",
    "truncated",
    "wrong_type",
    "delayed_apply",
];
const AT_THE_VENUE: [&str; 5] =
    ["place_order", "place_order", "get_order", "cancel_order", "my_trades"];
const AT_BINANCE: [&str; 5] = ["place_order", "place_order", "get_order", "my_trades", "depth"];
const AT_THE_BANK: [&str; 5] =
    ["create_payout", "create_payout", "create_contact", "create_fund_account", "fetch_payout"];
const ORDERS: [&str; 3] = ["partial_fill", "no_fill", "reject:2002"];
const OUTCOMES: [&str; 12] = [
    "processed",
    "processed",
    "processed",
    "processed_late_utr",
    "queued_then_processed",
    "pending_then_processed",
    "failed:gateway_down",
    "failed:bank_account_closed",
    "reversed",
    "reversed_after_processed",
    "failed_then_reversed",
    "pending_then_rejected",
];

#[expect(clippy::disallowed_methods, reason = "a replay is asked for by whoever runs the test")]
fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn passes() -> Result<()> {
    let seed = asked_for("CHUKTA_STORM_SEED").unwrap_or(SEED);
    let payments = asked_for("CHUKTA_STORM_PAYMENTS").map_or(Ok(PAYMENTS), usize::try_from)?;
    println!("CHUKTA_STORM_SEED={seed} CHUKTA_STORM_PAYMENTS={payments}");
    let fleet = Fleet::with(Options { seed, shops: 3, ..Options::with_binance()? }).await?;
    let mut storm = Storm::new(&fleet, seed);
    for _ in 0..payments {
        storm.mishap().await?;
        storm.payment().await?;
        let seconds = storm.rng.random_range(1..20);
        storm.blow(seconds).await?;
    }
    storm.calm().await?;
    storm.check().await.with_context(|| format!("CHUKTA_STORM_SEED={seed}"))
}

struct Storm<'a> {
    fleet: &'a Fleet,
    rng: ChaCha20Rng,
    asked: Vec<Asked>,
    lookalike: Option<String>,
}

impl<'a> Storm<'a> {
    fn new(fleet: &'a Fleet, seed: u64) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(seed);
        Self { fleet, rng, asked: Vec::new(), lookalike: None }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> Result<T> {
        of.choose(&mut self.rng).copied().context("nothing to choose from")
    }

    /// Something goes wrong outside, or inside.
    async fn mishap(&mut self) -> Result<()> {
        let fleet = self.fleet;
        match self.rng.random_range(0..15) {
            0 | 1 => {
                let (operation, name) = (self.one(&AT_THE_VENUE)?, self.one(&WIRE)?);
                self.strike("wazirx", operation, name)
            }
            2 | 3 => {
                let (operation, name) = (self.one(&AT_THE_BANK)?, self.one(&WIRE)?);
                self.strike("razorpayx", operation, name)
            }
            4 => {
                let name = self.one(&ORDERS)?;
                self.strike("wazirx", "place_order", name)
            }
            5 | 6 => fleet.outside.plan_payouts(&[self.one(&OUTCOMES)?]).await,
            7 => {
                let mode = json!({ "duplicate": self.rng.random_range(0..3_u32),
                    "reorder": self.rng.random_bool(0.5), "drop": self.rng.random_bool(0.3),
                    "before_reply": self.rng.random_bool(0.3) });
                fleet.outside.control.post("/razorpayx/webhooks", &json!({ "mode": mode })).await?;
                Ok(())
            }
            8 => {
                let source = self.one(&["wazirx", "binance", "coinbase"])?.to_owned();
                let mode =
                    self.one(&[Mode::Missing, Mode::Frozen, Mode::Inverted, Mode::Normal])?;
                let request = ModeRequest { source, mode, pair: None, value: None };
                fleet.outside.sims.world.prices.set_mode(&request, fleet.now())
            }
            11 | 12 => {
                let (operation, name) = (self.one(&AT_BINANCE)?, self.one(&WIRE)?);
                self.strike("binance", operation, name)
            }
            13 => {
                let pair = self.one(&["ETHINR", "USDCINR", "USDTINR"])?;
                let share = Decimal::new(1, self.one(&[0, 2, 5])?);
                fleet.depth("wazirx", pair, share)
            }
            14 => {
                let frozen = self.rng.random_bool(0.5);
                fleet.freeze(self.one(&["wazirx", "binance"])?, frozen).await
            }
            9 => {
                sqlx::query("truncate apalis.jobs").execute(&fleet.db.owner).await?;
                Ok(())
            }
            _ => {
                let switch = self.one(&[Switch::Conversions, Switch::Payouts, Switch::Quotes])?;
                fleet.switch(switch, self.rng.random_bool(0.4)).await
            }
        }
    }

    fn strike(&mut self, target: &str, operation: &str, name: &str) -> Result<()> {
        let mut fault = Fault::new(target, operation, name);
        fault.times = self.rng.random_range(1..4);
        fault.skip = self.rng.random_range(0..2);
        self.fleet.outside.queue(fault)
    }

    /// Somebody asks, and pays in one of many ways.
    async fn payment(&mut self) -> Result<()> {
        let fleet = self.fleet;
        let shop = fleet.shops.choose(&mut self.rng).context("no shop")?.clone();
        let asset = self.one(&ASSETS)?;
        let paise = self.rng.random_range(10_000..4_000_000);
        let asked = match fleet.ask_for(&shop, paise, asset).await {
            Ok(asked) => asked,
            // Quotes were stopped, by a switch or by a lie: the payer comes back when they are not.
            Err(_) => {
                fleet.switch(Switch::Quotes, false).await?;
                self.true_prices()?;
                self.open_markets().await?;
                fleet.step(31).await?;
                fleet.ask_for(&shop, paise, asset).await?
            }
        };
        self.asked.push(asked.clone());
        match self.rng.random_range(0..14) {
            0 => Ok(()),
            1 => {
                let part = asked.percent(self.rng.random_range(1..99))?;
                self.pay(&asked, part).await
            }
            2 => {
                let more = asked.percent(self.rng.random_range(101..150))?;
                self.pay(&asked, more).await
            }
            3 => {
                let first = asked.percent(self.rng.random_range(10..90))?;
                self.pay(&asked, first).await?;
                self.pay(&asked, asked.payable().checked_sub(first)?).await
            }
            4 => {
                let other = if asset == Asset::Usdc { Asset::Usdt } else { Asset::Usdc };
                self.pay(&asked, Amount::try_new(3_000_000, other)?).await
            }
            5 => self.fake(&asked).await,
            6 => {
                let mut tx = fleet.base.pool.begin().await?;
                payment::cancel_in(&mut tx, &fleet.base, asked.merchant, asked.payment).await?;
                tx.commit().await?;
                self.pay(&asked, asked.payable()).await
            }
            7 => {
                self.pay(&asked, asked.payable()).await?;
                self.pay(&asked, asked.payable()).await
            }
            8 => self.undone(&asked).await,
            _ => self.pay(&asked, asked.payable()).await,
        }
    }

    async fn pay(&self, asked: &Asked, amount: Amount) -> Result<()> {
        self.fleet.pay(asked, amount).await?;
        Ok(())
    }

    async fn fake(&mut self, asked: &Asked) -> Result<()> {
        if self.lookalike.is_none() {
            self.lookalike = Some(self.fleet.node.lookalike().await?);
        }
        let token = self.lookalike.as_deref().context("no lookalike")?;
        let amount = Amount::try_new(5_000_000, Asset::Usdc)?;
        self.fleet.node.payer.send_token(token, &asked.quote.address, amount).await?;
        Ok(())
    }

    /// Paid, taken back by the chain, and included again later.
    async fn undone(&mut self, asked: &Asked) -> Result<()> {
        let fleet = self.fleet;
        let sent = fleet.pay(asked, asked.payable()).await?;
        let raw = fleet.node.payer.raw_transaction(&sent).await?;
        fleet.step(2).await?;
        fleet.node.payer.reorg(1, &[]).await?;
        fleet.step(2).await?;
        fleet.node.send_raw(&raw).await?;
        Ok(())
    }

    async fn blow(&mut self, seconds: i64) -> Result<()> {
        for _ in 0..3 {
            self.fleet.mine(self.rng.random_range(0..3)).await?;
            self.fleet.step(seconds).await?;
        }
        Ok(())
    }

    fn true_prices(&self) -> Result<()> {
        for source in ["wazirx", "binance", "coinbase"] {
            let mode = Mode::Normal;
            let request = ModeRequest { source: source.to_owned(), mode, pair: None, value: None };
            self.fleet.outside.sims.world.prices.set_mode(&request, self.fleet.now())?;
        }
        Ok(())
    }

    /// Books are deep again, and no venue is frozen.
    async fn open_markets(&self) -> Result<()> {
        for pair in ["ETHINR", "USDCINR", "USDTINR"] {
            self.fleet.depth("wazirx", pair, Decimal::ONE)?;
        }
        for venue in ["wazirx", "binance"] {
            self.fleet.freeze(venue, false).await?;
        }
        Ok(())
    }

    /// Everything outside is well again, and enough time passes.
    async fn calm(&self) -> Result<()> {
        let fleet = self.fleet;
        fleet.outside.sims.world.faults.clear();
        let plan = json!({ "clear": true, "default": "processed" });
        fleet.outside.control.post("/razorpayx/plan", &plan).await?;
        fleet.outside.control.post("/razorpayx/webhooks", &json!({ "mode": {} })).await?;
        self.true_prices()?;
        for switch in [Switch::Conversions, Switch::Payouts, Switch::Quotes] {
            fleet.switch(switch, false).await?;
        }
        self.open_markets().await?;
        fleet.mine(4).await?;
        fleet.advance(1_800).await?;
        fleet.settle().await?;
        fleet.advance(1_800).await?;
        fleet.settle().await
    }

    async fn check(&self) -> Result<()> {
        let mut ends: BTreeMap<String, u32> = BTreeMap::new();
        for asked in &self.asked {
            let story = self.fleet.story(asked).await?;
            let (id, state) = (asked.payment, story.state);
            let ended = ["settled", "expired", "cancelled", "in_review"].contains(&state);
            ensure!(ended, "{id} is {state}; {:?}", self.fleet.failures());
            ensure!(state != "in_review" || !story.cases.is_empty(), "{id} without a case");
            ensure!(state != "settled" || story.sums.owed.is_zero(), "{id} is settled and owed");
            let open = story.sums.credited.is_positive() && state != "settled";
            ensure!(!open || story.sums.owed.is_positive(), "{id}: the rupees are gone");
            *ends.entry(state.to_owned()).or_default() += 1;
        }
        println!("{ends:?}, {} runs failed on the way", self.fleet.failures().len());
        self.fleet.check_books().await
    }
}
