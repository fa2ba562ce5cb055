//! Moves of our own coins as the product's own rows and books see them: what may leave, what the
//! database itself refuses, what venues will need.

use std::sync::Arc;

use anyhow::Result;
use chrono::TimeDelta;
use primitives::{Amount, Asset, MoveId, NetworkId};
use serde_json::json;
use settlement::{
    bookkeeping, chart,
    switch::{self, Switch},
    treasury::{self, MovePurpose, MoveState, NewMove, NewSource, Offer, Planned},
};

use crate::world::{World, network, settings};

async fn world() -> Result<World> {
    let mut w = World::open().await?;
    w.base.settings = Arc::new(settings(|s| {
        s["treasury"] = json!({
            "networks": { "anvil": { "sweep": ["ETH", "USDC"] } },
            "venues": { "wazirx": { "targets": { "ETH": "10", "USDT": "1000" } } },
            "lanes": [{ "asset": "USDT", "from": "binance", "to": "wazirx", "network": "anvil",
                        "keep": "100", "least": "50", "per_day": "5000",
                        "per_hour": "5000" }],
        });
    }));
    Ok(w)
}

async fn coverable(w: &World, asset: Asset) -> Result<i128> {
    let mut conn = w.base.pool.acquire().await?;
    Ok(treasury::coverable_in(&mut conn, &w.base, &network(), asset).await?.minor())
}

fn eth(units: &str) -> Amount {
    Amount::parse_units(units, Asset::Eth).unwrap()
}

async fn capital(w: &World, into: ledger::Account, amount: Amount) -> Result<()> {
    let mut tx = w.base.pool.begin().await?;
    let key = w.base.uuid().to_string();
    bookkeeping::capital_paid_in(&mut tx, &w.base, into, amount, &key).await?;
    tx.commit().await?;
    Ok(())
}

fn to_venue(source: &str, amount: Amount) -> NewMove {
    NewMove {
        purpose: MovePurpose::FundVenue,
        network: network(),
        venue: Some("wazirx".to_owned()),
        to: "0xvenue".to_owned(),
        amount,
        fee_max: Amount::try_new(1_000, Asset::Eth).unwrap(),
        takes_all: true,
        sources: vec![NewSource {
            source: source.to_owned(),
            address: source.to_owned(),
            amount,
            nonce: None,
        }],
        draft: json!({ "what": "a carrier wrote" }),
        serves: None,
    }
}

async fn known_address(w: &World) -> Result<()> {
    let network = network();
    let offer = Offer { venue: "wazirx", asset: Asset::Eth, network: &network, address: "0xvenue" };
    let mut tx = w.base.pool.begin().await?;
    treasury::offered_in(&mut tx, &w.base, &offer).await?;
    tx.commit().await?;
    Ok(())
}

async fn plan(w: &World, new: &NewMove) -> Result<Planned> {
    let mut tx = w.base.pool.begin().await?;
    let planned = treasury::plan_in(&mut tx, &w.base, new).await?;
    tx.commit().await?;
    Ok(planned)
}

async fn planned(w: &World, source: &str) -> Result<MoveId> {
    match plan(w, &to_venue(source, eth("1"))).await? {
        Planned::Move(id) => Ok(id),
        other => anyhow::bail!("{other:?}"),
    }
}

/// Sold crypto may leave; what came short, what is nobody's and what was promised back may not.
#[tokio::test]
async fn only_what_is_sold_may_leave() -> Result<()> {
    let w = world().await?;
    assert_eq!(coverable(&w, Asset::Eth).await?, 0);
    let asked = w.ask(1_000_000, Asset::Eth).await?;
    let payable = asked.quote.payable;
    w.pay(&asked.quote.address, payable).await?;
    assert_eq!(w.state(asked.id).await?, "accepted");
    assert_eq!(coverable(&w, Asset::Eth).await?, payable.minor());
    // Half of another payment: it may go back to the payer.
    let short = w.ask(1_000_000, Asset::Eth).await?;
    let half = Amount::try_new(short.quote.payable.minor() / 2, Asset::Eth)?;
    w.pay(&short.quote.address, half).await?;
    assert_eq!(coverable(&w, Asset::Eth).await?, payable.minor());
    // Nobody's.
    let nobodys = w.pay("0xaddress19", eth("0.5")).await?;
    assert_eq!(coverable(&w, Asset::Eth).await?, payable.minor());
    // Promised: it moved from one debt to another.
    w.until_expired(short.id).await?;
    let mut tx = w.base.pool.begin().await?;
    settlement::refund::promise_deposit_in(&mut tx, &w.base, nobodys).await?;
    tx.commit().await?;
    assert_eq!(coverable(&w, Asset::Eth).await?, payable.minor());
    w.sound().await
}

/// The same asset owed on another network does not keep this one's, as far as rows can tell.
#[tokio::test]
async fn what_is_owed_elsewhere_is_covered_there() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::escrow(&network(), Asset::Eth), eth("3")).await?;
    let elsewhere = NetworkId::new("elsewhere").unwrap();
    let id = w.base.uuid();
    sqlx::query(
        "insert into deposits (id, network, tx_id, ordinal, address, asset, amount_minor, state,
           purpose, reason, seen_at, confirmed_at, updated_at)
         values ($1, 'elsewhere', '0xe', 0, '0xe', 'ETH', 2000000000000000000, 'confirmed',
           'suspense', 'late_deposit', $2, $2, $2)",
    )
    .bind(id)
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    let book = async |amount: &str, key: &str| -> Result<()> {
        let leg = ledger::Leg::new(
            chart::escrow(&elsewhere, Asset::Eth),
            chart::suspense(Asset::Eth),
            eth(amount),
        );
        let posted = ledger::Transfer {
            key: key.to_owned(),
            kind: "deposit.unidentified",
            correlation: None,
            actor: "test".to_owned(),
            effective_at: w.now(),
            meta: json!({}),
            legs: vec![leg],
        };
        let mut conn = w.base.pool.acquire().await?;
        ledger::post(&mut conn, &posted).await?;
        Ok(())
    };
    book("2", "dep:elsewhere").await?;
    assert_eq!(coverable(&w, Asset::Eth).await?, eth("3").minor());
    // A debt without a row may be owed anywhere: it is covered here too.
    book("0.5", "dep:nowhere").await?;
    assert_eq!(coverable(&w, Asset::Eth).await?, eth("2.5").minor());
    Ok(())
}

#[tokio::test]
async fn a_source_carries_one_move() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::escrow(&network(), Asset::Eth), eth("5")).await?;
    known_address(&w).await?;
    planned(&w, "0xaddress01").await?;
    assert_eq!(plan(&w, &to_venue("0xaddress01", eth("1"))).await?, Planned::Taken);
    planned(&w, "0xaddress02").await?;
    // And if somebody did not ask, the database says no.
    let second = sqlx::query(
        "insert into move_sources (move_id, network, source, address, amount_minor, live)
         select id, 'anvil', '0xaddress01', '0xaddress01', 1, true from moves
         order by planned_at desc, id desc limit 1",
    )
    .execute(&w.base.pool)
    .await;
    assert!(second.is_err());
    // Held twice, and never more than there is.
    assert_eq!(coverable(&w, Asset::Eth).await?, eth("3").minor() - 2_000);
    let too_much = plan(&w, &to_venue("0xaddress03", eth("3"))).await?;
    assert!(matches!(too_much, Planned::No(_)), "{too_much:?}");
    w.sound().await
}

/// What was decided and what was signed stays, for the application and for the owner.
#[tokio::test]
async fn what_is_frozen_does_not_change() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::escrow(&network(), Asset::Eth), eth("5")).await?;
    known_address(&w).await?;
    let id = planned(&w, "0xaddress01").await?;
    let mut tx = w.base.pool.begin().await?;
    let moved = treasury::get_in(&mut tx, id).await?.unwrap();
    let attempts = treasury::attempts_in(&mut tx, &moved).await?;
    treasury::signed_in(&mut tx, &w.base, &attempts[0], "0xsigned", "00").await?;
    treasury::signed_in(&mut tx, &w.base, &attempts[0], "0xother", "00").await?;
    tx.commit().await?;
    let mut conn = w.base.pool.acquire().await?;
    let signed = treasury::attempts_in(&mut conn, &moved).await?;
    assert_eq!(signed[0].tx_id.as_deref(), Some("0xsigned"), "the first signature stays");
    drop(conn);
    for change in [
        "update move_attempts set tx_id = '0xmine'",
        "update move_attempts set draft = '{}'",
        "update move_attempts set fee_max_minor = 1",
        "update moves set to_address = '0xmine'",
        "update moves set venue = 'mine'",
        "update move_sources set source = '0xmine'",
        "update venue_addresses set address = '0xmine'",
        "delete from venue_addresses",
        "truncate venue_addresses",
    ] {
        for pool in [&w.db.owner, &w.base.pool] {
            assert!(sqlx::query(change).execute(pool).await.is_err(), "{change}");
        }
    }
    for change in ["delete from moves", "delete from move_attempts", "delete from move_sources"] {
        assert!(sqlx::query(change).execute(&w.base.pool).await.is_err(), "{change}");
    }
    Ok(())
}

/// A switch that is being closed waits for who plans under it, and counts from its commit on.
#[tokio::test]
async fn the_switch_counts_from_its_commit() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::escrow(&network(), Asset::Eth), eth("5")).await?;
    known_address(&w).await?;
    let mut planning = w.base.pool.begin().await?;
    let new = to_venue("0xaddress01", eth("1"));
    let planned = treasury::plan_in(&mut planning, &w.base, &new).await?;
    assert!(matches!(planned, Planned::Move(_)));
    let mut closing = w.base.pool.begin().await?;
    sqlx::query("set local lock_timeout = '200ms'").execute(&mut *closing).await?;
    let waits = switch::set_in(&mut closing, &w.base, Switch::Moves, true, "now").await;
    assert!(waits.is_err(), "it must wait for the plan");
    closing.rollback().await?;
    planning.commit().await?;
    let mut tx = w.base.pool.begin().await?;
    switch::set_in(&mut tx, &w.base, Switch::Moves, true, "now").await?;
    tx.commit().await?;
    let stopped = plan(&w, &to_venue("0xaddress02", eth("1"))).await?;
    assert!(matches!(stopped, Planned::Stopped(_)));
    assert_eq!(Switch::parse("moves"), Some(Switch::Moves));
    Ok(())
}

/// A destination nobody knows, or another than the known one, is no destination.
#[tokio::test]
async fn only_the_known_address_is_a_destination() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::escrow(&network(), Asset::Eth), eth("5")).await?;
    let unknown = plan(&w, &to_venue("0xaddress01", eth("1"))).await?;
    assert!(matches!(unknown, Planned::Stopped(_)));
    known_address(&w).await?;
    let new = NewMove { to: "0xmine".to_owned(), ..to_venue("0xaddress01", eth("1")) };
    assert!(matches!(plan(&w, &new).await?, Planned::Stopped(_)));
    planned(&w, "0xaddress01").await?;
    Ok(())
}

/// Every end is an end but for a reorganisation, and nothing is planned anew out of nothing.
#[test]
fn ends_are_ends() {
    use treasury::MoveEvent as E;
    for end in [MoveState::Replaced, MoveState::Cancelled] {
        for event in [E::Sending, E::Signature, E::TryAgain, E::SeenInBlock, E::BumpPlanned] {
            assert!(end.next(event).is_err(), "{end} {event:?}");
        }
    }
    for state in MoveState::ALL {
        let again = state.next(E::FinalBlockGone).is_ok();
        let was_final = matches!(state, MoveState::Final | MoveState::Credited | MoveState::Failed);
        assert_eq!(again, was_final, "{state}");
    }
    assert!(MoveState::Sent.next(E::Cancel).is_err(), "what was sent is never given up");
    let page = settlement::states_markdown();
    assert!(page.contains("## Move") && page.contains("## Venue transfer"));
}

/// What is promised and unsold, and what the last day sold by the hour, is what a venue needs.
#[tokio::test]
async fn a_forecast_counts_what_is_open_and_what_is_sold() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::venue_free("wazirx", Asset::Eth), eth("4")).await?;
    let of = async |w: &World| -> Result<treasury::Forecast> {
        let mut conn = w.base.pool.acquire().await?;
        Ok(treasury::forecasts_in(&mut conn, &w.base, Asset::Eth).await?.remove(0))
    };
    let calm = of(&w).await?;
    assert_eq!((calm.wanted, calm.short, calm.hours_left), (eth("10"), eth("6"), None));
    let conversion = w.base.uuid();
    sqlx::query(
        "insert into conversions (id, venue, asset, state, target_minor, created_at, updated_at)
         values ($1, 'wazirx', 'ETH', 'filled', 1, $2, $2)",
    )
    .bind(conversion)
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    sqlx::query(
        "insert into order_attempts (conversion_id, attempt, client_ref, quantity, quantity_minor,
           price, state, planned_at) values ($1, 1, 'o1', 1, 1, 1, 'filled', $2)",
    )
    .bind(conversion)
    .bind(w.now())
    .execute(&w.db.owner)
    .await?;
    for (trade, at) in [("1", w.now()), ("2", w.now() - TimeDelta::hours(25))] {
        sqlx::query(
            "insert into fills (venue, trade_id, conversion_id, attempt, sold_minor, gross_minor,
               fee_minor, fee_gst_minor, tds_minor, price, executed_at, recorded_at, fee_asset)
             values ('wazirx', $1, $2, 1, 72000000000000000001, 1, 0, 0, 0, 1, $3, $3, 'INR')",
        )
        .bind(trade)
        .bind(conversion)
        .bind(at)
        .execute(&w.db.owner)
        .await?;
    }
    // 72 and a bit in 24 hours: 3 an hour, rounded up; four hours of that beat the target.
    let busy = of(&w).await?;
    assert_eq!(busy.per_hour.minor(), 3 * 10_i128.pow(18) + 1);
    assert_eq!(busy.wanted.minor(), 12 * 10_i128.pow(18) + 4);
    assert_eq!(busy.hours_left, Some(1));
    let asked = w.ask(1_000_000, Asset::Eth).await?;
    let open = of(&w).await?;
    assert_eq!(open.open, asked.quote.payable);
    assert_eq!(open.wanted, busy.wanted.checked_add(asked.quote.payable)?);
    Ok(())
}

/// What the one can spare and the other is short of, once at a time.
#[tokio::test]
async fn a_lane_carries_what_is_short() -> Result<()> {
    let w = world().await?;
    let usdt = |units: &str| Amount::parse_units(units, Asset::Usdt).unwrap();
    let wishes = async |w: &World| -> Result<Vec<Amount>> {
        let mut conn = w.base.pool.acquire().await?;
        let wishes = treasury::wishes_in(&mut conn, &w.base).await?;
        Ok(wishes.iter().map(|wish| wish.amount).collect())
    };
    assert!(wishes(&w).await?.is_empty(), "nothing is there");
    capital(&w, chart::venue_free("binance", Asset::Usdt), usdt("700")).await?;
    assert_eq!(wishes(&w).await?, [usdt("600")], "all but what stays");
    capital(&w, chart::venue_free("wazirx", Asset::Usdt), usdt("940")).await?;
    assert_eq!(wishes(&w).await?, [usdt("60")], "what is short");
    capital(&w, chart::venue_free("wazirx", Asset::Usdt), usdt("11")).await?;
    assert!(wishes(&w).await?.is_empty(), "49 are less than the least");
    Ok(())
}

/// What came short on one network keeps nothing on another: neither coins nor fees.
#[tokio::test]
async fn what_is_unsold_is_covered_where_it_lies() -> Result<()> {
    let w = world().await?;
    let elsewhere = NetworkId::new("elsewhere").unwrap();
    capital(&w, chart::escrow(&elsewhere, Asset::Eth), eth("3")).await?;
    let there = async |w: &World| -> Result<i128> {
        let mut conn = w.base.pool.acquire().await?;
        let free = treasury::coverable_in(&mut conn, &w.base, &elsewhere, Asset::Eth).await?;
        Ok(free.minor())
    };
    let short = w.ask(1_000_000, Asset::Eth).await?;
    let half = Amount::try_new(short.quote.payable.minor() / 2, Asset::Eth)?;
    w.pay(&short.quote.address, half).await?;
    assert_eq!(there(&w).await?, eth("3").minor(), "it is owed here");
    assert_eq!(coverable(&w, Asset::Eth).await?, 0);
    // Too much, for a person to decide: only what was sold may leave.
    w.choose(|choices| {
        choices.surplus = settlement::merchant_policy::Action::Review;
        choices.dust_paise = 0;
    })
    .await?;
    let over = w.ask(1_000_000, Asset::Eth).await?;
    let payable = over.quote.payable;
    let double = payable.checked_add(payable)?;
    w.pay(&over.quote.address, double).await?;
    assert_eq!(w.state(over.id).await?, "accepted");
    assert_eq!(coverable(&w, Asset::Eth).await?, payable.minor());
    assert_eq!(there(&w).await?, eth("3").minor());
    w.sound().await
}

/// A top-up comes in a block like a deposit, and is none: the move's own final block books it.
#[tokio::test]
async fn our_own_gas_is_no_deposit() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::gas(&network(), Asset::Eth), eth("5")).await?;
    capital(&w, chart::escrow(&network(), Asset::Eth), eth("5")).await?;
    known_address(&w).await?;
    let served = treasury::Served {
        goal: treasury::Goal::Venue { venue: "wazirx".to_owned(), to: "0xvenue".to_owned() },
        amount: eth("1"),
        fee_max: eth("0.01"),
    };
    let new = NewMove {
        purpose: MovePurpose::Gas,
        venue: None,
        serves: Some(served),
        to: "0xaddress05".to_owned(),
        takes_all: false,
        ..to_venue("0xstation", eth("0.01"))
    };
    let Planned::Move(id) = plan(&w, &new).await? else { anyhow::bail!("not planned") };
    let mut tx = w.base.pool.begin().await?;
    let moved = treasury::get_in(&mut tx, id).await?.unwrap();
    let attempts = treasury::attempts_in(&mut tx, &moved).await?;
    treasury::signed_in(&mut tx, &w.base, &attempts[0], "0xgas", "00").await?;
    tx.commit().await?;
    let height = w.block(w.now()).await?;
    let see = async |tx_id: &str, to: &str| -> Result<i64> {
        let seen = settlement::deposit::Seen {
            tx_id: tx_id.to_owned(),
            ..w.sighting(to, eth("0.01"), height)
        };
        let mut tx = w.base.pool.begin().await?;
        settlement::deposit::seen_in(&mut tx, &w.base, &seen).await?;
        tx.commit().await?;
        Ok(sqlx::query_scalar("select count(*) from deposits").fetch_one(&w.base.pool).await?)
    };
    assert_eq!(see("0xgas", "0xaddress05").await?, 0);
    assert_eq!(see("0xgas", "0xaddress06").await?, 1, "it went elsewhere, too");
    assert_eq!(see("0xother", "0xaddress05").await?, 2, "somebody else's");
    Ok(())
}

/// A venue that flips its address stays stopped, and writes one row an hour.
#[tokio::test]
async fn a_flipping_address_writes_little() -> Result<()> {
    let w = world().await?;
    let network = network();
    for turn in 0..20 {
        let address = if turn % 2 == 0 { "0xvenue" } else { "0xflipped" };
        let offer = Offer { venue: "wazirx", asset: Asset::Eth, network: &network, address };
        let mut tx = w.base.pool.begin().await?;
        let known = treasury::offered_in(&mut tx, &w.base, &offer).await?;
        tx.commit().await?;
        assert_eq!(known.is_usable, turn == 0, "{turn}");
        w.pass(300);
    }
    let rows: i64 =
        sqlx::query_scalar("select count(*) from venue_addresses").fetch_one(&w.base.pool).await?;
    assert!((2..=3).contains(&rows), "{rows} rows in 100 minutes");
    Ok(())
}

/// What waits to be signed, or for a person, is late like anything else.
#[tokio::test]
async fn what_is_planned_for_long_is_shown() -> Result<()> {
    let w = world().await?;
    capital(&w, chart::escrow(&network(), Asset::Eth), eth("5")).await?;
    known_address(&w).await?;
    let id = planned(&w, "0xaddress01").await?;
    let shown = async |w: &World| -> Result<i64> {
        let mut tx = w.base.pool.begin().await?;
        treasury::alarms_in(&mut tx, &w.base).await?;
        tx.commit().await?;
        let open = "select count(*) from cases where kind = 'transit_old' and closed_at is null";
        Ok(sqlx::query_scalar(open).fetch_one(&w.base.pool).await?)
    };
    w.pass(21_600);
    assert_eq!(shown(&w).await?, 0);
    w.pass(1);
    assert_eq!(shown(&w).await?, 1);
    let mut tx = w.base.pool.begin().await?;
    treasury::cancel_in(&mut tx, &w.base, id, ("ops", "nobody needs it")).await?;
    tx.commit().await?;
    assert_eq!(shown(&w).await?, 0, "at its end it is late no more");
    Ok(())
}

/// A frozen venue sells nothing of what is open, and needs nothing.
#[tokio::test]
async fn what_is_open_is_spread_over_who_sells() -> Result<()> {
    let mut w = World::open().await?;
    w.base.settings = Arc::new(settings(|s| {
        s["treasury"] = json!({ "venues": {
            "wazirx": { "targets": { "ETH": "1" } }, "binance": { "targets": { "ETH": "1" } },
        } });
    }));
    let asked = w.ask(1_000_000, Asset::Eth).await?;
    let mut tx = w.base.pool.begin().await?;
    let why = ("ops", "a test");
    settlement::venue_freeze::set_in(&mut tx, &w.base, "wazirx", true, why).await?;
    let forecasts = treasury::forecasts_in(&mut tx, &w.base, Asset::Eth).await?;
    tx.commit().await?;
    let of = |venue: &str| forecasts.iter().find(|f| f.venue == venue).unwrap();
    assert_eq!(of("binance").open, asked.quote.payable, "all of it");
    assert!(of("wazirx").short.is_zero() && of("wazirx").open.is_zero());
    Ok(())
}
