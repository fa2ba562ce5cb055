//! Withdrawals (`/sapi/v1/capital/withdraw`): asked for, on their way, in the history.
//!
//! Invariant: what is asked for leaves the balance at once, fee included; it leaves the venue
//! `withdraw_ms` later by the world's clock, and only then has a transaction. The order of checks
//! is coin, network, address, tag, amount, balance: the vendor documents the codes, not the order.

use chrono::TimeDelta;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    DuplicateWithdrawals, Exchange, NAME, State,
    wallet::{named_rail, period, withdrawal_json},
    wire::{Refusal, decimal_param, limit_param, whole_param},
};
use crate::{
    serving::Call,
    venue::{Departing, Departure, Rail, Wanted, is_address, rail_of},
};

type Answer = Result<Value, Refusal>;

const MOST: Decimal = Decimal::from_parts(10_000_000, 0, 0, false, 0);

/// The vendor's number of a stage.
pub(crate) const fn status(stage: Departing) -> u8 {
    match stage {
        Departing::MailSent => 0,
        Departing::Cancelled => 1,
        Departing::AwaitingApproval => 2,
        Departing::Rejected => 3,
        Departing::Processing => 4,
        Departing::Failed => 5,
        Departing::Completed => 6,
    }
}

pub(crate) fn apply(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    if !state.settings.can_withdraw {
        return Err(Refusal::not_permitted());
    }
    let wanted = read(state, call)?;
    let now = ex.world.now();
    let id = hex::encode(ex.world.entropy.bytes::<16>());
    let asked = state.custody.ask(&mut state.holdings, wanted, id.clone(), now);
    let Some(moved) = asked else {
        return Err(Refusal::new(-4026, "You have insufficient balance."));
    };
    state.tell_moved(&moved, now);
    if ex.world.faults.take_named(NAME, "withdraw", "stuck").is_some() {
        // Until somebody decides over control.
        if let Some(departure) = state.custody.departures.last_mut() {
            departure.stage = Departing::AwaitingApproval;
        }
    } else {
        ex.world.send_later(NAME, &id, state.settings.withdraw_ms);
    }
    Ok(json!({"id": id}))
}

fn read(state: &State, call: &Call) -> Result<Wanted, Refusal> {
    let mandatory = |name| call.param(name).ok_or_else(|| Refusal::mandatory(name));
    let coin = mandatory("coin")?;
    let address = mandatory("address")?;
    rail_of(coin, None).ok_or_else(|| Refusal::new(-4018, "We don't have this asset."))?;
    let rail = named_rail(coin, call.param("network"))
        .filter(|_| !state.settings.withdrawals_paused)
        .ok_or_else(|| Refusal::new(-4019, "Current asset is not open for withdrawal."))?;
    if !is_address(rail.network, address) {
        return Err(Refusal::new(-4007, "Address validation is not passed."));
    }
    if call.param("addressTag").is_some() {
        return Err(Refusal::new(-4106, "Address tag is not supported by this network."));
    }
    let amount = amount(rail, call)?;
    let order_id = call.param("withdrawOrderId").map(str::to_owned);
    let known = order_id.as_ref().is_some_and(|id| state.custody.has_order_id(id));
    if known && state.settings.duplicate_withdrawals == DuplicateWithdrawals::Reject {
        return Err(Refusal::new(-4104, "withdrawOrderId already exists."));
    }
    Ok(Wanted { rail, amount, address: address.to_owned(), order_id })
}

fn amount(rail: &Rail, call: &Call) -> Result<Decimal, Refusal> {
    let amount = decimal_param(call, "amount")?.ok_or_else(|| Refusal::mandatory("amount"))?;
    if amount.scale() > rail.places {
        let unit = Decimal::new(1, rail.places);
        let text = format!("Asset withdrawal must be an integer multiple of {unit}.");
        return Err(Refusal::new(-4021, text));
    }
    if amount < rail.least {
        let text = format!("Not less than the minimum pick-up quantity {}.", rail.least);
        return Err(Refusal::new(-4022, text));
    }
    if amount <= rail.fee {
        let text = "The amount of withdrawal must be greater than the Commission.";
        return Err(Refusal::new(-4028, text));
    }
    if amount > MOST {
        let text = "Within 24 hours, the withdrawal exceeds the maximum amount.";
        return Err(Refusal::new(-4023, text));
    }
    Ok(amount)
}

/// The newest first. With `withdrawOrderId` the period is at most seven days.
pub(crate) fn history(ex: &Exchange, state: &mut State, call: &Call) -> Answer {
    let (coin, order_id) = (call.param("coin"), call.param("withdrawOrderId"));
    let wanted = whole_param(call, "status")?;
    let limit = limit_param(call, 1000, 1000)?;
    let skip = usize::try_from(whole_param(call, "offset")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let days = if order_id.is_some() { 7 } else { 90 };
    let (from, to) = period(call, ex.world.now(), TimeDelta::days(days))?;
    let matches = |departure: &&Departure| {
        coin.is_none_or(|coin| departure.rail.coin == coin)
            && order_id.is_none_or(|id| departure.order_id.as_deref() == Some(id))
            && wanted.is_none_or(|wanted| u64::from(status(departure.stage)) == wanted)
            && departure.applied >= from
            && departure.applied <= to
    };
    let found = state.custody.departures.iter().rev().filter(matches).skip(skip).take(limit);
    Ok(Value::Array(found.map(withdrawal_json).collect()))
}

/// The travel rule asks nothing of this account; who withdraws has to have asked.
pub(crate) fn questionnaire(_: &Exchange, _: &mut State, _: &Call) -> Answer {
    Ok(json!({"questionnaireCountryCode": "NIL"}))
}
