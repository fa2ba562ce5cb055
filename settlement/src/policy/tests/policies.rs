//! Policies are versions: the newest counts, none ever changes, and what is set is sound.

use primitives::Asset;

use super::{World, agreed, eth, net, tier};
use crate::{
    deposit::{Confirmed, Depth},
    policy::{NewPolicy, Refusal, Rule, SetError, current_in, list_in, set_in, version_in},
};

#[tokio::test]
async fn without_a_policy_the_settings_decide() {
    let world = World::open().await;
    let mut conn = world.base.pool.acquire().await.unwrap();
    let policy = current_in(&mut conn, &world.base, &net("lab"), Asset::Eth).await.unwrap();
    assert_eq!(policy.version, 0);
    let only = policy.tier(None).unwrap();
    assert_eq!((only.accept, only.last, only.min_witnesses), (Rule::Depth(3), Rule::Depth(3), 1));
    assert!(current_in(&mut conn, &world.base, &net("nowhere"), Asset::Eth).await.is_err());
    drop(conn);
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    assert_eq!(world.judge(id, 11, agreed()).await, Confirmed::Waits);
    assert_eq!(world.judge(id, 12, agreed()).await, Confirmed::Now);
    assert_eq!(world.count("select policy_version::bigint from deposits").await, 0);
    assert_eq!(world.state(&asked).await, "accepted");
    world.sound().await;
}

#[tokio::test]
async fn the_newest_version_counts_and_stands_on_the_deposit() {
    let world = World::open().await;
    assert_eq!(world.set(&[tier(0, ["1", "2", "2"], 1)]).await, 1);
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    assert_eq!(world.set(&[tier(0, ["1", "6", "6"], 1)]).await, 2);
    assert_eq!(world.judge(id, 14, agreed()).await, Confirmed::Waits, "five blocks are not six");
    assert_eq!(world.judge(id, 15, agreed()).await, Confirmed::Now);
    let version = world.count("select policy_version::bigint from deposits").await;
    assert_eq!(version, 2);
    let evidence = world.count("select policy_version::bigint from inclusion_evidence").await;
    assert_eq!(evidence, 2);
    let mut conn = world.base.pool.acquire().await.unwrap();
    let first = version_in(&mut conn, &net("lab"), Asset::Eth, 1).await.unwrap().unwrap();
    assert_eq!(first.tiers, [tier(0, ["1", "2", "2"], 1)], "history stays as it was");
    let all = list_in(&mut conn).await.unwrap();
    assert_eq!(all.iter().map(|s| s.policy.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((all[0].actor.as_str(), all[0].reason.as_str()), ("test", "a test"));
}

/// The tier goes by the rupees of the whole payment: small parts of a large one gain nothing.
#[tokio::test]
async fn more_rupees_wait_longer_also_in_parts() {
    let world = World::open().await;
    world.set(&[tier(0, ["1", "1", "1"], 1), tier(5_000_000, ["1", "4", "4"], 1)]).await;
    let small = world.ask(4_999_999, 1_000).await;
    let id = world.see(&small, "small", 1_000, ("b1", 1)).await;
    assert_eq!(world.judge(id, 1, agreed()).await, Confirmed::Now);
    let large = world.ask(5_000_000, 1_000).await;
    let part = world.see(&large, "part", 10, ("b1", 1)).await;
    assert_eq!(world.judge(part, 3, agreed()).await, Confirmed::Waits);
    assert_eq!(world.judge(part, 4, agreed()).await, Confirmed::Now);
    // Paying far more than was asked for is judged by what was paid.
    let over = world.ask(100_000, 1_000).await;
    let id = world.see(&over, "over", 60_000, ("b1", 1)).await;
    assert_eq!(world.judge(id, 3, agreed()).await, Confirmed::Waits);
    world.sound().await;
}

/// Tiers go by value, not by how their numbers are written: 90 lies below 1,000.
#[tokio::test]
async fn tiers_are_read_in_the_order_of_their_value() {
    let world = World::open().await;
    let [low, middle, high] = [(0, "1"), (9_000, "2"), (100_000, "3")]
        .map(|(from, last)| tier(from, ["1", "1", last], 1));
    world.set(&[low.clone(), middle.clone(), high.clone()]).await;
    let mut conn = world.base.pool.acquire().await.unwrap();
    let policy = current_in(&mut conn, &world.base, &net("lab"), Asset::Eth).await.unwrap();
    assert_eq!(policy.tiers, [low.clone(), middle.clone(), high.clone()]);
    for (paise, wanted) in [
        (Some(0), &low),
        (Some(8_999), &low),
        (Some(9_000), &middle),
        (Some(99_999), &middle),
        (Some(100_000), &high),
        (None, &high),
    ] {
        assert_eq!(policy.tier(paise.map(super::inr)).unwrap(), wanted, "{paise:?}");
    }
    assert_eq!(list_in(&mut conn).await.unwrap()[0].policy, policy);
}

/// What nobody quoted is worth nobody knows what: the strictest tier.
#[tokio::test]
async fn what_cannot_be_valued_is_judged_strictly() {
    let world = World::open().await;
    world.set(&[tier(0, ["1", "1", "1"], 1), tier(1_000_000, ["1", "9", "9"], 1)]).await;
    let asked = world.ask(100_000, 1_000).await;
    let mut unquoted = asked.clone();
    unquoted.asset = Asset::Usdc;
    let id = world.see(&unquoted, "usdc", 5, ("b1", 1)).await;
    assert_eq!(world.judge(id, 3, agreed()).await, Confirmed::Now, "USDC has no policy: settings");
    let mut stranger = asked.clone();
    stranger.address = "nobody's".to_owned();
    let id = world.see(&stranger, "unknown", 5, ("b1", 1)).await;
    assert_eq!(world.judge(id, 8, agreed()).await, Confirmed::Waits);
    assert_eq!(world.judge(id, 9, agreed()).await, Confirmed::Now);
}

#[tokio::test]
async fn tags_of_the_protocol_are_believed_only_when_told() {
    let world = World::open().await;
    world.set(&[tier(0, ["1", "finalized", "finalized"], 1)]).await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    for depth in [
        Depth { latest: 10_000, safe: Some(10_000), finalized: None },
        Depth { latest: 10_000, safe: Some(10_000), finalized: Some(9) },
    ] {
        assert_eq!(world.judge_at(id, depth, agreed()).await, Confirmed::Waits);
    }
    let last = Depth { latest: 10_000, safe: None, finalized: Some(10) };
    assert_eq!(world.judge_at(id, last, agreed()).await, Confirmed::Now);
}

#[tokio::test]
async fn unsound_policies_are_refused_and_change_nothing() {
    let world = World::open().await;
    let lab = net("lab");
    let sound = [tier(0, ["1", "2", "2"], 1)];
    let new = NewPolicy {
        network: &lab,
        asset: Asset::Eth,
        tiers: &sound,
        actor: "test",
        reason: "a test",
    };
    let (nowhere, mempool) = (net("nowhere"), [tier(0, ["mempool", "mempool", "2"], 1)]);
    let mut conn = world.base.pool.acquire().await.unwrap();
    let bad = NewPolicy { tiers: &mempool, ..new.clone() };
    let refused = set_in(&mut conn, &world.base, &bad).await;
    assert!(matches!(refused, Err(SetError::Refused(Refusal::MempoolCredits))), "{refused:?}");
    for bad in [
        NewPolicy { network: &nowhere, ..new.clone() },
        NewPolicy { asset: Asset::Btc, ..new.clone() },
    ] {
        let refused = set_in(&mut conn, &world.base, &bad).await;
        assert!(matches!(refused, Err(SetError::NotCarried(..))), "{refused:?}");
    }
    let long = "x".repeat(501);
    for bad in [
        NewPolicy { actor: " ", ..new.clone() },
        NewPolicy { reason: "", ..new.clone() },
        NewPolicy { reason: &long, ..new.clone() },
    ] {
        let refused = set_in(&mut conn, &world.base, &bad).await;
        assert!(matches!(refused, Err(SetError::Unsigned)), "{refused:?}");
    }
    assert_eq!(world.count("select count(*) from confirmation_policies").await, 0);
}

/// The database keeps history by itself, also against the owner of the tables.
#[tokio::test]
async fn nobody_rewrites_a_version() {
    let world = World::open().await;
    world.set(&[tier(0, ["1", "2", "2"], 1)]).await;
    let row = |version: i32, from: i64, rules: [&str; 3]| {
        format!(
            "insert into confirmation_policies values ('lab', 'ETH', {version}, {from},
               '{}', '{}', '{}', 1, 'x', 'x', now())",
            rules[0], rules[1], rules[2]
        )
    };
    let fine = ["depth:1", "depth:2", "depth:2"];
    for (pool, sql) in [
        (&world.db.owner, "update confirmation_policies set min_witnesses = 2".to_owned()),
        (&world.db.owner, "delete from confirmation_policies".to_owned()),
        (&world.db.owner, "truncate confirmation_policies".to_owned()),
        (&world.db.app, "update confirmation_policies set reason = 'x'".to_owned()),
        (&world.db.app, row(1, 500, fine)),
        (&world.db.app, row(2, 500, fine)),
        (&world.db.app, row(3, 0, fine)),
        (&world.db.app, row(2, 0, ["depth:1", "mempool", "depth:2"])),
        (&world.db.app, row(2, 0, ["depth:1", "depth:1", "safe"])),
        (&world.db.app, row(2, 0, ["depth:0", "depth:1", "depth:1"])),
    ] {
        let done = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(pool).await;
        assert!(done.is_err(), "went through: {sql}");
    }
    assert_eq!(world.count("select count(*) from confirmation_policies").await, 1);
    let sql = row(2, 0, fine);
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&world.db.app).await.unwrap();
}

#[tokio::test]
async fn two_who_set_at_once_get_two_versions() {
    let world = World::open().await;
    let lab = net("lab");
    let sets = (0..8_u16).map(|number| {
        let (world, lab) = (&world, &lab);
        async move {
            let tiers = [tier(0, ["1", "2", "2"], number + 1), tier(100, ["1", "3", "3"], 16)];
            let new = NewPolicy {
                network: lab,
                asset: Asset::Eth,
                tiers: &tiers,
                actor: "test",
                reason: "a test",
            };
            let mut tx = world.base.pool.begin().await.unwrap();
            let version = set_in(&mut tx, &world.base, &new).await.unwrap();
            tx.commit().await.unwrap();
            version
        }
    });
    let mut versions = join_all(sets.collect()).await;
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);
    let mut conn = world.base.pool.acquire().await.unwrap();
    let newest = current_in(&mut conn, &world.base, &lab, Asset::Eth).await.unwrap();
    assert_eq!((newest.version, newest.tiers.len()), (8, 2));
}

/// Polls all of them in turn until each has ended.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, slot) in running.iter_mut().zip(done.iter_mut()) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Shown is not credited: a policy that shows the mempool books nothing before a block.
#[tokio::test]
async fn showing_credits_nothing() {
    let world = World::open().await;
    world.set(&[tier(0, ["mempool", "1", "2"], 1)]).await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    assert_eq!(world.judge(id, 10, agreed()).await, Confirmed::Waits);
    assert_eq!(world.judge(id, 9, agreed()).await, Confirmed::Waits, "a tip below the block");
    assert_eq!(world.books().await.deposit, 0);
    assert_eq!(world.deposit(id).await.amount, eth(1_000));
    world.sound().await;
}
