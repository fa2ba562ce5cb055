//! Listen to the venues' news about our account, and look at once at what moved.
//!
//! One run listens for a while and asks to run again; the lease of the job makes it one listener in
//! the whole fleet. News are hints: the order is asked for, the credit is read as ever, and without
//! a stream, or with one that is silent, the looks go on at their own pace.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use exchanges::News;
use futures::future::join_all;
use queue::{Lease, Outcome};
use settlement::{
    conversion,
    jobs::{WatchCredits, WatchOrders},
    treasury,
};

use crate::{Ctx, WorkError};

/// How long one look at the streams takes at most.
const SLICE: Duration = Duration::from_millis(250);
/// The next run begins so soon after one that listened.
const PAUSE_MS: i64 = 200;

pub(crate) async fn run(ctx: Ctx, _: WatchOrders, lease: Lease) -> Result<Outcome, WorkError> {
    let linger = Duration::from_millis(ctx.base.settings.order_news_linger_ms);
    if ctx.connectors.order_news.is_empty() || linger.is_zero() {
        return Ok(Outcome::Done);
    }
    let until = Instant::now() + linger;
    while Instant::now() < until {
        for (venue, news) in listen(&ctx).await {
            act(&ctx, &lease, venue, news).await?;
        }
    }
    Ok(Outcome::Again(ctx.now() + TimeDelta::milliseconds(PAUSE_MS)))
}

/// What every venue tells within a slice of time. One without a connection answers at once: the
/// slice is waited for all the same.
async fn listen(ctx: &Ctx) -> Vec<(&'static str, Vec<News>)> {
    let begun = Instant::now();
    let streams = &ctx.connectors.order_news;
    let heard = streams.iter().map(async |news| (news.venue(), news.wait(SLICE).await));
    let heard: Vec<_> = join_all(heard).await.into_iter().filter(|h| !h.1.is_empty()).collect();
    if heard.is_empty() {
        tokio::time::sleep(SLICE.saturating_sub(begun.elapsed())).await;
    }
    heard
}

/// One transaction for all that a venue told in a slice, each thing once.
async fn act(
    ctx: &Ctx,
    lease: &Lease,
    venue: &'static str,
    news: Vec<News>,
) -> Result<(), WorkError> {
    let mut balances = BTreeSet::new();
    let mut orders = BTreeSet::new();
    for item in news {
        match item {
            News::Order { client_ref } => {
                orders.insert(Some(client_ref));
            }
            News::Balance { asset } => {
                balances.insert(asset);
            }
            // Anything may have happened while nobody listened.
            News::Gap => {
                orders.insert(None);
            }
        }
    }
    let mut tx = ctx.begin(lease).await?;
    let base = &ctx.base;
    if orders.contains(&None) {
        conversion::hinted_in(&mut tx, base, venue, None).await?;
    } else {
        for client_ref in orders.iter().flatten() {
            conversion::hinted_in(&mut tx, base, venue, Some(client_ref.as_str())).await?;
        }
    }
    for asset in balances {
        if !treasury::waiting_in(&mut tx, venue, asset).await?.is_empty() {
            let job = WatchCredits { venue: venue.to_owned(), asset };
            queue::enqueue(&mut tx, &job, base.now()).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}
