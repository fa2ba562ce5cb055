//! Whatever happens, in whatever order: balances are the sum of the journal, and nothing is lost.

use primitives::Entropy;
use rust_decimal::Decimal;

use crate::venue_bench::{Venues, dec};

const NAMES: [&str; 5] = ["http_500_applied", "http_503", "partial_fill", "no_fill", "truncated"];

async fn step(venues: &Venues, dice: &Entropy) {
    let side = if dice.below(2) == 0 { "sell" } else { "buy" };
    let quantity = dec("0.001") * Decimal::from(dice.below(900) + 1);
    let price = 250_000 + dice.below(40_000);
    match dice.below(8) {
        0..=2 => {
            venues.wazirx_order(&format!("{side} {quantity} ethinr {price}"), "").await;
        }
        3 => {
            let price = price / 80;
            let order = format!("{} {quantity} ETHUSDT {price}", side.to_uppercase());
            venues.binance_order(&order, "&timeInForce=GTC").await;
        }
        4 => {
            venues.wazirx("DELETE", "openOrders", "symbol=ethinr").await;
            venues.binance("DELETE", "/api/v3/openOrders", "symbol=ETHUSDT").await;
        }
        5 => {
            venues.pin("ETHINR", &price.to_string());
            venues.wazirx.match_resting();
            venues.binance.match_resting();
        }
        6 => {
            let name = NAMES[usize::try_from(dice.below(5)).unwrap()];
            let target = if dice.below(2) == 0 { "wazirx" } else { "binance" };
            venues.fault(target, "place_order", name, Some("3000"));
        }
        _ => venues.fault("wazirx", "cancel_order", "late_fill", Some("6000")),
    }
    venues.pass(i64::try_from(dice.below(3000)).unwrap());
}

#[tokio::test]
async fn random_trading_keeps_the_books() {
    for seed in 0..6 {
        let venues = Venues::new();
        let mut settings = venues.wazirx.settings();
        settings.limits = false;
        venues.wazirx.set_settings(settings);
        let dice = Entropy::seeded(seed);
        for _ in 0..150 {
            step(&venues, &dice).await;
        }
        venues.assert_books_balance();
        venues.pass(10_000);
        for _ in 0..2 {
            venues.wazirx("DELETE", "openOrders", "symbol=ethinr").await;
            venues.binance("DELETE", "/api/v3/openOrders", "symbol=ETHUSDT").await;
            venues.pass(10_000);
        }
        venues.assert_books_balance();
        for asset in ["ETH", "INR"] {
            let locked = venues.wazirx.balance(asset).locked;
            assert_eq!(locked, Decimal::ZERO, "seed {seed}: {asset} stays locked at wazirx");
        }
        for asset in ["ETH", "USDT"] {
            let locked = venues.binance.balance(asset).locked;
            assert_eq!(locked, Decimal::ZERO, "seed {seed}: {asset} stays locked at binance");
        }
    }
}

#[test]
fn the_journal_is_numbered_and_only_grows() {
    let venues = Venues::new();
    assert!(venues.wazirx.deposit("ETH", dec("1.5"), "tx-1"));
    assert!(!venues.wazirx.deposit("DOGE", dec("1"), "tx-2"), "not an asset here");
    let entries = venues.world.journal.entries("wazirx", 0, 100);
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<u64>>());
    assert_eq!((entries[6].kind.as_str(), entries[6].reference.as_str()), ("deposit", "tx-1"));
    assert_eq!(venues.world.journal.entries("wazirx", 6, 100).len(), 1);
    assert_eq!(venues.wazirx.balance("ETH").free, dec("201.5"));
}
