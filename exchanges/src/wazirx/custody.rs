//! Coins into WazirX and out of it. Rupees have no such door: they leave through the venue's own
//! pages alone.
//!
//! Invariants: a withdrawal carries our reference and is asked for once, and only to an address a
//! person has entered in the venue's own address book before. The API tells no deposits: a credit
//! is seen in the balance alone.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use outbound::Effect;
use primitives::{Asset, CallError, CallResult, NetworkId};

use super::{Wazirx, mapped, read, sign::Endpoint, wallet, wire};
use crate::{
    ClientRef, Custody,
    custody::{NewWithdrawal, Passage, VenueAddress, VenueDeposit, Withdrawal, WithdrawalTerms},
    decimal::print,
    mapping::split,
};

fn rejected(code: &str, reason: &str) -> CallError {
    CallError::Rejected { code: code.to_owned(), reason: reason.to_owned() }
}

impl Wazirx {
    fn network(&self, network: &NetworkId) -> CallResult<&str> {
        let theirs = self.networks.get(network).map(String::as_str);
        theirs.ok_or_else(|| rejected("no_network", "the venue has no name for this network"))
    }

    async fn coins(&self) -> CallResult<Arc<Vec<wire::Coin>>> {
        let now = self.caller.now();
        if let Some(coins) = self.coins.get(&(), now) {
            return Ok(coins);
        }
        let response = self.caller.signed(Endpoint::Coins, &[]).await?;
        let coins: Arc<Vec<wire::Coin>> = Arc::new(read(&response, Effect::None)?);
        self.coins.put((), Arc::clone(&coins), now);
        Ok(coins)
    }

    /// The venue's own id of an address a person has allowed.
    async fn allowed(&self, asset: Asset, network: &str, to: &str) -> CallResult<String> {
        let response = self.caller.signed(Endpoint::AddressBook, &[]).await?;
        let entries: Vec<wire::AddressEntry> = read(&response, Effect::None)?;
        let fits = |entry: &&wire::AddressEntry| {
            let coin = entry.coin.eq_ignore_ascii_case(asset.code());
            let way = entry.network.as_deref().is_none_or(|n| n.eq_ignore_ascii_case(network));
            entry.address == to && coin && way
        };
        let Some(entry) = entries.iter().find(fits) else {
            let reason = "the address is not in the venue's address book";
            return Err(rejected("address_not_allowed", reason));
        };
        mapped(wallet::id(&entry.id), Effect::None)
    }
}

#[async_trait]
impl Custody for Wazirx {
    fn venue(&self) -> &'static str {
        super::NAME
    }

    async fn deposit_address(&self, asset: Asset, network: &NetworkId) -> CallResult<VenueAddress> {
        let theirs = self.network(network)?.to_owned();
        let (key, now) = ((asset, network.clone()), self.caller.now());
        if let Some(address) = self.addresses.get(&key, now) {
            return Ok(address);
        }
        let params = [("coin", wallet::coin(asset)), ("network", theirs)];
        let response = self.caller.signed(Endpoint::DepositAddress, &params).await?;
        let told = wallet::address(&read(&response, Effect::None)?, asset, network);
        let address = mapped(told, Effect::None)?;
        self.addresses.put(key, address.clone(), now);
        Ok(address)
    }

    async fn deposits(&self, _: Asset, _: DateTime<Utc>) -> CallResult<Option<Vec<VenueDeposit>>> {
        Ok(None)
    }

    async fn withdrawal_terms(
        &self,
        asset: Asset,
        network: &NetworkId,
    ) -> CallResult<WithdrawalTerms> {
        let network = self.network(network)?;
        let coins = self.coins().await?;
        let terms = mapped(wallet::terms(&coins, asset, network), Effect::None)?;
        terms.ok_or_else(|| rejected("no_network", "the venue does not send this coin over it"))
    }

    async fn withdraw(&self, new: &NewWithdrawal) -> CallResult<Withdrawal> {
        let asset = new.amount.asset();
        let network = self.network(&new.network)?.to_owned();
        let terms = self.withdrawal_terms(asset, &new.network).await?;
        if !terms.is_open {
            return Err(rejected(
                "withdrawals_closed",
                "the venue sends none over this network now",
            ));
        }
        let Some((gross, net, fee)) = split(new.amount, terms.fee, terms.amount_min) else {
            return Err(rejected("too_little", "below the least the venue sends"));
        };
        let params = [
            ("coin", wallet::coin(asset)),
            ("network", network.clone()),
            ("addressBookId", self.allowed(asset, &network, &new.to).await?),
            ("address", new.to.clone()),
            ("amount", print(gross)),
            ("withdrawConsent", "true".to_owned()),
            ("withdrawOrderId", new.client_ref.as_str().to_owned()),
        ];
        let answer = self.caller.decided(Endpoint::Withdraw, &params, new.stamp).await;
        let response = answer.map_err(super::sign::of_money)?;
        let applied: wire::Applied = read(&response, Effect::Money)?;
        let venue_id = wallet::id(&applied.id);
        Ok(Withdrawal {
            venue_id: mapped(venue_id, Effect::Money)?,
            client_ref: new.client_ref.clone(),
            net,
            fee,
            tx_id: None,
            passage: Passage::Pending,
        })
    }

    async fn find_withdrawal(
        &self,
        asset: Asset,
        client_ref: &ClientRef,
    ) -> CallResult<Option<Withdrawal>> {
        let params =
            [("coin", wallet::coin(asset)), ("withdrawOrderId", client_ref.as_str().to_owned())];
        let response = self.caller.signed(Endpoint::Withdrawals, &params).await?;
        let lines: Vec<wire::Withdrawal> = read(&response, Effect::None)?;
        let is_ours = |line: &&wire::Withdrawal| {
            line.withdraw_order_id.as_deref() == Some(client_ref.as_str())
        };
        let ours: Vec<&wire::Withdrawal> = lines.iter().filter(is_ours).collect();
        match ours.as_slice() {
            [] => Ok(None),
            [one] => mapped(wallet::withdrawal(one, asset, client_ref), Effect::None).map(Some),
            _ => Err(Effect::None.failed("wazirx: several withdrawals with one reference")),
        }
    }
}
