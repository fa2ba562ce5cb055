//! Whose rupees: dust that any leg took along is the house's, and no payment's slippage.

use anyhow::{Context as _, Result};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::{
    conversion::{Conversion, Offer, OrderOutcome, Part},
    views::{self, ExplainedSale},
};

use crate::{
    routes::{DOLLARS, ETH, done, dust_of, fill, next, open, order, paid, part, plan},
    world::{Asked, World, offer},
};

async fn explained(w: &World, asked: &Asked) -> Result<ExplainedSale> {
    let mut conn = w.base.pool.acquire().await?;
    let story = views::explain(&mut conn, w.merchant, asked.id).await?.context("a story")?;
    story.sale.context("a sale")
}

/// Dollars are sold in whole fifties only.
fn offers(w: &World) -> [Offer; 2] {
    let mut dollars = offer(w, "wazirx", DOLLARS, 80);
    dollars.market.as_mut().unwrap().quantity_step = Decimal::from(700);
    [offer(w, "binance", ETH, 2_500), dollars]
}

async fn in_two_legs(w: &World) -> Result<(Asked, Conversion)> {
    w.price(Asset::Eth, 1).await?;
    w.price(Asset::Usdt, 1).await?;
    let asked = paid(w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let offers = offers(w);
    let first = order(plan(w, Asset::Eth, &offers).await?);
    let all = fill(w, &first, 2_500, 100);
    assert_eq!(done(w, &first, &[all]).await?, OrderOutcome::Sold);
    let leg = part(w, first.conversion, Part::Leg).await?;
    let second = order(next(w, leg.id, &offers[1]).await?);
    let all = fill(w, &second, 80, 100);
    assert_eq!(done(w, &second, &[all]).await?, OrderOutcome::Sold);
    Ok((asked, part(w, first.conversion, Part::Leg).await?))
}

#[tokio::test]
async fn dust_of_an_earlier_leg_is_the_houses() -> Result<()> {
    let w = open().await?;
    let (asked, leg) = in_two_legs(&w).await?;
    assert_eq!(leg.target, Amount::parse_units("700", Asset::Usdt)?);
    assert_eq!(dust_of(&w, Asset::Usdt).await?, leg.dust.minor());
    let before = explained(&w, &asked).await?;
    assert_eq!((before.house_share.minor(), before.gross_share), (0, before.batch_gross));

    let (asked, leg) = in_two_legs(&w).await?;
    assert!(leg.taken.is_positive(), "{leg:?}");
    let sale = explained(&w, &asked).await?;
    let gross = sale.batch_gross.minor();
    let own = gross * leg.input.minor() / (leg.input.minor() + leg.taken.minor());
    assert_eq!(sale.gross_share.minor(), own, "what its own dollars brought");
    assert_eq!(sale.house_share.minor(), gross - own);
    // 2500 dollars, less a thousandth, at 80 rupees, and of them what was sold.
    let slippage = sale.slippage.context("slippage")?;
    assert_eq!(slippage.realised, sale.gross_share);
    let per_unit: Decimal = slippage.fill_price.parse()?;
    let sold = sale.legs[0].sold.to_units().parse::<Decimal>()?;
    let brought = Decimal::new(i64::try_from(own)?, 2);
    assert_eq!((brought / sold).round_dp(8).normalize(), per_unit.normalize());
    w.sound().await
}
