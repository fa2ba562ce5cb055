//! The same move at a higher fee: at most one of them is ever in a block.

use bitcoin::OutPoint;
use chains::{
    Chain as _, TxPlace,
    carrier::{Carrier as _, Draft, DraftError, SendError, SignedTx, Unsigned},
    sandbox::Sandbox as _,
};
use chains_bitcoin::{BitcoinChain, BitcoinConfig};
use chains_bitcoin_sandbox::{dev_sign, venue_address};

use crate::{
    moving::{all, forged, psbt, transaction, venue, wish},
    world::{World, config, sats},
};

fn spent(draft: &Draft) -> Vec<OutPoint> {
    psbt(draft).unsigned_tx.input.iter().map(|input| input.previous_output).collect()
}

#[tokio::test]
async fn only_one_of_the_two_confirms() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000, 30_000]).await;
    let first = all(&world.chain, &deposits, &venue()).await;
    let old = world.sent(&first).await;
    let second = world.chain.bump(&first).await.unwrap();
    assert_eq!((spent(&first), &first.to), (spent(&second), &second.to));
    assert!(second.fee_max.minor() * 4 >= first.fee_max.minor() * 5);
    assert_eq!(second.amount.checked_add(second.fee_max), Ok(sats(60_000)));
    let new = world.sent(&second).await;
    let spends: Vec<String> = spent(&first).iter().map(ToString::to_string).collect();
    let by = Some(new.tx_id.clone());
    let place = world.chain.locate(&old.tx_id, &spends).await;
    assert_eq!(place, Ok(TxPlace::Replaced { by, mined: None }));
    let cheap = SendError::Refused("replacement_fee_too_low".to_owned());
    assert_eq!(world.chain.send(&old).await, Err(cheap));
    // Whoever still holds the first one outbids the second, which he may not know of.
    let third = world.chain.bump(&first).await.unwrap();
    assert!(third.fee_max.minor() > second.fee_max.minor());
    let last = world.sent(&third).await;
    world.payer.mine(1).await.unwrap();
    for (tx, there) in [(&old, false), (&new, false), (&last, true)] {
        assert_eq!(world.is_in_a_block(&tx.tx_id).await, there);
    }
    assert_eq!(world.chain.cost(&last.tx_id).await, Ok(Some(third.fee_max)));
    let gone = SendError::Refused("inputs_spent".to_owned());
    assert_eq!(world.chain.send(&old).await, Err(gone));
    let late = world.chain.bump(&third).await;
    assert!(matches!(late, Err(DraftError::Refused(_))), "{late:?}");
}

// By what was signed one version is told from another, whichever draft is at hand.
#[tokio::test]
async fn what_was_signed_is_read_back() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 30_000]).await;
    for amount in [None, Some(15_000)] {
        let wish = wish(&deposits, &venue(), amount);
        let first = world.chain.draft(&wish).await.unwrap();
        let second = world.chain.bump(&first).await.unwrap();
        let sign = |draft: &Draft| dev_sign(&draft.unsigned).unwrap();
        let (old, new) = (sign(&first), sign(&second));
        assert_eq!(world.chain.read_signed(&second, &old), Ok(first.clone()));
        assert_eq!(world.chain.read_signed(&first, &new), Ok(second.clone()));
        let fewer = Draft { from: first.from[..1].to_vec(), ..first.clone() };
        let elsewhere = Draft { to: deposits[0].source.address.clone(), ..first.clone() };
        for like in [fewer, elsewhere] {
            assert!(world.chain.read_signed(&like, &old).is_err(), "{like:?}");
        }
        let forged = SignedTx { tx_id: new.tx_id, raw: old.raw };
        assert!(world.chain.read_signed(&first, &forged).is_err());
    }
}

// What was promised to the venue still reaches it, as long as there is change.
#[tokio::test]
async fn change_pays_first() {
    let world = World::start().await;
    let deposits = world.deposits(&[30_000]).await;
    let mut draft = world.chain.draft(&wish(&deposits, &venue(), Some(25_000))).await.unwrap();
    let mut sent = vec![world.sent(&draft).await];
    let end = loop {
        match world.chain.bump(&draft).await {
            Ok(higher) => {
                assert_eq!((higher.amount, psbt(&higher).outputs.len()), (sats(25_000), 2));
                assert!(higher.fee_max.minor() * 4 >= draft.fee_max.minor() * 5);
                sent.push(world.sent(&higher).await);
                draft = higher;
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(&end, DraftError::NotWorth(_)), "{end:?}");
    world.payer.mine(1).await.unwrap();
    let (last, replaced) = sent.split_last().unwrap();
    assert!(replaced.len() > 5 && world.is_in_a_block(&last.tx_id).await);
    for tx in replaced {
        assert!(!world.is_in_a_block(&tx.tx_id).await);
    }
}

#[tokio::test]
async fn change_that_would_be_dust_joins_the_fee() {
    let world = World::start().await;
    let deposits = world.deposits(&[30_000]).await;
    let amount = 30_000 - 282 - 400;
    let first = world.chain.draft(&wish(&deposits, &venue(), Some(amount))).await.unwrap();
    assert_eq!((first.fee_max, psbt(&first).outputs.len()), (sats(282), 2));
    world.sent(&first).await;
    // 141 bytes more, a satoshi each: 259 would be left.
    let second = world.chain.bump(&first).await.unwrap();
    assert_eq!((second.amount, second.fee_max), (sats(amount), sats(682)));
    assert_eq!(psbt(&second).outputs.len(), 1);
    world.sent(&second).await;
    // With nothing left to come back, the destination pays.
    let third = world.chain.bump(&second).await.unwrap();
    assert_eq!((third.amount, third.fee_max), (sats(30_000 - 853), sats(853)));
    let last = world.sent(&third).await;
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.chain.cost(&last.tx_id).await, Ok(Some(sats(853))));
}

// Somebody hangs a payment on ours while it waits: a replacement pays for both, or is refused.
#[tokio::test]
async fn what_hangs_on_it_is_outbid_too() {
    let world = World::start().await;
    let deposits = world.deposits(&[100_000]).await;
    let reserve = world.deposit_at(9, 50_000).await;
    // One of our own addresses plays the venue: its key is at hand.
    let first = all(&world.chain, &deposits, &world.address(9)).await;
    let signed = world.sent(&first).await;
    let paid = u64::try_from(first.amount.minor()).unwrap();
    let child = all(&world.chain, &[reserve], &venue()).await;
    let at = OutPoint { txid: transaction(&signed).compute_txid(), vout: 0 };
    let child = dev_sign(&forged(&child, paid - 20_000, Some((at, paid)))).unwrap();
    world.chain.send(&child).await.unwrap();
    let second = world.chain.bump(&first).await.unwrap();
    assert!(second.fee_max.minor() > 20_000 + first.fee_max.minor(), "{second:?}");
    let new = world.sent(&second).await;
    world.payer.mine(1).await.unwrap();
    assert!(world.is_in_a_block(&new.tx_id).await);
    assert!(!world.is_in_a_block(&signed.tx_id).await);
}

#[tokio::test]
async fn there_is_a_limit() {
    let world = World::start().await;
    let deposits = world.deposits(&[100_000]).await;
    let settings = BitcoinConfig { fee_cap_sat_per_vb: 5, ..config(&[world.node.rpc_url()]) };
    let chain = BitcoinChain::connect(&settings).unwrap();
    let mut draft = all(&chain, &deposits, &venue()).await;
    let mut bumps = 0;
    let end = loop {
        chain.send(&dev_sign(&draft.unsigned).unwrap()).await.unwrap();
        match chain.bump(&draft).await {
            Ok(higher) => draft = higher,
            Err(error) => break error,
        }
        bumps += 1;
    };
    let limit = DraftError::NotWorth("a higher fee would be above the limit".to_owned());
    assert_eq!((bumps, end), (3, limit));
    assert_eq!(draft.fee_max, sats(5 * 110));
    // And one below which the network passes nothing on.
    for fee_cap_sat_per_vb in [0, 10_001] {
        let settings = BitcoinConfig { fee_cap_sat_per_vb, ..settings.clone() };
        assert!(BitcoinChain::connect(&settings).is_err());
    }
}

// What comes from a table may have been touched: it is compared with itself, not believed.
#[tokio::test]
async fn a_draft_that_is_not_ours_is_refused() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let good = all(&world.chain, &deposits, &venue()).await;
    let two = world.chain.draft(&wish(&deposits, &venue(), Some(12_000))).await.unwrap();
    let text = |text: &str| Unsigned::Bitcoin { psbt: text.to_owned() };
    let mut stolen = psbt(&two);
    stolen.unsigned_tx.output[1].script_pubkey = stolen.unsigned_tx.output[0].script_pubkey.clone();
    let bad = [
        Draft { amount: sats(9_000), ..good.clone() },
        Draft { fee_max: sats(1), ..good.clone() },
        Draft { to: world.address(3), ..good.clone() },
        Draft { from: deposits[..1].to_vec(), ..good.clone() },
        Draft { from: vec![], ..good.clone() },
        Draft { unsigned: two.unsigned.clone(), ..good.clone() },
        Draft { unsigned: text(""), ..good.clone() },
        Draft { unsigned: text("cHNidP8="), ..good.clone() },
        Draft { unsigned: text(&"A".repeat(2_000_000)), ..good.clone() },
        Draft { unsigned: forged(&good, 29_000, None), ..good.clone() },
        Draft { unsigned: text(&stolen.to_string()), ..two },
    ];
    for draft in bad {
        let answer = world.chain.bump(&draft).await;
        assert!(matches!(answer, Err(DraftError::Refused(_))), "{draft:?} {answer:?}");
    }
    assert!(world.chain.bump(&good).await.is_ok());
    assert_eq!(venue_address().unwrap(), venue());
}
