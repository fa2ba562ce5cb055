//! `GET /v1/rates`: the rate board. A line that is too old is shown as unusable and without a
//! price: unknown is never a number.

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use settlement::{
    Base,
    rates::{BoardRate, SourcePrice, Verdict},
};
use utoipa::ToSchema;

use crate::{
    auth::{Guarded, RatesRead},
    problem::Problem,
    state::Api,
};

/// May quotes be made at this price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RateVerdict)]
pub(crate) enum VerdictView {
    Good,
    Degraded,
    Unusable,
}

/// What one source said, in rupees for one unit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RateSource)]
pub(crate) struct SourceView {
    source: String,
    bid: String,
    ask: String,
    at: DateTime<Utc>,
    /// Why it did not count, when it did not.
    refused: Option<String>,
}

/// The board's line of one asset, in rupees for one unit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rate)]
pub(crate) struct RateView {
    #[schema(example = "ETH")]
    asset: &'static str,
    #[schema(example = "INR")]
    quote: &'static str,
    verdict: VerdictView,
    reason: Option<String>,
    bid: Option<String>,
    ask: Option<String>,
    at: DateTime<Utc>,
    sources: Vec<SourceView>,
}

/// Every asset that has a line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RateList {
    data: Vec<RateView>,
}

#[utoipa::path(
    get, path = "/v1/rates", tag = "rates", operation_id = "list_rates",
    summary = "The rate board",
    responses((status = 200, description = "One line per asset", body = RateList))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    _: Guarded<RatesRead>,
) -> Result<Json<RateList>, Problem> {
    let lines = api.given.board.all().await?;
    let data = lines.into_iter().map(|line| view(&api.given.base, line)).collect();
    Ok(Json(RateList { data }))
}

fn view(base: &Base, line: BoardRate) -> RateView {
    let age = base.now().signed_duration_since(line.at);
    let stale = age > TimeDelta::seconds(base.settings.rate_max_age_s);
    let (verdict, reason) = match line.verdict {
        _ if stale => (VerdictView::Unusable, Some("stale".to_owned())),
        Verdict::Good => (VerdictView::Good, None),
        Verdict::Degraded(why) => (VerdictView::Degraded, Some(why)),
        Verdict::Unusable(why) => (VerdictView::Unusable, Some(why)),
    };
    let usable = verdict != VerdictView::Unusable;
    RateView {
        asset: line.base.code(),
        quote: "INR",
        verdict,
        reason,
        bid: line.bid.filter(|_| usable).map(|price| price.to_string()),
        ask: line.ask.filter(|_| usable).map(|price| price.to_string()),
        at: line.at,
        sources: line.sources.into_iter().map(source).collect(),
    }
}

fn source(said: SourcePrice) -> SourceView {
    SourceView {
        source: said.source,
        bid: said.bid.to_string(),
        ask: said.ask.to_string(),
        at: said.at,
        refused: said.refused,
    }
}
