//! Refusals that prove nothing about an order, and markets that are looked at by several at once.

use primitives::Asset;

use crate::world::{World, order};

/// A code nobody documents, and "no such order" said to who places one.
#[tokio::test]
async fn an_answer_to_another_question_proves_nothing() {
    let world = World::start().await;
    let table = [("wazirx", ["9999", "-2013"]), ("binance", ["-2013", "-2011"])];
    for (kind, codes) in table {
        let venue = world.venue(kind);
        for code in codes {
            let order = order(venue.as_ref(), Asset::Eth, "unknown-1", 5_000, 90).await;
            world.fault(kind, "place_order", &format!("reject:{code}"));
            let unknown = venue.place_order(&order).await.unwrap_err();
            assert!(unknown.may_have_happened(), "{kind} {code}: {unknown}");
        }
    }
}

/// WazirX lets its markets be asked once a second: sales of two assets look at them together.
#[tokio::test]
async fn wazirx_markets_are_read_once_for_all() {
    let world = World::start().await;
    let settings = world.running.wazirx.settings();
    assert!(
        world
            .running
            .wazirx
            .set_settings(simulators::wazirx::Settings { limits: true, ..settings })
    );
    let venue = world.venue("wazirx");
    for asset in [Asset::Eth, Asset::Btc, Asset::Sol, Asset::Usdt] {
        let pair = venue.market(asset).unwrap();
        venue.rules(pair).await.unwrap_or_else(|error| panic!("{asset}: {error}"));
    }
}
