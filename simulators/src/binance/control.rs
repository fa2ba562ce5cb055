//! What a person or a test can do to the simulated Binance behind the vendor's back.
//!
//! Invariant: every change of a balance is entered in the journal like any other.

use std::sync::{Arc, MutexGuard};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, FeeAsset, NAME, Settings,
    engine::{BNB, State},
    hub::{Act, Note},
    order::{Order, Trade},
    wallet,
};
use crate::{
    World,
    journal::Movement,
    transit::Custodian as _,
    venue::{
        Change, Custody, Departing, Desk, Found, Holdings, Moved, Pockets, Stage, Till, decimal,
        rail_of,
    },
};

impl Exchange {
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    /// Replaces the settings; `false` when a number in them makes no sense. Who switches to fees in
    /// BNB finds a hundred of it in the account.
    pub fn set_settings(&self, settings: Settings) -> bool {
        if !settings.is_sane() {
            return false;
        }
        let mut state = self.state();
        let needs = settings.fee_asset == FeeAsset::Bnb && !state.holdings.all().contains_key(BNB);
        state.settings = settings;
        drop(state);
        if needs {
            self.give_bnb(decimal(100, 0), "opening-BNB", "opening");
        }
        true
    }

    /// BNB comes from nowhere: the world has no chain for it.
    fn give_bnb(&self, amount: Decimal, reference: &str, kind: &'static str) -> bool {
        let (at, mut state) = (self.world.now(), self.state());
        state.holdings.apply(Change {
            at,
            kind,
            reference: reference.to_owned(),
            movements: vec![Movement::new(BNB, "free", amount, kind)],
            detail: Value::Null,
        })
    }

    /// Credits an asset at once, as a confirmed deposit on its default network.
    pub fn deposit(&self, asset: &str, amount: Decimal, reference: &str) -> bool {
        self.deposit_on(asset, amount, reference, None, "credited")
    }

    /// A deposit on a network, at a stage: `pending`, `held`, `credited`, `rejected`, `wrong` or
    /// `waiting`. `false` when there is no such asset, network or stage.
    pub fn deposit_on(
        &self,
        asset: &str,
        amount: Decimal,
        tx_id: &str,
        network: Option<&str>,
        stage: &str,
    ) -> bool {
        let Some(stage) = read_stage(stage) else { return false };
        if asset == BNB {
            return stage.is_credited() && self.give_bnb(amount, tx_id, "deposit");
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

    /// Moves a deposit, named by its id or transaction, to a stage; `false` when it cannot be.
    pub fn judge_deposit(&self, name: &str, stage: &str) -> bool {
        read_stage(stage).is_some_and(|stage| self.set_deposit_stage(name, stage))
    }

    fn set_deposit_stage(&self, name: &str, stage: Stage) -> bool {
        let now = self.world.now();
        let mut guard = self.state();
        let state = &mut *guard;
        let judged = state.custody.judge(&mut state.holdings, name, stage, now);
        if let Some(Some(moved)) = &judged {
            state.tell_moved(moved, now);
        }
        judged.is_some()
    }

    /// Moves a withdrawal, named by its id or `withdrawOrderId`, to a stage: `completed`,
    /// `rejected`, `failed`, `cancelled`, `processing`, `awaiting_approval` or `mail_sent`.
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
    pub fn fill_after_the_end(&self, order_id: u64, quantity: Decimal) -> bool {
        self.state().fill_closed(order_id, quantity)
    }

    /// Takes an execution back; `false` when there is no such one.
    pub fn take_trade_back(&self, trade_id: u64) -> bool {
        self.state().take_back(trade_id)
    }

    /// Does something to every open socket; answers how many there are.
    pub(crate) fn act(&self, act: Act) -> u64 {
        // An error means that nobody listens.
        let _ = self.state().notes.send(Note::Act(act));
        self.hub.open()
    }

    /// Executes the resting orders that the market reaches.
    pub fn match_resting(&self) {
        let now = self.world.now();
        self.state().match_resting(now);
    }

    /// Executes part (or all) of a resting order at its own price; `false` when it cannot.
    pub fn force_fill(&self, order_id: u64, quantity: Option<Decimal>) -> bool {
        self.state().force_fill(order_id, quantity)
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
        json!({
            "simulator": NAME,
            "balances": state.holdings.all(),
            "orders": state.orders.values().map(Order::to_json).collect::<Vec<_>>(),
            "trades": state.trades.iter().map(Trade::to_json).collect::<Vec<_>>(),
            "deposits": state.custody.arrivals.iter().map(wallet::deposit_json).collect::<Vec<_>>(),
            "withdrawals":
                state.custody.departures.iter().map(wallet::withdrawal_json).collect::<Vec<_>>(),
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

    fn tell(&mut self, moved: &Moved, now: DateTime<Utc>) {
        self.tell_moved(moved, now);
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
        let id = self.world.entropy.below(900_000_000_000_000).saturating_add(100_000_000_000_000);
        id.to_string()
    }
}
