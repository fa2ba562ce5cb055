//! The signature vectors, the frozen bytes, and what every documented answer becomes.

use primitives::{Amount, Asset, PayoutId, Secret};
use uuid::Uuid;

use super::{Config, map, sign, wire};
use crate::{BeneficiaryHandle, PayoutOrder, RailPayout, RailStatus, WebhookError};

fn read(json: &str) -> RailPayout {
    map::payout(&serde_json::from_str(json).unwrap()).unwrap()
}

fn order() -> PayoutOrder {
    PayoutOrder {
        payout: PayoutId::from_uuid(Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0)),
        attempt: 1,
        amount: Amount::try_new(245_000, Asset::Inr).unwrap(),
        handle: BeneficiaryHandle {
            contact_id: "cont_00000000000001".into(),
            fund_account_id: "fa_00000000000001".into(),
        },
        narration: "Chukta Ravi's Stores, settlement of the day".into(),
    }
}

// The published vectors of the vendor's SDKs: hex HMAC-SHA256 over exact bytes.
#[test]
fn signs_the_published_vectors() {
    let secret = "EnLs21M47BllR3X8PSFtjtbd";
    for (text, secret, expected) in [
        (
            "order_IEIaMR65cu6nz3|pay_IH4NVgf4Dreq1l",
            secret,
            "0d4e745a1838664ad6c9c9902212a32d627d68e917290b0ad5f08ff4561bc50f",
        ),
        (
            "pay_IDZNwZZFtnjyym|sub_ID6MOhgkcoHj9I",
            secret,
            "601f383334975c714c91a7d97dd723eb56520318355863dcf3821c0d07a17693",
        ),
        (
            "plink_IH3cNucfVEgV68|TSsd1989|paid|pay_IH3d0ara9bSsjQ",
            secret,
            "07ae18789e35093e51d0a491eb9922646f3f82773547e5b0f67ee3f2d3bf7d5b",
        ),
        (
            "fake_order_id|fake_payment_id",
            "key_secret",
            "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89",
        ),
    ] {
        let secrets = [Secret::new("another"), Secret::new(secret)];
        assert_eq!(sign::verify(&secrets, &[expected], text.as_bytes()), Ok(()), "{text}");
        let forged = sign::verify(&secrets[..1], &[expected], text.as_bytes());
        assert_eq!(forged, Err(WebhookError::Forged));
    }
    let basic = sign::basic(&Secret::new("rzp_test_1"), &Secret::new("s"));
    assert_eq!(basic.expose(), "Basic cnpwX3Rlc3RfMTpz");
}

// These bytes are promised for ever: a stored payout must be sent again exactly like this.
#[test]
fn freezes_to_the_same_bytes_for_ever() {
    let frozen = map::freeze(&order(), "7878780080316316");
    assert_eq!(
        frozen.body,
        "{\"account_number\":\"7878780080316316\",\"amount\":245000,\"currency\":\"INR\",\
         \"fund_account_id\":\"fa_00000000000001\",\"mode\":\"UPI\",\
         \"narration\":\"Chukta Ravis Stores settlement\",\"purpose\":\"payout\",\
         \"queue_if_low_balance\":true,\
         \"reference_id\":\"123456789abcdef0123456789abcdef0-1\"}"
    );
    assert_eq!(frozen.reference, "123456789abcdef0123456789abcdef0-1");
    assert_eq!(frozen.idempotency_key, "979a2d9a-077f-55cb-88f7-5b4fac44e781");
    let mut last = order();
    last.attempt = 9_999_999;
    assert!(map::freeze(&last, "7878780080316316").reference.len() <= 40);
    let mut foreign = order();
    foreign.amount = Amount::try_new(5, Asset::Eth).unwrap();
    assert!(map::freeze(&foreign, "7").body.contains("\"amount\":0,"), "never wei as paise");
}

#[test]
fn maps_every_status() {
    for (text, expected) in [
        ("pending", RailStatus::Pending),
        ("queued", RailStatus::Queued),
        ("scheduled", RailStatus::Queued),
        ("processing", RailStatus::Processing),
        ("processed", RailStatus::Processed),
        ("failed", RailStatus::Failed),
        ("rejected", RailStatus::Rejected),
        ("cancelled", RailStatus::Cancelled),
        ("reversed", RailStatus::Reversed),
        ("initiated", RailStatus::Processing),
        ("PROCESSED", RailStatus::Processing),
        ("", RailStatus::Processing),
    ] {
        assert_eq!(map::status(text), expected, "{text}");
    }
}

#[test]
fn maps_documented_payouts() {
    let minor = |amount: Option<Amount>| amount.map(Amount::minor);
    let processed = read(include_str!("fixtures/payout.processed.json"));
    assert_eq!(
        (processed.amount.minor(), processed.utr.as_deref()),
        (245_000, Some("523223155921"))
    );
    assert_eq!((minor(processed.fees), minor(processed.tax)), (Some(590), Some(90)));
    assert!(!processed.retryable);
    let queued = read(include_str!("fixtures/payout.queued.json"));
    assert_eq!((queued.fees, queued.utr), (None, None), "not yet is not zero");
    assert_eq!(queued.reason.as_deref(), Some("low_balance"));
    assert!(!queued.retryable, "a queued payout is still alive");
    let processing = read(include_str!("fixtures/payout.processing.json"));
    assert_eq!((processing.status, processing.reason), (RailStatus::Processing, None));
    let reversed = read(include_str!("fixtures/payout.reversed.json"));
    assert!(reversed.retryable);
    let failed = read(include_str!("fixtures/payout.failed.json"));
    assert_eq!((failed.status, failed.retryable), (RailStatus::Failed, false));
    assert_eq!(
        (minor(failed.fees), failed.reason.as_deref()),
        (Some(0), Some("bank_account_closed"))
    );
}

#[test]
fn refuses_payouts_that_do_not_add_up() {
    let json = include_str!("fixtures/payout.processed.json");
    for (from, to) in [
        ("\"payout\",\n", "\"refund\",\n"),
        ("\"INR\"", "\"USD\""),
        ("245000", "0"),
        ("245000", "-1"),
        ("\"tax\": 90", "\"tax\": 900"),
        ("\"fees\": 590", "\"fees\": -590"),
        ("pout_00000000000001", "pout/../x"),
        ("pout_00000000000001", ""),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        assert!(map::payout(&serde_json::from_str(&changed).unwrap()).is_err(), "{to}");
    }
    for (from, to) in [("245000", "245000.5"), ("245000", "\"245000\""), ("\"status\"", "\"x\"")] {
        assert!(serde_json::from_str::<wire::Payout>(&json.replacen(from, to, 1)).is_err(), "{to}");
    }
    let doubled = json.replacen("\"amount\"", "\"amount\": 1, \"amount\"", 1);
    assert!(serde_json::from_str::<wire::Payout>(&doubled).is_err(), "one amount only");
}

#[test]
fn compares_the_answer_with_what_was_sent() {
    let answer = read(include_str!("fixtures/payout.processed.json"));
    let sent = |amount, account: &str, reference: &str| wire::Sent {
        amount,
        fund_account_id: account.into(),
        reference_id: reference.into(),
    };
    let (account, reference) = ("fa_00000000000001", "4f1d6b1cf0a95d5e8a3b0c1d2e3f4a5b-1");
    assert!(map::is_answer_to(&sent(245_000, account, reference), &answer));
    assert!(!map::is_answer_to(&sent(245_001, account, reference), &answer));
    assert!(!map::is_answer_to(&sent(245_000, "fa_00000000000002", reference), &answer));
    assert!(!map::is_answer_to(&sent(245_000, account, "other-1"), &answer));
}

#[test]
fn reads_events_as_hints() {
    let event = map::event(include_bytes!("fixtures/event.payout_processed.json")).unwrap();
    assert_eq!(event.event, "payout.processed");
    assert_eq!(event.rail_payout_id.as_deref(), Some("pout_00000000000001"));
    assert_eq!(event.reference.as_deref(), Some("4f1d6b1cf0a95d5e8a3b0c1d2e3f4a5b-1"));
    let other = map::event(include_bytes!("fixtures/event.payout_downtime_started.json")).unwrap();
    assert_eq!((other.rail_payout_id, other.reference), (None, None));
    let good = include_str!("fixtures/event.payout_processed.json");
    let doubled = good.replacen("\"event\": \"payout", "\"event\": \"x\", \"event\": \"payout", 1);
    let bom = format!("\u{feff}{good}");
    let path = good.replace("pout_00000000000001", "../payouts");
    for bad in ["", "{}", "[]", "null", "{\"entity\":\"event\"}", &doubled, &bom, &path] {
        let refused = map::event(bad.as_bytes());
        assert!(matches!(refused, Err(WebhookError::Unreadable(_))), "{bad}");
    }
}

#[test]
fn names_fit_the_rail() {
    assert_eq!(map::contact_name("Ravi Stores"), "Ravi Stores");
    assert_eq!(map::contact_name(" A1\u{0}"), "Shop A1.");
    assert_eq!(map::contact_name(&"x".repeat(80)).len(), 50);
}

#[test]
fn the_settings_refuse_empty_secrets_and_surprises() {
    let json = r#"{"base_url":"https://api.razorpay.com","key_id":"rzp_test_1",
        "key_secret":"K3Y","account_number":"7878780080316316","webhook_secrets":["WH00K","0LD"]}"#;
    let config: Config = serde_json::from_str(json).unwrap();
    assert!(config.check().is_ok());
    let shown = format!("{config:?}");
    for secret in ["K3Y", "WH00K", "0LD", "7878780080316316"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for (from, to) in [
        ("[\"WH00K\",\"0LD\"]", "[]"),
        ("WH00K", ""),
        ("0LD", "  "),
        ("K3Y", ""),
        ("rzp_test_1", ""),
        ("7878780080316316", "78 78"),
    ] {
        let config: Config = serde_json::from_str(&json.replace(from, to)).unwrap();
        assert!(config.check().is_err(), "{from} → {to}");
    }
    assert!(serde_json::from_str::<Config>(&json.replace("\"key_id\"", "\"key\"")).is_err());
    let tagged = json.replacen('{', r#"{"kind":"razorpayx","#, 1);
    assert!(serde_json::from_str::<crate::registry::Config>(&tagged).is_ok());
}
