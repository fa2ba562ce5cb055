//! Parked payouts and sales are tried again by a person, never while an earlier attempt may have
//! worked.

use anyhow::Result;
use primitives::{Amount, Asset, ConversionId, PayoutId};
use settlement::{
    bookkeeping, case, chart,
    conversion::{self, Offer, Planned as Sale},
    payout::{self, Frozen, Payout, Planned, RetryError},
};

use crate::world::{Asked, World, offer};

fn freeze(payout: &Payout, attempt: i32) -> Frozen {
    Frozen {
        idempotency_key: format!("{}-{attempt}", payout.id),
        reference: format!("{}-{attempt}", payout.id),
        fund_account_id: "fa_1".to_owned(),
        body: format!("{{\"attempt\":{attempt}}}"),
    }
}

fn usdc(w: &World) -> Offer {
    offer(w, "wazirx", (Asset::Usdc, Asset::Inr), 80)
}

/// A payment on its way to its shop, its crypto in a conversion.
pub(crate) async fn selling(w: &World) -> Result<(Asked, ConversionId)> {
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    let mut tx = w.base.pool.begin().await?;
    let inventory = Amount::try_new(1_000_000_000, Asset::Usdc)?;
    let venue = chart::venue_free("wazirx", Asset::Usdc);
    bookkeeping::capital_paid_in(&mut tx, &w.base, venue, inventory, "inventory").await?;
    tx.commit().await?;
    w.pass(5);
    let offers = [usdc(w)];
    let mut tx = w.base.pool.begin().await?;
    let planned = conversion::plan_batch_in(&mut tx, &w.base, Asset::Usdc, &offers).await?;
    let Sale::Order(order) = planned else { panic!("{planned:?}") };
    conversion::mark_sent_in(&mut tx, &w.base, &order).await?;
    tx.commit().await?;
    Ok((asked, order.conversion))
}

async fn refuse_order(w: &World, id: ConversionId, attempt: i32) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    conversion::refused_in(&mut tx, &w.base, id, attempt, "no").await?;
    tx.commit().await?;
    Ok(())
}

async fn next_order(w: &World, id: ConversionId) -> Result<Sale> {
    let mut tx = w.base.pool.begin().await?;
    let planned = conversion::plan_next_in(&mut tx, &w.base, id, &usdc(w)).await?;
    tx.commit().await?;
    Ok(planned)
}

async fn retry_sale(w: &World, id: ConversionId) -> Result<(), conversion::RetryError> {
    let mut tx = w.base.pool.begin().await?;
    conversion::retry_in(&mut tx, &w.base, id, "the market is back").await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_parked_sale_goes_on_with_its_payments() -> Result<()> {
    let w = World::open().await?;
    let (asked, id) = selling(&w).await?;
    let alive = retry_sale(&w, id).await;
    assert!(matches!(alive, Err(conversion::RetryError::NotParked(_))));
    refuse_order(&w, id, 1).await?;
    assert_eq!(next_order(&w, id).await?, Sale::NeedsPerson);
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.cases(asked.id, true).await?, ["conversion_stuck"]);
    retry_sale(&w, id).await?;
    assert_eq!(w.state(asked.id).await?, "settling");
    assert!(w.cases(asked.id, true).await?.is_empty());
    assert!(matches!(next_order(&w, id).await?, Sale::Order(_)), "one more order is allowed");
    let again = retry_sale(&w, id).await;
    assert!(matches!(again, Err(conversion::RetryError::NotParked(_))));
    w.sound().await
}

/// An order whose fate is unknown may have sold: no new one, whoever asks.
#[tokio::test]
async fn a_sale_with_a_live_order_is_refused() -> Result<()> {
    let w = World::open().await?;
    let (_, id) = selling(&w).await?;
    sqlx::query("update conversions set state = 'in_review'").execute(&w.db.owner).await?;
    let refused = retry_sale(&w, id).await;
    assert!(matches!(refused, Err(conversion::RetryError::StillOpen("sent"))), "{refused:?}");
    Ok(())
}

/// A payout whose only attempt was refused by the rail.
async fn parked(w: &World) -> Result<(Asked, PayoutId)> {
    let (asked, _) = selling(w).await?;
    let mut tx = w.base.pool.begin().await?;
    let float = World::inr(10_000_000);
    let bank = chart::bank("razorpayx");
    bookkeeping::capital_paid_in(&mut tx, &w.base, bank, float, "float").await?;
    payout::plan_in(&mut tx, &w.base, asked.id).await?;
    tx.commit().await?;
    let id: uuid::Uuid =
        sqlx::query_scalar("select id from payouts").fetch_one(&w.base.pool).await?;
    let id = PayoutId::from_uuid(id);
    send(w, id).await?;
    let mut tx = w.base.pool.begin().await?;
    payout::refused_in(&mut tx, &w.base, id, 1, "the account is closed").await?;
    tx.commit().await?;
    assert_eq!(w.state(asked.id).await?, "in_review");
    assert_eq!(w.cases(asked.id, true).await?, ["payout_stuck"]);
    Ok((asked, id))
}

async fn send(w: &World, id: PayoutId) -> Result<i32> {
    let mut tx = w.base.pool.begin().await?;
    let planned = payout::plan_attempt_in(&mut tx, &w.base, id, &freeze).await?;
    let Planned::Attempt(attempt) = planned else { panic!("{planned:?}") };
    assert!(payout::mark_sent_in(&mut tx, &w.base, &attempt).await?);
    tx.commit().await?;
    Ok(attempt.attempt)
}

async fn retry(w: &World, id: PayoutId) -> Result<(), RetryError> {
    let mut tx = w.base.pool.begin().await?;
    payout::retry_in(&mut tx, &w.base, id, "the bank opened it again").await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_parked_payout_gets_one_more_attempt() -> Result<()> {
    let w = World::open().await?;
    let (asked, id) = parked(&w).await?;
    retry(&w, id).await?;
    assert_eq!(w.state(asked.id).await?, "settling");
    assert!(w.cases(asked.id, true).await?.is_empty());
    assert!(matches!(retry(&w, id).await, Err(RetryError::NotParked(_))));
    assert_eq!(send(&w, id).await?, 2, "under a new key, beyond the settings' own limit");
    let nobody = PayoutId::from_uuid(w.base.uuid());
    assert!(matches!(retry(&w, nobody).await, Err(RetryError::NotFound)));
    w.sound().await
}

/// The last attempt's fate is unknown: it may have paid.
#[tokio::test]
async fn a_payout_of_unknown_fate_is_refused() -> Result<()> {
    let w = World::open().await?;
    let (_, id) = parked(&w).await?;
    for state in ["sent", "unknown", "pending", "queued", "processing", "processed"] {
        sqlx::query("update payout_attempts set state = $1")
            .bind(state)
            .execute(&w.db.owner)
            .await?;
        let refused = retry(&w, id).await;
        assert!(matches!(refused, Err(RetryError::StillOpen(_))), "{state}: {refused:?}");
    }
    Ok(())
}

/// The rail contradicts our books about this payout: a person settles that first.
#[tokio::test]
async fn a_contradicted_payout_is_refused_until_the_case_is_closed() -> Result<()> {
    let w = World::open().await?;
    let (asked, id) = parked(&w).await?;
    let mut conn = w.base.pool.acquire().await?;
    let new = case::NewCase {
        kind: "old_payout_attempt_paid",
        subject: &format!("{id}:1"),
        payment: Some(asked.id),
        amount: None,
        detail: serde_json::json!({}),
    };
    case::open_in(&mut conn, &w.base, new).await?;
    assert!(matches!(retry(&w, id).await, Err(RetryError::Contradicted(_))));
    for open in case::open_cases(&mut conn).await? {
        if open.kind == "old_payout_attempt_paid" {
            case::close_in(&mut conn, &w.base, open.id, "the statement shows no debit").await?;
        }
    }
    drop(conn);
    retry(&w, id).await?;
    w.sound().await
}
