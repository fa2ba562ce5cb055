//! From the promise to the transaction that pays it: to a proven address, once, and only as the
//! chain shows it.

use anyhow::Result;
use primitives::{Amount, Asset, NetworkId, RefundId};
use settlement::{
    deposit::Seen,
    merchant_policy::Action,
    refund::{self, AddressError, Paid, PromiseError, Refund, RefundState, SendError},
};

use crate::world::{World, part};

const THEIRS: &str = "0xpayer";

async fn only(w: &World) -> Result<Refund> {
    let mut conn = w.base.pool.acquire().await?;
    let open = refund::open(&mut conn).await?;
    assert_eq!(open.len(), 1, "{open:?}");
    Ok(open[0].clone())
}

async fn address(w: &World, id: RefundId, to: &str, proof: &str) -> Result<Refund, AddressError> {
    let mut tx = w.base.pool.begin().await?;
    let done = refund::address_in(&mut tx, &w.base, id, to, proof).await?;
    tx.commit().await?;
    Ok(done)
}

async fn sent(w: &World, id: RefundId, paid: &Paid) -> Result<Refund, SendError> {
    let mut tx = w.base.pool.begin().await?;
    let done = refund::sent_in(&mut tx, &w.base, id, paid).await?;
    tx.commit().await?;
    Ok(done)
}

fn paid(w: &World, refund: &Refund) -> Paid {
    Paid {
        network: w.network.clone(),
        tx_id: "0xback".to_owned(),
        ordinal: 0,
        to: THEIRS.to_owned(),
        amount: refund.amount,
        block_hash: "0xblock".to_owned(),
        network_fee: None,
    }
}

/// An underpaid payment, its time up: review, refunding, refunded.
#[tokio::test]
async fn of_an_underpaid_payment_ends_it() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let came = part(asked.quote.payable, 6_000);
    w.pay(&asked.quote.address, came).await?;
    w.until_expired(asked.id).await?;
    let promised = only(&w).await?;
    assert_eq!((promised.payment, promised.amount), (Some(asked.id), came));
    let early = sent(&w, promised.id, &paid(&w, &promised)).await;
    assert!(matches!(early, Err(SendError::NotWaiting(RefundState::Promised))));
    address(&w, promised.id, THEIRS, "signed message, ticket 17").await?;
    assert_eq!(w.state(asked.id).await?, "refunding");
    sent(&w, promised.id, &paid(&w, &promised)).await?;
    assert_eq!(w.state(asked.id).await?, "refunded");
    assert_eq!((w.balance("refund:USDC").await?, w.balance("escrow:anvil:USDC").await?), (0, 0));
    assert!(w.cases(asked.id, true).await?.is_empty());
    sent(&w, promised.id, &paid(&w, &promised)).await?;
    assert_eq!(w.balance("escrow:anvil:USDC").await?, 0, "the same again is quiet");
    w.sound().await
}

/// A surplus: the payment goes its way, the refund its own.
#[tokio::test]
async fn of_a_surplus_leaves_the_payment_alone() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, part(asked.quote.payable, 15_000)).await?;
    let promised = only(&w).await?;
    address(&w, promised.id, THEIRS, "by the shop's own login").await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    sent(&w, promised.id, &paid(&w, &promised)).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(w.balance("escrow:anvil:USDC").await?, asked.quote.payable.minor());
    w.sound().await
}

/// The network's fee left our address too, in its own coin.
#[tokio::test]
async fn books_the_networks_fee() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Refund).await?;
    let asked = w.ask(100_000, Asset::Eth).await?;
    w.until_expired(asked.id).await?;
    w.price(Asset::Eth, 1).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    let fee = Amount::try_new(21_000, Asset::Eth)?;
    w.pay("0xaddress19", Amount::try_new(1_000_000_000_000_000, Asset::Eth)?).await?;
    let promised = only(&w).await?;
    address(&w, promised.id, THEIRS, "signed message").await?;
    let with_fee = Paid { network_fee: Some(fee), ..paid(&w, &promised) };
    sent(&w, promised.id, &with_fee).await?;
    assert_eq!(w.balance("network.fee:ETH").await?, 21_000);
    assert_eq!(w.balance("escrow:anvil:ETH").await?, 1_000_000_000_000_000 - 21_000);
    w.sound().await
}

#[tokio::test]
async fn only_to_an_address_that_was_proven() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, part(asked.quote.payable, 15_000)).await?;
    let promised = only(&w).await?;
    let nobody = RefundId::from_uuid(w.base.uuid());
    assert!(matches!(address(&w, nobody, THEIRS, "proof").await, Err(AddressError::NotFound)));
    assert!(matches!(address(&w, promised.id, THEIRS, " ").await, Err(AddressError::ProofMissing)));
    let ours = address(&w, promised.id, &asked.quote.address, "they say so").await;
    assert!(matches!(ours, Err(AddressError::OurOwn)));
    assert_eq!(only(&w).await?.state, RefundState::Promised);
    let steal = "update refunds set state = 'addressed'";
    assert!(sqlx::query(steal).execute(&w.db.app).await.is_err(), "the database agrees");
    let more = "update refunds set amount_minor = amount_minor + 1";
    assert!(sqlx::query(more).execute(&w.db.owner).await.is_err());
    w.sound().await
}

#[tokio::test]
async fn only_by_a_transaction_that_pays_it() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, part(asked.quote.payable, 15_000)).await?;
    let promised = only(&w).await?;
    address(&w, promised.id, THEIRS, "signed message").await?;
    let good = paid(&w, &promised);
    let less = Amount::try_new(promised.amount.minor() - 1, Asset::Usdc)?;
    let other = Amount::try_new(promised.amount.minor(), Asset::Usdt)?;
    for bad in [
        Paid { to: "0xsomebody".to_owned(), ..good.clone() },
        Paid { amount: less, ..good.clone() },
        Paid { amount: other, ..good.clone() },
        Paid { network: NetworkId::new("base").unwrap(), ..good.clone() },
    ] {
        let refused = sent(&w, promised.id, &bad).await;
        assert!(matches!(refused, Err(SendError::NotThisOne(_))), "{bad:?}");
    }
    assert_eq!(w.balance("refund:USDC").await?, promised.amount.minor());
    sent(&w, promised.id, &good).await?;
    w.sound().await
}

/// One output pays one refund, however alike two of them are.
#[tokio::test]
async fn one_output_pays_one_refund() -> Result<()> {
    let w = World::open().await?;
    for _ in 0..2 {
        let asked = w.ask(100_000, Asset::Usdc).await?;
        w.pay(&asked.quote.address, part(asked.quote.payable, 15_000)).await?;
    }
    let mut conn = w.base.pool.acquire().await?;
    let both = refund::open(&mut conn).await?;
    drop(conn);
    for owed in &both {
        address(&w, owed.id, THEIRS, "signed message").await?;
    }
    let one = paid(&w, &both[0]);
    sent(&w, both[0].id, &one).await?;
    assert!(matches!(sent(&w, both[1].id, &one).await, Err(SendError::Taken)));
    sent(&w, both[1].id, &Paid { ordinal: 1, ..one }).await?;
    assert_eq!(w.balance("refund:USDC").await?, 0);
    w.sound().await
}

/// A person decides that stray money goes back; only once, and not before it is final.
#[tokio::test]
async fn promised_by_a_person() -> Result<()> {
    let w = World::open().await?;
    let five = Amount::try_new(5_000_000, Asset::Usdc)?;
    let height = w.block(w.now()).await?;
    let stray = w.see(&w.sighting("0xaddress19", five, height)).await?;
    let mut tx = w.base.pool.begin().await?;
    let early = refund::promise_deposit_in(&mut tx, &w.base, stray).await;
    assert!(matches!(early, Err(PromiseError::NotFinal(_))));
    tx.rollback().await?;
    w.confirm(stray).await?;
    let mut tx = w.base.pool.begin().await?;
    refund::promise_deposit_in(&mut tx, &w.base, stray).await?;
    let twice = refund::promise_deposit_in(&mut tx, &w.base, stray).await;
    assert!(matches!(twice, Err(PromiseError::Promised)));
    tx.commit().await?;
    assert_eq!(w.balance("refund:USDC").await?, 5_000_000);
    let promised = only(&w).await?;
    address(&w, promised.id, THEIRS, "signed message").await?;
    sent(&w, promised.id, &paid(&w, &promised)).await?;
    assert_eq!(w.count("select count(*) from cases where closed_at is null").await?, 0);
    w.sound().await
}

/// A refund with an address may be on its way: a reorganisation does not take it back. It can be
/// recorded, the house bears it, and what comes back makes that good and is not promised again.
#[tokio::test]
async fn not_withdrawn_once_it_has_an_address() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Refund).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let payable = asked.quote.payable;
    w.until_expired(asked.id).await?;
    let height = w.block(w.now()).await?;
    let came = w.sighting(&asked.quote.address, payable, height);
    let late = w.see(&came).await?;
    w.confirm(late).await?;
    // Others' money is on the same addresses.
    w.pay("0xaddress19", payable).await?;
    let promised = only(&w).await?;
    address(&w, promised.id, THEIRS, "signed message").await?;
    w.gone(late).await?;
    assert_eq!(only(&w).await?.state, RefundState::Addressed);
    assert_eq!(w.balance("loss:USDC").await?, payable.minor());
    assert_eq!(w.balance("refund:USDC").await?, payable.minor());
    assert!(w.cases(asked.id, true).await?.contains(&"refund_of_gone_deposit".to_owned()));
    sent(&w, promised.id, &paid(&w, &promised)).await?;
    assert!(!w.cases(asked.id, true).await?.contains(&"refund_of_gone_deposit".to_owned()));
    assert_eq!(w.balance("escrow:anvil:USDC").await?, 0);
    let height = w.block(w.now()).await?;
    let again = Seen { block_hash: format!("0xblock{height}"), height, ..came };
    assert_eq!(w.see(&again).await?, late);
    w.confirm(late).await?;
    assert_eq!(w.balance("loss:USDC").await?, 0, "the house has its own back");
    assert_eq!(w.balance("refund:USDC").await?, 0, "nothing is owed twice");
    let mut conn = w.base.pool.acquire().await?;
    assert!(refund::open(&mut conn).await?.is_empty());
    drop(conn);
    assert_eq!(w.balance("suspense:USDC").await?, payable.minor(), "only the other's");
    w.sound().await
}

/// The same of a payment's sum: what has an address is spent, what has none is taken back.
#[tokio::test]
async fn of_a_sum_is_spent_once_it_has_an_address() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    let came = part(asked.quote.payable, 6_000);
    let deposit = w.pay(&asked.quote.address, came).await?;
    w.until_expired(asked.id).await?;
    let promised = only(&w).await?;
    address(&w, promised.id, THEIRS, "signed message").await?;
    w.gone(deposit).await?;
    assert_eq!(only(&w).await?.state, RefundState::Addressed);
    assert_eq!((w.balance("loss:USDC").await?, w.of_shop(Asset::Usdc).await?), (came.minor(), 0));
    assert!(w.cases(asked.id, true).await?.contains(&"refund_of_gone_deposit".to_owned()));
    w.sound().await
}

/// A reorganisation takes the deposit: what was promised of it is not owed any more.
#[tokio::test]
async fn withdrawn_when_its_deposit_is_gone() -> Result<()> {
    let w = World::open().await?;
    w.choose(|c| c.late = Action::Refund).await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.until_expired(asked.id).await?;
    let late = w.pay(&asked.quote.address, asked.quote.payable).await?;
    let promised = only(&w).await?;
    w.gone(late).await?;
    let mut conn = w.base.pool.acquire().await?;
    let now = refund::get_in(&mut conn, promised.id).await?.unwrap();
    drop(conn);
    assert_eq!(now.state, RefundState::Withdrawn);
    assert_eq!((w.balance("refund:USDC").await?, w.balance("escrow:anvil:USDC").await?), (0, 0));
    assert!(matches!(
        address(&w, promised.id, THEIRS, "signed message").await,
        Err(AddressError::NotOpen(_))
    ));
    w.sound().await
}
