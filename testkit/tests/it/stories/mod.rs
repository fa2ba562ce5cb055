//! One file per thing that happens to a payment.

mod at_the_shops_endpoint;
mod binance_down;
mod bitcoin;
mod by_policy;
mod contract_wallet;
mod dust_waits;
mod failed_payout;
mod filled_late;
mod followed;
mod happy;
mod late;
mod low_float;
mod no_route;
mod order_refused;
mod order_short;
mod order_unknown_and_credit;
mod over_http;
mod overpaid;
mod paid_again;
mod queue_wiped;
mod quote_expired;
mod rail_webhooks;
mod rates;
mod redis_gone;
mod reorganised;
mod returned_payout;
mod reverted;
mod route_by_binance;
mod route_by_coinbase;
mod solana;
mod split;
mod switches;
mod two_processes;
mod underpaid;
mod unknown_order;
mod unknown_payout;
mod venue_cap;
mod venue_frozen;
mod venue_short;
mod venue_silent;
mod wazirx_froze;
mod wrong_token;

use settlement::views::Explanation;

/// The kinds of a payment's open cases.
fn open_cases(story: &Explanation) -> Vec<&str> {
    story.cases.iter().filter_map(|case| case.strip_suffix(" (open)")).collect()
}

/// What a payment of so many paise leaves its shop: less one percent, and the tax on that.
const fn net(paise: i128) -> i128 {
    let fee = (paise + 50) / 100;
    paise - fee - (fee * 18 + 50) / 100
}
