//! Binance as a source of rates in USDT, from the best bid and ask.
//!
//! Invariant: public data only; nothing is signed, so there is no `sign` here. The ticker carries
//! no time, so the time of our asking stands for it: the price cannot be older than the answer.

mod config;
mod map;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use outbound::{BaseUrl, BuildError, Client, Effect, Response, Target, vendor_text};
use primitives::{Asset, CallError, CallResult, Clock};

use crate::{Quotation, RateSource};
pub use config::Config;

const NAME: &str = "binance";

#[derive(Debug)]
pub struct Binance {
    http: Client,
    base: BaseUrl,
    clock: Arc<dyn Clock>,
}

impl Binance {
    /// # Errors
    /// `BuildError` when a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let http = Client::try_new(NAME, &config.http, Arc::clone(&clock))?;
        Ok(Self { http, base: config.base_url.clone(), clock })
    }
}

#[async_trait]
impl RateSource for Binance {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn quotations(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        let listed: Vec<(Asset, String)> =
            bases.iter().filter_map(|base| Some((*base, map::symbol(*base)?))).collect();
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let symbols: Vec<String> = listed.iter().map(|(_, symbol)| symbol.clone()).collect();
        let at = self.clock.now();
        let target = Target::new(&self.base, "/api/v3/ticker/bookTicker")
            .query(map::symbols_query(&symbols));
        let response = self.http.get(target).await?;
        if !response.is_success() {
            return Err(refusal(&response));
        }
        let tickers: Vec<wire::BookTicker> = response.json(Effect::None)?;
        let of = |(base, symbol): &(Asset, String)| {
            let ticker = tickers.iter().find(|ticker| ticker.symbol == *symbol)?;
            map::quotation(ticker, *base, at)
        };
        Ok(listed.iter().filter_map(of).collect())
    }
}

fn refusal(response: &Response) -> CallError {
    match response.json::<wire::Failure>(Effect::None) {
        Ok(failure) if matches!(response.status, 401 | 403) => {
            let why = format!("{} {}", failure.code, vendor_text(&failure.msg));
            crate::access_refused(NAME, &why)
        }
        Ok(failure) => CallError::Rejected {
            code: failure.code.to_string(),
            reason: vendor_text(&failure.msg),
        },
        Err(error) => error,
    }
}
