//! The prices of the simulated world: one value per asset, the venues a few basis points apart.
//!
//! Invariant: the same seed, pins and time give the same price. What a source *shows* can be made
//! to lie ([`Mode`]); what its engine trades at is always the truth. The shape of an order book
//! is deliberately elsewhere: `venue/ladder.rs`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Assets with their value in hundredths of a rupee when nothing is pinned.
const VALUES: [(&str, u32); 7] = [
    ("BTC", 920_000_000),
    ("ETH", 27_000_000),
    ("SOL", 1_450_000),
    ("USDT", 8_850),
    ("USDC", 8_840),
    ("USD", 8_840),
    ("INR", 100),
];
const SOURCES: [&str; 4] = ["wazirx", "binance", "coinbase", "coingecko"];
const DRIFT_STEP_SECONDS: i64 = 10;

/// How a source's public data misleads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Normal,
    /// The price of the moment it was set, with timestamps `value` seconds older (3600).
    Stale,
    /// The price of the moment it was set, with fresh timestamps.
    Frozen,
    /// One divided by the price.
    Inverted,
    /// The best bid above the best ask.
    Crossed,
    /// Multiplied by ten to the power of `value`.
    Scaled,
    /// The pair is not there.
    Missing,
    /// JSON numbers where strings belong (Coinbase only).
    Numbers,
}

/// What a source shows for a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    pub mid: Decimal,
    /// The source's own timestamp.
    pub at: DateTime<Utc>,
    pub crossed: bool,
    pub as_number: bool,
}

/// A mode as posted to the control server; `pair` absent means every pair of the source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    pub source: String,
    pub mode: Mode,
    #[serde(default)]
    pub pair: Option<String>,
    /// Seconds for `stale`, the power of ten for `scaled`.
    #[serde(default)]
    pub value: Option<i32>,
}

#[derive(Debug, Clone)]
struct Lie {
    mode: Mode,
    value: i32,
    since: DateTime<Utc>,
    /// The pins at the moment it was set, so that a frozen price stays frozen.
    pins: BTreeMap<String, Decimal>,
}

#[derive(Debug, Default)]
struct State {
    pins: BTreeMap<String, Decimal>,
    lies: BTreeMap<(String, String), Lie>,
    liquidity: BTreeMap<(String, String), Decimal>,
}

/// All prices and what is known to be wrong with them.
#[derive(Debug)]
pub struct Prices {
    seed: u64,
    state: Mutex<State>,
}

impl Prices {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::default() }
    }

    /// Fixes the mid price of a pair such as `BTCINR`, exactly, at every venue. Pinning an asset
    /// in rupees also moves its other pairs.
    ///
    /// # Errors
    /// When the pair is unknown or the price is not between 10^-8 and 10^12.
    pub fn pin(&self, pair: &str, price: Decimal) -> anyhow::Result<()> {
        Self::check(pair, Some(price))?;
        self.lock().pins.insert(pair.to_owned(), price.normalize());
        Ok(())
    }

    /// Whether the pair exists and the price, if any, could be pinned.
    ///
    /// # Errors
    /// As [`Prices::pin`].
    pub fn check(pair: &str, price: Option<Decimal>) -> anyhow::Result<()> {
        split(pair).context("unknown pair")?;
        let range = Decimal::new(1, 8)..=Decimal::new(1_000_000_000_000, 0);
        ensure!(price.is_none_or(|price| range.contains(&price)), "price out of range");
        Ok(())
    }

    /// Lets the pair follow the built-in table again.
    pub fn unpin(&self, pair: &str) {
        self.lock().pins.remove(pair);
    }

    #[must_use]
    pub fn pins(&self) -> BTreeMap<String, Decimal> {
        self.lock().pins.clone()
    }

    /// The true mid price at a venue: what its engine trades around.
    #[must_use]
    pub fn mid(&self, source: &str, pair: &str, now: DateTime<Utc>) -> Option<Decimal> {
        let state = self.lock();
        self.mid_with(&state.pins, source, pair, now)
    }

    /// What a source shows; `None` when the pair is unknown or missing.
    #[must_use]
    pub fn shown(&self, source: &str, pair: &str, now: DateTime<Utc>) -> Option<Quote> {
        let state = self.lock();
        let any = (source.to_owned(), "*".to_owned());
        let own = (source.to_owned(), pair.to_owned());
        let lie = state.lies.get(&own).or_else(|| state.lies.get(&any));
        let truth = self.mid_with(&state.pins, source, pair, now)?;
        let mut quote = Quote { mid: truth, at: now, crossed: false, as_number: false };
        let Some(lie) = lie else { return Some(quote) };
        match lie.mode {
            Mode::Normal => {}
            Mode::Stale => {
                quote.mid = self.mid_with(&lie.pins, source, pair, lie.since)?;
                quote.at = lie.since - TimeDelta::seconds(i64::from(lie.value));
            }
            Mode::Frozen => quote.mid = self.mid_with(&lie.pins, source, pair, lie.since)?,
            Mode::Inverted => quote.mid = Decimal::ONE.checked_div(truth)?.round_dp(18),
            Mode::Crossed => quote.crossed = true,
            Mode::Scaled => quote.mid = scaled(truth, lie.value)?,
            Mode::Missing => return None,
            Mode::Numbers => quote.as_number = true,
        }
        Some(quote)
    }

    /// # Errors
    /// When source or pair is unknown or the value is out of range.
    pub fn set_mode(&self, request: &ModeRequest, now: DateTime<Utc>) -> anyhow::Result<()> {
        ensure!(SOURCES.contains(&request.source.as_str()), "unknown source");
        let pair = request.pair.clone().unwrap_or_else(|| "*".to_owned());
        ensure!(pair == "*" || split(&pair).is_some(), "unknown pair");
        let value = request.value.unwrap_or(if request.mode == Mode::Stale { 3600 } else { 1 });
        let most = if request.mode == Mode::Stale { 31_536_000 } else { 9 };
        ensure!((-9..=most).contains(&value), "value out of range");
        let mut state = self.lock();
        let key = (request.source.clone(), pair);
        if request.mode == Mode::Normal {
            if key.1 == "*" {
                state.lies.retain(|(source, _), _| *source != request.source);
            } else {
                state.lies.remove(&key);
            }
        } else {
            let pins = state.pins.clone();
            state.lies.insert(key, Lie { mode: request.mode, value, since: now, pins });
        }
        Ok(())
    }

    /// How much of its usual depth a venue's book has: 1 unless told.
    #[must_use]
    pub fn liquidity(&self, source: &str, pair: &str) -> Decimal {
        let key = (source.to_owned(), pair.to_owned());
        self.lock().liquidity.get(&key).copied().unwrap_or(Decimal::ONE)
    }

    /// # Errors
    /// When source or pair is unknown or the scale is not between 0 and 1000.
    pub fn set_liquidity(&self, source: &str, pair: &str, scale: Decimal) -> anyhow::Result<()> {
        ensure!(SOURCES.contains(&source), "unknown source");
        split(pair).context("unknown pair")?;
        ensure!(!scale.is_sign_negative() && scale <= Decimal::new(1000, 0), "scale out of range");
        self.lock().liquidity.insert((source.to_owned(), pair.to_owned()), scale);
        Ok(())
    }

    fn mid_with(
        &self,
        pins: &BTreeMap<String, Decimal>,
        source: &str,
        pair: &str,
        now: DateTime<Utc>,
    ) -> Option<Decimal> {
        let (base, quote) = split(pair)?;
        if let Some(pinned) = pins.get(pair) {
            return Some(*pinned);
        }
        let (base_value, base_pinned) = self.value(pins, base, now)?;
        let (quote_value, _) = self.value(pins, quote, now)?;
        let mid = base_value.checked_div(quote_value)?;
        let bps = if base_pinned { 0 } else { self.jitter(&["offset", source, base], 4) };
        Some((mid * factor(bps)).round_dp(12).normalize())
    }

    /// Rupees for one unit, and whether that was pinned.
    fn value(
        &self,
        pins: &BTreeMap<String, Decimal>,
        asset: &str,
        now: DateTime<Utc>,
    ) -> Option<(Decimal, bool)> {
        if let Some(pinned) = pins.get(&format!("{asset}INR")) {
            return Some((*pinned, true));
        }
        let (_, paise) = VALUES.iter().find(|(name, _)| *name == asset)?;
        let value = Decimal::new(i64::from(*paise), 2);
        if asset == "INR" || asset == "USD" {
            return Some((value, false));
        }
        let step = now.timestamp().div_euclid(DRIFT_STEP_SECONDS).to_string();
        Some((value * factor(self.jitter(&["drift", asset, &step], 2)), false))
    }

    /// A whole number in `-most..=most` that depends on the seed and the labels alone.
    fn jitter(&self, labels: &[&str], most: u64) -> i64 {
        let span = most.saturating_mul(2).saturating_add(1);
        let drawn = draw(self.seed, labels).checked_rem(span).unwrap_or(0);
        i64::try_from(drawn).unwrap_or(0) - i64::try_from(most).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that depends on the seed and the labels alone.
#[must_use]
pub fn draw(seed: u64, labels: &[&str]) -> u64 {
    let digest = Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update(labels.join("\u{1f}"))
        .finalize();
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// `BTCINR` → (`BTC`, `INR`), for assets the world has.
#[must_use]
pub fn split(pair: &str) -> Option<(&'static str, &'static str)> {
    let asset = |name: &str| VALUES.iter().map(|(known, _)| *known).find(|known| *known == name);
    VALUES.iter().find_map(|(base, _)| {
        let rest = pair.strip_prefix(base)?;
        asset(rest).filter(|quote| quote != base).map(|quote| (*base, quote))
    })
}

fn factor(bps: i64) -> Decimal {
    Decimal::new(10_000 + bps, 4)
}

fn scaled(price: Decimal, power: i32) -> Option<Decimal> {
    let ten = Decimal::new(10, 0);
    let times = ten.checked_powu_plain(power.unsigned_abs())?;
    if power < 0 { price.checked_div(times) } else { price.checked_mul(times) }
}

trait PlainPower: Sized {
    fn checked_powu_plain(self, power: u32) -> Option<Self>;
}

impl PlainPower for Decimal {
    // The crate's own power functions sit behind a feature that this workspace leaves out.
    fn checked_powu_plain(self, power: u32) -> Option<Self> {
        (0..power).try_fold(Self::ONE, |product, _| product.checked_mul(self))
    }
}
