//! Signs what the carrier decided, with the wallet's key that everybody has.
//!
//! Invariant: only for the sandbox's wallet; the product's own key lives in another process, which
//! shares no code with this.

use chains::carrier::{Draft, SignedTx, Unsigned};
use chains_solana::message_bytes;
use solana_signer::Signer as _;

use super::{SandboxError, WALLET, keypair};

/// Signs a draft of [`super::dev_wallet`].
///
/// # Errors
/// When it is not a Solana draft, or not from that wallet.
pub fn dev_sign(draft: &Draft) -> Result<SignedTx, SandboxError> {
    let Unsigned::Solana(transfer) = &draft.unsigned else {
        return Err(SandboxError("not a Solana draft".to_owned()));
    };
    let keys = keypair(WALLET);
    if keys.pubkey().to_string() != transfer.from.address {
        return Err(SandboxError("not from the sandbox's wallet".to_owned()));
    }
    let message = message_bytes(transfer).map_err(SandboxError)?;
    let signature = keys.sign_message(&message);
    let raw: Vec<u8> =
        std::iter::once(1).chain(signature.as_ref().iter().copied()).chain(message).collect();
    Ok(SignedTx { tx_id: signature.to_string(), raw: hex::encode(raw) })
}
