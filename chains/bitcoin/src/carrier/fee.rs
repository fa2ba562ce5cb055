//! What a transaction has to pay today.
//!
//! Invariants: whole satoshi per 1000 virtual bytes, rounded up where money is; never below what
//! the nodes of the network pass on, never above the configured limit; on mainnet no advice is no
//! rate.

use bitcoin::transaction::{InputWeightPrediction, predict_weight};
use chains::ReadError;
use primitives::{Amount, Asset};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    config::BitcoinNetwork,
    node::{Node, garbage},
};

/// In how many blocks it should be: nobody waits at a counter for it.
const BLOCKS: u32 = 6;
/// Our node may be more generous than those between it and a miner.
const LEAST: u64 = 1_000;
/// Times the floor, where coins are worth nothing and nobody advises.
const WITHOUT_ADVICE: u64 = 2;
/// Virtual bytes of one input, at the most: 41 bytes and a quarter of 108.
const INPUT_VSIZE: u64 = 68;

/// Satoshi per 1000 virtual bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    /// What the node advises.
    pub(super) advice: u64,
    /// Below this nobody passes it on.
    pub(super) floor: u64,
    /// What a replacement pays for its own way.
    pub(super) step: u64,
    pub(super) cap: u64,
}

impl Rates {
    /// The rate of a new transaction; a sentence when the network asks for more than we give.
    pub(super) fn today(&self) -> Result<u64, String> {
        if self.floor > self.cap {
            let (floor, cap) = (self.floor, self.cap);
            return Err(format!("the network asks for {floor} sat/kvB, the limit is {cap}"));
        }
        Ok(self.advice.max(self.floor).min(self.cap))
    }
}

/// The fee at a rate.
pub(super) fn at(rate: u64, vsize: u64) -> u64 {
    rate.saturating_mul(vsize).div_ceil(1_000)
}

/// What one more input costs.
pub(super) fn of_input(rate: u64) -> u64 {
    at(rate, INPUT_VSIZE)
}

/// The most virtual bytes such a transaction has once it is signed.
pub(super) fn vsize(inputs: usize, scripts: &[usize]) -> u64 {
    let inputs = std::iter::repeat_n(InputWeightPrediction::P2WPKH_MAX, inputs);
    predict_weight(inputs, scripts.iter().copied()).to_vbytes_ceil()
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
struct Pool {
    loaded: bool,
    mempoolminfee: Box<RawValue>,
    minrelaytxfee: Box<RawValue>,
    incrementalrelayfee: Box<RawValue>,
}

#[derive(Deserialize)]
struct Advice {
    feerate: Option<Box<RawValue>>,
}

pub(super) async fn read(node: &Node, cap: u64, chain: BitcoinNetwork) -> Result<Rates, ReadError> {
    let pool: Pool = node.call("getmempoolinfo", Vec::new()).await?;
    if !pool.loaded {
        // Nobody can say yet what waits, nor what it pays.
        return Err(ReadError::Unavailable("the node still reads its mempool".to_owned()));
    }
    let least = |raw| Ok::<u64, ReadError>(coins(raw)?.max(LEAST));
    let floor = least(&pool.mempoolminfee)?.max(least(&pool.minrelaytxfee)?);
    let step = least(&pool.incrementalrelayfee)?;
    let asked = vec![json!(BLOCKS), json!("conservative")];
    let advice: Advice = node.call("estimatesmartfee", asked).await?;
    let advice = match advice.feerate {
        Some(rate) => coins(&rate)?,
        None if chain == BitcoinNetwork::Mainnet => {
            let why = "the node has seen too few blocks to advise a fee";
            return Err(ReadError::Unavailable(why.to_owned()));
        }
        None => floor.saturating_mul(WITHOUT_ADVICE),
    };
    Ok(Rates { advice, floor, step, cap })
}

/// Decimal coins as a node writes them, in satoshi.
pub(super) fn coins(raw: &RawValue) -> Result<u64, ReadError> {
    let amount = Amount::parse_units(raw.get(), Asset::Btc).ok();
    let sats = amount.and_then(|amount| u64::try_from(amount.minor()).ok());
    sats.ok_or_else(|| garbage("an amount that is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(advice: u64, floor: u64, cap: u64) -> Rates {
        Rates { advice, floor, step: 1_000, cap }
    }

    #[test]
    fn the_rate_is_between_the_floor_and_the_limit() {
        assert_eq!(rates(5_000, 1_000, 300_000).today(), Ok(5_000));
        assert_eq!(rates(500, 1_000, 300_000).today(), Ok(1_000));
        assert_eq!(rates(900_000, 1_000, 300_000).today(), Ok(300_000));
        assert!(rates(5_000, 300_001, 300_000).today().is_err());
    }

    // 10.5 bytes of overhead, 68 per input (a signature of 72 bytes), 31 per output of this kind.
    #[test]
    fn sizes_are_those_everybody_computes() {
        assert_eq!(vsize(1, &[22]), 110);
        assert_eq!(vsize(2, &[22, 22]), 209);
        for inputs in 1..252 {
            assert!(vsize(inputs + 1, &[22]) <= vsize(inputs, &[22]) + INPUT_VSIZE);
        }
    }

    #[test]
    fn a_fraction_of_a_satoshi_is_a_satoshi() {
        assert_eq!((at(1_000, 110), at(1_001, 110), at(1, 1)), (110, 111, 1));
        assert_eq!(at(u64::MAX, u64::MAX), u64::MAX.div_ceil(1_000));
    }

    #[test]
    fn what_is_no_amount_is_no_rate() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(coins(&raw("0.00001000")), Ok(1_000));
        for text in ["-0.00001000", "\"1\"", "null", "1e400", "[]", "0.000000001"] {
            assert!(coins(&raw(text)).is_err(), "{text}");
        }
    }
}
