//! CoinGecko as a slow further opinion of rupee prices.
//!
//! Invariants: asked at most once a minute, whatever came of it, because the vendor's own figures
//! are no younger and its plan is small; in between the last reading is told again with *its* time,
//! so it ages where it is judged. All coins are asked for at once: one call a minute.

mod config;
mod map;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use outbound::{BaseUrl, BuildError, Client, Effect, Response, Target, vendor_text};
use primitives::{Asset, CallError, CallResult, Clock, Secret};
use tokio::sync::Mutex;

use crate::{Quotation, RateSource};
pub use config::Config;

const NAME: &str = "coingecko";
const EVERY: TimeDelta = TimeDelta::seconds(60);

#[derive(Debug)]
pub struct CoinGecko {
    http: Client,
    base: BaseUrl,
    key: Option<(&'static str, Secret)>,
    clock: Arc<dyn Clock>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    asked_at: Option<DateTime<Utc>>,
    reading: Option<Vec<Quotation>>,
    failure: Option<CallError>,
}

impl CoinGecko {
    /// # Errors
    /// `BuildError` when the key is empty or a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        config.check()?;
        let http = Client::try_new(NAME, &config.http, Arc::clone(&clock))?;
        let key = config.api_key.clone().map(|key| (config.key_header(), key));
        Ok(Self { http, base: config.base_url.clone(), key, clock, last: Mutex::default() })
    }

    async fn ask(&self) -> CallResult<Vec<Quotation>> {
        let mut target = Target::new(&self.base, "/api/v3/simple/price").query(map::query());
        if let Some((header, key)) = &self.key {
            target = target.header(header, key.clone());
        }
        let response = self.http.get(target).await?;
        if !response.is_success() {
            return Err(refusal(&response));
        }
        let prices = response.json(Effect::None)?;
        Ok(map::quotations(&prices))
    }
}

#[async_trait]
impl RateSource for CoinGecko {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn quotations(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        if bases.is_empty() {
            return Ok(Vec::new());
        }
        // Held while asking: two at once are one call.
        let mut last = self.last.lock().await;
        let now = self.clock.now();
        let age = last.asked_at.map(|at| now.signed_duration_since(at));
        let is_due = age.is_none_or(|age| age >= EVERY || age < TimeDelta::zero());
        if is_due {
            last.asked_at = Some(now);
            match self.ask().await {
                Ok(reading) => {
                    last.reading = Some(reading);
                    last.failure = None;
                }
                Err(error) => last.failure = Some(error),
            }
        }
        match (&last.reading, &last.failure) {
            // The failure is told once, where it happened; afterwards the old reading ages.
            (_, Some(error)) if is_due => Err(error.clone()),
            (Some(reading), _) => {
                let wanted = reading.iter().filter(|quotation| bases.contains(&quotation.base));
                Ok(wanted.cloned().collect())
            }
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// 10002 key missing, 10005 not in the plan, 10010 and 10011 key used at the wrong host.
fn refusal(response: &Response) -> CallError {
    let failure: wire::Failure = match response.json(Effect::None) {
        Ok(failure) => failure,
        Err(error) => return error,
    };
    let code = failure.status.as_ref().map(|status| status.error_code).or(failure.error_code);
    let code = code.unwrap_or_else(|| i64::from(response.status));
    let said = failure.status.map(|status| status.error_message).or(failure.error);
    let reason = vendor_text(&said.unwrap_or_default());
    match (response.status, code) {
        (_, 429) => CallError::RateLimited { retry_after_s: 60 },
        (401 | 403, _) | (_, 10_002 | 10_005 | 10_010 | 10_011) => {
            crate::access_refused(NAME, &format!("{code} {reason}"))
        }
        _ => CallError::Rejected { code: code.to_string(), reason },
    }
}
