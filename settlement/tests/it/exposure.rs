//! Open price risk: counted from what is there, and never above its limit.

use std::sync::Arc;

use anyhow::Result;
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use serde_json::json;
use settlement::{
    bookkeeping, chart,
    conversion::{self, FillFacts, OrderFacts, Planned},
    exposure::{self, Exposure, Room},
    quote::{Quote, QuoteError},
};

use crate::world::{World, offer, settings};

async fn limited(paise: i64) -> Result<World> {
    let mut w = World::open().await?;
    let limited = settings(|s| s["exposure_max_paise"] = json!({ "ETH": paise }));
    w.base.settings = Arc::new(limited);
    Ok(w)
}

async fn open(w: &World, asset: Asset) -> Result<Exposure> {
    let mut conn = w.base.pool.acquire().await?;
    Ok(exposure::of_in(&mut conn, &w.base, asset).await?)
}

fn holds_s(quote: &Quote) -> i64 {
    (quote.valid_until - quote.created_at).num_seconds()
}

#[tokio::test]
async fn quotes_are_narrowed_and_then_stopped() -> Result<()> {
    let w = limited(1_000_000).await?;
    assert_eq!(holds_s(&w.ask(500_000, Asset::Eth).await?.quote), 900);
    assert_eq!(open(&w, Asset::Eth).await?.room, Room::Open);
    // 5,000 and 3,500 rupees and half a percent are 8,542 of 10,000.
    let narrow = w.ask(350_000, Asset::Eth).await?;
    assert_eq!(holds_s(&narrow.quote), 450);
    assert_eq!(open(&w, Asset::Eth).await?.room, Room::Narrow);
    let id = w.create(200_000, 3_600).await?;
    let refused = w.quote(id, Asset::Eth).await;
    assert!(matches!(refused, Err(QuoteError::ExposureFull(Asset::Eth))), "{refused:?}");
    assert_eq!(refused.unwrap_err().to_string(), "the exposure limit of ETH is reached");
    assert_eq!(w.quote(narrow.id, Asset::Eth).await?, narrow.quote, "what was quoted holds");
    assert_eq!(holds_s(&w.quote(id, Asset::Usdc).await?), 900, "the others have no limit");
    // The shorter quote lapses first, and makes room.
    w.pass(451);
    assert_eq!(holds_s(&w.quote(id, Asset::Eth).await?), 900);
    // A price that rises takes the room without a quote.
    w.price(Asset::Eth, 3).await?;
    assert_eq!(open(&w, Asset::Eth).await?.room, Room::Full);
    let id = w.create(10_000, 3_600).await?;
    assert!(matches!(w.quote(id, Asset::Eth).await, Err(QuoteError::ExposureFull(_))));
    w.sound().await
}

/// Two quotes of one payment in one asset are one risk; two assets are two.
#[tokio::test]
async fn a_payment_is_paid_once() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Eth).await?;
    let usdc = w.quote(asked.id, Asset::Usdc).await?;
    w.pass(901);
    let again = w.quote(asked.id, Asset::Eth).await?;
    let line = open(&w, Asset::Eth).await?;
    assert_eq!((line.quoted, line.total), (again.payable, again.payable));
    assert_eq!(line.rupees.unwrap().minor(), 100_503, "with half a percent, rounded up");
    assert_eq!(line.limit, None);
    let line = open(&w, Asset::Usdc).await?;
    assert!(line.quoted.is_zero() && usdc.payable.is_positive(), "it does not hold any more");
    Ok(())
}

/// From the quote over the deposit and the books to the fill: counted once at every step.
#[tokio::test]
async fn from_quote_to_fill() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let (owed, none) = (asked.quote.payable, Amount::zero(Asset::Usdc));
    let of = |line: &Exposure| (line.quoted, line.arriving, line.accepted);
    assert_eq!(of(&open(&w, Asset::Usdc).await?), (owed, none, none));
    let height = w.block(w.now()).await?;
    let id = w.see(&w.sighting(&asked.quote.address, owed, height)).await?;
    assert_eq!(of(&open(&w, Asset::Usdc).await?), (none, owed, none));
    w.confirm(id).await?;
    assert_eq!(of(&open(&w, Asset::Usdc).await?), (none, none, owed));
    let mut tx = w.base.pool.begin().await?;
    let inventory = Amount::try_new(1_000_000_000, Asset::Usdc)?;
    let venue = chart::venue_free("wazirx", Asset::Usdc);
    bookkeeping::capital_paid_in(&mut tx, &w.base, venue, inventory, "inventory").await?;
    w.pass(5);
    let offers = [offer(&w, "wazirx", (Asset::Usdc, Asset::Inr), 80)];
    let planned = conversion::plan_batch_in(&mut tx, &w.base, Asset::Usdc, &offers).await?;
    let Planned::Order(order) = planned else { panic!("{planned:?}") };
    conversion::mark_sent_in(&mut tx, &w.base, &order).await?;
    tx.commit().await?;
    let sold = order.quantity_minor;
    let line = open(&w, Asset::Usdc).await?;
    assert_eq!((line.total, line.in_orders), (owed, sold));
    let inr = |paise| Amount::try_new(paise, Asset::Inr).unwrap();
    // Sold at ₹ 79 what was quoted at ₹ 80.
    let fill = FillFacts {
        trade_id: "1".to_owned(),
        sold,
        gross: inr(sold.minor() * 79 / 10_000),
        fee: inr(0),
        fee_gst: inr(0),
        tds: inr(0),
        price: Decimal::from(79),
        executed_at: w.now(),
    };
    let facts = OrderFacts {
        venue_order_id: "7".to_owned(),
        closed: true,
        executed: sold,
        fills: vec![fill],
    };
    let mut tx = w.base.pool.begin().await?;
    let id = order.conversion;
    let bank = chart::bank("razorpayx");
    bookkeeping::capital_paid_in(&mut tx, &w.base, bank, inr(1_000_000), "float").await?;
    conversion::order_in(&mut tx, &w.base, id, order.attempt, &facts).await?;
    tx.commit().await?;
    let line = open(&w, Asset::Usdc).await?;
    let crumb = owed.checked_sub(sold)?;
    assert_eq!(of(&line), (none, none, crumb), "the crumb below the venue's step stays");
    assert!(line.in_orders.is_zero());
    let mut conn = w.base.pool.acquire().await?;
    let story = settlement::views::explain(&mut conn, w.merchant, asked.id).await?.unwrap();
    let slippage = story.sale.unwrap().slippage.unwrap();
    assert_eq!((slippage.quote_price.as_str(), slippage.fill_price.as_str()), ("80", "79"));
    assert_eq!((slippage.bps.as_str(), slippage.quote), ("-125", asked.quote.id));
    assert_eq!(slippage.realised.minor(), sold.minor() * 79 / 10_000);
    let expected = slippage.realised.checked_sub(slippage.quoted)?;
    assert_eq!(slippage.difference, expected);
    assert!((-1_260..=-1_250).contains(&slippage.difference.minor()), "{slippage:?}");
    w.sound().await
}

/// Many at once do not pass the limit together.
#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() -> Result<()> {
    let w = Arc::new(limited(1_000_000).await?);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let id = w.create(300_000, 3_600).await?;
        let w = Arc::clone(&w);
        running.spawn(async move { w.quote(id, Asset::Eth).await });
    }
    let mut made = 0;
    while let Some(quoted) = running.join_next().await {
        match quoted? {
            Ok(_) => made += 1,
            Err(QuoteError::ExposureFull(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 3, "three times 3,015 rupees fit into 10,000");
    assert!(open(&w, Asset::Eth).await?.rupees.unwrap().minor() <= 1_000_000);
    Ok(())
}

#[test]
fn a_limit_that_cannot_be_meant_is_refused() {
    for limits in [json!({ "INR": 1 }), json!({ "ETH": -1 }), json!({ "DOGE": 1 })] {
        let made = std::panic::catch_unwind(|| settings(|s| s["exposure_max_paise"] = limits));
        assert!(made.is_err());
    }
    let made = settings(|s| s["exposure_max_paise"] = json!({ "eth": 5 }));
    assert_eq!(made.exposure_max_paise.get(&Asset::Eth), Some(&5), "as the environment says it");
}
