//! Coin for the fees of token moves, from the gas station of a network.
//!
//! Several of its transactions stand behind each other: each takes the lowest nonce that no live
//! one has. The plan asks anew whether it is still free, so two workers never give one away twice.
//! When a top-up is due, and what it may cost, is asked in `settlement`.

use chains::carrier::{Carrier, Draft, DraftError, Movable, Source, Wish};
use primitives::{Amount, NetworkId};
use queue::Lease;
use settlement::treasury::{self, MovePurpose, NewMove, Planned, Served};

use crate::{Ctx, WorkError, moving};

/// The gas a token move asks for may cost more by the time it is there: so many percent more.
const GAS_PERCENT: i128 = 130;

/// What became of asking for a top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topped {
    /// It is under way.
    Coming,
    /// There is no station, or nothing left in it.
    Out,
    /// Not now, and nothing is wrong.
    Later,
    No(String),
}

/// One network's gas station.
pub(crate) struct Station<'a> {
    pub(crate) ctx: &'a Ctx,
    pub(crate) lease: &'a Lease,
    pub(crate) carrier: &'a dyn Carrier,
    pub(crate) network: &'a NetworkId,
}

impl Station<'_> {
    /// The whole fee of a token move: what its address is short of, and what it has.
    pub(crate) async fn all_of(&self, of: &Source, short: Amount) -> Result<Amount, WorkError> {
        let native = self.carrier.native();
        let held = self.carrier.movable(std::slice::from_ref(of), native).await;
        let mut all = short;
        for there in held.map_err(moving::unreadable)? {
            all = all
                .checked_add(there.amount)
                .map_err(|error| WorkError::Nonsense(error.to_string()))?;
        }
        Ok(all)
    }

    pub(crate) async fn is_coming(&self, to: &str) -> Result<bool, WorkError> {
        let mut conn = self.ctx.conn().await?;
        Ok(treasury::is_gas_coming_in(&mut conn, self.network, to).await?)
    }

    /// Plans a top-up of an address, with something on top of what it is short of.
    pub(crate) async fn top_up(
        &self,
        to: &str,
        gas: Amount,
        served: &Served,
    ) -> Result<Topped, WorkError> {
        let Some(station) = self.carrier.gas_station() else { return Ok(Topped::Out) };
        if self.is_coming(to).await? {
            return Ok(Topped::Coming);
        }
        let more = gas.minor().saturating_mul(GAS_PERCENT).saturating_add(99) / 100;
        let amount = Amount::try_new(more, gas.asset())
            .map_err(|error| WorkError::Nonsense(error.to_string()))?;
        let native = self.carrier.native();
        let held = self.carrier.movable(std::slice::from_ref(&station), native).await;
        let held = held.map_err(moving::unreadable)?;
        if held.is_empty() {
            return Ok(Topped::Out);
        }
        let wish = Wish { from: held, to: to.to_owned(), amount: Some(amount) };
        let mut draft = match self.carrier.draft(&wish).await {
            Ok(draft) => draft,
            Err(DraftError::Read(error)) => return Err(moving::unreadable(error)),
            Err(error) => {
                tracing::info!(network = %self.network, %error, "no top-up drafted");
                return Ok(Topped::Out);
            }
        };
        self.take_turn(&mut draft, None).await?;
        let new = new_move(self.network, &draft, Why::TopUp(served))?;
        Ok(match plan(self.ctx, self.lease, &new).await? {
            Planned::Move(_) => Topped::Coming,
            Planned::No(why) => Topped::No(why),
            Planned::Stopped(_) | Planned::Taken | Planned::NeedsGas => Topped::Later,
        })
    }

    /// What a draft takes from, as much of it as is there today: the station pays others meanwhile.
    pub(crate) async fn today(&self, old: &Draft) -> Result<Vec<Movable>, WorkError> {
        if moving::nonce(old).is_none() {
            return Ok(old.from.clone());
        }
        let sources: Vec<Source> = old.from.iter().map(|from| from.source.clone()).collect();
        let held = self.carrier.movable(&sources, self.carrier.native()).await;
        held.map_err(moving::unreadable)
    }

    /// Gives a draft the lowest nonce that is free. Where a network has none, it stays as it is.
    pub(crate) async fn take_turn(
        &self,
        draft: &mut Draft,
        of: Option<primitives::MoveId>,
    ) -> Result<Option<i64>, WorkError> {
        let Some((address, counted)) = moving::nonce(draft) else { return Ok(None) };
        let mut conn = self.ctx.conn().await?;
        let at = (self.network, address.as_str());
        let next = treasury::next_nonce_in(&mut conn, at, counted, of).await?;
        moving::set_nonce(draft, next)?;
        Ok(Some(next))
    }

    /// Calls a person: nothing is left to pay fees with.
    pub(crate) async fn is_out(&self) -> Result<(), WorkError> {
        let mut tx = self.ctx.begin(self.lease).await?;
        let native = self.carrier.native();
        treasury::gas_out_in(&mut tx, &self.ctx.base, self.network, native).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// What a drafted move is for.
#[derive(Clone, Copy)]
pub(crate) enum Why<'a> {
    /// A venue; true when nothing of ours is left behind.
    Venue(&'a str, bool),
    /// Cold storage; as above.
    Cold(bool),
    TopUp(&'a Served),
}

/// A draft as it is planned.
pub(crate) fn new_move(
    network: &NetworkId,
    draft: &Draft,
    why: Why<'_>,
) -> Result<NewMove, WorkError> {
    let (purpose, venue, takes_all, serves) = match why {
        Why::Venue(venue, takes_all) => (MovePurpose::FundVenue, Some(venue), takes_all, None),
        Why::Cold(takes_all) => (MovePurpose::ToCold, None, takes_all, None),
        Why::TopUp(served) => (MovePurpose::Gas, None, false, Some(served.clone())),
    };
    Ok(NewMove {
        purpose,
        network: network.clone(),
        venue: venue.map(str::to_owned),
        to: draft.to.clone(),
        amount: draft.amount,
        fee_max: draft.fee_max,
        takes_all,
        sources: moving::sources(draft)?,
        draft: serde_json::to_value(draft)
            .map_err(|error| WorkError::Nonsense(format!("a draft: {error}")))?,
        serves,
    })
}

/// Plans what was drafted.
pub(crate) async fn plan(ctx: &Ctx, lease: &Lease, new: &NewMove) -> Result<Planned, WorkError> {
    let mut tx = ctx.begin(lease).await?;
    let planned = treasury::plan_in(&mut tx, &ctx.base, new).await?;
    tx.commit().await?;
    match &planned {
        Planned::Move(id) => {
            tracing::info!(%id, amount = %new.amount, to = new.to, "move planned");
        }
        Planned::Stopped(why) => tracing::info!(network = %new.network, why, "no move"),
        Planned::No(why) => tracing::info!(network = %new.network, why, "no move"),
        Planned::Taken | Planned::NeedsGas => {}
    }
    Ok(planned)
}
