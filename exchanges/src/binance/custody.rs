//! Coins into Binance and out of it.
//!
//! Invariants: a withdrawal carries our reference and is asked for once. It is not asked for while
//! the network is closed, below the venue's least, or where the venue wants a travel-rule
//! questionnaire filled in, which is for a person to do. The history shows seven days of a
//! reference: finding nothing later proves nothing.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use outbound::Effect;
use primitives::{Amount, Asset, CallResult, NetworkId};

use super::{Binance, NAME, call::Endpoint, mapped, periods, read, rejected, wallet, wire};
use crate::{
    ClientRef, Custody,
    custody::{
        KeyRights, NewWithdrawal, Passage, VenueAddress, VenueDeposit, Withdrawal, WithdrawalTerms,
    },
    decimal::print,
    mapping::split,
};

const DEPOSITS_PER_PAGE: usize = 1_000;
/// More would keep everything else at this venue waiting.
const DEPOSITS_QUESTIONS_MAX: usize = 64;
/// The longest period of deposits the venue tells at once is ninety days.
const DEPOSITS_WINDOW: TimeDelta = TimeDelta::days(89);
/// What the venue answers where it wants no questionnaire.
const NO_QUESTIONNAIRE: &str = "NIL";

type Period = (DateTime<Utc>, DateTime<Utc>);

/// A period as two that touch each other nowhere; none for a single instant.
fn halves(from: DateTime<Utc>, to: DateTime<Utc>) -> Option<(Period, Period)> {
    let (first, last) = (from.timestamp_millis(), to.timestamp_millis());
    let middle = first.checked_add(last.checked_sub(first)?.checked_div(2)?)?;
    let at = DateTime::from_timestamp_millis;
    (first < last).then_some(())?;
    Some(((at(first)?, at(middle)?), (at(middle.checked_add(1)?)?, at(last)?)))
}

impl Binance {
    fn network(&self, network: &NetworkId) -> CallResult<&str> {
        let theirs = self.networks.get(network).map(String::as_str);
        theirs.ok_or_else(|| rejected("no_network", "the venue has no name for this network"))
    }

    fn our_network(&self, theirs: &str) -> Option<NetworkId> {
        let named = self.networks.iter().find(|(_, name)| *name == theirs);
        named.map(|(ours, _)| ours.clone())
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

    /// Refuses where every withdrawal needs answers about who receives it.
    async fn refuse_questionnaire(&self) -> CallResult<()> {
        let response = self.caller.signed(Endpoint::Questionnaire, &[]).await?;
        let wanted: wire::Questionnaire = read(&response, Effect::None)?;
        if wanted.questionnaire_country_code == NO_QUESTIONNAIRE {
            return Ok(());
        }
        let reason = "the venue wants a travel-rule questionnaire with every withdrawal of this \
                      account: withdraw by hand";
        Err(rejected("travel_rule", reason))
    }
}

#[async_trait]
impl Custody for Binance {
    fn venue(&self) -> &'static str {
        NAME
    }

    async fn key_rights(&self) -> CallResult<Option<KeyRights>> {
        let response = self.caller.signed(Endpoint::Restrictions, &[]).await?;
        let told: wire::Restrictions = read(&response, Effect::None)?;
        Ok(Some(KeyRights {
            may_withdraw: told.enable_withdrawals,
            is_bound_to_ips: told.ip_restrict,
        }))
    }

    async fn deposit_address(&self, asset: Asset, network: &NetworkId) -> CallResult<VenueAddress> {
        let params =
            [("coin", asset.code().to_owned()), ("network", self.network(network)?.to_owned())];
        let response = self.caller.signed(Endpoint::DepositAddress, &params).await?;
        mapped(wallet::address(&read(&response, Effect::None)?, asset, network), Effect::None)
    }

    async fn deposits(
        &self,
        asset: Asset,
        since: DateTime<Utc>,
    ) -> CallResult<Option<Vec<VenueDeposit>>> {
        let until = self.caller.server_time().await?;
        let mut ahead = periods(since, until, DEPOSITS_WINDOW)?;
        ahead.reverse();
        let (mut deposits, mut asked) = (Vec::new(), 0_usize);
        while let Some((from, to)) = ahead.pop() {
            asked = asked.saturating_add(1);
            if asked > DEPOSITS_QUESTIONS_MAX {
                return Err(Effect::None.failed("binance: too many deposits since then"));
            }
            let params = [
                ("coin", asset.code().to_owned()),
                ("startTime", from.timestamp_millis().to_string()),
                ("endTime", to.timestamp_millis().to_string()),
                ("limit", DEPOSITS_PER_PAGE.to_string()),
            ];
            let response = self.caller.signed(Endpoint::Deposits, &params).await?;
            let page: Vec<wire::Deposit> = read(&response, Effect::None)?;
            // A full page may hide the very deposit that is looked for: each half is asked alone.
            if page.len() >= DEPOSITS_PER_PAGE {
                let Some((early, late)) = halves(from, to) else {
                    return Err(Effect::None.failed("binance: too many deposits at one instant"));
                };
                ahead.extend([late, early]);
                continue;
            }
            let ours = |deposit| wallet::deposit(deposit, asset, |name| self.our_network(name));
            let page: Vec<_> = mapped(page.iter().map(ours).collect(), Effect::None)?;
            deposits.extend(page.into_iter().flatten());
        }
        Ok(Some(deposits))
    }

    async fn withdrawal_terms(
        &self,
        asset: Asset,
        network: &NetworkId,
    ) -> CallResult<WithdrawalTerms> {
        let network = self.network(network)?;
        let terms = mapped(wallet::terms(&self.coins().await?, asset, network), Effect::None)?;
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
        self.refuse_questionnaire().await?;
        let params = [
            ("coin", asset.code().to_owned()),
            ("network", network),
            ("address", new.to.clone()),
            ("amount", print(gross)),
            ("withdrawOrderId", new.client_ref.as_str().to_owned()),
        ];
        let response = self.caller.decided(Endpoint::Withdraw, &params, new.stamp).await?;
        let applied: wire::Applied = read(&response, Effect::Money)?;
        if applied.id.is_empty() {
            return Err(Effect::Money.failed("binance: a withdrawal without an id"));
        }
        Ok(applied_for(new, applied.id, net, fee))
    }

    async fn find_withdrawal(
        &self,
        asset: Asset,
        client_ref: &ClientRef,
    ) -> CallResult<Option<Withdrawal>> {
        let params = [
            ("coin", asset.code().to_owned()),
            ("withdrawOrderId", client_ref.as_str().to_owned()),
        ];
        let response = self.caller.signed(Endpoint::Withdrawals, &params).await?;
        let lines: Vec<wire::Withdrawal> = read(&response, Effect::None)?;
        let is_ours = |line: &&wire::Withdrawal| {
            line.withdraw_order_id.as_deref() == Some(client_ref.as_str())
        };
        let ours: Vec<&wire::Withdrawal> = lines.iter().filter(is_ours).collect();
        match ours.as_slice() {
            [] => Ok(None),
            [one] => mapped(wallet::withdrawal(one, asset, client_ref), Effect::None).map(Some),
            _ => Err(Effect::None.failed("binance: several withdrawals with one reference")),
        }
    }
}

/// The answer to an application is an id alone; the amounts are what the terms make of it. The
/// venue takes its fee out of the amount that is asked for.
fn applied_for(new: &NewWithdrawal, venue_id: String, net: Amount, fee: Amount) -> Withdrawal {
    Withdrawal {
        venue_id,
        client_ref: new.client_ref.clone(),
        net,
        fee,
        tx_id: None,
        passage: Passage::Pending,
    }
}
