//! A venue's deposit address is asked once and kept: another word later stops everything.

use anyhow::Result;
use primitives::Asset;
use settlement::treasury::{self, Offer, PersonError};

use super::{
    net::Kind,
    world::{World, amount},
};

async fn confirm(w: &World, address: &str) -> Result<(), PersonError> {
    let network = w.network();
    let offer = Offer { venue: "near", asset: Asset::Eth, network: &network, address };
    let mut tx = w.base.pool.begin().await?;
    treasury::confirm_in(&mut tx, &w.base, &offer, ("ops", "called them back")).await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_changed_address_waits_for_a_person() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.settle().await?;
    w.near.books().address = "near-anew".to_owned();
    w.deposit(2, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    assert_eq!(w.moves().await?.len(), 1);
    assert_eq!(w.cases().await?, ["venue_address_changed"]);
    // Taken back: still a person's business.
    w.near.books().address = "near-deposits".to_owned();
    w.turn(5).await?;
    assert_eq!(w.moves().await?.len(), 1);
    w.near.books().address = "near-anew".to_owned();
    w.turn(5).await?;
    let wrong = confirm(&w, "mine").await;
    assert!(matches!(wrong, Err(PersonError::NotThere(_))), "{wrong:?}");
    confirm(&w, "near-anew").await?;
    assert!(w.cases().await?.is_empty());
    w.settle().await?;
    assert_eq!(w.net.reached("near-anew", 1).len(), 1);
    assert_eq!(w.moves().await?, ["credited", "credited"]);
    Ok(())
}

/// Planned for the old address and not sent: it is not sent any more.
#[tokio::test]
async fn what_was_planned_for_the_old_address_is_not_sent() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().silent_after = 1;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.near.books().address = "near-anew".to_owned();
    w.deposit(2, amount("1", Asset::Eth)).await?;
    w.turn(300).await?;
    w.turn(300).await?;
    assert!(w.net.state().handed.is_empty());
    let state = w.moves().await?.remove(0);
    assert!(["planned", "signed"].contains(&state.as_str()), "{state}");
    // Given up by a person, both go to the new one.
    confirm(&w, "near-anew").await?;
    let mut tx = w.base.pool.begin().await?;
    let id = w.the_move().await?;
    treasury::cancel_in(&mut tx, &w.base, id, ("ops", "another address")).await?;
    tx.commit().await?;
    w.settle().await?;
    assert_eq!(w.net.reached("near-anew", 1).len(), 2);
    Ok(())
}
