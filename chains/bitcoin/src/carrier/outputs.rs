//! Which outputs of ours are unspent, in blocks and old enough.
//!
//! Invariants: an output counts only when it pays the place it was asked for; a node that has no
//! answer for one of them has no answer at all. Both ways of asking are bounded: by the outputs
//! that are named, or by the size of an answer.

use std::collections::HashMap;

use bitcoin::{OutPoint, ScriptBuf, Txid};
use chains::{ReadError, carrier::Movable};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Place, btc, fee};
use crate::node::{Fault, Node, garbage};

/// Questions of one request.
const BATCH: usize = 100;
/// Blocks on top of a miner's reward before it may be spent. Wallets wait for one more than nodes.
const MATURITY: u64 = 100;

/// An output of ours that somebody saw come in.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) at: OutPoint,
    pub(super) place: Place,
}

/// An unspent output as `gettxout` shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Unspent {
    confirmations: u64,
    value: Box<RawValue>,
    #[serde(rename = "scriptPubKey")]
    script: Locked,
    coinbase: bool,
}

#[derive(Debug, Deserialize)]
struct Locked {
    hex: ScriptBuf,
}

impl Unspent {
    pub(super) const fn is_mature(&self) -> bool {
        self.confirmations > 0 && (!self.coinbase || self.confirmations > MATURITY)
    }
}

/// `None` for one that is spent, or was never in a block of this node.
pub(super) async fn ask(node: &Node, at: &[OutPoint]) -> Result<Vec<Option<Unspent>>, ReadError> {
    let mut all = Vec::new();
    for some in at.chunks(BATCH) {
        let asked = some.iter().map(|at| json!([at.txid, at.vout, false])).collect();
        for answer in node.batch::<Option<Unspent>>("gettxout", asked).await? {
            all.push(answer.ok_or_else(|| garbage("an error in place of an output"))?);
        }
    }
    Ok(all)
}

/// Those of the known outputs that can be moved.
pub(super) async fn at(node: &Node, known: &[Known]) -> Result<Vec<Movable>, ReadError> {
    let at: Vec<OutPoint> = known.iter().map(|known| known.at).collect();
    let mut movable = Vec::new();
    for (known, found) in known.iter().zip(ask(node, &at).await?) {
        let Some(found) = found.filter(Unspent::is_mature) else { continue };
        if found.script.hex != known.place.script {
            return Err(garbage("an output that pays somebody else"));
        }
        movable.extend(movable_of(&known.place, known.at, &found.value)?);
    }
    Ok(sorted(movable))
}

/// What `scantxoutset` answers, as far as we read it.
#[derive(Deserialize)]
struct Scanned {
    success: bool,
    height: u64,
    unspents: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    txid: Txid,
    vout: u32,
    #[serde(rename = "scriptPubKey")]
    script: ScriptBuf,
    amount: Box<RawValue>,
    coinbase: bool,
    height: u64,
}

/// All unspent outputs of the places, by walking through all there are.
pub(super) async fn walk(node: &Node, places: &[Place]) -> Result<Vec<Movable>, ReadError> {
    let addr = |place: &Place| json!(format!("addr({})", place.source.address));
    let asked = vec![json!("start"), Value::Array(places.iter().map(addr).collect())];
    let scanned: Scanned = match node.call_patiently("scantxoutset", asked).await {
        Ok(scanned) => scanned,
        // Its only "invalid parameter" here: another scan is running.
        Err(Fault::NotFound) => {
            let why = "the node is walking through its outputs already";
            return Err(ReadError::Unavailable(why.to_owned()));
        }
        Err(fault) => return Err(fault.into()),
    };
    if !scanned.success {
        return Err(ReadError::Unavailable("the node gave up adding up".to_owned()));
    }
    let by_script: HashMap<&ScriptBuf, &Place> =
        places.iter().map(|place| (&place.script, place)).collect();
    let mut movable = Vec::new();
    for found in &scanned.unspents {
        let place = by_script.get(&found.script);
        let place = place.ok_or_else(|| garbage("an output that pays somebody else"))?;
        let depth = scanned.height.checked_sub(found.height);
        let depth = depth.ok_or_else(|| garbage("an output above its tip"))?;
        if !found.coinbase || depth >= MATURITY {
            let at = OutPoint { txid: found.txid, vout: found.vout };
            movable.extend(movable_of(place, at, &found.amount)?);
        }
    }
    Ok(sorted(movable))
}

/// Nothing for one that holds nothing.
fn movable_of(place: &Place, at: OutPoint, raw: &RawValue) -> Result<Option<Movable>, ReadError> {
    let amount = btc(fee::coins(raw)?)?;
    let (source, outpoint) = (place.source.clone(), Some(at.to_string()));
    Ok(amount.is_positive().then_some(Movable { source, amount, outpoint }))
}

fn sorted(mut movable: Vec<Movable>) -> Vec<Movable> {
    movable.sort_by(|a, b| a.outpoint.cmp(&b.outpoint));
    movable
}
