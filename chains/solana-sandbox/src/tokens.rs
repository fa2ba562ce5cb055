//! Instructions of token programs the payer needs.
//!
//! Invariant: built by the programs' own crates where they have a function for it; the one thing
//! written by hand is how Token-2022 is told to keep a fee.

use chains_solana::TOKEN_PROGRAMS;
use solana_instruction::{AccountMeta, Instruction};
use solana_pubkey::Pubkey;
use spl_token_interface::instruction as token;

use super::{SandboxError, sentence};

/// A plain mint.
pub(super) const MINT_LENGTH: u64 = 82;
/// A mint of Token-2022 with the extension TransferFeeConfig: padded base, kind, and 4 + 108 bytes.
pub(super) const TAXED_MINT_LENGTH: u64 = 278;
pub(super) const DECIMALS: u8 = 6;

pub(super) fn token_program() -> Result<Pubkey, SandboxError> {
    TOKEN_PROGRAMS.first().copied().unwrap_or_default().parse().map_err(sentence)
}

pub(super) fn token_2022() -> Result<Pubkey, SandboxError> {
    TOKEN_PROGRAMS.last().copied().unwrap_or_default().parse().map_err(sentence)
}

/// Both programs read the same bytes; the crate builds them for its own only.
fn of_program(instruction: Instruction, program: Pubkey) -> Instruction {
    Instruction { program_id: program, ..instruction }
}

pub(super) fn initialize_mint(
    program: Pubkey,
    mint: &Pubkey,
    authority: &Pubkey,
) -> Result<Instruction, SandboxError> {
    let plain = token_program()?;
    let built = token::initialize_mint2(&plain, mint, authority, None, DECIMALS);
    Ok(of_program(built.map_err(sentence)?, program))
}

pub(super) fn mint_to(
    program: Pubkey,
    mint: &Pubkey,
    account: &Pubkey,
    authority: &Pubkey,
    units: u64,
) -> Result<Instruction, SandboxError> {
    let plain = token_program()?;
    let built = token::mint_to(&plain, mint, account, authority, &[], units);
    Ok(of_program(built.map_err(sentence)?, program))
}

/// (mint, from, to) and the owner of `from`.
pub(super) fn transfer(
    program: Pubkey,
    (mint, from, to): (&Pubkey, &Pubkey, &Pubkey),
    owner: &Pubkey,
    units: u64,
) -> Result<Instruction, SandboxError> {
    let plain = token_program()?;
    let built = token::transfer_checked(&plain, from, mint, to, owner, &[], units, DECIMALS);
    Ok(of_program(built.map_err(sentence)?, program))
}

/// TransferFeeExtension (26), InitializeTransferFeeConfig (0): no authorities, a fee in hundredths
/// of a per cent, no upper limit.
pub(super) fn initialize_fee(mint: &Pubkey, bps: u16) -> Result<Instruction, SandboxError> {
    let mut data = vec![26, 0, 0, 0];
    data.extend_from_slice(&bps.to_le_bytes());
    data.extend_from_slice(&u64::MAX.to_le_bytes());
    let accounts = vec![AccountMeta::new(*mint, false)];
    Ok(Instruction { program_id: token_2022()?, accounts, data })
}

/// A token account as both programs store it: nobody else may touch it, nothing is frozen.
pub(super) fn account_data(mint: &Pubkey, owner: &Pubkey, units: u64) -> Vec<u8> {
    let mut data = Vec::with_capacity(165);
    data.extend_from_slice(&mint.to_bytes());
    data.extend_from_slice(&owner.to_bytes());
    data.extend_from_slice(&units.to_le_bytes());
    // No delegate; initialised; not native; nothing delegated; no close authority.
    data.extend_from_slice(&[0; 36]);
    data.push(1);
    data.extend_from_slice(&[0; 12 + 8 + 36]);
    data
}

/// The token account gives all its coins to `to`, however many it has by then.
pub(super) fn close(
    account: &Pubkey,
    to: &Pubkey,
    owner: &Pubkey,
) -> Result<Instruction, SandboxError> {
    token::close_account(&token_program()?, account, to, owner, &[]).map_err(sentence)
}
