//! Coinbase as a source of rates, in two voices: what one coin is worth in rupees, without bid,
//! ask or time (data API v2), and its dollar books, with all three (Advanced Trade).
//!
//! Invariants: dollars are not USDT. A dollar price becomes one in USDT only over this source's
//! own USDT-USD book, sold into at its ask and out of at its bid, and is as old as the older of
//! the two. One call that fails does not take the others with it; when all fail, the failure is
//! the answer.

use async_trait::async_trait;
use futures::future::{join, join_all};
use outbound::Effect;
use primitives::{Asset, CallError, CallResult};

use super::{Coinbase, NAME, call::Call, rates, read, wallet_wire, wire};
use crate::{Quotation, RateSource};

pub(super) const BOOK: &str = "/api/v3/brokerage/market/product_book";

impl Coinbase {
    async fn in_rupees(&self, base: Asset) -> CallResult<Option<Quotation>> {
        let asked_at = self.caller.now();
        let call = Call::get("/v2/exchange-rates", format!("currency={}", base.code()));
        let response = self.caller.public(&call).await?;
        let at = rates::spoken_at(asked_at, response.header("age"))
            .ok_or_else(|| Effect::None.failed("coinbase: age of the answer is unreadable"))?;
        let told: wallet_wire::One<wallet_wire::Rates> = read(&response, Effect::None)?;
        Ok(rates::quotation(&told.data, base, at))
    }

    async fn dollars(&self, base: Asset) -> CallResult<Option<rates::Dollars>> {
        let product = rates::product(base);
        let call = Call::get(BOOK, format!("product_id={product}&limit=1"));
        let response = self.caller.public(&call).await?;
        let book: wire::ProductBook = read(&response, Effect::None)?;
        Ok(rates::dollars(&book.pricebook, &product))
    }

    /// The dollar books of the given coins, told in USDT.
    async fn in_usdt(&self, bases: &[Asset]) -> CallResult<Vec<Quotation>> {
        let listed: Vec<Asset> =
            bases.iter().copied().filter(|b| rates::has_dollar_book(*b)).collect();
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
            told.take(coin.map(|coin| rates::over_bridge(base, &coin?, &bridge)));
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
