//! The named faults of the simulated WazirX: the answer is lost in every manner, with and without
//! the effect, and a find by our own reference tells which.

use primitives::{Asset, CallError};
use simulators::fault::Fault;

use crate::world::{World, order};

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

#[tokio::test]
async fn a_find_tells_whether_a_lost_order_exists() {
    let world = World::start().await;
    let venue = world.wazirx();
    for (n, (name, exists)) in LOST.into_iter().enumerate() {
        let order = order(venue.as_ref(), Asset::Eth, &format!("lost-{n}"), 5_000, 90).await;
        world.fault("wazirx", "place_order", name);
        let lost = venue.place_order(&order).await;
        assert!(lost.as_ref().is_err_and(CallError::may_have_happened), "{name}: {lost:?}");
        let found = venue.find_order(&order.client_ref).await.unwrap();
        assert_eq!(found.is_some(), exists, "{name}");
        if let Some(found) = found {
            let fills = venue.fills(&found).await.unwrap();
            assert!(!fills.is_empty(), "{name}: its executions are there to be booked");
        }
        assert!(world.running.world.faults.waiting().is_empty(), "{name} struck");
    }
}

// An order may also arrive after we gave up and looked: absence once is not proof.
#[tokio::test]
async fn an_order_may_arrive_late() {
    let world = World::start().await;
    let venue = world.wazirx();
    let order = order(venue.as_ref(), Asset::Eth, "late-1", 5_000, 90).await;
    let mut late = Fault::new("wazirx", "place_order", "delayed_apply");
    late.delay_ms = Some(3_000);
    world.running.world.faults.queue(late).unwrap();
    assert!(venue.place_order(&order).await.unwrap_err().may_have_happened());
    assert_eq!(venue.find_order(&order.client_ref).await, Ok(None));
    world.pass(4);
    assert!(venue.find_order(&order.client_ref).await.unwrap().is_some());
}

#[tokio::test]
async fn a_read_under_faults_is_weather() {
    let world = World::start().await;
    let venue = world.wazirx();
    for (name, _) in LOST {
        world.fault("wazirx", "funds", name);
        let read = venue.holdings().await;
        assert!(matches!(read, Err(CallError::NotSent(_))), "{name}: {read:?}");
        assert!(venue.holdings().await.is_ok(), "after {name}");
    }
}

// While the venue wants silence nothing more is sent, and afterwards all is well.
#[tokio::test]
async fn silence_is_kept_as_long_as_asked() {
    let world = World::start().await;
    for (name, seconds) in [("rate_limited", 2), ("banned", 600)] {
        let venue = world.wazirx();
        let order = order(venue.as_ref(), Asset::Eth, "unsent", 5_000, 90).await;
        world.fault("wazirx", "place_order", name);
        let first = venue.place_order(&order).await;
        assert!(matches!(first, Err(CallError::RateLimited { .. })), "{name}: {first:?}");
        world.fault("wazirx", "funds", "http_503");
        let held = venue.holdings().await;
        assert!(matches!(held, Err(CallError::RateLimited { .. })), "{name}: {held:?}");
        assert_eq!(world.running.world.faults.waiting().len(), 1, "nothing was sent");
        world.running.world.faults.clear();
        world.pass(seconds);
        assert_eq!(venue.find_order(&order.client_ref).await, Ok(None));
    }
}

#[tokio::test]
async fn refusals_injected_by_code_are_refusals() {
    let world = World::start().await;
    let venue = world.wazirx();
    for code in ["2002", "2031", "2005", "1999"] {
        let order = order(venue.as_ref(), Asset::Eth, "refused-1", 5_000, 90).await;
        world.fault("wazirx", "place_order", &format!("reject:{code}"));
        match venue.place_order(&order).await {
            Err(CallError::Rejected { code: told, .. }) => assert_eq!(told, code),
            other => panic!("{code}: {other:?}"),
        }
    }
}
