//! What must neither loop nor hide: top-ups that serve nothing, deposits between two looks, credits
//! that a balance shows a little off, and what is late.

use anyhow::Result;
use chrono::TimeDelta;
use exchanges::custody::Passage;
use primitives::{Amount, Asset};
use serde_json::json;
use settlement::{
    chart,
    reconcile::{self, Scope},
    treasury::{self, Item, PersonError, WrittenOff},
};
use signing::SignError;

use super::{
    net::Kind,
    world::{World, amount},
};

const GAS: &str = "select count(*) from moves where purpose = 'gas'";
const SENT: i128 = 10_i128.pow(18) - 1_000;

async fn sent(change: impl FnOnce(&World)) -> Result<World> {
    let w = World::open(Kind::Addresses).await?;
    change(&w);
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(4);
    w.turn(1).await?;
    Ok(w)
}

async fn turns(w: &World, number: usize, seconds: i64) -> Result<()> {
    for _ in 0..number {
        w.turn(seconds).await?;
        w.net.mine(1);
        w.rate(Asset::Eth, w.now()).await?;
        w.rate(Asset::Usdc, w.now()).await?;
    }
    Ok(())
}

/// The books owe what no row places: the address has its fee, and gets no second one.
#[tokio::test]
async fn a_top_up_that_frees_nothing_is_not_repeated() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.suspense(5, amount("7", Asset::Eth), "elsewhere").await?;
    sqlx::query("delete from deposits where network = 'elsewhere'").execute(&w.db.owner).await?;
    // So that the node has the fee at the address and the books do not.
    w.suspense(1, amount("0.0001", Asset::Eth), "net").await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    turns(&w, 20, 5).await?;
    assert_eq!(w.count(GAS).await?, 1);
    assert!(w.cases().await?.contains(&"gas_loop".to_owned()), "{:?}", w.cases().await?);
    turns(&w, 10, 7_200).await?;
    assert_eq!(w.count(GAS).await?, 1, "however long it lasts");
    Ok(())
}

/// The fee rose while the top-up was on its way: another one, but not at once.
#[tokio::test]
async fn one_top_up_in_a_while() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    w.turn(1).await?;
    w.net.state().fee = 5_000;
    turns(&w, 20, 5).await?;
    assert_eq!(w.count(GAS).await?, 1);
    assert_eq!(w.cases().await?, ["gas_loop"]);
    turns(&w, 8, 3_600).await?;
    turns(&w, 20, 5).await?;
    assert_eq!(w.count(GAS).await?, 2);
    assert_eq!(w.at_near(Asset::Usdc).await?, 500_000_000);
    assert!(w.cases().await?.is_empty(), "the move that left it ended the case");
    w.check().await
}

/// A venue that takes nothing makes no top-up worth it.
#[tokio::test]
async fn a_full_venue_gets_no_gas_spent_for_it() -> Result<()> {
    let w = World::built(
        Kind::Addresses,
        |_| (),
        |s| {
            let near = json!({ "near": { "cap_paise": 100 } });
            s.venues = serde_json::from_value(near).unwrap();
        },
    )
    .await?;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.deposit(1, amount("500", Asset::Usdc)).await?;
    turns(&w, 3, 5).await?;
    assert!(w.moves().await?.is_empty());
    w.check().await
}

/// It became final after the address was looked at and before its move was planned.
#[tokio::test]
async fn a_deposit_between_the_look_and_the_plan_is_not_lost() -> Result<()> {
    for asset in [Asset::Eth, Asset::Usdc] {
        let w = World::open(Kind::Addresses).await?;
        w.gas(amount("0.5", Asset::Eth)).await?;
        let (first, second) = (amount("500", asset), amount("700", asset));
        if asset == Asset::Eth {
            w.stock(&w.near, amount("1", Asset::Eth)).await?;
        }
        let (first, second) = match asset {
            Asset::Eth => (amount("5", asset), amount("7", asset)),
            _ => (first, second),
        };
        w.deposit(3, first).await?;
        w.turn(1).await?;
        // Of the same instant as the plan.
        w.deposit(3, second).await?;
        w.settle().await?;
        w.settle().await?;
        let there = w.at_near(asset).await?;
        let most = first.minor() + second.minor();
        assert!(there > most - most / 1_000, "{asset}: {there}");
        w.turn(60).await?;
        let open = "select count(*) from moves where state <> 'credited'";
        assert_eq!(w.count(open).await?, 0, "what is left is not worth it");
        w.check().await?;
    }
    Ok(())
}

/// A venue lists a deposit when it sees it, which may be long before it is final for us.
#[tokio::test]
async fn a_venues_list_is_read_from_when_it_was_sent() -> Result<()> {
    let w = World::open(Kind::Addresses).await?;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    let sent_at = w.now();
    w.net.mine(4);
    w.clock.advance(TimeDelta::hours(30));
    w.turn(1).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert!(w.near.books().since.is_some_and(|since| since < sent_at));
    w.check().await
}

/// One row of the transaction is done, another is not: nothing is closed on a part.
#[tokio::test]
async fn a_part_is_no_credit() -> Result<()> {
    let w = sent(|w| w.near.books().half_done = true).await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["final"]);
    w.near.books().half_done = false;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!(w.at_near(Asset::Eth).await?, SENT);
    w.check().await
}

/// Orders of ours make a balance say nothing; they do not make forgotten what it said.
#[tokio::test]
async fn what_was_seen_is_kept_while_we_trade() -> Result<()> {
    let w = sent(|w| w.near.books().tells = false).await?;
    let conversion = w.base.uuid();
    sqlx::query(
        "insert into conversions (id, venue, asset, state, target_minor, created_at, updated_at)
         values ($1, 'near', 'ETH', 'submitted', 1, $2, $2)",
    )
    .bind(conversion)
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    sqlx::query(
        "insert into order_attempts (conversion_id, attempt, client_ref, quantity, quantity_minor,
           price, state, planned_at) values ($1, 1, 'o1', 1, 1, 1, 'open', $2)",
    )
    .bind(conversion)
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    w.turn(60).await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["final"]);
    sqlx::query("update order_attempts set state = 'closed', looked_at = now()")
        .execute(&w.db.owner)
        .await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["credited"], "the first quiet look is the second sight");
    w.check().await
}

/// What goes to a venue that counts coarser is cut to what it counts.
#[tokio::test]
async fn amounts_are_cut_to_what_a_venue_credits() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        t["venues"]["near"]["lists_deposits"] = json!(false);
        t["venues"]["near"]["credit_step"] = json!({ "ETH": "0.000001", "USDC": "0.01" });
    })
    .await?;
    w.near.books().tells = false;
    w.gas(amount("0.5", Asset::Eth)).await?;
    w.deposit(1, amount("1.0000015", Asset::Eth)).await?;
    w.deposit(2, amount("500.001234", Asset::Usdc)).await?;
    for _ in 0..3 {
        w.settle().await?;
    }
    assert_eq!(w.at_near(Asset::Eth).await?, 1_000_001 * 10_i128.pow(12));
    assert_eq!(w.at_near(Asset::Usdc).await?, 500_000_000);
    assert_eq!(w.escrow(Asset::Usdc).await?, 1_234);
    assert!(w.cases().await?.is_empty(), "{:?}", w.cases().await?);
    w.check().await
}

/// What was cut to a venue's step has almost nothing beside it for a higher fee: it shrinks by it,
/// to a whole step again.
#[tokio::test]
async fn a_cut_sweep_is_bumped() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        t["venues"]["near"]["lists_deposits"] = json!(false);
    })
    .await?;
    w.near.books().tells = false;
    w.net.state().block_fee = 1_500;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.turn(1).await?;
    w.net.mine(1);
    w.turn(61).await?;
    assert_eq!(w.count("select count(*) from move_attempts").await?, 2);
    for _ in 0..2 {
        w.settle().await?;
    }
    assert_eq!(w.moves().await?, ["credited"]);
    let step = 10_i128.pow(10);
    let there = w.at_near(Asset::Eth).await?;
    assert_eq!((there % step, 10_i128.pow(18) - there <= 2 * step), (0, true), "{there}");
    assert_eq!(w.in_transit(Asset::Eth).await?, 0);
    w.check().await
}

/// A venue that counts coarser than eight places cuts off more: that is crumbs as well.
#[tokio::test]
async fn what_a_coarse_venue_cuts_off_stays_nowhere() -> Result<()> {
    let w = World::with(Kind::Addresses, |t| {
        t["venues"]["near"]["credit_step"] = json!({ "ETH": "0.0001" });
    })
    .await?;
    w.near.books().short = 99_000_000_000_000;
    w.deposit(1, amount("1", Asset::Eth)).await?;
    w.settle().await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert!(w.cases().await?.is_empty(), "{:?}", w.cases().await?);
    assert_eq!(w.in_transit(Asset::Eth).await?, 0, "no residue is left on the way");
    w.check().await
}

/// What a venue never credits comes no more: it is fetched anew, and two people write it off.
#[tokio::test]
async fn two_people_write_off_what_is_missing() -> Result<()> {
    let short = 10_i128.pow(17);
    let w = sent(|w| w.near.books().short = short).await?;
    w.turn(60).await?;
    assert_eq!((w.moves().await?, w.cases().await?), (one("credited"), one("credit_differs")));
    assert_eq!(w.in_transit(Asset::Eth).await?, short);
    let coming = async |w: &World| -> Result<i128> {
        let mut conn = w.base.pool.acquire().await?;
        let all = treasury::forecasts_in(&mut conn, &w.base, Asset::Eth).await?;
        Ok(all.iter().map(|f| f.on_the_way.minor()).sum())
    };
    assert_eq!(coming(&w).await?, 0, "nobody waits for it");
    let item = Item::Move(w.the_move().await?);
    let sign = async |who: &str| -> Result<Result<WrittenOff, PersonError>> {
        let mut tx = w.base.pool.begin().await?;
        let done = treasury::write_off_in(&mut tx, &w.base, item, (who, "their letter")).await;
        tx.commit().await?;
        Ok(done)
    };
    let missing = Amount::try_new(short, Asset::Eth)?;
    assert!(matches!(sign("").await?, Err(PersonError::Unsigned(..))));
    assert_eq!(sign("asha").await??, WrittenOff::Signed(missing));
    assert_eq!(sign(" ASHA ").await??, WrittenOff::Signed(missing), "one person is one");
    assert_eq!(w.in_transit(Asset::Eth).await?, short, "the first signature books nothing");
    assert_eq!(sign("ravi").await??, WrittenOff::Booked(missing));
    let twice = sign("ravi").await?;
    assert!(matches!(twice, Err(PersonError::NotThere(_))), "{twice:?}");
    assert_eq!(w.in_transit(Asset::Eth).await?, 0);
    let lost = ledger::Account::new("loss", "loss:ETH", Asset::Eth);
    assert_eq!(w.balance(&lost).await?, short);
    assert!(w.cases().await?.is_empty());
    w.check().await
}

/// Something that is only slow is nobody's loss; something a venue refuses may be.
#[tokio::test]
async fn what_may_still_come_is_not_written_off() -> Result<()> {
    let w = sent(|w| w.near.books().silent = true).await?;
    assert!(w.cases().await?.is_empty());
    let item = Item::Move(w.the_move().await?);
    let sign = async |who: &str| -> Result<Result<WrittenOff, PersonError>> {
        let mut tx = w.base.pool.begin().await?;
        let done = treasury::write_off_in(&mut tx, &w.base, item, (who, "their letter")).await;
        tx.commit().await?;
        Ok(done)
    };
    let no = sign("asha").await?;
    assert!(matches!(no, Err(PersonError::NotThere(_))), "{no:?}");
    w.near.books().silent = false;
    w.near.books().refuses = true;
    w.turn(60).await?;
    assert_eq!((w.moves().await?, w.cases().await?), (one("final"), one("credit_refused")));
    sign("asha").await??;
    sign("ravi").await??;
    assert_eq!((w.moves().await?, w.cases().await?.len()), (one("credited"), 0));
    assert_eq!((w.at_near(Asset::Eth).await?, w.in_transit(Asset::Eth).await?), (0, 0));
    w.check().await
}

/// How long it took to leave says nothing of how long its credit takes.
#[tokio::test]
async fn a_move_is_late_from_when_it_left() -> Result<()> {
    for (slow, shown) in [(3_000, Vec::new()), (7_200, one("transit_old"))] {
        let w = World::open(Kind::Addresses).await?;
        w.near.books().silent = true;
        w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
        w.deposit(1, amount("1", Asset::Eth)).await?;
        w.turn(1).await?;
        w.clock.advance(TimeDelta::seconds(slow));
        w.turn(1).await?;
        w.net.mine(4);
        w.turn(1).await?;
        assert_eq!((w.moves().await?, w.cases().await?), (one("final"), shown.clone()));
        let item = Item::Move(w.the_move().await?);
        let sign = async || -> Result<Result<WrittenOff, PersonError>> {
            let mut tx = w.base.pool.begin().await?;
            let by = ("asha", "their letter");
            let done = treasury::write_off_in(&mut tx, &w.base, item, by).await;
            tx.commit().await?;
            Ok(done)
        };
        w.turn(1_200).await?;
        assert_eq!(w.cases().await?, shown, "{slow} s");
        let no = sign().await?;
        assert!(matches!(no, Err(PersonError::NotThere(_))), "{no:?}");
        w.turn(2_500).await?;
        assert_eq!(w.cases().await?, ["transit_old"]);
        sign().await??;
    }
    Ok(())
}

fn one(word: &str) -> Vec<String> {
    vec![word.to_owned()]
}

/// Finer than its places: what it cut off keeps nobody waiting.
#[tokio::test]
async fn a_balance_that_lacks_crumbs_is_read() -> Result<()> {
    let short = 9_999_999_999;
    let w = sent(|w| {
        w.near.books().tells = false;
        w.near.books().short = short;
    })
    .await?;
    w.turn(60).await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!((w.at_near(Asset::Eth).await?, w.in_transit(Asset::Eth).await?), (SENT - short, 0));
    w.check().await
}

/// What no rule can read, a person signs for; never more than left.
#[tokio::test]
async fn a_person_books_a_credit() -> Result<()> {
    let w = sent(|w| {
        w.near.books().tells = false;
        w.near.books().own.insert(Asset::Eth, 5);
    })
    .await?;
    w.turn(60).await?;
    w.turn(60).await?;
    assert_eq!(w.moves().await?, ["final"]);
    let item = Item::Move(w.the_move().await?);
    let by_hand = async |minor: i128, who: &str| -> Result<bool> {
        let mut tx = w.base.pool.begin().await?;
        let told = Amount::try_new(minor, Asset::Eth)?;
        let booked =
            treasury::credited_by_hand_in(&mut tx, &w.base, item, told, who, "its page").await;
        tx.commit().await?;
        Ok(booked.is_ok())
    };
    assert!(!by_hand(SENT, "").await?, "unsigned");
    assert!(!by_hand(SENT + 1, "asha").await?, "more than left");
    assert!(!by_hand(0, "asha").await?);
    assert!(by_hand(SENT, "asha").await?);
    assert!(!by_hand(SENT, "asha").await?, "once");
    assert_eq!(w.moves().await?, ["credited"]);
    assert_eq!(w.at_near(Asset::Eth).await?, SENT);
    let signed = "select count(*) from transitions where cause->>'by' = 'asha'";
    assert_eq!(w.count(signed).await?, 1);
    Ok(())
}

/// What is late does not explain for ever why books and venue differ.
#[tokio::test]
async fn what_is_late_hides_no_difference() -> Result<()> {
    let w = sent(|w| w.near.books().silent = true).await?;
    let scope = Scope::Venue("near".to_owned(), Asset::Eth);
    let busy = async |w: &World| -> Result<bool> {
        let mut conn = w.base.pool.acquire().await?;
        Ok(reconcile::in_flight_in(&mut conn, &w.base, &scope).await?)
    };
    assert!(busy(&w).await?);
    w.clock.advance(TimeDelta::seconds(3_601));
    assert!(!busy(&w).await?);
    Ok(())
}

/// A move that was never sent changes no balance, however long it waits; one that was sent explains
/// a difference from then on, and not for ever.
#[tokio::test]
async fn what_was_not_sent_hides_no_difference() -> Result<()> {
    let network = || primitives::NetworkId::new("net").unwrap();
    for (asset, scope) in [
        (Asset::Eth, Scope::Cold(network(), Asset::Eth)),
        (Asset::Usdc, Scope::Gas(network(), Asset::Eth)),
        (Asset::Btc, Scope::Venue("near".to_owned(), Asset::Btc)),
    ] {
        let kind = if asset == Asset::Btc { Kind::Outputs } else { Kind::Addresses };
        let w = World::with(kind, |t| {
            t["networks"]["net"]["cold"] = json!({ "ETH": {
                "address": "cold-storage", "keep": "0", "least": "0.1", "per_day": "1000",
            } });
            t["venues"]["near"]["targets"] = json!({ "BTC": "1", "USDC": "1000" });
        })
        .await?;
        w.gas(amount("0.5", Asset::Eth)).await?;
        let units = if asset == Asset::Usdc { "500" } else { "0.5" };
        w.deposit(1, amount(units, asset)).await?;
        w.keys.desk().says.push_back(SignError::Unavailable("no socket".to_owned()));
        w.turn(1).await?;
        let busy = async |w: &World| -> Result<bool> {
            let mut conn = w.base.pool.acquire().await?;
            Ok(reconcile::in_flight_in(&mut conn, &w.base, &scope).await?)
        };
        assert_eq!(w.moves().await?, ["planned"], "{scope:?}");
        assert!(!busy(&w).await?, "{scope:?}");
        w.clock.advance(TimeDelta::seconds(7_200));
        assert!(!busy(&w).await?, "{scope:?}");
        w.turn(1).await?;
        assert_eq!(w.moves().await?, ["sent"], "{scope:?}");
        assert!(busy(&w).await?, "{scope:?}: it was slow to leave");
        w.clock.advance(TimeDelta::seconds(3_601));
        assert!(!busy(&w).await?, "{scope:?}");
    }
    Ok(())
}

async fn lane(budget: i64) -> Result<World> {
    let w = World::with(Kind::Addresses, |t| {
        t["lanes"] = json!([{
            "asset": "USDT", "from": "far", "to": "near", "network": "net",
            "keep": "1000", "least": "500", "to_address": "near-deposits",
        }]);
        t["fee_budget_paise"] = json!(budget);
    })
    .await?;
    w.stock(&w.far, amount("4000", Asset::Usdt)).await?;
    Ok(w)
}

/// Without its transaction nobody could find it in the other venue's list: it has not left yet.
#[tokio::test]
async fn a_transfer_without_a_transaction_has_not_left() -> Result<()> {
    let w = lane(5_000_000).await?;
    w.far.books().nameless = true;
    w.far.books().passage = Some(Passage::Done);
    for _ in 0..3 {
        w.turn(60).await?;
    }
    assert_eq!(w.transfers().await?, ["leaving"]);
    w.far.books().nameless = false;
    w.turn(60).await?;
    assert_eq!(w.transfers().await?, ["left"]);
    let named = "select count(*) from venue_transfers where tx_id is not null";
    assert_eq!(w.count(named).await?, 1);
    Ok(())
}

/// A withdrawal's fee is of the same budget: ₹ 80 for one dollar.
#[tokio::test]
async fn withdrawals_are_of_the_budget() -> Result<()> {
    let w = lane(7_999).await?;
    turns(&w, 2, 60).await?;
    assert!(w.transfers().await?.is_empty());
    let w = lane(8_000).await?;
    turns(&w, 2, 60).await?;
    assert_eq!(w.transfers().await?, ["leaving"]);
    let mut conn = w.base.pool.acquire().await?;
    assert_eq!(treasury::overview_in(&mut conn, &w.base).await?.fees_paise, 8_000);
    drop(conn);
    assert_eq!(w.balance(&chart::venue_fee(Asset::Usdt)).await?, 0);
    Ok(())
}
