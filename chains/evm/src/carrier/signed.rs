//! Reading a signed transfer back into a draft.
//!
//! Invariant: what is written is what was signed, in every field, by the key of the very place: the
//! draft that is changed only says which move it is for. Nothing is asked of a node.

use alloy::{
    consensus::SignableTransaction as _,
    primitives::{TxKind, U256},
    sol_types::SolCall as _,
};
use chains::carrier::{Draft, EvmTransfer, SignedTx, Unsigned};
use primitives::Amount;

use super::{
    send::Raw,
    transfer::{Call, Fees},
};
use crate::{tokens::transferCall, wire::address_of};

pub(super) fn read(like: &Draft, signed: &SignedTx, chain_id: u64) -> Result<Draft, String> {
    let Unsigned::Evm(old) = &like.unsigned else {
        return Err("not a draft of this network".to_owned());
    };
    let tx = Raw::try_new(signed, chain_id)?.tx;
    let sender = tx.signature().recover_address_from_prehash(&tx.tx().signature_hash());
    if sender.ok() != address_of(&old.from.address) {
        return Err("another address signed it".to_owned());
    }
    let tx = tx.tx();
    let minor = match &old.token {
        None => tx.value,
        Some(_) => transferCall::abi_decode(&tx.input).map_or(U256::ZERO, |call| call.value),
    };
    let transfer = EvmTransfer {
        nonce: tx.nonce,
        minor: minor.to_string(),
        gas_limit: tx.gas_limit,
        fee_per_gas_max: tx.max_fee_per_gas.to_string(),
        priority_fee_per_gas: tx.max_priority_fee_per_gas.to_string(),
        ..old.clone()
    };
    let call = Call::of(&transfer)?;
    let same = tx.to == TxKind::Call(call.to)
        && tx.value == call.value
        && tx.input == call.input
        && tx.access_list.is_empty()
        && transfer.to == like.to
        && transfer.chain_id == chain_id;
    if !same {
        return Err("it does something else, or pays somebody else".to_owned());
    }
    let amount = i128::try_from(minor).ok().filter(|minor| *minor > 0);
    let amount = amount.and_then(|minor| Amount::try_new(minor, like.amount.asset()).ok());
    let fee_max = fee_max(like, old, &transfer)?;
    Ok(Draft {
        amount: amount.ok_or("an amount that cannot be moved")?,
        fee_max: fee_max.ok_or("a fee beyond what can exist")?,
        unsigned: Unsigned::Evm(transfer),
        ..like.clone()
    })
}

/// What its gas may cost, and beside it what the old draft set aside for what is not in the bytes.
fn fee_max(like: &Draft, old: &EvmTransfer, new: &EvmTransfer) -> Result<Option<Amount>, String> {
    let paid = u128::try_from(like.fee_max.minor()).ok();
    let beside = paid.zip(Fees::of(old)?.most()).and_then(|(paid, gas)| paid.checked_sub(gas));
    let most = beside.zip(Fees::of(new)?.most()).and_then(|(beside, gas)| beside.checked_add(gas));
    let most = most.and_then(|most| i128::try_from(most).ok());
    Ok(most.and_then(|most| Amount::try_new(most, like.fee_max.asset()).ok()))
}

#[cfg(test)]
mod tests {
    use alloy::{
        consensus::{TxEip1559, TxEnvelope},
        eips::eip2718::Encodable2718 as _,
        network::TxSignerSync as _,
        primitives::{B256, hex, keccak256},
        signers::local::PrivateKeySigner,
    };
    use chains::carrier::{KeyRef, Movable, Source};
    use primitives::Asset;

    use super::*;
    use crate::wire::{text_of_address, text_of_hash};

    const CHAIN: u64 = 31_337;
    const TOKEN: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
    const TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

    fn key(byte: u8) -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap()
    }

    fn like(token: bool) -> Draft {
        let address = text_of_address(key(1).address());
        let from = Source { address, key: KeyRef::Gas };
        let asset = if token { Asset::Usdc } else { Asset::Eth };
        let transfer = EvmTransfer {
            chain_id: CHAIN,
            from: from.clone(),
            nonce: 9,
            to: TO.to_owned(),
            token: token.then(|| TOKEN.to_owned()),
            minor: "500".to_owned(),
            gas_limit: 21_000,
            fee_per_gas_max: "10".to_owned(),
            priority_fee_per_gas: "1".to_owned(),
        };
        Draft {
            from: vec![Movable {
                source: from,
                amount: Amount::try_new(1_000_000, asset).unwrap(),
                outpoint: None,
            }],
            to: TO.to_owned(),
            amount: Amount::try_new(500, asset).unwrap(),
            // 7 beside the gas.
            fee_max: Amount::try_new(210_007, Asset::Eth).unwrap(),
            unsigned: Unsigned::Evm(transfer),
        }
    }

    /// What was signed for an earlier draft: at another nonce, with another fee and amount.
    fn earlier(token: bool, minor: u128, change: impl FnOnce(&mut TxEip1559)) -> TxEip1559 {
        let contract = token.then(|| address_of(TOKEN).unwrap());
        let call = Call::new(contract, address_of(TO).unwrap(), minor);
        let mut tx = TxEip1559 {
            chain_id: CHAIN,
            nonce: 7,
            gas_limit: 30_000,
            max_fee_per_gas: 20,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(call.to),
            value: call.value,
            input: call.input,
            ..TxEip1559::default()
        };
        change(&mut tx);
        tx
    }

    fn sign(mut tx: TxEip1559, key: &PrivateKeySigner) -> SignedTx {
        let signature = key.sign_transaction_sync(&mut tx).unwrap();
        let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        SignedTx { tx_id: text_of_hash(keccak256(&raw)), raw: hex::encode(raw) }
    }

    #[test]
    fn what_was_signed_is_what_is_read() {
        for token in [false, true] {
            let like = like(token);
            let signed = sign(earlier(token, 444, |_| ()), &key(1));
            let read = read(&like, &signed, CHAIN).unwrap();
            let Unsigned::Evm(transfer) = &read.unsigned else { panic!("another network") };
            assert_eq!((transfer.nonce, transfer.minor.as_str()), (7, "444"));
            assert_eq!(transfer.gas_limit, 30_000);
            assert_eq!(
                (transfer.fee_per_gas_max.as_str(), transfer.priority_fee_per_gas.as_str()),
                ("20", "2")
            );
            assert_eq!((read.amount.minor(), read.amount.asset()), (444, like.amount.asset()));
            assert_eq!(read.fee_max.minor(), 600_007);
            assert_eq!((&read.from, &read.to), (&like.from, &like.to));
        }
    }

    #[test]
    fn what_is_not_this_move_is_not_read() {
        let no = |signed: &SignedTx, token: bool, word: &str| {
            let read = read(&like(token), signed, CHAIN);
            assert!(matches!(&read, Err(why) if why.contains(word)), "{word}: {read:?}");
        };
        let plain = |change: fn(&mut TxEip1559)| sign(earlier(false, 444, change), &key(1));
        no(&sign(earlier(false, 444, |_| ()), &key(2)), false, "another address");
        no(&plain(|tx| tx.to = TxKind::Call(address_of(TOKEN).unwrap())), false, "somebody else");
        no(&plain(|tx| tx.to = TxKind::Create), false, "somebody else");
        no(&plain(|tx| tx.input = vec![1].into()), false, "something else");
        no(&plain(|tx| tx.chain_id = 1), false, "this chain");
        no(&plain(|tx| tx.value = U256::ZERO), false, "cannot be moved");
        no(&plain(|_| ()), true, "something else");
        no(&sign(earlier(true, 444, |tx| tx.value = U256::from(1)), &key(1)), true, "something");
        let other = SignedTx { tx_id: plain(|tx| tx.nonce = 1).tx_id, ..plain(|_| ()) };
        no(&other, false, "another transaction");
        no(&SignedTx { raw: "00".to_owned(), ..plain(|_| ()) }, false, "another transaction");
    }
}
