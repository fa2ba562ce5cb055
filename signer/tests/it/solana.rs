//! Solana: the message is the signer's own, to the byte.

use chains::carrier::{KeyRef, SignedTx, SolanaTransfer, Unsigned};
use primitives::Asset;
use signing::{Intent, Purpose, Signer as _};
use solana_keypair::Signature;
use solana_message::legacy::Message;
use solana_pubkey::Pubkey;

use crate::world::{
    EVM_VENUE, MINT, SOL_VENUE, TOKEN_PROGRAM, World, amount, refused, solana_intent,
    solana_transfer,
};

/// The message, after its one signature was verified.
fn decode(signed: &SignedTx, expected: &Message) {
    let raw = hex::decode(&signed.raw).unwrap();
    assert_eq!(raw[0], 1);
    let signature = Signature::try_from(&raw[1..65]).unwrap();
    assert_eq!(signature.to_string(), signed.tx_id);
    assert_eq!(raw[65..], expected.serialize());
    assert!(signature.verify(expected.account_keys[0].as_ref(), &raw[65..]));
}

fn key(text: &str) -> Pubkey {
    text.parse().unwrap()
}

fn expected(transfer: &SolanaTransfer, rest: &[solana_instruction::Instruction]) -> Message {
    let budget = key("ComputeBudget111111111111111111111111111111");
    let step = |data: Vec<u8>| solana_instruction::Instruction {
        program_id: budget,
        accounts: Vec::new(),
        data,
    };
    let mut steps = vec![
        step([&[2][..], &transfer.unit_limit.to_le_bytes()].concat()),
        step([&[3][..], &transfer.unit_price.to_le_bytes()].concat()),
    ];
    steps.extend_from_slice(rest);
    let hash = transfer.blockhash.parse().unwrap();
    Message::new_with_blockhash(&steps, Some(&key(&transfer.from.address)), &hash)
}

#[tokio::test]
async fn signs_a_transfer_of_the_coin() {
    let world = World::new();
    let transfer = solana_transfer(1_000_000, false);
    let signed = world.start().sign(&solana_intent(1, &transfer)).await.unwrap();
    let (from, to) = (key(&transfer.from.address), key(SOL_VENUE));
    let step = solana_system_interface::instruction::transfer(&from, &to, 1_000_000);
    decode(&signed, &expected(&transfer, &[step]));
}

#[tokio::test]
async fn signs_a_transfer_of_a_token_with_and_without_a_new_account() {
    use spl_associated_token_account_interface::{
        address::get_associated_token_address_with_program_id as account_of,
        instruction::create_associated_token_account_idempotent as create,
    };
    let world = World::new();
    let service = world.start();
    let (to, mint, program) = (key(SOL_VENUE), key(MINT), key(TOKEN_PROGRAM));
    for (number, creates) in [(1, true), (2, false)] {
        let mut transfer = solana_transfer(2_000_000, true);
        transfer.token.as_mut().unwrap().create_account = creates;
        let from = key(&transfer.from.address);
        let mut steps = Vec::new();
        if creates {
            steps.push(create(&from, &to, &mint, &program));
        }
        let (source, target) =
            (account_of(&from, &mint, &program), account_of(&to, &mint, &program));
        let pay = spl_token_interface::instruction::transfer_checked(
            &program,
            &source,
            &mint,
            &target,
            &from,
            &[],
            2_000_000,
            6,
        );
        steps.push(pay.unwrap());
        let signed = service.sign(&solana_intent(number, &transfer)).await.unwrap();
        decode(&signed, &expected(&transfer, &steps));
    }
}

#[tokio::test]
async fn a_transaction_that_is_not_the_intent_is_refused() {
    let world = World::new();
    let service = world.start();
    type Spoil = fn(&mut SolanaTransfer, &mut Intent);
    let cases: &[(&str, &str, Spoil)] = &[
        ("does_not_match", "another destination", |t, _| t.to = MINT.to_owned()),
        ("does_not_match", "another amount", |t, _| t.minor += 1),
        ("does_not_match", "the coin for a token", |t, _| t.token = None),
        ("does_not_match", "a token for the coin", |_, i| i.amount = amount(10, Asset::Sol)),
        ("does_not_match", "a token that is not listed", |_, i| {
            i.amount = amount(10, Asset::Usdt);
        }),
        ("does_not_match", "another mint", |t, _| {
            t.token.as_mut().unwrap().mint = SOL_VENUE.to_owned();
        }),
        ("does_not_match", "another program", |t, _| {
            t.token.as_mut().unwrap().program = SOL_VENUE.to_owned();
        }),
        ("does_not_match", "other decimals", |t, _| t.token.as_mut().unwrap().decimals = 9),
        ("does_not_match", "fees in another coin", |_, i| i.fee_max = amount(9_000, Asset::Usdc)),
        ("unknown_key", "another sender", |t, _| t.from.address = SOL_VENUE.to_owned()),
        ("unknown_key", "a key we have not", |t, _| t.from.key = KeyRef::Deposit(1)),
        ("malformed", "no mint", |t, _| t.token.as_mut().unwrap().mint = EVM_VENUE.to_owned()),
        ("malformed", "no blockhash", |t, _| t.blockhash = "0".to_owned()),
        ("malformed", "no destination", |t, i| {
            t.to = EVM_VENUE.to_owned();
            i.to = EVM_VENUE.to_owned();
        }),
        ("malformed", "more units than there are", |t, _| t.unit_limit = 1_400_001),
        ("fee_too_high", "a lamport more than said", |t, _| t.unit_price = 1_001),
        ("fee_too_high", "all a bid can be", |t, _| t.unit_price = u64::MAX),
        ("not_allowed", "not in the list", |t, i| {
            t.to = MINT.to_owned();
            i.to = MINT.to_owned();
        }),
        ("not_allowed", "gas", |_, i| i.purpose = Purpose::Gas),
        ("not_allowed", "a gas station", |t, _| t.from.key = KeyRef::Gas),
    ];
    for (number, (code, what, spoil)) in cases.iter().enumerate() {
        let mut transfer = solana_transfer(10, true);
        let mut intent = solana_intent(100 + u128::try_from(number).unwrap(), &transfer);
        spoil(&mut transfer, &mut intent);
        intent.unsigned = Unsigned::Solana(transfer);
        assert_eq!(refused(&service, &intent).await, *code, "{what}");
    }
}

// Four new accounts cost less than an hour's fees, a fifth does not.
#[tokio::test]
async fn the_rent_of_new_accounts_counts_as_fees() {
    let world = World::new();
    let service = world.start();
    for number in 1..=4 {
        let transfer = solana_transfer(u64::try_from(number).unwrap(), true);
        service.sign(&solana_intent(number, &transfer)).await.unwrap();
    }
    let fifth = solana_intent(5, &solana_transfer(5, true));
    assert_eq!(refused(&service, &fifth).await, "over_limit");
    let mut plain = solana_transfer(6, true);
    plain.token.as_mut().unwrap().create_account = false;
    service.sign(&solana_intent(6, &plain)).await.unwrap();
}
