//! The rest, by a fresh QR; and a fresh quote that money which is there already covers.

use anyhow::Result;
use chrono::TimeDelta;
use primitives::Asset;
use rust_decimal::Decimal;
use settlement::{merchant_policy::Action, payment::Expiry, quote};

use crate::world::{World, net, part};

#[tokio::test]
async fn a_fresh_qr_asks_for_the_rest() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 6_000);
    let rest = asked.quote.payable.checked_sub(sent)?;
    w.pay(&asked.quote.address, sent).await?;
    let again = w.quote(asked.id, Asset::Usdc).await?;
    assert_eq!((again.id, again.payable), (asked.quote.id, asked.quote.payable));
    assert_eq!(again.uri, format!("pay:{}?minor={}", again.address, rest.minor()));
    let told: serde_json::Value =
        sqlx::query_scalar("select data from payment_events where kind = 'payment.partial'")
            .fetch_one(&w.db.owner)
            .await?;
    assert_eq!(told["due"]["amount_minor"], rest.minor().to_string());
    w.pay(&again.address, rest).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    w.sound().await
}

/// After the rate ended, what came counts for the next quote at the rate of then.
#[tokio::test]
async fn at_the_next_rate() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let sent = part(asked.quote.payable, 6_000);
    w.pay(&asked.quote.address, sent).await?;
    w.pass(1_000);
    w.price_of(Asset::Usdc, Decimal::from(100)).await?;
    let fresh = w.quote(asked.id, Asset::Usdc).await?;
    assert_ne!(fresh.id, asked.quote.id);
    let rest = fresh.payable.checked_sub(sent)?;
    assert_eq!(fresh.uri, format!("pay:{}?minor={}", fresh.address, rest.minor()));
    w.pay(&fresh.address, rest).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    w.sound().await
}

/// A fresh quote that is covered as it is made is accepted there and then.
#[tokio::test]
async fn a_quote_that_is_covered_already_is_accepted() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, part(asked.quote.payable, 9_000)).await?;
    assert_eq!(w.state(asked.id).await?, "confirming");
    w.pass(1_000);
    w.price(Asset::Usdc, 2).await?;
    let fresh = w.quote(asked.id, Asset::Usdc).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    let mut conn = w.base.pool.acquire().await?;
    assert!(quote::due_in(&mut conn, &fresh).await?.is_zero());
    drop(conn);
    assert_eq!(w.owed_to_shop().await?, net(100_000));
    assert_eq!(w.count("select count(*) from conversion_queue").await?, 1);
    // What is too much at the better rate is the payer's.
    let sent = part(asked.quote.payable, 9_000).minor();
    assert_eq!(w.balance("refund:USDC").await?, sent - fresh.payable.minor());
    w.sound().await
}

/// Money that is seen and not final covers nothing yet.
#[tokio::test]
async fn a_quote_is_not_covered_by_what_is_only_seen() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let height = w.block(w.now()).await?;
    let sighting = w.sighting(&asked.quote.address, part(asked.quote.payable, 9_000), height);
    let deposit = w.see(&sighting).await?;
    w.pass(1_000);
    w.price(Asset::Usdc, 2).await?;
    w.quote(asked.id, Asset::Usdc).await?;
    assert_eq!(w.state(asked.id).await?, "confirming");
    assert_eq!(w.owed_to_shop().await?, 0);
    // Final now: it counted for the first quote, and falls short of that; asking again settles it.
    w.confirm(deposit).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    w.sound().await
}

/// A payer who still owes a part is given more time, once.
#[tokio::test]
async fn more_time_once() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| {
        c.short = Action::Topup;
        c.topup_s = 1_800;
    })
    .await?;
    let id = w.create(100_000, 900).await?;
    let quote = w.quote(id, Asset::Usdc).await?;
    let fifth = part(quote.payable, 2_000);
    w.pass(880);
    w.pay(&quote.address, fifth).await?;
    let longer = w.payment(id).await?.expires_at;
    assert_eq!(longer, w.now() + TimeDelta::seconds(1_800));
    w.pass(1_000);
    assert_eq!(w.expire(id).await?, Expiry::NotYet(longer));
    w.price(Asset::Usdc, 1).await?;
    let fresh = w.quote(id, Asset::Usdc).await?;
    assert_eq!(fresh.valid_until, longer, "no rate holds longer than the payment");
    w.pass(10);
    w.pay(&quote.address, fifth).await?;
    assert_eq!(w.payment(id).await?.expires_at, longer, "only once");
    w.until_expired(id).await?;
    assert_eq!(w.state(id).await?, "in_review");
    w.sound().await
}
