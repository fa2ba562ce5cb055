//! What a signed transaction is on the tests' own network: its intent, in hexadecimal.

use chains::carrier::{Movable, Unsigned};
use signing::Intent;

/// What a signed transaction takes, read from what was signed.
pub(crate) fn taken_by(intent: &Intent) -> (Vec<Movable>, Vec<String>) {
    match &intent.unsigned {
        Unsigned::Bitcoin { psbt } => {
            let from: Vec<Movable> = serde_json::from_str(psbt).unwrap();
            let spends = from.iter().filter_map(|m| m.outpoint.clone()).collect();
            (from, spends)
        }
        Unsigned::Evm(t) => {
            let from = Movable { source: t.from.clone(), amount: intent.amount, outpoint: None };
            (vec![from], vec![format!("{}:{}", t.from.address, t.nonce)])
        }
        Unsigned::Solana(t) => {
            let from = Movable { source: t.from.clone(), amount: intent.amount, outpoint: None };
            (vec![from], vec![intent.id.to_string()])
        }
    }
}

/// The name of what is signed for an intent.
pub(crate) fn tx_id(intent: &Intent) -> String {
    format!("0x{}", intent.id.simple())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}
