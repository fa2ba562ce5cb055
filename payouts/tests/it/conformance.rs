//! The promises of the port, kept against the simulated RazorpayX.

use payouts::{RailStatus, WebhookError, conformance};
use simulators::razorpayx::sign;

use crate::world::{World, beneficiary, order};

#[tokio::test]
async fn razorpayx_pays_once_and_agrees_with_itself() {
    let world = World::start().await;
    let rail = world.rail();
    assert_eq!(rail.rail(), "razorpayx");
    let handle = conformance::beneficiary_is_created_once(rail.as_ref(), &beneficiary()).await;
    let order = order(&handle.unwrap(), 1, 1);
    conformance::freezing_is_pure(rail.as_ref(), &order).unwrap();
    let sent = conformance::sending_twice_pays_once(rail.as_ref(), &order).await.unwrap();
    assert_eq!(sent.status, RailStatus::Processing);
    conformance::a_key_belongs_to_its_body(rail.as_ref(), &order).await.unwrap();
    conformance::unknown_ids_are_refused(rail.as_ref(), "pout_00000000000000").await.unwrap();
    conformance::balance_is_readable(rail.as_ref()).await.unwrap();
    world.pass(400);
    let paid = rail.fetch(&sent.rail_payout_id).await.unwrap();
    assert_eq!(paid.status, RailStatus::Processed);
    assert_eq!(paid.utr.as_ref().map(String::len), Some(12));
    let costs = [paid.fees.unwrap().minor(), paid.tax.unwrap().minor()];
    assert_eq!(costs, [590, 90]);
    let expected = 500_000_000 - 245_000 - 590;
    assert_eq!(world.running.bank.balance_paise(), expected);
    assert_eq!(rail.balance().await.unwrap().available.minor(), i128::from(expected));
}

#[tokio::test]
async fn razorpayx_webhooks_are_believed_only_when_signed() {
    let world = World::start().await;
    let rail = world.rail();
    let body = include_bytes!("../../src/razorpayx/fixtures/event.payout_processed.json");
    let secret = world.running.bank.credentials().webhook_secret;
    conformance::unsigned_webhooks_are_refused(rail.as_ref(), body, &sign(&secret, body)).unwrap();
    let old = sign("older", body);
    assert!(rail.read_webhook(&[&old], body).is_ok(), "during a rotation both secrets count");
    let others = sign("somebody", body);
    assert_eq!(rail.read_webhook(&[&others], body), Err(WebhookError::Forged));
    let huge = vec![b' '; 300 * 1024];
    let signed = sign(&secret, &huge);
    assert_eq!(rail.read_webhook(&[&signed], &huge), Err(WebhookError::Malformed));
    let refused = rail.read_webhook(&[&sign(&secret, b"[]")], b"[]");
    assert!(matches!(refused, Err(WebhookError::Unreadable(_))), "{refused:?}");
}
