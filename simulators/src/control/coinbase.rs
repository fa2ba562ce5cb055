//! Control over the simulated Coinbase: its ids are text, so its calls have bodies of their own.

use axum::{Json, Router, extract::State, routing::post};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Body, Parts, Refused, bad,
    custody::{Deposit, Judgement, known},
    decimal, merged, read, set,
};

pub(super) fn router(parts: Parts) -> Router {
    Router::new()
        .route("/coinbase/settings", post(set_settings).get(settings))
        .route("/coinbase/deposit", post(deposit))
        .route("/coinbase/deposit_stage", post(deposit_stage))
        .route("/coinbase/withdrawal", post(withdrawal))
        .route("/coinbase/fill", post(fill))
        .route("/coinbase/late_fill", post(late_fill))
        .route("/coinbase/take_back", post(take_back))
        .with_state(parts)
}

async fn settings(State(parts): State<Parts>) -> Answer {
    Ok(Json(json!(parts.coinbase.settings())))
}

async fn set_settings(State(parts): State<Parts>, body: Body) -> Answer {
    set(parts.coinbase.set_settings(merged(json!(parts.coinbase.settings()), body)?))
}

async fn deposit(State(parts): State<Parts>, body: Body) -> Answer {
    let d = read::<Deposit>(body)?.settle(&parts.world)?;
    let (network, stage) = (d.network.as_deref(), d.stage.as_deref().unwrap_or("credited"));
    let taken = parts.coinbase.deposit_on(&d.asset, d.amount, &d.reference, network, stage);
    known(taken, "unknown asset, network or stage")
}

async fn deposit_stage(State(parts): State<Parts>, body: Body) -> Answer {
    let Judgement { reference, stage } = read(body)?;
    known(parts.coinbase.judge_deposit(&reference, &stage), "no such deposit, or it is credited")
}

async fn withdrawal(State(parts): State<Parts>, body: Body) -> Answer {
    let Judgement { reference, stage } = read(body)?;
    known(parts.coinbase.judge_withdrawal(&reference, &stage), "no such withdrawal under way")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fill {
    /// The vendor's id, or the client's.
    order_id: String,
    #[serde(default)]
    quantity: Option<Value>,
}

impl Fill {
    fn quantity(&self) -> Result<Option<Decimal>, Refused> {
        self.quantity.as_ref().map(decimal).transpose()
    }
}

async fn fill(State(parts): State<Parts>, body: Body) -> Answer {
    let fill: Fill = read(body)?;
    let filled = parts.coinbase.force_fill(&fill.order_id, fill.quantity()?);
    known(filled, "no such resting order")
}

async fn late_fill(State(parts): State<Parts>, body: Body) -> Answer {
    let fill: Fill = read(body)?;
    // All of the rest, unless told.
    let quantity = fill.quantity()?.unwrap_or(Decimal::new(1_000_000_000_000, 0));
    let filled = parts.coinbase.fill_after_the_end(&fill.order_id, quantity);
    known(filled, "no such closed order with a rest")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeBack {
    trade_id: String,
}

async fn take_back(State(parts): State<Parts>, body: Body) -> Answer {
    let TakeBack { trade_id } = read(body)?;
    if trade_id.is_empty() {
        return Err(bad("a trade's id is needed"));
    }
    let taken = parts.coinbase.take_trade_back(&trade_id);
    known(taken, "no such execution, or its money is gone")
}
