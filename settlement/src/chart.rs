//! The accounts of the product: which ledger account holds what. Roles and posting rules stand in
//! the chart-of-accounts migration; this file only names the accounts.

use ledger::Account;
use primitives::{Asset, MerchantId, NetworkId};

/// Crypto on our deposit addresses of one network.
#[must_use]
pub fn escrow(network: &NetworkId, asset: Asset) -> Account {
    Account::new("escrow", format!("escrow:{network}:{asset}"), asset)
}

/// Crypto received and owed, per merchant.
#[must_use]
pub fn deposit(merchant: MerchantId, asset: Asset) -> Account {
    let code = format!("deposit:{}:{asset}", merchant.uuid().simple());
    Account::new("deposit", code, asset).owned_by(merchant.uuid())
}

/// Crypto received that no payment may use: late, wrong asset, after the fact.
#[must_use]
pub fn suspense(asset: Asset) -> Account {
    Account::new("suspense", format!("suspense:{asset}"), asset)
}

/// Crypto promised back to payers.
#[must_use]
pub fn refund(asset: Asset) -> Account {
    Account::new("refund", format!("refund:{asset}"), asset)
}

/// The currency-trading account: in crypto the open exposure, in rupees the result so far.
#[must_use]
pub fn trading(asset: Asset) -> Account {
    Account::new("trading", format!("trading:{asset}"), asset)
}

/// What trading brought or cost, where it is taken out of the trading account.
#[must_use]
pub fn trading_result(asset: Asset) -> Account {
    Account::new("trading.result", format!("result:{asset}"), asset)
}

/// Rupees owed to a merchant.
#[must_use]
pub fn merchant(merchant: MerchantId) -> Account {
    let code = format!("merchant:{}:INR", merchant.uuid().simple());
    Account::new("merchant", code, Asset::Inr).owned_by(merchant.uuid())
}

/// Our fee income.
#[must_use]
pub fn fee() -> Account {
    Account::new("fee", "fee:INR", Asset::Inr)
}

/// Goods and services tax we owe on our fee.
#[must_use]
pub fn gst_payable() -> Account {
    Account::new("gst.payable", "gst.payable:INR", Asset::Inr)
}

/// Goods and services tax we paid to others.
#[must_use]
pub fn gst_input() -> Account {
    gst_input_in(Asset::Inr)
}

/// The same, where it was taken in another asset than rupees.
#[must_use]
pub fn gst_input_in(asset: Asset) -> Account {
    Account::new("gst.input", format!("gst.input:{asset}"), asset)
}

/// Tax a venue withheld from us, in the asset it was withheld in.
#[must_use]
pub fn tds_receivable(asset: Asset) -> Account {
    Account::new("tds.receivable", format!("tds.receivable:{asset}"), asset)
}

/// Free balance at a venue.
#[must_use]
pub fn venue_free(venue: &str, asset: Asset) -> Account {
    Account::new("venue.free", format!("venue:{venue}:{asset}:free"), asset)
}

/// Balance locked in open orders at a venue.
#[must_use]
pub fn venue_order(venue: &str, asset: Asset) -> Account {
    Account::new("venue.order", format!("venue:{venue}:{asset}:order"), asset)
}

/// What venues took for trading, in the asset they took it in.
#[must_use]
pub fn venue_fee(asset: Asset) -> Account {
    Account::new("venue.fee", format!("venue.fee:{asset}"), asset)
}

/// What a venue counts finer than our books do: it adds up to whole units there.
#[must_use]
pub fn venue_crumbs(venue: &str, asset: Asset) -> Account {
    Account::new("rounding", format!("rounding:{venue}:{asset}"), asset)
}

/// The pre-funded rupee float at a payout rail.
#[must_use]
pub fn bank(rail: &str) -> Account {
    Account::new("bank", format!("bank:{rail}:INR"), Asset::Inr)
}

/// What rails took for paying out.
#[must_use]
pub fn payout_fee() -> Account {
    Account::new("payout.fee", "payout.fee:INR", Asset::Inr)
}

/// The owners' stake.
#[must_use]
pub fn capital(asset: Asset) -> Account {
    Account::new("capital", format!("capital:{asset}"), asset)
}

/// What networks took for carrying our transactions.
#[must_use]
pub fn network_fee(asset: Asset) -> Account {
    Account::new("network.fee", format!("network.fee:{asset}"), asset)
}

/// Native coin kept to pay the fees of a network.
#[must_use]
pub fn gas(network: &NetworkId, asset: Asset) -> Account {
    Account::new("gas", format!("gas:{network}:{asset}"), asset)
}

/// What left one place and was not seen at the other. `from` is a network or a venue.
#[must_use]
pub fn transit(from: &str, to: &str, asset: Asset) -> Account {
    Account::new("transit", format!("transit:{from}:{to}:{asset}"), asset)
}

/// Cold storage: keys that no process of ours has.
#[must_use]
pub fn cold(network: &NetworkId, asset: Asset) -> Account {
    Account::new("treasury", format!("custody:cold:{network}:{asset}"), asset)
}
