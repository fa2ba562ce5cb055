//! One payment, driven the way a shop and a payer do it: create, quote, pay what the QR says, wait.

use std::time::Duration;

use anyhow::Context as _;
use primitives::{Amount, Asset, PaymentId};
use serde_json::{Value, json};

use super::{http::Caller, scene::Scene};
use crate::payers;

/// No story takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A network and what is paid on it.
pub(crate) type Method = (&'static str, Asset);

/// A payment with a quote.
pub(crate) struct Asked {
    pub(crate) id: PaymentId,
    pub(crate) network: &'static str,
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
    scene: &Scene,
    reference: &str,
    paise: u32,
    (network, asset): Method,
    expires_in_s: u32,
) -> anyhow::Result<Asked> {
    let shop = &scene.merchant;
    let new = json!({
        "amount": { "amount_minor": paise.to_string(), "asset": "INR" },
        "reference": reference,
        "expires_in_s": expires_in_s,
    });
    let payment = shop.create("/v1/payments", reference, &new).await?;
    let id = text(&payment, "id")?;
    let method = json!({ "network": network, "asset": asset });
    let key = format!("{reference}-quote");
    let quote = shop.create(&format!("/v1/payments/{id}/quotes"), &key, &method).await?;
    let uri = text(&quote, "uri")?;
    println!("{reference}: ₹{}.{:02} = {uri}", paise / 100, paise % 100);
    // What a wallet reads out of the QR, not what the quote says beside it.
    let (address, payable) = payers::scan(&scene.config, uri, asset)?;
    anyhow::ensure!(address == text(&quote, "address")?, "the QR names another address");
    Ok(Asked { id: id.parse()?, network, address, payable })
}

/// Sends crypto from the payer's wallet, to where the QR says.
///
/// # Errors
/// When the node refuses.
pub(crate) async fn pay(scene: &Scene, asked: &Asked, amount: Amount) -> anyhow::Result<()> {
    scene.payer(asked.network)?.pay(&asked.address, amount).await?;
    Ok(())
}

/// Sends a token that only looks like one of ours.
///
/// # Errors
/// When the node refuses.
pub(crate) async fn pay_lookalike(scene: &Scene, asked: &Asked) -> anyhow::Result<()> {
    scene.payer(asked.network)?.pay_lookalike(&asked.address, asked.payable).await?;
    Ok(())
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
