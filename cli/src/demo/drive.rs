//! One payment, driven the way a shop and a payer do it: create, quote, pay what the QR says, wait.

use std::time::Duration;

use anyhow::{Context as _, bail};
use primitives::{Amount, Asset, PaymentId};
use serde_json::{Value, json};

use super::{http::Caller, scene::Scene};

/// No story takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A payment with a quote.
pub(crate) struct Asked {
    pub(crate) id: PaymentId,
    pub(crate) address: String,
    pub(crate) payable: Amount,
}

fn text<'a>(value: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    value.get(field).and_then(Value::as_str).with_context(|| format!("no {field} in the answer"))
}

/// Creates a payment and quotes it in one asset.
///
/// # Errors
/// When the API refuses.
pub(crate) async fn ask(
    shop: &Caller,
    reference: &str,
    paise: u32,
    asset: Asset,
    expires_in_s: u32,
) -> anyhow::Result<Asked> {
    let new = json!({
        "amount": { "amount_minor": paise.to_string(), "asset": "INR" },
        "reference": reference,
        "expires_in_s": expires_in_s,
    });
    let payment = shop.create("/v1/payments", reference, &new).await?;
    let id = text(&payment, "id")?;
    let method = json!({ "network": "anvil", "asset": asset });
    let key = format!("{reference}-quote");
    let quote = shop.create(&format!("/v1/payments/{id}/quotes"), &key, &method).await?;
    let payable = quote.get("payable").context("no payable in the quote")?;
    let minor = text(payable, "amount_minor")?;
    println!("{reference}: ₹{}.{:02} = {}", paise / 100, paise % 100, text(&quote, "uri")?);
    Ok(Asked {
        id: id.parse()?,
        address: text(&quote, "address")?.to_owned(),
        payable: Amount::parse_minor(minor, asset)?,
    })
}

/// Sends crypto from the payer's wallet and waits for the block.
///
/// # Errors
/// When the node refuses.
pub(crate) async fn pay(scene: &Scene, to: &str, amount: Amount) -> anyhow::Result<()> {
    let _turn = scene.wallet.lock().await;
    let sent = match amount.asset() {
        Asset::Eth => scene.payer.send_native(to, amount).await?,
        Asset::Usdc => scene.payer.send_token(&scene.tokens.usdc, to, amount).await?,
        Asset::Usdt => scene.payer.send_token(&scene.tokens.usdt, to, amount).await?,
        other => bail!("the demo's payer holds no {other}"),
    };
    anyhow::ensure!(scene.payer.wait(&sent).await?, "the payer's transaction failed");
    Ok(())
}

/// Sends a token that only looks like one of ours.
///
/// # Errors
/// When the node refuses.
pub(crate) async fn pay_lookalike(scene: &Scene, to: &str, amount: Amount) -> anyhow::Result<()> {
    let _turn = scene.wallet.lock().await;
    let sent = scene.payer.send_token(&scene.tokens.lookalike, to, amount).await?;
    anyhow::ensure!(scene.payer.wait(&sent).await?, "the payer's transaction failed");
    Ok(())
}

/// A share of an amount, in percent, rounded down.
///
/// # Errors
/// When it does not fit.
pub(crate) fn percent(amount: Amount, percent: i128) -> anyhow::Result<Amount> {
    let minor = amount.minor().checked_mul(percent).map(|p| p / 100).context("out of range")?;
    Ok(Amount::try_new(minor, amount.asset())?)
}

/// Waits until the story of a payment satisfies `done`; answers its last state otherwise.
///
/// # Errors
/// None at present: a missing answer is waited for.
pub(crate) async fn until(
    shop: &Caller,
    id: PaymentId,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<bool> {
    let started = tokio::time::Instant::now();
    loop {
        // No answer is no news: the fleet may just have been killed.
        if let Ok(story) = shop.get(&format!("/v1/payments/{id}/explain")).await
            && done(&story)
        {
            return Ok(true);
        }
        if started.elapsed() > PATIENCE {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// True when a story is in this state.
pub(crate) fn is(story: &Value, state: &str) -> bool {
    story.get("state").and_then(Value::as_str) == Some(state)
}

/// True when a story has an open case of this kind.
pub(crate) fn has_case(story: &Value, kind: &str) -> bool {
    let cases = story.get("cases").and_then(Value::as_array);
    cases.is_some_and(|all| all.iter().filter_map(Value::as_str).any(|case| case.starts_with(kind)))
}

/// How many payout attempts a story tells of.
pub(crate) fn attempts(story: &Value) -> usize {
    let payout = story.get("payout").and_then(|p| p.get("attempts"));
    payout.and_then(Value::as_array).map_or(0, Vec::len)
}

/// Waits until nothing is on its way any more: no order, payout or delivery is under way.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn settle(scene: &Scene) -> anyhow::Result<bool> {
    let started = tokio::time::Instant::now();
    while started.elapsed() < PATIENCE {
        let busy: bool = sqlx::query_scalar(
            "select exists (select from payouts where state not in ('paid', 'final', 'in_review'))
                 or exists (select from conversions where state not in ('filled', 'in_review'))
                 or exists (select from deposits where state = 'seen')
                 or exists (select from deliveries where state = 'pending')
                 or exists (select from inbox where state = 'new')",
        )
        .fetch_one(&scene.base.pool)
        .await?;
        if !busy {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(false)
}
