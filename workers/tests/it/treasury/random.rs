//! Everything that may go wrong, in an order of chance: answers lost, silence, refusals, fees that
//! rise, blocks that go, jobs that run twice, processes that die at a commit, queues that are
//! wiped.
//!
//! Invariant: at every step the ledger is sound, and at the end no coin is doubled or lost: the
//! books equal the network and the venues to the last unit, and nothing is open.

use anyhow::{Result, ensure};
use primitives::Asset;
use serde_json::json;
use settlement::chart;
use signing::SignError;
use testkit::When;

use super::{
    net::{Kind, Net, SendFault},
    outside::refusal,
    world::{World, amount},
};

/// Steps of one story.
const STEPS: u32 = 45;

/// Numbers that look like chance. The same seed asks for the same steps; in which order jobs run,
/// and what a death meets, stays chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % most
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.below(u64::try_from(all.len()).unwrap());
        all[usize::try_from(at).unwrap()]
    }
}

macro_rules! stories {
    ($($name:ident: $kind:ident $from:literal),+ $(,)?) => { $(
        #[tokio::test]
        async fn $name() -> Result<()> {
            let told = story(Kind::$kind, $from).await;
            told.map_err(|error| error.context(format!("seed {}", $from)))
        }
    )+ };
}
stories!(
    addresses_one: Addresses 10,
    addresses_two: Addresses 20,
    addresses_three: Addresses 30,
    outputs_one: Outputs 51,
);

async fn open(kind: Kind) -> Result<World> {
    let w = World::with(kind, |t| {
        t["top_up_pause_s"] = json!(1);
        t["fee_budget_paise"] = json!(1_000_000_000_i64);
        t["bumps_max"] = json!(30);
        t["networks"]["net"]["cold"] = json!({
            "ETH": { "address": "cold-storage", "keep": "1", "least": "0.5", "per_day": "20" },
            "BTC": { "address": "cold-storage", "keep": "0.1", "least": "0.1", "per_day": "5" },
        });
        t["venues"]["near"]["targets"] = json!({ "BTC": "1", "ETH": "9", "USDC": "100000" });
    })
    .await?;
    w.net.state().bump_percent = 30;
    if kind == Kind::Addresses {
        w.gas(amount("5", Asset::Eth)).await?;
    }
    Ok(w)
}

async fn story(kind: Kind, seed: u64) -> Result<()> {
    let w = open(kind).await?;
    let mut dice = Dice(seed);
    for step in 0..STEPS {
        act(&w, &mut dice, kind).await?;
        let mut conn = w.base.pool.acquire().await?;
        let defects = ledger::audit(&mut conn).await?;
        ensure!(defects.is_empty(), "step {step}: {defects:?}");
    }
    calm(&w).await?;
    whole(&w).await
}

async fn act(w: &World, dice: &mut Dice, kind: Kind) -> Result<()> {
    match dice.below(18) {
        0..=2 => {
            let asset = match kind {
                Kind::Outputs => Asset::Btc,
                Kind::Addresses => dice.one_of(&[Asset::Eth, Asset::Usdc, Asset::Usdc]),
            };
            let units = match asset {
                Asset::Btc => dice.one_of(&["0.1", "0.3"]),
                Asset::Eth => dice.one_of(&["1", "3", "0.25"]),
                _ => dice.one_of(&["500", "90", "2500"]),
            };
            let index = u32::try_from(dice.below(8))?;
            w.deposit(index, amount(units, asset)).await?;
        }
        3..=5 => w.net.mine(dice.one_of(&[1, 1, 2, 4])),
        6 => {
            let fault = dice.one_of(&[SendFault::AnswerLost, SendFault::Lost, SendFault::Refused]);
            w.net.state().sends.push_back(fault);
        }
        7 => {
            let silence = SignError::Unavailable("no socket".to_owned());
            let over = refusal("over_limit");
            let says = if dice.below(2) == 0 { silence } else { over };
            w.keys.desk().says.push_back(says);
        }
        8 => w.keys.desk().silent_after = 1,
        9 => {
            let mut state = w.net.state();
            state.block_fee = dice.one_of(&[0, 0, 1_200, 2_600]);
            state.fee = dice.one_of(&[1_000, 1_500]);
        }
        10 => w.net.reorg(dice.one_of(&[1, 2])),
        11 => deep_reorg(w).await?,
        12 => {
            w.net.state().is_down = true;
            w.turn(5).await?;
            w.net.state().is_down = false;
        }
        13 | 14 => die(w, dice).await?,
        15 => again(w).await?,
        _ => drop(w.turn(dice.one_of(&[1, 5, 20, 61, 130])).await?),
    }
    Ok(())
}

/// What we called final is gone.
async fn deep_reorg(w: &World) -> Result<()> {
    let (branch, tip) = w.net.tip();
    if tip <= 16 {
        return Ok(());
    }
    w.net.reorg(5);
    // Blocks that stayed were given another name by each branch: a move knows the one of its day.
    for name in 0..=branch {
        w.blocks_gone(tip - 4, tip, name).await?;
    }
    Ok(())
}

/// Another process works, dies at one of its commits, and its jobs are taken over.
async fn die(w: &World, dice: &mut Dice) -> Result<()> {
    let (mortal, gate, pool) = w.mortal().await?;
    let when = dice.one_of(&[When::Before, When::After]);
    gate.arm(usize::try_from(dice.below(20) + 1)?, when);
    w.clock.advance(chrono::TimeDelta::seconds(20));
    w.wake().await?;
    tokio::select! {
        drained = mortal.drain() => drop(drained),
        () = gate.struck() => {}
    }
    gate.strike();
    tokio::spawn(async move { pool.close().await });
    w.bury().await
}

/// Every job that ever was runs again, or the queue is gone.
async fn again(w: &World) -> Result<()> {
    sqlx::query(
        "update apalis.jobs set status = 'Pending', attempts = 0, done_at = null, run_at = $1
         where status in ('Done', 'Pending', 'Failed')",
    )
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    w.runner.drain().await?;
    sqlx::query("delete from apalis.jobs").execute(&w.db.owner).await?;
    Ok(())
}

/// Nothing goes wrong any more: what is open comes to its end.
async fn calm(w: &World) -> Result<()> {
    {
        let mut state = w.net.state();
        (state.block_fee, state.fee) = (0, 1_000);
        state.sends.clear();
    }
    w.keys.desk().says.clear();
    w.keys.desk().silent_after = 0;
    w.bury().await?;
    let open = "select count(*) from moves where state not in
        ('credited', 'replaced', 'failed', 'cancelled')";
    let mut quiet = 0;
    for _ in 0..120 {
        for asset in [Asset::Btc, Asset::Eth, Asset::Usdc] {
            w.rate(asset, w.now()).await?;
        }
        w.turn(130).await?;
        w.net.mine(1);
        quiet = if w.count(open).await? == 0 { quiet + 1 } else { 0 };
        if quiet > 4 {
            return Ok(());
        }
    }
    let wrong: Vec<(String, String, String)> = sqlx::query_as(
        "select id::text, state, purpose from moves where state not in
           ('credited', 'replaced', 'failed', 'cancelled')",
    )
    .fetch_all(&w.db.owner)
    .await?;
    anyhow::bail!("still open: {wrong:?} {:?}", w.cases().await?)
}

/// No coin is doubled or lost.
async fn whole(w: &World) -> Result<()> {
    w.check().await?;
    let replaced = "select count(*) from moves where state in ('replaced', 'cancelled')";
    ensure!(w.count(replaced).await? == 0, "nobody overtook anything");
    for asset in chains::Chain::assets(w.net.as_ref()) {
        let books = w.balance(&chart::cold(&w.network(), asset)).await?;
        let there = w.net.held_by("cold-storage", asset);
        ensure!(books == there, "cold storage {asset}: books {books}, network {there}");
    }
    let nonces = w.net.nonces(Net::station());
    let all = u64::try_from(nonces.len())?;
    ensure!(nonces.iter().copied().eq(0..all), "a hole in the station's nonces: {nonces:?}");
    Ok(())
}
