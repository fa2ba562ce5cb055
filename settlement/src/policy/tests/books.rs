//! What the books say, and that they are sound.

use primitives::Asset;

use super::{World, net};
use crate::chart;

/// The ledger of one asset on the network `lab`, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) escrow: i128,
    pub(super) deposit: i128,
    pub(super) suspense: i128,
    pub(super) refund: i128,
    /// What was turned into rupees.
    pub(super) converted: i128,
    pub(super) loss: i128,
}

/// Nothing in the books.
pub(super) const EMPTY: Books =
    Books { escrow: 0, deposit: 0, suspense: 0, refund: 0, converted: 0, loss: 0 };

impl World {
    pub(super) async fn balance(&self, code: &str) -> i128 {
        let mut conn = self.base.pool.acquire().await.unwrap();
        ledger::balance(&mut conn, code).await.unwrap().map_or(0, |b| b.posted.minor())
    }

    pub(super) async fn books(&self) -> Books {
        self.books_of(Asset::Eth).await
    }

    pub(super) async fn books_of(&self, asset: Asset) -> Books {
        Books {
            escrow: self.balance(&chart::escrow(&net("lab"), asset).code).await,
            deposit: self.balance(&chart::deposit(self.merchant, asset).code).await,
            suspense: self.balance(&chart::suspense(asset).code).await,
            refund: self.balance(&chart::refund(asset).code).await,
            converted: self.balance(&chart::trading(asset).code).await,
            loss: self.balance(&format!("loss:{asset}")).await,
        }
    }

    /// The books balance, `escrow` is what final deposits say, every loss has its entry, every open
    /// promise its money, and the limit adds up.
    pub(super) async fn sound(&self) {
        let mut conn = self.base.pool.acquire().await.unwrap();
        let defects = ledger::audit(&mut conn).await.unwrap();
        assert!(defects.is_empty(), "{defects:?}");
        let lines = ledger::trial_balance(&mut conn).await.unwrap();
        let unbalanced = ledger::unbalanced(&lines).unwrap();
        assert!(unbalanced.is_empty(), "{unbalanced:?}");
        drop(conn);
        let of = |sql| self.amount(sql);
        let books = self.books().await;
        let held = of("select coalesce(sum(amount_minor), 0)::text from deposits
            where network = 'lab' and asset = 'ETH' and state = 'confirmed'");
        assert_eq!(books.escrow, held.await, "escrow is not what is final: {books:?}");
        let borne = of("select coalesce(sum(case kind when 'lost' then amount_minor
            when 'returned' then -amount_minor else 0 end), 0)::text from reorg_entries
            where asset = 'ETH'");
        assert_eq!(books.loss, borne.await, "the loss is not what was borne: {books:?}");
        let promised = of("select coalesce(sum(amount_minor), 0)::text from refunds
            where asset = 'ETH' and state in ('promised', 'addressed')");
        assert_eq!(books.refund, promised.await, "promises without money: {books:?}");
        let (granted, taken, headroom) = self.limit().await;
        assert_eq!(granted, taken + headroom, "the limit does not add up");
        let risk = of("select coalesce(sum(amount_minor), 0)::text from early_acceptances
            where network = 'lab' and ended_at is null");
        assert_eq!(taken, risk.await, "risk without an open acceptance");
    }

    async fn amount(&self, sql: &'static str) -> i128 {
        let text: String = sqlx::query_scalar(sql).fetch_one(&self.db.owner).await.unwrap();
        text.parse().unwrap()
    }
}
