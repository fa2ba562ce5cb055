//! What we sent to somebody: seen at his address, and only when a wallet of ours signed.

use chains::{Chain as _, Outgoing, sandbox::Sandbox as _};
use chains_solana_sandbox::{dev_mints, dev_wallet};
use primitives::Asset;
use solana_keypair::Keypair;
use solana_pubkey::Pubkey;
use solana_signer::Signer as _;
use solana_system_interface::instruction as system;
use spl_associated_token_account_interface::{
    address::get_associated_token_address, instruction::create_associated_token_account_idempotent,
};
use spl_token_interface::instruction as token;

use crate::world::{World, lamports, usdc};

fn key(text: &str) -> Pubkey {
    text.parse().unwrap()
}

/// The sandbox's wallet, whose key everybody has.
fn wallet() -> Keypair {
    let keys = Keypair::new_from_array([0x77; 32]);
    assert_eq!(keys.pubkey().to_string(), dev_wallet());
    keys
}

#[tokio::test]
async fn coins_and_tokens_we_sent_are_seen_at_their_address() {
    let world = World::start().await;
    let (ours, theirs) = (wallet(), Keypair::new().pubkey());
    let (me, mint) = (key(&world.payer.address()), key(&dev_mints()[0].mint));
    world.payer.pay(&world.reference(0), lamports(50_000_000)).await.unwrap();
    world.payer.pay(&world.reference(0), usdc(9_000_000)).await.unwrap();
    let program = key("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
    let from = get_associated_token_address(&ours.pubkey(), &mint);
    let to = get_associated_token_address(&theirs, &mint);
    let steps = vec![
        system::transfer(&ours.pubkey(), &theirs, 5_000_000),
        create_associated_token_account_idempotent(&me, &theirs, &mint, &program),
        token::transfer(&program, &from, &to, &ours.pubkey(), &[], 7_000_000).unwrap(),
    ];
    let tx = world.payer.send(steps, &[&ours]).await.unwrap();
    let block = world.chain.head().await.unwrap().latest;
    // Deep enough that nobody finds the block by its hash any more.
    world.payer.mine(150).await.unwrap();
    let (chain, theirs) = (&world.chain, theirs.to_string());
    for (asset, address, amount) in [
        (Asset::Sol, theirs.clone(), lamports(5_000_000)),
        (Asset::Usdc, theirs.clone(), usdc(7_000_000)),
        (Asset::Usdc, to.to_string(), usdc(7_000_000)),
    ] {
        let seen = chain.outgoing(&tx, &address, asset).await.unwrap();
        let [one] = seen.as_slice() else { panic!("{asset} at {address}: {seen:?}") };
        let out = Outgoing { tx_id: tx.clone(), block: block.clone(), amount, ..one.clone() };
        assert_eq!(*one, out);
    }
    // Nobody else, no other asset, and not to ourselves.
    assert_eq!(chain.outgoing(&tx, &theirs, Asset::Usdt).await, Ok(vec![]));
    assert_eq!(chain.outgoing(&tx, &world.reference(1), Asset::Sol).await, Ok(vec![]));
    assert_eq!(chain.outgoing(&tx, &dev_wallet(), Asset::Sol).await, Ok(vec![]));
    assert!(chain.outgoing(&tx, &theirs, Asset::Btc).await.is_err());
    assert!(chain.outgoing("0x12", &theirs, Asset::Sol).await.is_err());
}

// A payer moves money between his own accounts, and pays us in the same transaction.
#[tokio::test]
async fn what_a_payer_sends_himself_proves_nothing() {
    let world = World::start().await;
    let (reference, theirs) = (world.reference(0), Keypair::new().pubkey().to_string());
    let mut steps = world.payer.coins(&theirs, 5_000_000, &[]).unwrap();
    let alone = world.payer.send(steps.clone(), &[]).await.unwrap();
    steps.extend(world.payer.payment(lamports(5_000_000), &[&reference]).unwrap());
    let deposit = world.payer.send(steps, &[]).await.unwrap();
    assert_eq!(world.seen(&deposit).await.len(), 1);
    for tx in [&alone, &deposit] {
        assert_eq!(world.chain.outgoing(tx, &theirs, Asset::Sol).await, Ok(vec![]));
    }
    // A transaction of ours that failed brought nothing.
    let ours = wallet();
    let failing = vec![
        system::transfer(&ours.pubkey(), &key(&theirs), 1_000_000),
        system::transfer(&ours.pubkey(), &key(&theirs), u64::MAX),
    ];
    let failed = world.payer.send(failing, &[&ours]).await.unwrap();
    assert_eq!(world.chain.outgoing(&failed, &theirs, Asset::Sol).await, Ok(vec![]));
}
