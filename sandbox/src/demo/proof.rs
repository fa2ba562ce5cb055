//! The proof at the end: the trial balance is zero per asset, the audit finds nothing, and the
//! simulators' own append-only books, read over control and not through our adapters, equal ours.

use std::collections::BTreeMap;

use anyhow::Context as _;
use primitives::{Amount, Asset};
use serde_json::Value;
use settlement::reconcile::{Scope, books_in};

use super::scene::Scene;

/// Prints every comparison; `true` when all of them hold.
///
/// # Errors
/// When books cannot be read.
pub(crate) async fn prove(scene: &Scene) -> anyhow::Result<bool> {
    let mut good = trial_balance(scene).await?;
    good &= venues(scene).await?;
    good &= transfers(scene).await?;
    good &= bank(scene).await?;
    good &= escrow(scene).await?;
    good &= told(scene).await?;
    Ok(good)
}

async fn trial_balance(scene: &Scene) -> anyhow::Result<bool> {
    let mut conn = scene.base.pool.acquire().await?;
    println!("\ntrial balance");
    let lines = ledger::trial_balance(&mut conn).await?;
    for line in lines.iter().filter(|line| line.debits.is_positive() || line.credits.is_positive())
    {
        println!("  {:52} {:>10} {}", line.code, format!("{:?}", line.class), line.net);
    }
    let on_the_way: Vec<&str> = lines
        .iter()
        .filter(|line| line.role == "transit" && !line.net.is_zero())
        .map(|line| line.code.as_str())
        .collect();
    for code in &on_the_way {
        println!("  NOT THERE YET {code}");
    }
    let unbalanced = ledger::unbalanced(&lines)?;
    let defects = ledger::audit(&mut conn).await?;
    for defect in &defects {
        println!("  DEFECT {defect:?}");
    }
    let seals = ledger::verify_seals(&mut conn).await?;
    println!(
        "  per asset: {}; audit: {} defects; seals checked: {}",
        if unbalanced.is_empty() { "zero" } else { "NOT ZERO" },
        defects.len(),
        seals.len()
    );
    let nothing_left = unbalanced.is_empty() && on_the_way.is_empty();
    Ok(nothing_left && defects.is_empty() && seals.iter().all(|seal| seal.ok))
}

fn same(what: &str, ours: Amount, theirs: Amount) -> bool {
    let verdict = if ours == theirs { "equal " } else { "DIFFER" };
    println!("  {verdict} {what:28} ours {ours}, theirs {theirs}");
    ours == theirs
}

/// Every balance of every venue, as its own journal has it.
async fn venues(scene: &Scene) -> anyhow::Result<bool> {
    println!("\nthe venues' own books");
    let mut good = true;
    let mut conn = scene.base.pool.acquire().await?;
    for venue in ["wazirx", "binance"] {
        let book = scene.control.get(&format!("/books/{venue}?limit=1")).await?;
        let balances = book.get("balances").and_then(Value::as_object).context("balances")?;
        for asset in Asset::ALL {
            let entry =
                balances.get(asset.code()).or_else(|| balances.get(&asset.code().to_lowercase()));
            let Some(entry) = entry else { continue };
            let theirs = total(entry, asset)?;
            let ours = books_in(&mut conn, &Scope::Venue(venue.into(), asset)).await?;
            let theirs = without_crumbs(&mut conn, venue, ours, theirs).await?;
            good &= same(&format!("{venue} {asset}"), ours, theirs);
        }
    }
    Ok(good)
}

/// Less what a venue counts finer than our books: below one smallest unit per trade.
async fn without_crumbs(
    conn: &mut sqlx::PgConnection,
    venue: &str,
    ours: Amount,
    theirs: Amount,
) -> anyhow::Result<Amount> {
    let trades: i64 = sqlx::query_scalar(
        "select count(*) from fills f join conversions c on c.id = f.conversion_id
         where f.venue = $1 and c.quote = $2",
    )
    .bind(venue)
    .bind(ours.asset().code())
    .fetch_one(conn)
    .await?;
    let more = theirs.checked_sub(ours)?.minor();
    Ok(if (0..=i128::from(trades)).contains(&more) { ours } else { theirs })
}

fn total(entry: &Value, asset: Asset) -> anyhow::Result<Amount> {
    let mut sum = Amount::zero(asset);
    for field in ["free", "locked"] {
        let text = entry.get(field).and_then(Value::as_str).unwrap_or("0");
        sum = sum.checked_add(units(text, asset)?)?;
    }
    Ok(sum)
}

fn units(text: &str, asset: Asset) -> anyhow::Result<Amount> {
    // A venue may keep more places than the asset has on its chain.
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    let kept = places.get(..usize::try_from(asset.scale())?).unwrap_or(places);
    Ok(Amount::parse_units(&format!("{whole}.{kept}"), asset)?)
}

/// A transfer as our rows have it.
#[derive(sqlx::FromRow)]
struct Carried {
    from_venue: String,
    to_venue: String,
    asset: String,
    client_ref: String,
    tx_id: Option<String>,
    net: Option<String>,
    fee: Option<String>,
    credited: Option<String>,
}

/// Each transfer against the books of both venues: what the one sent, under our reference, and what
/// the other credited for the very transaction of the chain.
async fn transfers(scene: &Scene) -> anyhow::Result<bool> {
    println!("\ntransfers, in the books of both venues");
    let carried: Vec<Carried> = sqlx::query_as(
        "select from_venue, to_venue, asset::text, client_ref, tx_id, net_minor::text as net,
           fee_minor::text as fee, credited_minor::text as credited
         from venue_transfers where state not in ('refused', 'failed') order by planned_at",
    )
    .fetch_all(&scene.base.pool)
    .await?;
    let mut books = BTreeMap::new();
    for venue in ["wazirx", "binance"] {
        books.insert(venue, scene.control.get(&format!("/books/{venue}?limit=1")).await?);
    }
    let list = |venue: &str, what: &str| {
        let book = books.get(venue).and_then(|book| book.get(what));
        book.and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
    };
    let mut good = true;
    for of in &carried {
        let asset: Asset = of.asset.parse()?;
        let minor =
            |text: &Option<String>| Amount::parse_minor(text.as_deref().unwrap_or("0"), asset);
        let sent = list(&of.from_venue, "withdrawals");
        let sent = sent.iter().find(|one| field(one, "withdrawOrderId") == of.client_ref);
        let sent = sent.context("the venue shows no such withdrawal")?;
        let tx_id = of.tx_id.as_deref().unwrap_or_default();
        let is_mine = |one: &&Value| [field(one, "txId"), field(one, "tx_id")].contains(&tx_id);
        let mut credited = Amount::zero(asset);
        for one in list(&of.to_venue, "deposits").iter().filter(is_mine) {
            credited = credited.checked_add(units(field(one, "amount"), asset)?)?;
        }
        let (from, to) = (&of.from_venue, &of.to_venue);
        good &= !tx_id.is_empty() && field(sent, "txId") == tx_id;
        good &=
            same(&format!("{from} sent"), minor(&of.net)?, units(field(sent, "amount"), asset)?);
        let fee = units(field(sent, "transactionFee"), asset)?;
        good &= same(&format!("{from} kept"), minor(&of.fee)?, fee);
        good &= same(&format!("{to} credited"), minor(&of.credited)?, credited);
    }
    let known =
        list("wazirx", "withdrawals").len().saturating_add(list("binance", "withdrawals").len());
    let matched = known == carried.len();
    let verdict = if matched { "equal " } else { "DIFFER" };
    println!(
        "  {verdict} {known} withdrawals at the venues, {} of ours, one for one",
        carried.len()
    );
    Ok(good && matched)
}

fn field<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The bank's balance, and each payout's debit: once, to the right person, for the right amount.
async fn bank(scene: &Scene) -> anyhow::Result<bool> {
    println!("\nthe bank's own books");
    let balance = scene.control.get("/razorpayx/balance").await?;
    let paise = balance.get("balance_paise").and_then(Value::as_i64).context("bank balance")?;
    let mut conn = scene.base.pool.acquire().await?;
    let ours = books_in(&mut conn, &Scope::Rail("razorpayx".into())).await?;
    let mut good = same("bank INR", ours, Amount::try_new(i128::from(paise), Asset::Inr)?);
    let payouts = scene.control.get("/razorpayx/payouts").await?;
    let rows = payouts.get("payouts").and_then(Value::as_array).context("the bank's payouts")?;
    let mut theirs: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for row in rows {
        let payout = row.get("payout").context("a payout")?;
        let field = |name: &str| payout.get(name).and_then(Value::as_str).unwrap_or_default();
        let amount = payout.get("amount").and_then(Value::as_i64).unwrap_or_default();
        theirs.insert(field("id").to_owned(), (field("status").to_owned(), amount));
    }
    let known: Vec<(String, String, String)> = sqlx::query_as(
        "select a.rail_payout_id, a.state, p.amount_minor::text from payout_attempts a
         join payouts p on p.id = a.payout_id where a.rail_payout_id is not null",
    )
    .fetch_all(&mut *conn)
    .await?;
    let matched = known.len() == theirs.len()
        && known.iter().all(|(id, state, amount)| {
            theirs
                .get(id)
                .is_some_and(|(status, paise)| status == state && paise.to_string() == *amount)
        });
    println!(
        "  {} {} payouts at the bank, {} attempts of ours, one for one",
        if matched { "equal " } else { "DIFFER" },
        theirs.len(),
        known.len()
    );
    good &= matched;
    Ok(good)
}

/// What the chain holds on every address that was ever paid.
async fn escrow(scene: &Scene) -> anyhow::Result<bool> {
    println!("\nthe chains");
    let mut good = true;
    for (network, ours, theirs) in scene.escrow().await? {
        good &= same(&format!("escrow {network} {}", ours.asset()), ours, theirs);
    }
    Ok(good)
}

/// Every event reached the merchant's endpoint with a signature that verifies.
async fn told(scene: &Scene) -> anyhow::Result<bool> {
    let received = scene.control.get("/merchant/received").await?;
    let text = received.to_string();
    let events: i64 =
        sqlx::query_scalar("select count(*) from deliveries").fetch_one(&scene.base.pool).await?;
    let delivered: i64 =
        sqlx::query_scalar("select count(*) from deliveries where state = 'delivered'")
            .fetch_one(&scene.base.pool)
            .await?;
    println!("\nthe merchant's endpoint: {delivered} of {events} events delivered");
    let refused = text.matches("\"verified\":false").count();
    Ok(refused == 0 && events > 0)
}
