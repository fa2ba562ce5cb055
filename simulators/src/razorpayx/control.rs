//! Control of the bank: what becomes of payouts, money in and out, how webhooks misbehave, books.
//!
//! Invariant: control can only do what could happen at the vendor: arrows of the diagram, movements
//! with an entry in the books. Faults of the wire are set on the shared control routes.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bank::{Bank, Beneficiary, Desk};
use super::checks::Query;
use super::courier::Event;
use super::events::Mode;
use super::machine::Arrival;
use super::outcomes::PlanChange;
use super::post as http;
use super::reasons;
use super::state::Status;

type Bench = State<Arc<Bank>>;

pub(super) fn router(bank: Arc<Bank>) -> Router {
    Router::new()
        .route("/plan", post(plan).get(planned))
        .route("/payouts", get(payouts))
        .route("/payouts/{id}/advance", post(advance))
        .route("/balance", post(balance).get(balance_now))
        .route("/beneficiaries", post(beneficiary))
        .route("/webhooks", post(webhooks).get(deliveries))
        .route("/webhooks/replay", post(replay))
        .route("/webhooks/downtime", post(downtime))
        .route("/books", get(books))
        .with_state(bank)
}

fn refuse(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({"error": sentence}))).into_response()
}

fn bad(sentence: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, sentence)
}

async fn plan(State(bank): Bench, Json(change): Json<PlanChange>) -> Response {
    bank.visit(|desk| match desk.state.plan.change(change) {
        Ok(()) => Json(desk.state.plan.view()).into_response(),
        Err(sentence) => bad(&sentence),
    })
}

async fn planned(State(bank): Bench) -> Response {
    bank.visit(|desk| Json(desk.state.plan.view()).into_response())
}

/// Every payout with its history, oldest first.
async fn payouts(State(bank): Bench) -> Json<Value> {
    bank.visit(|desk| {
        let rows = desk.state.payouts.iter().map(|payout| {
            let history = payout.history.iter().map(|(at, status, reason)| {
                json!({
                    "at": at,
                    "status": status.as_str(),
                    "reason": reason.map(|reason| reason.name),
                })
            });
            json!({
                "payout": desk.payout_json(payout),
                "idempotency_key": payout.key,
                "next_step_at": payout.due,
                "history": history.collect::<Vec<_>>(),
            })
        });
        Json(json!({"payouts": rows.collect::<Vec<_>>()}))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    to: String,
    reason: Option<String>,
    /// `failed` whose money comes back only with a later `reversed`.
    #[serde(default)]
    hold_credit: bool,
}

async fn advance(
    State(bank): Bench,
    Path(id): Path<String>,
    Json(wish): Json<Advance>,
) -> Response {
    let Some(to) = Status::parse(&wish.to) else {
        return bad(&format!("unknown state {}", wish.to));
    };
    let reason = match wish.reason.as_deref() {
        None => reasons::usual(to),
        Some(word) => match reasons::find(word).filter(|reason| reason.fits(to)) {
            Some(reason) => Some(reason),
            None => return bad(&format!("unknown reason {word} for state {}", to.as_str())),
        },
    };
    bank.visit(|desk| {
        if desk.state.payouts.get(&id).is_none() {
            return refuse(StatusCode::NOT_FOUND, "no such payout");
        }
        let arrival = Arrival { to, reason, hold_credit: wish.hold_credit };
        match desk.advance(&id, arrival) {
            Ok(()) => Json(desk.fetch_payout(&id).unwrap_or_default()).into_response(),
            Err(sentence) => refuse(StatusCode::CONFLICT, &sentence),
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Money {
    /// Comes in, or goes out when negative.
    paise: Option<i64>,
    /// What the balance should be afterwards.
    set_paise: Option<i64>,
}

async fn balance(State(bank): Bench, Json(money): Json<Money>) -> Response {
    bank.visit(|desk| {
        let now = desk.state.books.balance();
        let change = match (money.paise, money.set_paise) {
            (Some(paise), None) => paise,
            (None, Some(wanted)) => wanted.saturating_sub(now),
            _ => return bad("give paise or set_paise"),
        };
        if now.checked_add(change).is_none_or(|after| after < 0) {
            return bad("the balance cannot become that");
        }
        if change != 0 {
            desk.transfer(change);
        }
        Json(json!({"balance_paise": desk.state.books.balance()})).into_response()
    })
}

async fn balance_now(State(bank): Bench) -> Json<Value> {
    Json(json!({"balance_paise": bank.balance_paise()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeneficiaryWish {
    vpa: Option<String>,
    account_number: Option<String>,
    registered_name: Option<String>,
    #[serde(default = "yes")]
    active: bool,
}

const fn yes() -> bool {
    true
}

/// What validation will find for a VPA or account number.
async fn beneficiary(State(bank): Bench, Json(wish): Json<BeneficiaryWish>) -> Response {
    let number = match (wish.vpa, wish.account_number) {
        (Some(vpa), None) => vpa.to_ascii_lowercase(),
        (None, Some(number)) => number,
        _ => return bad("give vpa or account_number"),
    };
    let known = Beneficiary { active: wish.active, registered_name: wish.registered_name };
    bank.visit(|desk| desk.state.beneficiaries.insert(number, known));
    Json(json!({})).into_response()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Webhooks {
    /// An empty text takes the target away.
    url: Option<String>,
    /// The current one first.
    secrets: Option<Vec<String>>,
    mode: Option<Mode>,
}

async fn webhooks(State(bank): Bench, Json(wish): Json<Webhooks>) -> Response {
    if let Some(url) = wish.url.as_deref().filter(|url| !url.is_empty())
        && let Err(sentence) = http::check(url)
    {
        return bad(&sentence);
    }
    if let Some(Err(sentence)) = wish.secrets.map(|secrets| bank.courier.set_secrets(secrets)) {
        return bad(&sentence);
    }
    if let Some(url) = wish.url {
        bank.world.set_webhook_url((!url.is_empty()).then_some(url));
    }
    if let Some(mode) = wish.mode {
        bank.courier.set_mode(mode);
    }
    let mut view = bank.courier.to_json(bank.world.webhook_url(), usize::MAX);
    super::entities::put(&mut view, "deliveries", json!([]));
    Json(view).into_response()
}

async fn deliveries(State(bank): Bench, RawQuery(query): RawQuery) -> Json<Value> {
    bank.tick();
    let query = Query::parse(query.as_deref());
    let after = query.get("after").and_then(|text| text.parse().ok()).unwrap_or(0);
    Json(bank.courier.to_json(bank.world.webhook_url(), after))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Replay {
    event_id: Option<String>,
}

async fn replay(State(bank): Bench, Json(wish): Json<Replay>) -> Json<Value> {
    let sent = bank.courier.replay(bank.world.now(), wish.event_id.as_deref());
    Json(json!({"events": sent}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Downtime {
    /// IMPS, NEFT or RTGS: the vendor announces no downtime of UPI.
    method: String,
    #[serde(default)]
    resolved: bool,
    #[serde(default)]
    bank: Option<String>,
}

async fn downtime(State(bank): Bench, Json(wish): Json<Downtime>) -> Response {
    if !["IMPS", "NEFT", "RTGS"].contains(&wish.method.as_str()) {
        return bad("method must be IMPS, NEFT or RTGS");
    }
    bank.visit(|desk| desk.announce_downtime(&wish));
    Json(json!({})).into_response()
}

impl Desk<'_> {
    fn announce_downtime(&mut self, wish: &Downtime) {
        let payload = json!({
            "id": self.id("poutdown_"),
            "entity": "payout.downtime",
            "scheduled": false,
            "method": [wish.method],
            "begin": self.epoch(),
            "end": wish.resolved.then(|| self.epoch()),
            "status": if wish.resolved { "resolved" } else { "started" },
            "source": "beneficiary",
            "instrument": {"bank": wish.bank},
        });
        let name =
            if wish.resolved { "payout.downtime.resolved" } else { "payout.downtime.started" };
        let contains = "payout.downtime";
        self.events.push(Event { name, contains, about: None, payload });
    }
}

async fn books(State(bank): Bench) -> Json<Value> {
    Json(bank.books())
}
