//! The message of a transfer: what a signer signs, and what is simulated before.
//!
//! Invariant: these instructions in this order and no others: the limit and the price of compute
//! units, the receiver's token account where it may not exist, one transfer.

use chains::carrier::{SolanaToken, SolanaTransfer};
use solana_instruction::Instruction;
use solana_message::{Hash, Message};
use solana_pubkey::Pubkey;
use solana_system_interface::instruction as system;
use spl_associated_token_account_interface::{
    address::get_associated_token_address_with_program_id,
    instruction::create_associated_token_account_idempotent,
};
use spl_token_interface::instruction as token;

use crate::{chain::key_of, verify::TOKEN_PROGRAMS};

const COMPUTE_BUDGET: &str = "ComputeBudget111111111111111111111111111111";
const SET_UNIT_LIMIT: u8 = 2;
const SET_UNIT_PRICE: u8 = 3;

/// # Errors
/// A sentence when a field is not what it should be.
pub fn bytes(transfer: &SolanaTransfer) -> Result<Vec<u8>, String> {
    let key = |text: &str| key_of(text).ok_or_else(|| "not a key".to_owned());
    let (from, to) = (key(&transfer.from.address)?, key(&transfer.to)?);
    let budget = key(COMPUTE_BUDGET)?;
    let order = |kind: u8, number: &[u8]| Instruction {
        program_id: budget,
        accounts: Vec::new(),
        data: std::iter::once(kind).chain(number.iter().copied()).collect(),
    };
    let mut steps = vec![
        order(SET_UNIT_LIMIT, &transfer.unit_limit.to_le_bytes()),
        order(SET_UNIT_PRICE, &transfer.unit_price.to_le_bytes()),
    ];
    match &transfer.token {
        None => steps.push(system::transfer(&from, &to, transfer.minor)),
        Some(token) => steps.extend(tokens(token, &from, &to, transfer.minor)?),
    }
    // A hash and a key are both base58 of 32 bytes.
    let blockhash = Hash::new_from_array(key(&transfer.blockhash)?.to_bytes());
    Ok(Message::new_with_blockhash(&steps, Some(&from), &blockhash).serialize())
}

fn tokens(
    moved: &SolanaToken,
    from: &Pubkey,
    to: &Pubkey,
    minor: u64,
) -> Result<Vec<Instruction>, String> {
    let key = |text: &str| key_of(text).ok_or_else(|| "not a key".to_owned());
    let (mint, program) = (key(&moved.mint)?, key(&moved.program)?);
    // Both programs read the same bytes; the crate builds them for its own only.
    let plain = key(TOKEN_PROGRAMS.first().copied().unwrap_or_default())?;
    let account = |of: &Pubkey| get_associated_token_address_with_program_id(of, &mint, &program);
    let (purse, theirs) = (account(from), account(to));
    let sent =
        token::transfer_checked(&plain, &purse, &mint, &theirs, from, &[], minor, moved.decimals);
    let sent = sent.map_err(|error| error.to_string())?;
    let create = create_associated_token_account_idempotent(from, to, &mint, &program);
    let create = moved.create_account.then_some(create);
    let transfer = Instruction { program_id: program, ..sent };
    Ok(create.into_iter().chain([transfer]).collect())
}
