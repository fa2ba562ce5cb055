//! The judge against every kind of bad evidence, one by one.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static NOW: LazyLock<DateTime<Utc>> =
    LazyLock::new(|| DateTime::from_timestamp(1_800_000_000, 0).unwrap());

fn bps(limit: u32) -> Bps {
    Bps::new(limit).unwrap()
}

fn limits() -> Limits {
    Limits {
        source_max_age_s: 60,
        outlier_bps: bps(200),
        book_spread_max_bps: bps(200),
        jump_max_bps: bps(1_000),
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
    }
}

fn three() -> Vec<SourcePrice> {
    vec![
        said("wazirx", &["wazirx"], 1_000),
        said("coinbase", &["coinbase"], 1_001),
        said("binance×coingecko", &["binance", "coingecko"], 999),
    ]
}

fn bids() -> Vec<Level> {
    vec![Level { price: Decimal::from(999), quantity: Decimal::ONE }]
}

fn judged(sources: Vec<SourcePrice>, change: impl FnOnce(&mut Evidence<'_>)) -> Verdict {
    let bids = bids();
    let mut evidence = Evidence {
        sources,
        bids: &bids,
        best_ask: Some(Decimal::from(1_001)),
        book_at: *NOW,
        last_good: Some((Decimal::from(1_000), *NOW)),
        now: *NOW,
    };
    change(&mut evidence);
    judge(limits(), evidence).verdict
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
fn the_book_must_be_fresh_whole_and_near() {
    type Change = fn(&mut Evidence<'_>);
    let cases: [(Change, &str); 6] = [
        (|e| e.book_at -= TimeDelta::hours(1), "stale"),
        (|e| e.book_at += TimeDelta::hours(1), "stale"),
        (|e| e.bids = &[], "no bids"),
        (|e| e.best_ask = None, "no asks"),
        (|e| e.best_ask = Some(Decimal::from(998)), "crossed"),
        (|e| e.best_ask = Some(Decimal::from(1_100)), "too wide"),
    ];
    for (change, why) in cases {
        let said = refusal(judged(three(), change));
        assert!(said.contains(why), "{said} should say {why}");
    }
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
    let low = [Level { price: inverted, quantity: Decimal::ONE }];
    let evidence = Evidence {
        sources: sources.to_vec(),
        bids: &low,
        best_ask: Some(inverted),
        book_at: *NOW,
        last_good: Some((Decimal::from(1_000), *NOW)),
        now: *NOW,
    };
    assert!(refusal(judge(limits(), evidence).verdict).contains("inverted"));
}

// A jump while we looked is refused however many say so; one that happened while nobody looked
// needs three independent words.
#[test]
fn jumps_need_more_words() {
    let far = Decimal::from(500);
    let watched = |e: &mut Evidence<'_>| e.last_good = Some((far, *NOW));
    let unwatched = |e: &mut Evidence<'_>| e.last_good = Some((far, *NOW - TimeDelta::hours(2)));
    assert!(refusal(judged(three(), watched)).contains("jumped"));
    assert_eq!(judged(three(), unwatched), Verdict::Good);
    let two = three().into_iter().take(2).collect();
    assert!(refusal(judged(two, unwatched)).contains("jumped"));
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
        let bids = bids();
        let judged = judge(limits(), Evidence {
            sources,
            bids: &bids,
            best_ask: Some(Decimal::from(1_001)),
            book_at: *NOW,
            last_good: last.map(|price| (Decimal::from(price), *NOW)),
            now: *NOW,
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
