//! A batch on its way to rupees: in two legs, away from a frozen venue, with its dust named, and
//! its payments paid when the last part is sold, once.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use primitives::{Amount, Asset, ConversionId};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;
use settlement::{
    bookkeeping, chart,
    conversion::{
        self, Conversion, ConversionState, FillFacts, Offer, OrderAttempt, OrderFacts,
        OrderOutcome, Part, Planned, Rerouted, dust,
    },
    venue_freeze, views,
};

use crate::world::{Asked, World, offer, settings};

pub(crate) const ETH: (Asset, Asset) = (Asset::Eth, Asset::Usdt);
pub(crate) const DOLLARS: (Asset, Asset) = (Asset::Usdt, Asset::Inr);
pub(crate) const DIRECT: (Asset, Asset) = (Asset::Eth, Asset::Inr);
pub(crate) const COINS: (Asset, Asset) = (Asset::Usdc, Asset::Inr);

pub(crate) fn minor(minor: i128, asset: Asset) -> Amount {
    Amount::try_new(minor, asset).unwrap()
}

pub(crate) async fn stock(w: &World, venue: &str, asset: Asset, units: &str) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    let amount = Amount::parse_units(units, asset)?;
    let key = format!("{venue}{asset}{}", w.base.uuid());
    let free = chart::venue_free(venue, asset);
    bookkeeping::capital_paid_in(&mut tx, &w.base, free, amount, &key).await?;
    tx.commit().await?;
    Ok(())
}

/// Two venues with everything, and rupees at the bank.
pub(crate) async fn open() -> Result<World> {
    let mut w = World::open().await?;
    w.base.settings = Arc::new(settings(|s| {
        s["venues"] = json!({ "binance": {} });
        s["order_attempts_max"] = json!(6);
    }));
    for (venue, asset) in [
        ("binance", Asset::Eth),
        ("wazirx", Asset::Eth),
        ("wazirx", Asset::Usdt),
        ("wazirx", Asset::Usdc),
    ] {
        stock(&w, venue, asset, "100000").await?;
    }
    let mut tx = w.base.pool.begin().await?;
    let bank = chart::bank("razorpayx");
    bookkeeping::capital_paid_in(&mut tx, &w.base, bank, World::inr(100_000_000), "float").await?;
    tx.commit().await?;
    Ok(w)
}

pub(crate) async fn paid(w: &World, paise: i128, asset: Asset) -> Result<Asked> {
    let asked = w.ask(paise, asset).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    Ok(asked)
}

pub(crate) async fn plan(w: &World, asset: Asset, offers: &[Offer]) -> Result<Planned> {
    let mut tx = w.base.pool.begin().await?;
    let planned = conversion::plan_batch_in(&mut tx, &w.base, asset, offers).await?;
    tx.commit().await?;
    Ok(planned)
}

pub(crate) async fn next(w: &World, id: ConversionId, offer: &Offer) -> Result<Planned> {
    let mut tx = w.base.pool.begin().await?;
    let planned = conversion::plan_next_in(&mut tx, &w.base, id, offer).await?;
    tx.commit().await?;
    Ok(planned)
}

pub(crate) fn order(planned: Planned) -> OrderAttempt {
    let Planned::Order(order) = planned else { panic!("{planned:?}") };
    *order
}

/// So many percent of an order, executed at `price`, a thousandth taken as fee from what comes.
pub(crate) fn fill(w: &World, of: &OrderAttempt, price: i64, percent: i128) -> FillFacts {
    let sold = minor(of.quantity_minor.minor() * percent / 100, of.sell);
    let value = sold.to_units().parse::<Decimal>().unwrap() * Decimal::from(price);
    let places = of.quote.scale();
    let value = value.round_dp_with_strategy(places, RoundingStrategy::ToZero).to_string();
    let gross = Amount::parse_units(&value, of.quote).unwrap();
    FillFacts {
        trade_id: format!("{}-{}-{percent}", of.client_ref, of.attempt),
        sold,
        gross,
        fee: minor(gross.minor() / 1_000, of.quote),
        fee_gst: minor(0, of.quote),
        tds: minor(0, of.quote),
        price: Decimal::from(price),
        executed_at: w.now(),
    }
}

pub(crate) fn closed(fills: &[FillFacts]) -> OrderFacts {
    let sold = fills.iter().map(|fill| fill.sold).reduce(|a, b| a.checked_add(b).unwrap()).unwrap();
    let fills = fills.to_vec();
    OrderFacts { venue_order_id: "1".to_owned(), closed: true, executed: sold, fills }
}

pub(crate) async fn done(
    w: &World,
    of: &OrderAttempt,
    fills: &[FillFacts],
) -> Result<OrderOutcome> {
    let mut tx = w.base.pool.begin().await?;
    conversion::mark_sent_in(&mut tx, &w.base, of).await?;
    let facts = closed(fills);
    let told = conversion::order_in(&mut tx, &w.base, of.conversion, of.attempt, &facts).await?;
    tx.commit().await?;
    Ok(told)
}

pub(crate) async fn get(w: &World, id: ConversionId) -> Result<Conversion> {
    let mut conn = w.base.pool.acquire().await?;
    Ok(conversion::get_in(&mut conn, id).await?)
}

async fn parts(w: &World, root: ConversionId) -> Result<Vec<Conversion>> {
    let mut conn = w.base.pool.acquire().await?;
    Ok(conversion::parts_of(&mut conn, root).await?)
}

pub(crate) async fn part(w: &World, root: ConversionId, of: Part) -> Result<Conversion> {
    let found = parts(w, root).await?.into_iter().find(|part| part.part == of);
    found.with_context(|| format!("no {} of it", of.name()))
}

/// The dust ledger says what the books leave for it; answers what lies there of an asset.
pub(crate) async fn dust_of(w: &World, asset: Asset) -> Result<i128> {
    let mut conn = w.base.pool.acquire().await?;
    let mut lies = 0;
    for line in dust::list_in(&mut conn).await? {
        assert_eq!(line.lies, line.books, "{line:?}");
        if line.asset == asset {
            lies = line.lies.minor();
        }
    }
    Ok(lies)
}

pub(crate) async fn payouts(w: &World) -> Result<i64> {
    w.count("select count(*) from payouts").await
}

pub(crate) async fn freeze(w: &World, venue: &str) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    venue_freeze::set_in(&mut tx, &w.base, venue, true, ("somebody", "why")).await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn two_legs_pay_when_the_last_is_sold() -> Result<()> {
    let w = open().await?;
    let asked = paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let offers = [offer(&w, "binance", ETH, 2_500), offer(&w, "wazirx", DOLLARS, 80)];
    let first = order(plan(&w, Asset::Eth, &offers).await?);
    assert_eq!(
        (first.venue.as_str(), first.quote, first.is_immediate),
        ("binance", Asset::Usdt, true)
    );
    assert_eq!(first.price, Decimal::from(2_475), "one percent below the best bid");
    assert_eq!(first.quantity_minor, Amount::parse_units("0.5", Asset::Eth)?);
    assert_eq!(done(&w, &first, &[fill(&w, &first, 2_500, 100)]).await?, OrderOutcome::Sold);
    // 1250 dollars less a thousandth are handed on; nobody is paid yet.
    let leg = part(&w, first.conversion, Part::Leg).await?;
    assert_eq!(leg.input, minor(1_248_750_000, Asset::Usdt));
    assert_eq!((leg.state, leg.venue.as_str()), (ConversionState::Waiting, "wazirx"));
    assert_eq!((w.state(asked.id).await?, payouts(&w).await?), ("settling", 0));
    assert_eq!(w.balance("trading:USDT").await?, 1_248_750_000, "what is to be sold, no more");
    assert_eq!(w.balance("venue.fee:USDT").await?, 1_250_000);
    dust_of(&w, Asset::Usdt).await?;
    let second = order(next(&w, leg.id, &offers[1]).await?);
    assert_eq!((second.sell, second.quote, second.is_immediate), (Asset::Usdt, Asset::Inr, false));
    assert_eq!(done(&w, &second, &[fill(&w, &second, 80, 100)]).await?, OrderOutcome::Sold);
    assert_eq!(payouts(&w).await?, 1);
    assert_eq!(w.balance("trading:USDT").await?, 0);
    let crumb = asked.quote.payable.checked_sub(first.quantity_minor)?.minor();
    assert_eq!((dust_of(&w, Asset::Eth).await?, w.balance("trading:ETH").await?), (crumb, crumb));
    let mut conn = w.base.pool.acquire().await?;
    let story = views::explain(&mut conn, w.merchant, asked.id).await?.context("a story")?;
    let sale = story.sale.context("a sale")?;
    assert_eq!((sale.state, sale.legs.len(), sale.orders.len()), ("filled", 2, 2));
    assert_eq!(sale.batch_gross.minor(), 9_990_000);
    assert_eq!((sale.gross_share, sale.house_share.minor()), (sale.batch_gross, 0));
    let slippage = sale.slippage.context("slippage")?;
    assert_eq!((slippage.fill_price.as_str(), slippage.bps.as_str()), ("199800", "-10"));
    assert!(story.ledger.iter().any(|line| line.transfer.ends_with(":costs") && line.of_batch));
    assert!(sale.legs[0].route.as_ref().unwrap()["candidates"][0]["path"].is_string());
    w.sound().await
}

#[tokio::test]
async fn the_better_way_is_taken_and_kept() -> Result<()> {
    let w = open().await?;
    paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let both = [
        offer(&w, "binance", ETH, 2_500),
        offer(&w, "wazirx", DOLLARS, 80),
        offer(&w, "wazirx", DIRECT, 200_100),
    ];
    let first = order(plan(&w, Asset::Eth, &both).await?);
    assert_eq!((first.venue.as_str(), first.quote), ("wazirx", Asset::Inr));
    let stored: serde_json::Value =
        sqlx::query_scalar("select route from conversions").fetch_one(&w.base.pool).await?;
    let candidates = stored["candidates"].as_array().context("candidates")?;
    assert_eq!(candidates[0]["verdict"], "taken");
    assert_eq!(candidates[1]["reason"], "leaves 5000 paise less");
    let changed = sqlx::query("update conversions set route = null").execute(&w.db.owner).await;
    assert!(changed.is_err(), "a choice is kept");
    w.sound().await
}

#[tokio::test]
async fn dust_is_taken_along_when_it_fits() -> Result<()> {
    let w = open().await?;
    let offers = |w: &World| [offer(w, "wazirx", COINS, 80)];
    let mut crumbs = 0;
    let mut taken = false;
    for _ in 0..4 {
        // A tick of now: what quotes and collar compare with grows old.
        w.price(Asset::Usdc, 1).await?;
        let asked = paid(&w, 100_000, Asset::Usdc).await?;
        w.pass(5);
        let order = order(plan(&w, Asset::Usdc, &offers(&w)).await?);
        let sale = get(&w, order.conversion).await?;
        assert_eq!(sale.input, asked.quote.payable);
        assert_eq!(
            sale.target.minor(),
            sale.input.minor() + sale.taken.minor() - sale.dust.minor()
        );
        crumbs += sale.dust.minor() - sale.taken.minor();
        assert!((0..10_000).contains(&crumbs), "{crumbs}");
        assert_eq!(dust_of(&w, Asset::Usdc).await?, crumbs);
        done(&w, &order, &[fill(&w, &order, 80, 100)]).await?;
        if sale.taken.is_positive() {
            taken = true;
            let mut conn = w.base.pool.acquire().await?;
            let story =
                views::explain(&mut conn, w.merchant, asked.id).await?.context("a story")?;
            let sold = story.sale.context("a sale")?;
            assert!(sold.house_share.is_positive(), "the dust's own rupees are the house's");
            let both = sold.gross_share.checked_add(sold.house_share)?;
            assert_eq!(both, sold.batch_gross);
        }
        assert_eq!(w.balance("trading:USDC").await?, crumbs);
        w.pass(400);
    }
    assert!(taken, "four crumbs of six thousandths are more than a hundredth");
    assert_eq!(payouts(&w).await?, 4);
    w.sound().await
}

#[tokio::test]
async fn too_small_waits_for_company_and_not_longer() -> Result<()> {
    let w = open().await?;
    let small = |w: &World| {
        let mut offer = offer(w, "wazirx", COINS, 80);
        offer.market.as_mut().unwrap().notional_min = Decimal::from(1_500);
        [offer]
    };
    let asked = paid(&w, 100_000, Asset::Usdc).await?;
    let queued = w.now();
    w.pass(5);
    let until = queued + chrono::TimeDelta::seconds(600);
    assert_eq!(plan(&w, Asset::Usdc, &small(&w)).await?, Planned::Wait(until));
    assert_eq!(w.state(asked.id).await?, "accepted");
    let mut conn = w.base.pool.acquire().await?;
    let story = views::explain(&mut conn, w.merchant, asked.id).await?.context("a story")?;
    assert!(story.held.context("a reason")?.contains("below the venue's minimum"));
    drop(conn);
    // Company comes: together they are enough.
    paid(&w, 100_000, Asset::Usdc).await?;
    let order = order(plan(&w, Asset::Usdc, &small(&w)).await?);
    done(&w, &order, &[fill(&w, &order, 80, 100)]).await?;
    assert_eq!(payouts(&w).await?, 2);
    // Nobody comes: it is dust, and paid.
    w.price(Asset::Usdc, 1).await?;
    let lonely = paid(&w, 100_000, Asset::Usdc).await?;
    w.pass(601);
    w.price(Asset::Usdc, 1).await?;
    let before = dust_of(&w, Asset::Usdc).await?;
    assert_eq!(plan(&w, Asset::Usdc, &small(&w)).await?, Planned::Nothing);
    assert_eq!((payouts(&w).await?, w.state(lonely.id).await?), (3, "settling"));
    assert_eq!(dust_of(&w, Asset::Usdc).await? - before, lonely.quote.payable.minor());
    // Where nobody answers, nobody has called it too small.
    let waiting = paid(&w, 100_000, Asset::Usdc).await?;
    w.pass(601);
    let silent = [Offer { market: Err("no answer".into()), ..small(&w)[0].clone() }];
    assert!(matches!(plan(&w, Asset::Usdc, &silent).await?, Planned::NoRoute(_)));
    assert_eq!(w.state(waiting.id).await?, "accepted");
    w.sound().await
}

#[tokio::test]
async fn a_batch_closes_by_value_age_and_exposure() -> Result<()> {
    for (change, closes) in [
        (json!({}), false),
        (json!({ "batch_value_paise": 200_000 }), true),
        (json!({ "batch_value_paise": 210_000 }), false),
        (json!({ "exposure_max_paise": { "USDC": 240_000 } }), true),
        (json!({ "exposure_max_paise": { "USDC": 400_000 } }), false),
    ] {
        let mut w = open().await?;
        w.base.settings = Arc::new(settings(|s| {
            s["conversion_age_s"] = json!(300);
            for (name, value) in change.as_object().unwrap() {
                s[name] = value.clone();
            }
        }));
        let mut conn = w.base.pool.acquire().await?;
        assert_eq!(conversion::due_at_in(&mut conn, &w.base, Asset::Usdc).await?, None);
        let first = w.now();
        for _ in 0..2 {
            paid(&w, 100_000, Asset::Usdc).await?;
            w.pass(1);
        }
        let due = conversion::due_at_in(&mut conn, &w.base, Asset::Usdc).await?.context("due")?;
        let by_age = first + chrono::TimeDelta::seconds(300);
        assert_eq!(due, if closes { w.now() } else { by_age }, "{change}");
        drop(conn);
        let job = "select count(*) from apalis.jobs where job_type = 'convert'
                   and run_at < (select min(queued_at) + '10 s' from conversion_queue)";
        assert_eq!(w.count(job).await?, i64::from(closes), "{change}: the job is called at once");
        let offers = [offer(&w, "wazirx", COINS, 80)];
        let planned = plan(&w, Asset::Usdc, &offers).await?;
        assert_eq!(matches!(planned, Planned::Order(_)), closes, "{change}: {planned:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_venue_at_its_cap_takes_no_more() -> Result<()> {
    let mut w = open().await?;
    // What is quoted was sellable then.
    let asked = paid(&w, 10_000_000, Asset::Eth).await?;
    w.base.settings = Arc::new(settings(|s| {
        s["venues"] = json!({ "binance": {}, "wazirx": { "cap_paise": 1 } });
    }));
    w.pass(5);
    let offers = |w: &World| {
        [
            offer(w, "binance", ETH, 2_500),
            offer(w, "wazirx", DOLLARS, 80),
            offer(w, "wazirx", DIRECT, 200_100),
        ]
    };
    let Planned::NoRoute(route) = plan(&w, Asset::Eth, &offers(&w)).await? else { panic!("sold") };
    assert!(route.refused_for(conversion::route::Why::Cap), "{route:?}");
    let mut conn = w.base.pool.acquire().await?;
    let story = views::explain(&mut conn, w.merchant, asked.id).await?.context("a story")?;
    assert!(story.held.context("a reason")?.contains("lie there"));
    drop(conn);
    w.base.settings = Arc::new(settings(|s| {
        s["venues"] = json!({ "binance": { "cap_paise": 1 }, "wazirx": {} });
    }));
    let order = order(plan(&w, Asset::Eth, &offers(&w)).await?);
    assert_eq!(order.venue, "wazirx", "the other one is full");
    w.sound().await
}

/// A book that lies about its price ends no sale: what would be too small at that price is not
/// called dust, neither as a batch nor as a leg that waits nor between two orders.
#[tokio::test]
async fn a_lying_book_makes_no_dust() -> Result<()> {
    let w = open().await?;
    paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(601);
    w.price(Asset::Eth, 1).await?;
    w.price(Asset::Usdt, 1).await?;
    let cheap = |mut offer: Offer| {
        let market = offer.market.as_mut().unwrap();
        market.bids[0].price /= Decimal::from(100_000);
        market.price_tick = Decimal::new(1, 8);
        offer
    };
    let lie = [cheap(offer(&w, "wazirx", DIRECT, 200_000))];
    assert!(matches!(plan(&w, Asset::Eth, &lie).await?, Planned::NoRoute(_)));
    let offers = [offer(&w, "binance", ETH, 2_500), offer(&w, "wazirx", DOLLARS, 80)];
    let first = order(plan(&w, Asset::Eth, &offers).await?);
    done(&w, &first, &[fill(&w, &first, 2_500, 30)]).await?;
    sqlx::query("update order_attempts set looked_at = now()").execute(&w.db.owner).await?;
    let told = next(&w, first.conversion, &cheap(offers[0].clone())).await?;
    assert!(matches!(told, Planned::NoRoute(_)), "{told:?}");
    let rest = order(next(&w, first.conversion, &offers[0]).await?);
    done(&w, &rest, &[fill(&w, &rest, 2_500, 100)]).await?;
    let leg = part(&w, first.conversion, Part::Leg).await?;
    let told = next(&w, leg.id, &cheap(offers[1].clone())).await?;
    assert!(matches!(told, Planned::NoRoute(_)), "{told:?}");
    assert_eq!(get(&w, leg.id).await?, leg, "nothing of it changed");
    assert!(matches!(next(&w, leg.id, &offers[1]).await?, Planned::Order(_)));
    w.sound().await
}

/// A third is sold at a venue that freezes: the rest goes the other way, when nothing of it can
/// still be sold there; both ways together pay once.
#[tokio::test]
async fn the_rest_leaves_a_frozen_venue() -> Result<()> {
    let w = open().await?;
    let asked = paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let offers = |w: &World| {
        [
            offer(w, "binance", ETH, 2_500),
            offer(w, "wazirx", DOLLARS, 80),
            offer(w, "wazirx", DIRECT, 199_500),
        ]
    };
    let first = order(plan(&w, Asset::Eth, &offers(&w)).await?);
    let third = fill(&w, &first, 2_500, 30);
    assert_eq!(done(&w, &first, std::slice::from_ref(&third)).await?, OrderOutcome::Short);
    freeze(&w, "binance").await?;
    let reroute = async |w: &World| {
        let mut tx = w.base.pool.begin().await?;
        let offers = offers(w);
        let moved = conversion::reroute_in(&mut tx, &w.base, first.conversion, &offers).await?;
        tx.commit().await?;
        anyhow::Ok(moved)
    };
    assert!(matches!(reroute(&w).await?, Rerouted::NotSafe(..)), "its last look is not made");
    w.pass(25);
    let mut tx = w.base.pool.begin().await?;
    let facts = closed(&[third]);
    conversion::late_in(&mut tx, &w.base, first.conversion, 1, Some(&facts)).await?;
    tx.commit().await?;
    let Rerouted::Moved(rest) = reroute(&w).await? else { panic!("it stays") };
    assert_eq!(reroute(&w).await?, Rerouted::NotNeeded, "once");
    let old = get(&w, first.conversion).await?;
    assert_eq!((old.state, old.target), (ConversionState::Filled, old.sold));
    dust_of(&w, Asset::Eth).await?;
    assert_eq!(payouts(&w).await?, 0);
    let leg = part(&w, first.conversion, Part::Leg).await?;
    let rest_order = order(next(&w, rest, &offers(&w)[2]).await?);
    assert_eq!(rest_order.quantity_minor, Amount::parse_units("0.35", Asset::Eth)?);
    done(&w, &rest_order, &[fill(&w, &rest_order, 199_500, 100)]).await?;
    assert_eq!(payouts(&w).await?, 0, "the dollars are not sold yet");
    let last = order(next(&w, leg.id, &offers(&w)[1]).await?);
    done(&w, &last, &[fill(&w, &last, 80, 100)]).await?;
    assert_eq!(payouts(&w).await?, 1);
    dust_of(&w, Asset::Eth).await?;
    let mut conn = w.base.pool.acquire().await?;
    let story = views::explain(&mut conn, w.merchant, asked.id).await?.context("a story")?;
    let sale = story.sale.context("a sale")?;
    assert_eq!((sale.state, sale.legs.len(), sale.gross_share), ("filled", 3, sale.batch_gross));
    assert!(story.timeline.iter().any(|step| step.event == "rest_moved"));
    w.sound().await
}

/// Planned and never sent: withdrawn, and planned elsewhere. With nowhere to go it waits.
#[tokio::test]
async fn an_order_that_was_not_sent_is_withdrawn() -> Result<()> {
    let w = open().await?;
    let asked = paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let direct = [offer(&w, "wazirx", DIRECT, 200_100)];
    let planned = order(plan(&w, Asset::Eth, &direct).await?);
    freeze(&w, "wazirx").await?;
    let mut tx = w.base.pool.begin().await?;
    let held = conversion::reroute_in(&mut tx, &w.base, planned.conversion, &direct).await?;
    tx.commit().await?;
    assert!(matches!(held, Rerouted::Held(_)), "{held:?}");
    let mut conn = w.base.pool.acquire().await?;
    let story = views::explain(&mut conn, w.merchant, asked.id).await?.context("a story")?;
    assert!(story.held.context("a reason")?.starts_with("wazirx takes no new orders"));
    drop(conn);
    // Another house that pays rupees.
    let other = [offer(&w, "coindcx", DIRECT, 200_000)];
    stock(&w, "coindcx", Asset::Eth, "10").await?;
    let mut tx = w.base.pool.begin().await?;
    let moved = conversion::reroute_in(&mut tx, &w.base, planned.conversion, &other).await?;
    tx.commit().await?;
    let Rerouted::Moved(rest) = moved else { panic!("{moved:?}") };
    assert_eq!(w.balance("venue:wazirx:ETH:order").await?, 0, "its crypto is free again");
    let mut tx = w.base.pool.begin().await?;
    assert_eq!(conversion::mark_sent_in(&mut tx, &w.base, &planned).await?, None);
    tx.commit().await?;
    let there = order(next(&w, rest, &other[0]).await?);
    assert_eq!((there.venue.as_str(), there.quantity_minor), ("coindcx", planned.quantity_minor));
    done(&w, &there, &[fill(&w, &there, 200_000, 100)]).await?;
    assert_eq!(payouts(&w).await?, 1);
    dust_of(&w, Asset::Eth).await?;
    w.sound().await
}

/// What a venue adds to, or takes from, a leg that has handed on its dollars is dust of dollars.
#[tokio::test]
async fn a_correction_after_the_handing_on_is_dust() -> Result<()> {
    let w = open().await?;
    paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let offers = [offer(&w, "binance", ETH, 2_500), offer(&w, "wazirx", DOLLARS, 80)];
    let first = order(plan(&w, Asset::Eth, &offers).await?);
    let (a, b) = (fill(&w, &first, 2_500, 60), fill(&w, &first, 2_500, 40));
    done(&w, &first, &[a.clone(), b.clone()]).await?;
    let handed = part(&w, first.conversion, Part::Leg).await?.input;
    w.pass(25);
    for _ in 0..2 {
        let facts = closed(std::slice::from_ref(&a));
        let mut tx = w.base.pool.begin().await?;
        conversion::late_in(&mut tx, &w.base, first.conversion, 1, Some(&facts)).await?;
        tx.commit().await?;
        w.pass(10);
    }
    let gone = b.net()?;
    assert_eq!(dust_of(&w, Asset::Usdt).await?, -gone.minor(), "handed on, and taken back");
    assert!(dust_of(&w, Asset::Eth).await? >= b.sold.minor(), "and its coins are not sold");
    assert_eq!(part(&w, first.conversion, Part::Leg).await?.input, handed);
    assert_eq!(w.count("select count(*) from cases where kind = 'fill_reversed'").await?, 1);
    w.sound().await
}

/// Two parts of a batch end in two transactions at once: one of them sees that all is sold.
#[tokio::test(flavor = "multi_thread")]
async fn parts_that_end_at_once_pay_once() -> Result<()> {
    let w = Arc::new(open().await?);
    paid(&w, 10_000_000, Asset::Eth).await?;
    w.pass(5);
    let offers = [
        offer(&w, "binance", ETH, 2_500),
        offer(&w, "wazirx", DOLLARS, 80),
        offer(&w, "wazirx", DIRECT, 199_500),
    ];
    let first = order(plan(&w, Asset::Eth, &offers).await?);
    done(&w, &first, &[fill(&w, &first, 2_500, 30)]).await?;
    sqlx::query("update order_attempts set looked_at = now()").execute(&w.db.owner).await?;
    freeze(&w, "binance").await?;
    let mut tx = w.base.pool.begin().await?;
    let moved = conversion::reroute_in(&mut tx, &w.base, first.conversion, &offers).await?;
    tx.commit().await?;
    let Rerouted::Moved(rest) = moved else { panic!("{moved:?}") };
    let leg = part(&w, first.conversion, Part::Leg).await?.id;
    let mut running = tokio::task::JoinSet::new();
    for (id, offer, price) in [(rest, &offers[2], 199_500), (leg, &offers[1], 80)] {
        let (w, order) = (Arc::clone(&w), order(next(&w, id, offer).await?));
        running.spawn(async move { done(&w, &order, &[fill(&w, &order, price, 100)]).await });
    }
    while let Some(ended) = running.join_next().await {
        assert_eq!(ended??, OrderOutcome::Sold);
    }
    assert_eq!(payouts(&w).await?, 1);
    w.sound().await
}

#[tokio::test]
async fn the_dust_ledger_only_grows() -> Result<()> {
    let w = open().await?;
    paid(&w, 100_000, Asset::Usdc).await?;
    w.pass(5);
    plan(&w, Asset::Usdc, &[offer(&w, "wazirx", COINS, 80)]).await?;
    assert_eq!(w.count("select count(*) from dust").await?, 1);
    for sql in ["update dust set minor = 1", "delete from dust", "truncate dust"] {
        assert!(sqlx::query(sql).execute(&w.db.owner).await.is_err(), "{sql}");
    }
    let mut conn = w.base.pool.acquire().await?;
    let rows = dust::rows_in(&mut conn, Asset::Usdc).await?;
    assert_eq!((rows.len(), rows[0].reason.as_str()), (1, "below the venue's step"));
    Ok(())
}
