//! Witnesses: enough of them, none against, and nothing concluded from silence.

use super::{World, agreed, net, tier, word};
use crate::{
    deposit::Confirmed,
    policy::{Said, resume_in, stopped_in},
};

fn silent() -> Said {
    Said::Silent("connection refused".to_owned())
}

fn other() -> Said {
    Said::Other("b10-of-another-branch".to_owned())
}

#[tokio::test]
async fn as_many_nodes_as_the_policy_asks_for() {
    let world = World::open().await;
    world.set(&[tier(0, ["1", "2", "2"], 2)]).await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    for words in [
        vec![],
        agreed(),
        vec![word("a", Said::Same), word("a", Said::Same)],
        vec![word("a", Said::Same), word("b", silent())],
        vec![word("a", Said::Same), word("b", Said::Behind)],
    ] {
        assert_eq!(world.judge(id, 20, words).await, Confirmed::Waits);
    }
    assert_eq!(world.count("select count(*) from inclusion_evidence").await, 0);
    assert_eq!(world.cases().await, Vec::<String>::new(), "a node that is down is no case");
    assert_eq!(world.deposit(id).await.state.name(), "seen", "and no deposit is gone");
    let words = vec![word("a", Said::Same), word("b", silent()), word("c", Said::Same)];
    assert_eq!(world.judge(id, 20, words).await, Confirmed::Now);
    let told: serde_json::Value =
        sqlx::query_scalar("select witnesses from inclusion_evidence where level = 'final'")
            .fetch_one(&world.db.app)
            .await
            .unwrap();
    assert_eq!(told[1]["says"], "silent");
    assert_eq!(told[2], serde_json::json!({ "node": "c", "says": "same", "what": null }));
    world.sound().await;
}

#[tokio::test]
async fn evidence_never_changes() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    world.judge(id, 20, agreed()).await;
    for sql in [
        "update inclusion_evidence set latest = 1",
        "delete from inclusion_evidence",
        "truncate inclusion_evidence",
    ] {
        assert!(sqlx::query(sql).execute(&world.db.owner).await.is_err(), "{sql}");
    }
}

/// One node on another branch: its network credits nothing, the others go on.
#[tokio::test]
async fn a_disagreement_stops_the_network() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let disputed = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    let beside = world.ask(100_000, 1_000).await;
    let innocent = world.see(&beside, "tx2", 1_000, ("b9", 9)).await;
    let words = vec![word("a", Said::Same), word("b", Said::Same), word("c", other())];
    assert_eq!(world.judge(disputed, 20, words.clone()).await, Confirmed::Waits);
    assert_eq!(world.cases().await, ["nodes_disagree"]);
    assert_eq!(world.judge(disputed, 21, words).await, Confirmed::Waits);
    assert_eq!(world.cases().await, ["nodes_disagree"], "told once");
    assert_eq!(world.judge(innocent, 20, agreed()).await, Confirmed::Waits, "all of it stops");
    assert_eq!(world.books().await.deposit, 0);
    let elsewhere = world.ask_in(
        100_000,
        "other",
        primitives::Amount::try_new(9, primitives::Asset::Eth).unwrap(),
    );
    let elsewhere = elsewhere.await;
    let id = world.see(&elsewhere, "tx3", 9, ("o1", 1)).await;
    let depth = crate::deposit::Depth { latest: 9, safe: None, finalized: Some(9) };
    assert_eq!(world.judge_at(id, depth, agreed()).await, Confirmed::Now, "another network");
    let kept = "select count(*) from inclusion_evidence where level = 'dispute'";
    assert_eq!(world.count(kept).await, 1);
}

#[tokio::test]
async fn a_dispute_ends_when_every_node_holds_the_block() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    let against = vec![word("a", Said::Same), word("b", other())];
    assert_eq!(world.judge(id, 20, against).await, Confirmed::Waits);
    // The dissenting node falls silent, lags, or is taken away: it has not changed its mind.
    assert_eq!(world.judge(id, 21, agreed()).await, Confirmed::Waits);
    for says in [silent(), Said::Behind] {
        let words = vec![word("a", Said::Same), word("b", says)];
        assert_eq!(world.judge(id, 21, words).await, Confirmed::Waits);
    }
    world.clock.advance(chrono::TimeDelta::days(1) - chrono::TimeDelta::minutes(1));
    let words = vec![word("a", Said::Same), word("b", silent())];
    assert_eq!(world.judge(id, 9_000, words).await, Confirmed::Waits, "time ends no dispute");
    // Another one dissents as well: now both have to come round.
    let another = vec![word("a", Said::Same), word("b", Said::Same), word("c", other())];
    assert_eq!(world.judge(id, 22, another).await, Confirmed::Waits);
    let one = vec![word("a", Said::Same), word("b", Said::Same), word("c", silent())];
    assert_eq!(world.judge(id, 22, one).await, Confirmed::Waits);
    let together = vec![word("a", Said::Same), word("b", Said::Same), word("c", Said::Same)];
    assert_eq!(world.judge(id, 22, together).await, Confirmed::Now);
    assert_eq!(world.cases().await, Vec::<String>::new(), "the case is closed with it");
    let how = "select count(*) from block_disputes where resolution = 'agreed'";
    assert_eq!(world.count(how).await, 1);
    world.sound().await;
}

#[tokio::test]
async fn a_dispute_ends_when_the_chain_leaves_the_block() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    let against = vec![word("a", Said::Same), word("b", other())];
    assert_eq!(world.judge(id, 20, against).await, Confirmed::Waits);
    world.gone(id).await;
    assert_eq!(world.cases().await, Vec::<String>::new());
    let how = "select count(*) from block_disputes where resolution = 'orphaned'";
    assert_eq!(world.count(how).await, 1);
    world.see(&asked, "tx", 1_000, ("b11", 11)).await;
    let together = vec![word("a", Said::Same), word("b", Said::Same)];
    assert_eq!(world.judge(id, 20, together).await, Confirmed::Now);
    world.sound().await;
}

#[tokio::test]
async fn a_person_may_end_a_dispute() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    world.judge(id, 20, vec![word("a", Said::Same), word("b", other())]).await;
    let mut tx = world.base.pool.begin().await.unwrap();
    assert!(stopped_in(&mut tx, &net("lab")).await.unwrap());
    let none = resume_in(&mut tx, &world.base, &net("other"), "the wrong network").await.unwrap();
    let ended = resume_in(&mut tx, &world.base, &net("lab"), "node b was on a fork").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((none, ended), (0, 1));
    assert_eq!(world.cases().await, Vec::<String>::new());
    assert_eq!(world.judge(id, 20, agreed()).await, Confirmed::Now);
    world.sound().await;
}

/// A finding about another block than the one recorded confirms nothing.
#[tokio::test]
async fn a_stale_finding_is_ignored() {
    let world = World::open().await;
    let asked = world.ask(100_000, 1_000).await;
    let id = world.see(&asked, "tx", 1_000, ("b10", 10)).await;
    let finding = crate::policy::Finding {
        block_hash: "b9".to_owned(),
        depth: crate::deposit::Depth { latest: 99, safe: None, finalized: None },
        witnesses: agreed(),
    };
    let mut tx = world.base.pool.begin().await.unwrap();
    let stale = crate::deposit::confirm_in(&mut tx, &world.base, id, &finding).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stale, Confirmed::NotWaiting);
    assert_eq!(world.judge(id, 99, agreed()).await, Confirmed::Now);
    assert_eq!(world.judge(id, 99, agreed()).await, Confirmed::NotWaiting, "once is enough");
    world.sound().await;
}
