//! What a person or a test can do to the simulated Binance behind the vendor's back.
//!
//! Invariant: every change of a balance is entered in the journal like any other.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    Exchange, NAME, Settings,
    engine::{Deposit, WHOLE},
    order::{Order, Trade},
};
use crate::{
    journal::Movement,
    venue::{Change, Pockets},
};

impl Exchange {
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    /// Replaces the settings; `false` when the commission is above 100 %.
    pub fn set_settings(&self, settings: Settings) -> bool {
        let sane = settings.commission_bps <= WHOLE;
        if sane {
            self.state().settings = settings;
        }
        sane
    }

    /// Credits an asset, as a chain deposit would.
    pub fn deposit(&self, asset: &str, amount: Decimal, reference: &str) -> bool {
        let at = self.world.now();
        let mut state = self.state();
        if !state.holdings.all().contains_key(asset) {
            return false;
        }
        let reference = reference.to_owned();
        let deposit = Deposit { asset: asset.to_owned(), amount, reference, at };
        let taken = state.holdings.apply(Change {
            at,
            kind: "deposit",
            reference: deposit.reference.clone(),
            movements: vec![Movement::new(asset, "free", amount, "deposit")],
            detail: Value::Null,
        });
        if taken {
            state.deposits.push(deposit);
        }
        taken
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
        })
    }
}
