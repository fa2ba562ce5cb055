//! The named faults of the simulated venues: the answer is lost in every manner, with and without
//! the effect, and a find by our own reference tells which.

use exchanges::custody::NewWithdrawal;
use primitives::{Amount, Asset, CallError, NetworkId};
use simulators::fault::Fault;

use crate::world::{VENUES, World, client_ref, order};

/// Fault, and whether the order exists afterwards.
const LOST: [(&str, bool); 13] = [
    ("timeout_applied", true),
    ("timeout_not_applied", false),
    ("reset_applied", true),
    ("reset_not_applied", false),
    ("http_500_applied", true),
    ("http_500_not_applied", false),
    ("http_502_html", false),
    ("http_503", false),
    ("http_504_applied", true),
    ("malformed", true),
    ("truncated", true),
    ("huge_body", true),
    ("slow_drip", true),
];

/// The faults that last longer than anybody waits.
fn hangs(name: &str) -> bool {
    name.starts_with("timeout") || name == "slow_drip"
}

/// What the venues' calls for our balances are named in faults.
fn balances(kind: &str) -> &'static str {
    if kind == "wazirx" { "funds" } else { "account" }
}

#[tokio::test]
async fn a_find_tells_whether_a_lost_order_exists() {
    let world = World::start().await;
    for kind in VENUES {
        let venue = world.venue(kind);
        let hasty = world.connect_hastily(kind).exchange.unwrap();
        for (n, (name, exists)) in LOST.into_iter().enumerate() {
            let reference = format!("lost-{n}");
            let order = order(venue.as_ref(), Asset::Eth, &reference, 5_000, 90).await;
            world.fault(kind, "place_order", name);
            let asked = if hangs(name) { &hasty } else { &venue };
            let lost = asked.place_order(&order).await;
            let is_unknown = lost.as_ref().is_err_and(CallError::may_have_happened);
            assert!(is_unknown, "{kind} {name}: {lost:?}");
            let found = venue.find_order(order.pair, &order.client_ref).await.unwrap();
            assert_eq!(found.is_some(), exists, "{kind} {name}");
            if let Some(found) = found {
                let fills = venue.fills(&found).await.unwrap();
                assert!(!fills.is_empty(), "{name}: its executions are there to be booked");
            }
            assert!(world.running.world.faults.waiting().is_empty(), "{name} struck");
        }
    }
}

// The same for coins that leave.
#[tokio::test]
async fn a_find_tells_whether_a_lost_withdrawal_exists() {
    let world = World::start().await;
    let network = NetworkId::new("ethereum").unwrap();
    for (kind, other) in [("binance", "wazirx"), ("wazirx", "binance"), ("coinbase", "binance")] {
        let custody = world.custody(kind);
        let hasty = world.connect_hastily(kind).custody.unwrap();
        let to = world.custody(other).deposit_address(Asset::Usdt, &network).await.unwrap();
        for (n, (name, exists)) in LOST.into_iter().enumerate() {
            let new = NewWithdrawal {
                client_ref: client_ref(&format!("w-{n}")),
                network: network.clone(),
                amount: Amount::try_new(20_000_000, Asset::Usdt).unwrap(),
                to: to.address.clone(),
                stamp: world.now(),
            };
            world.fault(kind, "withdraw", name);
            let asked = if hangs(name) { &hasty } else { &custody };
            let lost = asked.withdraw(&new).await;
            let is_unknown = lost.as_ref().is_err_and(CallError::may_have_happened);
            assert!(is_unknown, "{kind} {name}: {lost:?}");
            let found = custody.find_withdrawal(Asset::Usdt, &new.client_ref).await.unwrap();
            assert_eq!(found.is_some(), exists, "{kind} {name}");
            assert!(world.running.world.faults.waiting().is_empty(), "{name} struck");
            world.pass(15);
        }
    }
}

// An order may also arrive after we gave up and looked, or be there and not be shown yet: absence
// once is not proof.
#[tokio::test]
async fn an_order_may_arrive_or_be_shown_late() {
    let world = World::start().await;
    for kind in VENUES {
        let venue = world.venue(kind);
        let late_order = order(venue.as_ref(), Asset::Eth, "late-1", 5_000, 90).await;
        let find = async || venue.find_order(late_order.pair, &late_order.client_ref).await;
        let mut late = Fault::new(kind, "place_order", "delayed_apply");
        late.delay_ms = Some(3_000);
        world.running.world.faults.queue(late).unwrap();
        assert!(venue.place_order(&late_order).await.unwrap_err().may_have_happened());
        assert_eq!(find().await, Ok(None));
        world.pass(4);
        assert!(find().await.unwrap().is_some(), "{kind}");
    }
    for kind in ["binance", "coinbase"] {
        let venue = world.venue(kind);
        world.fault(kind, "place_order", "query_lag");
        let lagging = order(venue.as_ref(), Asset::Eth, "lag-1", 5_000, 90).await;
        let placed = venue.place_order(&lagging).await.unwrap();
        let found = venue.find_order(lagging.pair, &lagging.client_ref).await;
        assert_eq!(found, Ok(None), "{kind}");
        if !placed.executed.is_zero() {
            let unread = venue.fills(&placed).await;
            assert!(matches!(unread, Err(CallError::NotSent(_))), "they lag as well: {unread:?}");
        }
        world.pass(4);
        let found = venue.find_order(lagging.pair, &lagging.client_ref).await.unwrap().unwrap();
        assert!(!venue.fills(&found).await.unwrap().is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn a_read_under_faults_is_weather() {
    let world = World::start().await;
    for kind in VENUES {
        let venue = world.venue(kind);
        let hasty = world.connect_hastily(kind).exchange.unwrap();
        for (name, _) in LOST {
            world.fault(kind, balances(kind), name);
            let asked = if hangs(name) { &hasty } else { &venue };
            let read = asked.holdings().await;
            assert!(matches!(read, Err(CallError::NotSent(_))), "{kind} {name}: {read:?}");
            assert!(venue.holdings().await.is_ok(), "{kind} after {name}");
        }
    }
}

// While the venue wants silence nothing more is sent, and afterwards all is well.
#[tokio::test]
async fn silence_is_kept_as_long_as_asked() {
    let world = World::start().await;
    for kind in VENUES {
        for (name, seconds) in [("rate_limited", 2), ("banned", 600)] {
            let venue = world.venue(kind);
            let order = order(venue.as_ref(), Asset::Eth, "unsent", 5_000, 90).await;
            world.fault(kind, "place_order", name);
            let first = venue.place_order(&order).await;
            assert!(matches!(first, Err(CallError::RateLimited { .. })), "{name}: {first:?}");
            world.fault(kind, balances(kind), "http_503");
            let held = venue.holdings().await;
            assert!(matches!(held, Err(CallError::RateLimited { .. })), "{name}: {held:?}");
            assert_eq!(world.running.world.faults.waiting().len(), 1, "nothing was sent");
            world.running.world.faults.clear();
            world.pass(seconds);
            assert_eq!(venue.find_order(order.pair, &order.client_ref).await, Ok(None));
        }
    }
}

#[tokio::test]
async fn refusals_injected_by_code_are_refusals() {
    let world = World::start().await;
    let table = [
        ("wazirx", ["2002", "2031", "2005"]),
        ("binance", ["-2010", "-1013", "-1111"]),
        ("coinbase", ["INSUFFICIENT_FUND", "INVALID_SIZE_PRECISION", "ORDER_ENTRY_DISABLED"]),
    ];
    for (kind, codes) in table {
        let venue = world.venue(kind);
        for code in codes {
            let order = order(venue.as_ref(), Asset::Eth, "refused-1", 5_000, 90).await;
            world.fault(kind, "place_order", &format!("reject:{code}"));
            match venue.place_order(&order).await {
                Err(CallError::Rejected { code: told, .. }) => assert_eq!(told, code),
                other => panic!("{kind} {code}: {other:?}"),
            }
        }
    }
    let venue = world.venue("coinbase");
    for code in ["UNKNOWN_FAILURE_REASON", "DUPLICATE_CLIENT_ORDER_ID", "A_NEW_WORD"] {
        let order = order(venue.as_ref(), Asset::Eth, "unknown-1", 5_000, 90).await;
        world.fault("coinbase", "place_order", &format!("reject:{code}"));
        let unknown = venue.place_order(&order).await.unwrap_err();
        assert!(unknown.may_have_happened(), "{code}: {unknown}");
    }
    let venue = world.venue("binance");
    for code in ["-1000", "-1001", "-1006", "-1007", "-1008", "-2010:duplicate", "-9999"] {
        let order = order(venue.as_ref(), Asset::Eth, "unknown-1", 5_000, 90).await;
        world.fault("binance", "place_order", &format!("reject:{code}"));
        let unknown = venue.place_order(&order).await.unwrap_err();
        assert!(unknown.may_have_happened(), "{code}: {unknown}");
    }
}

// The venue's own counting: what it tells in headers is enough never to run into its refusals.
#[tokio::test]
async fn binance_is_never_asked_beyond_its_windows() {
    let world = World::start().await;
    let settings = world.running.binance.settings();
    let limits = simulators::binance::Settings { limits: true, ..settings };
    assert!(world.running.binance.set_settings(limits));
    let venue = world.venue("binance");
    let mut reads = 0;
    let refused = loop {
        match venue.holdings().await {
            Ok(_) => reads += 1,
            Err(error) => break error,
        }
    };
    assert!(reads >= 290, "6000 a minute at 20 each: {reads}");
    assert_eq!(refused, CallError::RateLimited { retry_after_s: 60 }, "ours, to the window's end");
    world.pass(60);
    // Orders that rest are counted; ten seconds later there is room again.
    let resting = order(venue.as_ref(), Asset::Eth, "many", 100, 110).await;
    let mut placed = 0;
    let refused = loop {
        let client_ref = client_ref(&format!("many-{placed}"));
        let order = exchanges::NewOrder { client_ref, ..resting.clone() };
        match venue.place_order(&order).await {
            Ok(_) => placed += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((placed, refused), (100, CallError::RateLimited { retry_after_s: 10 }));
    assert!(venue.holdings().await.is_ok(), "reading goes on");
    world.pass(10);
    let order = exchanges::NewOrder { client_ref: client_ref("one-more"), ..resting };
    let order = exchanges::NewOrder { stamp: world.now(), ..order };
    venue.place_order(&order).await.unwrap();
}
