//! A busy account: more deposits than the venue tells in one answer.

use chrono::TimeDelta;
use primitives::Asset;
use rust_decimal::Decimal;

use crate::world::World;

#[tokio::test]
async fn a_full_page_is_asked_in_halves() {
    let world = World::start().await;
    let since = world.now();
    let came = |n: i64| {
        let tx = format!("0x{n:064x}");
        let amount = Decimal::new(1, 3);
        assert!(world.running.binance.deposit_on("ETH", amount, &tx, Some("base"), "credited"));
    };
    for n in 0..2_300 {
        came(n);
        world.clock.advance(TimeDelta::seconds(20));
    }
    let custody = world.custody("binance");
    let told = custody.deposits(Asset::Eth, since - TimeDelta::days(100)).await.unwrap().unwrap();
    let mut ids: Vec<_> = told.iter().map(|deposit| deposit.tx_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((told.len(), ids.len()), (2_300, 2_300), "each once");
    // A thousand in one instant cannot be told apart: no list is better than a part of it.
    world.pass(60);
    for n in 3_000..4_000 {
        came(n);
    }
    assert!(custody.deposits(Asset::Eth, since).await.is_err());
}
