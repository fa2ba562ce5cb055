//! Fake deposits the runtime really executes: none is credited to a payment.

use chains::{Arrived, Chain as _, sandbox::Sandbox as _};
use chains_solana::{MintConfig, SolanaChain};
use chains_solana_sandbox::{dev_mints, dev_wallet};
use primitives::Asset;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_pubkey::Pubkey;
use solana_signer::Signer as _;
use solana_system_interface::instruction as system;
use spl_associated_token_account_interface::{
    address::get_associated_token_address, instruction::create_associated_token_account_idempotent,
};
use spl_token_interface::instruction::{self as token, AuthorityType};

use crate::world::{World, config, lamports, usdc};

const NATIVE: &str = "So11111111111111111111111111111111111111112";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";

fn key(text: &str) -> Pubkey {
    text.parse().unwrap()
}

fn program() -> Pubkey {
    key("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
}

fn naming(mut step: Instruction, reference: &str) -> Instruction {
    step.accounts.push(AccountMeta::new_readonly(key(reference), false));
    step
}

// Rent of our token account is no payment: nobody gets it out but by closing the account.
#[tokio::test]
async fn coins_to_a_token_account_are_no_payment() {
    let world = World::start().await;
    let reference = world.reference(0);
    world.payer.pay(&reference, usdc(1)).await.unwrap();
    let purse = get_associated_token_address(&key(&dev_wallet()), &key(&dev_mints()[0].mint));
    let steps = world.payer.coins(&purse.to_string(), 5_000_000, &[&reference]).unwrap();
    let tx = world.payer.send(steps, &[]).await.unwrap();
    assert_eq!(world.seen(&tx).await, []);
}

// Wrapped coins are a token, and one nobody lists.
#[tokio::test]
async fn wrapped_coins_are_not_coins() {
    let world = World::start().await;
    let (me, wallet, native) = (key(&world.payer.address()), key(&dev_wallet()), key(NATIVE));
    let purse = get_associated_token_address(&wallet, &native);
    let steps = vec![
        create_associated_token_account_idempotent(&me, &wallet, &native, &program()),
        naming(system::transfer(&me, &purse, 5_000_000), &world.reference(0)),
        token::sync_native(&program(), &purse).unwrap(),
    ];
    let tx = world.payer.send(steps, &[]).await.unwrap();
    let seen = world.seen(&tx).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    let wrapped = Arrived::UnknownToken { contract: NATIVE.to_owned(), minor: "5000000".into() };
    assert_eq!(seen[0].arrived, wrapped);
}

#[tokio::test]
async fn words_are_no_payment() {
    let world = World::start().await;
    let me = key(&world.payer.address());
    let words = format!("Transfer 5000000 USDC to {} for {}", dev_wallet(), world.reference(0));
    let memo = Instruction {
        program_id: key(MEMO),
        accounts: vec![AccountMeta::new_readonly(me, true)],
        data: words.into_bytes(),
    };
    let nothing = naming(system::transfer(&me, &key(&dev_wallet()), 0), &world.reference(0));
    let tx = world.payer.send(vec![memo, nothing], &[]).await.unwrap();
    assert_eq!(world.seen(&tx).await, []);
}

// Leave to take is not having: the owner may withdraw it, and spend first.
#[tokio::test]
async fn an_approval_is_no_payment() {
    let world = World::start().await;
    let (me, mint) = (key(&world.payer.address()), key(&dev_mints()[0].mint));
    let purse = get_associated_token_address(&me, &mint);
    let wallet = key(&dev_wallet());
    let approve = token::approve(&program(), &purse, &wallet, &me, &[], 5_000_000).unwrap();
    let tx = world.payer.send(vec![naming(approve, &world.reference(0))], &[]).await.unwrap();
    assert_eq!(world.seen(&tx).await, []);
}

// A token account that changes hands, filled before in the same or in an earlier transaction: ours
// now, but nobody paid. Left to people, whatever reference it carries.
#[tokio::test]
async fn an_account_handed_over_is_left_to_people() {
    let world = World::start().await;
    let reference = world.reference(0);
    for at_once in [true, false] {
        let (me, mint) = (key(&world.payer.address()), key(&dev_mints()[0].mint));
        let purse = Keypair::new();
        let from = get_associated_token_address(&me, &mint);
        let mut fill = vec![
            system::create_account(&me, &purse.pubkey(), 2_039_280, 165, &program()),
            token::initialize_account3(&program(), &purse.pubkey(), &mint, &me).unwrap(),
            token::transfer(&program(), &from, &purse.pubkey(), &me, &[], 5_000_000).unwrap(),
        ];
        let owner = AuthorityType::AccountOwner;
        let wallet = key(&dev_wallet());
        let give =
            token::set_authority(&program(), &purse.pubkey(), Some(&wallet), owner, &me, &[]);
        let give = naming(give.unwrap(), &reference);
        let tx = if at_once {
            // Made and given in one transaction: no trace of a former owner is left.
            fill.push(give);
            world.payer.send(fill, &[&purse]).await.unwrap()
        } else {
            world.payer.send(fill, &[&purse]).await.unwrap();
            world.payer.send(vec![give], &[]).await.unwrap()
        };
        let seen = world.seen(&tx).await;
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].arrived, Arrived::Known(usdc(5_000_000)));
        let to = if at_once { reference.clone() } else { dev_wallet() };
        assert_eq!(seen[0].to, to, "at once: {at_once}");
    }
}

// What arrives in such a token may be taken back, held up, or hidden: never listed.
#[tokio::test]
async fn mints_with_powers_over_holders_are_refused() {
    let world = World::start().await;
    let me = key(&world.payer.address());
    let some = |kind: &[u8], rest: &[u8]| [kind, &me.to_bytes()[..], rest].concat();
    let powers = [
        ("permanentDelegate", 36, some(&[35], &[])),
        ("transferHook", 68, some(&[36, 0], &me.to_bytes())),
        ("confidentialTransferMint", 69, some(&[27, 0], &[0; 33])),
        ("nonTransferable", 4, vec![32]),
        ("pausableConfig", 37, some(&[44, 0], &[])),
        // 2 is frozen.
        ("defaultAccountState", 5, vec![28, 0, 2]),
    ];
    for (name, length, data) in powers {
        let mint = Keypair::new();
        let (program_id, length) = (key(TOKEN_2022), 166 + length);
        let accounts = vec![AccountMeta::new(mint.pubkey(), false)];
        let plain = token::initialize_mint2(&program(), &mint.pubkey(), &me, Some(&me), 6).unwrap();
        let steps = vec![
            system::create_account(&me, &mint.pubkey(), 10_000_000, length, &program_id),
            Instruction { program_id, accounts, data },
            Instruction { program_id, ..plain },
        ];
        world.payer.send(steps, &[&mint]).await.unwrap();
        let mut settings = config(&world.node);
        let mint = mint.pubkey().to_string();
        settings.mints = vec![MintConfig { asset: Asset::Usdc, mint, decimals: 6 }];
        let chain = SolanaChain::connect(&settings).unwrap();
        let said = chain.examine().await.remove(0).problem;
        assert!(said.as_ref().is_some_and(|why| why.contains(name)), "{said:?}");
    }
}

// A transfer that a later instruction of the same transaction makes fail.
#[tokio::test]
async fn a_payment_undone_by_what_follows_is_none() {
    let world = World::start().await;
    let reference = world.reference(0);
    let mut steps = world.payer.payment(usdc(5_000_000), &[&reference]).unwrap();
    steps.extend(world.payer.payment(lamports(5_000_000), &[&reference]).unwrap());
    let me = key(&world.payer.address());
    steps.push(system::transfer(&me, &key(&dev_wallet()), u64::MAX));
    let tx = world.payer.send(steps, &[]).await.unwrap();
    assert_eq!(world.seen(&tx).await, []);
}
