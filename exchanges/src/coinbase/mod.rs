//! Coinbase as a source of rupee rates: what one coin is worth, without bid and ask.
//!
//! Invariant: public data only; nothing is signed, so there is no `sign` here. One currency that
//! fails does not take the others with it; when all fail, the failure is the answer.

mod config;
mod map;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use outbound::{BaseUrl, BuildError, Client, Effect, Response, Target, vendor_text};
use primitives::{Asset, CallError, CallResult, Clock};

use crate::{Quotation, RateSource};
pub use config::Config;

const NAME: &str = "coinbase";

#[derive(Debug)]
pub struct Coinbase {
    http: Client,
    base: BaseUrl,
    clock: Arc<dyn Clock>,
}

impl Coinbase {
    /// # Errors
    /// `BuildError` when a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let http = Client::try_new(NAME, &config.http, Arc::clone(&clock))?;
        Ok(Self { http, base: config.base_url.clone(), clock })
    }

    async fn quotation(&self, base: Asset) -> CallResult<Option<Quotation>> {
        let asked_at = self.clock.now();
        let target = Target::new(&self.base, "/v2/exchange-rates")
            .query(format!("currency={}", base.code()));
        let response = self.http.get(target).await?;
        if !response.is_success() {
            return Err(refusal(&response));
        }
        let at = map::spoken_at(asked_at, response.header("age"))
            .ok_or_else(|| Effect::None.failed("coinbase: age of the answer is unreadable"))?;
        let rates: wire::ExchangeRates = response.json(Effect::None)?;
        Ok(map::quotation(&rates.data, base, at))
    }
}

#[async_trait]
impl RateSource for Coinbase {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn quotations(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        let crypto = bases.iter().filter(|base| base.is_crypto());
        let answers = join_all(crypto.map(|base| self.quotation(*base))).await;
        let mut quotations = Vec::new();
        let mut failure = None;
        for answer in answers {
            match answer {
                Ok(quotation) => quotations.extend(quotation),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if quotations.is_empty() => Err(error),
            _ => Ok(quotations),
        }
    }
}

fn refusal(response: &Response) -> CallError {
    match response.json::<wire::Failure>(Effect::None) {
        Ok(wire::Failure { errors }) => match errors.first() {
            Some(first) => CallError::Rejected {
                code: vendor_text(&first.id),
                reason: vendor_text(&first.message),
            },
            None => Effect::None.failed("coinbase: refused without a reason"),
        },
        Err(error) => error,
    }
}
