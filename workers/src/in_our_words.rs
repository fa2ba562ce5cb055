//! The outside's answers in settlement's words: pure mappings, in the only room that knows both.

use exchanges::{Book, Fill, MarketRules, Order, OrderKind, OrderState, Pair};
use payouts::{RailPayout, RailStatus};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::{
    conversion::{FillFacts, Levies, Market, OrderAttempt, OrderFacts},
    payout::{RailFacts, RailOutcome},
    rates::Level,
};

use crate::WorkError;

/// A venue's quantity as an amount; more places than the asset has is nonsense.
pub(crate) fn quantity(value: Decimal, asset: Asset) -> Result<Amount, WorkError> {
    Amount::parse_units(&value.normalize().to_string(), asset)
        .map_err(|error| WorkError::Nonsense(format!("quantity of {asset}: {error}")))
}

/// A market of a venue.
pub(crate) const fn pair(base: Asset, quote: Asset) -> Pair {
    Pair { base, quote }
}

pub(crate) const fn kind(order: &OrderAttempt) -> OrderKind {
    if order.is_immediate { OrderKind::ImmediateOrCancel } else { OrderKind::Limit }
}

pub(crate) fn levies(levies: exchanges::Levies) -> Levies {
    Levies { fee: levies.fee, gst: levies.gst, tds: levies.tds }
}

pub(crate) fn market(rules: &MarketRules, levies: Levies, immediate: bool, book: &Book) -> Market {
    let level = |l: &exchanges::BookLevel| Level { price: l.price, quantity: l.quantity };
    Market {
        price_tick: rules.price_tick,
        quantity_step: rules.quantity_step,
        quantity_min: rules.quantity_min,
        quantity_max: rules.quantity_max,
        notional_min: rules.notional_min,
        is_open: rules.is_open,
        takes_immediate: immediate,
        levies,
        bids: book.bids.iter().map(level).collect(),
        seen_at: book.at,
    }
}

/// A trade's name among all trades of its venue. Some venues number each market for itself, so the
/// market is part of it.
pub(crate) fn trade_id(fill: &Fill) -> String {
    format!("{}{}-{}", fill.sold.asset(), fill.gross.asset(), fill.trade_id)
}

fn fill(fill: &Fill) -> FillFacts {
    FillFacts {
        trade_id: trade_id(fill),
        sold: fill.sold,
        gross: fill.gross,
        fee: fill.fee,
        fee_gst: fill.fee_gst,
        tds: fill.tds,
        price: fill.price,
        executed_at: fill.executed_at,
    }
}

pub(crate) fn order(order: &Order, fills: &[Fill]) -> Result<OrderFacts, WorkError> {
    Ok(OrderFacts {
        venue_order_id: order.venue_order_id.clone(),
        closed: !matches!(order.state, OrderState::Open),
        executed: quantity(order.executed, order.pair.base)?,
        fills: fills.iter().map(fill).collect(),
    })
}

pub(crate) fn rail_payout(payout: &RailPayout) -> RailFacts {
    RailFacts {
        rail_payout_id: payout.rail_payout_id.clone(),
        outcome: match payout.status {
            RailStatus::Pending => RailOutcome::Pending,
            RailStatus::Queued => RailOutcome::Queued,
            RailStatus::Processing => RailOutcome::Processing,
            RailStatus::Processed => RailOutcome::Processed,
            RailStatus::Failed => RailOutcome::Failed,
            RailStatus::Rejected => RailOutcome::Rejected,
            RailStatus::Cancelled => RailOutcome::Cancelled,
            RailStatus::Reversed => RailOutcome::Reversed,
        },
        amount: payout.amount,
        fund_account_id: payout.fund_account_id.clone(),
        fees: payout.fees,
        tax: payout.tax,
        utr: payout.utr.clone(),
        reason: payout.reason.clone(),
        retryable: payout.retryable,
    }
}
