//! Two processes do the work at the same time: nothing happens twice.

use anyhow::Result;
use primitives::Asset;
use testkit::{Fleet, Options};

use super::net;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_once() -> Result<()> {
    let fleet = Fleet::with(Options { shops: 2, ..Options::new()? }).await?;
    let other = fleet.another_process(&|_| true).await?;
    let mut all = Vec::new();
    for number in 0..6_i128 {
        let shop = fleet.shops[usize::try_from(number % 2)?].clone();
        let asset = testkit::ASSETS[usize::try_from(number % 3)?];
        all.push(fleet.ask_for(&shop, 50_000 + number * 1_000, asset).await?);
    }
    fleet.fault("wazirx", "place_order", "http_500_applied")?;
    fleet.fault("razorpayx", "create_payout", "http_500_applied")?;
    for asked in &all {
        fleet.pay(asked, asked.payable()).await?;
    }
    let twins = [&fleet.worker, &other];
    fleet.settle_by(&twins).await?;
    // Whatever is left over from the last moments.
    fleet.settle_by(&twins).await?;
    for asked in &all {
        assert_eq!(fleet.story(asked).await?.state, "settled");
    }
    assert_eq!(fleet.payouts_at_bank()?, 6);
    let due = |range: [i128; 3]| range.iter().map(|n| net(50_000 + n * 1_000)).sum::<i128>();
    assert_eq!(fleet.received_by(&fleet.shops[0])?, due([0, 2, 4]));
    assert_eq!(fleet.received_by(&fleet.shops[1])?, due([1, 3, 5]));
    let both = "select count(distinct split_part(worker, '/', 1)) from jobs.job_attempts";
    assert_eq!(fleet.count(both).await?, 2, "only one of them worked");
    let asset = Asset::Usdc;
    let last = fleet.ask(70_000, asset).await?;
    fleet.pay(&last, last.payable()).await?;
    fleet.settle().await?;
    assert_eq!(fleet.story(&last).await?.state, "settled");
    fleet.check_books().await
}
