//! A wallet that was replaced: whoever pays with an old code still pays us.

use chains::{Arrived, Chain as _, TxPlace, sandbox::Sandbox as _};
use chains_solana::{SolanaChain, SolanaConfig};
use chains_solana_sandbox::dev_wallet;
use primitives::Asset;
use solana_keypair::Keypair;
use solana_signer::Signer as _;
use solana_system_interface::instruction as system;

use crate::world::{World, config, lamports, usdc};

#[tokio::test]
async fn payments_to_a_retired_wallet_are_still_ours() {
    let world = World::start().await;
    let fresh = Keypair::new();
    let settings = SolanaConfig {
        wallet: fresh.pubkey().to_string(),
        retired_wallets: vec![dev_wallet()],
        ..config(&world.node)
    };
    let chain = SolanaChain::connect(&settings).unwrap();
    assert_eq!(chain.examine().await.remove(0).problem, None);
    // The references of old payments stay watched.
    let (watch, old) = (world.watched(), world.reference(0));
    let read = async |tx: &str| {
        let TxPlace::Included { height, .. } = chain.locate(tx, &[]).await.unwrap() else {
            panic!("{tx} is in no block");
        };
        let block = chain.block_at(height).await.unwrap().unwrap();
        chain.read_block(&block, &watch).await.unwrap().sightings
    };
    for paid in [lamports(5_000_000), usdc(7_000_000)] {
        let seen = read(&world.payer.pay(&old, paid).await.unwrap()).await;
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!((&seen[0].to, &seen[0].arrived), (&old, &Arrived::Known(paid)));
    }
    // Without a reference it is reported with the wallet it came to.
    let seen = read(&world.payer.pay(&dev_wallet(), lamports(2_000_000)).await.unwrap()).await;
    assert_eq!(seen[0].to, dev_wallet());
    let steps = world.payer.coins(&settings.wallet, 3_000_000, &[]).unwrap();
    let seen = read(&world.payer.send(steps, &[]).await.unwrap()).await;
    assert_eq!((seen.len(), &seen[0].to), (1, &settings.wallet), "{seen:?}");
    let sum = lamports(10_000_000);
    assert_eq!(chain.held(&[], Asset::Sol).await, Ok(sum));
    assert_eq!(chain.held(&[], Asset::Usdc).await, Ok(usdc(7_000_000)));
    // Moving the old wallet's coins to the new one is no payment.
    let ours = Keypair::new_from_array([0x77; 32]);
    let sweep = vec![system::transfer(&ours.pubkey(), &fresh.pubkey(), 4_000_000)];
    let tx = world.payer.send(sweep, &[&ours]).await.unwrap();
    assert_eq!(read(&tx).await, []);
    assert_eq!(chain.held(&[], Asset::Sol).await, Ok(sum));
    // Codes name the new one only.
    assert!(chain.payment_uri_template(Asset::Sol).unwrap().contains(&settings.wallet));
}
