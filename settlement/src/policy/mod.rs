//! Confirmation policies: from when on a deposit is shown, may be accepted early, and is final.
//!
//! Invariant: a policy is data of a version and never changes; the newest version counts, and its
//! number stands on every deposit judged by it. What cannot be valued in rupees is judged by the
//! strictest tier. Nothing here asks a node: the workers bring what nodes say.

mod check;
pub mod early;
pub mod evidence;
mod rule;
mod start_values;
mod store;
#[cfg(test)]
mod tests;

use primitives::{Amount, Asset, CaseId, NetworkId};
use sqlx::PgConnection;

pub use check::{Refusal, check};
pub use evidence::{Finding, Said, Verdict, Word, resume_in, stopped_in};
pub use rule::Rule;
pub use start_values::{Family, start_values};
pub use store::{NewPolicy, SetError, Signed, current_in, list_in, set_in, version_in};

use crate::{
    AcceptRule, Base, Error, case,
    deposit::{Deposit, Purpose},
    payment::{self, Payment},
    quote,
};

/// What holds from one value on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Rupees from which the tier holds, inclusive.
    pub from: Amount,
    /// From when on a payer sees the deposit. It credits nothing.
    pub show: Rule,
    /// From when on the shop may be told "paid", within the house's limit.
    pub accept: Rule,
    /// From when on the deposit counts as crypto we hold.
    pub last: Rule,
    /// Nodes that must say they hold the block, before it is accepted or final.
    pub min_witnesses: u16,
}

/// One version of the policy of a network and asset; its tiers rise from zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub network: NetworkId,
    pub asset: Asset,
    /// 0 is the rule of the settings, where nobody has set a policy.
    pub version: i32,
    pub tiers: Vec<Tier>,
}

impl Policy {
    /// The tier for a value in rupees; the strictest one for a value nobody knows.
    ///
    /// # Errors
    /// `Inconsistent` for a policy without tiers, which none is.
    pub fn tier(&self, value: Option<Amount>) -> Result<&Tier, Error> {
        let reached = |tier: &&Tier| value.is_none_or(|v| tier.from.minor() <= v.minor());
        self.tiers
            .iter()
            .rev()
            .find(reached)
            .ok_or_else(|| Error::Inconsistent(format!("policy of {} has no tier", self.network)))
    }
}

/// What a deposit is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub version: i32,
    pub tier: Tier,
}

impl Applied {
    /// True when the policy leaves room between "paid" and "final".
    #[must_use]
    pub fn has_early(&self) -> bool {
        self.version > 0 && self.tier.accept != self.tier.last
    }
}

/// The policy of a deposit as it stands now, for what it is worth.
///
/// # Errors
/// `Database`, `Inconsistent` when the network is in nobody's settings.
pub async fn of_deposit_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
    owner: Option<&Payment>,
) -> Result<Applied, Error> {
    let policy = current_in(conn, base, &deposit.network, deposit.amount.asset()).await?;
    let value = value_in(conn, deposit, owner).await?;
    let tier = policy.tier(value)?.clone();
    Ok(Applied { version: policy.version, tier })
}

/// As [`of_deposit_in`], without a lock: for a look that decides nothing.
///
/// # Errors
/// As [`of_deposit_in`].
pub async fn look_in(
    conn: &mut PgConnection,
    base: &Base,
    deposit: &Deposit,
) -> Result<Applied, Error> {
    let owner = match deposit.payment {
        Some(payment) => Some(payment::get_in(conn, payment).await?),
        None => None,
    };
    of_deposit_in(conn, base, deposit, owner.as_ref()).await
}

/// What rides on a deposit, in rupees: never less than the whole payment, so that paying in many
/// small parts is judged like paying at once. `None` where no quote says what it is worth.
async fn value_in(
    conn: &mut PgConnection,
    deposit: &Deposit,
    owner: Option<&Payment>,
) -> Result<Option<Amount>, Error> {
    let (Purpose::Payment, Some(quote), Some(payment)) = (deposit.purpose, deposit.quote, owner)
    else {
        return Ok(None);
    };
    let payable = quote::get_in(conn, quote).await?.payable;
    Ok(worth(payment.amount, payable, deposit.amount))
}

/// `ceil(rupees × max(received, payable) / payable)`; `None` when it does not fit.
fn worth(rupees: Amount, payable: Amount, received: Amount) -> Option<Amount> {
    let most = received.minor().max(payable.minor());
    let product = rupees.minor().checked_mul(most)?;
    let up = product.checked_add(payable.minor().checked_sub(1)?)?;
    Amount::try_new(up.checked_div(payable.minor())?, rupees.asset()).ok()
}

/// The rule of the settings as a policy: accepted and final are one.
fn of_settings(base: &Base, network: &NetworkId, asset: Asset) -> Result<Policy, Error> {
    let known = base.settings.networks.get(network);
    let known = known.ok_or_else(|| Error::Inconsistent(format!("network {network}")))?;
    let rule = match known.confirm {
        AcceptRule::Depth { blocks } => Rule::Depth(blocks.max(1)),
        AcceptRule::Safe => Rule::Safe,
        AcceptRule::Finalized => Rule::Finalized,
    };
    let from = Amount::zero(Asset::Inr);
    let tier = Tier { from, show: Rule::Mempool, accept: rule, last: rule, min_witnesses: 1 };
    Ok(Policy { network: network.clone(), asset, version: 0, tiers: vec![tier] })
}

/// Closes the open case of a subject, if there is one, because what it asked for has happened.
pub(crate) async fn close_case_in(
    conn: &mut PgConnection,
    base: &Base,
    kind: &str,
    subject: &str,
    note: &str,
) -> Result<(), Error> {
    let open: Option<uuid::Uuid> = sqlx::query_scalar(
        "select id from cases where kind = $1 and subject = $2 and closed_at is null",
    )
    .bind(kind)
    .bind(subject)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = open {
        case::close_in(conn, base, CaseId::from_uuid(id), note).await?;
    }
    Ok(())
}
