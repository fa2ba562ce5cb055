//! Promises of prices.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::Asset;
use rust_decimal::Decimal;

use super::{Conformity, done, hold};
use crate::RateSource;

/// Prices are positive, ordered, timed, and only for what was asked.
///
/// # Errors
/// The first broken promise.
pub async fn quotes_make_sense(
    source: &dyn RateSource,
    bases: &[Asset],
    now: DateTime<Utc>,
) -> Conformity {
    let quotations = done(source.quotations(bases).await, "quotations")?;
    hold(!quotations.is_empty(), "something is quoted")?;
    let tolerance = TimeDelta::seconds(2);
    for quotation in &quotations {
        hold(quotation.source == source.name(), "a quotation names its source")?;
        hold(bases.contains(&quotation.base), "only what was asked for")?;
        hold(quotation.base != quotation.quote, "a pair has two sides")?;
        hold(quotation.bid > Decimal::ZERO, "a price is positive")?;
        hold(quotation.ask >= quotation.bid, "bid is not above ask")?;
        let ahead = quotation.at.signed_duration_since(now);
        hold(ahead <= tolerance, "a quotation is not from the future")?;
    }
    let nothing = done(source.quotations(&[]).await, "quotations of nothing")?;
    hold(nothing.is_empty(), "nothing asked, nothing answered")
}
