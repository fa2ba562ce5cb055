//! RazorpayX: pays UPI addresses from a pre-funded account.
//!
//! Invariants: a payout is sent with the bytes and key it was frozen with, so that a repeat shows
//! the same payout or creates it once; an answer about another amount or person is not believed;
//! a refusal that says nothing about the payout itself (our key, our address) is not its refusal.

mod config;
mod map;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use outbound::{BaseUrl, Body, BuildError, Client, Effect, Response, Target, vendor_text};
use primitives::{CallError, CallResult, Clock, Secret};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    BODY_MISMATCH, Beneficiary, BeneficiaryHandle, FrozenRequest, PayoutOrder, Rail, RailBalance,
    RailEvent, RailPayout, WebhookError,
};
pub use config::Config;

const NAME: &str = "razorpayx";
const WEBHOOK_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub struct Razorpayx {
    http: Client,
    base: BaseUrl,
    authorization: Secret,
    account_number: Secret,
    webhook_secrets: Vec<Secret>,
}

impl Razorpayx {
    /// # Errors
    /// `BuildError` when a secret is empty or a limit is out of range.
    pub fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        config.check()?;
        Ok(Self {
            http: Client::try_new(NAME, &config.http, clock)?,
            base: config.base_url.clone(),
            authorization: sign::basic(&config.key_id, &config.key_secret),
            account_number: config.account_number.clone(),
            webhook_secrets: config.webhook_secrets.clone(),
        })
    }

    fn target(&self, path: impl Into<String>) -> Target<'_> {
        Target::new(&self.base, path).header("authorization", self.authorization.clone())
    }

    async fn get<T: DeserializeOwned>(&self, target: Target<'_>) -> CallResult<T> {
        let response = self.http.get(target).await?;
        if response.is_success() {
            response.json(Effect::None)
        } else {
            Err(refusal(&response, Effect::None))
        }
    }

    /// Creating the same contact or fund account again returns the first one.
    async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> CallResult<T> {
        let body = serde_json::to_string(body)
            .map_err(|_| CallError::NotSent(format!("{NAME}: body cannot be written")))?;
        let response = self.http.post(self.target(path), Body::Json(body), Effect::Money).await?;
        if response.is_success() {
            return response.json(Effect::Money);
        }
        let refusal = refusal(&response, Effect::Money);
        if is_about_us(&response, &refusal) {
            tracing::error!(rail = NAME, %refusal, "the rail refuses us, not the payee");
            return Err(CallError::NotSent(format!("{NAME}: {refusal}")));
        }
        Err(refusal)
    }
}

/// A 4xx in the vendor's words. One that is not in them comes from somebody in between and
/// proves nothing; so does "conflict", which means that the first request is still running.
fn refusal(response: &Response, effect: Effect) -> CallError {
    if response.status == 409 {
        return effect.failed("razorpayx: another request with this key is still running");
    }
    let wire::Failure { error } = match response.json(effect) {
        Ok(failure) => failure,
        Err(error) => return error,
    };
    let description = error.description.to_ascii_lowercase();
    let code = if description.contains("different request body") {
        BODY_MISMATCH.to_owned()
    } else if description.contains("id provided does not exist") {
        "not_found".to_owned()
    } else {
        vendor_text(&error.code)
    };
    CallError::Rejected { code, reason: vendor_text(&error.description) }
}

/// Whether a refusal is about us and not about the payout: wrong key, address not on their list,
/// wrong path. It proves nothing about an earlier send of the same request.
fn is_about_us(response: &Response, refusal: &CallError) -> bool {
    let ours = matches!(response.status, 401 | 403 | 404);
    let CallError::Rejected { reason, .. } = refusal else {
        return false;
    };
    let reason = reason.to_ascii_lowercase();
    let address = reason.contains("this ip") && reason.contains("not allowed");
    ours || address || reason.contains("requested url was not found")
}

fn mapped<T>(result: map::Mapped<T>, effect: Effect) -> CallResult<T> {
    result.map_err(|why| effect.failed(format!("{NAME}: {why}")))
}

fn mismatch() -> CallError {
    let reason = "the rail answered with somebody else's account".into();
    CallError::Rejected { code: "beneficiary_mismatch".into(), reason }
}

#[async_trait]
impl Rail for Razorpayx {
    fn rail(&self) -> &'static str {
        NAME
    }

    async fn ensure_beneficiary(&self, who: &Beneficiary) -> CallResult<BeneficiaryHandle> {
        let name = map::contact_name(&who.name);
        let contact =
            wire::NewContact { name: &name, reference_id: &who.reference, r#type: "vendor" };
        let contact: wire::Contact = self.create("/v1/contacts", &contact).await?;
        if !map::is_id(&contact.id) || contact.reference_id.as_deref() != Some(&who.reference) {
            return Err(Effect::Money.failed("razorpayx: answered with another contact"));
        }
        let account = wire::NewFundAccount {
            account_type: "vpa",
            contact_id: &contact.id,
            vpa: wire::NewVpa { address: who.vpa.as_str() },
        };
        let account: wire::FundAccount = self.create("/v1/fund_accounts", &account).await?;
        let address = account.vpa.as_ref().map_or("", |vpa| vpa.address.as_str());
        let is_theirs = address.eq_ignore_ascii_case(who.vpa.as_str());
        if !map::is_id(&account.id) || account.contact_id != contact.id || !is_theirs {
            return Err(mismatch());
        }
        if !account.active {
            let reason = "the rail has switched this account off".into();
            return Err(CallError::Rejected { code: "fund_account_inactive".into(), reason });
        }
        Ok(BeneficiaryHandle { contact_id: contact.id, fund_account_id: account.id })
    }

    fn freeze(&self, order: &PayoutOrder) -> FrozenRequest {
        map::freeze(order, self.account_number.expose())
    }

    async fn send(&self, request: &FrozenRequest) -> CallResult<RailPayout> {
        let sent = serde_json::from_str::<wire::Sent>(&request.body)
            .ok()
            .filter(|sent| sent.amount > 0 && sent.reference_id == request.reference)
            .ok_or_else(|| CallError::NotSent(format!("{NAME}: not a frozen payout")))?;
        let target = self
            .target("/v1/payouts")
            .header("x-payout-idempotency", Secret::new(&request.idempotency_key));
        let body = Body::Json(request.body.clone());
        let response = self.http.post(target, body, Effect::Money).await?;
        if !response.is_success() {
            let refusal = refusal(&response, Effect::Money);
            if is_about_us(&response, &refusal) {
                tracing::error!(rail = NAME, %refusal, "the rail refuses us, not the payout");
                return Err(CallError::NotSent(format!("{NAME}: {refusal}")));
            }
            return Err(refusal);
        }
        let payout = mapped(map::payout(&response.json(Effect::Money)?), Effect::Money)?;
        if !map::is_answer_to(&sent, &payout) {
            return Err(Effect::Money.failed("razorpayx: answered with another payout"));
        }
        Ok(payout)
    }

    async fn fetch(&self, rail_payout_id: &str) -> CallResult<RailPayout> {
        if !map::is_id(rail_payout_id) {
            return Err(CallError::NotSent(format!("{NAME}: not one of this rail's ids")));
        }
        let payout: wire::Payout =
            self.get(self.target(format!("/v1/payouts/{rail_payout_id}"))).await?;
        if payout.id != rail_payout_id {
            return Err(Effect::None.failed("razorpayx: answered with another payout"));
        }
        mapped(map::payout(&payout), Effect::None)
    }

    async fn find(&self, reference: &str) -> CallResult<Option<RailPayout>> {
        if !map::is_reference(reference) {
            return Err(CallError::NotSent(format!("{NAME}: not one of our references")));
        }
        let account = self.account_number.expose();
        let query = format!("account_number={account}&count=100&reference_id={reference}");
        let list: wire::Collection<wire::Payout> =
            self.get(self.target("/v1/payouts").query(query)).await?;
        // The filter is theirs; the comparison is ours.
        let ours = list.items.iter().filter(|p| p.reference_id.as_deref() == Some(reference));
        match ours.collect::<Vec<_>>().as_slice() {
            [] => Ok(None),
            [one] => mapped(map::payout(one), Effect::None).map(Some),
            _ => {
                let reason = "more than one payout carries our reference".into();
                Err(CallError::Rejected { code: "duplicate_reference".into(), reason })
            }
        }
    }

    fn read_webhook(&self, signatures: &[&str], body: &[u8]) -> Result<RailEvent, WebhookError> {
        if body.len() > WEBHOOK_BYTES_MAX {
            return Err(WebhookError::Malformed);
        }
        sign::verify(&self.webhook_secrets, signatures, body)?;
        map::event(body)
    }

    async fn balance(&self) -> CallResult<RailBalance> {
        let list: wire::Collection<wire::Balance> =
            self.get(self.target("/v1/banking_balances")).await?;
        let account = self.account_number.expose();
        let ours = list.items.iter().find(|balance| balance.account_number == account);
        let ours =
            ours.ok_or_else(|| Effect::None.failed("razorpayx: our account is not listed"))?;
        let available = mapped(map::rupees(ours.available_amount), Effect::None)?;
        Ok(RailBalance { available })
    }
}
