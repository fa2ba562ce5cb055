//! The sweep finds what has no job, however much stands in the way.

use anyhow::Result;
use settlement::stuck;

use crate::world::World;

/// Six hundred deposits of a network whose node is down have their jobs; one of another has none.
#[tokio::test]
async fn one_network_never_starves_another() -> Result<()> {
    let w = World::open().await?;
    let insert = "insert into deposits (id, network, tx_id, ordinal, address, asset, amount_minor,
          state, purpose, reason, seen_at, updated_at)
        select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, $1, 'tx' || n, 0, 'a',
          'USDC', 1, 'seen', 'suspense', 'late_deposit', now(), now()
        from generate_series($2::int, $3::int) n";
    for (network, from, to) in [("anvil", 1, 600), ("base", 601, 601)] {
        sqlx::query(insert).bind(network).bind(from).bind(to).execute(&w.db.owner).await?;
    }
    let last = "select count(*) from apalis.jobs where idempotency_key like '%000000000601'
        or idempotency_key like '%00000000000000000601'";
    let mut tx = w.base.pool.begin().await?;
    stuck::sweep_in(&mut tx, &w.base).await?;
    tx.commit().await?;
    assert_eq!(w.count(last).await?, 1, "the other network's is found at once");
    // Nor do those of one network starve each other for long.
    let jobs = "select count(*) from apalis.jobs where job_type like '%onfirm%eposit%'";
    for _ in 0..100 {
        let mut tx = w.base.pool.begin().await?;
        stuck::sweep_in(&mut tx, &w.base).await?;
        tx.commit().await?;
        if w.count(jobs).await? == 601 {
            return Ok(());
        }
    }
    anyhow::bail!("{} of 601 after a hundred sweeps", w.count(jobs).await?)
}
