//! How one payment's crypto became rupees: its batch, the legs of the route, and its exact share.
//!
//! Invariant: shares are whole paise and, with the house's own for the dust it took along, add up
//! to what the batch brought. Every number comes from a stored row.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId, PaymentId};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::slippage::{self, Slippage};
use crate::{
    Error,
    conversion::{self, Conversion},
    money_column,
};

/// The batch this payment's crypto was sold in, and its exact share of it.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedSale {
    pub conversion: ConversionId,
    /// Where the first leg was sold.
    pub venue: String,
    /// Of the whole batch: `filled` when every leg is.
    pub state: &'static str,
    pub share: Amount,
    pub batch: Amount,
    /// Rupees that the last legs brought, before their fees and taxes.
    pub batch_gross: Amount,
    /// This payment's part of the rupees, pro rata to the base unit; parts add up to the batch.
    pub gross_share: Amount,
    /// The house's part: dust of earlier batches that was sold along.
    pub house_share: Amount,
    /// What the market gave beside what the quote had reckoned with.
    pub slippage: Option<Slippage>,
    pub legs: Vec<ExplainedLeg>,
    pub orders: Vec<String>,
}

/// One conversion of the batch.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedLeg {
    pub conversion: ConversionId,
    /// `batch`, `leg` (sells what another brought) or `rest` (what another venue did not sell).
    pub part: &'static str,
    pub venue: String,
    pub sells: Asset,
    pub state: &'static str,
    pub target: Amount,
    pub sold: Amount,
    pub dust: Amount,
    pub dust_taken: Amount,
    pub gross: Amount,
    /// What the venue took, asset by asset.
    pub fees: Vec<Amount>,
    pub gst: Amount,
    pub tds: Amount,
    /// Every way there was, and why the others were not taken.
    pub route: Option<Value>,
    pub orders: Vec<String>,
}

pub(super) async fn sale_of(
    conn: &mut PgConnection,
    id: PaymentId,
) -> Result<Option<ExplainedSale>, Error> {
    let root: Option<uuid::Uuid> =
        sqlx::query_scalar("select conversion_id from conversion_queue where payment_id = $1")
            .bind(id.uuid())
            .fetch_optional(&mut *conn)
            .await?
            .flatten();
    let Some(root) = root else { return Ok(None) };
    let parts = conversion::parts_of(conn, ConversionId::from_uuid(root)).await?;
    let first = parts.first().ok_or_else(|| Error::Inconsistent("a batch without parts".into()))?;
    let mut legs = Vec::new();
    let mut gross = Amount::zero(Asset::Inr);
    for part in &parts {
        let leg = leg_of(conn, part).await?;
        if part.quote == Asset::Inr {
            gross = gross.checked_add(leg.gross)?;
        }
        legs.push(leg);
    }
    let (share, gross_share, house_share) = share_of(conn, first, id, gross).await?;
    let slippage = slippage::of_sale(conn, id, &parts, (share, gross), gross_share).await?;
    // The part that is behind tells how the batch stands; when none is, the batch is sold.
    let open = parts.iter().find(|part| part.state != conversion::ConversionState::Filled);
    Ok(Some(ExplainedSale {
        conversion: first.id,
        venue: first.venue.clone(),
        state: open.unwrap_or(first).state.name(),
        share,
        batch: first.input,
        batch_gross: gross,
        gross_share,
        house_share,
        slippage,
        orders: legs.iter().flat_map(|leg| leg.orders.iter().cloned()).collect(),
        legs,
    }))
}

async fn leg_of(conn: &mut PgConnection, part: &Conversion) -> Result<ExplainedLeg, Error> {
    let taken: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "select fee_asset::text, sum(fee_minor)::text, sum(gross_minor)::text,
           sum(fee_gst_minor)::text, sum(tds_minor)::text from fills f where conversion_id = $1
           and not exists (select from fill_reversals r
             where r.venue = f.venue and r.trade_id = f.trade_id) group by 1 order by 1",
    )
    .bind(part.id.uuid())
    .fetch_all(&mut *conn)
    .await?;
    let none = Amount::zero(part.quote);
    let (mut gross, mut gst, mut tds, mut fees) = (none, none, none, Vec::new());
    for (asset, fee, brought, tax, withheld) in taken {
        fees.push(money_column::amount(&fee, money_column::asset(&asset)?)?);
        gross = gross.checked_add(money_column::amount(&brought, part.quote)?)?;
        gst = gst.checked_add(money_column::amount(&tax, part.quote)?)?;
        tds = tds.checked_add(money_column::amount(&withheld, part.quote)?)?;
    }
    let orders = sqlx::query_scalar(
        "select format('%s: sell %s at %s or better, executed %s, %s', client_ref, quantity, price,
           executed_minor, state) from order_attempts where conversion_id = $1 order by attempt",
    )
    .bind(part.id.uuid())
    .fetch_all(&mut *conn)
    .await?;
    let route = sqlx::query_scalar("select route from conversions where id = $1")
        .bind(part.id.uuid())
        .fetch_one(conn)
        .await?;
    Ok(ExplainedLeg {
        conversion: part.id,
        part: part.part.name(),
        venue: part.venue.clone(),
        sells: part.asset,
        state: part.state.name(),
        target: part.target,
        sold: part.sold,
        dust: part.dust,
        dust_taken: part.taken,
        gross,
        fees,
        gst,
        tds,
        route,
        orders,
    })
}

/// Why crypto of this payment is not sold now: a frozen venue, or no route that may be taken.
pub(super) async fn held_of(
    conn: &mut PgConnection,
    id: PaymentId,
) -> Result<Option<String>, Error> {
    let frozen: Option<(String, DateTime<Utc>)> = sqlx::query_as(
        "select f.venue, f.at from conversion_queue w
         left join conversions c on (c.id = w.conversion_id or c.root = w.conversion_id)
           and c.state not in ('filled', 'in_review')
         join (select distinct on (venue) venue, frozen, at from venue_freezes
               order by venue, id desc) f on f.frozen and (f.venue = c.venue
           or (w.conversion_id is null and exists (select from sale_holds h
             where h.subject = w.asset and h.reason like '%' || f.venue || ' %')))
         where w.payment_id = $1 order by f.venue limit 1",
    )
    .bind(id.uuid())
    .fetch_optional(&mut *conn)
    .await?;
    let since = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S").to_string();
    if let Some((venue, at)) = frozen {
        return Ok(Some(format!("{venue} takes no new orders since {}", since(at))));
    }
    let held: Option<(String, DateTime<Utc>)> = sqlx::query_as(
        "select h.reason, h.since from conversion_queue w
         join sale_holds h on h.reason is not null and (
           (w.conversion_id is null and h.subject = w.asset)
           or exists (select from conversions c where (c.id = w.conversion_id
             or c.root = w.conversion_id) and c.state not in ('filled', 'in_review')
             and h.subject = 'conv_' || replace(c.id::text, '-', '')))
         where w.payment_id = $1 order by h.since limit 1",
    )
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?;
    Ok(held.map(|(reason, at)| format!("not sold since {}: {reason}", since(at))))
}

/// Cumulative rounding: this payment's crypto, its part of the rupees, and the house's.
async fn share_of(
    conn: &mut PgConnection,
    batch: &Conversion,
    id: PaymentId,
    gross: Amount,
) -> Result<(Amount, Amount, Amount), Error> {
    let odd = || Error::Inconsistent("batch share".into());
    let payments = conversion::payments_of(conn, batch).await?;
    let sum = payments.iter().try_fold(0_i128, |sum, (_, a)| sum.checked_add(a.minor()));
    let of_payments = sum.ok_or_else(odd)?;
    let total = of_payments.checked_add(batch.taken.minor()).ok_or_else(odd)?;
    let part = |upto: i128| proportion(gross.minor(), upto, total).ok_or_else(odd);
    let house = gross.minor().checked_sub(part(of_payments)?).ok_or_else(odd)?;
    let house = Amount::try_new(house, Asset::Inr)?;
    let mut before = 0_i128;
    for (payment, amount) in payments {
        let upto = before.checked_add(amount.minor()).ok_or_else(odd)?;
        if payment == id {
            let share = part(upto)?.checked_sub(part(before)?).ok_or_else(odd)?;
            return Ok((amount, Amount::try_new(share, Asset::Inr)?, house));
        }
        before = upto;
    }
    Err(Error::Inconsistent("payment not in its batch".into()))
}

/// `floor(gross × part / total)` without overflow: quotient and remainder apart.
fn proportion(gross: i128, part: i128, total: i128) -> Option<i128> {
    let whole = part.checked_div(total)?.checked_mul(gross)?;
    let rest = part.checked_rem(total)?;
    let shift = 10_i128.checked_pow(12)?;
    let (rest, total) = if total > shift.checked_mul(shift)? {
        (rest.checked_div(shift)?, total.checked_div(shift)?)
    } else {
        (rest, total)
    };
    whole.checked_add(gross.checked_mul(rest)?.checked_div(total)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Whatever the parts are, their shares and the house's add up to the paisa.
        #[test]
        fn shares_add_up(
            gross in 0_i128..10_i128.pow(13), taken in 0_i128..10_i128.pow(21),
            parts in proptest::collection::vec(1_i128..10_i128.pow(21), 1..40),
        ) {
            let of_payments: i128 = parts.iter().sum();
            let total = of_payments + taken;
            let (mut before, mut shared) = (0, 0);
            for part in parts {
                let upto = before + part;
                let of = |upto| proportion(gross, upto, total).unwrap();
                prop_assert!(of(upto) >= of(before));
                shared += of(upto) - of(before);
                before = upto;
            }
            let house = gross - proportion(gross, of_payments, total).unwrap();
            prop_assert_eq!(shared + house, gross);
            prop_assert!(taken > 0 || house == 0);
        }
    }
}
