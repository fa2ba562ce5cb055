//! Moving our own money: sweeps of coins and tokens to a venue, each really carried out. What
//! left, what arrived and what the network took add up to the lamport.

use chains::{
    Chain as _, TxPlace,
    carrier::{
        Carrier as _, Draft, DraftError, KeyRef, Movable, SolanaTransfer, Source, Unsigned, Wish,
    },
    sandbox::Sandbox as _,
};
use chains_solana::{SolanaChain, SolanaConfig};
use chains_solana_sandbox::{Payer, dev_mints, dev_sign, dev_wallet};
use primitives::{Amount, Asset};
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_pubkey::Pubkey;
use solana_signer::Signer as _;
use solana_system_interface::instruction as system;
use spl_associated_token_account_interface::{
    address::{get_associated_token_address, get_associated_token_address_with_program_id},
    instruction::create_associated_token_account_idempotent,
};
use spl_token_interface::instruction as token;

use crate::world::{World, config, lamports, usdc};

/// What an account must hold, and a token account.
pub(crate) const LEAST: i128 = 890_880;
pub(crate) const PURSE: i128 = 2_039_280;
pub(crate) const RESERVE: i128 = 10_000_000;
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";

pub(crate) fn wallet() -> Source {
    Source { address: dev_wallet(), key: KeyRef::Deposit(0) }
}

pub(crate) fn venue() -> String {
    Keypair::new().pubkey().to_string()
}

pub(crate) async fn movable(chain: &SolanaChain, asset: Asset) -> Movable {
    let held = chain.movable(&[wallet()], asset).await.unwrap();
    let [one] = held.as_slice() else { panic!("{held:?}") };
    assert_eq!((&one.source, &one.outpoint), (&wallet(), &None));
    one.clone()
}

pub(crate) fn everything(from: Movable, to: &str) -> Wish {
    Wish { from: vec![from], to: to.to_owned(), amount: None }
}

pub(crate) fn solana(draft: &Draft) -> &SolanaTransfer {
    let Unsigned::Solana(transfer) = &draft.unsigned else { panic!("{draft:?}") };
    transfer
}

/// Signs and sends; the local node makes a block of it.
pub(crate) async fn carry(world: &World, draft: &Draft) -> String {
    let signed = dev_sign(draft).unwrap();
    assert_eq!(world.chain.send(&signed).await, Ok(()));
    let place = world.chain.locate(&signed.tx_id, &[]).await.unwrap();
    assert!(matches!(place, TxPlace::Included { succeeded: true, .. }), "{place:?}");
    signed.tx_id
}

pub(crate) async fn held(world: &World, asset: Asset) -> i128 {
    world.chain.held(&[], asset).await.unwrap().minor()
}

pub(crate) async fn arrived(world: &World, tx: &str, to: &str, asset: Asset) -> Option<Amount> {
    let seen = world.chain.outgoing(tx, to, asset).await.unwrap();
    assert!(seen.len() <= 1, "{seen:?}");
    seen.first().map(|one| one.amount)
}

/// A world whose wallet has coins and tokens.
pub(crate) async fn funded(coins: i128, tokens: i128) -> World {
    let world = World::start().await;
    if coins > 0 {
        world.payer.pay(&world.reference(0), lamports(coins)).await.unwrap();
    }
    if tokens > 0 {
        world.payer.pay(&world.reference(1), usdc(tokens)).await.unwrap();
    }
    world
}

#[tokio::test]
async fn a_sweep_of_coins_leaves_the_reserve() {
    let world = funded(500_000_000, 0).await;
    let place = movable(&world.chain, Asset::Sol).await;
    assert_eq!(place.amount, lamports(500_000_000 - LEAST - RESERVE));
    let to = venue();
    let draft = world.chain.draft(&everything(place.clone(), &to)).await.unwrap();
    assert_eq!(draft.amount.checked_add(draft.fee_max).unwrap(), place.amount);
    let tx = carry(&world, &draft).await;

    assert_eq!(held(&world, Asset::Sol).await, LEAST + RESERVE);
    assert_eq!(arrived(&world, &tx, &to, Asset::Sol).await, Some(draft.amount));
    assert_eq!(world.chain.cost(&tx).await, Ok(Some(draft.fee_max)));
    assert_eq!(world.chain.movable(&[wallet()], Asset::Sol).await, Ok(vec![]));
    // A sweep is no deposit.
    assert_eq!(world.seen(&tx).await, []);
    assert_eq!((world.chain.native(), world.chain.gas_station()), (Asset::Sol, None));
}

#[tokio::test]
async fn a_part_leaves_the_rest() {
    let world = funded(500_000_000, 0).await;
    let (place, to) = (movable(&world.chain, Asset::Sol).await, venue());
    let part = Some(lamports(5_000_000));
    let wish = Wish { from: vec![place], to: to.clone(), amount: part };
    let draft = world.chain.draft(&wish).await.unwrap();
    let tx = carry(&world, &draft).await;
    assert_eq!(arrived(&world, &tx, &to, Asset::Sol).await, part);
    let cost = world.chain.cost(&tx).await.unwrap().unwrap();
    assert_eq!(held(&world, Asset::Sol).await, 495_000_000 - cost.minor());
}

// The receiver's token account is made at our cost the first time, and only then.
#[tokio::test]
async fn tokens_arrive_where_nobody_had_an_account() {
    let world = funded(500_000_000, 9_000_000).await;
    let to = venue();
    let account = get_associated_token_address(&key(&to), &key(&dev_mints()[0].mint)).to_string();
    for (sum, part, rent) in [(9_000_000, 4_000_000, PURSE), (5_000_000, 5_000_000, 0)] {
        let before = held(&world, Asset::Sol).await;
        let place = movable(&world.chain, Asset::Usdc).await;
        assert_eq!(place.amount, usdc(sum));
        let wish = Wish { from: vec![place], to: to.clone(), amount: Some(usdc(part)) };
        let draft = world.chain.draft(&wish).await.unwrap();
        let token = solana(&draft).token.clone().unwrap();
        assert_eq!(token.create_account, rent > 0);
        let tx = carry(&world, &draft).await;
        for address in [&to, &account] {
            let seen = arrived(&world, &tx, address, Asset::Usdc).await;
            assert_eq!(seen, Some(usdc(part)), "{address}");
        }
        let cost = world.chain.cost(&tx).await.unwrap().unwrap();
        assert_eq!(cost, draft.fee_max);
        assert!((rent + 5_000..=rent + 200_000).contains(&cost.minor()), "{cost}");
        assert_eq!(held(&world, Asset::Sol).await, before - cost.minor());
    }
    assert_eq!(held(&world, Asset::Usdc).await, 0);
}

fn key(text: &str) -> Pubkey {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_token_waits_for_coins() {
    let world = funded(0, 9_000_000).await;
    let to = venue();
    // Nothing but a deposit of tokens: the wallet itself does not exist yet.
    let wish = everything(movable(&world.chain, Asset::Usdc).await, &to);
    let Err(DraftError::NeedsGas(missing)) = world.chain.draft(&wish).await else {
        panic!("no coins yet");
    };
    assert!(missing.minor() > LEAST + PURSE);
    let most = missing.minor() - 1;
    world.payer.pay(&world.reference(0), lamports(most)).await.unwrap();
    let drafted = world.chain.draft(&wish).await;
    assert_eq!(drafted, Err(DraftError::NeedsGas(lamports(1))));
    // The payer sends no single lamport: it would be the same transaction as another one's.
    world.payer.pay(&world.reference(0), lamports(1)).await.unwrap();
    let draft = world.chain.draft(&wish).await.unwrap();
    let tx = carry(&world, &draft).await;
    assert_eq!(arrived(&world, &tx, &to, Asset::Usdc).await, Some(usdc(9_000_000)));
    assert_eq!(world.chain.cost(&tx).await, Ok(Some(draft.fee_max)));
    assert_eq!(held(&world, Asset::Sol).await, LEAST);
}

#[tokio::test]
async fn what_is_not_worth_it_stays() {
    let world = funded(500_000_000, 0).await;
    let place = movable(&world.chain, Asset::Sol).await;
    let of = |minor| Movable { amount: lamports(minor), ..place.clone() };
    let at_new = |minor| everything(of(minor), &venue());
    for wish in [at_new(1), at_new(5_000), at_new(500_000)] {
        let drafted = world.chain.draft(&wish).await;
        assert!(matches!(drafted, Err(DraftError::NotWorth(_))), "{drafted:?}");
    }
    // Where there is an account already, little is enough.
    let wish = everything(of(500_000), &world.payer.address());
    assert!(world.chain.draft(&wish).await.is_ok());
}

#[tokio::test]
async fn wishes_that_make_no_sense_are_refused() {
    let world = funded(500_000_000, 9_000_000).await;
    let place = movable(&world.chain, Asset::Sol).await;
    let tokens = movable(&world.chain, Asset::Usdc).await;
    let to = venue();
    let good = everything(place.clone(), &to);
    assert!(world.chain.draft(&good).await.is_ok());
    let at = |to: &str| Wish { to: to.to_owned(), ..good.clone() };
    let part = |amount| Wish { amount: Some(amount), ..good.clone() };
    let of = |movable: Movable| Wish { from: vec![movable], ..good.clone() };
    let mint = dev_mints()[0].mint.clone();
    let purse = get_associated_token_address(&key(&world.payer.address()), &key(&mint));
    let nobody = get_associated_token_address(&key(&to), &key(&mint)).to_string();
    let other = Source { key: KeyRef::Deposit(1), ..wallet() };
    let gas = Source { key: KeyRef::Gas, ..wallet() };
    let foreign = Source { address: world.payer.address(), ..wallet() };
    let bad = [
        Wish { from: vec![], ..good.clone() },
        Wish { from: vec![place.clone(), place.clone()], ..good.clone() },
        at(&dev_wallet()),
        at(&mint),
        at(&purse.to_string()),
        at(&nobody),
        at("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        Wish { to: purse.to_string(), ..everything(tokens.clone(), &to) },
        part(lamports(0)),
        part(lamports(-1)),
        part(usdc(1)),
        part(place.amount.checked_add(lamports(1)).unwrap()),
        // Nothing is left for the fee.
        part(place.amount),
        of(Movable { amount: lamports(0), ..place.clone() }),
        // More than the wallet holds.
        of(Movable { amount: lamports(499_999_999), ..place.clone() }),
        of(Movable { amount: lamports(i128::from(u64::MAX)), ..place.clone() }),
        of(Movable { amount: usdc(9_000_001), ..tokens.clone() }),
        of(Movable { outpoint: Some("aa:0".to_owned()), ..place.clone() }),
        of(Movable { source: other.clone(), ..place.clone() }),
        of(Movable { source: gas, ..place.clone() }),
        of(Movable { source: foreign, ..place.clone() }),
    ];
    for wish in bad {
        let drafted = world.chain.draft(&wish).await;
        assert!(matches!(drafted, Err(DraftError::Refused(_))), "{wish:?}: {drafted:?}");
    }
    assert!(world.chain.movable(&[other], Asset::Sol).await.is_err());
    assert!(world.chain.movable(&[wallet()], Asset::Btc).await.is_err());
    assert_eq!(world.chain.movable(&[], Asset::Sol).await, Ok(vec![]));
    assert_eq!(world.chain.movable(&[wallet()], Asset::Usdt).await, Ok(vec![]));
}

// A mint that keeps a part of every transfer, listed by mistake.
#[tokio::test]
async fn a_token_with_a_tax_is_refused() {
    let world = funded(500_000_000, 0).await;
    world.payer.pay_taxed(1_000_000, &world.reference(0)).await.unwrap();
    let mut settings = config(&world.node);
    settings.mints[0].mint = Payer::taxed_mint();
    let chain = SolanaChain::connect(&settings).unwrap();
    assert!(chain.movable(&[wallet()], Asset::Usdc).await.is_err());
    let place = Movable { source: wallet(), amount: usdc(5), outpoint: None };
    let drafted = chain.draft(&everything(place, &venue())).await;
    let Err(DraftError::Refused(why)) = drafted else { panic!("{drafted:?}") };
    assert!(why.contains("transferFeeConfig"), "{why}");
}

// Token-2022 without anything special: carried, and what the account of the receiver costs is
// known beforehand.
#[tokio::test]
async fn a_plain_token_of_2022_is_carried() {
    let world = funded(500_000_000, 0).await;
    let (mint, me) = (Keypair::new(), key(&world.payer.address()));
    let (plain, program) = (key(TOKEN), key(TOKEN_2022));
    let ours =
        get_associated_token_address_with_program_id(&wallet_key(), &mint.pubkey(), &program);
    let of_2022 = |step: Instruction| Instruction { program_id: program, ..step };
    let start = token::initialize_mint2(&plain, &mint.pubkey(), &me, None, 6).unwrap();
    let make = token::mint_to(&plain, &mint.pubkey(), &ours, &me, &[], 7_000_000).unwrap();
    let steps = vec![
        system::create_account(&me, &mint.pubkey(), 10_000_000, 82, &program),
        of_2022(start),
        create_associated_token_account_idempotent(&me, &wallet_key(), &mint.pubkey(), &program),
        of_2022(make),
    ];
    world.payer.send(steps, &[&mint]).await.unwrap();
    let mut settings = config(&world.node);
    settings.mints[0].mint = mint.pubkey().to_string();
    let chain = SolanaChain::connect(&settings).unwrap();
    let to = venue();
    let place = movable(&chain, Asset::Usdc).await;
    assert_eq!(place.amount, usdc(7_000_000));
    let draft = chain.draft(&everything(place, &to)).await.unwrap();
    let tx = carry(&world, &draft).await;
    assert_eq!(chain.cost(&tx).await, Ok(Some(draft.fee_max)));
    assert!(draft.fee_max.minor() > PURSE);
    let seen = chain.outgoing(&tx, &to, Asset::Usdc).await.unwrap();
    assert_eq!(seen[0].amount, usdc(7_000_000));
    assert_eq!(chain.held(&[], Asset::Usdc).await.unwrap(), usdc(0));
}

fn wallet_key() -> Pubkey {
    key(&dev_wallet())
}

#[tokio::test]
async fn the_reserve_is_a_setting() {
    let world = funded(500_000_000, 0).await;
    let settings = SolanaConfig { reserve_lamports: 1, ..config(&world.node) };
    let chain = SolanaChain::connect(&settings).unwrap();
    let place = movable(&chain, Asset::Sol).await;
    assert_eq!(place.amount, lamports(500_000_000 - LEAST - 1));
}
