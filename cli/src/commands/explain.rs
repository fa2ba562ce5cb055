//! `chukta explain pay_…`: the same story as `GET /v1/payments/{id}/explain`, for a terminal.

use std::process::ExitCode;

use anyhow::Context as _;
use primitives::{MerchantId, PaymentId};
use settlement::views::{self, Explanation, Slippage};

use crate::{config::Config, wiring};

/// Loads the story of any payment: this is an operator's command.
///
/// # Errors
/// When there is no such payment, or the database is away.
pub async fn load(pool: &sqlx::PgPool, id: PaymentId) -> anyhow::Result<Explanation> {
    let mut conn = pool.acquire().await?;
    let merchant: Option<uuid::Uuid> =
        sqlx::query_scalar("select merchant_id from payments where id = $1")
            .bind(id.uuid())
            .fetch_optional(&mut *conn)
            .await?;
    let merchant = MerchantId::from_uuid(merchant.context("no such payment")?);
    views::explain(&mut conn, merchant, id).await?.context("no such payment")
}

pub async fn run(config: &Config, payment: &str, json: bool) -> anyhow::Result<ExitCode> {
    let id: PaymentId = payment.parse()?;
    let base = wiring::base(config).await?;
    let story = load(&base.pool, id).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&story)?);
    } else {
        print!("{}", tell(&story));
    }
    Ok(ExitCode::SUCCESS)
}

/// The story as text: timeline, then every ledger row, then the sums.
pub fn tell(story: &Explanation) -> String {
    let mut text = format!("{}  {}  {}", story.payment_id, story.amount, story.state);
    if let Some(reason) = &story.review_reason {
        text.push_str(&format!(" ({reason})"));
    }
    if !story.flags.is_empty() {
        text.push_str(&format!("  [{}]", story.flags.join(", ")));
    }
    text.push('\n');
    for quote in &story.quotes {
        text.push_str(&format!(
            "  quote    {} on {} at ₹{}{} less {} bps{}, rounded {}, until {}\n",
            quote.payable,
            quote.network,
            quote.price,
            over(&quote.venues),
            quote.spread_bps,
            parts(quote.spread_rule_bps, quote.spread_moved_bps),
            quote.rounding,
            quote.valid_until.format("%H:%M:%S")
        ));
    }
    for deposit in &story.deposits {
        let aside =
            deposit.set_aside.as_ref().map_or(String::new(), |r| format!(", set aside: {r}"));
        text.push_str(&format!(
            "  deposit  {} in {} ({}{aside})\n",
            deposit.amount, deposit.tx_id, deposit.state
        ));
    }
    if let Some(sale) = &story.sale {
        text.push_str(&format!(
            "  sale     {} of {} at {}: ₹{} of ₹{} ({})\n",
            sale.share,
            sale.batch,
            sale.venue,
            sale.gross_share.to_units(),
            sale.batch_gross.to_units(),
            sale.state
        ));
        text.push_str(&sale.slippage.as_ref().map_or_else(String::new, market));
        for order in &sale.orders {
            text.push_str(&format!("           {order}\n"));
        }
    }
    if let Some(held) = &story.held {
        text.push_str(&format!("  held     {held}\n"));
    }
    if let Some(payout) = &story.payout {
        let utr = payout.utr.as_deref().unwrap_or("–");
        text.push_str(&format!(
            "  payout   {} to {}: {}, UTR {utr}\n",
            payout.amount, payout.to, payout.state
        ));
        for attempt in &payout.attempts {
            text.push_str(&format!("           attempt {attempt}\n"));
        }
    }
    for case in &story.cases {
        text.push_str(&format!("  case     {case}\n"));
    }
    text.push_str(&timeline(story));
    text.push_str(&ledger(story));
    text.push_str(&sums(story));
    text
}

/// The way of the sale that made the price, where it is longer than one venue.
fn over(venues: &[String]) -> String {
    if venues.len() > 1 { format!(" over {}", venues.join(" and ")) } else { String::new() }
}

/// The spread by its parts, where a restless price added to it.
fn parts(rule: u32, moved: u32) -> String {
    if moved > 0 { format!(" ({rule} and {moved} for a restless price)") } else { String::new() }
}

/// What the market gave, beside what the quote had reckoned with.
fn market(slippage: &Slippage) -> String {
    format!(
        "           quoted at ₹{}, filled at ₹{}: ₹{} instead of ₹{}, ₹{} ({} bps)\n",
        slippage.quote_price,
        slippage.fill_price,
        slippage.realised.to_units(),
        slippage.quoted.to_units(),
        slippage.difference.to_units(),
        slippage.bps
    )
}

fn timeline(story: &Explanation) -> String {
    let mut text = String::from("  timeline\n");
    for step in &story.timeline {
        text.push_str(&format!(
            "    {}  {:10} {:>17} → {:17} {}\n",
            step.at.format("%H:%M:%S%.3f"),
            step.what,
            step.from.as_deref().unwrap_or("·"),
            step.to,
            step.event
        ));
    }
    text
}

fn ledger(story: &Explanation) -> String {
    let mut text = String::from("  ledger (debit > credit)\n");
    for line in &story.ledger {
        let phase = match line.phase {
            ledger::Phase::Posted => "",
            ledger::Phase::Hold => " (hold)",
            ledger::Phase::Capture => " (posted)",
            ledger::Phase::Release => " (released)",
        };
        let batch = if line.of_batch { " *" } else { "" };
        text.push_str(&format!(
            "    {:22} {} > {}  {}{phase}{batch}\n",
            line.kind, line.debit, line.credit, line.amount
        ));
    }
    if story.ledger.iter().any(|line| line.of_batch) {
        text.push_str("    * of the whole batch\n");
    }
    text
}

fn sums(story: &Explanation) -> String {
    let s = &story.sums;
    format!(
        "  sums     credited {} = fee {} + GST {} + paid out {} + owed {}: {}\n",
        s.credited.to_units(),
        s.fee.to_units(),
        s.gst.to_units(),
        s.paid_out.to_units(),
        s.owed.to_units(),
        if s.adds_up { "adds up" } else { "DOES NOT ADD UP" }
    )
}
