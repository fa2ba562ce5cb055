//! Sending what was signed, and reading what nodes say of it.
//!
//! Invariants: one node that takes it is enough; refused means that every node that heard of it
//! refused it, and that none may have taken it unnoticed; anything else is unknown. A node that has
//! never heard of the coins has no say.

use bitcoin::{OutPoint, Transaction, consensus::encode};
use chains::{
    ReadError, TxPlace,
    carrier::{SendError, SignedTx},
    nodes::Node as _,
};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    locate,
    node::{Fault, Node},
};

/// No node passes on a transaction of more than 100 000 virtual bytes.
const LONGEST: usize = 900_000;

/// "Transaction outputs already in utxo set": it is in a block.
const IN_A_BLOCK: i32 = -27;
const REJECTED: [i32; 2] = [-25, -26];
const UNREADABLE: i32 = -22;
/// Still loading.
const WARMING_UP: i32 = -28;

/// One node's word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Taken,
    Refused(String),
    /// It never got it, or cannot judge it.
    Silent(String),
    /// It may have taken it.
    Lost(String),
}

/// The transaction, as it was signed.
///
/// # Errors
/// `Refused` when it is not the one it says it is.
pub(super) fn read(signed: &SignedTx) -> Result<Transaction, SendError> {
    let malformed = || SendError::Refused("malformed".to_owned());
    let raw = Some(&signed.raw).filter(|raw| raw.len() <= LONGEST).ok_or_else(malformed)?;
    let tx: Transaction = encode::deserialize_hex(raw).map_err(|_| malformed())?;
    if tx.compute_txid().to_string() == signed.tx_id { Ok(tx) } else { Err(malformed()) }
}

/// To every node at once: whoever is nearer to a miner is nearer.
pub(super) async fn to_all(nodes: &[Node], tx: &Transaction, raw: &str) -> Result<(), SendError> {
    verdict(join_all(nodes.iter().map(|node| offer(node, tx, raw))).await)
}

fn verdict(words: Vec<Word>) -> Result<(), SendError> {
    if words.contains(&Word::Taken) {
        return Ok(());
    }
    let lost = words.iter().find_map(|word| match word {
        Word::Lost(why) => Some(why.clone()),
        _ => None,
    });
    if let Some(why) = lost {
        return Err(SendError::Unknown(why));
    }
    let mut silent = None;
    for word in words {
        match word {
            Word::Refused(code) => return Err(SendError::Refused(code)),
            Word::Silent(why) => silent = silent.or(Some(why)),
            Word::Taken | Word::Lost(_) => {}
        }
    }
    Err(SendError::Unknown(silent.unwrap_or_else(|| "no node is configured".to_owned())))
}

async fn offer(node: &Node, tx: &Transaction, raw: &str) -> Word {
    if let Err(error) = node.ensure_ours().await {
        return Word::Silent(error.to_string());
    }
    let id = tx.compute_txid().to_string();
    match node.call::<String>("sendrawtransaction", vec![json!(raw)]).await {
        Ok(taken) if taken == id => Word::Taken,
        Ok(_) => Word::Lost("the node took another transaction".to_owned()),
        Err(Fault::Unreached(why)) => Word::Silent(why.to_owned()),
        Err(Fault::Failed(why)) => Word::Lost(why),
        Err(Fault::NotFound) => Word::Lost("an answer that makes no sense".to_owned()),
        Err(Fault::Said { code, message }) => match said(code, &message) {
            Word::Refused(code) if code == SPENT => missing(node, tx).await,
            word => word,
        },
    }
}

const SPENT: &str = "inputs_spent";

/// What bitcoind's words mean, by how they begin.
const MEANINGS: [(&str, &str); 16] = [
    ("bad-txns-inputs-missingorspent", SPENT),
    ("Missing inputs", SPENT),
    ("txn-mempool-conflict", "conflict"),
    ("bad-txns-spends-conflicting-tx", "conflict"),
    ("too many potential replacements", "conflict"),
    ("insufficient fee", "replacement_fee_too_low"),
    ("replacement-", "replacement_fee_too_low"),
    ("min relay fee not met", "fee_too_low"),
    ("mempool min fee not met", "fee_too_low"),
    ("mempool full", "fee_too_low"),
    ("max-fee-exceeded", "fee_too_high"),
    ("Fee exceeds maximum", "fee_too_high"),
    ("non-final", "not_final"),
    ("non-BIP68-final", "not_final"),
    ("bad-txns-premature-spend-of-coinbase", "not_final"),
    ("dust", "dust"),
];

fn said(code: i32, message: &str) -> Word {
    // The last one: the same transaction, its witness aside.
    let here =
        ["txn-already-in-mempool", "txn-already-known", "txn-same-nonwitness-data-in-mempool"];
    if code == IN_A_BLOCK || here.iter().any(|known| message.starts_with(known)) {
        return Word::Taken;
    }
    if code == UNREADABLE {
        return Word::Refused("malformed".to_owned());
    }
    let shown = format!("error {code}: {message}");
    if code == WARMING_UP {
        return Word::Silent(shown);
    }
    if !REJECTED.contains(&code) {
        return Word::Lost(shown);
    }
    if message.contains("script-verify-flag") {
        return Word::Refused("bad_signature".to_owned());
    }
    let known = MEANINGS.iter().find(|(begins, _)| message.starts_with(begins));
    Word::Refused(
        known.map_or_else(|| format!("rejected: {message}"), |(_, code)| (*code).to_owned()),
    )
}

/// A node says that an output is missing or spent. It says the same of its own transaction in a
/// block whose outputs are spent again, and of coins of blocks it has not got yet.
async fn missing(node: &Node, tx: &Transaction) -> Word {
    match locate::transaction(node, tx.compute_txid(), &[]).await {
        Ok(TxPlace::Included { .. }) => return Word::Taken,
        Ok(_) => {}
        Err(error) => return Word::Silent(error.to_string()),
    }
    for input in &tx.input {
        match is_gone(node, input.previous_output).await {
            Ok(true) => return Word::Refused(SPENT.to_owned()),
            Ok(false) => {}
            Err(fault) => return Word::Silent(ReadError::from(fault).to_string()),
        }
    }
    Word::Silent("the node does not know the coins yet".to_owned())
}

/// True when the node knows the transaction that made an output, and the output is not there: it is
/// spent, or its transaction left the chain.
async fn is_gone(node: &Node, at: OutPoint) -> Result<bool, Fault> {
    let asked = vec![json!(at.txid), json!(at.vout), json!(true)];
    if !node.call::<Value>("gettxout", asked).await?.is_null() {
        return Ok(false);
    }
    match node.call::<Value>("getrawtransaction", vec![json!(at.txid), json!(false)]).await {
        Ok(_) => Ok(true),
        Err(Fault::NotFound) => Ok(false),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Word {
        Word::Refused(code.to_owned())
    }

    #[test]
    fn what_nodes_say_has_a_short_name() {
        let cases = [
            (-25, "bad-txns-inputs-missingorspent", refused(SPENT)),
            (-26, "txn-mempool-conflict", refused("conflict")),
            (
                -26,
                "insufficient fee, rejecting replacement ab; new feerate 0.1 <= old feerate 0.2",
                refused("replacement_fee_too_low"),
            ),
            (-26, "min relay fee not met, 0 < 141", refused("fee_too_low")),
            (-26, "mempool min fee not met, 3 < 9", refused("fee_too_low")),
            (-26, "non-final", refused("not_final")),
            (-26, "dust, tx with dust output must be 0-fee", refused("dust")),
            (
                -26,
                "mempool-script-verify-flag-failed (Signature must be zero)",
                refused("bad_signature"),
            ),
            (-26, "scriptpubkey", refused("rejected: scriptpubkey")),
            (-22, "TX decode failed. Make sure", refused("malformed")),
            (-27, "Transaction outputs already in utxo set", Word::Taken),
            (-26, "txn-already-known", Word::Taken),
            (-28, "Loading block index…", Word::Silent("error -28: Loading block index…".into())),
            (-1, "map::at", Word::Lost("error -1: map::at".into())),
        ];
        for (code, message, word) in cases {
            assert_eq!(said(code, message), word, "{message}");
        }
    }

    #[test]
    fn who_may_have_taken_it_decides() {
        let (silent, lost) = (Word::Silent("down".into()), Word::Lost("cut".into()));
        let unknown = |why: &str| Err(SendError::Unknown(why.to_owned()));
        assert_eq!(verdict(vec![refused("conflict"), lost.clone(), Word::Taken]), Ok(()));
        let no = Err(SendError::Refused("conflict".to_owned()));
        assert_eq!(verdict(vec![silent.clone(), refused("conflict")]), no);
        assert_eq!(verdict(vec![refused("conflict"), lost]), unknown("cut"));
        assert_eq!(verdict(vec![silent.clone(), silent]), unknown("down"));
        assert_eq!(verdict(vec![]), unknown("no node is configured"));
    }
}
