//! The database was restored, and the signer has signed something under an id that we give anew.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use chains::carrier::{Carrier as _, Draft, SignedTx, Unsigned};
use primitives::{Amount, Asset, MoveId, derived_uuid};
use settlement::treasury::{self, PersonError};
use signing::{Intent, Purpose, Signer as _};
use workers::{Connectors, Logged};

use super::{
    net::{Kind, Net},
    outside::refusal,
    world::{World, amount},
};

const BY: (&str, &str) = ("ops", "from the signer's log");

/// What the lost rows had signed as the second attempt, at another fee, and handed out.
async fn lost(w: &World, fee: i128, is_sent: bool) -> Result<(MoveId, SignedTx)> {
    let id = w.the_move().await?;
    let draft: serde_json::Value =
        sqlx::query_scalar("select draft from move_attempts where move_id = $1 and attempt = 1")
            .bind(id.uuid())
            .fetch_one(&w.db.owner)
            .await?;
    let mut draft: Draft = serde_json::from_value(draft)?;
    let less = draft.amount.minor() + draft.fee_max.minor() - fee;
    let Unsigned::Evm(transfer) = &mut draft.unsigned else { anyhow::bail!("another network") };
    transfer.minor = less.to_string();
    transfer.fee_per_gas_max = fee.to_string();
    let intent = Intent {
        id: derived_uuid(&["move", &id.to_string(), "2"]),
        purpose: Purpose::FundVenue,
        network: w.network(),
        to: draft.to.clone(),
        amount: Amount::try_new(less, Asset::Eth)?,
        fee_max: Amount::try_new(fee, Asset::Eth)?,
        to_index: None,
        unsigned: draft.unsigned,
    };
    let signed = w.keys.sign(&intent).await?;
    if is_sent {
        w.net.send(&signed).await?;
    }
    Ok((id, signed))
}

fn connectors(w: &World) -> Connectors {
    let mut connectors = Connectors::default();
    connectors.carriers.insert(w.network(), w.net.clone());
    connectors.chains.insert(w.network(), w.net.clone());
    connectors
}

/// Whatever a person tries is refused before the transaction is brought.
async fn nothing_goes_on(w: &World, id: MoveId) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    let retried = treasury::retry_in(&mut tx, &w.base, id, BY).await;
    assert!(matches!(retried, Err(PersonError::Reused(2))), "{retried:?}");
    tx.rollback().await?;
    let mut tx = w.base.pool.begin().await?;
    let cancelled = treasury::cancel_in(&mut tx, &w.base, id, BY).await;
    assert!(cancelled.is_err(), "{cancelled:?}");
    tx.rollback().await?;
    let given_up = workers::abandon(&connectors(w), &w.base, id, BY).await;
    assert!(matches!(given_up, Err(PersonError::Reused(2))), "{given_up:?}");
    Ok(())
}

async fn adopt(w: &World, id: MoveId, signed: &SignedTx) -> Result<(), PersonError> {
    let logged = Logged { tx_id: signed.tx_id.clone(), raw: signed.raw.clone() };
    workers::adopt((&connectors(w), &w.base), (id, 2), &logged, BY).await
}

async fn ends_well(w: &World) -> Result<()> {
    for _ in 0..2 {
        w.settle().await?;
    }
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!(w.net.mined(), 1, "once");
    let won = "select count(*) from move_attempts where state = 'won' and adopts = 2";
    assert_eq!(w.count(won).await?, 1);
    assert!(!w.cases().await?.contains(&"signer_refused".to_owned()), "{:?}", w.cases().await?);
    w.check().await
}

/// A bump of before the restore is in a block: it is ours, and booked as such.
#[tokio::test]
async fn a_bump_that_is_in_a_block() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().block_fee = 2_500;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let (id, signed) = lost(&w, 3_000, true).await?;
    w.turn(61).await?;
    assert_eq!(
        (w.moves().await?, w.cases().await?),
        (vec!["in_review".to_owned()], vec!["signer_refused".to_owned()])
    );
    nothing_goes_on(&w, id).await?;
    adopt(&w, id, &signed).await?;
    let twice = adopt(&w, id, &signed).await;
    assert!(matches!(twice, Err(PersonError::NotThere(_))), "{twice:?}");
    ends_well(&w).await?;
    assert_eq!(w.at_near(Asset::Eth).await?, 10_i128.pow(18) - 3_000);
    Ok(())
}

/// The only attempt there is, and no node has it any more: it is handed out from the log.
#[tokio::test]
async fn a_draft_that_nobody_has() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.keys.desk().says.push_back(refusal("over_limit"));
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let (id, signed) = lost(&w, 1_500, false).await?;
    w.turn(61).await?;
    w.turn(5).await?;
    assert_eq!(w.moves().await?, ["in_review"]);
    nothing_goes_on(&w, id).await?;
    adopt(&w, id, &signed).await?;
    ends_well(&w).await
}

/// Where it is in a block and pays somebody else, it is not this move's.
#[tokio::test]
async fn a_strangers_is_not_adopted() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.net.state().block_fee = 2_500;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let (id, signed) = lost(&w, 3_000, true).await?;
    w.turn(61).await?;
    w.net.state().swallows = true;
    w.net.mine(1);
    let no = adopt(&w, id, &signed).await;
    assert!(matches!(no, Err(PersonError::NotProven(2, _))), "{no:?}");
    let mut tx = w.base.pool.begin().await?;
    let told = treasury::Adopted {
        tx_id: "0xelse".to_owned(),
        raw: "00".to_owned(),
        draft: serde_json::json!({}),
        amount: amount("1", Asset::Eth),
        fee_max: amount("0", Asset::Eth),
        nonce: None,
    };
    let no = treasury::adopt_in(&mut tx, &w.base, (id, 1), &told, BY).await;
    assert!(matches!(no, Err(PersonError::NotThere(_))), "{no:?}");
    let context = w.moves().await?.pop().context("no move")?;
    assert_eq!(context, "in_review");
    Ok(())
}

/// What the lost rows had signed in place of a top-up that the signer refused, with the first nonce
/// of the station, and handed out.
async fn lost_top_up(w: &World, fee: i128) -> Result<(MoveId, SignedTx)> {
    let (id, draft): (uuid::Uuid, serde_json::Value) = sqlx::query_as(
        "select m.id, a.draft from moves m join move_attempts a on a.move_id = m.id
         where m.purpose = 'gas' and a.state = 'dropped'",
    )
    .fetch_one(&w.db.owner)
    .await?;
    let id = MoveId::from_uuid(id);
    let mut draft: Draft = serde_json::from_value(draft)?;
    let Unsigned::Evm(transfer) = &mut draft.unsigned else { anyhow::bail!("another network") };
    (transfer.nonce, transfer.fee_per_gas_max) = (0, fee.to_string());
    let mut conn = w.base.pool.acquire().await?;
    let moved = treasury::get_in(&mut conn, id).await?.context("no move")?;
    let intent = Intent {
        id: derived_uuid(&["move", &id.to_string(), "2"]),
        purpose: Purpose::Gas,
        network: w.network(),
        to: draft.to.clone(),
        amount: draft.amount,
        fee_max: Amount::try_new(fee, Asset::Eth)?,
        to_index: moved.to_index,
        unsigned: draft.unsigned,
    };
    let signed = w.keys.sign(&intent).await?;
    w.net.send(&signed).await?;
    Ok((id, signed))
}

async fn in_review(w: &World) -> Result<()> {
    for _ in 0..3 {
        w.turn(61).await?;
    }
    let parked = "select count(*) from moves where purpose = 'gas' and state = 'in_review'";
    assert_eq!(w.count(parked).await?, 1, "{:?}", w.moves().await?);
    Ok(())
}

/// It used its own nonce, and the one it was drafted with anew is nobody's: the next gets that.
#[tokio::test]
async fn a_top_up_has_the_nonce_in_its_bytes() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.keys.desk().says.push_back(refusal("over_limit"));
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.turn(1).await?;
    let (id, signed) = lost_top_up(&w, 3_000).await?;
    w.net.mine(1);
    in_review(&w).await?;
    adopt(&w, id, &signed).await?;
    w.settle().await?;
    let own = "select count(*) from move_sources where nonce = 0 and spent";
    let burnt = "select count(*) from move_sources where nonce > 0 and (live or spent)";
    assert_eq!((w.count(own).await?, w.count(burnt).await?), (1, 0));
    assert!(w.cases().await?.is_empty(), "{:?}", w.cases().await?);
    w.deposit(2, amount("500", Asset::Usdc)).await?;
    w.settle().await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0, 1]));
    assert_eq!(w.at_near(Asset::Usdc).await?, 1_000_000_000);
    w.check().await
}

/// Another top-up has its nonce by now: the chain says which of the two was, and both come.
#[tokio::test]
async fn a_top_up_whose_nonce_is_anothers() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.keys.desk().says.push_back(refusal("over_limit"));
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.turn(1).await?;
    w.deposit(2, amount("500", Asset::Usdc)).await?;
    w.turn(5).await?;
    w.turn(5).await?;
    assert_eq!(w.net.nonces(Net::station()), BTreeSet::from([0]));
    let (id, signed) = lost_top_up(&w, 3_000).await?;
    in_review(&w).await?;
    adopt(&w, id, &signed).await?;
    for _ in 0..6 {
        w.settle().await?;
    }
    assert_eq!(w.at_near(Asset::Usdc).await?, 1_000_000_000, "{:?}", w.moves().await?);
    let nonces = w.net.nonces(Net::station());
    let all = u64::try_from(nonces.len())?;
    assert!(nonces.iter().copied().eq(0..all), "{nonces:?}");
    w.check().await
}
