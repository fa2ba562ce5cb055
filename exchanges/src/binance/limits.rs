//! What the venue lets us send: request weight, and orders that are not filled.
//!
//! Invariants: windows follow the venue's wall clock. What the venue last told counts, plus what is
//! on its way; a call that would go beyond the window is not sent, and the caller hears for how
//! long. A call without an answer counts as if it had been counted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use outbound::Response;
use primitives::{CallError, CallResult};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Request weight of our address, a minute.
    Weight,
    /// Orders that are not filled, ten seconds.
    OrdersShort,
    /// The same, a day.
    OrdersLong,
    /// Weight of our account at the wallet, a minute. The venue's header for it does not reach us.
    Wallet,
}

const ALL: [Count; 4] = [Count::Weight, Count::OrdersShort, Count::OrdersLong, Count::Wallet];

impl Count {
    /// The cautious figures of the documentation, until `exchangeInfo` tells better.
    const fn window(self) -> Window {
        let (seconds, most) = match self {
            Self::Weight => (60, 6_000),
            Self::OrdersShort => (10, 50),
            Self::OrdersLong => (86_400, 160_000),
            Self::Wallet => (60, 180_000),
        };
        Window { seconds, most, number: 0, used: 0, under_way: 0 }
    }

    const fn header(self) -> Option<&'static str> {
        match self {
            Self::Weight => Some("x-mbx-used-weight-1m"),
            Self::OrdersShort => Some("x-mbx-order-count-10s"),
            Self::OrdersLong => Some("x-mbx-order-count-1d"),
            Self::Wallet => None,
        }
    }
}

/// What one call counts.
pub(super) type Costs = &'static [(Count, u32)];

#[derive(Debug, Clone, Copy)]
struct Window {
    seconds: i64,
    most: u32,
    number: i64,
    used: u32,
    under_way: u32,
}

impl Window {
    fn turn(&mut self, now: DateTime<Utc>) {
        let number = now.timestamp().div_euclid(self.seconds);
        if number != self.number {
            self.number = number;
            self.used = 0;
        }
    }

    fn has_room(&self, cost: u32) -> bool {
        self.used.saturating_add(self.under_way).saturating_add(cost) <= self.most
    }

    fn left_s(&self, now: DateTime<Utc>) -> u64 {
        let gone = now.timestamp().rem_euclid(self.seconds);
        u64::try_from(self.seconds.saturating_sub(gone)).unwrap_or(1).max(1)
    }
}

#[derive(Debug)]
struct Windows {
    weight: Window,
    orders_short: Window,
    orders_long: Window,
    wallet: Window,
}

impl Windows {
    const fn of(&mut self, count: Count) -> &mut Window {
        match count {
            Count::Weight => &mut self.weight,
            Count::OrdersShort => &mut self.orders_short,
            Count::OrdersLong => &mut self.orders_long,
            Count::Wallet => &mut self.wallet,
        }
    }
}

#[derive(Debug)]
pub(super) struct Limits(Mutex<Windows>);

impl Limits {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Windows {
            weight: Count::Weight.window(),
            orders_short: Count::OrdersShort.window(),
            orders_long: Count::OrdersLong.window(),
            wallet: Count::Wallet.window(),
        }))
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a call in every window it counts in, or the seconds until there may be some.
    pub(super) fn reserve(&self, costs: Costs, now: DateTime<Utc>) -> CallResult<Ticket<'_>> {
        let mut windows = self.windows();
        let mut wait = None;
        for (count, cost) in costs {
            let window = windows.of(*count);
            window.turn(now);
            if !window.has_room(*cost) {
                wait = wait.max(Some(window.left_s(now)));
            }
        }
        if let Some(retry_after_s) = wait {
            return Err(CallError::RateLimited { retry_after_s });
        }
        for (count, cost) in costs {
            let window = windows.of(*count);
            window.under_way = window.under_way.saturating_add(*cost);
        }
        Ok(Ticket { limits: self, costs })
    }

    /// What the venue says a window holds.
    pub(super) fn learn(&self, count: Count, most: u32) {
        if most > 0 {
            self.windows().of(count).most = most;
        }
    }

    /// The venue refused for this count: the window is used up.
    pub(super) fn used_up(&self, count: Count, now: DateTime<Utc>) -> CallError {
        let mut windows = self.windows();
        let window = windows.of(count);
        window.turn(now);
        window.used = window.most;
        CallError::RateLimited { retry_after_s: window.left_s(now) }
    }

    /// Orders a second that never fill the short window; at least one.
    pub(super) fn orders_per_second(&self) -> u32 {
        let window = self.windows().orders_short;
        let seconds = u32::try_from(window.seconds).unwrap_or(10).max(1);
        window.most.checked_div(seconds).unwrap_or(1).max(1)
    }
}

/// A call that is on its way. Dropped without an answer it counts as used.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    limits: &'a Limits,
    costs: Costs,
}

impl Ticket<'_> {
    /// Takes the venue's own figures from an answer.
    pub(super) fn answered(self, response: &Response, now: DateTime<Utc>) {
        let told = |count: Count| response.header(count.header()?)?.trim().parse::<u32>().ok();
        let limits = self.limits;
        drop(self);
        let mut windows = limits.windows();
        for count in ALL {
            if let Some(used) = told(count) {
                let window = windows.of(count);
                window.turn(now);
                window.used = used;
            }
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut windows = self.limits.windows();
        for (count, cost) in self.costs {
            let window = windows.of(*count);
            window.under_way = window.under_way.saturating_sub(*cost);
            window.used = window.used.saturating_add(*cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Costs = &[(Count::Weight, 20)];
    const ORDER: Costs = &[(Count::Weight, 1), (Count::OrdersShort, 1), (Count::OrdersLong, 1)];

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_607_200 + second, 0).unwrap()
    }

    #[test]
    fn nothing_is_sent_beyond_the_window() {
        let limits = Limits::new();
        limits.learn(Count::Weight, 50);
        let first = limits.reserve(READ, at(0)).unwrap();
        let second = limits.reserve(READ, at(0)).unwrap();
        let wait = |seconds| CallError::RateLimited { retry_after_s: seconds };
        // Two on their way count; unanswered they still do; the minute ends it.
        assert_eq!(limits.reserve(READ, at(13)).unwrap_err(), wait(47));
        drop((first, second));
        assert_eq!(limits.reserve(READ, at(59)).unwrap_err(), wait(1));
        assert!(limits.reserve(READ, at(60)).is_ok());
        assert_eq!(limits.used_up(Count::Weight, at(90)), wait(30));
        assert_eq!(limits.reserve(READ, at(91)).unwrap_err(), wait(29));
        assert!(limits.reserve(READ, at(120)).is_ok());
    }

    #[test]
    fn orders_have_windows_of_their_own() {
        let limits = Limits::new();
        limits.learn(Count::OrdersShort, 2);
        for _ in 0..2 {
            drop(limits.reserve(ORDER, at(3)).unwrap());
        }
        let full = limits.reserve(ORDER, at(3)).unwrap_err();
        assert_eq!(full, CallError::RateLimited { retry_after_s: 7 });
        assert!(limits.reserve(READ, at(3)).is_ok(), "reading goes on");
        assert!(limits.reserve(ORDER, at(10)).is_ok());
        assert_eq!(limits.orders_per_second(), 1);
        limits.learn(Count::OrdersShort, 100);
        assert_eq!(limits.orders_per_second(), 10);
        // What the day has used outlasts the short window.
        let full = limits.used_up(Count::OrdersLong, at(20));
        assert_eq!(limits.reserve(ORDER, at(20)).unwrap_err(), full);
    }
}
