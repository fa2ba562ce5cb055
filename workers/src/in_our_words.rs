//! The outside's answers in settlement's words: pure mappings, in the only room that knows both.

use exchanges::{Fill, Order, OrderState};
use payouts::{RailPayout, RailStatus};
use primitives::{Amount, Asset};
use rust_decimal::Decimal;
use settlement::{
    conversion::{FillFacts, OrderFacts},
    payout::{RailFacts, RailOutcome},
};

use crate::WorkError;

/// A venue's quantity as an amount; more places than the asset has is nonsense.
pub(crate) fn quantity(value: Decimal, asset: Asset) -> Result<Amount, WorkError> {
    Amount::parse_units(&value.normalize().to_string(), asset)
        .map_err(|error| WorkError::Nonsense(format!("quantity of {asset}: {error}")))
}

fn fill(fill: &Fill) -> FillFacts {
    FillFacts {
        trade_id: fill.trade_id.clone(),
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
        executed: quantity(order.executed, order.sell)?,
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
