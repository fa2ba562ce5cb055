//! Signs what the carrier decided, with keys that everybody has.
//!
//! Invariant: only for accounts of [`super::dev_account`]; the product's own keys live in another
//! process, which shares no code with this.

use alloy::{
    consensus::{SignableTransaction as _, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718 as _,
    network::TxSignerSync as _,
    primitives::{B256, TxKind, hex, keccak256},
    signers::local::PrivateKeySigner,
};
use bitcoin::bip32::{ChildNumber, Xpriv};
use chains::carrier::{Draft, EvmTransfer, KeyRef, SignedTx, Unsigned};
use chains_evm::raw::{Call, Fees, text_of_address, text_of_hash};

use super::{SEED, SandboxError};

/// Signs a draft of [`super::dev_account`] 0.
///
/// # Errors
/// When it is not an EVM draft, or not from the address of its key.
pub fn dev_sign(draft: &Draft) -> Result<SignedTx, SandboxError> {
    match &draft.unsigned {
        Unsigned::Evm(transfer) => sign(transfer),
        _ => Err(SandboxError("not an EVM draft".to_owned())),
    }
}

fn sign(transfer: &EvmTransfer) -> Result<SignedTx, SandboxError> {
    let signer = key(transfer.from.key)?;
    if text_of_address(signer.address()) != transfer.from.address {
        return Err(SandboxError("not the address of its key".to_owned()));
    }
    let call = Call::of(transfer).map_err(SandboxError)?;
    let fees = Fees::of(transfer).map_err(SandboxError)?;
    let mut unsigned = TxEip1559 {
        chain_id: transfer.chain_id,
        nonce: transfer.nonce,
        gas_limit: fees.gas_limit,
        max_fee_per_gas: fees.per_gas,
        max_priority_fee_per_gas: fees.priority,
        to: TxKind::Call(call.to),
        value: call.value,
        input: call.input,
        ..TxEip1559::default()
    };
    let signature = signer
        .sign_transaction_sync(&mut unsigned)
        .map_err(|_| SandboxError("the transaction cannot be signed".to_owned()))?;
    let raw = TxEnvelope::from(unsigned.into_signed(signature)).encoded_2718();
    Ok(SignedTx { tx_id: text_of_hash(keccak256(&raw)), raw: hex::encode(raw) })
}

fn key(key: KeyRef) -> Result<PrivateKeySigner, SandboxError> {
    let broken = |error: bitcoin::bip32::Error| SandboxError(error.to_string());
    let curve = bitcoin::secp256k1::Secp256k1::new();
    let master = Xpriv::new_master(bitcoin::NetworkKind::Main, &SEED).map_err(broken)?;
    let hardened = [44, 60, 0].map(|index| ChildNumber::Hardened { index });
    let (branch, index) = match key {
        KeyRef::Deposit(index) => (0, index),
        KeyRef::Gas => (1, 0),
    };
    let branch = ChildNumber::from_normal_idx(branch).map_err(broken)?;
    let index = ChildNumber::from_normal_idx(index).map_err(broken)?;
    let path = [hardened.as_slice(), &[branch, index]].concat();
    let child = master.derive_priv(&curve, &path).map_err(broken)?;
    let secret = B256::from(child.private_key.secret_bytes());
    PrivateKeySigner::from_bytes(&secret).map_err(|_| SandboxError("no key".to_owned()))
}
