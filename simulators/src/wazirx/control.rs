//! What a person or a test can do to the simulated WazirX behind the vendor's back.
//!
//! Invariant: every change of a balance is entered in the journal like any other.

use std::sync::{Arc, MutexGuard};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, Settings,
    engine::State,
    order::Trade,
    wallet::{Contact, network_of, withdrawal_json},
};
use crate::{
    World,
    journal::Movement,
    transit::Custodian as _,
    venue::{
        Arrival, Change, Custody, Departing, Departure, Desk, Found, Holdings, Pockets, Stage,
        Till, is_address, rail_of,
    },
};

/// The first number of an address that was entered over control.
const FIRST_CONTACT: u64 = 101;

impl Exchange {
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    /// Replaces the settings; `false` when a rate is above 100 %.
    pub fn set_settings(&self, settings: Settings) -> bool {
        let sane = settings.is_sane();
        if sane {
            self.state().settings = settings;
        }
        sane
    }

    /// Credits an asset at once, as a chain deposit or a bank transfer would.
    pub fn deposit(&self, asset: &str, amount: Decimal, reference: &str) -> bool {
        if rail_of(asset, None).is_none() {
            return self.transfer(asset, amount, "deposit", reference);
        }
        self.deposit_on(asset, amount, reference, None, "credited")
    }

    /// A deposit on a network such as `bitcoin`, at a stage: `pending`, `held`, `credited`,
    /// `rejected`, `wrong` or `waiting`. The vendor's API never shows it: only the balance does.
    /// `false` when there is no such asset, network or stage.
    pub fn deposit_on(
        &self,
        asset: &str,
        amount: Decimal,
        tx_id: &str,
        network: Option<&str>,
        stage: &str,
    ) -> bool {
        let Ok(stage) = serde_json::from_value::<Stage>(Value::from(stage)) else { return false };
        let Some(rail) = rail_of(asset, network) else { return false };
        let address = self.world.deposit_address(NAME, rail.network).unwrap_or_default();
        let place = self.state().custody.arrivals.len();
        let found = Found {
            asset: rail.coin.to_owned(),
            network: rail.network,
            amount,
            tx_id: tx_id.to_owned(),
            // The same transaction may pay twice.
            place: u64::try_from(place).unwrap_or(u64::MAX),
            address,
        };
        self.announce(&found);
        self.judge(tx_id, stage)
    }

    /// Moves a deposit, named by its transaction, to a stage; `false` when it cannot be.
    pub fn judge_deposit(&self, name: &str, stage: &str) -> bool {
        serde_json::from_value(Value::from(stage)).is_ok_and(|stage| self.judge(name, stage))
    }

    fn judge(&self, name: &str, stage: Stage) -> bool {
        let now = self.world.now();
        let mut guard = self.state();
        let state = &mut *guard;
        state.custody.judge(&mut state.holdings, name, stage, now).is_some()
    }

    /// Moves a withdrawal, named by its id or `withdrawOrderId`, to a stage: `completed`,
    /// `rejected`, `failed`, `cancelled`, `processing`, `awaiting_approval` or `mail_sent`.
    pub fn judge_withdrawal(&self, name: &str, stage: &str) -> bool {
        let Ok(stage) = serde_json::from_value::<Departing>(Value::from(stage)) else {
            return false;
        };
        let named =
            |known: &&Departure| known.id == name || known.order_id.as_deref() == Some(name);
        let id = {
            let state = self.state();
            state.custody.departures.iter().rfind(named).map(|known| known.id.clone())
        };
        id.is_some_and(|id| self.send(&id, stage))
    }

    /// Enters an address in the book, as its owner does in the vendor's pages; the network is the
    /// vendor's (`eth`) and the coin absent for any. Answers the entry's number.
    pub fn add_contact(
        &self,
        label: &str,
        coin: Option<&str>,
        network: &str,
        address: &str,
    ) -> Option<u64> {
        let network = network_of(network)?;
        let coin = coin.map(str::to_ascii_uppercase);
        let fits = coin.as_ref().is_none_or(|coin| rail_of(coin, Some(network)).is_some());
        if !fits || !is_address(network, address) || label.len() > 100 {
            return None;
        }
        let mut state = self.state();
        let id = state.address_book.last().map_or(FIRST_CONTACT, |last| last.id.saturating_add(1));
        let (label, address) = (label.to_owned(), address.to_owned());
        state.address_book.push(Contact { id, label, coin, network, address });
        Some(id)
    }

    /// Takes rupees out to the linked bank, as a person does in the vendor's own pages.
    pub fn withdraw_inr(&self, amount: Decimal, reference: &str) -> bool {
        self.transfer("INR", -amount, "withdrawal", reference)
    }

    fn transfer(&self, asset: &str, amount: Decimal, kind: &'static str, reference: &str) -> bool {
        let at = self.world.now();
        let mut state = self.state();
        state.holdings.all().contains_key(asset)
            && state.holdings.apply(Change {
                at,
                kind,
                reference: reference.to_owned(),
                movements: vec![Movement::new(asset, "free", amount, kind)],
                detail: Value::Null,
            })
    }

    /// Executes the resting orders that the market reaches.
    pub fn match_resting(&self) {
        let now = self.world.now();
        let mut state = self.state();
        state.settle_cancels(now);
        state.match_resting(now);
    }

    /// Executes part (or all) of a resting order at its own price; `false` when it cannot.
    pub fn force_fill(&self, order_id: u64, quantity: Option<Decimal>) -> bool {
        self.state().force_fill(order_id, quantity)
    }

    /// Free and locked amounts by asset code.
    #[must_use]
    pub fn balance(&self, asset: &str) -> Pockets {
        let mut state = self.state();
        state.settle_cancels(self.world.now());
        state.holdings.get(asset)
    }

    /// The exchange's own view: balances, orders and trades with what the API does not show.
    #[must_use]
    pub fn book(&self) -> Value {
        let mut state = self.state();
        state.settle_cancels(self.world.now());
        json!({
            "simulator": NAME,
            "balances": state.holdings.all(),
            "orders": state.orders.values().map(super::order::Order::to_json).collect::<Vec<_>>(),
            "trades": state.trades.iter().map(Trade::to_book).collect::<Vec<_>>(),
            "deposits": state.custody.arrivals.iter().map(arrival_json).collect::<Vec<_>>(),
            "withdrawals": state
                .custody
                .departures
                .iter()
                .map(|departure| withdrawal_json(departure, false))
                .collect::<Vec<_>>(),
        })
    }
}

/// What the vendor's API does not show.
fn arrival_json(arrival: &Arrival) -> Value {
    let found = &arrival.found;
    json!({
        "id": arrival.id,
        "asset": found.asset,
        "network": found.network,
        "amount": found.amount.normalize().to_string(),
        "tx_id": found.tx_id,
        "address": found.address,
        "confirmations": format!("{}/{}", arrival.have.min(arrival.need), arrival.need),
        "credited": arrival.stage.is_credited(),
    })
}

impl Till for State {
    fn drawers(&mut self) -> (&mut Custody, &mut Holdings) {
        (&mut self.custody, &mut self.holdings)
    }

    fn is_paused(&self) -> bool {
        self.settings.deposits_paused
    }
}

impl Desk for Exchange {
    type Till = State;

    const NAME: &'static str = NAME;

    fn world(&self) -> &Arc<World> {
        &self.world
    }

    fn till(&self) -> MutexGuard<'_, State> {
        self.state()
    }

    fn deposit_id(&self) -> String {
        hex::encode(self.world.entropy.bytes::<8>())
    }
}
