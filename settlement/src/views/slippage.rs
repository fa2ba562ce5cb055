//! What the market gave for one payment's crypto, beside what its quote had reckoned with.
//!
//! Invariant: both sides are made from stored rows, before the fees and taxes of the venue that
//! paid the rupees, and of the part that is sold; what a first leg cost in dollar coins is in it.
//! The difference is the house's, never the shop's.

use primitives::{Amount, Asset, PaymentId, QuoteId};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;
use sqlx::PgConnection;

use super::share::Brought;
use crate::{
    Error,
    conversion::{Conversion, ConversionState, Part},
    quote::{self, Quote},
};

/// The realised slippage of one payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slippage {
    pub quote: QuoteId,
    /// Rupees per unit that the quote took from the venue's book, before our spread.
    pub quote_price: String,
    /// Rupees per unit that the batch brought, over all its legs.
    pub fill_price: String,
    /// This payment's crypto at the quote's price, rounded down to the paisa.
    pub quoted: Amount,
    /// What it brought: its share of the batch.
    pub realised: Amount,
    /// Realised less quoted: below zero the house lost.
    pub difference: Amount,
    pub bps: String,
}

/// `None` while nothing is sold.
pub(super) async fn of_sale(
    conn: &mut PgConnection,
    payment: PaymentId,
    parts: &[Conversion],
    (share, brought): (Amount, Brought),
    realised: Amount,
) -> Result<Option<Slippage>, Error> {
    let Some(first) = parts.first() else { return Ok(None) };
    // Of the batch's own asset, wherever it was sold, and what that brought: dust that a later part
    // took along is in neither.
    let sold = Amount::try_new(brought.sold, first.asset)?;
    let gross = Amount::try_new(brought.gross, Asset::Inr)?;
    // While dollar coins wait for their rupees there is nothing to compare yet.
    let open = parts.iter().any(|p| p.part == Part::Leg && p.state != ConversionState::Filled);
    if !sold.is_positive() || !gross.is_positive() || open {
        return Ok(None);
    }
    let Some(quote) = taken_at(conn, payment, first.asset).await? else { return Ok(None) };
    let batch = first.input.checked_add(first.taken)?;
    let slippage = reckon(&quote, (share, sold, batch), gross, realised);
    slippage.map(Some).ok_or_else(|| Error::Inconsistent("slippage out of range".into()))
}

/// The quote the payment was covered by; where that is not told, its last one in this asset.
async fn taken_at(
    conn: &mut PgConnection,
    payment: PaymentId,
    asset: Asset,
) -> Result<Option<Quote>, Error> {
    let told: Option<String> = sqlx::query_scalar(
        "select cause ->> 'quote' from transitions
         where entity = 'payment' and entity_id = $1 and cause ? 'quote' and to_state = 'accepted'
         order by id desc limit 1",
    )
    .bind(payment.uuid())
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    let told: Option<QuoteId> = told.and_then(|id| id.parse().ok());
    let quotes = quote::of_payment(conn, payment).await?;
    let mut fit: Vec<Quote> = quotes.into_iter().filter(|quote| quote.asset == asset).collect();
    let named = fit.iter().position(|quote| Some(quote.id) == told);
    Ok(match named {
        Some(place) => Some(fit.swap_remove(place)),
        None => fit.pop(),
    })
}

fn reckon(
    quote: &Quote,
    (share, sold, batch): (Amount, Amount, Amount),
    gross: Amount,
    realised: Amount,
) -> Option<Slippage> {
    let units = |amount: Amount| {
        Decimal::try_from_i128_with_scale(amount.minor(), amount.asset().scale()).ok()
    };
    let fill_price = units(gross)?.checked_div(units(sold)?)?;
    let mut part = units(share)?;
    if sold != batch {
        part = part.checked_mul(units(sold)?.checked_div(units(batch)?)?)?;
    }
    let quoted = part.checked_mul(quote.price)?;
    let quoted = quoted.round_dp_with_strategy(2, RoundingStrategy::ToZero);
    let quoted = Amount::parse_units(&quoted.to_string(), Asset::Inr).ok()?;
    let apart = fill_price.checked_sub(quote.price)?.checked_mul(Decimal::from(10_000))?;
    Some(Slippage {
        quote: quote.id,
        quote_price: quote.price.normalize().to_string(),
        fill_price: fill_price.round_dp(8).normalize().to_string(),
        quoted,
        realised,
        difference: realised.checked_sub(quoted).ok()?,
        bps: apart.checked_div(quote.price)?.round_dp(2).normalize().to_string(),
    })
}
