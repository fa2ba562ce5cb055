//! Solana: one system transfer, or one `transfer_checked` of a listed mint, from the one wallet.
//! The message is built here from fields; no instruction of anybody else's is ever signed.
//!
//! What cannot be checked here: which cluster a blockhash is of. Cost: a signature's fee, what is
//! bid for priority, and the rent of a token account that is made for the receiver.

use std::collections::BTreeMap;

use chains::carrier::{KeyRef, SolanaToken, SolanaTransfer};
use primitives::Asset;
use sha2::{Digest as _, Sha256};
use signing::{Intent, Purpose};
use solana_instruction::Instruction;
use solana_message::{Hash, legacy::Message};
use solana_pubkey::Pubkey;
use solana_system_interface::instruction as system;
use spl_associated_token_account_interface::{
    address::get_associated_token_address_with_program_id as account_of,
    instruction::create_associated_token_account_idempotent as create_account,
};
use spl_token_interface::instruction as token;

use super::{Examined, same_destination, within_fee_max};
use crate::{
    config::{MintConfig, SolanaConfig},
    refusal::Refusal,
};

/// Lamports per signature.
const SIGNATURE: i128 = 5_000;
/// Rent of a token account of 182 bytes, more than either token program makes for a plain mint.
const ACCOUNT: i128 = 2_200_000;
const MICRO: i128 = 1_000_000;
const COMPUTE_BUDGET: Pubkey =
    Pubkey::from_str_const("ComputeBudget111111111111111111111111111111");
/// The most units a transaction may ask for.
const MOST_UNITS: u32 = 1_400_000;

/// A Solana network and our wallet on it.
pub(crate) struct Solana {
    wallet: Pubkey,
    mints: BTreeMap<Asset, Mint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mint {
    mint: Pubkey,
    program: Pubkey,
    decimals: u8,
}

#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) message: Vec<u8>,
    pub(crate) wallet: Pubkey,
}

impl Solana {
    pub(crate) fn new(config: &SolanaConfig, wallet: Pubkey) -> Result<Self, String> {
        let mut mints = BTreeMap::new();
        for listed in &config.tokens {
            let mint = Mint::read(listed)
                .ok_or_else(|| format!("the mint or program of {} is no key", listed.asset))?;
            if mints.values().any(|other: &Mint| other.mint == mint.mint) {
                return Err(format!("the mint of {} is another token's", listed.asset));
            }
            mints.insert(listed.asset, mint);
        }
        Ok(Self { wallet, mints })
    }

    pub(crate) fn examine(
        &self,
        intent: &Intent,
        transfer: &SolanaTransfer,
    ) -> Result<Examined, Refusal> {
        if intent.purpose == Purpose::Gas || transfer.from.key == KeyRef::Gas {
            return Err(Refusal::not_allowed("nothing needs gas here"));
        }
        let is_ours = transfer.from.key == KeyRef::Deposit(0)
            && transfer.from.address.parse() == Ok(self.wallet);
        if !is_ours {
            return Err(Refusal::unknown_key("the sender is not our wallet"));
        }
        let to = same_destination(canonical(&intent.to), canonical(&transfer.to))?;
        if i128::from(transfer.minor) != intent.amount.minor() {
            return Err(Refusal::does_not_match("the transaction moves another amount"));
        }
        let mint = self.mint(intent, transfer)?;
        let creates = transfer.token.as_ref().is_some_and(|token| token.create_account);
        let charged = charged(transfer)?;
        within_fee_max(charged, intent)?;
        let message = self.message(transfer, &to, mint.zip(Some(creates)))?;
        // The same bytes are the same transaction; any other bytes are another one.
        let spends = Sha256::digest(&message).into();
        let rent = if creates { ACCOUNT } else { 0 };
        let fee = charged.saturating_add(rent);
        let work = super::Work::Solana(Work { message, wallet: self.wallet });
        Ok(Examined { to, fee, spends, claim: None, work })
    }

    fn mint(&self, intent: &Intent, transfer: &SolanaTransfer) -> Result<Option<Mint>, Refusal> {
        let asset = intent.amount.asset();
        let other = || Refusal::does_not_match("the transaction moves another asset");
        let Some(said) = &transfer.token else {
            return if asset == Asset::Sol { Ok(None) } else { Err(other()) };
        };
        let listed = self.mints.get(&asset).copied().ok_or_else(other)?;
        let said =
            Mint::said(said).ok_or_else(|| Refusal::malformed("a mint or program is no key"))?;
        if said != listed {
            return Err(other());
        }
        Ok(Some(listed))
    }

    fn message(
        &self,
        transfer: &SolanaTransfer,
        to: &str,
        token: Option<(Mint, bool)>,
    ) -> Result<Vec<u8>, Refusal> {
        let broken = |_| Refusal::malformed("the destination is no key");
        let to: Pubkey = to.parse().map_err(broken)?;
        let hash: Hash =
            transfer.blockhash.parse().map_err(|_| Refusal::malformed("the blockhash is none"))?;
        let mut steps = budget(transfer);
        match token {
            None => steps.push(system::transfer(&self.wallet, &to, transfer.minor)),
            Some((token, creates)) => {
                if creates {
                    let Mint { mint, program, .. } = &token;
                    steps.push(create_account(&self.wallet, &to, mint, program));
                }
                steps.push(self.token_transfer(token, &to, transfer.minor)?);
            }
        }
        Ok(Message::new_with_blockhash(&steps, Some(&self.wallet), &hash).serialize())
    }

    fn token_transfer(
        &self,
        Mint { mint, program, decimals }: Mint,
        to: &Pubkey,
        units: u64,
    ) -> Result<Instruction, Refusal> {
        let from = account_of(&self.wallet, &mint, &program);
        let to = account_of(to, &mint, &program);
        // Both programs read the same bytes; the crate builds them for its own only.
        let plain = spl_token_interface::ID;
        let built =
            token::transfer_checked(&plain, &from, &mint, &to, &self.wallet, &[], units, decimals);
        let broken = |_| Refusal::malformed("the token transfer cannot be built");
        let built = built.map_err(broken)?;
        Ok(Instruction { program_id: program, ..built })
    }
}

impl Mint {
    fn read(listed: &MintConfig) -> Option<Self> {
        Some(Self {
            mint: listed.mint.parse().ok()?,
            program: listed.program.parse().ok()?,
            decimals: listed.decimals,
        })
    }

    fn said(token: &SolanaToken) -> Option<Self> {
        Some(Self {
            mint: token.mint.parse().ok()?,
            program: token.program.parse().ok()?,
            decimals: token.decimals,
        })
    }
}

/// `SetComputeUnitLimit` is 2, `SetComputeUnitPrice` is 3.
fn budget(transfer: &SolanaTransfer) -> Vec<Instruction> {
    let step = |kind: u8, number: &[u8]| {
        let mut data = vec![kind];
        data.extend_from_slice(number);
        Instruction { program_id: COMPUTE_BUDGET, accounts: Vec::new(), data }
    };
    vec![step(2, &transfer.unit_limit.to_le_bytes()), step(3, &transfer.unit_price.to_le_bytes())]
}

/// What the network takes at most: rounded up, as the runtime does.
fn charged(transfer: &SolanaTransfer) -> Result<i128, Refusal> {
    if transfer.unit_limit > MOST_UNITS {
        return Err(Refusal::malformed("more compute units than a transaction may have"));
    }
    let bid = i128::from(transfer.unit_price).checked_mul(i128::from(transfer.unit_limit));
    let fee = bid
        .and_then(|micro| micro.checked_add(MICRO - 1))
        .and_then(|micro| micro.checked_div(MICRO))
        .and_then(|lamports| lamports.checked_add(SIGNATURE));
    fee.ok_or_else(|| Refusal::fee_too_high("the fee is beyond all numbers"))
}

pub(super) fn canonical(text: &str) -> Option<String> {
    text.parse::<Pubkey>().ok().map(|key| key.to_string())
}
