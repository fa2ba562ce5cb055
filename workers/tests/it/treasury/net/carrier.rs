//! What the network answers to who drafts, sends and bumps.
//!
//! Invariant: what `send` says and whether a transaction arrived are two things; a test sets both.

use async_trait::async_trait;
use chains::{
    Chain as _, ReadError,
    carrier::{
        Carrier, Draft, DraftError, KeyRef, Movable, SendError, SignedTx, Source, Testimony, Tips,
        Told, Unsigned, Wish,
    },
};
use primitives::{Amount, Asset, NetworkId};
use signing::Intent;

use super::{
    super::wire::{taken_by, tx_id, unhex},
    Kind, Net, Place, STATION, SendFault, Tx, down,
};

#[async_trait]
impl Carrier for Net {
    fn network(&self) -> &NetworkId {
        &self.id
    }

    fn native(&self) -> Asset {
        self.native()
    }

    fn gas_station(&self) -> Option<Source> {
        let station = Source { address: STATION.to_owned(), key: KeyRef::Gas };
        (self.kind == Kind::Addresses).then_some(station)
    }

    async fn movable(&self, sources: &[Source], asset: Asset) -> Result<Vec<Movable>, ReadError> {
        let state = self.state();
        if state.is_down {
            return Err(down());
        }
        let mut found = Vec::new();
        for source in sources {
            if self.kind == Kind::Outputs {
                let spent = self.spent(&state);
                for (id, (to, amount)) in &state.outputs {
                    if *to == source.address && !spent.contains(id) {
                        let (source, outpoint) = (source.clone(), Some(id.clone()));
                        found.push(Movable { source, amount: *amount, outpoint });
                    }
                }
                continue;
            }
            let held = self.holds(&state, &source.address, asset);
            if held > 0 {
                let amount = Amount::try_new(held, asset).unwrap();
                found.push(Movable { source: source.clone(), amount, outpoint: None });
            }
        }
        Ok(found)
    }

    async fn draft(&self, wish: &Wish) -> Result<Draft, DraftError> {
        let state = self.state();
        if state.is_down {
            return Err(down().into());
        }
        let asset = wish.from[0].amount.asset();
        let all: i128 = wish.from.iter().map(|m| m.amount.minor()).sum();
        let count = i128::try_from(wish.from.len()).unwrap();
        let fee = if self.kind == Kind::Outputs { state.fee * count } else { state.fee };
        let address = &wish.from[0].source.address;
        let minor = if asset == self.native() {
            let minor = wish.amount.map_or(all - fee, Amount::minor);
            let counts = self.kind == Kind::Addresses;
            if counts && (self.holds(&state, address, asset) < all || minor + fee > all) {
                return Err(DraftError::Refused("the place holds less by now".to_owned()));
            }
            minor
        } else {
            let has = self.holds(&state, address, self.native());
            if has < fee {
                let gas = Amount::try_new(fee - has, self.native()).unwrap();
                return Err(DraftError::NeedsGas(gas));
            }
            wish.amount.map_or(all, Amount::minor)
        };
        if minor <= 0 {
            return Err(DraftError::NotWorth("the fee takes all".to_owned()));
        }
        let amount = Amount::try_new(minor, asset).unwrap();
        let nonce = self.nonce(&state, address);
        Ok(self.write((&wish.from, state.expires), (&wish.to, nonce), (amount, fee)))
    }

    async fn bump(&self, draft: &Draft) -> Result<Draft, DraftError> {
        let state = self.state();
        if state.bump_refused {
            return Err(DraftError::Refused("the old one may still come".to_owned()));
        }
        let fee = draft.fee_max.minor() * (100 + state.bump_percent) / 100;
        let more = fee - draft.fee_max.minor();
        let native = draft.amount.asset() == self.native();
        let has = self.holds(&state, &draft.from[0].source.address, self.native());
        if !native && has < fee {
            let gas = Amount::try_new(fee - has, self.native()).unwrap();
            return Err(DraftError::NeedsGas(gas));
        }
        let minor = draft.amount.minor() - if native { more } else { 0 };
        if minor <= 0 {
            return Err(DraftError::NotWorth("the fee takes all".to_owned()));
        }
        let nonce = match &draft.unsigned {
            Unsigned::Evm(transfer) => transfer.nonce,
            _ => 0,
        };
        let amount = Amount::try_new(minor, draft.amount.asset()).unwrap();
        Ok(self.write((&draft.from, state.expires), (&draft.to, nonce), (amount, fee)))
    }

    async fn send(&self, signed: &SignedTx) -> Result<(), SendError> {
        let intent: Intent = serde_json::from_slice(&unhex(&signed.raw)).unwrap();
        let mut state = self.state();
        state.handed.push(signed.tx_id.clone());
        match state.sends.pop_front() {
            Some(SendFault::Lost) => return Err(SendError::Unknown("lost".to_owned())),
            Some(SendFault::Refused) => return Err(SendError::Refused("no".to_owned())),
            fault => {
                let (from, spends) = taken_by(&intent);
                let known = state.txs.get(&signed.tx_id).map(|tx| tx.place.clone());
                if matches!(known, Some(Place::Pool | Place::Block { .. })) {
                    return Ok(());
                }
                let rivals: Vec<(Amount, Place)> = state
                    .txs
                    .values()
                    .filter(|tx| tx.spends.iter().any(|spend| spends.contains(spend)))
                    .map(|tx| (tx.fee, tx.place.clone()))
                    .collect();
                for (fee, place) in rivals {
                    let beaten = place == Place::Pool && fee.minor() >= intent.fee_max.minor();
                    if beaten || matches!(place, Place::Block { .. }) {
                        return Err(SendError::Refused("something stands there".to_owned()));
                    }
                }
                for tx in state.txs.values_mut() {
                    if tx.place == Place::Pool && tx.spends.iter().any(|s| spends.contains(s)) {
                        tx.place = Place::Out;
                    }
                }
                let tx = Tx {
                    from,
                    to: intent.to,
                    amount: intent.amount,
                    fee: intent.fee_max,
                    spends,
                    place: Place::Pool,
                };
                state.txs.insert(signed.tx_id.clone(), tx);
                match fault {
                    Some(_) => Err(SendError::Unknown("no answer".to_owned())),
                    None => Ok(()),
                }
            }
        }
    }

    fn read_signed(&self, like: &Draft, signed: &SignedTx) -> Result<Draft, String> {
        let bytes = unhex(&signed.raw);
        let intent: Intent = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if signed.tx_id != tx_id(&intent) {
            return Err("another transaction".to_owned());
        }
        let (to, amount, fee_max) = (intent.to, intent.amount, intent.fee_max);
        Ok(Draft { to, amount, fee_max, unsigned: intent.unsigned, ..like.clone() })
    }

    async fn cost(&self, tx_id: &str) -> Result<Option<Amount>, ReadError> {
        let state = self.state();
        let tx = state.txs.get(tx_id).filter(|tx| matches!(tx.place, Place::Block { .. }));
        let told = |tx: &Tx| self.taken(tx, &state) + state.lie;
        Ok(tx.map(|tx| Amount::try_new(told(tx), tx.fee.asset()).unwrap()))
    }

    async fn testimonies(&self, tx_id: &str, spends: &[String]) -> Vec<Testimony> {
        let mut said = Vec::new();
        let doubts = self.state().doubts.clone();
        for (node, doubt) in [("one", None), ("two", doubts)] {
            let place = self.locate(tx_id, spends).await;
            let head = self.head().await;
            let says = match doubt {
                Some(why) => Err(ReadError::Unavailable(why)),
                None => place.and_then(|place| Ok(Told { place, tips: Tips::from(&head?) })),
            };
            said.push(Testimony { node: node.to_owned(), says });
        }
        said
    }
}
