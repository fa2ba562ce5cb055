//! Coinbase as a source of rates, in two voices: what one coin is worth in rupees, without bid,
//! ask or time (data API v2), and its dollar books, with all three (Advanced Trade).
//!
//! Invariants: dollars are not USDT. A dollar price becomes one in USDT only over this source's
//! own USDT-USD book, sold into at its ask and out of at its bid, and is as old as the older of
//! the two. Public data only, so there is no `sign` here. One call that fails does not take the
//! others with it; when all fail, the failure is the answer.

mod config;
mod map;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::{join, join_all};
use outbound::{BaseUrl, BuildError, Client, Effect, Response, Target, vendor_text};
use primitives::{Asset, CallError, CallResult, Clock};

use crate::{Quotation, RateSource};
pub use config::Config;

const NAME: &str = "coinbase";

#[derive(Debug)]
pub struct Coinbase {
    http: Client,
    base: BaseUrl,
    usd_books: bool,
    clock: Arc<dyn Clock>,
}

impl Coinbase {
    /// # Errors
    /// `BuildError` when a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let http = Client::try_new(NAME, &config.http, Arc::clone(&clock))?;
        Ok(Self { http, base: config.base_url.clone(), usd_books: config.usd_books, clock })
    }

    async fn in_rupees(&self, base: Asset) -> CallResult<Option<Quotation>> {
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

    async fn dollars(&self, base: Asset) -> CallResult<Option<map::Dollars>> {
        let product = map::product(base);
        let target = Target::new(&self.base, "/api/v3/brokerage/market/product_book")
            .query(format!("product_id={product}&limit=1"));
        let response = self.http.get(target).await?;
        if !response.is_success() {
            return Err(refusal(&response));
        }
        let book: wire::ProductBook = response.json(Effect::None)?;
        Ok(map::dollars(&book.pricebook, &product))
    }

    /// The dollar books of the given coins, told in USDT.
    async fn in_usdt(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        let listed: Vec<Asset> =
            bases.iter().copied().filter(|b| map::has_dollar_book(*b)).collect();
        if listed.is_empty() || !self.usd_books {
            return Ok(Vec::new());
        }
        let coins = join_all(listed.iter().map(|base| self.dollars(*base)));
        let (bridge, coins) = join(self.dollars(Asset::Usdt), coins).await;
        let Some(bridge) = bridge? else {
            return Ok(Vec::new());
        };
        let mut told = Told::default();
        for (base, coin) in listed.into_iter().zip(coins) {
            told.take(coin.map(|coin| map::over_bridge(base, &coin?, &bridge)));
        }
        told.end()
    }
}

/// What came of several calls.
#[derive(Default)]
struct Told {
    quotations: Vec<Quotation>,
    failure: Option<CallError>,
}

impl Told {
    fn take(&mut self, answer: CallResult<impl IntoIterator<Item = Quotation>>) {
        match answer {
            Ok(quotations) => self.quotations.extend(quotations),
            Err(error) => self.failure = Some(error),
        }
    }

    fn end(self) -> CallResult<Vec<Quotation>> {
        match self.failure {
            Some(error) if self.quotations.is_empty() => Err(error),
            _ => Ok(self.quotations),
        }
    }
}

#[async_trait]
impl RateSource for Coinbase {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn quotations(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        let crypto = bases.iter().filter(|base| base.is_crypto());
        let in_rupees = join_all(crypto.map(|base| self.in_rupees(*base)));
        let (in_rupees, in_usdt) = join(in_rupees, self.in_usdt(bases)).await;
        let mut told = Told::default();
        for answer in in_rupees {
            told.take(answer);
        }
        told.take(in_usdt);
        told.end()
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
