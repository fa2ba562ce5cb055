//! The process dies at every commit of every job: before it and after it, that is after each plan,
//! each mark of a sending, each call and each record. Another process goes on, and the end is the
//! same: one order, one payout, equal books.

use anyhow::{Result, bail};
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::jobs::KINDS;
use testkit::{Asked, Fleet, Gate, Options, Process, When};

/// What happens to the payment while one kind of job is being killed.
#[derive(Debug, Clone, Copy)]
enum Scene {
    Paid,
    /// The venue's answer is lost, so that the resolver has something to find.
    OrderAnswerLost,
    /// Half of the order fills: the rest is cancelled and ordered anew.
    OrderShort,
    /// Sold for dollars at one venue, and those for rupees at the other.
    TwoLegs,
    PayoutAnswerLost,
    /// Taken back by the bank, and paid again.
    PayoutReturned,
    /// Half is paid: the end is a promise to pay back.
    Short,
}

/// Every job, the scenes it is killed in, and how many of its commits in each: a job that commits
/// more often only does the same again. A test below compares the table with the product's list.
const TABLE: &[(&str, &[Scene], usize)] = &[
    ("scan_chain", &[Scene::Paid], 4),
    ("confirm_deposit", &[Scene::Paid], 2),
    ("refill_addresses", &[Scene::Paid], 2),
    ("sync_rates", &[Scene::Paid], 3),
    ("watch_rates", &[Scene::Paid], 1),
    ("watch_orders", &[Scene::Paid], 1),
    ("thin_rates", &[Scene::Paid], 2),
    ("convert", &[Scene::Paid, Scene::TwoLegs], 6),
    ("resolve_conversion", &[Scene::OrderAnswerLost, Scene::OrderShort, Scene::TwoLegs], 5),
    ("pay_out", &[Scene::Paid], 6),
    ("resolve_payout", &[Scene::PayoutAnswerLost, Scene::PayoutReturned], 4),
    ("process_inbox", &[Scene::Paid], 2),
    ("expire_payment", &[Scene::Short], 2),
    ("notify_merchant", &[Scene::Paid], 2),
    ("tend_treasury", &[Scene::Paid], 2),
    ("sweep_stuck", &[Scene::Paid], 2),
    ("reconcile", &[Scene::Paid], 2),
];

/// Killed at every commit where they have something to move: `workers/tests/it/treasury/crash.rs`.
const ELSEWHERE: [&str; 4] = ["sweep", "resolve_move", "watch_credits", "resolve_transfer"];

fn kinds_here() -> Vec<&'static str> {
    KINDS.iter().copied().filter(|kind| !ELSEWHERE.contains(kind)).collect()
}

/// What only the clock asks for: these need a minute, whatever happens to the payment.
const TICKING: [&str; 8] = [
    "refill_addresses",
    "sync_rates",
    "watch_rates",
    "watch_orders",
    "thin_rates",
    "tend_treasury",
    "sweep_stuck",
    "reconcile",
];
/// Turns after which the scene is over, struck or not.
const TURNS_MAX: usize = 60;

#[test]
fn the_table_names_every_job() {
    let named: Vec<&str> = TABLE.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(named, kinds_here());
}

macro_rules! killed {
    ($($name:ident),+ $(,)?) => { $(
        #[tokio::test]
        async fn $name() -> Result<()> {
            everywhere(stringify!($name)).await
        }
    )+
        #[test]
        fn every_job_is_killed() {
            assert_eq!([$(stringify!($name)),+].as_slice(), kinds_here());
        }
    };
}
killed!(
    scan_chain,
    confirm_deposit,
    refill_addresses,
    sync_rates,
    watch_rates,
    watch_orders,
    thin_rates,
    convert,
    resolve_conversion,
    pay_out,
    resolve_payout,
    process_inbox,
    expire_payment,
    notify_merchant,
    tend_treasury,
    sweep_stuck,
    reconcile,
);

async fn everywhere(kind: &'static str) -> Result<()> {
    let Some((_, scenes, beats)) = TABLE.iter().find(|(name, ..)| *name == kind) else {
        bail!("{kind} is not in the table");
    };
    let mut options = Options::with_binance()?;
    if kind == "watch_orders" {
        options.settings.order_news_linger_ms = 1_000;
    }
    let fleet = Fleet::with(options).await?;
    let others = fleet.another_process(&|name| name != kind).await?;
    let mut deaths = 0;
    for scene in *scenes {
        for when in [When::Before, When::After] {
            for beat in 1..=*beats {
                if !dies_once(&fleet, &others, kind, (*scene, beat, when)).await? {
                    break;
                }
                deaths += 1;
            }
        }
    }
    assert!(deaths >= 2, "{kind} commits nothing in its scenes");
    Ok(())
}

/// One payment during which `kind` dies at one commit. False when there was no such commit.
async fn dies_once(
    fleet: &Fleet,
    others: &Process,
    kind: &'static str,
    (scene, beat, when): (Scene, usize, When),
) -> Result<bool> {
    let place = format!("{kind} killed {when:?} commit {beat} of {scene:?}");
    let before = (fleet.orders_at_venue()?, fleet.payouts_at_bank()?);
    let kept = fleet.received_by(fleet.shop()?)?;
    let asked = begin(fleet, scene).await?;
    let (mortal, gate) = fleet.mortal_process(&|name| name == kind).await?;
    gate.arm(beat, when);
    let turns = if TICKING.contains(&kind) { 27 } else { 0 };
    live(fleet, others, (&mortal, &gate), (&asked, turns)).await?;
    let died = gate.is_struck();
    bury(fleet, mortal, &gate).await?;
    fleet.settle().await?;
    fleet.advance(20).await?;
    fleet.settle().await?;
    let story = fleet.story(&asked).await?;
    let orders = fleet.orders_at_venue()? - before.0;
    let payouts = fleet.payouts_at_bank()? - before.1;
    let gain = fleet.received_by(fleet.shop()?)? - kept;
    let expected = match scene {
        Scene::Paid | Scene::OrderAnswerLost | Scene::TwoLegs | Scene::PayoutAnswerLost => {
            ("settled", 1, 1, 98_820)
        }
        Scene::OrderShort => ("settled", 2, 1, 98_820),
        Scene::PayoutReturned => ("settled", 1, 2, 98_820),
        Scene::Short => ("in_review", 0, 0, 0),
    };
    assert_eq!((story.state, orders, payouts, gain), expected, "{place}: {:?}", fleet.failures());
    fleet.check_books().await.map_err(|error| error.context(place))?;
    Ok(died)
}

async fn begin(fleet: &Fleet, scene: Scene) -> Result<Asked> {
    fleet.outside.sims.world.faults.clear();
    fleet.depth("wazirx", "USDCINR", Decimal::ONE)?;
    fleet.step(30).await?;
    match scene {
        Scene::OrderAnswerLost => fleet.fault("wazirx", "place_order", "http_500_applied")?,
        Scene::OrderShort => fleet.fault("wazirx", "place_order", "partial_fill")?,
        Scene::PayoutAnswerLost => fleet.fault("razorpayx", "create_payout", "http_500_applied")?,
        Scene::PayoutReturned => {
            fleet.outside.plan_payouts(&["reversed_after_processed", "processed"]).await?;
        }
        Scene::Paid | Scene::TwoLegs | Scene::Short => {}
    }
    let shop = fleet.shop()?.clone();
    let expires_in_s = matches!(scene, Scene::Short).then_some(60);
    let payment = fleet.create(&shop, 100_000, expires_in_s).await?;
    let quote = fleet.quote(shop.merchant, payment, Asset::Usdc).await?;
    let asked = Asked { merchant: shop.merchant, payment, quote };
    if matches!(scene, Scene::TwoLegs) {
        fleet.depth("wazirx", "USDCINR", Decimal::new(1, 5))?;
    }
    let share = if matches!(scene, Scene::Short) { 50 } else { 100 };
    fleet.pay(&asked, asked.percent(share)?).await?;
    fleet.mine(2).await?;
    Ok(asked)
}

/// Turn by turn: the others do their work, then the mortal does its own, until it dies or there is
/// nothing left to do.
async fn live(
    fleet: &Fleet,
    others: &Process,
    (mortal, gate): (&Process, &Gate),
    (asked, turns_min): (&Asked, usize),
) -> Result<()> {
    for turn in 0..TURNS_MAX {
        fleet.pass(if turn < 20 { 1 } else { 10 }).await?;
        fleet.tick().await?;
        for _ in 0..4 {
            let runs = fleet.keep(others.runner.drain().await?);
            fleet.outside.sims.bank.deliver_due().await;
            let drained = tokio::select! {
                drained = mortal.runner.drain() => drained,
                () = gate.struck() => return Ok(()),
            };
            if gate.is_struck() {
                return Ok(());
            }
            if runs + fleet.keep(drained?) == 0 {
                break;
            }
        }
        let state = fleet.story(asked).await?.state;
        let over = ["settled", "in_review"].contains(&state);
        if over && turn >= turns_min && fleet.at_rest().await? {
            return Ok(());
        }
    }
    Ok(())
}

/// What the engine's lease does with the jobs of a process that fell silent.
async fn bury(fleet: &Fleet, mortal: Process, gate: &Gate) -> Result<()> {
    gate.strike();
    // Whatever of it still runs finds no database any more.
    tokio::spawn(async move { mortal.ctx.base.pool.close().await });
    sqlx::query(
        "update apalis.jobs set status = 'Pending', lock_by = null, lock_at = null,
           last_result = '{\"Err\": \"Re-enqueued due to worker heartbeat timeout.\"}',
           metadata = coalesce(metadata, '') || hstore('now', $1::timestamptz::text)
         where status in ('Queued', 'Running')",
    )
    .bind(fleet.now())
    .execute(&fleet.db.owner)
    .await?;
    Ok(())
}
