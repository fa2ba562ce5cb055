//! What a person or a test can do to the simulated WazirX behind the vendor's back.
//!
//! Invariant: every change of a balance is entered in the journal like any other.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Exchange, NAME, Settings, order::Trade};
use crate::{
    journal::Movement,
    venue::{Change, Pockets},
};

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

    /// Credits an asset, as a chain deposit or a bank transfer would.
    pub fn deposit(&self, asset: &str, amount: Decimal, reference: &str) -> bool {
        self.transfer(asset, amount, "deposit", reference)
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
        })
    }
}
