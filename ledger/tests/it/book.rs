//! Short words for the tests: a book of accounts, transfers written as `debit > credit amount`.
//!
//! Invariant: every action commits or rolls back a transaction of its own, as the application's
//! role, so that tests see what another process would see.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use ledger::{Account, LedgerError, Leg, Posted, REVERSAL, Resolution, Transfer};
use primitives::{Amount, Asset, Clock, SystemClock};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};

pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now()
}

/// An account from its code: the first word decides the role, the asset stands in it.
pub(crate) fn account(code: &str) -> Account {
    let word = code.split(':').next().unwrap();
    let asset = code.split(':').find_map(|part| Asset::from_str(part).ok()).unwrap();
    let role = match word {
        "venue" if code.ends_with(":free") => "venue.free",
        "venue" => "venue.order",
        "dep" => "deposit",
        "cap" => "capital",
        "networkfee" => "network.fee",
        "venuefee" => "venue.fee",
        "payoutfee" => "payout.fee",
        "result" => "trading.result",
        "claim" => "receivable",
        other => ROLES.iter().copied().find(|role| *role == other).expect("a role of the chart"),
    };
    Account::new(role, code, asset)
}

const ROLES: [&str; 16] = [
    "escrow",
    "treasury",
    "gas",
    "transit",
    "bank",
    "tds.receivable",
    "gst.input",
    "suspense",
    "refund",
    "merchant",
    "tds.payable",
    "gst.payable",
    "trading",
    "fee",
    "rounding",
    "loss",
];

pub(crate) fn transfer(key: &str, kind: &'static str, lines: &str) -> Transfer {
    let legs = lines.lines().map(|line| leg(line.trim())).collect();
    Transfer {
        key: key.to_owned(),
        kind,
        correlation: None,
        actor: "test".to_owned(),
        effective_at: now(),
        meta: json!({"why": "test"}),
        legs,
    }
}

fn leg(line: &str) -> Leg {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [debit, ">", credit, minor] = words[..] else { panic!("not a leg: {line}") };
    let debit = account(debit);
    let amount = Amount::parse_minor(minor, debit.asset).unwrap();
    Leg::new(debit, account(credit), amount)
}

pub(crate) fn resolution(key: &str, kind: &'static str) -> Resolution {
    Resolution {
        key: key.to_owned(),
        kind,
        actor: "test".to_owned(),
        effective_at: now(),
        meta: serde_json::Value::Null,
    }
}

/// A pool, and one verb per door.
pub(crate) struct Book<'a>(pub(crate) &'a PgPool);

macro_rules! in_transaction {
    ($pool:expr, $conn:ident => $call:expr) => {{
        let mut connection = $pool.acquire().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        let $conn: &mut PgConnection = &mut tx;
        match $call.await {
            Ok(done) => {
                tx.commit().await.unwrap();
                Ok(done)
            }
            Err(error) => {
                tx.rollback().await.unwrap();
                Err(error)
            }
        }
    }};
}

impl Book<'_> {
    pub(crate) async fn post(&self, t: &Transfer) -> Result<Posted, LedgerError> {
        in_transaction!(self.0, conn => ledger::post(conn, t))
    }

    pub(crate) async fn post_many(&self, ts: &[Transfer]) -> Result<Vec<Posted>, LedgerError> {
        in_transaction!(self.0, conn => ledger::post_many(conn, ts))
    }

    pub(crate) async fn hold(&self, t: &Transfer) -> Result<Posted, LedgerError> {
        in_transaction!(self.0, conn => ledger::hold(conn, t))
    }

    pub(crate) async fn capture(
        &self,
        hold: &str,
        key: &str,
        kind: &'static str,
    ) -> Result<Posted, LedgerError> {
        in_transaction!(self.0, conn => ledger::capture(conn, hold, &resolution(key, kind)))
    }

    pub(crate) async fn capture_part(
        &self,
        hold: &str,
        r: &Resolution,
        amounts: &[Amount],
    ) -> Result<Posted, LedgerError> {
        in_transaction!(self.0, conn => ledger::capture_part(conn, hold, r, amounts))
    }

    pub(crate) async fn release(
        &self,
        hold: &str,
        key: &str,
        kind: &'static str,
    ) -> Result<Posted, LedgerError> {
        in_transaction!(self.0, conn => ledger::release(conn, hold, &resolution(key, kind)))
    }

    pub(crate) async fn reverse(&self, original: &str, key: &str) -> Result<Posted, LedgerError> {
        in_transaction!(self.0, conn => ledger::reverse(conn, original, &resolution(key, REVERSAL)))
    }

    /// Posts, and it is new.
    pub(crate) async fn did(&self, key: &str, kind: &'static str, lines: &str) {
        let posted = self.post(&transfer(key, kind, lines)).await;
        assert!(posted.as_ref().is_ok_and(|p| p.created), "{key}: {posted:?}");
    }

    /// Posted balance in minor units, in the account's normal direction; zero if not open.
    pub(crate) async fn posted(&self, code: &str) -> i128 {
        let mut conn = self.0.acquire().await.unwrap();
        let balance = ledger::balance(&mut conn, code).await.unwrap();
        balance.map_or(0, |balance| balance.posted.minor())
    }

    /// Nothing is wrong anywhere: the audit is empty and every asset sums to zero.
    pub(crate) async fn is_sound(&self) {
        let mut conn = self.0.acquire().await.unwrap();
        assert_eq!(ledger::audit(&mut conn).await.unwrap(), []);
        let lines = ledger::trial_balance(&mut conn).await.unwrap();
        assert_eq!(ledger::unbalanced(&lines).unwrap(), []);
    }
}
