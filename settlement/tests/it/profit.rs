//! A day's result from ledger rows alone: whatever was quoted, sold, charged, taken back and
//! written, its lines add up to what the accounts changed, to the smallest unit.

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::{
    conversion::{self, FillFacts, OrderAttempt, OrderFacts},
    views::{Kept, Profit, profit_of_day},
};

use crate::{
    routes::{done, fill, minor, order, paid, plan, stock},
    world::{Asked, World, offer},
};

/// The ledger stamps by the database's own clock.
async fn today(w: &World) -> Result<Profit> {
    let mut conn = w.base.pool.acquire().await?;
    let posted: chrono::DateTime<Utc> =
        sqlx::query_scalar("select max(posted_at) from ledger.legs").fetch_one(&mut *conn).await?;
    let profit = profit_of_day(&mut conn, (posted + TimeDelta::minutes(330)).date_naive()).await?;
    assert!(profit.adds_up, "{profit:#?}");
    assert!(profit.lines.iter().all(|line| line.what != Kept::Other), "{profit:#?}");
    Ok(profit)
}

fn line(profit: &Profit, of: Asset, what: Kept, asset: Asset) -> i128 {
    let is = |l: &&settlement::views::ProfitLine| {
        (l.of, l.what, l.amount.asset()) == (Some(of), what, asset)
    };
    profit.lines.iter().find(is).map_or(0, |line| line.amount.minor())
}

/// The ledger's clock is the database's, which no test sets: what was told across midnight in India
/// belongs to two days, and is told again.
async fn is_of_one_day(w: &World) -> Result<bool> {
    let days = "select count(distinct (posted_at at time zone 'Asia/Kolkata')::date)
        from ledger.legs";
    let days: i64 = sqlx::query_scalar(days).fetch_one(&w.db.owner).await?;
    Ok(days == 1)
}

async fn one_sale() -> Result<(World, Asked, FillFacts)> {
    let w = World::open().await?;
    stock(&w, "wazirx", Asset::Usdc, "1000").await?;
    let asked = paid(&w, 100_000, Asset::Usdc).await?;
    w.pass(5);
    let offers = [offer(&w, "wazirx", (Asset::Usdc, Asset::Inr), 80)];
    let order = order(plan(&w, Asset::Usdc, &offers).await?);
    let mut sold = fill(&w, &order, 79, 100);
    (sold.fee_gst, sold.tds) = (World::inr(18), World::inr(990));
    done(&w, &order, std::slice::from_ref(&sold)).await?;
    Ok((w, asked, sold))
}

#[tokio::test]
async fn of_one_sale() -> Result<()> {
    let mut sale = one_sale().await?;
    while !is_of_one_day(&sale.0).await? {
        sale = one_sale().await?;
    }
    let (w, asked, sold) = sale;
    let profit = today(&w).await?;
    let of = |what, asset| line(&profit, Asset::Usdc, what, asset);
    assert_eq!(of(Kept::Quoted, Asset::Inr), -100_000);
    assert_eq!(of(Kept::RealisedGross, Asset::Inr), sold.gross.minor());
    assert_eq!(of(Kept::VenueFees, Asset::Inr), -sold.fee.minor());
    assert_eq!(of(Kept::FeeIncome, Asset::Inr), 1_000);
    assert_eq!(of(Kept::Bought, Asset::Usdc), asked.quote.payable.minor());
    assert_eq!(of(Kept::Sold, Asset::Usdc), -sold.sold.minor());
    let rupees = profit.totals.iter().find(|t| t.asset() == Asset::Inr).unwrap().minor();
    assert_eq!(rupees, sold.gross.minor() - sold.fee.minor() - 100_000 + 1_000);
    let tax = |code: &str| profit.taxes.iter().find(|t| t.account == code).unwrap().change.minor();
    assert_eq!((tax("tds.receivable:INR"), tax("gst.input:INR")), (990, 18));
    assert_eq!(tax("gst.payable:INR"), 180);
    // A day without anything is empty, and adds up too.
    let mut conn = w.base.pool.acquire().await?;
    let before = profit_of_day(&mut conn, profit.day.pred_opt().unwrap()).await?;
    assert!(before.lines.is_empty() && before.accounts.is_empty() && before.adds_up);
    Ok(())
}

/// Split-mix, so that a seed is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % n
    }
}

/// Many sales of many sizes, in one leg and in two, in parts, with fees of all kinds and fills that
/// are taken back.
#[tokio::test]
async fn of_a_wild_day() -> Result<()> {
    let mut w = wild_day().await?;
    while !is_of_one_day(&w).await? {
        w = wild_day().await?;
    }
    let profit = today(&w).await?;
    assert!(line(&profit, Asset::Eth, Kept::RealisedGross, Asset::Usdt) > 0, "two legs");
    assert_eq!(line(&profit, Asset::Eth, Kept::TradingClosed, Asset::Usdt), 0);
    w.sound().await
}

async fn wild_day() -> Result<World> {
    let mut dice = Dice(20_261_121);
    let mut w = World::open().await?;
    w.base.settings = std::sync::Arc::new(crate::world::settings(|s| {
        s["venues"] = serde_json::json!({ "binance": {} });
        s["order_attempts_max"] = serde_json::json!(60);
    }));
    for (venue, asset) in [("binance", Asset::Eth), ("wazirx", Asset::Eth), ("wazirx", Asset::Usdt)]
    {
        stock(&w, venue, asset, "1000000").await?;
    }
    stock(&w, "wazirx", Asset::Inr, "1000000").await?;
    stock(&w, "binance", Asset::Usdt, "1000000").await?;
    for round in 0..8 {
        w.price(Asset::Eth, 1).await?;
        w.price(Asset::Usdt, 1).await?;
        let paise = 4_000_000 + i128::from(dice.below(5_000_000));
        paid(&w, paise, Asset::Eth).await?;
        w.pass(5);
        let direct = if dice.below(2) == 0 { 199_000 } else { 201_000 };
        let offers = [
            offer(&w, "binance", (Asset::Eth, Asset::Usdt), 2_500),
            offer(&w, "wazirx", (Asset::Usdt, Asset::Inr), 80),
            offer(&w, "wazirx", (Asset::Eth, Asset::Inr), direct),
        ];
        let first = order(plan(&w, Asset::Eth, &offers).await?);
        sell(&w, &mut dice, &first, round).await?;
        let waiting: Option<uuid::Uuid> =
            sqlx::query_scalar("select id from conversions where state = 'waiting'")
                .fetch_optional(&w.base.pool)
                .await?;
        if let Some(id) = waiting {
            let id = primitives::ConversionId::from_uuid(id);
            let mut tx = w.base.pool.begin().await?;
            let next = conversion::plan_next_in(&mut tx, &w.base, id, &offers[1]).await?;
            tx.commit().await?;
            sell(&w, &mut dice, &order(next), round).await?;
        }
        today(&w).await?;
        w.pass(700);
    }
    Ok(w)
}

/// Sells an order in two parts; sometimes the venue takes the second one back for a while.
async fn sell(w: &World, dice: &mut Dice, order: &OrderAttempt, round: u64) -> Result<()> {
    let cut = i128::from(1 + dice.below(98));
    let price = if order.quote == Asset::Usdt { 2_500 } else { i64::try_from(79 + dice.below(2))? };
    let price = if order.sell == Asset::Eth && order.quote == Asset::Inr { 200_000 } else { price };
    let mut one = fill(w, order, price, cut);
    let mut two = fill(w, order, price, 100 - cut);
    two.trade_id = format!("{}-{round}-b", two.trade_id);
    two.sold = order.quantity_minor.checked_sub(one.sold)?;
    one.tds = minor(one.gross.minor() / 100, order.quote);
    one.fee_gst = minor(one.fee.minor() * 18 / 100, order.quote);
    if order.venue == "binance" && dice.below(2) == 0 {
        // In an asset that is neither sold nor brought: it leaves our shelf there.
        two.fee = Amount::parse_units("0.001", Asset::Eth)?;
    }
    two.price = Decimal::from(price);
    done(w, order, &[one.clone(), two.clone()]).await?;
    if dice.below(3) > 0 {
        return Ok(());
    }
    w.pass(25);
    for _ in 0..2 {
        let facts = OrderFacts {
            venue_order_id: "1".to_owned(),
            closed: true,
            executed: one.sold,
            fills: vec![one.clone()],
        };
        let mut tx = w.base.pool.begin().await?;
        let (id, n) = (order.conversion, order.attempt);
        conversion::late_in(&mut tx, &w.base, id, n, Some(&facts)).await?;
        tx.commit().await?;
        w.pass(10);
    }
    Ok(())
}
