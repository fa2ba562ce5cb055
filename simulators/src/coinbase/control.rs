//! What a person or a test can do to the simulated Coinbase behind the vendor's back.
//!
//! Invariant: every change of a balance is entered in the journal like any other.

use std::sync::{Arc, MutexGuard};

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, Settings,
    engine::State,
    order::{Order, Trade},
    transactions::{incoming, outgoing},
    wire::uuid,
};
use crate::{
    World,
    journal::Movement,
    transit::Custodian as _,
    venue::{Change, Custody, Departing, Desk, Found, Holdings, Pockets, Stage, Till, rail_of},
};

impl Exchange {
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    /// Replaces the settings; `false` when a number in them makes no sense.
    pub fn set_settings(&self, settings: Settings) -> bool {
        let is_sane = settings.is_sane();
        if is_sane {
            self.state().settings = settings;
        }
        is_sane
    }

    /// Credits an asset at once, as a confirmed deposit on its default network.
    pub fn deposit(&self, asset: &str, amount: Decimal, reference: &str) -> bool {
        self.deposit_on(asset, amount, reference, None, "credited")
    }

    /// A deposit on a network, at a stage: `pending`, `held`, `credited`, `rejected`, `wrong` or
    /// `waiting`. `false` when there is no such asset, network or stage. Dollars come from nowhere.
    pub fn deposit_on(
        &self,
        asset: &str,
        amount: Decimal,
        tx_id: &str,
        network: Option<&str>,
        stage: &str,
    ) -> bool {
        let Some(stage) = read_stage(stage) else { return false };
        if asset == "USD" {
            return stage.is_credited() && self.give_dollars(amount, tx_id);
        }
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
        self.set_deposit_stage(tx_id, stage)
    }

    fn give_dollars(&self, amount: Decimal, reference: &str) -> bool {
        let at = self.world.now();
        self.state().holdings.apply(Change {
            at,
            kind: "deposit",
            reference: reference.to_owned(),
            movements: vec![Movement::new("USD", "free", amount, "deposit")],
            detail: Value::Null,
        })
    }

    /// Moves a deposit, named by its id or transaction, to a stage; `false` when it cannot be.
    pub fn judge_deposit(&self, name: &str, stage: &str) -> bool {
        read_stage(stage).is_some_and(|stage| self.set_deposit_stage(name, stage))
    }

    fn set_deposit_stage(&self, name: &str, stage: Stage) -> bool {
        let now = self.world.now();
        let mut guard = self.state();
        let state = &mut *guard;
        state.custody.judge(&mut state.holdings, name, stage, now).is_some()
    }

    /// Moves a withdrawal, named by its id or `idem`, to a stage: `completed`, `rejected`,
    /// `failed`, `cancelled`, `processing`, `awaiting_approval` or `mail_sent`.
    pub fn judge_withdrawal(&self, name: &str, stage: &str) -> bool {
        let Ok(stage) = serde_json::from_value::<Departing>(Value::from(stage)) else {
            return false;
        };
        let id = {
            let state = self.state();
            let named = |known: &&crate::venue::Departure| {
                known.id == name || known.order_id.as_deref() == Some(name)
            };
            state.custody.departures.iter().rfind(named).map(|known| known.id.clone())
        };
        id.is_some_and(|id| self.send(&id, stage))
    }

    /// Executes part of an order that is over already; `false` when there is nothing to.
    pub fn fill_after_the_end(&self, order: &str, quantity: Decimal) -> bool {
        self.state().fill_closed(order, quantity)
    }

    /// Takes an execution back; `false` when there is no such one.
    pub fn take_trade_back(&self, trade_id: &str) -> bool {
        self.state().take_back(trade_id)
    }

    /// Executes the resting orders that the market reaches.
    pub fn match_resting(&self) {
        let now = self.world.now();
        self.state().match_resting(now);
    }

    /// Executes part (or all) of a resting order, named by either id, at its own price; `false`
    /// when it cannot.
    pub fn force_fill(&self, order: &str, quantity: Option<Decimal>) -> bool {
        self.state().force_fill(order, quantity)
    }

    /// Free and locked amounts of an asset code.
    #[must_use]
    pub fn balance(&self, asset: &str) -> Pockets {
        self.state().holdings.get(asset)
    }

    /// The exchange's own view: balances, orders and trades.
    #[must_use]
    pub fn book(&self) -> Value {
        let state = self.state();
        let custody = &state.custody;
        let kind = state.settings.incoming;
        let deposits = custody.arrivals.iter().map(|known| incoming(self, kind, known));
        let withdrawals = custody.departures.iter().map(|known| outgoing(self, known));
        json!({
            "simulator": NAME,
            "balances": state.holdings.all(),
            "orders": state.orders.values().map(Order::to_json).collect::<Vec<_>>(),
            "trades": state.trades.iter().map(Trade::to_json).collect::<Vec<_>>(),
            "deposits": deposits.collect::<Vec<_>>(),
            "withdrawals": withdrawals.collect::<Vec<_>>(),
        })
    }
}

fn read_stage(stage: &str) -> Option<Stage> {
    serde_json::from_value(Value::from(stage)).ok()
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
        uuid(self.world.entropy.bytes())
    }
}
