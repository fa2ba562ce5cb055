//! The judge against every kind of bad evidence, one by one.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::rates::Level;

static NOW: LazyLock<DateTime<Utc>> =
    LazyLock::new(|| DateTime::from_timestamp(1_800_000_000, 0).unwrap());

fn bps(limit: u32) -> Bps {
    Bps::new(limit).unwrap()
}

fn limits() -> Limits {
    Limits {
        source_max_age_s: 60,
        slow_max_age_s: BTreeMap::from([("coingecko".to_owned(), 300)]),
        outlier_bps: bps(200),
        book_spread_max_bps: bps(200),
        jump_max_bps: bps(1_000),
        median_max_bps: bps(500),
        smallest: Decimal::from(100),
        largest: Decimal::from(900),
    }
}

fn said(source: &str, origins: &[&str], price: i64) -> SourcePrice {
    SourcePrice {
        source: source.to_owned(),
        origins: origins.iter().map(ToString::to_string).collect(),
        bid: Decimal::from(price),
        ask: Decimal::from(price),
        at: *NOW,
        refused: None,
        slow: false,
    }
}

fn three() -> Vec<SourcePrice> {
    vec![
        said("wazirx", &["wazirx"], 1_000),
        said("coinbase", &["coinbase"], 1_001),
        said("binance×bitbns", &["binance", "bitbns"], 999),
    ]
}

fn book(venue: &str, bid: Decimal, ask: Decimal) -> Leg {
    Leg {
        venue: venue.to_owned(),
        bids: vec![Level { price: bid, quantity: Decimal::ONE }],
        best_ask: Some(ask),
        at: *NOW,
    }
}

fn direct() -> Offered {
    let legs = vec![book("wazirx", Decimal::from(999), Decimal::from(1_001))];
    Offered { legs, unread: false }
}

/// 12.5 dollars at 80 rupees: as good as the direct way.
fn joined() -> Offered {
    let first = book("binance", Decimal::new(125, 1), Decimal::new(1_251, 2));
    let mut then = book("wazirx", Decimal::from(80), Decimal::new(8_001, 2));
    then.bids[0].quantity = Decimal::from(1_000);
    Offered { legs: vec![first, then], unread: false }
}

fn evidence(sources: Vec<SourcePrice>) -> Evidence {
    Evidence {
        sources,
        routes: vec![direct()],
        last_good: Some((Decimal::from(1_000), *NOW)),
        median: Some(Decimal::from(1_000)),
        now: *NOW,
    }
}

fn judged(sources: Vec<SourcePrice>, change: impl FnOnce(&mut Evidence)) -> Verdict {
    let mut evidence = evidence(sources);
    change(&mut evidence);
    judge(&limits(), evidence).0.verdict
}

fn refusal(verdict: Verdict) -> String {
    match verdict {
        Verdict::Unusable(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn three_that_agree_are_good() {
    assert_eq!(judged(three(), |_| {}), Verdict::Good);
}

#[test]
fn a_shared_leg_is_one_witness() {
    let shared = vec![
        said("wazirx", &["wazirx"], 1_000),
        said("binance×wazirx", &["binance", "wazirx"], 1_000),
    ];
    assert!(refusal(judged(shared, |_| {})).contains("independent"));
    let nameless = vec![said("a", &[], 1_000), said("b", &[], 1_000)];
    assert!(refusal(judged(nameless, |_| {})).contains("independent"));
}

// Two prices of one house are one opinion, also with another's rupees.
#[test]
fn one_house_that_says_much_is_one() {
    let much = vec![
        said("wazirx", &["wazirx"], 1_000),
        said("coinbase", &["coinbase"], 1_000),
        said("coinbase×wazirx", &["coinbase", "wazirx"], 1_000),
        said("coinbase×coinbase", &["coinbase"], 1_000),
    ];
    assert_eq!(judged(much, |_| {}), Verdict::Degraded("only two sources".to_owned()));
}

#[test]
fn outliers_are_trimmed_and_named() {
    let mut sources = three();
    sources.push(said("liar", &["liar"], 10));
    assert_eq!(judged(sources, |_| {}), Verdict::Degraded("without liar".to_owned()));
}

#[test]
fn stale_and_future_words_do_not_count() {
    for seconds in [-3_600, 3_600] {
        let mut sources = three();
        for source in sources.iter_mut().skip(1) {
            source.at += TimeDelta::seconds(seconds);
        }
        assert!(refusal(judged(sources, |_| {})).contains("independent"));
    }
}

#[test]
fn the_book_must_be_fresh_whole_near_and_deep() {
    type Change = fn(&mut Leg);
    let cases: [(Change, &str); 8] = [
        (|leg| leg.at -= TimeDelta::hours(1), "stale"),
        (|leg| leg.at += TimeDelta::hours(1), "stale"),
        (|leg| leg.bids.clear(), "no bids"),
        (|leg| leg.best_ask = None, "no asks"),
        (|leg| leg.best_ask = Some(Decimal::from(998)), "crossed"),
        (|leg| leg.best_ask = Some(Decimal::from(1_100)), "too wide"),
        (
            |leg| *leg = book("wazirx", Decimal::from(979), Decimal::from(990)),
            "far from the market",
        ),
        (|leg| leg.bids[0].quantity = Decimal::new(1, 1), "too thin"),
    ];
    for (change, why) in cases {
        let said = refusal(judged(three(), |e| change(&mut e.routes[0].legs[0])));
        assert!(said.contains(why), "{said} should say {why}");
    }
    assert!(refusal(judged(three(), |e| e.routes.clear())).contains("no book"));
}

#[test]
fn a_book_thinner_than_the_largest_payment_is_not_good() {
    let thin = |e: &mut Evidence| e.routes[0].legs[0].bids[0].quantity = Decimal::new(5, 1);
    let Verdict::Degraded(why) = judged(three(), thin) else { panic!("not degraded") };
    assert_eq!(why, "the deepest book carries ₹500, the largest payment is ₹900");
}

// One way is enough to sell; the other one's fault is told, and no quote is made from it.
#[test]
fn a_second_way_stands_in_for_the_first() {
    let both = |e: &mut Evidence| e.routes.push(joined());
    assert_eq!(judged(three(), both), Verdict::Good);
    for (spoiled, name) in [(0, "wazirx"), (1, "binance and wazirx")] {
        let mut evidence = evidence(three());
        evidence.routes.push(joined());
        evidence.routes[spoiled].legs[0].at -= TimeDelta::hours(1);
        let (judged, routes) = judge(&limits(), evidence);
        let why = format!("not over {name}: the venue's book is stale");
        assert_eq!(judged.verdict, Verdict::Degraded(why));
        let refused: Vec<bool> = routes.iter().map(|route| route.refused.is_some()).collect();
        assert_eq!(refused, [spoiled == 0, spoiled == 1]);
    }
    // A leg that is crossed hides behind no other that is wide.
    let mut evidence = evidence(three());
    evidence.routes = vec![joined()];
    evidence.routes[0].legs[0].best_ask = Some(Decimal::from(12));
    assert!(refusal(judge(&limits(), evidence).0.verdict).contains("crossed"));
}

// A slow opinion is no witness and no price, whatever it says; it confirms, or it contradicts.
#[test]
fn a_slow_opinion_makes_no_price() {
    let slow = |price, age_s| SourcePrice {
        at: *NOW - TimeDelta::seconds(age_s),
        ..said("coingecko", &["coingecko"], price)
    };
    let two: Vec<SourcePrice> = three().into_iter().take(2).collect();
    let with = |some: &[SourcePrice], more: SourcePrice| {
        let mut all = some.to_vec();
        all.push(more);
        all
    };
    assert_eq!(judged(two.clone(), |_| {}), Verdict::Degraded("only two sources".to_owned()));
    assert_eq!(judged(with(&two, slow(1_010, 300)), |_| {}), Verdict::Good);
    let (judgement, _) = judge(&limits(), evidence(with(&two, slow(1_010, 300))));
    assert_eq!(judgement.bid, Some(Decimal::from(1_000)), "of the quick ones alone");
    for (other, refused, why) in [
        (slow(1_000, 301), "stale", "only two sources"),
        (slow(900, 0), "outlier", "without coingecko"),
    ] {
        let (judgement, _) = judge(&limits(), evidence(with(&two, other)));
        assert_eq!(judgement.verdict, Verdict::Degraded(why.to_owned()));
        assert_eq!(judgement.sources[2].refused.as_deref(), Some(refused));
    }
    assert_eq!(judged(with(&three(), slow(1_000, 301)), |_| {}), Verdict::Good, "silent");
    let alone = with(&two[..1], slow(1_000, 0));
    assert!(refusal(judged(alone, |_| {})).contains("independent"));
    let leg = SourcePrice { source: "binance×coingecko".to_owned(), ..slow(1_000, 0) };
    assert!(refusal(judged(with(&two[..1], leg), |_| {})).contains("independent"));
}

// One over a thousand is what an inverted feed says of a price of a thousand.
#[test]
fn an_inverted_feed_is_named() {
    let inverted = Decimal::new(1, 3);
    let sources = ["a", "b", "c"].map(|name| SourcePrice {
        bid: inverted,
        ask: inverted,
        ..said(name, &[name], 1)
    });
    let mut low = book("wazirx", inverted, inverted);
    low.bids[0].quantity = Decimal::from(1_000_000);
    let routes = vec![Offered { legs: vec![low], unread: false }];
    let evidence = Evidence { routes, ..evidence(sources.to_vec()) };
    assert!(refusal(judge(&limits(), evidence).0.verdict).contains("inverted"));
}

// A jump while we looked is refused however many say so; one that happened while nobody looked
// needs three independent words.
#[test]
fn jumps_need_more_words() {
    let far = Decimal::from(500);
    let watched = |e: &mut Evidence| e.last_good = Some((far, *NOW));
    let unwatched = |e: &mut Evidence| {
        e.last_good = Some((far, *NOW - TimeDelta::hours(2)));
        e.median = None;
    };
    assert!(refusal(judged(three(), watched)).contains("jumped"));
    assert_eq!(judged(three(), unwatched), Verdict::Good);
    let two = three().into_iter().take(2).collect();
    assert!(refusal(judged(two, unwatched)).contains("jumped"));
}

// Steps that are each smaller than a jump are one large one: the median of ten minutes stands.
#[test]
fn many_small_jumps_are_a_large_one() {
    let usual = |median: i64| {
        move |e: &mut Evidence| {
            // The last tick was near: no jump.
            e.last_good = Some((Decimal::from(990), *NOW));
            e.median = Some(Decimal::from(median));
        }
    };
    for (median, is_far) in
        [(940, true), (953, false), (1_000, false), (1_052, false), (1_060, true)]
    {
        let verdict = judged(three(), usual(median));
        assert_eq!(matches!(verdict, Verdict::Unusable(_)), is_far, "{median}: {verdict:?}");
        if is_far {
            assert!(refusal(verdict).contains("median of ten minutes"));
        }
    }
    // A climb of 3 % a tick, the median of what could be used beside it: it ends at 5 %.
    let (mut price, mut seen) = (Decimal::from(1_000), vec![Decimal::from(1_000); 5]);
    let mut climbed = 0;
    loop {
        let next = price * Decimal::new(103, 2);
        let sources = ["a", "b", "c"].map(|name| SourcePrice {
            bid: next,
            ask: next,
            ..said(name, &[name], 1)
        });
        let routes = vec![Offered { legs: vec![book("wazirx", next, next)], unread: false }];
        let verdict = judge(
            &limits(),
            Evidence {
                routes,
                last_good: Some((price, *NOW)),
                median: median(seen.clone()),
                ..evidence(sources.to_vec())
            },
        );
        if matches!(verdict.0.verdict, Verdict::Unusable(_)) {
            break;
        }
        climbed += 1;
        price = next;
        seen.push(next);
    }
    assert_eq!(climbed, 1, "3 % and not 6 %");
}

proptest! {
    // Nothing a source can say makes the judge panic, and a usable verdict always has prices.
    #[test]
    fn never_panics_and_never_lacks_a_price(
        prices in proptest::collection::vec(
            (any::<i64>(), any::<i64>(), 0_u8..4, -200_i64..200),
            0..7,
        ),
        last in proptest::option::of(any::<i64>()),
    ) {
        let sources = prices.into_iter().map(|(bid, ask, origin, age)| SourcePrice {
            bid: Decimal::from(bid),
            ask: Decimal::from(ask),
            at: *NOW + TimeDelta::seconds(age),
            ..said("any", &[&origin.to_string()], 1)
        }).collect();
        let (judged, _) = judge(&limits(), Evidence {
            last_good: last.map(|price| (Decimal::from(price), *NOW)),
            ..evidence(sources)
        });
        match judged.verdict {
            Verdict::Unusable(_) => prop_assert!(judged.bid.is_none() && judged.ask.is_none()),
            _ => {
                prop_assert!(judged.bid.is_some_and(|bid| bid > Decimal::ZERO));
                prop_assert!(judged.ask >= judged.bid);
            }
        }
    }
}
