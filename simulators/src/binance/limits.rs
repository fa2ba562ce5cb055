//! Request weight per minute and unfilled-order counts per 10 seconds and day, with their headers.
//!
//! Invariant: windows follow the wall clock (the world's); a fill lowers the order count.

use chrono::{DateTime, Utc};

use super::wire::Refusal;
use crate::{
    serving::Call,
    venue::{Limiter, Verdict},
};

pub(crate) const WEIGHT_PER_MINUTE: u32 = 6000;
pub(crate) const ORDERS_PER_TEN_SECONDS: u32 = 100;
pub(crate) const ORDERS_PER_DAY: u32 = 200_000;
const SOCKETS_PER_FIVE_MINUTES: u32 = 300;
/// The wallet counts by itself: most calls by address, withdrawals by account.
const WALLET_PER_MINUTE: u32 = 12_000;
const WALLET_UID_PER_MINUTE: u32 = 180_000;

/// Whose counter a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meter {
    Spot,
    Wallet,
    WalletUid,
}

impl Meter {
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/sapi/v1/capital/withdraw/") {
            Self::WalletUid
        } else if path.starts_with("/sapi/") {
            Self::Wallet
        } else {
            Self::Spot
        }
    }

    const fn most(self) -> u32 {
        match self {
            Self::Spot => WEIGHT_PER_MINUTE,
            Self::Wallet => WALLET_PER_MINUTE,
            Self::WalletUid => WALLET_UID_PER_MINUTE,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: i64,
    used: u32,
}

impl Window {
    fn at(&mut self, now: DateTime<Utc>, seconds: i64) -> &mut u32 {
        let number = now.timestamp().div_euclid(seconds);
        if self.number != number {
            *self = Self { number, used: 0 };
        }
        &mut self.used
    }
}

#[derive(Debug, Default)]
pub(crate) struct Limits {
    weight: Window,
    wallet: Window,
    wallet_uid: Window,
    sockets: Window,
    orders_10s: Window,
    orders_1d: Window,
    ladder: Limiter,
}

/// The weight of a call whose endpoint weighs `base`.
pub(crate) fn weight(base: u32, call: &Call) -> u32 {
    let limit = call.param("limit").and_then(|text| text.parse::<u32>().ok());
    match call.path.as_str() {
        "/api/v3/depth" => match limit.unwrap_or(100) {
            0..=100 => 5,
            101..=500 => 25,
            501..=1000 => 50,
            _ => 250,
        },
        "/api/v3/ticker/24hr" if call.param("symbol").is_none() => 80,
        "/api/v3/ticker/price" | "/api/v3/ticker/bookTicker" if call.param("symbol").is_none() => 4,
        "/api/v3/openOrders" if call.param("symbol").is_none() => 80,
        "/api/v3/myTrades" if call.param("orderId").is_some() => 5,
        _ => base,
    }
}

impl Limits {
    /// Counts a request's weight.
    pub(crate) fn charge(
        &mut self,
        meter: Meter,
        weight: u32,
        enforced: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if enforced && let Some(Verdict::Banned(seconds)) = self.ladder.ban(now) {
            return Err(Refusal::banned(seconds, now));
        }
        let window = match meter {
            Meter::Spot => &mut self.weight,
            Meter::Wallet => &mut self.wallet,
            Meter::WalletUid => &mut self.wallet_uid,
        };
        let used = window.at(now, 60);
        *used = used.saturating_add(weight);
        if !enforced || *used <= meter.most() {
            return Ok(());
        }
        let wait = u64::try_from(60 - now.timestamp().rem_euclid(60)).unwrap_or(60);
        match self.ladder.refuse(wait, now) {
            Verdict::Banned(seconds) => Err(Refusal::banned(seconds, now)),
            Verdict::Slow(_) | Verdict::Pass => Err(Refusal::too_much_weight(wait)),
        }
    }

    /// Counts a new socket: 300 in five minutes.
    pub(crate) fn connect(&mut self, enforced: bool, now: DateTime<Utc>) -> Result<(), Refusal> {
        let used = self.sockets.at(now, 300);
        *used = used.saturating_add(1);
        if enforced && *used > SOCKETS_PER_FIVE_MINUTES {
            let wait = u64::try_from(300 - now.timestamp().rem_euclid(300)).unwrap_or(300);
            return Err(Refusal::too_much_weight(wait));
        }
        self.charge(Meter::Spot, 2, enforced, now)
    }

    /// A placed order weighs nothing.
    pub(crate) fn refund(&mut self, weight: u32) {
        self.weight.used = self.weight.used.saturating_sub(weight);
    }

    /// Counts an order as unfilled.
    pub(crate) fn count_order(
        &mut self,
        enforced: bool,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let (short, long) = (self.orders_10s.at(now, 10), self.orders_1d.at(now, 86_400));
        if enforced && *short >= ORDERS_PER_TEN_SECONDS {
            return Err(Refusal::too_many_orders(ORDERS_PER_TEN_SECONDS, "10 SECOND"));
        }
        if enforced && *long >= ORDERS_PER_DAY {
            return Err(Refusal::too_many_orders(ORDERS_PER_DAY, "1 DAY"));
        }
        *short = short.saturating_add(1);
        *long = long.saturating_add(1);
        Ok(())
    }

    /// An order that executed is no longer unfilled.
    pub(crate) fn discount_order(&mut self) {
        self.orders_10s.used = self.orders_10s.used.saturating_sub(1);
        self.orders_1d.used = self.orders_1d.used.saturating_sub(1);
    }

    /// Used in the current windows: per 10 seconds and per day.
    pub(crate) fn orders_used(&mut self, now: DateTime<Utc>) -> (u32, u32) {
        (*self.orders_10s.at(now, 10), *self.orders_1d.at(now, 86_400))
    }

    pub(crate) fn headers(
        &mut self,
        meter: Meter,
        with_orders: bool,
        now: DateTime<Utc>,
    ) -> Vec<(&'static str, u32)> {
        match meter {
            Meter::Spot => {}
            Meter::Wallet => return vec![("x-sapi-used-ip-weight-1m", *self.wallet.at(now, 60))],
            Meter::WalletUid => {
                return vec![("x-sapi-used-uid-weight-1m", *self.wallet_uid.at(now, 60))];
            }
        }
        let used = *self.weight.at(now, 60);
        let mut headers = vec![("x-mbx-used-weight", used), ("x-mbx-used-weight-1m", used)];
        if with_orders {
            let (short, long) = self.orders_used(now);
            headers.push(("x-mbx-order-count-10s", short));
            headers.push(("x-mbx-order-count-1d", long));
        }
        headers
    }
}
