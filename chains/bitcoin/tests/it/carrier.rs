//! Coins of ours that are drafted, signed, sent and found again.

use bitcoin::Sequence;
use chains::{
    Chain as _, ReadError, TxPlace,
    carrier::{Carrier as _, DraftError, KeyRef, Movable, Source},
    sandbox::{Keep, Sandbox as _},
};
use primitives::{Amount, Asset};

use crate::{
    moving::{all, known, psbt, sorted, transaction, venue, wish},
    world::{World, sats},
};

#[tokio::test]
async fn three_deposits_become_one() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000, 30_000]).await;
    assert_eq!(world.left(&deposits).await, sorted(deposits.clone()));
    // The slow way finds the same.
    let sources: Vec<Source> = deposits.iter().map(|one| one.source.clone()).collect();
    let found = world.chain.movable(&sources, Asset::Btc).await;
    assert_eq!(found, Ok(sorted(deposits.clone())));

    let draft = all(&world.chain, &deposits, &venue()).await;
    assert_eq!(draft.amount.checked_add(draft.fee_max), Ok(sats(60_000)));
    assert_eq!((draft.from.clone(), &draft.to), (sorted(deposits.clone()), &venue()));
    let written = psbt(&draft);
    assert_eq!((written.inputs.len(), written.outputs.len()), (3, 1));
    for (input, plain) in written.inputs.iter().zip(&written.unsigned_tx.input) {
        assert_eq!(plain.sequence, Sequence(0xffff_fffd));
        let at = plain.previous_output.to_string();
        let movable = deposits.iter().find(|one| one.outpoint.as_ref() == Some(&at)).unwrap();
        let held = input.witness_utxo.as_ref().unwrap().value.to_sat();
        assert_eq!(i128::from(held), movable.amount.minor());
        let KeyRef::Deposit(index) = movable.source.key else { panic!("{movable:?}") };
        let paths: Vec<String> =
            input.bip32_derivation.values().map(|(_, path)| path.to_string()).collect();
        assert_eq!(paths, [format!("0/{index}")]);
    }
    // The same wish is the same transaction.
    assert_eq!(all(&world.chain, &deposits, &venue()).await, draft);

    let signed = world.sent(&draft).await;
    let vsize = i128::try_from(transaction(&signed).vsize()).unwrap();
    // Two satoshi per byte where nobody advises; a signature may be a byte shorter than foreseen.
    assert!((vsize * 2..=vsize * 2 + 8).contains(&draft.fee_max.minor()), "{draft:?} {vsize}");
    assert_eq!(world.chain.locate(&signed.tx_id, &[]).await, Ok(TxPlace::Pending));
    assert_eq!(world.chain.cost(&signed.tx_id).await, Ok(None));
    world.payer.mine(1).await.unwrap();
    assert!(world.is_in_a_block(&signed.tx_id).await);
    assert_eq!(world.chain.cost(&signed.tx_id).await, Ok(Some(draft.fee_max)));
    let out = world.chain.outgoing(&signed.tx_id, &venue(), Asset::Btc).await.unwrap();
    assert_eq!(out.iter().map(|one| one.amount).collect::<Vec<_>>(), [draft.amount]);
    assert_eq!(world.left(&deposits).await, []);
}

#[tokio::test]
async fn change_comes_back_and_can_be_moved() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000, 30_000]).await;
    let draft = world.chain.draft(&wish(&deposits, &venue(), Some(25_000))).await.unwrap();
    assert_eq!(draft.amount, sats(25_000));
    let written = psbt(&draft);
    let back = written.unsigned_tx.output[1].value.to_sat();
    assert_eq!(i128::from(back) + 25_000 + draft.fee_max.minor(), 60_000);
    let (_, path) = written.outputs[1].bip32_derivation.values().next().unwrap();
    assert_eq!(path.to_string(), "1/0");
    let signed = world.sent(&draft).await;
    let outpoint = format!("{}:1", signed.tx_id);
    let place = [(world.chain.change().unwrap(), vec![outpoint.clone()])];
    assert_eq!(world.chain.unspent(&place, Asset::Btc).await, Ok(vec![]), "it waits");
    world.payer.mine(1).await.unwrap();
    let source = world.chain.change().unwrap();
    let change =
        Movable { source, amount: sats(i128::from(back)), outpoint: Some(outpoint.clone()) };
    assert_eq!(world.chain.unspent(&place, Asset::Btc).await, Ok(vec![change.clone()]));
    let on = world.sent(&all(&world.chain, &[change], &venue()).await).await;
    world.payer.mine(1).await.unwrap();
    assert!(world.is_in_a_block(&on.tx_id).await);
}

#[tokio::test]
async fn dust_is_never_made() {
    let world = World::start().await;
    let deposits = world.deposits(&[20_000, 500]).await;
    // One input, one output: 110 bytes, and 31 for a second output; two satoshi each.
    let ask = |amount| {
        let wish = wish(&deposits[..1], &venue(), Some(amount));
        let chain = &world.chain;
        async move { chain.draft(&wish).await }
    };
    let with = ask(20_000 - 282 - 294).await.unwrap();
    assert_eq!((with.fee_max, psbt(&with).outputs.len()), (sats(282), 2));
    let joined = ask(20_000 - 282 - 293).await.unwrap();
    assert_eq!((joined.fee_max, psbt(&joined).outputs.len()), (sats(282 + 293), 1));
    let exact = ask(20_000 - 220).await.unwrap();
    assert_eq!((exact.fee_max, psbt(&exact).outputs.len()), (sats(220), 1));
    for amount in [20_000 - 219, 20_000, 20_001, 293, 1] {
        assert!(matches!(ask(amount).await, Err(DraftError::NotWorth(_))), "{amount}");
    }
    assert!(matches!(ask(0).await, Err(DraftError::Refused(_))));
    assert!(matches!(ask(-1).await, Err(DraftError::Refused(_))));
    // 500 less a fee of 220 would be dust.
    let small = world.chain.draft(&wish(&deposits[1..], &venue(), None)).await;
    assert!(matches!(small, Err(DraftError::NotWorth(_))), "{small:?}");
    let signed = world.sent(&joined).await;
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.chain.cost(&signed.tx_id).await, Ok(Some(joined.fee_max)));
}

#[tokio::test]
async fn only_what_is_ours_and_here_can_be_drafted() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let cannot = |from: Vec<Movable>, to: &str| {
        let wish = wish(&from, to, None);
        let chain = &world.chain;
        async move {
            let answer = chain.draft(&wish).await;
            assert!(matches!(answer, Err(DraftError::Refused(_))), "{wish:?} {answer:?}");
        }
    };
    let change = world.chain.change().unwrap().address;
    let mainnet = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu";
    for to in [mainnet, "", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", &change] {
        cannot(deposits.clone(), to).await;
    }
    let (one, other) = (deposits[0].clone(), deposits[1].clone());
    let wrong = [
        vec![],
        vec![one.clone(), one.clone()],
        vec![Movable { outpoint: None, ..one.clone() }],
        vec![Movable { outpoint: Some("ab:0".to_owned()), ..one.clone() }],
        // Nobody's output; somebody else's; an amount that is not there; a key it is not of.
        vec![Movable { outpoint: Some(format!("{}:0", "ab".repeat(32))), ..one.clone() }],
        vec![Movable { outpoint: other.outpoint.clone(), ..one.clone() }],
        vec![Movable { amount: sats(10_001), ..one.clone() }],
        vec![Movable { amount: sats(0), ..one.clone() }],
        vec![Movable { amount: Amount::try_new(10_000, Asset::Eth).unwrap(), ..one.clone() }],
        vec![Movable {
            source: Source { key: KeyRef::Deposit(7), ..one.source.clone() },
            ..one.clone()
        }],
        vec![Movable { source: Source { key: KeyRef::Gas, ..one.source.clone() }, ..one.clone() }],
        vec![one.clone(); 501],
    ];
    for from in wrong {
        cannot(from, &venue()).await;
    }
    // What waits in no block is not ours yet.
    let source = world.source(3);
    let tx = world.payer.pay_many(&[(&source.address, 9_000)]).await.unwrap();
    let young = Movable { source, amount: sats(9_000), outpoint: Some(format!("{tx}:0")) };
    assert_eq!(world.left(std::slice::from_ref(&young)).await, []);
    cannot(vec![one, young], &venue()).await;
}

#[tokio::test]
async fn places_that_are_not_ours_are_no_question() {
    let world = World::start().await;
    let foreign = Source { address: venue(), key: KeyRef::Deposit(0) };
    let ours = world.source(0);
    let unavailable = |answer: Result<Vec<Movable>, ReadError>| {
        assert!(matches!(answer, Err(ReadError::Unavailable(_))), "{answer:?}");
    };
    unavailable(world.chain.movable(std::slice::from_ref(&foreign), Asset::Btc).await);
    unavailable(world.chain.unspent(&[(foreign, vec![])], Asset::Btc).await);
    unavailable(world.chain.movable(std::slice::from_ref(&ours), Asset::Eth).await);
    unavailable(world.chain.unspent(&[(ours.clone(), vec!["x".to_owned()])], Asset::Btc).await);
    let many = (0..20_001).map(|n| format!("{}:{n}", "ab".repeat(32))).collect();
    unavailable(world.chain.unspent(&[(ours.clone(), many)], Asset::Btc).await);
    assert_eq!(world.chain.movable(&[], Asset::Btc).await, Ok(vec![]));
    assert_eq!(world.chain.unspent(&[], Asset::Btc).await, Ok(vec![]));
    assert_eq!(world.chain.movable(&[ours.clone(), ours], Asset::Btc).await, Ok(vec![]));
    // An output of another place under ours: one of the two is wrong, nobody guesses which.
    let deposits = world.deposits(&[10_000, 20_000]).await;
    let swapped = [(deposits[0].source.clone(), vec![deposits[1].outpoint.clone().unwrap()])];
    unavailable(world.chain.unspent(&swapped, Asset::Btc).await);
    assert_eq!((world.chain.gas_station(), world.chain.native()), (None, Asset::Btc));
}

#[tokio::test]
async fn a_miners_reward_rests_first() {
    let world = World::start().await;
    let source = world.source(0);
    world.payer.mine_to(&source.address, 1).await.unwrap();
    let tip = world.chain.head().await.unwrap().latest;
    let facts = world.chain.read_block(&tip, &world.watched()).await.unwrap();
    let outpoint = Some(format!("{}:0", facts.sightings[0].tx_id));
    let reward = [Movable { source: source.clone(), amount: sats(5_000_000_000), outpoint }];
    let sources = [source];
    world.payer.mine(99).await.unwrap();
    assert_eq!(world.left(&reward).await, []);
    assert_eq!(world.chain.movable(&sources, Asset::Btc).await, Ok(vec![]));
    let young = world.chain.draft(&wish(&reward, &venue(), None)).await;
    assert!(matches!(young, Err(DraftError::Refused(_))), "{young:?}");
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.left(&reward).await, reward);
    assert_eq!(world.chain.movable(&sources, Asset::Btc).await, Ok(reward.to_vec()));
    world.sent(&all(&world.chain, &reward, &venue()).await).await;
    let reward = &reward[0].outpoint.clone().unwrap()[..64];
    assert_eq!(world.chain.cost(reward).await, Ok(Some(sats(0))));
}

// A block that goes takes the move back to the mempool, and it is mined again.
#[tokio::test]
async fn a_reorganisation_puts_it_back() {
    let world = World::start().await;
    let deposits = world.deposits(&[10_000, 20_000]).await;
    world.payer.mine(5).await.unwrap();
    let draft = all(&world.chain, &deposits, &venue()).await;
    let signed = world.sent(&draft).await;
    world.payer.mine(2).await.unwrap();
    assert!(world.is_in_a_block(&signed.tx_id).await);
    world.payer.empty_blocks(2).await.unwrap();
    assert_eq!(world.chain.locate(&signed.tx_id, &[]).await, Ok(TxPlace::Pending));
    // The index of transactions remembers the block that is gone.
    assert_eq!(world.chain.cost(&signed.tx_id).await, Ok(None));
    assert_eq!(world.left(&deposits).await, sorted(deposits.clone()));
    assert_eq!(world.chain.send(&signed).await, Ok(()));
    let other = world.chain.draft(&wish(&deposits[..1], &venue(), None)).await;
    assert!(matches!(other, Err(DraftError::Refused(_))), "{other:?}");
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.chain.cost(&signed.tx_id).await, Ok(Some(draft.fee_max)));
    assert_eq!(world.left(&deposits).await, []);
    // Also where the payer's transactions are thrown out for good.
    world.payer.pay(&world.address(5), sats(7_000)).await.unwrap();
    world.payer.mine(1).await.unwrap();
    world.payer.reorg(2, Keep::Nothing).await.unwrap();
    assert_eq!(world.chain.locate(&signed.tx_id, &[]).await, Ok(TxPlace::Pending));
}

// As many as one transaction takes: drafted, signed, taken; the questions are few.
#[tokio::test]
async fn five_hundred_deposits_go_at_once() {
    let world = World::start().await;
    let addresses: Vec<String> = (0..510).map(|index| world.address(index)).collect();
    let outputs: Vec<(&str, u64)> =
        (0..).zip(&addresses).map(|(n, to)| (to.as_str(), 1_000 + n)).collect();
    let tx = world.payer.pay_many(&outputs).await.unwrap();
    world.payer.mine(1).await.unwrap();
    let deposits: Vec<Movable> = (0_u32..510)
        .map(|index| Movable {
            source: world.source(index),
            amount: sats(1_000 + i128::from(index)),
            outpoint: Some(format!("{tx}:{index}")),
        })
        .collect();
    let before = world.chain.calls();
    let found = world.chain.unspent(&known(&deposits), Asset::Btc).await.unwrap();
    assert_eq!(sorted(found), sorted(deposits.clone()));
    assert!(world.chain.calls() - before <= 7);
    let batch = world.chain.worth_moving(&deposits).await.unwrap();
    // The largest.
    assert_eq!(batch.len(), 500);
    assert_eq!((batch[0].amount, batch[499].amount), (sats(1_509), sats(1_010)));
    let before = world.chain.calls();
    let draft = all(&world.chain, &batch, &venue()).await;
    assert!(world.chain.calls() - before <= 10);
    let signed = world.sent(&draft).await;
    world.payer.mine(1).await.unwrap();
    assert_eq!(world.chain.cost(&signed.tx_id).await, Ok(Some(draft.fee_max)));
    assert_eq!(world.left(&deposits).await.len(), 10);
}
