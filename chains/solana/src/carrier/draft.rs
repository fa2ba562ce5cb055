//! Deciding a transfer.
//!
//! Invariants: never more is moved than the wish names; the receiver is a wallet, not a program's
//! account; the wallet keeps what an account must hold. The node runs the transaction before it is
//! drafted. The blockhash is of a final block: no branch that is dropped takes it away, every node
//! that is not far behind knows it, and once a later final block calls it over, it is over. That
//! leaves about 45 seconds of the 60 a blockhash lasts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chains::{
    ReadError,
    carrier::{Draft, DraftError, Movable, SolanaToken, SolanaTransfer, Unsigned, Wish},
};
use primitives::Asset;
use serde::Deserialize;
use serde_json::{Value, json};
use solana_client::rpc_request::RpcRequest;
use solana_pubkey::Pubkey;

use super::{
    Caps, amount, message, price, refused,
    state::{self, Account, Mint, Purse},
};
use crate::{
    chain::{SolanaChain, key_of},
    node::Node,
    verify::SYSTEM,
    wire::{InContext, garbage, present},
};

/// A token account, and one of Token-2022: its owner cannot be changed, which takes five bytes.
const PURSE_BYTES: [u64; 2] = [165, 170];

/// A wish that makes sense on this network, before any node is asked.
pub(super) struct Plan {
    movable: Movable,
    wallet: Pubkey,
    to: Pubkey,
    asset: Asset,
    mint: Option<Pubkey>,
    /// What the wallet can spare, by the wish.
    all: u64,
    /// What is to reach `to`; `None` for everything.
    part: Option<u64>,
    caps: Caps,
    /// Micro-lamports per unit, at the least.
    pub(super) price: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Latest {
    blockhash: String,
}

#[derive(Deserialize)]
struct Simulated {
    #[serde(deserialize_with = "present")]
    err: Value,
}

impl Plan {
    pub(super) fn try_new(chain: &SolanaChain, wish: &Wish) -> Result<Self, DraftError> {
        let [movable] = wish.from.as_slice() else {
            return refused("not from exactly one place");
        };
        let wallet = key_of(&movable.source.address).filter(|_| chain.is_wallet(&movable.source));
        let Some(wallet) = wallet else { return refused("not from the wallet") };
        let Some(to) = key_of(&wish.to).filter(|to| *to != wallet) else {
            return refused("the receiver is no other address of this network");
        };
        let asset = movable.amount.asset();
        let mint = chain.token(asset).map_err(DraftError::Refused)?.and_then(key_of);
        let all = u64::try_from(movable.amount.minor()).ok().filter(|all| *all > 0);
        let part = wish.amount.map(|part| {
            let minor = u64::try_from(part.minor()).ok();
            minor.filter(|minor| *minor > 0 && part.asset() == asset)
        });
        let (Some(all), false) = (all, part == Some(None)) else {
            return refused("an amount that cannot be moved");
        };
        let part = part.flatten();
        if part.is_some_and(|part| part > all) || movable.outpoint.is_some() {
            return refused("more than the wallet spares, or an output of Bitcoin");
        }
        let (movable, caps) = (movable.clone(), chain.caps);
        Ok(Self { movable, wallet, to, asset, mint, all, part, caps, price: 0 })
    }

    fn draft(&self, transfer: SolanaTransfer, fee_max: u64) -> Result<Draft, DraftError> {
        Ok(Draft {
            from: vec![self.movable.clone()],
            to: self.to.to_string(),
            amount: amount(transfer.minor, self.asset)?,
            fee_max: amount(fee_max, Asset::Sol)?,
            unsigned: Unsigned::Solana(transfer),
        })
    }

    /// The transfer but for its amount, which for everything depends on its fee.
    async fn begin(
        &self,
        node: &Node,
        token: Option<SolanaToken>,
        writable: &[String],
    ) -> Result<(SolanaTransfer, u64), ReadError> {
        let params = json!([{ "commitment": "finalized" }]);
        let latest: InContext<Latest> = node.call(RpcRequest::GetLatestBlockhash, params).await?;
        let blockhash = latest.value.blockhash;
        key_of(&blockhash).ok_or_else(|| garbage("a blockhash that is none"))?;
        let unit_price = price::today(node, writable, self.price, &self.caps).await?;
        let create = token.as_ref().is_some_and(|token| token.create_account);
        let transfer = SolanaTransfer {
            from: self.movable.source.clone(),
            to: self.to.to_string(),
            unit_limit: price::unit_limit(token.is_some(), create),
            token,
            minor: 0,
            blockhash,
            blockhash_slot: latest.context.slot,
            unit_price,
        };
        let fee = price::most(&transfer).ok_or_else(|| garbage("fees beyond what can exist"))?;
        Ok((transfer, fee))
    }
}

pub(super) async fn decide(node: &Node, plan: &Plan) -> Result<Draft, DraftError> {
    match plan.mint {
        None => coins(node, plan).await,
        Some(mint) => tokens(node, plan, mint).await,
    }
}

async fn coins(node: &Node, plan: &Plan) -> Result<Draft, DraftError> {
    let keys = [plan.wallet.to_string(), plan.to.to_string()];
    let (found, least) =
        futures::future::try_join(state::accounts(node, &keys), state::rent(node, 0)).await?;
    let [ours, theirs] = found.as_slice() else {
        return Err(garbage("other accounts than asked for").into());
    };
    can_receive(plan, theirs.as_ref())?;
    let held = ours.as_ref().map_or(0, |account| account.lamports);
    if plan.all.checked_add(least).is_none_or(|needed| needed > held) {
        return refused("the wallet holds less by now");
    }
    let (transfer, fee) = plan.begin(node, None, &keys).await?;
    let minor = match plan.part {
        Some(part) if part.checked_add(fee).is_none_or(|needed| needed > plan.all) => {
            return refused("the fee does not fit beside it");
        }
        Some(part) => part,
        None => plan.all.saturating_sub(fee),
    };
    if minor == 0 {
        return Err(DraftError::NotWorth(format!("the fee is {fee} lamports")));
    }
    // The network refuses to make an account that holds less.
    if theirs.is_none() && minor < least {
        let sentence = format!("a new account must hold {least} lamports");
        return Err(DraftError::NotWorth(sentence));
    }
    let transfer = SolanaTransfer { minor, ..transfer };
    works(node, &transfer).await?;
    plan.draft(transfer, fee)
}

async fn tokens(node: &Node, plan: &Plan, mint: Pubkey) -> Result<Draft, DraftError> {
    let mut keys = vec![plan.wallet.to_string(), plan.to.to_string(), mint.to_string()];
    keys.extend(state::purses(&plan.wallet, &mint));
    keys.extend(state::purses(&plan.to, &mint));
    let found = state::accounts(node, &keys).await?;
    let account = |nth: usize| found.get(nth).and_then(Option::as_ref);
    can_receive(plan, account(1))?;
    let Mint { program, nth, decimals } =
        state::mint(account(2), plan.asset).map_err(DraftError::Refused)?;
    let mint = mint.to_string();
    let ours = state::purse(account(3 + nth), program, &mint)?;
    let theirs = state::purse(account(5 + nth), program, &mint)?;
    let minor = plan.part.unwrap_or(plan.all);
    let can_send = |purse: &Purse| {
        purse.usable
            && purse.owner == keys.first().map_or("", String::as_str)
            && purse.units >= plan.all
    };
    if !ours.as_ref().is_some_and(can_send) {
        return refused("the wallet's token account holds less by now, or is frozen");
    }
    let strange = |purse: &Purse| !purse.usable || purse.owner != plan.to.to_string();
    if theirs.as_ref().is_some_and(strange) {
        return refused("the receiver's token account is frozen, or somebody else's");
    }
    let create_account = theirs.is_none();
    let token = SolanaToken { mint, program: program.to_owned(), decimals, create_account };
    let writable: Vec<String> =
        [0, 3 + nth, 5 + nth].iter().filter_map(|place| keys.get(*place).cloned()).collect();
    let (transfer, fee) = plan.begin(node, Some(token), &writable).await?;
    let transfer = SolanaTransfer { minor, ..transfer };
    let bytes = PURSE_BYTES.get(nth).copied().unwrap_or(0);
    let made = if create_account { state::rent(node, bytes).await? } else { 0 };
    let fee_max = fee.checked_add(made).ok_or_else(|| garbage("a rent without end"))?;
    let least = state::rent(node, 0).await?;
    let held = account(0).map_or(0, |account| account.lamports);
    let missing = fee_max.saturating_add(least).saturating_sub(held);
    if missing > 0 {
        return Err(DraftError::NeedsGas(amount(missing, Asset::Sol)?));
    }
    works(node, &transfer).await?;
    plan.draft(transfer, fee_max)
}

/// Coins in a program's account, and tokens of one, are out of everybody's reach; so is what goes
/// to an address that nobody can have the key of and no program has made.
fn can_receive(plan: &Plan, theirs: Option<&Account>) -> Result<(), DraftError> {
    let can = theirs.map_or_else(|| plan.to.is_on_curve(), |account| account.owner == SYSTEM);
    if can { Ok(()) } else { refused("the receiver is no wallet") }
}

/// Runs the transaction without sending it.
async fn works(node: &Node, transfer: &SolanaTransfer) -> Result<(), DraftError> {
    let message = message::bytes(transfer).map_err(DraftError::Refused)?;
    // One signature that nobody checks.
    let unsigned: Vec<u8> = std::iter::once(1).chain([0; 64]).chain(message).collect();
    let config = json!({
        "encoding": "base64", "commitment": "confirmed", "sigVerify": false,
        "replaceRecentBlockhash": false,
    });
    let params = json!([STANDARD.encode(unsigned), config]);
    let ran: Result<InContext<Simulated>, _> =
        node.call(RpcRequest::SimulateTransaction, params).await;
    let error = ran.map_err(ReadError::from)?.value.err;
    if error.is_null() {
        return Ok(());
    }
    // The one thing that is the node's own fault: it does not know the block yet.
    if error.as_str() == Some("BlockhashNotFound") {
        return Err(garbage("a blockhash it does not know").into());
    }
    let shown: String = error.to_string().chars().filter(|c| !c.is_control()).take(120).collect();
    refused(format!("the network would refuse it: {shown}"))
}
