//! A policy is versioned data: the newest acts, history stays, nonsense is refused.

use anyhow::Result;
use primitives::{Asset, MerchantId};
use settlement::merchant_policy::{self, Action, Choices, PolicyRefused};

use crate::world::World;

#[tokio::test]
async fn the_newest_version_acts_and_history_stays() -> Result<()> {
    let w = World::open().await?;
    let mut conn = w.base.pool.acquire().await?;
    let house = merchant_policy::current_in(&mut conn, w.merchant).await?;
    assert_eq!((house.version, house.choices), (0, Choices::HOUSE));
    assert_eq!(w.choose(|c| c.late = Action::Refund).await?.version, 1);
    assert_eq!(w.choose(|c| c.late = Action::Requote).await?.version, 2);
    assert_eq!(w.choose(|_| ()).await?.version, 2, "the same again is no new version");
    assert_eq!(w.choose(|c| c.late = Action::Refund).await?.version, 3);
    let all = merchant_policy::list(&mut conn, w.merchant).await?;
    let late: Vec<Action> = all.iter().map(|policy| policy.choices.late).collect();
    assert_eq!(late, [Action::Refund, Action::Requote, Action::Refund]);
    for sql in ["update merchant_policies set late = 'honour'", "delete from merchant_policies"] {
        assert!(sqlx::query(sql).execute(&w.db.owner).await.is_err(), "{sql}");
    }
    Ok(())
}

/// Two deposits under two versions keep each its own.
#[tokio::test]
async fn each_outcome_keeps_the_version_that_decided_it() -> Result<()> {
    let w = World::open().await?;
    let asked = w.ask(100_000, Asset::Usdc).await?;
    w.pay(&asked.quote.address, asked.quote.payable).await?;
    let first = w.pay(&asked.quote.address, asked.quote.payable).await?;
    w.choose(|c| c.after_end = Action::Refund).await?;
    let second = w.pay(&asked.quote.address, asked.quote.payable).await?;
    assert_eq!(w.outcome(first).await?, ("review".to_owned(), 0));
    assert_eq!(w.outcome(second).await?, ("refund_promised".to_owned(), 1));
    let told = "select count(*) from cases where kind = 'deposit_after_end'
                and detail ->> 'policy_version' in ('0', '1')";
    assert_eq!(w.count(told).await?, 2, "the case names the version too");
    w.sound().await
}

#[tokio::test]
async fn nonsense_is_refused_and_changes_nothing() -> Result<()> {
    let w = World::open().await?;
    let mut tx = w.base.pool.begin().await?;
    let house = Choices::HOUSE;
    let bad = [
        Choices { late: Action::Topup, ..house },
        Choices { short: Action::Requote, ..house },
        Choices { surplus: Action::Topup, ..house },
        Choices { wrong_asset: Action::Honour, ..house },
        Choices { after_end: Action::Honour, ..house },
        Choices { auto_max_paise: -1, ..house },
        Choices { late_grace_s: 90_000, ..house },
        Choices { topup_s: -5, ..house },
        Choices { dust_paise: 1_000_000, ..house },
        Choices { tolerance_bps: primitives::Bps::new(5_000).unwrap(), ..house },
    ];
    for choices in bad {
        let refused = merchant_policy::set_in(&mut tx, &w.base, w.merchant, choices, "note").await;
        assert!(refused.is_err(), "{choices:?}");
    }
    let silent = merchant_policy::set_in(&mut tx, &w.base, w.merchant, house, "").await;
    assert!(matches!(silent, Err(PolicyRefused::NoteMissing)));
    let nobody = MerchantId::from_uuid(w.base.uuid());
    let unknown = merchant_policy::set_in(&mut tx, &w.base, nobody, house, "note").await;
    assert!(matches!(unknown, Err(PolicyRefused::NoMerchant)));
    tx.commit().await?;
    assert_eq!(w.count("select count(*) from merchant_policies").await?, 0);
    Ok(())
}

/// Many at once: versions have no gap and no double.
#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() -> Result<()> {
    let w = World::open().await?;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (base, merchant) = (w.base.clone(), w.merchant);
        running.spawn(async move {
            let mut tx = base.pool.begin().await.unwrap();
            let choices = Choices { late_grace_s: number, ..Choices::HOUSE };
            merchant_policy::set_in(&mut tx, &base, merchant, choices, "at once").await.unwrap();
            tx.commit().await.unwrap();
        });
    }
    while let Some(done) = running.join_next().await {
        done?;
    }
    let whole = "select (count(*) = 8 and max(version) = 8)::int::bigint from merchant_policies";
    assert_eq!(w.count(whole).await?, 1);
    Ok(())
}
