//! What every venue's words are read with, whoever the vendor is. Pure functions.
//!
//! Invariants: a number that is missing, negative or does not add up makes the answer unreadable,
//! never zero; texts are bounded and plain. What a status or a field means stays in the adapters.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, Bps, NetworkId, Rounding};
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::{
    Book, BookLevel,
    decimal::{WireDecimal, to_amount},
};

/// Why an answer cannot be believed. Short, fixed, without the vendor's values.
pub(crate) type Mapped<T> = Result<T, &'static str>;

/// No chain of ours has longer addresses or transaction ids.
pub(crate) const TEXT_MAX: usize = 128;

pub(crate) fn is_positive(number: Decimal) -> bool {
    number > Decimal::ZERO
}

pub(crate) fn millis(at: i64) -> Mapped<DateTime<Utc>> {
    DateTime::from_timestamp_millis(at).ok_or("time out of range")
}

pub(crate) fn iso(at: &str) -> Mapped<DateTime<Utc>> {
    let read = DateTime::parse_from_rfc3339(at).map_err(|_| "not a time")?;
    Ok(read.with_timezone(&Utc))
}

/// An address or an id.
pub(crate) fn text(text: &str) -> Mapped<String> {
    let plain =
        !text.is_empty() && text.len() <= TEXT_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    if plain { Ok(text.to_owned()) } else { Err("address or id that cannot be one") }
}

/// A fee or a least amount.
pub(crate) fn number(raw: &RawValue) -> Mapped<Decimal> {
    let number: Option<WireDecimal> = serde_json::from_str(raw.get()).ok();
    number
        .map(|number| number.0)
        .filter(|number| *number >= Decimal::ZERO)
        .ok_or("terms that are no numbers")
}

/// A network without a name of ours keeps the venue's own, so that what came over it is not hidden.
pub(crate) fn some_network(ours: Option<NetworkId>, theirs: &str) -> Mapped<NetworkId> {
    ours.or_else(|| NetworkId::new(&theirs.to_ascii_lowercase()))
        .or_else(|| NetworkId::new("unnamed"))
        .ok_or("a network without a name")
}

/// Price and quantity of both sides, in any order.
pub(crate) fn book(
    bids: impl Iterator<Item = (Decimal, Decimal)>,
    asks: impl Iterator<Item = (Decimal, Decimal)>,
    at: DateTime<Utc>,
) -> Mapped<Book> {
    let (mut bids, mut asks) = (levels(bids)?, levels(asks)?);
    bids.sort_by_key(|level| Reverse(level.price));
    asks.sort_by_key(|level| level.price);
    Ok(Book { bids, asks, at })
}

fn levels(side: impl Iterator<Item = (Decimal, Decimal)>) -> Mapped<Vec<BookLevel>> {
    let mut levels = Vec::new();
    for (price, quantity) in side {
        if !is_positive(price) || quantity.is_sign_negative() {
            return Err("book level that is not positive");
        }
        if !quantity.is_zero() {
            levels.push(BookLevel { price, quantity });
        }
    }
    Ok(levels)
}

/// A fee taken from a credit: what it makes the credit lose in whole minor units, so that gross
/// minus fee is exactly what surely came. Venues keep more places than our books.
pub(crate) fn fee_of_credit(value: Decimal, fee: Decimal, asset: Asset) -> Mapped<Amount> {
    let whole = |units| to_amount(units, asset, Rounding::Down);
    let net = value.checked_sub(fee).filter(|net| !net.is_sign_negative());
    let gross_and_net = whole(value).zip(net.and_then(whole));
    gross_and_net.and_then(|(gross, net)| gross.checked_sub(net).ok()).ok_or("fee out of range")
}

/// A share such as `0.0012` in basis points, rounded up.
pub(crate) fn bps_up(share: Decimal) -> Option<Bps> {
    let bps = share.checked_mul(Decimal::new(10_000, 0))?.ceil().normalize().mantissa();
    u32::try_from(bps).ok().and_then(Bps::new)
}

/// True when executions cover what their order says was executed.
pub(crate) fn covers(mut sold: impl Iterator<Item = Decimal>, executed: Decimal) -> bool {
    let sum = sold.try_fold(Decimal::ZERO, |sum, sold| sum.checked_add(sold));
    sum.is_some_and(|sum| sum >= executed)
}

/// What leaves, what arrives and the fee, of a withdrawal whose terms are known; `None` below the
/// venue's least.
pub(crate) fn split(
    gross: Amount,
    fee: Decimal,
    least: Decimal,
) -> Option<(Decimal, Amount, Amount)> {
    let fee = to_amount(fee, gross.asset(), Rounding::Up)?;
    let net = gross.checked_sub(fee).ok().filter(|net| net.is_positive())?;
    let units = crate::decimal::units(gross)?;
    (units >= least).then_some((units, net, fee))
}
