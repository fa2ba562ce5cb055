//! What must hold of every quote: it is priced by the way a sale would take, and its own row gives
//! its numbers again, through text as the database keeps it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::{
    way::{Known, NoWay, Way, take},
    *,
};
use crate::{
    conversion::{
        Levies, Market, Offer, Route,
        route::{Question, Standing, Why, choose},
    },
    rates::{BoardRate, Moved, RouteBook, Verdict, Volatility},
};

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Decimal::new(price, 2), quantity: Decimal::new(quantity, 3) }
}

fn bps(bps: u32) -> Bps {
    Bps::new(bps).unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_607_200, 0).unwrap()
}

proptest! {
    // Selling what was quoted at the quoted price always brings at least the rupees promised.
    #[test]
    fn payable_covers(
        paise in 100_i128..10_000_000, price in 1_i64..1_000_000_000, spread in 0_u32..1000,
    ) {
        let amount = Amount::try_new(paise, Asset::Inr).unwrap();
        let (price, spread) = (Decimal::new(price, 2), Bps::new(spread).unwrap());
        let payable = payable(amount, Asset::Eth, price, spread).unwrap();
        let rate = Rate::try_new(Asset::Eth, Asset::Inr, price).unwrap();
        prop_assert!(rate.to_quote(payable, Rounding::Down).unwrap().minor() >= paise - 1);
        prop_assert_eq!(Some(payable), super::payable(amount, Asset::Eth, price, spread));
    }
}

#[test]
fn walks_the_book() {
    let bids = [level(10_000, 1_000), level(9_000, 1_000)];
    let rupees = |n| Amount::try_new(n, Asset::Inr).unwrap();
    assert_eq!(executable_bid(&bids, rupees(5_000)), Some(Decimal::new(10_000, 2)));
    let deep = executable_bid(&bids, rupees(19_000)).unwrap();
    assert!(deep < Decimal::new(9_600, 2) && deep > Decimal::new(9_400, 2));
    assert_eq!(executable_bid(&bids, rupees(19_001)), None);
    assert_eq!(executable_bid(&[], rupees(1)), None);
}

/// Three houses: one pays rupees, two pay dollars that the first makes rupees of.
const HOUSES: [&str; 3] = ["binance", "coinbase", "wazirx"];

/// A market drawn at random: by how much its price is off, depth, fee, and what is wrong with it.
#[derive(Debug, Clone)]
struct Drawn {
    off: i64,
    depth: i64,
    fee: u32,
    minimum: i64,
    fault: u8,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (-150_i64..150, 1_i64..2_000_000, 0_u32..200, 0_i64..3_000, 0_u8..12)
        .prop_map(|(off, depth, fee, minimum, fault)| Drawn { off, depth, fee, minimum, fault })
}

impl Drawn {
    /// `price` in hundredths, `unit` millionths of a coin for one of depth.
    fn offer(&self, venue: &str, (sell, quote): (Asset, Asset), price: i64, unit: i64) -> Offer {
        let best = Decimal::new(price, 2) * Decimal::new(10_000 + self.off, 4);
        let bid = |down: i64| Level {
            price: (best * Decimal::new(10_000 - down * 7, 4)).round_dp(6),
            quantity: Decimal::from(self.depth) * Decimal::new(unit, 6),
        };
        let market = Market {
            price_tick: Decimal::new(1, 2),
            quantity_step: Decimal::new(1, 5),
            quantity_min: Decimal::new(1, 5),
            notional_min: Decimal::new(self.minimum, if quote == Asset::Inr { 0 } else { 2 }),
            is_open: self.fault != 1,
            levies: Levies { fee: bps(self.fee), gst: bps(1_800), tds: bps(self.fee / 2) },
            ..Market::of_book((0..6).map(bid).collect(), now())
        };
        let silent = self.fault == 2;
        let market = if silent { Err("it does not answer".to_owned()) } else { Ok(market) };
        Offer { venue: venue.to_owned(), sell, quote, market }
    }
}

#[derive(Debug, Clone)]
struct World {
    rate: BoardRate,
    venues: BTreeMap<String, Standing>,
    prices: BTreeMap<Asset, Decimal>,
}

/// What a venue's rows say: frozen, full, empty, unwell, or nothing.
fn standing(said: u8) -> Standing {
    let inr = |paise| Amount::try_new(paise, Asset::Inr).unwrap();
    let shelf = |asset| (asset, Amount::try_new(10_i128.pow(30), asset).unwrap());
    Standing {
        frozen: (said == 0).then(|| "a drill".to_owned()),
        free: if said == 1 { BTreeMap::new() } else { [Asset::Eth, Asset::Usdt].map(shelf).into() },
        cap: (said == 2).then(|| inr(1)),
        held: (said != 3).then(|| inr(0)),
        unwell: (said == 4).then(|| "an order is without an answer".to_owned()),
    }
}

fn book(venues: &[&str], bids: Vec<Level>, said: u8) -> RouteBook {
    RouteBook {
        venues: venues.iter().map(ToString::to_string).collect(),
        refused: (said == 0 || bids.is_empty()).then(|| "stale".to_owned()),
        bids,
    }
}

fn board(drawn: &[Drawn], refused: &[u8]) -> BoardRate {
    let (eth, usdt, inr) = (Asset::Eth, Asset::Usdt, Asset::Inr);
    let markets = vec![
        drawn[0].offer("binance", (eth, usdt), 300_000, 1),
        drawn[1].offer("coinbase", (eth, usdt), 300_000, 1),
        drawn[2].offer("wazirx", (eth, inr), 27_000_000, 1),
        drawn[3].offer("wazirx", (usdt, inr), 9_000, 3_000),
    ];
    let bids = |at: usize| markets[at].market.as_ref().map_or(Vec::new(), |m| m.bids.clone());
    let joined = |first: usize| -> Vec<Level> {
        let pair = |(a, b): (&Level, &Level)| Level {
            price: a.price * b.price,
            quantity: a.quantity.min((b.quantity / a.price).round_dp(9)),
        };
        bids(first).iter().zip(&bids(3)).map(pair).collect()
    };
    let price = Some(Decimal::from(270_000));
    BoardRate {
        tick: 1,
        base: eth,
        at: now(),
        verdict: Verdict::Good,
        bid: price,
        ask: price,
        sources: Vec::new(),
        bids: bids(2),
        routes: vec![
            book(&["wazirx"], bids(2), refused[2]),
            book(&["binance", "wazirx"], joined(0), refused[0]),
            book(&["coinbase", "wazirx"], joined(1), refused[1]),
        ],
        markets,
        range: None,
    }
}

fn world() -> impl Strategy<Value = World> {
    let markets = proptest::collection::vec(drawn(), 4);
    let said = proptest::collection::vec(0_u8..12, 3);
    let refused = proptest::collection::vec(0_u8..6, 3);
    (markets, said, refused).prop_map(|(drawn, said, refused)| {
        let standings = HOUSES.iter().zip(said).map(|(n, said)| ((*n).to_owned(), standing(said)));
        let prices = [(Asset::Eth, Decimal::from(270_000)), (Asset::Usdt, Decimal::from(90))];
        World { rate: board(&drawn, &refused), venues: standings.collect(), prices: prices.into() }
    })
}

impl World {
    fn known(&self) -> Known<'_> {
        Known {
            venues: &self.venues,
            prices: &self.prices,
            slippage: bps(100),
            collar: bps(200),
            book_age_max: TimeDelta::seconds(60),
        }
    }

    /// The very question of a sale of this size, of the ways that the board believes.
    fn sale(&self, size: Amount) -> Route {
        let doubted = self.rate.routes.iter().filter(|route| route.refused.is_some());
        let barred = doubted.map(|r| (r.venues.clone(), "not believed".to_owned())).collect();
        choose(&Question {
            total: size,
            offers: &self.rate.markets,
            venues: &self.venues,
            prices: &self.prices,
            slippage: bps(100),
            collar: bps(200),
            book_age_max: TimeDelta::seconds(60),
            except: None,
            barred: Some(&barred),
            now: now(),
        })
    }

    fn price_over(&self, venues: &[String], amount: Amount) -> Option<Decimal> {
        let book = self.rate.routes.iter().find(|route| route.venues == venues)?;
        executable_bid(&book.bids, amount)
    }
}

fn quote(way: Way, amount: Amount, spread: SpreadParts) -> Option<Quote> {
    let id = uuid::Uuid::nil();
    Some(Quote {
        id: QuoteId::from_uuid(id),
        payment: PaymentId::from_uuid(id),
        network: NetworkId::new("lab").unwrap(),
        asset: Asset::Eth,
        address: String::new(),
        uri: String::new(),
        amount,
        payable: payable(amount, Asset::Eth, way.price, spread.total())?,
        price: way.price,
        spread: spread.total(),
        tick: 1,
        basis: Basis {
            tick_at: now(),
            verdict: "good".to_owned(),
            venues: way.venues,
            levels: way.levels,
            route: Some(way.route),
            sources: Vec::new(),
            spread,
            rounding: Rounding::Up,
            fee: Some(bps(100)),
            gst: Some(bps(1_800)),
        },
        created_at: now(),
        valid_until: now(),
    })
}

/// As the database keeps it: text of JSON, and numbers of 28 digits.
fn stored(quote: &Quote) -> Quote {
    fn through<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        serde_json::from_str(&serde_json::to_value(value).unwrap().to_string()).unwrap()
    }
    let mut again = quote.clone();
    again.basis.levels = through(&quote.basis.levels);
    again.basis.route = through(&quote.basis.route);
    again.basis.spread = through(&quote.basis.spread);
    again.price = quote.price.to_string().parse().unwrap();
    again
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    // Whatever the books, the venues, the amount and the spread: the way is the sale's, the price
    // is that way's, and what is stored gives the same numbers.
    #[test]
    fn is_priced_by_the_sales_own_way_and_recomputes(
        world in world(),
        paise in 1_i128..2_000_000_000,
        rule in 0_u32..=1_000,
        share in 0_u32..=200,
        most in 0_u32..=1_000,
        range in proptest::option::of((1_i64..1_000_000, 0_i64..100_000)),
    ) {
        let amount = Amount::try_new(paise, Asset::Inr).unwrap();
        let range = range.map(|(low, more)| Moved {
            low: Decimal::from(low),
            high: Decimal::from(low + more),
        });
        let moves = Volatility { share_percent: share, most: bps(most) };
        let spread = SpreadParts::new((bps(rule), Some(7)), moves, range);
        prop_assert!(spread.total().get() <= 1_000 && spread.total() >= bps(rule));
        let believed = |r: &&RouteBook| r.refused.is_none();
        let way = match take(&world.rate, amount, &world.known()) {
            Ok(way) => way,
            Err(NoWay::TooThin) => {
                let carries = |r: &RouteBook| executable_bid(&r.bids, amount).is_some();
                prop_assert!(!world.rate.routes.iter().filter(believed).any(carries));
                return Ok(());
            }
            Err(NoWay::Unsellable(route)) => {
                prop_assert!(route.taken().is_none() && route.is_explained());
                prop_assert!(!route.refused_for(Why::Inventory), "{}", route.reasons());
                return Ok(());
            }
        };
        prop_assert_eq!(Some(way.price), world.price_over(&way.venues, amount));
        let sale = world.sale(way.route.total);
        match sale.taken().map(|taken| taken.venues()) {
            Some(venues) if venues == way.venues => {}
            // A way whose book does not carry it all makes no price.
            Some(venues) => prop_assert_eq!(world.price_over(&venues, amount), None),
            // Empty shelves count as full for a quote.
            None => prop_assert!(sale.refused_for(Why::Inventory), "{}", sale.reasons()),
        }
        let Some(quote) = quote(way, amount, spread) else { return Ok(()) };
        prop_assert!(is_explained(&quote));
        let stored = stored(&quote);
        prop_assert_eq!(&stored, &quote);
        prop_assert!(is_explained(&stored));
        nothing_of_it_can_be_another(&quote)?;
    }
}

/// Each number is bound by the others.
fn nothing_of_it_can_be_another(quote: &Quote) -> Result<(), TestCaseError> {
    let more = Amount::try_new(quote.payable.minor() + 1, Asset::Eth).unwrap();
    let dearer = Quote { payable: more, ..quote.clone() };
    prop_assert!(!is_explained(&dearer));
    let mut wider = quote.clone();
    wider.basis.spread.moved = bps(wider.basis.spread.moved.get() + 1);
    prop_assert!(!is_explained(&wider));
    let mut elsewhere = quote.clone();
    elsewhere.basis.venues.push("mtgox".to_owned());
    prop_assert!(!is_explained(&elsewhere));
    let mut richer = quote.clone();
    let route = richer.basis.route.as_mut().unwrap();
    let place = route.candidates.iter().position(|c| c.net.is_some()).unwrap();
    route.candidates[place].legs[0].net += Decimal::new(1, 2);
    prop_assert!(!is_explained(&richer));
    // What an older version stored has no choice to reckon again, and still its price.
    let mut older = quote.clone();
    older.basis.route = None;
    prop_assert!(is_explained(&older));
    Ok(())
}
