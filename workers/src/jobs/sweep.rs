//! Plan moves of final deposits of one asset on one network to the venues that need them, and of
//! what no venue needs to cold storage.
//!
//! What lies where is asked first, then drafted, then planned in one transaction that asks anew
//! whatever may forbid it. Nothing is signed or sent here: `resolve_move` does that.

use std::collections::BTreeMap;

use chains::carrier::{Carrier, Draft, DraftError, Movable, Source, Wish};
use primitives::{Amount, Asset, NetworkId};
use queue::{Lease, Outcome};
use settlement::{
    jobs::Sweep,
    treasury::{self, Candidates, Forecast, Goal, Offer, Planned, Served},
};

use crate::{
    Ctx, WorkError, moving,
    topping::{self, Station, Topped, Why},
};

pub(crate) async fn run(ctx: Ctx, job: Sweep, lease: Lease) -> Result<Outcome, WorkError> {
    let treasury = &ctx.base.settings.treasury;
    if !treasury.sweeps().any(|(id, asset)| *id == job.network && asset == job.asset) {
        return Ok(Outcome::Done);
    }
    let sweep = Sweeping {
        ctx: &ctx,
        lease: &lease,
        carrier: ctx.connectors.carrier(&job.network)?,
        network: &job.network,
        asset: job.asset,
    };
    sweep.run().await?;
    Ok(ctx.again_in(treasury.sweep_every_s))
}

/// One run over one asset of one network.
struct Sweeping<'a> {
    ctx: &'a Ctx,
    lease: &'a Lease,
    carrier: &'a dyn Carrier,
    network: &'a NetworkId,
    asset: Asset,
}

/// Where it is to go, and how much is missing there.
struct Asked<'a> {
    /// `None`: to cold storage.
    venue: Option<&'a str>,
    to: &'a str,
    short: i128,
}

impl<'a> Asked<'a> {
    /// What a top-up would let move.
    fn served(&self, amount: Amount, fee_max: Amount) -> Served {
        let to = self.to.to_owned();
        let goal = match self.venue {
            Some(venue) => Goal::Venue { venue: venue.to_owned(), to },
            None => Goal::Cold { to },
        };
        Served { goal, amount, fee_max }
    }

    /// Why a draft is planned; true when nothing of ours is left behind.
    const fn why(&self, takes_all: bool) -> Why<'a> {
        match self.venue {
            Some(venue) => Why::Venue(venue, takes_all),
            None => Why::Cold(takes_all),
        }
    }
}

/// What our rows and books say before anybody is asked.
struct Ground {
    candidates: Candidates,
    coverable: Amount,
    /// Venues that need some, the neediest first.
    needy: Vec<Forecast>,
}

impl Sweeping<'_> {
    async fn run(&self) -> Result<(), WorkError> {
        let ground = self.ground().await?;
        if ground.candidates.places.is_empty() || !ground.coverable.is_positive() {
            return Ok(());
        }
        let mut there: Option<Vec<Movable>> = None;
        // One that takes nothing now keeps none of the others waiting.
        for forecast in &ground.needy {
            let Some(to) = self.address_at(&forecast.venue).await? else { continue };
            let from = match &there {
                Some(from) => from.clone(),
                None => self.movable(&ground).await?,
            };
            there = Some(from.clone());
            let venue = Some(forecast.venue.as_str());
            let asked = Asked { venue, to: &to, short: forecast.short.minor() };
            if self.carry(from, &ground, &asked).await? {
                return Ok(());
            }
        }
        if ground.needy.is_empty() { self.to_cold(ground).await } else { Ok(()) }
    }

    /// True when something is on its way.
    async fn carry(
        &self,
        from: Vec<Movable>,
        ground: &Ground,
        asked: &Asked<'_>,
    ) -> Result<bool, WorkError> {
        if from.iter().any(|m| m.outpoint.is_some()) {
            self.outputs(from, ground, asked).await
        } else {
            self.places(from, ground, asked).await
        }
    }

    /// What no venue needs, where that is wished.
    async fn to_cold(&self, ground: Ground) -> Result<(), WorkError> {
        let treasury = &self.ctx.base.settings.treasury;
        let Some(cold) = treasury.cold(self.network, self.asset) else { return Ok(()) };
        let canonical = self.ctx.connectors.chain(self.network)?.canonical(&cold.address);
        if canonical.as_ref() != Some(&cold.address) {
            // Another spelling of it may be another address to the signer's list.
            let network = self.network.as_str();
            tracing::error!(network, "cold storage: not an address as it is written");
            return Ok(());
        }
        let excess = {
            let mut conn = self.ctx.conn().await?;
            treasury::excess_in(&mut conn, &self.ctx.base, self.network, self.asset).await?
        };
        let Some(excess) = excess else { return Ok(()) };
        let from = self.movable(&ground).await?;
        let ground = Ground { coverable: excess, ..ground };
        let asked = Asked { venue: None, to: &cold.address, short: excess.minor() };
        self.carry(from, &ground, &asked).await?;
        Ok(())
    }

    /// One place after the other, until the venue has what it needs.
    async fn places(
        &self,
        from: Vec<Movable>,
        ground: &Ground,
        asked: &Asked<'_>,
    ) -> Result<bool, WorkError> {
        let (mut left, mut short) = (ground.coverable.minor(), asked.short);
        for movable in from.into_iter().take(self.batch_max()) {
            if short <= 0 || left <= 0 {
                break;
            }
            // A wallet is everything at once: no more of it than is needed.
            let most = if self.wallet().is_some() { left.min(short) } else { left };
            let moved = self.place(&movable, most, asked).await?;
            left = left.saturating_sub(moved);
            short = short.saturating_sub(moved);
        }
        Ok(short < asked.short)
    }

    fn wallet(&self) -> Option<&String> {
        let networks = &self.ctx.base.settings.treasury.networks;
        networks.get(self.network).and_then(|n| n.wallet.as_ref())
    }

    fn batch_max(&self) -> usize {
        self.ctx.base.settings.treasury.batch_max
    }

    async fn ground(&self) -> Result<Ground, WorkError> {
        let mut conn = self.ctx.conn().await?;
        let base = &self.ctx.base;
        let forecasts = treasury::forecasts_in(&mut conn, base, self.asset).await?;
        Ok(Ground {
            candidates: treasury::candidates_in(&mut conn, self.network, self.asset).await?,
            coverable: treasury::coverable_in(&mut conn, base, self.network, self.asset).await?,
            needy: forecasts.into_iter().filter(|f| f.short.is_positive()).collect(),
        })
    }

    /// A venue's confirmed address. The venue is asked what it is every time: another word than
    /// before stops it.
    async fn address_at(&self, venue: &str) -> Result<Option<String>, WorkError> {
        let (ctx, chain) = (self.ctx, self.ctx.connectors.chain(self.network)?);
        let (asset, network) = (self.asset, self.network);
        let Some(custody) = ctx.connectors.custody.get(venue) else { return Ok(None) };
        let told = match custody.deposit_address(asset, network).await {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(venue, %error, "deposit address unreadable");
                return Ok(None);
            }
        };
        let fits = told.asset == asset && told.network == *network;
        let canonical = chain.canonical(&told.address);
        // A tag would have to travel with the coins: no network of ours carries one.
        let Some(address) = canonical.filter(|_| fits && told.tag.is_none()) else {
            tracing::error!(venue, %asset, "a deposit address we cannot use");
            return Ok(None);
        };
        let mut tx = ctx.begin(self.lease).await?;
        let offer = Offer { venue, asset, network, address: &address };
        let known = treasury::offered_in(&mut tx, &ctx.base, &offer).await?;
        tx.commit().await?;
        Ok(known.is_usable.then_some(known.address))
    }

    /// What lies at the candidates and is booked, the largest first.
    async fn movable(&self, ground: &Ground) -> Result<Vec<Movable>, WorkError> {
        let candidates = &ground.candidates;
        let wallet = self.wallet();
        let places: Vec<(Source, Vec<String>)> = match wallet {
            Some(address) => {
                vec![(Source { address: address.clone(), key: moving::key(0) }, Vec::new())]
            }
            None => candidates
                .places
                .iter()
                .map(|p| {
                    let key = moving::key(p.index);
                    (Source { address: p.address.clone(), key }, p.outputs.clone())
                })
                .collect(),
        };
        let there = self.carrier.unspent(&places, self.asset).await.map_err(moving::unreadable)?;
        let mut fit: Vec<Movable> =
            there.into_iter().filter_map(|m| bounded(m, candidates, wallet.is_some())).collect();
        fit.sort_by_key(|m| std::cmp::Reverse(m.amount.minor()));
        Ok(fit)
    }

    /// Many outputs into one: no more of them than the venue needs, and whole.
    async fn outputs(
        &self,
        from: Vec<Movable>,
        ground: &Ground,
        asked: &Asked<'_>,
    ) -> Result<bool, WorkError> {
        let (mut left, mut short) = (ground.coverable.minor(), asked.short);
        let mut chosen: Vec<Movable> = Vec::new();
        let from = self.carrier.worth_moving(&from).await.map_err(moving::unreadable)?;
        for movable in from {
            let minor = movable.amount.minor();
            if chosen.len() < self.batch_max() && minor <= left && short > 0 {
                left = left.saturating_sub(minor);
                short = short.saturating_sub(minor);
                chosen.push(movable);
            }
        }
        if chosen.is_empty() {
            return Ok(false);
        }
        let wish = Wish { from: chosen, to: asked.to.to_owned(), amount: None };
        let Some(draft) = self.draft(&wish).await? else { return Ok(false) };
        // An output that costs more than its share of what it brings is left out.
        let share = draft.fee_max.minor().checked_div(count(&draft)).unwrap_or(0);
        let most = self.ctx.base.settings.treasury.sweep_fee_bps_max;
        let pays = |m: &Movable| {
            let bearable = most.of(m.amount, primitives::Rounding::Down);
            bearable.is_ok_and(|bearable| bearable.minor() >= share)
        };
        let (kept, dropped): (Vec<Movable>, Vec<Movable>) =
            wish.from.iter().cloned().partition(pays);
        if kept.is_empty() {
            return Ok(false);
        }
        let draft = match dropped.is_empty() {
            true => draft,
            false => match self.draft(&Wish { from: kept, ..wish }).await? {
                Some(draft) => draft,
                None => return Ok(false),
            },
        };
        let planned = self.plan(&draft, asked.why(true)).await?;
        Ok(matches!(planned, Planned::Move(_)))
    }

    async fn draft(&self, wish: &Wish) -> Result<Option<Draft>, WorkError> {
        match self.carrier.draft(wish).await {
            Ok(draft) => Ok(Some(draft)),
            Err(DraftError::Read(error)) => Err(moving::unreadable(error)),
            Err(error) => {
                tracing::info!(network = %self.network, asset = %self.asset, %error, "not drafted");
                Ok(None)
            }
        }
    }

    /// One address or wallet. Answers how much is on its way now.
    async fn place(
        &self,
        from: &Movable,
        left: i128,
        asked: &Asked<'_>,
    ) -> Result<i128, WorkError> {
        let whole = from.amount.minor() <= left;
        let part = Amount::try_new(left, self.asset).ok().filter(|_| !whole);
        let mut wish = Wish { from: vec![from.clone()], to: asked.to.to_owned(), amount: part };
        let mut takes_all = whole;
        let mut draft = match self.carrier.draft(&wish).await {
            Ok(draft) => draft,
            Err(DraftError::NeedsGas(gas)) => {
                let amount = part.unwrap_or(from.amount);
                let fee_max = self.station().all_of(&from.source, gas).await?;
                self.top_up(from, gas, &asked.served(amount, fee_max)).await?;
                return Ok(0);
            }
            Err(DraftError::Read(error)) => return Err(moving::unreadable(error)),
            Err(error) => {
                tracing::debug!(address = from.source.address, %error, "not drafted");
                return Ok(0);
            }
        };
        // Where the coin pays its own fee, both must fit into what may leave.
        if draft.fee_max.asset() == self.asset
            && draft.amount.minor().saturating_add(draft.fee_max.minor()) > left
        {
            let less = left.saturating_sub(draft.fee_max.minor());
            let Some(amount) = Amount::try_new(less, self.asset).ok().filter(|a| a.is_positive())
            else {
                return Ok(0);
            };
            wish.amount = Some(amount);
            takes_all = false;
            let Some(smaller) = self.draft(&wish).await? else { return Ok(0) };
            draft = smaller;
        }
        // What is finer than the venue counts would be lost on the way.
        let treasury = &self.ctx.base.settings.treasury;
        let step = asked.venue.map_or(1, |venue| treasury.cut_step(venue, self.asset));
        let rest = draft.amount.minor().checked_rem(step).unwrap_or(0);
        if rest > 0 {
            let cut = draft.amount.minor().saturating_sub(rest);
            let Some(amount) = Amount::try_new(cut, self.asset).ok().filter(|a| a.is_positive())
            else {
                return Ok(0);
            };
            wish.amount = Some(amount);
            let Some(smaller) = self.draft(&wish).await? else { return Ok(0) };
            draft = smaller;
        }
        match self.plan(&draft, asked.why(takes_all)).await? {
            Planned::Move(_) => Ok(draft.amount.minor()),
            // What lies there for the fee is owed to somebody.
            Planned::NeedsGas => {
                let served = asked.served(draft.amount, draft.fee_max);
                self.top_up(from, draft.fee_max, &served).await?;
                Ok(0)
            }
            _ => Ok(0),
        }
    }

    fn station(&self) -> Station<'_> {
        let (ctx, lease, carrier, network) = (self.ctx, self.lease, self.carrier, self.network);
        Station { ctx, lease, carrier, network }
    }

    /// Coin for the fee of a token move, from the gas station.
    async fn top_up(&self, of: &Movable, gas: Amount, served: &Served) -> Result<(), WorkError> {
        let station = self.station();
        match station.top_up(&of.source.address, gas, served).await? {
            Topped::Out => station.is_out().await,
            Topped::Coming | Topped::Later | Topped::No(_) => Ok(()),
        }
    }

    /// Plans what was drafted.
    async fn plan(&self, draft: &Draft, why: Why<'_>) -> Result<Planned, WorkError> {
        let new = topping::new_move(self.network, draft, why)?;
        topping::plan(self.ctx, self.lease, &new).await
    }
}

fn count(draft: &Draft) -> i128 {
    i128::try_from(draft.from.len()).unwrap_or(i128::MAX).max(1)
}

/// No more of a place than our rows know to be there for good.
fn bounded(movable: Movable, candidates: &Candidates, is_wallet: bool) -> Option<Movable> {
    if let Some(outpoint) = &movable.outpoint {
        return candidates.outputs.contains(outpoint).then_some(movable);
    }
    if is_wallet {
        // One wallet is all of our addresses: what may leave is bounded by the books.
        return movable.amount.is_positive().then_some(movable);
    }
    let booked: &BTreeMap<String, Amount> = &candidates.booked;
    let booked = booked.get(&movable.source.address)?;
    let is_less = booked.minor() < movable.amount.minor();
    let amount = if is_less { *booked } else { movable.amount };
    amount.is_positive().then_some(Movable { amount, ..movable })
}
