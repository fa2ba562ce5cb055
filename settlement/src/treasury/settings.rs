//! The treasury's numbers, all of them under `[settlement.treasury]`.
//!
//! Invariant: what is not named is not done. A network without a table is not swept, a venue
//! without one gets nothing, and no pair of venues exchanges anything that is not a lane.

use std::collections::BTreeMap;

use primitives::{Amount, Asset, Bps, NetworkId};
use serde::{Deserialize, Deserializer, de::Error as _};

/// So many places of a unit venues keep in their balances.
const VENUE_PLACES: u32 = 8;

/// The smallest part of an asset that a venue's balance shows; what is finer is cut off.
fn venue_unit(asset: Asset) -> i128 {
    10_i128.saturating_pow(asset.scale().saturating_sub(VENUE_PLACES))
}

/// Amounts by asset, written in units: `{ BTC = "0.5" }`.
pub type Amounts = BTreeMap<Asset, Amount>;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TreasurySettings {
    pub networks: BTreeMap<NetworkId, NetworkTreasury>,
    pub venues: BTreeMap<String, VenueTreasury>,
    /// Between which venues an asset is carried when one has too much and the other too little.
    pub lanes: Vec<Lane>,
    /// A sweep is worth at least so many paise.
    pub sweep_min_paise: i64,
    /// And its fee is at most this share of it.
    pub sweep_fee_bps_max: Bps,
    /// So many paise of fees in any 24 hours, by what they were worth when they were decided.
    pub fee_budget_paise: i64,
    /// A lane without a limit of its own carries so many paise in any 24 hours, and a quarter of
    /// it in an hour.
    pub lane_day_paise: i64,
    /// A rate older than this (seconds) values nothing.
    pub rate_max_age_s: i64,
    /// Seconds between two looks at what can be swept.
    pub sweep_every_s: i64,
    /// Outputs in one transaction, and transactions in one look.
    pub batch_max: usize,
    /// A transaction that is in no block after so many seconds is sent again with a higher fee.
    pub bump_after_s: i64,
    pub bumps_max: i32,
    /// A bump's fee is at most this share of what is moved.
    pub bump_fee_bps_max: Bps,
    /// The same transaction is handed to the nodes again after so many seconds without a trace.
    pub resend_after_s: i64,
    /// A signer that is over its limit, or a venue that refused, is asked again after this.
    pub retry_after_s: i64,
    /// How many hours of sales venues are to hold.
    pub forecast_hours: i64,
    /// Two looks at a balance that shows a credit lie at least this far apart (seconds).
    pub credit_gap_s: i64,
    /// What is on its way longer than this (seconds) is shown to a person.
    pub transit_old_s: i64,
    /// An address gets one top-up in so many seconds, unless a move went out of it since.
    pub top_up_pause_s: i64,
    /// Transactions of one gas station that may stand behind each other.
    pub top_ups_at_once: usize,
}

/// How one network's coins are moved.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkTreasury {
    /// What is swept.
    pub sweep: Vec<Asset>,
    /// What always stays on our addresses.
    #[serde(deserialize_with = "amounts")]
    pub reserve: Amounts,
    /// Below this a person is called: of the gas station where there is one, else of the fees'
    /// coin on our addresses.
    #[serde(deserialize_with = "amounts")]
    pub gas_min: Amounts,
    /// The one wallet everything comes to, where a network has one (Solana).
    pub wallet: Option<String>,
    /// What goes to cold storage; an asset that is not named never does.
    #[serde(deserialize_with = "cold")]
    pub cold: BTreeMap<Asset, Cold>,
}

/// What of an asset goes to cold storage, once no venue is short of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cold {
    /// On the signer's own list as well, or it signs nothing.
    pub address: String,
    /// What stays on our addresses, beside the reserve and what is owed.
    pub keep: Amount,
    /// Less than this is not worth a move.
    pub least: Amount,
    /// At most so much in any 24 hours.
    pub per_day: Amount,
}

/// What one venue is to hold. How much may lie there at all stands in `[settlement.venues]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VenueTreasury {
    /// An asset without a target is not brought here.
    #[serde(deserialize_with = "amounts")]
    pub targets: Amounts,
    /// False where its API lists no deposits: a credit is seen in the balance alone.
    pub lists_deposits: bool,
    /// The smallest part of an asset it credits, where that is more than eight places of a unit.
    /// What goes there is cut to it.
    #[serde(deserialize_with = "amounts")]
    pub credit_step: Amounts,
}

impl Default for VenueTreasury {
    fn default() -> Self {
        let (targets, credit_step) = (Amounts::new(), Amounts::new());
        Self { targets, lists_deposits: true, credit_step }
    }
}

/// One way from venue to venue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    pub asset: Asset,
    pub from: String,
    pub to: String,
    pub network: NetworkId,
    /// What stays at `from`, in units.
    pub keep: String,
    /// Less than this is not worth the venue's fee, in units.
    pub least: String,
    /// At most so much in any 24 hours and in any hour, in units.
    #[serde(default)]
    pub per_day: Option<String>,
    #[serde(default)]
    pub per_hour: Option<String>,
    /// Where `to` takes it, as the network writes it: then no other address is used, whoever
    /// confirms it. Without it a person confirms what the venue names.
    #[serde(default)]
    pub to_address: Option<String>,
}

impl Lane {
    pub(super) fn amount(&self, units: &str) -> Result<Amount, crate::Error> {
        let lane = || format!("lane {} > {} of {}: {units:?}", self.from, self.to, self.asset);
        Amount::parse_units(units, self.asset).map_err(|_| crate::Error::Inconsistent(lane()))
    }
}

impl Default for TreasurySettings {
    fn default() -> Self {
        let bps = |number| Bps::new(number).unwrap_or(Bps::ZERO);
        Self {
            networks: BTreeMap::new(),
            venues: BTreeMap::new(),
            lanes: Vec::new(),
            sweep_min_paise: 100_000,
            sweep_fee_bps_max: bps(200),
            fee_budget_paise: 5_000_000,
            lane_day_paise: 1_000_000_000,
            rate_max_age_s: 3_600,
            sweep_every_s: 30,
            batch_max: 50,
            bump_after_s: 600,
            bumps_max: 5,
            bump_fee_bps_max: bps(500),
            resend_after_s: 30,
            retry_after_s: 300,
            forecast_hours: 4,
            credit_gap_s: 30,
            transit_old_s: 21_600,
            top_up_pause_s: 21_600,
            top_ups_at_once: 8,
        }
    }
}

impl TreasurySettings {
    /// What is swept, by network.
    pub fn sweeps(&self) -> impl Iterator<Item = (&NetworkId, Asset)> {
        self.networks.iter().flat_map(|(id, n)| n.sweep.iter().map(move |asset| (id, *asset)))
    }

    /// The smallest part of an asset that a venue credits, in minor units: where nothing is said,
    /// the places its balances have.
    #[must_use]
    pub fn credit_step(&self, venue: &str, asset: Asset) -> i128 {
        let step = self.venues.get(venue).and_then(|v| v.credit_step.get(&asset));
        step.map_or_else(|| venue_unit(asset), |step| step.minor().max(1))
    }

    /// To what amounts are cut that go to a venue. One that tells its deposits says itself what it
    /// cut off.
    #[must_use]
    pub fn cut_step(&self, venue: &str, asset: Asset) -> i128 {
        let is_said = self.venues.get(venue).is_some_and(|v| v.credit_step.contains_key(&asset));
        let must = is_said || !self.lists_deposits(venue);
        if must { self.credit_step(venue, asset) } else { 1 }
    }

    /// True unless a venue is known to tell no deposits.
    #[must_use]
    pub fn lists_deposits(&self, venue: &str) -> bool {
        self.venues.get(venue).is_none_or(|v| v.lists_deposits)
    }

    /// Where an asset's cold storage is, and how much goes there.
    #[must_use]
    pub fn cold(&self, network: &NetworkId, asset: Asset) -> Option<&Cold> {
        self.networks.get(network).and_then(|n| n.cold.get(&asset))
    }

    pub(super) fn reserve(&self, network: &NetworkId, asset: Asset) -> Amount {
        let network = self.networks.get(network);
        let reserve = network.and_then(|n| n.reserve.get(&asset));
        reserve.copied().unwrap_or(Amount::zero(asset))
    }
}

/// Amounts in units by asset, whatever the case of their names: environment variables arrive in
/// lower case.
fn amounts<'de, D: Deserializer<'de>>(from: D) -> Result<Amounts, D::Error> {
    let named = BTreeMap::<String, String>::deserialize(from)?;
    let amount = |(name, units): (String, String)| {
        let asset: Asset = name.to_ascii_uppercase().parse().map_err(D::Error::custom)?;
        Ok((asset, amount_of(&units, asset).map_err(D::Error::custom)?))
    };
    named.into_iter().map(amount).collect()
}

fn amount_of(units: &str, asset: Asset) -> Result<Amount, String> {
    let amount = Amount::parse_units(units, asset).map_err(|error| error.to_string())?;
    let fits = asset.is_crypto() && amount.minor() >= 0;
    fits.then_some(amount).ok_or("an amount of a crypto asset, from 0 on, in units".to_owned())
}

/// As it is written, in units.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColdUnits {
    address: String,
    keep: String,
    #[serde(default)]
    least: Option<String>,
    per_day: String,
}

fn cold<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Asset, Cold>, D::Error> {
    let named = BTreeMap::<String, ColdUnits>::deserialize(from)?;
    let read = |(name, units): (String, ColdUnits)| -> Result<(Asset, Cold), String> {
        let asset: Asset = name.to_ascii_uppercase().parse().map_err(|_| "no asset".to_owned())?;
        let address = units.address.trim().to_owned();
        if address.is_empty() || address.len() > 128 {
            return Err("cold storage without an address".to_owned());
        }
        let cold = Cold {
            address,
            keep: amount_of(&units.keep, asset)?,
            least: amount_of(units.least.as_deref().unwrap_or("0"), asset)?,
            per_day: amount_of(&units.per_day, asset)?,
        };
        Ok((asset, cold))
    };
    named.into_iter().map(|row| read(row).map_err(D::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let read = |text: &str| serde_json::from_str::<VenueTreasury>(text);
        let good = read(r#"{ "targets": { "btc": "0.5" } }"#).unwrap();
        assert_eq!(good.targets.get(&Asset::Btc).unwrap().minor(), 50_000_000);
        for bad in [
            r#"{ "targets": { "INR": "1" } }"#,
            r#"{ "targets": { "BTC": "-1" } }"#,
            r#"{ "targets": { "BTC": "0.000000001" } }"#,
            r#"{ "targets": { "DOGE": "1" } }"#,
            r#"{ "target": {} }"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cold_storage_says_where_and_how_much() {
        let read = |text: &str| serde_json::from_str::<NetworkTreasury>(text);
        let good = r#"{ "cold": { "eth": { "address": "0xc", "keep": "1", "per_day": "2" } } }"#;
        let eth = read(good).unwrap().cold.remove(&Asset::Eth).unwrap();
        assert_eq!((eth.keep.minor(), eth.least.minor()), (10_i128.pow(18), 0));
        for bad in [
            r#"{ "cold": { "ETH": { "address": " ", "keep": "1", "per_day": "2" } } }"#,
            r#"{ "cold": { "ETH": { "address": "0xc", "keep": "1" } } }"#,
            r#"{ "cold": { "ETH": { "address": "0xc", "keep": "-1", "per_day": "2" } } }"#,
            r#"{ "cold": { "INR": { "address": "0xc", "keep": "1", "per_day": "2" } } }"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_moved_by_default() {
        let none: TreasurySettings = serde_json::from_str("{}").unwrap();
        assert_eq!(none.sweeps().count(), 0);
        assert!(none.sweep_fee_bps_max > Bps::ZERO && none.lanes.is_empty());
        assert!(none.networks.is_empty(), "and nothing goes to cold storage");
    }
}
