//! Control over coins in and out, executions behind the vendor's back, open sockets and chains.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get, post},
};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, Parts, Refused, bad, decimal, done, read};
use crate::{
    World,
    binance::{Act, Deed},
    chains::Spec,
};

pub(super) fn router(parts: Parts) -> Router {
    Router::new()
        .route("/wazirx/deposit", post(wazirx_deposit))
        .route("/wazirx/deposit_stage", post(wazirx_deposit_stage))
        .route("/wazirx/withdraw_inr", post(wazirx_withdraw_inr))
        .route("/wazirx/withdrawal", post(wazirx_withdrawal))
        .route("/wazirx/address_book", post(wazirx_address_book))
        .route("/wazirx/fill", post(wazirx_fill))
        .route("/wazirx/late_fill", post(wazirx_late_fill))
        .route("/wazirx/take_back", post(wazirx_take_back))
        .route("/binance/deposit", post(binance_deposit))
        .route("/binance/deposit_stage", post(binance_deposit_stage))
        .route("/binance/withdrawal", post(binance_withdrawal))
        .route("/binance/fill", post(binance_fill))
        .route("/binance/late_fill", post(binance_late_fill))
        .route("/binance/take_back", post(binance_take_back))
        .route("/binance/sockets", post(binance_sockets))
        .route("/transfers", get(show_transfers).post(set_transfers))
        .route("/chains", get(show_chains).post(add_chains))
        .route("/chains/{network}", delete(forget_chain))
        .with_state(parts)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deposit {
    #[serde(default)]
    asset: Option<String>,
    amount: Value,
    /// The chain's tx id or the bank's reference, when there is one.
    #[serde(default)]
    reference: Option<String>,
    /// `bitcoin`, `ethereum`, `base` or `solana`; the asset's default one when absent.
    #[serde(default)]
    network: Option<String>,
    /// `credited` when absent.
    #[serde(default)]
    stage: Option<String>,
}

/// A deposit with everything decided.
pub(super) struct Settled {
    pub(super) asset: String,
    pub(super) amount: Decimal,
    pub(super) reference: String,
    pub(super) network: Option<String>,
    pub(super) stage: Option<String>,
}

impl Deposit {
    pub(super) fn settle(self, world: &World) -> Result<Settled, Refused> {
        let amount = decimal(&self.amount)?;
        if amount <= Decimal::ZERO || amount > Decimal::new(1_000_000_000_000, 0) {
            return Err(bad("amount out of range"));
        }
        let asset = self.asset.unwrap_or_else(|| "INR".to_owned()).to_ascii_uppercase();
        let made_up = || hex::encode(world.entropy.bytes::<16>());
        let reference = self.reference.unwrap_or_else(made_up);
        Ok(Settled { asset, amount, reference, network: self.network, stage: self.stage })
    }
}

fn moved(taken: bool) -> Answer {
    if taken { done() } else { Err(bad("unknown asset or not enough of it")) }
}

pub(super) fn known(done_so: bool, what: &str) -> Answer {
    if done_so { done() } else { Err(bad(what)) }
}

async fn wazirx_deposit(State(parts): State<Parts>, body: Body) -> Answer {
    let d = read::<Deposit>(body)?.settle(&parts.world)?;
    let exchange = &parts.wazirx;
    if d.network.is_none() && d.stage.is_none() {
        return moved(exchange.deposit(&d.asset, d.amount, &d.reference));
    }
    let (network, stage) = (d.network.as_deref(), d.stage.as_deref().unwrap_or("credited"));
    let taken = exchange.deposit_on(&d.asset, d.amount, &d.reference, network, stage);
    known(taken, "unknown asset, network or stage")
}

async fn wazirx_withdraw_inr(State(parts): State<Parts>, body: Body) -> Answer {
    let d = read::<Deposit>(body)?.settle(&parts.world)?;
    moved(d.asset == "INR" && parts.wazirx.withdraw_inr(d.amount, &d.reference))
}

async fn binance_deposit(State(parts): State<Parts>, body: Body) -> Answer {
    let d = read::<Deposit>(body)?.settle(&parts.world)?;
    let (network, stage) = (d.network.as_deref(), d.stage.as_deref().unwrap_or("credited"));
    let taken = parts.binance.deposit_on(&d.asset, d.amount, &d.reference, network, stage);
    known(taken, "unknown asset, network or stage")
}

/// A deposit by its transaction or id, a withdrawal by its id or our own reference.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Judgement {
    pub(super) reference: String,
    pub(super) stage: String,
}

async fn wazirx_deposit_stage(State(parts): State<Parts>, body: Body) -> Answer {
    let Judgement { reference, stage } = read(body)?;
    known(parts.wazirx.judge_deposit(&reference, &stage), "no such deposit or stage")
}

async fn binance_deposit_stage(State(parts): State<Parts>, body: Body) -> Answer {
    let Judgement { reference, stage } = read(body)?;
    known(parts.binance.judge_deposit(&reference, &stage), "no such deposit or stage")
}

async fn wazirx_withdrawal(State(parts): State<Parts>, body: Body) -> Answer {
    let Judgement { reference, stage } = read(body)?;
    known(parts.wazirx.judge_withdrawal(&reference, &stage), "no such withdrawal under way")
}

async fn binance_withdrawal(State(parts): State<Parts>, body: Body) -> Answer {
    let Judgement { reference, stage } = read(body)?;
    known(parts.binance.judge_withdrawal(&reference, &stage), "no such withdrawal under way")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    label: String,
    #[serde(default)]
    coin: Option<String>,
    network: String,
    address: String,
}

async fn wazirx_address_book(State(parts): State<Parts>, body: Body) -> Answer {
    let Contact { label, coin, network, address } = read(body)?;
    let id = parts.wazirx.add_contact(&label, coin.as_deref(), &network, &address);
    let id = id.ok_or_else(|| bad("unknown coin or network, or no address of it"))?;
    Ok(Json(json!({"status": "ok", "id": id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fill {
    order_id: u64,
    #[serde(default)]
    quantity: Option<Value>,
}

impl Fill {
    fn quantity(&self) -> Result<Option<Decimal>, Refused> {
        self.quantity.as_ref().map(decimal).transpose()
    }

    /// All of the rest, unless told.
    fn late(&self) -> Result<Decimal, Refused> {
        Ok(self.quantity()?.unwrap_or(Decimal::new(1_000_000_000_000, 0)))
    }
}

async fn wazirx_fill(State(parts): State<Parts>, body: Body) -> Answer {
    let fill: Fill = read(body)?;
    known(parts.wazirx.force_fill(fill.order_id, fill.quantity()?), "no such resting order")
}

async fn binance_fill(State(parts): State<Parts>, body: Body) -> Answer {
    let fill: Fill = read(body)?;
    known(parts.binance.force_fill(fill.order_id, fill.quantity()?), "no such resting order")
}

async fn wazirx_late_fill(State(parts): State<Parts>, body: Body) -> Answer {
    let fill: Fill = read(body)?;
    let filled = parts.wazirx.fill_after_the_end(fill.order_id, fill.late()?);
    known(filled, "no such closed order with a rest")
}

async fn binance_late_fill(State(parts): State<Parts>, body: Body) -> Answer {
    let fill: Fill = read(body)?;
    let filled = parts.binance.fill_after_the_end(fill.order_id, fill.late()?);
    known(filled, "no such closed order with a rest")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakeBack {
    trade_id: u64,
}

async fn wazirx_take_back(State(parts): State<Parts>, body: Body) -> Answer {
    let TakeBack { trade_id } = read(body)?;
    known(parts.wazirx.take_trade_back(trade_id), "no such execution, or its money is gone")
}

async fn binance_take_back(State(parts): State<Parts>, body: Body) -> Answer {
    let TakeBack { trade_id } = read(body)?;
    known(parts.binance.take_trade_back(trade_id), "no such execution, or its money is gone")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sockets {
    action: Deed,
    #[serde(default)]
    delay_ms: Option<u64>,
}

async fn binance_sockets(State(parts): State<Parts>, body: Body) -> Answer {
    let Sockets { action, delay_ms } = read(body)?;
    let delay = delay_ms.map(|ms| Duration::from_millis(ms.min(86_400_000)));
    let open = parts.binance.act(Act { deed: action, delay });
    Ok(Json(json!({"status": "ok", "open": open})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfers {
    delay_ms: u64,
}

async fn show_transfers(State(parts): State<Parts>) -> Answer {
    Ok(Json(json!({"delay_ms": parts.world.transit.delay_ms()})))
}

async fn set_transfers(State(parts): State<Parts>, body: Body) -> Answer {
    let Transfers { delay_ms } = read(body)?;
    parts.world.transit.set_delay_ms(delay_ms);
    done()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<Spec>),
    Many(Vec<Spec>),
}

async fn add_chains(State(parts): State<Parts>, body: Body) -> Answer {
    let specs = match read(body)? {
        OneOrMany::One(spec) => vec![*spec],
        OneOrMany::Many(specs) => specs,
    };
    for spec in &specs {
        let registered = parts.chains.register(spec).await;
        registered.map_err(|error| bad(format!("{}: {error:#}", spec.network)))?;
    }
    show_chains(State(parts)).await
}

/// How far each chain was read, and the venues' addresses on it.
async fn show_chains(State(parts): State<Parts>) -> Answer {
    let mut chains = serde_json::Map::new();
    for (network, (kind, progress)) in parts.chains.progress() {
        let custodians = parts.world.transit.custodians();
        let addresses: BTreeMap<&str, Option<String>> = custodians
            .iter()
            .map(|venue| (venue.name(), parts.world.deposit_address(venue.name(), network)))
            .collect();
        chains.insert(
            network.to_owned(),
            json!({
                "kind": kind,
                "progress": progress,
                "addresses": addresses,
            }),
        );
    }
    Ok(Json(Value::Object(chains)))
}

async fn forget_chain(State(parts): State<Parts>, Path(network): Path<String>) -> Answer {
    if parts.chains.forget(&network) {
        return done();
    }
    Err(Refused(StatusCode::NOT_FOUND, "no such chain".to_owned()))
}
