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
use signing::{Intent, Purpose, SignError, Signer as _};

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
async fn signs_a_consolidation() {
    let world = World::new();
    let service = world.start();
    // Coins that an account brought from elsewhere has on its branch 1 can be moved too.
    let wish = Move { coins: vec![(0, 0, 500_000), (1, 0, 400_000)], ..Move::new(1, 899_100, 900) };
    let signed = service.sign(&wish.intent(1)).await.unwrap();
    let tx: Transaction = consensus::encode::deserialize_hex(&signed.raw).unwrap();
    let psbt = wish.psbt();
    assert_eq!(tx.compute_txid().to_string(), signed.tx_id);
    assert_eq!(tx.output, psbt.unsigned_tx.output);
    assert_eq!(tx.compute_txid(), psbt.unsigned_tx.compute_txid());
    verify(&psbt, &tx);
}

// Twenty coins of 50 bitcoins for a payment of 600 satoshis: all but that would go where nobody
// looks, and no limit would have counted it.
#[tokio::test]
async fn there_is_no_change_whatever_index_it_names() {
    let world = World::new();
    let service = world.start();
    let coins = (0..20).map(|index| (0, index, 5_000_000_000)).collect();
    let wish = Move { coins, ..Move::new(1, 600, 300) };
    for (number, index) in [(1, 0), (2, 1), (3, 1_999_999_999)] {
        let mut psbt = wish.psbt();
        psbt.unsigned_tx.output[1].script_pubkey = btc_script(1, index);
        psbt.outputs[1].bip32_derivation = [(btc_key(1, index), origin(1, index))].into();
        let intent = with_psbt(&wish.intent(number), &psbt);
        assert_eq!(refused(&service, &intent).await, "does_not_match", "1/{index}");
    }
    // And all of it as fee is above every bound.
    let mut psbt = wish.psbt();
    psbt.unsigned_tx.output.pop();
    psbt.outputs.pop();
    let greedy = Intent { fee_max: amount(99_999_999_400, Asset::Btc), ..wish.intent(4) };
    assert_eq!(refused(&service, &with_psbt(&greedy, &psbt)).await, "fee_too_high");
}

type Spoil = fn(&mut Psbt);

/// Somebody else's script.
fn foreign() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&bitcoin::hashes::Hash::from_byte_array([9; 20]))
}

fn utxo(psbt: &mut Psbt) -> &mut TxOut {
    psbt.inputs[0].witness_utxo.as_mut().unwrap()
}

/// One more output, paid by the first coin.
fn add(psbt: &mut Psbt, sats: u64, script_pubkey: ScriptBuf) {
    let value = Coins::from_sat(sats);
    utxo(psbt).value += value;
    psbt.unsigned_tx.output.push(TxOut { value, script_pubkey });
    psbt.outputs.push(bitcoin::psbt::Output::default());
}

const SPOILED: &[(&str, &str, Spoil)] = &[
    ("does_not_match", "an output to somebody else", |psbt| add(psbt, 1_000, foreign())),
    ("does_not_match", "an output to us, without its path", |psbt| {
        add(psbt, 1_000, btc_script(1, 0));
    }),
    ("does_not_match", "an output to us, with its path", |psbt| {
        add(psbt, 1_000, btc_script(1, 0));
        psbt.outputs[1].bip32_derivation = [(btc_key(1, 0), origin(1, 0))].into();
    }),
    ("does_not_match", "an output to a deposit address of ours", |psbt| {
        add(psbt, 1_000, btc_script(0, 5));
        psbt.outputs[1].bip32_derivation = [(btc_key(0, 5), origin(0, 5))].into();
    }),
    ("does_not_match", "the venue paid twice", |psbt| {
        let venue = psbt.unsigned_tx.output[0].script_pubkey.clone();
        add(psbt, 500_000, venue);
    }),
    ("does_not_match", "nobody paid", |psbt| {
        psbt.unsigned_tx.output.clear();
        psbt.outputs.clear();
    }),
    ("does_not_match", "another amount", |psbt| {
        psbt.unsigned_tx.output[0].value += Coins::from_sat(1);
        utxo(psbt).value += Coins::from_sat(1);
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
        Move { coins: vec![(0, 0, 501_000), (0, 1, 400_000)], ..Move::new(1, 900_000, 1_000) };
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

// Whatever a changed byte makes of it, what is signed pays the venue its amount and nobody anything
// else.
#[tokio::test]
async fn no_changed_byte_makes_it_pay_differently() {
    let world = World::new();
    let service = world.start();
    let wish = Move { coins: vec![(0, 0, 1_500)], ..Move::new(1, 1_000, 500) };
    let honest = wish.psbt();
    let bytes = honest.serialize();
    let (mut signed, mut turned) = (0, 0);
    for at in 0..bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 1 << (at % 8);
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &spoiled);
        let intent = Intent {
            unsigned: chains::carrier::Unsigned::Bitcoin { psbt: text },
            ..wish.intent(1_000 + u128::try_from(at).unwrap())
        };
        // No more in a minute than are written down.
        world.pass(2);
        let tx = match service.sign(&intent).await {
            Ok(tx) => tx,
            Err(SignError::Refused { .. }) => {
                turned += 1;
                continue;
            }
            Err(other) => panic!("not decided: {other}"),
        };
        signed += 1;
        let tx: Transaction = consensus::encode::deserialize_hex(&tx.raw).unwrap();
        assert_eq!(tx.output, honest.unsigned_tx.output, "byte {at}");
        // Its value is the input's as it was said; a lie there makes the signature worthless.
        assert_eq!(tx.input.len(), 1, "byte {at}");
    }
    assert!(signed > 0 && turned > 100);
}
