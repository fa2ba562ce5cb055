//! What must hold of every choice, whatever the books, the venues and their books look like.

use proptest::prelude::*;

use super::*;
use crate::rates::Level;

fn bps(n: u32) -> Bps {
    Bps::new(n).unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_607_200, 0).unwrap()
}

fn market(best: Decimal, depth: Decimal, fee: u32) -> Market {
    let level =
        |down: i64| Level { price: best * Decimal::new(10_000 - down * 20, 4), quantity: depth };
    Market {
        price_tick: Decimal::new(1, 2),
        quantity_step: Decimal::new(1, 4),
        quantity_min: Decimal::new(1, 4),
        quantity_max: None,
        notional_min: Decimal::from(5),
        is_open: true,
        takes_immediate: true,
        levies: Levies { fee: bps(fee), gst: bps(1_800), tds: bps(100) },
        bids: (0..5).map(level).collect(),
        seen_at: now(),
    }
}

fn offer(venue: &str, sell: Asset, quote: Asset, market: Market) -> Offer {
    Offer { venue: venue.to_owned(), sell, quote, market: Ok(market) }
}

fn plenty() -> Standing {
    let many = |asset: Asset| (asset, Amount::try_new(10_i128.pow(30), asset).unwrap());
    Standing {
        free: [Asset::Eth, Asset::Usdt, Asset::Inr].map(many).into(),
        held: Some(Amount::zero(Asset::Inr)),
        ..Standing::default()
    }
}

struct World {
    total: Amount,
    offers: Vec<Offer>,
    venues: BTreeMap<String, Standing>,
    prices: BTreeMap<Asset, Decimal>,
}

impl World {
    fn new(milli_eth: i128, depth: (i64, i64, i64)) -> Self {
        let direct = market(Decimal::from(270_000), Decimal::new(depth.0, 3), 20);
        let dollars = Market {
            levies: Levies { fee: bps(10), gst: Bps::ZERO, tds: Bps::ZERO },
            ..market(Decimal::from(3_000), Decimal::new(depth.1, 3), 10)
        };
        let rupees = market(Decimal::from(90), Decimal::new(depth.2, 3), 20);
        Self {
            total: Amount::try_new(milli_eth * 10_i128.pow(15), Asset::Eth).unwrap(),
            offers: vec![
                offer("binance", Asset::Eth, Asset::Usdt, dollars),
                offer("wazirx", Asset::Eth, Asset::Inr, direct),
                offer("wazirx", Asset::Usdt, Asset::Inr, rupees),
            ],
            venues: ["binance", "wazirx"].map(|name| (name.to_owned(), plenty())).into(),
            prices: [(Asset::Eth, Decimal::from(270_000)), (Asset::Usdt, Decimal::from(90))].into(),
        }
    }

    fn choose(&self) -> Route {
        choose(&Question {
            total: self.total,
            offers: &self.offers,
            venues: &self.venues,
            prices: &self.prices,
            slippage: bps(100),
            collar: bps(200),
            book_age_max: TimeDelta::seconds(60),
            except: None,
            barred: None,
            now: now(),
        })
    }

    fn venue(&mut self, name: &str) -> &mut Standing {
        self.venues.get_mut(name).unwrap()
    }

    fn market(&mut self, at: usize) -> &mut Market {
        self.offers[at].market.as_mut().unwrap()
    }
}

const DEEP: (i64, i64, i64) = (1_000_000, 1_000_000, 1_000_000_000);
const DIRECT: &str = "wazirx ETH/INR";
const BY_BINANCE: &str = "binance ETH/USDT, wazirx USDT/INR";

fn taken(route: &Route) -> &str {
    route.taken().map_or("nothing", |taken| &taken.path)
}

fn why(route: &Route, path: &str) -> Option<Why> {
    let found = route.candidates.iter().find(|c| c.path == path).unwrap();
    match &found.verdict {
        Verdict::Refused { why, .. } => Some(*why),
        _ => None,
    }
}

#[test]
fn the_cheaper_way_is_taken_and_the_other_says_why_not() {
    let route = World::new(1_000, DEEP).choose();
    assert_eq!(taken(&route), DIRECT);
    assert!(route.reasons().contains("binance ETH/USDT, wazirx USDT/INR: leaves "));
}

#[test]
fn a_thin_book_sends_it_the_other_way() {
    let thin = (10, 1_000_000, 1_000_000_000);
    assert_eq!(taken(&World::new(1_000, thin).choose()), BY_BINANCE);
    let both_thin = (10, 5, 1_000_000_000);
    assert_eq!(taken(&World::new(1_000, both_thin).choose()), DIRECT, "the larger part");
}

#[test]
fn everything_that_speaks_against_a_venue_is_heard() {
    type Change = fn(&mut World);
    let changes: [(Why, Change); 8] = [
        (Why::Unreachable, |w| w.offers[1].market = Err("no answer".into())),
        (Why::Closed, |w| w.market(1).is_open = false),
        (Why::Stale, |w| w.market(1).seen_at = now() - TimeDelta::seconds(61)),
        (Why::NoDepth, |w| w.market(1).bids.clear()),
        (Why::OffMarket, |w| {
            for level in &mut w.market(1).bids {
                level.price /= Decimal::from(2);
            }
        }),
        (Why::BelowMinimum, |w| w.market(1).notional_min = Decimal::from(1_000_000)),
        (Why::BelowMinimum, |w| w.market(1).quantity_min = Decimal::from(2)),
        (Why::OutOfRange, |w| w.market(1).quantity_step = Decimal::ZERO),
    ];
    for (expected, change) in changes {
        let mut world = World::new(1_000, DEEP);
        change(&mut world);
        let route = world.choose();
        assert_eq!(why(&route, DIRECT), Some(expected));
        assert_eq!(taken(&route), BY_BINANCE, "{expected:?}");
    }
}

#[test]
fn a_freeze_a_cap_and_empty_shelves_refuse() {
    let mut world = World::new(1_000, DEEP);
    world.venue("wazirx").frozen = Some("withdrawals are kept back".into());
    let route = world.choose();
    assert_eq!((taken(&route), why(&route, BY_BINANCE)), ("nothing", Some(Why::Frozen)));
    let mut world = World::new(1_000, DEEP);
    world.venue("binance").frozen = Some("why".into());
    assert_eq!(taken(&world.choose()), DIRECT);
    let mut world = World::new(1_000, DEEP);
    let lakh = Amount::try_new(10_000_000, Asset::Inr).unwrap();
    world.venue("wazirx").cap = Some(lakh);
    assert_eq!(why(&world.choose(), DIRECT), Some(Why::Cap), "₹ 2,67,000 more than a lakh");
    let crore = Amount::try_new(1_000_000_000, Asset::Inr).unwrap();
    world.venue("wazirx").cap = Some(crore);
    assert_eq!(taken(&world.choose()), DIRECT);
    world.venue("wazirx").held = None;
    assert_eq!(why(&world.choose(), DIRECT), Some(Why::Cap), "unknown counts as too much");
    let mut world = World::new(1_000, DEEP);
    world.venue("wazirx").free.remove(&Asset::Eth);
    let route = world.choose();
    assert_eq!((taken(&route), why(&route, DIRECT)), (BY_BINANCE, Some(Why::Inventory)));
    world.venue("wazirx").free.remove(&Asset::Usdt);
    assert_eq!(why(&world.choose(), BY_BINANCE), Some(Why::Inventory));
}

#[test]
fn what_speaks_against_a_venue_softly_matters_only_where_there_is_another() {
    let mut world = World::new(1_000, DEEP);
    world.venue("wazirx").unwell = Some("three orders without an answer".into());
    assert_eq!(taken(&world.choose()), DIRECT, "both ways end there");
    let mut world = World::new(1_000, DEEP);
    world.venue("binance").unwell = Some("it refused us".into());
    world.market(1).levies.fee = bps(100);
    assert_eq!(taken(&world.choose()), DIRECT);
    world.venue("wazirx").frozen = None;
    world.venue("binance").unwell = None;
    assert_eq!(taken(&world.choose()), BY_BINANCE);
}

#[test]
fn a_price_nobody_knows_is_no_price() {
    let mut world = World::new(1_000, DEEP);
    world.prices.remove(&Asset::Usdt);
    assert_eq!(why(&world.choose(), BY_BINANCE), Some(Why::OffMarket));
    world.prices.clear();
    assert_eq!(taken(&world.choose()), "nothing");
}

#[test]
fn too_small_for_all_that_are_not_frozen_is_below_the_minimum() {
    let mut world = World::new(1_000, DEEP);
    for at in 0..3 {
        world.market(at).notional_min = Decimal::from(100_000_000);
    }
    assert!(world.choose().is_below_minimum());
    let seen = world.offers[0].market.clone();
    world.offers[0].market = Err("no answer".into());
    assert!(!world.choose().is_below_minimum(), "it may take it");
    let venue = world.offers[0].venue.clone();
    world.venue(&venue).frozen = Some("by a person".to_owned());
    assert!(!world.choose().refused_for(Why::Unreachable), "frozen is said before silent");
    world.offers[0].market = seen;
    assert!(world.choose().is_below_minimum());
    // What a frozen one shows does not matter, be it empty, cheap or nonsense.
    type Change = fn(&mut Market);
    let odd: [Change; 3] = [
        |market| market.bids.clear(),
        |market| market.bids[0].price /= Decimal::from(1_000),
        |market| market.quantity_step = Decimal::ZERO,
    ];
    for change in odd {
        let kept = world.market(0).clone();
        change(world.market(0));
        let route = world.choose();
        assert_eq!(why(&route, BY_BINANCE), Some(Why::Frozen), "{}", route.reasons());
        assert!(route.is_below_minimum());
        *world.market(0) = kept;
    }
    world.venue(&venue).frozen = None;
    world.market(1).is_open = false;
    assert!(!world.choose().is_below_minimum(), "closed for now");
}

#[test]
fn a_book_too_old_to_tell_makes_nothing_small() {
    let mut world = World::new(1_000, DEEP);
    for at in 0..3 {
        world.market(at).notional_min = Decimal::from(100_000_000);
    }
    world.market(0).seen_at -= TimeDelta::hours(1);
    assert!(!world.choose().is_below_minimum());
}

#[test]
fn an_order_is_cut_to_what_the_venue_takes_at_once() {
    let mut market = market(Decimal::from(90), Decimal::from(1), 20);
    market.quantity_max = Some(Decimal::new(25, 1));
    let total = Amount::parse_units("10", Asset::Eth).unwrap();
    let most = Amount::parse_units("2.5", Asset::Eth).unwrap();
    assert_eq!(market.one_order(total).unwrap(), most);
    assert_eq!(market.one_order(most).unwrap(), most);
}

proptest! {
    // Whatever is thin, frozen, capped or empty: at most one is taken, it is the best of those that
    // may be, never a frozen one, and everybody else has a reason.
    #[test]
    fn one_is_taken_and_all_others_have_a_reason(
        milli in 1_i128..50_000, depth in (0_i64..100_000, 0_i64..100_000, 0_i64..100_000_000),
        frozen in any::<(bool, bool)>(), unwell in any::<(bool, bool)>(),
        cap in proptest::option::of(0_i128..2_000_000_000), stock in 0_i128..50_000,
    ) {
        let mut world = World::new(milli, depth);
        let told = |is: bool| is.then(|| "why".to_owned());
        world.venue("wazirx").frozen = told(frozen.0);
        world.venue("binance").frozen = told(frozen.1);
        world.venue("wazirx").unwell = told(unwell.0);
        world.venue("binance").unwell = told(unwell.1);
        world.venue("wazirx").cap = cap.map(|c| Amount::try_new(c, Asset::Inr).unwrap());
        let stock = Amount::try_new(stock * 10_i128.pow(15), Asset::Eth).unwrap();
        world.venue("binance").free.insert(Asset::Eth, stock);
        let route = world.choose();
        prop_assert_eq!(route.candidates.len(), 2);
        let taken: Vec<_> =
            route.candidates.iter().filter(|c| c.verdict == Verdict::Taken).collect();
        prop_assert!(taken.len() <= 1);
        let is_able = |c: &&Candidate| !matches!(c.verdict, Verdict::Refused { .. });
        let able = route.candidates.iter().filter(is_able);
        prop_assert_eq!(able.count() > 0, taken.len() == 1);
        for candidate in &route.candidates {
            match &candidate.verdict {
                Verdict::Taken => {
                    let passes_binance = candidate.legs.len() == 2;
                    prop_assert!(!frozen.0);
                    prop_assert!(!frozen.1 || !passes_binance);
                    prop_assert!(candidate.net.unwrap().is_positive());
                }
                Verdict::Behind { reason } => {
                    prop_assert!(!reason.is_empty());
                    let better = taken[0];
                    let worse = better.unwell.is_some() && candidate.unwell.is_none();
                    prop_assert!(!worse);
                    if better.unwell.is_some() == candidate.unwell.is_some() {
                        prop_assert!(better.net.unwrap().minor() >= candidate.net.unwrap().minor());
                    }
                }
                Verdict::Refused { reason, .. } => prop_assert!(!reason.is_empty()),
            }
            for leg in &candidate.legs {
                prop_assert!(leg.quantity.minor() <= 10_i128.pow(30));
                let quantity = units(leg.quantity).unwrap();
                prop_assert!(leg.walk.executable <= quantity);
                prop_assert!(leg.net <= leg.walk.gross);
            }
        }
        // What is stored tells the same years later.
        let stored = serde_json::to_value(&route).unwrap();
        prop_assert_eq!(serde_json::from_value::<Route>(stored).unwrap(), route);
        prop_assert_eq!(world.choose(), world.choose());
    }

    // A deeper book never leaves less.
    #[test]
    fn more_depth_never_hurts(
        milli in 1_i128..50_000, thin in 1_i64..50_000, more in 0_i64..50_000,
    ) {
        let net = |depth| {
            let route = World::new(milli, (depth, 0, 0)).choose();
            route.taken().and_then(|taken| taken.net).map_or(0, Amount::minor)
        };
        prop_assert!(net(thin + more) >= net(thin));
    }
}
