//! Bitcoin: what is signed is what was asked for, and nothing else can be.

use bitcoin::{
    Amount as Coins, EcdsaSighashType, Psbt, ScriptBuf, Sequence, Transaction, TxOut,
    absolute::LockTime,
    consensus,
    secp256k1::{Message, PublicKey, Secp256k1},
    sighash::SighashCache,
    transaction::Version,
};
use primitives::Asset;
use signing::{Intent, Purpose, Signer as _};

use crate::world::{
    BTC_VENUE, Move, World, amount, btc_key, btc_script, evm_transfer, id, network, origin,
    refused, with_psbt,
};

/// Every input's signature is of its key and over everything.
fn verify(psbt: &Psbt, tx: &Transaction) {
    let mut cache = SighashCache::new(tx);
    for (index, input) in psbt.inputs.iter().enumerate() {
        let utxo = input.witness_utxo.as_ref().unwrap();
        let witness: Vec<&[u8]> = tx.input[index].witness.iter().collect();
        let signature = bitcoin::ecdsa::Signature::from_slice(witness[0]).unwrap();
        assert_eq!(signature.sighash_type, EcdsaSighashType::All);
        let key = PublicKey::from_slice(witness[1]).unwrap();
        assert_eq!(Some(&key), input.bip32_derivation.keys().next());
        let digest = cache
            .p2wpkh_signature_hash(index, &utxo.script_pubkey, utxo.value, EcdsaSighashType::All)
            .unwrap();
        Secp256k1::new().verify_ecdsa(&Message::from(digest), &signature.signature, &key).unwrap();
    }
}

#[tokio::test]
async fn signs_a_consolidation_with_change() {
    let world = World::new();
    let service = world.start();
    let wish = Move { coins: vec![(0, 0, 500_000), (1, 0, 400_000)], ..Move::new(1, 700_000, 900) };
    let signed = service.sign(&wish.intent(1)).await.unwrap();
    let tx: Transaction = consensus::encode::deserialize_hex(&signed.raw).unwrap();
    let psbt = wish.psbt();
    assert_eq!(tx.compute_txid().to_string(), signed.tx_id);
    assert_eq!(tx.output, psbt.unsigned_tx.output);
    assert_eq!(tx.compute_txid(), psbt.unsigned_tx.compute_txid());
    verify(&psbt, &tx);
}

#[tokio::test]
async fn signs_without_change_and_with_change_first() {
    let world = World::new();
    let service = world.start();
    let wish = Move { coins: vec![(0, 0, 500_000)], ..Move::new(1, 499_000, 1_000) };
    service.sign(&wish.intent(1)).await.unwrap();
    let wish = Move::new(2, 500_000, 1_000);
    let mut psbt = wish.psbt();
    psbt.unsigned_tx.output.swap(0, 1);
    psbt.outputs.swap(0, 1);
    let signed = service.sign(&with_psbt(&wish.intent(2), &psbt)).await.unwrap();
    verify(&psbt, &consensus::encode::deserialize_hex(&signed.raw).unwrap());
}

type Spoil = fn(&mut Psbt);

/// Somebody else's script.
fn foreign() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::hashes::Hash::from_byte_array([9; 20]))
}

fn utxo(psbt: &mut Psbt) -> &mut TxOut {
    psbt.inputs[0].witness_utxo.as_mut().unwrap()
}

const SPOILED: &[(&str, &str, Spoil)] = &[
    ("does_not_match", "a third output", |psbt| {
        let mut output = psbt.unsigned_tx.output[1].clone();
        output.value = Coins::from_sat(1);
        psbt.unsigned_tx.output[1].value -= Coins::from_sat(1);
        psbt.unsigned_tx.output.push(output);
        psbt.outputs.push(psbt.outputs[1].clone());
    }),
    ("does_not_match", "change to somebody else", |psbt| {
        psbt.unsigned_tx.output[1].script_pubkey = foreign();
    }),
    ("does_not_match", "change to somebody else, no path", |psbt| {
        psbt.unsigned_tx.output[1].script_pubkey = foreign();
        psbt.outputs[1].bip32_derivation.clear();
    }),
    ("does_not_match", "change whose path is not told", |psbt| {
        psbt.outputs[1].bip32_derivation.clear();
    }),
    ("does_not_match", "change on the branch of deposits", |psbt| {
        psbt.unsigned_tx.output[1].script_pubkey = btc_script(0, 5);
        psbt.outputs[1].bip32_derivation = [(btc_key(0, 5), origin(0, 5))].into();
    }),
    ("does_not_match", "the venue paid twice", |psbt| {
        psbt.unsigned_tx.output[1] = psbt.unsigned_tx.output[0].clone();
        utxo(psbt).value = Coins::from_sat(401_000);
    }),
    ("does_not_match", "another amount", |psbt| {
        psbt.unsigned_tx.output[0].value += Coins::from_sat(1);
        psbt.unsigned_tx.output[1].value -= Coins::from_sat(1);
    }),
    ("does_not_match", "another destination", |psbt| {
        psbt.unsigned_tx.output[0].script_pubkey = foreign();
    }),
    ("does_not_match", "not replaceable", |psbt| {
        psbt.unsigned_tx.input[0].sequence = Sequence::MAX;
    }),
    ("does_not_match", "locked for a time", |psbt| {
        psbt.unsigned_tx.input[0].sequence = Sequence::from_height(10);
    }),
    ("does_not_match", "locked until a date", |psbt| {
        psbt.unsigned_tx.lock_time = LockTime::from_consensus(1_900_000_000);
    }),
    ("does_not_match", "another version", |psbt| {
        psbt.unsigned_tx.version = Version(3);
    }),
    ("does_not_match", "signing nothing of the outputs", |psbt| {
        psbt.inputs[0].sighash_type = Some(EcdsaSighashType::None.into());
    }),
    ("unknown_key", "a foreign input", |psbt| {
        utxo(psbt).script_pubkey = foreign();
    }),
    ("unknown_key", "an input whose path is another key's", |psbt| {
        psbt.inputs[0].bip32_derivation = [(btc_key(0, 3), origin(0, 4))].into();
    }),
    ("unknown_key", "an input of a branch we have not", |psbt| {
        utxo(psbt).script_pubkey = btc_script(2, 0);
        psbt.inputs[0].bip32_derivation = [(btc_key(2, 0), origin(2, 0))].into();
    }),
    ("unknown_key", "an input without a path", |psbt| {
        psbt.inputs[0].bip32_derivation.clear();
    }),
    ("malformed", "an input with two paths", |psbt| {
        psbt.inputs[0].bip32_derivation.insert(btc_key(0, 9), origin(0, 9));
    }),
    ("malformed", "an input that does not say what it spends", |psbt| {
        psbt.inputs[0].witness_utxo = None;
    }),
    ("malformed", "more out than in", |psbt| {
        utxo(psbt).value = Coins::from_sat(1);
    }),
    ("malformed", "one output spent twice", |psbt| {
        let first = psbt.unsigned_tx.input[0].previous_output;
        psbt.unsigned_tx.input[1].previous_output = first;
    }),
    ("fee_too_high", "a satoshi more than said", |psbt| {
        utxo(psbt).value += Coins::from_sat(1);
    }),
];

#[tokio::test]
async fn a_spoiled_psbt_is_refused_and_nothing_is_counted() {
    let world = World::new();
    let service = world.start();
    let wish = Move::new(1, 500_000, 1_000);
    for (number, (code, what, spoil)) in SPOILED.iter().enumerate() {
        let mut psbt = wish.psbt();
        spoil(&mut psbt);
        let number = u128::try_from(number).unwrap();
        let intent = with_psbt(&wish.intent(100 + number), &psbt);
        assert_eq!(refused(&service, &intent).await, *code, "{what}");
    }
    service.sign(&wish.intent(1)).await.unwrap();
}

#[tokio::test]
async fn the_intent_itself_may_be_wrong() {
    let world = World::new();
    let service = world.start();
    let wish = Move::new(1, 500_000, 1_000);
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    let evm = chains::carrier::Unsigned::Evm(evm_transfer(0, 1, None));
    type Change = Box<dyn Fn(Intent) -> Intent>;
    let text = |psbt: &str| chains::carrier::Unsigned::Bitcoin { psbt: psbt.to_owned() };
    let (empty, garbage) = (text(""), text("cHNidP8BAgMEBQ=="));
    let cases: Vec<(&str, Change)> = vec![
        ("does_not_match", Box::new(|i| Intent { amount: amount(499_999, Asset::Btc), ..i })),
        ("does_not_match", Box::new(|i| Intent { amount: amount(500_000, Asset::Eth), ..i })),
        ("does_not_match", Box::new(|i| Intent { fee_max: amount(1_000, Asset::Eth), ..i })),
        ("does_not_match", Box::new(move |i| Intent { unsigned: evm.clone(), ..i })),
        ("does_not_match", Box::new(|i| Intent { network: network("solana"), ..i })),
        ("fee_too_high", Box::new(|i| Intent { fee_max: amount(999, Asset::Btc), ..i })),
        ("malformed", Box::new(|i| Intent { amount: amount(0, Asset::Btc), ..i })),
        ("malformed", Box::new(|i| Intent { amount: amount(-1, Asset::Btc), ..i })),
        ("malformed", Box::new(move |i| Intent { to: mainnet.to_owned(), ..i })),
        ("malformed", Box::new(|i| Intent { to: "venue".to_owned(), ..i })),
        ("malformed", Box::new(move |i| Intent { unsigned: empty.clone(), ..i })),
        ("malformed", Box::new(move |i| Intent { unsigned: garbage.clone(), ..i })),
        ("unknown_key", Box::new(|i| Intent { network: network("litecoin"), ..i })),
        ("not_allowed", Box::new(|i| Intent { purpose: Purpose::ToCold, ..i })),
        ("not_allowed", Box::new(|i| Intent { purpose: Purpose::Gas, ..i })),
    ];
    for (number, (code, change)) in cases.iter().enumerate() {
        let intent = change(wish.intent(100 + u128::try_from(number).unwrap()));
        let got = refused(&service, &intent).await;
        // Another network's coin is another coin for fees as well.
        assert_eq!(got, *code, "case {number}");
    }
}

#[tokio::test]
async fn the_fee_has_a_bound_of_its_own() {
    let world = World::new();
    let service = world.start();
    assert_eq!(refused(&service, &Move::new(1, 500_000, 20_001).intent(1)).await, "fee_too_high");
    service.sign(&Move::new(1, 500_000, 20_000).intent(2)).await.unwrap();
}

// A witness signature covers its own input's value only. Two askings for one transaction, each
// lying about another input, would together give good signatures for a fee nobody saw.
#[tokio::test]
async fn one_transaction_has_one_set_of_input_values() {
    let world = World::new();
    let service = world.start();
    let wish =
        Move { coins: vec![(0, 0, 501_000), (0, 1, 400_000)], ..Move::new(1, 500_000, 1_000) };
    let honest = wish.psbt();
    let lie = |index: usize, sats: u64| {
        let mut psbt = honest.clone();
        psbt.inputs[index].witness_utxo.as_mut().unwrap().value = Coins::from_sat(sats);
        psbt
    };
    service.sign(&with_psbt(&wish.intent(1), &lie(1, 399_500))).await.unwrap();
    let again = with_psbt(&wish.intent(2), &lie(0, 500_500));
    assert_eq!(refused(&service, &again).await, "does_not_match");
    // Also after a restart.
    drop(service);
    let service = world.start();
    assert_eq!(refused(&service, &wish.intent(3)).await, "does_not_match");
    let same = with_psbt(&wish.intent(4), &lie(1, 399_500));
    service.sign(&same).await.unwrap();
}

#[tokio::test]
async fn an_address_in_capitals_is_the_same_address() {
    let world = World::new();
    let service = world.start();
    let intent = Intent { to: BTC_VENUE.to_uppercase(), ..Move::new(1, 1_000, 300).intent(1) };
    service.sign(&intent).await.unwrap();
    assert_eq!(intent.id, id(1));
}

// Whatever a changed byte makes of it, what is signed pays the venue its amount, gives the rest to
// us, and costs no more than was said.
#[tokio::test]
async fn no_changed_byte_makes_it_pay_differently() {
    let world = World::new();
    let service = world.start();
    let wish = Move { coins: vec![(0, 0, 3_000)], ..Move::new(1, 1_000, 500) };
    let honest = wish.psbt();
    let bytes = honest.serialize();
    let mut signed = 0;
    for at in 0..bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 1 << (at % 8);
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &spoiled);
        let intent = Intent {
            unsigned: chains::carrier::Unsigned::Bitcoin { psbt: text },
            ..wish.intent(1_000 + u128::try_from(at).unwrap())
        };
        let Ok(tx) = service.sign(&intent).await else { continue };
        signed += 1;
        let tx: Transaction = consensus::encode::deserialize_hex(&tx.raw).unwrap();
        assert_eq!(tx.output[0], honest.unsigned_tx.output[0], "byte {at}");
        assert_eq!(tx.output[1].script_pubkey, btc_script(1, 0), "byte {at}");
        // Its value is the input's as it was said; a lie there makes the signature worthless.
        assert!(tx.output.len() == 2 && tx.input.len() == 1, "byte {at}");
    }
    assert!(signed > 0);
}
