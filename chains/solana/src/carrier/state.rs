//! Accounts as they are now: what the wallet can spare, and what a transfer will meet.
//!
//! Invariants: one question for all of them, so that they are of one moment; an account that cannot
//! be read is an error, never an empty one; a mint is known by its program, its decimals and the
//! extensions we understand.

use chains::ReadError;
use primitives::Asset;
use serde::Deserialize;
use serde_json::{Value, json};
use solana_client::rpc_request::RpcRequest;
use solana_pubkey::Pubkey;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

use super::Caps;
use crate::{
    chain::key_of,
    node::Node,
    verify::TOKEN_PROGRAMS,
    wire::{InContext, garbage},
};

/// Extensions of Token-2022 that change nothing about a transfer. Any other one may keep a part,
/// hold it, or ask for accounts we do not send along.
const HARMLESS: [&str; 9] = [
    "metadataPointer",
    "tokenMetadata",
    "groupPointer",
    "tokenGroup",
    "groupMemberPointer",
    "tokenGroupMember",
    "mintCloseAuthority",
    "interestBearingConfig",
    "scaledUiAmountConfig",
];

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Account {
    pub(super) lamports: u64,
    pub(super) owner: String,
    data: Value,
}

impl Account {
    fn info(&self) -> Option<&Value> {
        self.data.pointer("/parsed/info")
    }
}

/// A mint, by the program that owns it.
#[derive(Debug, Clone)]
pub(super) struct Mint {
    pub(super) program: &'static str,
    /// Which of the two programs.
    pub(super) nth: usize,
    pub(super) decimals: u8,
}

/// A token account.
#[derive(Debug, Clone)]
pub(super) struct Purse {
    pub(super) owner: String,
    pub(super) units: u64,
    pub(super) usable: bool,
}

pub(super) async fn accounts(
    node: &Node,
    keys: &[String],
) -> Result<Vec<Option<Account>>, ReadError> {
    let params = json!([keys, { "encoding": "jsonParsed", "commitment": "confirmed" }]);
    let found: InContext<Vec<Option<Account>>> =
        node.call(RpcRequest::GetMultipleAccounts, params).await?;
    if found.value.len() != keys.len() {
        return Err(garbage("other accounts than asked for"));
    }
    Ok(found.value)
}

/// The least an account of this size must hold.
pub(super) async fn rent(node: &Node, bytes: u64) -> Result<u64, ReadError> {
    let params = json!([bytes, { "commitment": "confirmed" }]);
    let least = node.call(RpcRequest::GetMinimumBalanceForRentExemption, params).await?;
    // None is free: a node that says so is not to be believed.
    Some(least).filter(|least| *least > 0).ok_or_else(|| garbage("a rent of nothing"))
}

/// The associated accounts of an owner under both programs.
pub(super) fn purses(owner: &Pubkey, mint: &Pubkey) -> Vec<String> {
    let programs = TOKEN_PROGRAMS.iter().filter_map(|program| key_of(program));
    let of = |program| get_associated_token_address_with_program_id(owner, mint, &program);
    programs.map(|program| of(program).to_string()).collect()
}

/// Why a token cannot be moved, where it cannot.
pub(super) fn mint(account: Option<&Account>, asset: Asset) -> Result<Mint, String> {
    let account = account.ok_or_else(|| format!("the mint of {asset} does not exist"))?;
    let nth = TOKEN_PROGRAMS.iter().position(|program| *program == account.owner);
    let program = nth.and_then(|nth| Some((nth, *TOKEN_PROGRAMS.get(nth)?)));
    let (nth, program) = program.ok_or_else(|| format!("the mint of {asset} is no token"))?;
    let info = account.info().ok_or_else(|| format!("the mint of {asset} cannot be read"))?;
    let decimals = info.get("decimals").and_then(Value::as_u64);
    let decimals = decimals.filter(|decimals| *decimals == u64::from(asset.scale()));
    let decimals = decimals.and_then(|decimals| u8::try_from(decimals).ok());
    let decimals = decimals.ok_or_else(|| format!("the mint of {asset} has other decimals"))?;
    for extension in info.get("extensions").and_then(Value::as_array).into_iter().flatten() {
        let name = extension.get("extension").and_then(Value::as_str).unwrap_or("");
        if !HARMLESS.contains(&name) {
            let name: String = name.chars().take(40).collect();
            return Err(format!("the mint of {asset} has the extension {name}"));
        }
    }
    Ok(Mint { program, nth, decimals })
}

/// A token account of this mint; `None` where there is none.
pub(super) fn purse(
    account: Option<&Account>,
    program: &str,
    mint: &str,
) -> Result<Option<Purse>, ReadError> {
    let Some(account) = account else { return Ok(None) };
    // Whoever knows the address may have sent lamports there before the account was made.
    if account.owner == crate::verify::SYSTEM {
        return Ok(None);
    }
    let text = |name: &str| account.info()?.get(name)?.as_str();
    let units = account.info().and_then(|info| info.pointer("/tokenAmount/amount")?.as_str());
    let units = units.and_then(|units| units.parse().ok());
    match (text("owner"), text("state"), units) {
        (Some(owner), Some(state), Some(units))
            if account.owner == program && text("mint") == Some(mint) =>
        {
            Ok(Some(Purse { owner: owner.to_owned(), units, usable: state == "initialized" }))
        }
        _ => Err(garbage("a token account that is none")),
    }
}

pub(super) async fn spare_coins(node: &Node, wallet: &str, caps: &Caps) -> Result<u64, ReadError> {
    let found = accounts(node, &[wallet.to_owned()]).await?;
    let held = found.first().and_then(Option::as_ref).map_or(0, |account| account.lamports);
    Ok(held.saturating_sub(rent(node, 0).await?).saturating_sub(caps.reserve))
}

pub(super) async fn spare_token(
    node: &Node,
    wallet: &str,
    (listed, asset): (&str, Asset),
) -> Result<u64, ReadError> {
    let keys = key_of(wallet).zip(key_of(listed)).ok_or_else(|| garbage("a key"))?;
    let mut asked = vec![listed.to_owned()];
    asked.extend(purses(&keys.0, &keys.1));
    let found = accounts(node, &asked).await?;
    let mint = mint(found.first().and_then(Option::as_ref), asset);
    let mint = mint.map_err(ReadError::Untrusted)?;
    let account = found.get(1 + mint.nth).and_then(Option::as_ref);
    let purse = purse(account, mint.program, listed)?;
    Ok(purse.filter(|purse| purse.usable && purse.owner == wallet).map_or(0, |purse| purse.units))
}
