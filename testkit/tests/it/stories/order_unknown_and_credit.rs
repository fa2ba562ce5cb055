//! An order's answer is lost while coins of ours arrive at its venue, which tells no deposits: the
//! order is proven absent beside them, and they are booked afterwards. Neither waits for ever.

use anyhow::{Context as _, Result, bail};
use ledger::Leg;
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use serde_json::json;
use settlement::{bookkeeping, chart};
use testkit::{Asked, Fleet, network};
use uuid::Uuid;

use super::net;

/// A sweep whose block is final, on its way to the venue that pays rupees.
async fn on_its_way(fleet: &Fleet, amount: Amount) -> Result<Uuid> {
    let (base, network, asset) = (&fleet.base, network()?, amount.asset());
    let (id, now) = (base.uuid(), fleet.now());
    let escrow = chart::escrow(&network, asset);
    let mut tx = base.pool.begin().await?;
    bookkeeping::capital_paid_in(&mut tx, base, escrow.clone(), amount, "a sweep").await?;
    let out = ledger::Transfer {
        key: format!("move:{}:1:out", id.simple()),
        kind: "transfer.out",
        correlation: Some(id),
        actor: "a story".to_owned(),
        effective_at: now,
        meta: json!({}),
        legs: vec![Leg::new(chart::transit(network.as_str(), "wazirx", asset), escrow, amount)],
    };
    ledger::post(&mut tx, &out).await?;
    tx.commit().await?;
    sqlx::query(
        "insert into moves (id, purpose, network, asset, venue, to_address, takes_all, fee_asset,
           state, amount_minor, fee_max_minor, won, block_hash, height, arrived_minor, cost_minor,
           planned_at, final_at, updated_at)
         values ($1, 'fund_venue', $2, $3, 'wazirx', '0xvenue', false, $3, 'final',
           $4::text::numeric, 0, 1, '0xblock', 900000000, $4::text::numeric, 0, $5, $5, $5)",
    )
    .bind(id)
    .bind(network.as_str())
    .bind(asset.code())
    .bind(amount.minor().to_string())
    .bind(now)
    .execute(&fleet.db.owner)
    .await?;
    sqlx::query(
        "insert into move_attempts (move_id, attempt, intent_id, amount_minor, fee_max_minor,
           fee_paise, draft, state, tx_id, raw, first_sent_at, sent_at, planned_at)
         values ($1, 1, $2, $3::text::numeric, 0, 0, '{}', 'won', '0xsweep', '0xraw', $4, $4, $4)",
    )
    .bind(id)
    .bind(base.uuid())
    .bind(amount.minor().to_string())
    .bind(now)
    .execute(&fleet.db.owner)
    .await?;
    Ok(id)
}

/// A payment whose order never reached the venue, and nobody knows.
async fn unknown(fleet: &Fleet) -> Result<Asked> {
    fleet.fault("wazirx", "place_order", "http_500_not_applied")?;
    let asked = fleet.ask(180_000, Asset::Eth).await?;
    fleet.pay(&asked, asked.payable()).await?;
    fleet.step(2).await?;
    fleet.mine(3).await?;
    for _ in 0..60 {
        if fleet.count("select count(*) from order_attempts where state = 'unknown'").await? == 1 {
            return Ok(asked);
        }
        fleet.step(1).await?;
    }
    bail!("no order is unknown");
}

/// Until the payment is settled; says what the order waits for when it is not.
async fn settles(fleet: &Fleet, asked: &Asked) -> Result<()> {
    for _ in 0..60 {
        fleet.step(3).await?;
        if fleet.story(asked).await?.state == "settled" {
            return Ok(());
        }
    }
    let orders: Vec<String> = sqlx::query_scalar(
        "select format('%s %s %s; %s', a.state, a.note, a.evidence, c.state) from order_attempts a
         join conversions c on c.id = a.conversion_id order by a.attempt",
    )
    .fetch_all(&fleet.base.pool)
    .await?;
    let seen = workers::compare_all(&fleet.worker.ctx).await?;
    let off: Vec<_> = seen.iter().filter(|line| !line.agrees()).collect();
    bail!("it is not settled: {orders:?}; {off:?}; {:?}", fleet.failures())
}

async fn credited(fleet: &Fleet) -> Result<i64> {
    fleet.count("select count(*) from moves where state = 'credited'").await
}

#[tokio::test]
async fn neither_waits_for_the_other() -> Result<()> {
    let fleet = Fleet::open().await?;
    let sweep = on_its_way(&fleet, Amount::parse_units("1.5", Asset::Eth)?).await?;
    let asked = unknown(&fleet).await?;
    let venue = &fleet.outside.sims.wazirx;
    assert!(venue.deposit("ETH", Decimal::new(15, 1), "0xsweep"));
    fleet.advance(20).await?;
    assert_eq!(credited(&fleet).await?, 0, "not while the order may explain it");
    settles(&fleet, &asked).await?;
    assert_eq!((fleet.orders_at_venue()?, fleet.payouts_at_bank()?), (1, 1));
    let proof: serde_json::Value =
        sqlx::query_scalar("select evidence from order_attempts where state = 'absent'")
            .fetch_one(&fleet.base.pool)
            .await?;
    for look in ["first", "second"] {
        let seen = &proof[look]["seen"];
        assert_eq!(seen["arrived"]["items"][0], sweep.to_string(), "{seen}");
        assert_eq!(seen["arrived"]["proceeds"], seen["arrived"]["proceeds_books"]);
        assert_ne!(seen["balance"], seen["books"]);
        assert!(seen["resting"].is_object() || seen["resting"].is_string(), "{seen}");
    }
    fleet.advance(300).await?;
    assert_eq!(credited(&fleet).await?, 1);
    assert_eq!(fleet.received_by(fleet.shop()?)?, net(180_000));
    fleet.check_books().await
}

/// More came than was on its way: nothing is proven by that, and a person's word ends it.
#[tokio::test]
async fn what_is_not_explained_proves_nothing() -> Result<()> {
    let fleet = Fleet::open().await?;
    on_its_way(&fleet, Amount::parse_units("1.5", Asset::Eth)?).await?;
    let asked = unknown(&fleet).await?;
    let venue = &fleet.outside.sims.wazirx;
    assert!(venue.deposit("ETH", Decimal::new(16, 1), "0xsweep and more"));
    fleet.advance(200).await?;
    let story = fleet.story(&asked).await?;
    assert_eq!((story.state, story.sale.context("a sale")?.state), ("settling", "unknown"));
    assert_eq!((credited(&fleet).await?, fleet.orders_at_venue()?), (0, 0));
    let kept = "select count(*) from order_attempts where evidence is not null";
    assert_eq!(fleet.count(kept).await?, 0);
    // A person books what was too much as what it is: the owners' own.
    let more = Amount::parse_units("0.1", Asset::Eth)?;
    let mut tx = fleet.base.pool.begin().await?;
    let free = chart::venue_free("wazirx", Asset::Eth);
    bookkeeping::capital_paid_in(&mut tx, &fleet.base, free, more, "found").await?;
    tx.commit().await?;
    settles(&fleet, &asked).await?;
    fleet.advance(300).await?;
    assert_eq!(credited(&fleet).await?, 1);
    fleet.check_books().await
}
