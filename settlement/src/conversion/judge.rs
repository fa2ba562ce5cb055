//! The decisions about an order, as pure functions: when an unknown one is absent, how one ended,
//! when the next one may be sent, and when one would sell too much.
//!
//! Invariant: no clock, no database, no venue; what was seen is an argument. The worker decides by
//! these and nothing else, and the storm of orders drives the very same functions.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{Amount, AmountError};
use serde_json::{Value, json};
use uuid::Uuid;

/// A venue may still hand a request to its engine this long after its receive window has passed.
const ENGINE_TIMEOUT: TimeDelta = TimeDelta::seconds(10);
const MARGIN: TimeDelta = TimeDelta::seconds(5);
const LONGEST_PAUSE_S: i64 = 300;

/// How long an order that was sent may still appear: never shorter than the venue's own window
/// allows, whatever the settings say.
#[must_use]
pub fn fence_length(recv_window: TimeDelta, setting: TimeDelta) -> TimeDelta {
    setting.max(recv_window + ENGINE_TIMEOUT + MARGIN)
}

/// When the fence may be looked at again; `None` when it has passed by our clock and the venue's.
#[must_use]
pub fn fence_wait(
    sent_at: DateTime<Utc>,
    length: TimeDelta,
    (now, venue_now): (DateTime<Utc>, DateTime<Utc>),
) -> Option<DateTime<Utc>> {
    let fence = sent_at + length;
    (now <= fence || venue_now <= fence).then(|| (fence + MARGIN).max(now + TimeDelta::seconds(1)))
}

/// What one look at a venue shows beside the order itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Trades since the sending, and those of them that are not in our books.
    pub trades: usize,
    pub strange_trades: usize,
    /// Resting orders that are none of ours, or this very one.
    pub strange_orders: usize,
    /// What our other resting orders lock, and what the venue says is locked.
    pub resting: Amount,
    pub locked: Amount,
    /// Free and locked at the venue, and by our books.
    pub held: Amount,
    pub books: Amount,
    /// What explains that the venue holds more than our books say.
    pub arrived: Option<Arrived>,
}

/// Coins of ours that came to the venue and are not booked yet: a venue that tells no deposits
/// shows them in its balance alone, which is not read while this very order may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The names of what was on its way; together exactly what is there too much.
    pub items: Vec<Uuid>,
    /// What the order would have brought, at the venue and by our books: as much as it would have
    /// taken away could hide in what came, but not on both sides.
    pub proceeds: Amount,
    pub proceeds_books: Amount,
}

impl Arrived {
    fn explains(&self) -> bool {
        !self.items.is_empty() && self.proceeds == self.proceeds_books
    }
}

impl Traces {
    /// True when nothing at the venue needs this order to be explained.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let more = || self.held.minor() > self.books.minor();
        let came = || more() && self.arrived.as_ref().is_some_and(Arrived::explains);
        self.strange_trades == 0
            && self.strange_orders == 0
            && self.resting == self.locked
            && (self.held == self.books || came())
    }

    /// As evidence, kept with the order: everything [`Traces::is_clean`] asks, so that a proof can
    /// be checked again.
    #[must_use]
    pub fn evidence(&self) -> Value {
        let arrived = self.arrived.as_ref().map(|came| {
            json!({
                "items": came.items, "proceeds": came.proceeds,
                "proceeds_books": came.proceeds_books,
            })
        });
        json!({
            "order": null, "trades": self.trades, "strange_trades": self.strange_trades,
            "open_orders": self.strange_orders, "locked": self.locked, "resting": self.resting,
            "balance": self.held, "books": self.books, "arrived": arrived,
        })
    }
}

/// What a look proves of an order that the venue does not know by our reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Something is not explained: earlier sightings count no more.
    Unclean,
    /// The first sighting: look again then.
    First(DateTime<Utc>),
    /// Too soon after the first.
    TooSoon(DateTime<Utc>),
    Proven,
}

/// Judges a look after the fence; `first` is when the kept sighting was made.
#[must_use]
pub fn absence(
    is_clean: bool,
    first: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    gap: TimeDelta,
) -> Absence {
    match first {
        _ if !is_clean => Absence::Unclean,
        None => Absence::First(now + gap),
        Some(first) if now < first + gap => Absence::TooSoon(first + gap),
        Some(_) => Absence::Proven,
    }
}

/// How an order stands, by what the venue says and what we have booked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The venue executed more than was ordered.
    Contradiction,
    /// It may still execute, or its fills are not all told yet.
    Open,
    /// It will execute no more; so much of it is left.
    Ended(Amount),
}

/// # Errors
/// `AmountError` when the amounts are not of one asset.
pub fn standing(
    quantity: Amount,
    booked: Amount,
    (executed, closed): (Amount, bool),
) -> Result<Standing, AmountError> {
    let rest = quantity.checked_sub(executed)?;
    Ok(if rest.minor() < 0 {
        Standing::Contradiction
    } else if closed && booked == executed {
        Standing::Ended(rest)
    } else {
        Standing::Open
    })
}

/// What a conversion's fills add up to, against what was to be sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sold {
    /// Never above the target.
    pub counted: Amount,
    /// What the venue sold beyond it.
    pub beyond: Amount,
}

/// # Errors
/// `AmountError` when the amounts are not of one asset.
pub fn sold(target: Amount, sum: Amount) -> Result<Sold, AmountError> {
    let counted = if sum.minor() > target.minor() { target } else { sum };
    Ok(Sold { counted, beyond: sum.checked_sub(counted)? })
}

/// True when what is left of a live order is more than is still to be sold: it must not go on.
///
/// # Errors
/// `AmountError` when the amounts are not of one asset.
pub fn is_too_much(rest: Amount, target: Amount, sold: Amount) -> Result<bool, AmountError> {
    Ok(rest.minor() > target.checked_sub(sold)?.minor())
}

/// What to make of booked trades that the venue does not list any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The list does not add up to what the venue says was executed, or the order is open.
    NotTold,
    /// Seen for the first time, or too soon after it: look again then.
    Since(DateTime<Utc>, DateTime<Utc>),
    /// Missing twice with time between, from a list that adds up.
    TakenBack,
}

#[must_use]
pub fn missing(
    adds_up: bool,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    gap: TimeDelta,
) -> Missing {
    let first = since.unwrap_or(now);
    match since {
        _ if !adds_up => Missing::NotTold,
        Some(since) if now >= since + gap => Missing::TakenBack,
        _ => Missing::Since(first, first + gap),
    }
}

/// How long to wait after so many refusals in a row before the next order: 5 s, doubling.
#[must_use]
pub fn pause_after_refusals(in_a_row: i64) -> TimeDelta {
    doubling(5, in_a_row)
}

/// How long to wait before an order that could not be sent is sent again: 1 s, doubling.
#[must_use]
pub fn pause_after_sends(sends: i64) -> TimeDelta {
    doubling(1, sends).min(TimeDelta::minutes(1))
}

fn doubling(first: i64, times: i64) -> TimeDelta {
    let exponent = u32::try_from(times.saturating_sub(1).clamp(0, 16)).unwrap_or(0);
    let seconds = first.saturating_mul(2_i64.saturating_pow(exponent)).min(LONGEST_PAUSE_S);
    TimeDelta::seconds(if times <= 0 { 0 } else { seconds })
}

#[cfg(test)]
mod tests {
    use primitives::Asset;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_607_200 + seconds, 0).unwrap()
    }

    fn usdc(minor: i128) -> Amount {
        Amount::try_new(minor, Asset::Usdc).unwrap()
    }

    #[test]
    fn the_fence_is_never_shorter_than_the_venues_window() {
        let s = TimeDelta::seconds;
        assert_eq!(fence_length(s(5), s(20)), s(20));
        assert_eq!(fence_length(s(60), s(20)), s(75));
        assert!(fence_wait(at(0), s(20), (at(20), at(90))).is_some(), "ours has not passed");
        assert!(fence_wait(at(0), s(20), (at(90), at(20))).is_some(), "theirs has not passed");
        assert_eq!(fence_wait(at(0), s(20), (at(21), at(21))), None);
    }

    #[test]
    fn absence_needs_two_clean_looks_with_time_between() {
        let gap = TimeDelta::seconds(6);
        assert_eq!(absence(false, Some(at(0)), at(60), gap), Absence::Unclean);
        assert_eq!(absence(true, None, at(60), gap), Absence::First(at(66)));
        assert_eq!(absence(true, Some(at(60)), at(65), gap), Absence::TooSoon(at(66)));
        assert_eq!(absence(true, Some(at(60)), at(66), gap), Absence::Proven);
    }

    #[test]
    fn every_trace_alone_is_unclean() {
        let (none, some) = (usdc(0), usdc(1));
        let clean = Traces {
            trades: 3,
            strange_trades: 0,
            strange_orders: 0,
            resting: none,
            locked: none,
            held: some,
            books: some,
            arrived: None,
        };
        assert!(clean.is_clean());
        for unclean in [
            Traces { strange_trades: 1, ..clean.clone() },
            Traces { strange_orders: 1, ..clean.clone() },
            Traces { locked: some, ..clean.clone() },
            Traces { held: none, ..clean.clone() },
        ] {
            assert!(!unclean.is_clean(), "{unclean:?}");
        }
    }

    #[test]
    fn what_arrived_explains_more_and_nothing_else() {
        let rupees = |minor| Amount::try_new(minor, Asset::Inr).unwrap();
        let arrived = Arrived {
            items: vec![Uuid::from_u128(7)],
            proceeds: rupees(5),
            proceeds_books: rupees(5),
        };
        let came = Traces {
            trades: 0,
            strange_trades: 0,
            strange_orders: 0,
            resting: usdc(0),
            locked: usdc(0),
            held: usdc(9),
            books: usdc(2),
            arrived: Some(arrived.clone()),
        };
        assert!(came.is_clean());
        let with = |arrived| Traces { arrived: Some(arrived), ..came.clone() };
        for unclean in [
            Traces { arrived: None, ..came.clone() },
            with(Arrived { items: Vec::new(), ..arrived.clone() }),
            with(Arrived { proceeds: rupees(6), ..arrived.clone() }),
            Traces { strange_trades: 1, ..came.clone() },
            Traces { strange_orders: 1, ..came.clone() },
            Traces { locked: usdc(1), ..came.clone() },
            Traces { held: usdc(1), ..came.clone() },
        ] {
            assert!(!unclean.is_clean(), "{unclean:?}");
        }
        let kept = came.evidence();
        assert_eq!(kept["arrived"]["items"][0], Uuid::from_u128(7).to_string());
        assert_eq!((&kept["books"], &kept["resting"]), (&json!(usdc(2)), &json!(usdc(0))));
    }

    #[test]
    fn an_order_ends_only_with_all_its_fills_told() {
        let (all, half) = (usdc(10), usdc(5));
        assert_eq!(standing(half, all, (all, true)).unwrap(), Standing::Contradiction);
        assert_eq!(standing(all, half, (all, true)).unwrap(), Standing::Open);
        assert_eq!(standing(all, half, (half, false)).unwrap(), Standing::Open);
        assert_eq!(standing(all, half, (half, true)).unwrap(), Standing::Ended(half));
    }

    #[test]
    fn what_was_sold_is_capped_and_the_rest_named() {
        let over = sold(usdc(10), usdc(13)).unwrap();
        assert_eq!(over, Sold { counted: usdc(10), beyond: usdc(3) });
        assert!(sold(usdc(10), usdc(7)).unwrap().beyond.is_zero());
        assert!(is_too_much(usdc(4), usdc(10), usdc(7)).unwrap());
        assert!(!is_too_much(usdc(3), usdc(10), usdc(7)).unwrap());
    }

    #[test]
    fn a_trade_is_taken_back_only_when_missing_twice() {
        let gap = TimeDelta::seconds(6);
        assert_eq!(missing(false, Some(at(0)), at(60), gap), Missing::NotTold);
        assert_eq!(missing(true, None, at(1), gap), Missing::Since(at(1), at(7)));
        assert_eq!(missing(true, Some(at(1)), at(6), gap), Missing::Since(at(1), at(7)));
        assert_eq!(missing(true, Some(at(1)), at(7), gap), Missing::TakenBack);
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let seconds = |n| pause_after_refusals(n).num_seconds();
        assert_eq!([0, 1, 2, 3, 7, 99].map(seconds), [0, 5, 10, 20, 300, 300]);
        assert_eq!(pause_after_sends(99), TimeDelta::minutes(1));
    }
}
