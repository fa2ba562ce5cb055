//! EVM: transfers only, of listed tokens only, on the right chain only.

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{Address, TxKind, U256},
};
use chains::carrier::{EvmTransfer, KeyRef, SignedTx, Source, Unsigned};
use primitives::Asset;
use signing::{Intent, Purpose, SignError, Signer as _};

use crate::world::{
    EVM_COLD, EVM_FIRST, EVM_VENUE, USDC, World, amount, evm_address, evm_intent, evm_transfer,
    network, refused,
};

fn decode(signed: &SignedTx) -> TxEnvelope {
    let bytes = hex::decode(&signed.raw).unwrap();
    let tx = TxEnvelope::decode_2718(&mut bytes.as_slice()).unwrap();
    assert_eq!(tx.tx_hash().to_string(), signed.tx_id);
    tx
}

fn sender(tx: &TxEnvelope) -> Address {
    let tx = tx.as_eip1559().unwrap();
    tx.signature().recover_address_from_prehash(&tx.signature_hash()).unwrap()
}

fn key(address: &str) -> Address {
    address.parse().unwrap()
}

#[tokio::test]
async fn signs_a_transfer_of_the_coin() {
    let world = World::new();
    let service = world.start();
    let signed = service.sign(&evm_intent(1, &evm_transfer(7, 5, None))).await.unwrap();
    let tx = decode(&signed);
    assert!(tx.is_eip1559() && tx.access_list().unwrap().is_empty() && tx.input().is_empty());
    assert_eq!(sender(&tx), key(EVM_FIRST));
    assert_eq!((tx.chain_id(), tx.nonce(), tx.gas_limit()), (Some(31_337), 7, 60_000));
    assert_eq!((tx.kind(), tx.value()), (TxKind::Call(key(EVM_VENUE)), U256::from(5)));
    assert_eq!(tx.max_fee_per_gas(), 2_000_000_000);
    assert_eq!(tx.max_priority_fee_per_gas(), Some(1_000_000_000));
}

// The call is made by the signer: 4 bytes of `transfer`, the receiver, the number. Nothing an
// intent can say makes it another one.
#[tokio::test]
async fn a_token_moves_by_transfer_and_by_nothing_else() {
    let world = World::new();
    let service = world.start();
    let transfer = evm_transfer(8, 1_500_000, Some(USDC));
    let tx = decode(&service.sign(&evm_intent(1, &transfer)).await.unwrap());
    assert_eq!((tx.kind(), tx.value()), (TxKind::Call(key(USDC)), U256::ZERO));
    let input = format!("a9059cbb{:0>64}{:0>64x}", &EVM_VENUE.to_lowercase()[2..], 1_500_000);
    assert_eq!(hex::encode(tx.input()), input);

    let approve = serde_json::json!("0x095ea7b3");
    for field in ["data", "input", "selector", "access_list", "value"] {
        let mut intent = serde_json::to_value(evm_intent(2, &transfer)).unwrap();
        intent["unsigned"][field] = approve.clone();
        let answer = service.answer(&serde_json::to_vec(&intent).unwrap()).await;
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(answer["outcome"]["refused"]["code"], "malformed", "{field}");
    }
}

#[tokio::test]
async fn a_transaction_that_is_not_the_intent_is_refused() {
    let world = World::new();
    let service = world.start();
    type Spoil = fn(&mut EvmTransfer, &mut Intent);
    let cases: &[(&str, &str, Spoil)] = &[
        ("does_not_match", "another chain", |t, _| t.chain_id = 1),
        ("does_not_match", "another destination", |t, _| t.to = EVM_COLD.to_owned()),
        ("does_not_match", "another amount", |t, _| t.minor = "6".to_owned()),
        ("does_not_match", "the largest number", |t, _| t.minor = u128::MAX.to_string()),
        ("malformed", "beyond all numbers", |t, _| t.minor = "9".repeat(39)),
        ("does_not_match", "a listed token for the coin", |t, _| t.token = Some(USDC.to_owned())),
        ("does_not_match", "an unlisted token", |t, i| {
            t.token = Some(EVM_COLD.to_owned());
            i.amount = amount(5, Asset::Usdc);
        }),
        ("does_not_match", "a token we have no contract of", |_, i| {
            i.amount = amount(5, Asset::Usdt);
        }),
        ("does_not_match", "the coin for a token", |_, i| i.amount = amount(5, Asset::Usdc)),
        ("does_not_match", "fees in another coin", |_, i| {
            i.fee_max = amount(120_000_000_000_000, Asset::Btc);
        }),
        ("unknown_key", "another sender", |t, _| t.from.address = EVM_COLD.to_owned()),
        ("unknown_key", "another key", |t, _| t.from.key = KeyRef::Deposit(1)),
        ("unknown_key", "a key beyond all keys", |t, _| t.from.key = KeyRef::Deposit(u32::MAX)),
        ("malformed", "a sender that is none", |t, i| {
            t.to = "0x12".to_owned();
            i.to = "0x12".to_owned();
        }),
        ("malformed", "a wrong checksum", |t, i| {
            let wrong = EVM_VENUE.replace("0x70997970C", "0x70997970c");
            t.to.clone_from(&wrong);
            i.to = wrong;
        }),
        ("malformed", "no number", |t, _| t.minor = "5.0".to_owned()),
        ("malformed", "a sign", |t, _| t.minor = "+5".to_owned()),
        ("malformed", "priority above all", |t, _| {
            t.priority_fee_per_gas = "2000000001".to_owned();
        }),
        ("malformed", "a contract that is none", |t, i| {
            t.token = Some("usdc".to_owned());
            i.amount = amount(5, Asset::Usdc);
        }),
        ("fee_too_high", "a unit of gas more than said", |t, _| t.gas_limit = 60_001),
        ("fee_too_high", "beyond all numbers", |t, _| t.fee_per_gas_max = u128::MAX.to_string()),
        ("fee_too_high", "above the network's bound", |t, i| {
            t.gas_limit = 5_000_001;
            i.fee_max = amount(1_000_000_000_000_000_000, Asset::Eth);
        }),
        ("not_allowed", "not in the list", |t, i| {
            t.to = EVM_FIRST.to_owned();
            i.to = EVM_FIRST.to_owned();
        }),
        ("not_allowed", "in the list for something else", |t, i| {
            t.to = EVM_COLD.to_owned();
            i.to = EVM_COLD.to_owned();
        }),
        ("not_allowed", "from the gas station", |t, _| {
            t.from = Source { address: evm_address(1, 0), key: KeyRef::Gas };
        }),
    ];
    for (number, (code, what, spoil)) in cases.iter().enumerate() {
        let mut transfer = evm_transfer(0, 5, None);
        let mut intent = evm_intent(100 + u128::try_from(number).unwrap(), &transfer);
        spoil(&mut transfer, &mut intent);
        intent.unsigned = Unsigned::Evm(transfer);
        assert_eq!(refused(&service, &intent).await, *code, "{what}");
    }
}

fn gas(number: u128, to: &str, index: u32) -> Intent {
    let transfer = EvmTransfer {
        from: Source { address: evm_address(1, 0), key: KeyRef::Gas },
        to: to.to_owned(),
        ..evm_transfer(u64::try_from(number).unwrap(), 1_000, None)
    };
    let intent = evm_intent(number, &transfer);
    Intent { purpose: Purpose::Gas, to_index: Some(index), ..intent }
}

#[tokio::test]
async fn gas_goes_to_our_own_deposit_addresses_only() {
    let world = World::new();
    let service = world.start();
    // However many there are by now.
    for (number, index) in [(1, 49), (2, 20_000), (3, 2_147_483_647)] {
        let wish = gas(number, &evm_address(0, index), index);
        let signed = service.sign(&wish).await.unwrap();
        assert_eq!(sender(&decode(&signed)), key(&evm_address(1, 0)));
    }
    service.sign(&gas(4, EVM_FIRST, 0)).await.unwrap();
    // Not another one than it says, not the gas station itself, not the venue, and no hardened one.
    for (number, to, index) in [
        (10, evm_address(0, 50), 49),
        (11, evm_address(1, 0), 0),
        (12, EVM_VENUE.to_owned(), 0),
        (13, evm_address(0, 50), u32::MAX),
        (14, evm_address(0, 50), 1 << 31),
    ] {
        assert_eq!(refused(&service, &gas(number, &to, index)).await, "not_allowed", "{to}");
    }
    let unnamed = Intent { to_index: None, ..gas(15, EVM_FIRST, 0) };
    assert_eq!(refused(&service, &unnamed).await, "not_allowed");
    let mut from_deposit =
        evm_intent(6, &EvmTransfer { to: EVM_FIRST.to_owned(), ..evm_transfer(0, 1_000, None) });
    from_deposit.purpose = Purpose::Gas;
    from_deposit.to_index = Some(0);
    assert_eq!(refused(&service, &from_deposit).await, "not_allowed");
    // Tokens are no gas.
    let mut token = gas(7, EVM_FIRST, 0);
    let Unsigned::Evm(transfer) = &mut token.unsigned else { unreachable!() };
    transfer.token = Some(USDC.to_owned());
    token.amount = amount(1_000, Asset::Usdc);
    assert_eq!(refused(&service, &token).await, "does_not_match");
}

// Where an address comes from is no part of what is signed, so an asking without it is the same.
#[tokio::test]
async fn the_index_is_no_part_of_what_an_id_stands_for() {
    let world = World::new();
    let service = world.start();
    let signed = service.sign(&gas(1, EVM_FIRST, 0)).await.unwrap();
    let unnamed = Intent { to_index: None, ..gas(1, EVM_FIRST, 0) };
    assert_eq!(service.sign(&unnamed).await, Ok(signed));
}

#[tokio::test]
async fn gas_needs_no_list() {
    let world = World::new();
    std::fs::remove_file(&world.config.allow_list).unwrap();
    let service = world.start();
    service.sign(&gas(1, EVM_FIRST, 0)).await.unwrap();
    let venue = evm_intent(2, &evm_transfer(0, 5, None));
    assert!(matches!(service.sign(&venue).await, Err(SignError::Unavailable(_))));
    assert_eq!(venue.network, network("ethereum"));
}
