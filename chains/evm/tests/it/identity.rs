//! The identity of a deposit survives a reorganisation: (transaction, ordinal) stays, block and
//! `logIndex` change. And a block that is gone is said to be gone.

use chains::{Chain as _, ReadError, TxPlace};

use crate::world::{World, amounts, by_hash, place, usdc_minor, watched, wei};

#[tokio::test]
async fn a_dropped_deposit_is_gone_with_its_block() {
    let world = World::start().await;
    let tx = world.payer.send_native(&world.address(0), wei(5)).await.unwrap();
    let (height, hash) = place(&world.chain, &tx).await;
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.chain.block(&hash).await.unwrap().height, height);

    world.payer.reorg(2, &[]).await.unwrap();

    let watch = watched(&world.chain);
    let old = world.chain.read_block(&by_hash(&hash), &watch).await;
    assert_eq!(old, Err(ReadError::UnknownBlock));
    assert_eq!(world.chain.block(&hash).await, Err(ReadError::UnknownBlock));
    assert_eq!(world.chain.locate(&tx, &[]).await, Ok(TxPlace::Absent));
    let now = world.chain.block_at(height).await.unwrap().unwrap();
    assert_ne!(now.hash, hash);
    assert_eq!(world.chain.read_block(&by_hash(&now.hash), &watch).await.unwrap().sightings, []);
}

// The same transaction comes back behind another one, so its log moves to another `logIndex`.
#[tokio::test]
async fn a_deposit_that_comes_back_is_the_same_deposit() {
    let world = World::start().await;
    let payer = &world.payer;
    let to = world.address(0);
    let (five, usdc) = (usdc_minor(5), &world.usdc);
    let other = payer.send_token(usdc, &payer_friend(), usdc_minor(1)).await.unwrap();
    let tx = payer.send_token(usdc, &to, five).await.unwrap();
    let (_, before) = place(&world.chain, &tx).await;
    let seen_before = world.seen(&tx).await;
    let include = [
        (payer.raw_transaction(&other).await.unwrap(), 0),
        (payer.raw_transaction(&tx).await.unwrap(), 0),
    ];

    payer.reorg(2, &include).await.unwrap();

    let (_, after) = place(&world.chain, &tx).await;
    assert_ne!(before, after);
    assert_eq!(place(&world.chain, &other).await.1, after, "both are in one block now");
    let seen_after = world.seen(&tx).await;
    assert_eq!(amounts(&seen_after), [(1, to, five)]);
    assert_eq!(seen_after, seen_before);
    let watch = watched(&world.chain);
    assert_eq!(
        world.chain.read_block(&by_hash(&before), &watch).await,
        Err(ReadError::UnknownBlock)
    );
}

#[tokio::test]
async fn a_transaction_is_located() {
    let world = World::start().await;
    let payer = &world.payer;
    payer.set_automine(false).await.unwrap();
    let tx = payer.send_native(&world.address(0), wei(5)).await.unwrap();
    assert_eq!(world.chain.locate(&tx, &[]).await, Ok(TxPlace::Pending));
    payer.mine(1).await.unwrap();
    let (height, hash) = place(&world.chain, &tx).await;
    let block = world.chain.block_at(height).await.unwrap().unwrap();
    assert_eq!(block.hash, hash);

    let nobody = format!("0x{}", "5".repeat(64));
    assert_eq!(world.chain.locate(&nobody, &[]).await, Ok(TxPlace::Absent));
    for nonsense in ["", "0x", "latest", &"5".repeat(64)] {
        assert!(matches!(world.chain.locate(nonsense, &[]).await, Err(ReadError::Unavailable(_))));
        let block = world.chain.block(nonsense).await;
        assert_eq!(block, Err(ReadError::UnknownBlock), "{nonsense}");
    }
}

// Blocks form a chain by hash, and there is none above the tip.
#[tokio::test]
async fn blocks_are_linked() {
    let world = World::start().await;
    world.payer.mine(3).await.unwrap();
    let tip = world.chain.head().await.unwrap().latest;
    let parent = world.chain.block(&tip.parent_hash).await.unwrap();
    assert_eq!(parent.height + 1, tip.height);
    assert_eq!(world.chain.block_at(parent.height).await, Ok(Some(parent)));
    assert_eq!(world.chain.block_at(tip.height + 1).await, Ok(None));
    assert!(tip.hash.starts_with("0x") && tip.hash == tip.hash.to_lowercase());
}

fn payer_friend() -> String {
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".to_owned()
}
