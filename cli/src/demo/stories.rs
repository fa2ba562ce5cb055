//! The payments of the demo: each is one thing that happens to a payment, with the end it must
//! have. What is printed comes from the same view the API serves.

use primitives::{Asset, PaymentId};
use serde_json::{Value, json};

use super::{
    drive::{self, Asked, ask, attempts, has_case, is, pay, pay_lookalike, percent, until},
    scene::Scene,
};
use crate::commands::explain;

/// How the drive went.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) payments: usize,
    pub(crate) expected: usize,
}

struct Ended {
    title: &'static str,
    id: PaymentId,
    as_expected: bool,
}

/// Drives every story: the patient ones wait for their deadline while the others go through.
///
/// # Errors
/// When a part of the scene fails; an unexpected end of a payment is a result.
pub(crate) async fn drive(scene: &Scene) -> anyhow::Result<Report> {
    println!("\ndriving payments: QR, deposit, sale, payout, UTR\n");
    let (eth, usdc, over, split, short, late, fake) = tokio::try_join!(
        happy(scene, "happy ETH", "chai-1", 149_900, Asset::Eth),
        happy(scene, "happy USDC", "chai-2", 245_000, Asset::Usdc),
        overpaid(scene),
        in_two_parts(scene),
        underpaid(scene),
        late(scene),
        lookalike(scene),
    )?;
    // One fault at a time, so that each hits the payment it is meant for.
    let order = lost_order_answer(scene).await?;
    let payout = lost_payout_answer(scene).await?;
    let returned = returned_and_repaid(scene).await?;
    let mut report = Report::default();
    for ended in [eth, usdc, over, split, short, late, fake, order, payout, returned] {
        let story = explain::load(&scene.base.pool, ended.id).await?;
        let good = ended.as_expected && story.sums.adds_up;
        let verdict = if good { "as expected" } else { "NOT AS EXPECTED" };
        println!("\n── {}: {verdict}\n{}", ended.title, explain::tell(&story));
        report.payments += 1;
        report.expected += usize::from(good);
    }
    Ok(report)
}

async fn end(
    scene: &Scene,
    title: &'static str,
    asked: &Asked,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<Ended> {
    let as_expected = until(&scene.merchant, asked.id, done).await?;
    Ok(Ended { title, id: asked.id, as_expected })
}

fn settled_with_utr(story: &Value) -> bool {
    let utr = story.get("payout").and_then(|p| p.get("utr")).and_then(Value::as_str);
    is(story, "settled") && utr.is_some()
}

async fn happy(
    scene: &Scene,
    title: &'static str,
    reference: &str,
    paise: u32,
    asset: Asset,
) -> anyhow::Result<Ended> {
    let asked = ask(&scene.merchant, reference, paise, asset, 600).await?;
    pay(scene, &asked.address, asked.payable).await?;
    end(scene, title, &asked, settled_with_utr).await
}

async fn overpaid(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(&scene.merchant, "chai-3", 99_900, Asset::Usdt, 600).await?;
    pay(scene, &asked.address, percent(asked.payable, 120)?).await?;
    let done = |story: &Value| settled_with_utr(story) && has_case(story, "overpaid");
    end(scene, "overpaid by a fifth: settled, the surplus promised back", &asked, done).await
}

async fn in_two_parts(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(&scene.merchant, "chai-4", 320_000, Asset::Eth, 600).await?;
    let first = percent(asked.payable, 40)?;
    pay(scene, &asked.address, first).await?;
    pay(scene, &asked.address, asked.payable.checked_sub(first)?).await?;
    end(scene, "paid in two parts: settled", &asked, settled_with_utr).await
}

async fn underpaid(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(&scene.merchant, "chai-5", 50_000, Asset::Usdc, 12).await?;
    pay(scene, &asked.address, percent(asked.payable, 60)?).await?;
    let done = |story: &Value| is(story, "in_review") && has_case(story, "underpaid");
    end(scene, "underpaid: in review, what came is promised back", &asked, done).await
}

async fn late(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(&scene.merchant, "chai-6", 75_000, Asset::Eth, 12).await?;
    until(&scene.merchant, asked.id, |story| is(story, "expired")).await?;
    pay(scene, &asked.address, asked.payable).await?;
    let done = |story: &Value| is(story, "in_review") && has_case(story, "late_deposit");
    end(scene, "late: booked to suspense, in review", &asked, done).await
}

async fn lookalike(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(&scene.merchant, "chai-7", 60_000, Asset::Usdc, 12).await?;
    pay_lookalike(scene, &asked.address, asked.payable).await?;
    let done = |story: &Value| is(story, "expired") && has_case(story, "unknown_token");
    end(scene, "a token that only calls itself USDC: expired, nothing credited", &asked, done).await
}

async fn lost_order_answer(scene: &Scene) -> anyhow::Result<Ended> {
    let fault =
        json!({ "target": "wazirx", "operation": "place_order", "fault": "http_500_applied" });
    scene.control.post("/faults", &fault).await?;
    let asked = ask(&scene.merchant, "chai-8", 180_000, Asset::Usdc, 600).await?;
    pay(scene, &asked.address, asked.payable).await?;
    end(
        scene,
        "the exchange's answer was lost: found, sold once, settled",
        &asked,
        settled_with_utr,
    )
    .await
}

async fn lost_payout_answer(scene: &Scene) -> anyhow::Result<Ended> {
    let fault =
        json!({ "target": "razorpayx", "operation": "create_payout", "fault": "http_500_applied" });
    scene.control.post("/faults", &fault).await?;
    let asked = ask(&scene.merchant, "chai-9", 210_000, Asset::Eth, 600).await?;
    pay(scene, &asked.address, asked.payable).await?;
    end(scene, "the bank's answer was lost: same key again, paid once", &asked, settled_with_utr)
        .await
}

async fn returned_and_repaid(scene: &Scene) -> anyhow::Result<Ended> {
    let plan = json!({ "outcomes": ["reversed_after_processed", "processed"] });
    scene.control.post("/razorpayx/plan", &plan).await?;
    let asked = ask(&scene.merchant, "chai-10", 120_000, Asset::Usdc, 600).await?;
    pay(scene, &asked.address, asked.payable).await?;
    let done = |story: &Value| settled_with_utr(story) && attempts(story) == 2;
    let ended = end(scene, "payout reversed by the bank, paid again", &asked, done).await?;
    Ok(Ended { as_expected: ended.as_expected && drive::settle(scene).await?, ..ended })
}
