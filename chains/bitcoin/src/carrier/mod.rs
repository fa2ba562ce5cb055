//! Moving our own coins: which outputs can be moved, drafts as PSBTs, and sending what was signed.
//!
//! Invariants: no key is here. What a draft spends was read from one node, and the amounts in it
//! are proven by the hashes of the transactions that made them, so no node can lie about the fee.
//! Which outputs are already part of another move is deliberately not known here beyond what a
//! node's mempool shows: `settlement` keeps the book of that.

mod cost;
mod fee;
mod inputs;
mod outputs;
mod plan;
mod psbt;
mod replace;
mod send;
mod signed;

use std::{collections::HashSet, str::FromStr as _};

use async_trait::async_trait;
use bitcoin::{Address, CompressedPublicKey, OutPoint, ScriptBuf, Txid};
use chains::{
    ReadError,
    carrier::{
        Carrier, Draft, DraftError, KeyRef, Movable, SendError, SignedTx, Source, Testimony, Tips,
        Told, Unsigned, Wish,
    },
};
use primitives::{Amount, Asset, NetworkId};

use self::{
    fee::Rates,
    inputs::{Coin, Standing},
    outputs::Known,
    plan::{Layout, Plan},
};
use crate::{
    chain::{self, BitcoinChain},
    locate,
};

/// Inputs of one transaction. A standard one may have three times as many.
const MOST_INPUTS: usize = 500;
/// Places and outputs of one question.
const MOST_PLACES: usize = 20_000;

/// A place of ours, resolved.
#[derive(Debug, Clone)]
struct Place {
    source: Source,
    script: ScriptBuf,
    key: CompressedPublicKey,
}

impl BitcoinChain {
    /// The source as we write it; a sentence when its address is not that of its key.
    fn place(&self, source: &Source) -> Result<Place, String> {
        let key = match source.key {
            KeyRef::Deposit(index) => self.deriver.key(index)?,
            KeyRef::Gas => self.deriver.change(),
        };
        let address = Address::p2wpkh(&key, self.chain.rust());
        if self.address(&source.address).as_ref() != Some(&address) {
            return Err(format!("the address of {:?} is another one", source.key));
        }
        let source = Source { address: address.to_string(), key: source.key };
        Ok(Place { source, script: address.script_pubkey(), key })
    }

    fn places<'a>(
        &self,
        sources: impl Iterator<Item = &'a Source>,
        asset: Asset,
    ) -> Result<Vec<Place>, ReadError> {
        if asset != Asset::Btc {
            let sentence = format!("{asset} does not exist on {}", self.network);
            return Err(ReadError::Unavailable(sentence));
        }
        let mut seen = HashSet::new();
        let mut places = Vec::new();
        for source in sources {
            let place = self.place(source).map_err(ReadError::Unavailable)?;
            if seen.insert(place.script.clone()) {
                places.push(place);
            }
            if places.len() > MOST_PLACES {
                return Err(too_many());
            }
        }
        Ok(places)
    }

    fn wanted(&self, from: &[Movable]) -> Result<Vec<Coin>, DraftError> {
        if from.is_empty() {
            return Err(refused("nothing is named that could be moved"));
        }
        if from.len() > MOST_INPUTS {
            return Err(refused(&format!("more than {MOST_INPUTS} outputs at once")));
        }
        let mut coins = from.iter().map(|one| self.coin(one)).collect::<Result<Vec<_>, _>>()?;
        // Whoever asks for the same gets the same bytes.
        coins.sort_by_key(|coin| coin.at);
        if coins.windows(2).any(|two| matches!(two, [a, b] if a.at == b.at)) {
            return Err(refused("one output is named twice"));
        }
        Ok(coins)
    }

    fn coin(&self, movable: &Movable) -> Result<Coin, DraftError> {
        let place = self.place(&movable.source).map_err(|why| refused(&why))?;
        let at = movable.outpoint.as_deref().and_then(|text| OutPoint::from_str(text).ok());
        let at = at.ok_or_else(|| refused("an output without its txid:index"))?;
        let sats = sats(movable.amount).ok_or_else(|| refused("an output of no coins"))?;
        Ok(Coin { at, sats, place })
    }

    fn destination(&self, to: &str) -> Result<Address, DraftError> {
        let to = self.address(to).ok_or_else(|| refused("not an address of this network"))?;
        if to.script_pubkey() == self.change_address().script_pubkey() {
            return Err(refused("the address of change is no destination"));
        }
        Ok(to)
    }

    fn change_address(&self) -> Address {
        Address::p2wpkh(&self.deriver.change(), self.chain.rust())
    }

    fn layout(&self, to: &Address, amount: Option<u64>) -> Layout {
        let change = self.change_address().script_pubkey();
        Layout { to: to.script_pubkey(), change, amount }
    }

    fn settle(&self, coins: &[Coin], to: &Address, plan: &Plan) -> Result<Draft, DraftError> {
        let layout = self.layout(to, None);
        let psbt = psbt::write(coins, plan, &layout, self.deriver.change())
            .map_err(|why| refused(&why))?;
        Ok(Draft {
            from: coins.iter().map(Coin::movable).collect::<Result<_, _>>()?,
            to: to.to_string(),
            amount: btc(plan.reaches)?,
            fee_max: btc(plan.fee)?,
            unsigned: Unsigned::Bitcoin { psbt },
        })
    }

    async fn rates(&self) -> Result<Rates, ReadError> {
        let (cap, chain) = (self.fee_cap, self.chain);
        self.nodes.ask(|node| Box::pin(fee::read(node, cap, chain))).await
    }

    /// What one node knows of the outputs, and what it asks for today.
    async fn look(&self, coins: &[Coin]) -> Result<(Standing, Rates), DraftError> {
        let (cap, chain) = (self.fee_cap, self.chain);
        let looked = self.nodes.ask(|node| {
            Box::pin(async move {
                let rates = fee::read(node, cap, chain).await?;
                Ok((inputs::read(node, coins).await?, rates))
            })
        });
        let (standing, rates) = looked.await?;
        Ok((standing.map_err(DraftError::Refused)?, rates))
    }
}

#[async_trait]
impl Carrier for BitcoinChain {
    fn network(&self) -> &NetworkId {
        &self.network
    }

    fn native(&self) -> Asset {
        Asset::Btc
    }

    fn gas_station(&self) -> Option<Source> {
        None
    }

    fn change(&self) -> Option<Source> {
        Some(Source { address: self.change_address().to_string(), key: KeyRef::Gas })
    }

    /// Walks all unspent outputs there are: minutes on mainnet, and a node does one such walk at a
    /// time. For a person who looks for something; a treasury asks `unspent`.
    async fn movable(&self, sources: &[Source], asset: Asset) -> Result<Vec<Movable>, ReadError> {
        let places = self.places(sources.iter(), asset)?;
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let places = places.as_slice();
        self.nodes.ask(|node| Box::pin(outputs::walk(node, places))).await
    }

    async fn unspent(
        &self,
        places: &[(Source, Vec<String>)],
        asset: Asset,
    ) -> Result<Vec<Movable>, ReadError> {
        let mut seen = HashSet::new();
        let mut known = Vec::new();
        for (source, outpoints) in places {
            let place = self.places(std::iter::once(source), asset)?;
            let Some(place) = place.into_iter().next() else { continue };
            for text in outpoints {
                let at = OutPoint::from_str(text).map_err(|_| {
                    ReadError::Unavailable("not the txid:index of an output".to_owned())
                })?;
                if seen.insert(at) {
                    known.push(Known { at, place: place.clone() });
                }
            }
            if known.len() > MOST_PLACES {
                return Err(too_many());
            }
        }
        let known = known.as_slice();
        self.nodes.ask(|node| Box::pin(outputs::at(node, known))).await
    }

    async fn worth_moving(&self, of: &[Movable]) -> Result<Vec<Movable>, ReadError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(rate) = self.rates().await?.today() else { return Ok(Vec::new()) };
        let mut worth: Vec<Movable> =
            of.iter().filter(|one| sats(one.amount) > Some(fee::of_input(rate))).cloned().collect();
        worth.sort_by(|a, b| {
            b.amount.minor().cmp(&a.amount.minor()).then_with(|| a.outpoint.cmp(&b.outpoint))
        });
        worth.truncate(MOST_INPUTS);
        Ok(worth)
    }

    async fn draft(&self, wish: &Wish) -> Result<Draft, DraftError> {
        let coins = self.wanted(&wish.from)?;
        let to = self.destination(&wish.to)?;
        let wrong = || refused("an amount that is none of this network's coin");
        let amount = wish.amount.map(|amount| sats(amount).ok_or_else(wrong)).transpose()?;
        let (standing, rates) = self.look(&coins).await?;
        if !standing.is_empty() {
            return Err(refused("an output that a waiting transaction spends already"));
        }
        let rate = rates.today().map_err(DraftError::NotWorth)?;
        let cost = fee::of_input(rate);
        if let Some(coin) = coins.iter().find(|coin| coin.sats <= cost) {
            let sentence = format!("{} brings {} sat and costs {cost}", coin.at, coin.sats);
            return Err(DraftError::NotWorth(sentence));
        }
        let held = inputs::held(&coins)?;
        let plan =
            plan::make(held, coins.len(), &self.layout(&to, amount), |vsize| fee::at(rate, vsize));
        self.settle(&coins, &to, &plan.map_err(DraftError::NotWorth)?)
    }

    async fn bump(&self, draft: &Draft) -> Result<Draft, DraftError> {
        let coins = self.wanted(&draft.from)?;
        let to = self.destination(&draft.to)?;
        let old = replace::read(draft, &coins, &self.layout(&to, None))?;
        let (standing, rates) = self.look(&coins).await?;
        let rate = rates.today().map_err(DraftError::NotWorth)?;
        let needed = replace::needed(old.fee, standing.fees, rates, rate);
        let held = inputs::held(&coins)?;
        let plan = plan::make(held, coins.len(), &self.layout(&to, old.amount), needed);
        let plan = plan.map_err(DraftError::NotWorth)?;
        if plan.must > fee::at(rates.cap, plan.vsize) {
            let sentence = "a higher fee would be above the limit".to_owned();
            return Err(DraftError::NotWorth(sentence));
        }
        self.settle(&coins, &to, &plan)
    }

    async fn send(&self, signed: &SignedTx) -> Result<(), SendError> {
        let tx = send::read(signed)?;
        send::to_all(self.nodes.all(), &tx, &signed.raw).await
    }

    fn read_signed(&self, like: &Draft, signed: &SignedTx) -> Result<Draft, String> {
        signed::read(self, like, signed)
    }

    async fn cost(&self, tx_id: &str) -> Result<Option<Amount>, ReadError> {
        let tx = Txid::from_str(tx_id)
            .map_err(|_| ReadError::Unavailable("not the id of a transaction".to_owned()))?;
        let fee = self.nodes.ask(|node| Box::pin(cost::of(node, tx))).await?;
        fee.map(btc).transpose()
    }

    async fn testimonies(&self, tx_id: &str, spends: &[String]) -> Vec<Testimony> {
        let (tx, spends) = (Txid::from_str(tx_id), locate::outpoints(spends));
        let (tx, spends) = (&tx, spends.as_slice());
        let said = self.nodes.each(|node| {
            Box::pin(async move {
                let none = |_| ReadError::Unavailable("not the id of a transaction".to_owned());
                let tx = tx.clone().map_err(none)?;
                let tips = Tips::from(&chain::head(node).await?);
                Ok(Told { place: locate::ours(node, tx, spends).await?, tips })
            })
        });
        said.await.into_iter().map(|(node, says)| Testimony { node, says }).collect()
    }
}

fn sats(amount: Amount) -> Option<u64> {
    let minor = u64::try_from(amount.minor()).ok()?;
    (amount.asset() == Asset::Btc && minor > 0).then_some(minor)
}

fn btc(sats: u64) -> Result<Amount, ReadError> {
    let amount = Amount::try_new(i128::from(sats), Asset::Btc);
    amount.map_err(|_| crate::node::garbage("more coins than exist"))
}

fn refused(why: &str) -> DraftError {
    DraftError::Refused(why.to_owned())
}

fn too_many() -> ReadError {
    ReadError::Unavailable(format!("more than {MOST_PLACES} places in one question"))
}
