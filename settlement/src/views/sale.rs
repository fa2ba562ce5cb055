//! How one payment's crypto became rupees: its batch, the legs of the route, and its exact share.
//!
//! Invariant: shares are whole paise and, with the house's own for the dust it took along, add up
//! to what the batch brought. Every number comes from a stored row.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId, PaymentId};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::{
    share,
    slippage::{self, Slippage},
};
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
    /// The house's part: dust of earlier batches that any leg sold along.
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
    for part in &parts {
        legs.push(leg_of(conn, part).await?);
    }
    let mut gross = Amount::zero(Asset::Inr);
    for leg in legs.iter().filter(|leg| leg.gross.asset() == Asset::Inr) {
        gross = gross.checked_add(leg.gross)?;
    }
    let paid: Vec<Amount> = legs.iter().map(|leg| leg.gross).collect();
    let brought = share::brought_in(conn, &parts, &paid).await?;
    let (share, gross_share) = share::share_of(conn, first, id, brought.for_input).await?;
    let house_share = gross.checked_sub(Amount::try_new(brought.for_input, Asset::Inr)?)?;
    let slippage = slippage::of_sale(conn, id, &parts, (share, brought), gross_share).await?;
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
           and not exists (select from fills_taken_back r
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
