//! The payments of the demo: each is one thing that happens to a payment, with the end it must
//! have. What is printed comes from the same view the API serves.

use primitives::{Asset, PaymentId};
use serde_json::{Value, json};

use super::{
    drive::{self, Asked, Method, ask, attempts, has_case, is, pay, pay_lookalike, until},
    scene::Scene,
};
use crate::payers::percent;
use cli::commands::explain;

const BTC: Method = ("bitcoin", Asset::Btc);
const ETH: Method = ("ethereum", Asset::Eth);
const ETH_ON_BASE: Method = ("base", Asset::Eth);
const USDC: Method = ("ethereum", Asset::Usdc);
const USDC_ON_BASE: Method = ("base", Asset::Usdc);
const USDC_ON_SOLANA: Method = ("solana", Asset::Usdc);
const USDT: Method = ("ethereum", Asset::Usdt);
const SOL: Method = ("solana", Asset::Sol);

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
    let paid = futures::future::try_join_all([
        happy(scene, "BTC", "chai-1", 310_000, BTC),
        happy(scene, "ETH", "chai-2", 149_900, ETH),
        happy(scene, "ETH on Base", "chai-3", 180_050, ETH_ON_BASE),
        happy(scene, "USDC", "chai-4", 245_000, USDC),
        happy(scene, "USDC on Base", "chai-5", 99_999, USDC_ON_BASE),
        happy(scene, "USDC on Solana", "chai-6", 130_000, USDC_ON_SOLANA),
        happy(scene, "USDT", "chai-7", 77_700, USDT),
        happy(scene, "SOL", "chai-8", 160_000, SOL),
    ]);
    let (paid, over, split, short, late, fake) = tokio::try_join!(
        paid,
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
    let others = [over, split, short, late, fake, order, payout, returned];
    for ended in paid.into_iter().chain(others) {
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
    method: Method,
) -> anyhow::Result<Ended> {
    let asked = ask(scene, reference, paise, method, 600).await?;
    pay(scene, &asked, asked.payable).await?;
    end(scene, title, &asked, settled_with_utr).await
}

async fn overpaid(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(scene, "chai-9", 99_900, USDT, 600).await?;
    pay(scene, &asked, percent(asked.payable, 120)?).await?;
    let done = |story: &Value| settled_with_utr(story) && has_case(story, "overpaid");
    end(scene, "overpaid by a fifth: settled, the surplus promised back", &asked, done).await
}

async fn in_two_parts(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(scene, "chai-10", 320_000, ETH, 600).await?;
    let first = percent(asked.payable, 40)?;
    pay(scene, &asked, first).await?;
    pay(scene, &asked, asked.payable.checked_sub(first)?).await?;
    end(scene, "paid in two parts: settled", &asked, settled_with_utr).await
}

async fn underpaid(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(scene, "chai-11", 50_000, USDC, 25).await?;
    pay(scene, &asked, percent(asked.payable, 60)?).await?;
    let done = |story: &Value| is(story, "in_review") && has_case(story, "underpaid");
    end(scene, "underpaid: in review, what came is promised back", &asked, done).await
}

async fn late(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(scene, "chai-12", 75_000, ETH, 25).await?;
    until(&scene.merchant, asked.id, |story| is(story, "expired")).await?;
    pay(scene, &asked, asked.payable).await?;
    let done = |story: &Value| is(story, "in_review") && has_case(story, "late_deposit");
    end(scene, "late: booked to suspense, in review", &asked, done).await
}

async fn lookalike(scene: &Scene) -> anyhow::Result<Ended> {
    let asked = ask(scene, "chai-13", 60_000, USDC, 25).await?;
    pay_lookalike(scene, &asked).await?;
    let done = |story: &Value| is(story, "expired") && has_case(story, "unknown_token");
    end(scene, "a token that only calls itself USDC: expired, nothing credited", &asked, done).await
}

async fn lost_order_answer(scene: &Scene) -> anyhow::Result<Ended> {
    let fault =
        json!({ "target": "wazirx", "operation": "place_order", "fault": "http_500_applied" });
    scene.control.post("/faults", &fault).await?;
    let asked = ask(scene, "chai-14", 180_000, USDC, 600).await?;
    pay(scene, &asked, asked.payable).await?;
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
    let asked = ask(scene, "chai-15", 210_000, ETH, 600).await?;
    pay(scene, &asked, asked.payable).await?;
    end(scene, "the bank's answer was lost: same key again, paid once", &asked, settled_with_utr)
        .await
}

async fn returned_and_repaid(scene: &Scene) -> anyhow::Result<Ended> {
    let plan = json!({ "outcomes": ["reversed_after_processed", "processed"] });
    scene.control.post("/razorpayx/plan", &plan).await?;
    let asked = ask(scene, "chai-16", 120_000, USDC, 600).await?;
    pay(scene, &asked, asked.payable).await?;
    let done = |story: &Value| settled_with_utr(story) && attempts(story) == 2;
    let ended = end(scene, "payout reversed by the bank, paid again", &asked, done).await?;
    Ok(Ended { as_expected: ended.as_expected && drive::settle(scene).await?, ..ended })
}
