//! What a person gives up: only with the chain's proof, and what brought nothing.

use anyhow::Result;
use primitives::Asset;
use settlement::treasury::{self, PersonError};
use workers::Connectors;

use super::{
    net::Kind,
    world::{World, amount},
};

async fn abandon(w: &World) -> Result<Result<(), PersonError>> {
    let mut connectors = Connectors::default();
    connectors.carriers.insert(w.network(), w.net.clone());
    connectors.chains.insert(w.network(), w.net.clone());
    let id = w.the_move().await?;
    Ok(workers::abandon(&connectors, &w.base, id, ("ops", "it is over")).await)
}

async fn is_nothing_held(w: &World) -> Result<bool> {
    let held = "select count(*) from ledger.balances where credits_pending > 0";
    Ok(w.count(held).await? == 0)
}

/// Only another transaction of the same nonce or output ends one there.
#[tokio::test]
async fn nothing_proves_that_a_fenced_one_is_over() -> Result<()> {
    for (kind, asset) in [(Kind::Addresses, Asset::Eth), (Kind::Outputs, Asset::Btc)] {
        let w = World::open(kind).await?;
        w.net.state().block_fee = 1_000_000;
        w.deposit(1, amount("0.1", asset)).await?;
        w.turn(1).await?;
        let no = abandon(&w).await?;
        assert!(matches!(no, Err(PersonError::NotProven(1, _))), "{no:?}");
        assert_eq!(w.moves().await?, ["sent"]);
        w.net.state().block_fee = 0;
        w.settle().await?;
        w.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_proven_to_be_over_is_given_up() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().expires = true;
    w.net.state().bump_refused = true;
    w.net.state().block_fee = 1_000_000;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let no = abandon(&w).await?;
    assert!(matches!(no, Err(PersonError::NotProven(1, _))), "it may still come: {no:?}");
    w.net.expire();
    w.net.state().bump_refused = false;
    abandon(&w).await??;
    assert_eq!(w.moves().await?, ["cancelled"]);
    let said = "select count(*) from transitions where event = 'abandoned'
      and cause ->> 'by' = 'ops' and cause ->> 'reason' = 'it is over'";
    assert_eq!(w.count(said).await?, 1);
    w.check().await?;
    w.net.state().block_fee = 0;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["cancelled", "credited"]);
    w.check().await
}

/// A proof of the attempts that were looked at is none for one that came meanwhile.
#[tokio::test]
async fn a_proof_counts_for_what_was_looked_at() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().block_fee = 1_000_000;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.turn(61).await?;
    let mut tx = w.base.pool.begin().await?;
    let id = w.the_move().await?;
    let no = treasury::abandon_in(&mut tx, &w.base, id, &[1], ("ops", "why")).await;
    assert!(matches!(no, Err(PersonError::OnItsWay)), "{no:?}");
    Ok(())
}

/// A final block shows it, and nothing came: the fee is booked, and nothing is held for ever.
#[tokio::test]
async fn what_brought_nothing_has_an_end() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().swallows = true;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    assert_eq!((w.moves().await?, w.cases().await?), (one("in_review"), one("move_differs")));
    abandon(&w).await??;
    assert_eq!((w.moves().await?, w.cases().await?.len()), (one("failed"), 0));
    assert_eq!(w.escrow(Asset::Eth).await?, 10_i128.pow(18) - 500);
    assert!(is_nothing_held(&w).await?);
    let twice = abandon(&w).await?;
    assert!(matches!(twice, Err(PersonError::NotNow("failed", _))), "{twice:?}");
    Ok(())
}

/// A node that has not the block yet tells nothing of it: that is no proof that nothing came.
#[tokio::test]
async fn a_node_that_lags_proves_nothing() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().lags = 1;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    w.settle().await?;
    assert_eq!((w.moves().await?, w.cases().await?.len()), (one("credited"), 0));
    assert_eq!(w.net.state().lags, 0, "it was met");
    w.check().await
}

/// What looked as if it had brought nothing is read anew before anything is booked or freed.
#[tokio::test]
async fn what_brought_something_is_not_given_up() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().swallows = true;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["in_review"]);
    w.net.state().swallows = false;
    let no = abandon(&w).await?;
    assert!(matches!(no, Err(PersonError::NotProven(1, _))), "{no:?}");
    assert_eq!(w.moves().await?, ["in_review"]);
    Ok(())
}

/// A node that answered nonsense answers better now.
#[tokio::test]
async fn what_brought_nothing_is_read_again() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().swallows = true;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    w.net.state().swallows = false;
    let mut tx = w.base.pool.begin().await?;
    treasury::retry_in(&mut tx, &w.base, w.the_move().await?, ("ops", "again")).await?;
    tx.commit().await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    w.check().await
}

fn one(word: &str) -> Vec<String> {
    vec![word.to_owned()]
}
