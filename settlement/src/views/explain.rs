//! One payment explained to the paisa: every number comes from a stored row, and the sums at the
//! end are made from ledger legs alone.

use chrono::{DateTime, Utc};
use primitives::{Amount, Asset, ConversionId, MerchantId, PaymentId};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, Row};

use super::sale::{ExplainedSale, held_of, sale_of};
use crate::{Error, chart, money_column, payment, quote};

/// The whole story of a payment.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    pub payment_id: PaymentId,
    pub reference: String,
    pub state: &'static str,
    pub review_reason: Option<String>,
    pub amount: Amount,
    pub flags: Vec<&'static str>,
    pub quotes: Vec<ExplainedQuote>,
    pub deposits: Vec<ExplainedDeposit>,
    pub sale: Option<ExplainedSale>,
    /// Why its crypto is not sold now, when that is a decision about a venue.
    pub held: Option<String>,
    pub payout: Option<ExplainedPayout>,
    pub timeline: Vec<Step>,
    pub ledger: Vec<LedgerLine>,
    pub sums: Sums,
    pub cases: Vec<String>,
}

/// A price and how it was made.
#[derive(Debug, Clone, Serialize)]
pub struct ExplainedQuote {
    pub id: primitives::QuoteId,
    pub network: String,
    pub payable: Amount,
    /// Rupees per unit that the venue's bids gave for this size.
    pub price: String,
    pub spread_bps: u32,
    /// The part of it that the rule for this shop and asset says, and the one that a restless price
    /// added.
    pub spread_rule_bps: u32,
    pub spread_moved_bps: u32,
    /// The venues a sale would have passed at this price.
    pub venues: Vec<String>,
    /// True when the quote's own row gives the same price and the same crypto again.
    pub recomputes: bool,
    pub rounding: &'static str,
    pub rate_tick: i64,
    pub sources: Value,
    pub valid_until: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ExplainedDeposit {
    pub id: primitives::DepositId,
    pub network: String,
    pub tx_id: String,
    pub ordinal: i64,
    pub amount: Amount,
    pub state: String,
    /// Why it did not count towards the payment, when it did not.
    pub set_aside: Option<String>,
    pub seen_at: DateTime<Utc>,
    pub confirmed_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ExplainedPayout {
    pub id: primitives::PayoutId,
    pub to: String,
    pub amount: Amount,
    pub state: String,
    pub utr: Option<String>,
    pub attempts: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub at: DateTime<Utc>,
    pub what: String,
    pub from: Option<String>,
    pub to: String,
    pub event: String,
    pub cause: Value,
}

/// One leg of the books.
#[derive(Debug, Clone, Serialize)]
pub struct LedgerLine {
    pub transfer: String,
    pub kind: String,
    pub phase: ledger::Phase,
    pub debit: String,
    pub credit: String,
    pub amount: Amount,
    pub posted_at: DateTime<Utc>,
    /// True when the leg belongs to the whole batch, not to this payment alone.
    pub of_batch: bool,
}

/// Where the merchant's rupees went, by ledger legs: `credited = fee + gst + paid_out + owed`.
#[derive(Debug, Clone, Serialize)]
pub struct Sums {
    pub credited: Amount,
    pub fee: Amount,
    pub gst: Amount,
    pub paid_out: Amount,
    pub owed: Amount,
    pub adds_up: bool,
}

/// Explains the merchant's payment; `None` also when it belongs to somebody else.
///
/// # Errors
/// `Database`, `Ledger`, `Inconsistent`.
pub async fn explain(
    conn: &mut PgConnection,
    merchant: MerchantId,
    id: PaymentId,
) -> Result<Option<Explanation>, Error> {
    let Some(payment) = payment::find(conn, merchant, id).await? else { return Ok(None) };
    let sale = sale_of(conn, id).await?;
    let mut ledger = lines(conn, id.uuid(), false).await?;
    for leg in sale.iter().flat_map(|sale| &sale.legs) {
        ledger.extend(lines(conn, leg.conversion.uuid(), true).await?);
    }
    ledger.sort_by_key(|line| line.posted_at);
    let sums = sums(&ledger, merchant)?;
    let f = payment.flags;
    let flags = [
        (f.partial, "partial"),
        (f.over, "over"),
        (f.late, "late"),
        (f.wrong_asset, "wrong_asset"),
    ];
    Ok(Some(Explanation {
        payment_id: id,
        reference: payment.reference,
        state: payment.state.name(),
        review_reason: payment.review_reason,
        amount: payment.amount,
        flags: flags.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect(),
        quotes: quotes_of(conn, id).await?,
        deposits: deposits_of(conn, id).await?,
        payout: payout_of(conn, id).await?,
        timeline: timeline(conn, id, sale.as_ref().map(|s| s.conversion)).await?,
        cases: cases_of(conn, id).await?,
        held: held_of(conn, id).await?,
        sale,
        ledger,
        sums,
    }))
}

async fn quotes_of(conn: &mut PgConnection, id: PaymentId) -> Result<Vec<ExplainedQuote>, Error> {
    let mut explained = Vec::new();
    for quote in quote::of_payment(conn, id).await? {
        let sources = serde_json::to_value(&quote.basis.sources)
            .map_err(|_| Error::Inconsistent("stored quote".into()))?;
        explained.push(ExplainedQuote {
            id: quote.id,
            network: quote.network.to_string(),
            payable: quote.payable,
            price: quote.price.normalize().to_string(),
            spread_bps: quote.spread.get(),
            spread_rule_bps: quote.basis.spread.rule.get(),
            spread_moved_bps: quote.basis.spread.moved.get(),
            venues: quote.basis.venues.clone(),
            recomputes: quote::is_explained(&quote),
            rounding: "up",
            rate_tick: quote.tick,
            sources,
            valid_until: quote.valid_until,
        });
    }
    Ok(explained)
}

async fn deposits_of(
    conn: &mut PgConnection,
    id: PaymentId,
) -> Result<Vec<ExplainedDeposit>, Error> {
    let rows = sqlx::query(
        "select id, network, tx_id, ordinal, asset, amount_minor::text as amount_minor, state,
           reason, seen_at, confirmed_at from deposits where payment_id = $1 order by id",
    )
    .bind(id.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let asset = money_column::asset(row.try_get("asset")?)?;
            Ok(ExplainedDeposit {
                id: primitives::DepositId::from_uuid(row.try_get("id")?),
                network: row.try_get("network")?,
                tx_id: row.try_get("tx_id")?,
                ordinal: row.try_get("ordinal")?,
                amount: money_column::amount(row.try_get("amount_minor")?, asset)?,
                state: row.try_get("state")?,
                set_aside: row.try_get("reason")?,
                seen_at: row.try_get("seen_at")?,
                confirmed_at: row.try_get("confirmed_at")?,
            })
        })
        .collect()
}

async fn payout_of(
    conn: &mut PgConnection,
    id: PaymentId,
) -> Result<Option<ExplainedPayout>, Error> {
    let row = sqlx::query(
        "select id, vpa, amount_minor::text as amount_minor, state, utr from payouts
         where payment_id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let payout: uuid::Uuid = row.try_get("id")?;
    let attempts = sqlx::query_scalar(
        "select format('%s: %s%s%s', attempt, state, coalesce(', ' || reason, ''),
           coalesce(', UTR ' || utr, '')) from payout_attempts where payout_id = $1
         order by attempt",
    )
    .bind(payout)
    .fetch_all(conn)
    .await?;
    Ok(Some(ExplainedPayout {
        id: primitives::PayoutId::from_uuid(payout),
        to: row.try_get("vpa")?,
        amount: money_column::amount(row.try_get("amount_minor")?, Asset::Inr)?,
        state: row.try_get("state")?,
        utr: row.try_get("utr")?,
        attempts,
    }))
}

async fn timeline(
    conn: &mut PgConnection,
    id: PaymentId,
    conversion: Option<ConversionId>,
) -> Result<Vec<Step>, Error> {
    let rows = sqlx::query(
        "select t.at, t.entity, t.from_state, t.to_state, t.event, t.cause from transitions t
         where t.entity_id = $1 or t.entity_id = $2
            or t.entity_id in (select id from conversions where root = $2)
            or t.entity_id in (select id from deposits where payment_id = $1)
            or t.entity_id in (select id from payouts where payment_id = $1)
         order by t.id",
    )
    .bind(id.uuid())
    .bind(conversion.map(ConversionId::uuid))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Step {
                at: row.try_get("at")?,
                what: row.try_get("entity")?,
                from: row.try_get("from_state")?,
                to: row.try_get("to_state")?,
                event: row.try_get("event")?,
                cause: row.try_get("cause")?,
            })
        })
        .collect()
}

async fn cases_of(conn: &mut PgConnection, id: PaymentId) -> Result<Vec<String>, Error> {
    let cases = sqlx::query_scalar(
        "select kind || case when closed_at is null then ' (open)' else ' (closed)' end
         from cases where payment_id = $1 order by opened_at, id",
    )
    .bind(id.uuid())
    .fetch_all(conn)
    .await?;
    Ok(cases)
}

async fn lines(
    conn: &mut PgConnection,
    correlation: uuid::Uuid,
    of_batch: bool,
) -> Result<Vec<LedgerLine>, Error> {
    let transfers = ledger::transfers_of(conn, correlation).await?;
    Ok(transfers
        .into_iter()
        .flat_map(|transfer| {
            transfer.legs.into_iter().map(move |leg| LedgerLine {
                transfer: transfer.key.clone(),
                kind: transfer.kind.clone(),
                phase: leg.phase,
                debit: leg.debit,
                credit: leg.credit,
                amount: leg.amount,
                posted_at: leg.posted_at,
                of_batch,
            })
        })
        .collect())
}

/// Adds up the legs that touch this merchant's rupees. Holds and releases move nothing.
fn sums(ledger: &[LedgerLine], merchant: MerchantId) -> Result<Sums, Error> {
    let owed_account = chart::merchant(merchant).code;
    let zero = Amount::zero(Asset::Inr);
    let mut sums =
        Sums { credited: zero, fee: zero, gst: zero, paid_out: zero, owed: zero, adds_up: false };
    let moves =
        |line: &&LedgerLine| matches!(line.phase, ledger::Phase::Posted | ledger::Phase::Capture);
    for line in ledger.iter().filter(moves) {
        let from_merchant = line.debit == owed_account;
        let to_merchant = line.credit == owed_account;
        if !from_merchant && !to_merchant {
            continue;
        }
        let target = match (line.kind.as_str(), from_merchant) {
            ("payout", true) => &mut sums.paid_out,
            ("payout.returned", false) => {
                sums.paid_out = sums.paid_out.checked_sub(line.amount)?;
                sums.owed = sums.owed.checked_add(line.amount)?;
                continue;
            }
            (_, false) => &mut sums.credited,
            (_, true) if line.credit == chart::fee().code => &mut sums.fee,
            (_, true) => &mut sums.gst,
        };
        *target = target.checked_add(line.amount)?;
        sums.owed = if to_merchant {
            sums.owed.checked_add(line.amount)?
        } else {
            sums.owed.checked_sub(line.amount)?
        };
    }
    let parts = sums.fee.checked_add(sums.gst)?.checked_add(sums.paid_out)?;
    sums.adds_up = parts.checked_add(sums.owed)? == sums.credited;
    Ok(sums)
}
