//! The named faults of the simulated RazorpayX: the answer is lost in every manner, with and
//! without the effect; sending the same bytes again pays exactly once either way.

use primitives::CallError;

use crate::world::{World, beneficiary, order};

/// Fault, and whether the payout exists afterwards.
const LOST: [(&str, bool); 13] = [
    ("timeout_applied", true),
    ("timeout_not_applied", false),
    ("reset_applied", true),
    ("reset_not_applied", false),
    ("http_500_applied", true),
    ("http_500_not_applied", false),
    ("http_502_html", false),
    ("http_503", false),
    ("http_504_applied", true),
    ("malformed", true),
    ("truncated", true),
    ("huge_body", true),
    ("slow_drip", true),
];

#[tokio::test]
async fn the_same_bytes_pay_once_whatever_was_lost() {
    let world = World::start().await;
    let rail = world.rail();
    let handle = rail.ensure_beneficiary(&beneficiary()).await.unwrap();
    for (payout, (name, exists)) in (1..).zip(LOST) {
        let frozen = rail.freeze(&order(&handle, payout, 1));
        world.fault("create_payout", name);
        let lost = rail.send(&frozen).await;
        assert!(lost.as_ref().is_err_and(CallError::may_have_happened), "{name}: {lost:?}");
        let found = rail.find(&frozen.reference).await.unwrap();
        assert_eq!(found.is_some(), exists, "{name}");
        let sent = rail.send(&frozen).await.unwrap();
        if let Some(found) = found {
            assert_eq!(found.rail_payout_id, sent.rail_payout_id, "{name}");
        }
    }
    world.pass(5_000);
    let expected = 500_000_000 - 13 * (245_000 + 590);
    assert_eq!(world.running.bank.balance_paise(), expected, "thirteen payouts, each once");
}

#[tokio::test]
async fn reads_and_beneficiaries_under_faults() {
    let world = World::start().await;
    let rail = world.rail();
    for (name, _) in LOST {
        world.fault("balance", name);
        let read = rail.balance().await;
        assert!(matches!(read, Err(CallError::NotSent(_))), "{name}: {read:?}");
        for operation in ["create_contact", "create_fund_account"] {
            world.fault(operation, name);
            let lost = rail.ensure_beneficiary(&beneficiary()).await;
            assert!(lost.is_err_and(|e| e.may_have_happened()), "{operation} {name}");
        }
    }
    let first = rail.ensure_beneficiary(&beneficiary()).await.unwrap();
    assert_eq!(rail.ensure_beneficiary(&beneficiary()).await, Ok(first));
}

#[tokio::test]
async fn refusals_and_limits_are_told_apart() {
    let world = World::start().await;
    let rail = world.rail();
    let handle = rail.ensure_beneficiary(&beneficiary()).await.unwrap();
    let frozen = rail.freeze(&order(&handle, 1, 1));
    for (fault, is_ours) in [
        ("reject:401", true),
        ("reject:404", true),
        ("reject:ip_not_allowed", true),
        ("reject:bad", false),
    ] {
        world.fault("create_payout", fault);
        let refused = rail.send(&frozen).await;
        match refused {
            Err(CallError::NotSent(_)) => assert!(is_ours, "{fault}"),
            Err(CallError::Rejected { .. }) => assert!(!is_ours, "{fault}"),
            other => panic!("{fault}: {other:?}"),
        }
    }
    world.fault("create_payout", "rate_limited");
    assert!(matches!(rail.send(&frozen).await, Err(CallError::RateLimited { .. })));
    world.pass(2_000);
    rail.send(&frozen).await.unwrap();
    let mut too_much = order(&handle, 2, 1);
    too_much.amount = primitives::Amount::try_new(10_000_001, primitives::Asset::Inr).unwrap();
    let refused = rail.send(&rail.freeze(&too_much)).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "above the UPI limit: {refused:?}");
}
