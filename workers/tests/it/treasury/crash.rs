//! Every job of the treasury twice at every turn, two at once, and killed at every commit.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use primitives::Asset;
use serde_json::json;
use testkit::When;

use super::{
    net::{Kind, SendFault},
    outside::AskFault,
    world::{KINDS, World, amount},
};

/// A world in which every job has something to do.
async fn busy() -> Result<World> {
    let w = World::with(Kind::Addresses, |t| {
        t["lanes"] = json!([{
            "asset": "USDT", "from": "far", "to": "near", "network": "net",
            "keep": "1000", "least": "500", "to_address": "near-deposits",
        }]);
    })
    .await?;
    w.far.books().passage = Some(exchanges::custody::Passage::Done);
    w.far.books().asks.push_back(AskFault::AnswerLost);
    w.net.state().sends.push_back(SendFault::AnswerLost);
    w.stock(&w.far, amount("4000", Asset::Usdt)).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.deposit(2, amount("500", Asset::Usdc)).await?;
    Ok(w)
}

/// What left the one venue reaches the other.
fn carry(w: &World) {
    let net: i128 = w.far.books().withdrawals.iter().map(|w| w.net.minor()).sum();
    w.near.books().own.insert(Asset::Usdt, net);
    w.near.books().extra = w
        .far
        .books()
        .withdrawals
        .iter()
        .filter_map(|w| w.tx_id.clone().map(|id| (id, w.net)))
        .collect();
}

async fn is_done(w: &World) -> Result<bool> {
    let moves = w.moves().await?;
    let all = moves.len() == 3 && moves.iter().all(|state| state == "credited");
    Ok(all && w.transfers().await? == ["credited"])
}

async fn is_right(w: &World, place: &str) -> Result<()> {
    ensure!(w.net.mined() == 3, "{place}: {} transactions", w.net.mined());
    ensure!(w.far.books().withdrawals.len() == 1, "{place}: withdrawals");
    ensure!(w.at_near(Asset::Eth).await? == 10_i128.pow(18) - 1_000, "{place}: ETH");
    ensure!(w.at_near(Asset::Usdc).await? == 500_000_000, "{place}: USDC");
    ensure!(w.at_near(Asset::Usdt).await? == 2_999_000_000, "{place}: USDT");
    w.check().await.map_err(|error| error.context(place.to_owned()))
}

#[tokio::test]
async fn every_job_twice() -> Result<()> {
    let w = busy().await?;
    for _ in 0..40 {
        w.turn(20).await?;
        sqlx::query(
            "update apalis.jobs set status = 'Pending', attempts = 0, done_at = null, run_at = $1
             where status in ('Done', 'Pending', 'Failed')",
        )
        .bind(w.now())
        .execute(&w.db.owner)
        .await?;
        w.runner.drain().await?;
        w.net.mine(1);
        carry(&w);
    }
    assert!(is_done(&w).await?, "{:?} {:?}", w.moves().await?, w.transfers().await?);
    is_right(&w, "twice").await?;
    let twice: BTreeSet<String> = sqlx::query_scalar(
        "select distinct kind from (select kind, key from jobs.job_attempts
           group by kind, key having count(*) > 1) as repeated",
    )
    .fetch_all(&w.db.owner)
    .await?
    .into_iter()
    .collect();
    assert_eq!(twice, KINDS.iter().map(ToString::to_string).collect());
    Ok(())
}

/// Two processes that work at the same time move everything once.
#[tokio::test(flavor = "multi_thread")]
async fn two_at_once() -> Result<()> {
    let w = busy().await?;
    let (other, _gate, _pool) = w.mortal().await?;
    for _ in 0..40 {
        w.clock.advance(chrono::TimeDelta::seconds(20));
        w.wake().await?;
        let (one, two) = tokio::join!(w.runner.drain(), other.drain());
        one?;
        two?;
        w.net.mine(1);
        carry(&w);
        if is_done(&w).await? {
            break;
        }
    }
    assert!(is_done(&w).await?, "{:?} {:?}", w.moves().await?, w.transfers().await?);
    is_right(&w, "two at once").await
}

/// Which part of the story is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// A deposit to a venue, with a send whose answer is lost.
    Coin,
    /// A token that needs gas first.
    Token,
    /// Two tokens, whose top-ups stand behind each other.
    Tokens,
    /// A transfer between venues.
    Carried,
}

macro_rules! killed {
    ($($name:ident: $scene:ident $when:ident),+ $(,)?) => { $(
        #[tokio::test]
        async fn $name() -> Result<()> {
            everywhere(Scene::$scene, When::$when).await
        }
    )+ };
}
killed!(
    a_coin_killed_before_every_commit: Coin Before,
    a_coin_killed_after_every_commit: Coin After,
    a_token_killed_after_every_commit: Token After,
    two_tokens_killed_before_every_commit: Tokens Before,
    two_tokens_killed_after_every_commit: Tokens After,
    a_transfer_killed_before_every_commit: Carried Before,
    a_transfer_killed_after_every_commit: Carried After,
);

/// The process dies at every commit of the whole story, one after the other; another goes on.
async fn everywhere(scene: Scene, when: When) -> Result<()> {
    // A token's story is two moves after each other: every second or third commit shows as much.
    let step = match scene {
        Scene::Tokens => 3,
        Scene::Token => 2,
        Scene::Coin | Scene::Carried => 1,
    };
    let mut beat = 1;
    while dies_once(scene, beat, when).await? {
        beat += step;
    }
    ensure!(beat > 8, "{beat} commits only");
    Ok(())
}

async fn scene_of(scene: Scene) -> Result<World> {
    let w = World::with(Kind::Addresses, |t| {
        t["lanes"] = json!([{
            "asset": "USDT", "from": "far", "to": "near", "network": "net",
            "keep": "1000", "least": "500", "to_address": "near-deposits",
        }]);
    })
    .await?;
    w.far.books().passage = Some(exchanges::custody::Passage::Done);
    w.net.state().sends.push_back(SendFault::AnswerLost);
    match scene {
        Scene::Coin => drop(w.deposit(1, amount("1", Asset::Eth)).await?),
        Scene::Token => {
            w.gas(amount("0.5", Asset::Eth)).await?;
            w.deposit(2, amount("500", Asset::Usdc)).await?;
        }
        Scene::Tokens => {
            w.gas(amount("0.5", Asset::Eth)).await?;
            w.deposit(2, amount("500", Asset::Usdc)).await?;
            w.deposit(3, amount("500", Asset::Usdc)).await?;
        }
        Scene::Carried => w.stock(&w.far, amount("4000", Asset::Usdt)).await?,
    }
    Ok(w)
}

/// Nothing is open, or only what stays unknown by rule: the process died between marking a transfer
/// and asking for it, and nobody can prove that it was not asked for.
async fn is_over(w: &World, scene: Scene) -> Result<bool> {
    let moves = w.moves().await?;
    let transfers = w.transfers().await?;
    let moved = |n: usize| moves.len() == n && moves.iter().all(|state| state == "credited");
    Ok(match scene {
        Scene::Coin => moved(1),
        Scene::Token => moved(2),
        Scene::Tokens => moved(4),
        Scene::Carried => {
            let unasked = w.far.books().withdrawals.is_empty();
            transfers == ["credited"] || (unasked && transfers == ["unknown"])
        }
    })
}

async fn ends_right(w: &World, scene: Scene) -> Result<()> {
    let count = match scene {
        Scene::Coin => 1,
        Scene::Token => 2,
        Scene::Tokens => 4,
        Scene::Carried => 0,
    };
    ensure!(w.net.mined() == count, "{} transactions", w.net.mined());
    if scene == Scene::Carried && w.far.books().withdrawals.is_empty() {
        ensure!(w.cases().await? == ["transfer_unknown"], "{:?}", w.cases().await?);
        ensure!(w.at_near(Asset::Usdt).await? == 0, "nothing came");
        return Ok(());
    }
    let (asset, there) = match scene {
        Scene::Coin => (Asset::Eth, 10_i128.pow(18) - 1_000),
        Scene::Token => (Asset::Usdc, 500_000_000),
        Scene::Tokens => (Asset::Usdc, 1_000_000_000),
        Scene::Carried => (Asset::Usdt, 2_999_000_000),
    };
    ensure!(w.far.books().withdrawals.len() <= 1, "asked for twice");
    ensure!(w.at_near(asset).await? == there, "{}", w.at_near(asset).await?);
    w.check().await
}

/// False when the story is over before its n-th commit.
async fn dies_once(scene: Scene, beat: usize, when: When) -> Result<bool> {
    let place = format!("{scene:?} killed {when:?} commit {beat}");
    let w = scene_of(scene).await?;
    let (mortal, gate, pool) = w.mortal().await?;
    gate.arm(beat, when);
    for _ in 0..30 {
        w.clock.advance(chrono::TimeDelta::seconds(20));
        w.wake().await?;
        tokio::select! {
            drained = mortal.drain() => drop(drained),
            () = gate.struck() => {}
        }
        if gate.is_struck() || is_over(&w, scene).await? {
            break;
        }
        w.net.mine(1);
        carry(&w);
    }
    let died = gate.is_struck();
    gate.strike();
    tokio::spawn(async move { pool.close().await });
    w.bury().await?;
    for _ in 0..40 {
        if is_over(&w, scene).await? {
            break;
        }
        w.turn(20).await?;
        w.net.mine(1);
        carry(&w);
    }
    ensure!(
        is_over(&w, scene).await?,
        "{place}: {:?} {:?}",
        w.moves().await?,
        w.transfers().await?
    );
    // Whatever is left to do changes nothing.
    w.turn(60).await?;
    ends_right(&w, scene).await.map_err(|error| error.context(place))?;
    Ok(died)
}
