//! Coins into Coinbase and out of it, by its wallet API.
//!
//! Invariants: a withdrawal carries our reference as its idempotency key and is asked for once. The
//! venue adds the network's fee on top and tells it afterwards, so what one costs is a setting, and
//! what has none is not sent. A difference between the two is for the books to find.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use outbound::Effect;
use primitives::{Amount, Asset, CallResult, NetworkId, Rounding};
use rust_decimal::Decimal;
use serde_json::json;

use super::{
    Coinbase, NAME,
    call::{Call, Page, lost_thread},
    mapped, read, rejected, wallet, wallet_wire as wire,
};
use crate::{
    ClientRef, Custody,
    custody::{NewWithdrawal, VenueAddress, VenueDeposit, Withdrawal, WithdrawalTerms},
    decimal::{print, to_amount, units},
    mapping::split,
};

const PER_PAGE: usize = 100;
/// More would keep everything else at this venue waiting.
const PAGES_MAX: usize = 64;

impl<T: serde::de::DeserializeOwned> Page for wire::Many<T> {
    type Item = T;

    fn items(self) -> (Vec<T>, CallResult<Option<String>>) {
        let id = self.pagination.and_then(|pagination| pagination.next_starting_after);
        let id = id.filter(|id| !id.is_empty());
        let is_plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let next = if id.iter().all(is_plain) {
            Ok(id.map(|id| format!("starting_after={id}")))
        } else {
            Err(lost_thread())
        };
        (self.data, next)
    }
}

impl Coinbase {
    fn network(&self, network: &NetworkId) -> CallResult<&str> {
        let theirs = self.networks.get(network).map(String::as_str);
        theirs.ok_or_else(|| rejected("no_network", "the venue has no name for this network"))
    }

    fn our_network(&self, theirs: &str) -> Option<NetworkId> {
        let named = self.networks.iter().find(|(_, name)| *name == theirs);
        named.map(|(ours, _)| ours.clone())
    }

    /// The path of the account that holds an asset.
    async fn wallet(&self, asset: Asset) -> CallResult<String> {
        let now = self.caller.now();
        if let Some(path) = self.wallets.get(&asset, now) {
            return Ok(path);
        }
        let call = Call::get("/v2/accounts", format!("limit={PER_PAGE}"));
        let told = self.caller.walk::<wire::Many<wire::Account>>(&call, PAGES_MAX, |_| false);
        let wallet = mapped(wallet::wallet(&told.await?, asset), Effect::None)?;
        let Some(id) = wallet else {
            return Err(rejected("no_wallet", "the venue keeps no wallet for this coin"));
        };
        let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain {
            return Err(Effect::None.failed("coinbase: an account id that cannot be one"));
        }
        let path = format!("/v2/accounts/{id}");
        self.wallets.put(asset, path.clone(), now);
        Ok(path)
    }

    async fn listed(
        &self,
        path: &str,
        of: (Asset, &NetworkId),
    ) -> CallResult<Option<VenueAddress>> {
        let call = Call::get(path, format!("limit={PER_PAGE}"));
        let told = self.caller.walk::<wire::Many<wire::Address>>(&call, PAGES_MAX, |_| false);
        mapped(wallet::oldest(&told.await?, self.network(of.1)?, of), Effect::None)
    }

    /// What happened on an account, newest first, down to a time or to what is looked for.
    async fn transactions(
        &self,
        asset: Asset,
        since: DateTime<Utc>,
        is_found: impl Fn(&wire::Transaction) -> bool,
    ) -> CallResult<Vec<wire::Transaction>> {
        let path = format!("{}/transactions", self.wallet(asset).await?);
        let call = Call::get(path, format!("limit={PER_PAGE}&order=desc"));
        let is_older = |of: &wire::Transaction| {
            wallet::created_at(of).is_ok_and(|at| at.timestamp() < since.timestamp())
        };
        let is_enough =
            |page: &[wire::Transaction]| page.iter().any(|of| is_older(of) || is_found(of));
        let told = self.caller.walk::<wire::Many<wire::Transaction>>(&call, PAGES_MAX, is_enough);
        Ok(told.await?)
    }

    fn send_fee(&self, asset: Asset, network: &NetworkId) -> CallResult<Decimal> {
        let fee = self.send_fees.get(network).and_then(|fees| fees.get(&asset));
        let why = "send_fees names no fee for this coin over this network";
        fee.map(|fee| fee.0).ok_or_else(|| rejected("no_terms", why))
    }

    /// What a send of an asset was expected to cost, where every network says the same.
    fn expected(&self, asset: Asset) -> Option<Amount> {
        let mut fees = self.send_fees.values().filter_map(|fees| fees.get(&asset));
        let first = fees.next()?;
        let same = fees.all(|fee| fee == first);
        same.then(|| to_amount(first.0, asset, Rounding::Up)).flatten()
    }
}

#[async_trait]
impl Custody for Coinbase {
    fn venue(&self) -> &'static str {
        NAME
    }

    /// The oldest address there is; where there is none one is made, and then the oldest is read,
    /// because somebody else may have made one meanwhile.
    async fn deposit_address(&self, asset: Asset, network: &NetworkId) -> CallResult<VenueAddress> {
        self.network(network)?;
        let key = (asset, network.clone());
        let now = self.caller.now();
        if let Some(address) = self.addresses.get(&key, now) {
            return Ok(address);
        }
        let path = format!("{}/addresses", self.wallet(asset).await?);
        let mut found = self.listed(&path, (asset, network)).await?;
        if found.is_none() {
            // Making one twice does no harm: it is a further address of the same account.
            let call = Call::post(path.clone(), &json!({"name": "deposits"}), Effect::None);
            let response = self.caller.signed(&call).await?;
            let _made: wire::One<wire::Address> = read(&response, Effect::None)?;
            found = self.listed(&path, (asset, network)).await?;
        }
        let Some(address) = found else {
            let why = "the venue makes addresses of this coin on another network: make one there";
            return Err(rejected("no_address", why));
        };
        self.addresses.put(key, address.clone(), now);
        Ok(address)
    }

    async fn deposits(
        &self,
        asset: Asset,
        since: DateTime<Utc>,
    ) -> CallResult<Option<Vec<VenueDeposit>>> {
        let told = self.transactions(asset, since, |_| false).await?;
        let ours = |of| wallet::deposit(of, asset, |name| self.our_network(name));
        let deposits = told.iter().map(ours).collect::<Result<Vec<_>, _>>();
        let deposits = mapped(deposits, Effect::None)?.into_iter().flatten();
        // The venue tells whole seconds.
        let since = since.timestamp();
        Ok(Some(deposits.filter(|deposit| deposit.at.timestamp() >= since).collect()))
    }

    async fn withdrawal_terms(
        &self,
        asset: Asset,
        network: &NetworkId,
    ) -> CallResult<WithdrawalTerms> {
        self.network(network)?;
        let fee = self.send_fee(asset, network)?;
        Ok(WithdrawalTerms { fee, amount_min: Decimal::ZERO, is_open: true })
    }

    async fn withdraw(&self, new: &NewWithdrawal) -> CallResult<Withdrawal> {
        let asset = new.amount.asset();
        let theirs = self.network(&new.network)?.to_owned();
        let fee = self.send_fee(asset, &new.network)?;
        let Some((_, net, fee)) = split(new.amount, fee, Decimal::ZERO) else {
            return Err(rejected("too_little", "less than the network's fee"));
        };
        let amount = units(net).ok_or_else(|| rejected("out_of_range", "no such amount"))?;
        let idem = wallet::idem(&new.client_ref);
        let body = json!({
            "type": "send",
            "to": new.to,
            "amount": print(amount),
            "currency": asset.code(),
            "network": theirs,
            "idem": idem,
        });
        let path = format!("{}/transactions", self.wallet(asset).await?);
        let call = Call::post(path, &body, Effect::Money);
        let response = self.caller.decided(&call, new.stamp).await?;
        let sent: wire::One<wire::Transaction> = read(&response, Effect::Money)?;
        if sent.data.idem.as_ref().is_some_and(|theirs| *theirs != idem) {
            return Err(Effect::Money.failed("coinbase: answered with another withdrawal"));
        }
        let told = wallet::withdrawal(&sent.data, asset, &new.client_ref, Some(fee));
        mapped(told, Effect::Money)
    }

    async fn find_withdrawal(
        &self,
        asset: Asset,
        client_ref: &ClientRef,
    ) -> CallResult<Option<Withdrawal>> {
        let idem = wallet::idem(client_ref);
        let is_ours = |of: &wire::Transaction| of.idem.as_deref() == Some(idem.as_str());
        let since = self.caller.now().checked_sub_signed(self.look_back).unwrap_or_default();
        let told = self.transactions(asset, since, is_ours).await?;
        let Some(ours) = told.iter().find(|of| is_ours(of)) else { return Ok(None) };
        let expected = self.expected(asset);
        mapped(wallet::withdrawal(ours, asset, client_ref, expected), Effect::None).map(Some)
    }
}
