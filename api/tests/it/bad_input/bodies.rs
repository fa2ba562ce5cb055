//! Wrong bodies and wrong wrappings of them, all sent as a new payment.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Vector, pay, vector, with};
use crate::shop::{Ask, order};

pub(crate) fn all() -> Vec<Vector> {
    [not_json(), odd_json(), shapes(), amounts(), assets(), references(), metadata(), expiries()]
        .into_iter()
        .chain([kinds(), sizes(), keys()])
        .flatten()
        .collect()
}

fn text(body: impl Into<Vec<u8>>) -> Ask {
    let ask = Ask::get("/v1/payments").method(Method::POST);
    ask.header("content-type", "application/json").raw(body)
}

fn not_json() -> Vec<Vector> {
    let cases: [(&str, Vec<u8>); 14] = [
        ("empty body", b"".into()),
        ("half an object", b"{\"amount\":".into()),
        ("single quotes", b"{'amount':1}".into()),
        ("trailing comma", b"{\"reference\":\"a\",}".into()),
        ("two values", format!("{} {{}}", order("bad")).into()),
        ("a bare word", b"nonsense".into()),
        ("NaN", b"{\"amount\":NaN}".into()),
        ("a comment", b"{/* hi */}".into()),
        ("a byte order mark", "\u{feff}{}".into()),
        ("a lone surrogate", br#"{"reference":"\ud800"}"#.into()),
        ("a raw control character", b"{\"reference\":\"a\nb\"}".into()),
        ("a number beyond all", b"{\"expires_in_s\":1e999}".into()),
        ("not UTF-8", vec![b'{', b'"', 0xff, b'"', b'}']),
        ("UTF-16", vec![0xff, 0xfe, b'{', 0, b'}', 0]),
    ];
    cases.into_iter().map(|(name, body)| vector(name, 400, "invalid_json", text(body))).collect()
}

fn odd_json() -> Vec<Vector> {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let amount = r#""amount":{"amount_minor":"100","asset":"INR"},"reference":"a""#;
    let cases = [
        ("deep nesting", format!(r#"{{"amount":{deep},"reference":"a"}}"#)),
        ("deep nesting at the root", deep),
        ("an amount twice", r#"{"amount":{"amount_minor":"1","amount_minor":"2"}}"#.to_owned()),
        ("a reference twice", format!(r#"{{{amount},"reference":"b"}}"#)),
        ("a metadata key twice", format!(r#"{{{amount},"metadata":{{"a":"1","a":"2"}}}}"#)),
    ];
    cases.into_iter().map(|(name, body)| vector(name, 422, "invalid_request", text(body))).collect()
}

fn shapes() -> Vec<Vector> {
    let scaled = json!({ "amount_minor": "100", "asset": "INR", "scale": 0 });
    let cases = [
        ("nothing", json!({})),
        ("an array", json!([])),
        ("null", json!(null)),
        ("a number", json!(1)),
        ("no reference", json!({ "amount": { "amount_minor": "1", "asset": "INR" } })),
        ("no amount", json!({ "reference": "a" })),
        ("an unknown member", with("merchant_id", json!("mer_1"))),
        ("an unknown member inside", with("amount", scaled)),
        ("a state of its own", with("state", json!("settled"))),
        ("amount as a number", with("amount", json!(149_900))),
        ("amount_minor as a number", with("amount.amount_minor", json!(149_900))),
        ("amount_minor as a float", with("amount.amount_minor", json!(1.5))),
        ("amount_minor null", with("amount.amount_minor", json!(null))),
        ("amount without asset", with("amount", json!({ "amount_minor": "1" }))),
        ("reference as a number", with("reference", json!(7))),
        ("metadata as a list", with("metadata", json!(["a"]))),
        ("metadata null", with("metadata", json!(null))),
        ("metadata value a number", with("metadata", json!({ "a": 1 }))),
        ("metadata value nested", with("metadata", json!({ "a": { "b": "c" } }))),
        ("expiry as text", with("expires_in_s", json!("60"))),
        ("expiry as a float", with("expires_in_s", json!(60.5))),
        ("expiry beyond 64 bits", with("expires_in_s", json!(1e30))),
    ];
    cases.into_iter().map(|(name, body)| vector(name, 422, "invalid_request", pay(&body))).collect()
}

fn amounts() -> Vec<Vector> {
    let digits = |n: usize| "9".repeat(n);
    let cases = [
        ("amount_not_positive", vec!["0".into(), "000".into(), "-0".into(), "-149900".into()]),
        ("amount_not_positive", vec![format!("-{}", digits(60))]),
        ("amount_too_small", vec!["1".into(), "99".into()]),
        ("amount_too_large", vec!["10000001".into(), "18446744073709551616".into()]),
        ("amount_too_large", vec![digits(39), digits(60), digits(1000)]),
        ("amount_invalid", vec!["1499.00".into(), "1e5".into(), "+149900".into()]),
        ("amount_invalid", vec![" 149900".into(), "149900 ".into(), "1,49,900".into()]),
        ("amount_invalid", vec!["0x249".into(), "१४९९००".into(), "１４９９".into()]),
        ("amount_invalid", vec![String::new(), "-".into(), "1\u{0}".into(), "Infinity".into()]),
    ];
    cases
        .into_iter()
        .flat_map(|(code, values)| values.into_iter().map(move |value| (code, value)))
        .map(|(code, value)| {
            let ask = pay(&with("amount.amount_minor", json!(value)));
            vector(&format!("amount {value}"), 422, code, ask)
        })
        .collect()
}

fn assets() -> Vec<Vector> {
    let cases = [
        ("XAU", "asset_unknown"),
        ("", "asset_unknown"),
        ("inr", "asset_unknown"),
        ("INR\u{0}", "asset_unknown"),
        ("INR'; DROP TABLE payments; --", "asset_unknown"),
        ("ETH", "asset_not_accepted"),
    ];
    cases
        .into_iter()
        .map(|(asset, code)| vector(asset, 422, code, pay(&with("amount.asset", json!(asset)))))
        .collect()
}

fn references() -> Vec<Vector> {
    let long = "x".repeat(65);
    let cases = [
        ("empty reference", ""),
        ("a blank reference", " "),
        ("65 characters", &long),
        ("NUL in the reference", "a\u{0}b"),
        ("a line break", "a\nb"),
        ("a space at the end", "a "),
        ("right-to-left override", "a\u{202e}b"),
        ("isolates", "\u{2066}a\u{2069}"),
        ("zero width", "a\u{200b}b"),
        ("a joiner", "a\u{200d}b"),
        ("a byte order mark inside", "a\u{feff}"),
        ("tags", "a\u{e0041}"),
    ];
    cases
        .into_iter()
        .map(|(name, value)| {
            vector(name, 422, "reference_invalid", pay(&with("reference", json!(value))))
        })
        .collect()
}

fn metadata() -> Vec<Vector> {
    let many: Map<_, _> = (0..21).map(|n| (n.to_string(), json!("x"))).collect();
    let cases = [
        ("21 members", Value::Object(many)),
        ("an empty key", json!({ "": "a" })),
        ("a long key", json!({ "k".repeat(41): "a" })),
        ("a long value", json!({ "a": "v".repeat(257) })),
        ("NUL in a value", json!({ "a": "\u{0}" })),
        ("NUL in a key", json!({ "\u{0}": "a" })),
        ("bidi in a value", json!({ "a": "\u{202d}" })),
        ("an escape in a value", json!({ "a": "\u{1b}[2J" })),
    ];
    cases
        .into_iter()
        .map(|(name, value)| vector(name, 422, "metadata_invalid", pay(&with("metadata", value))))
        .collect()
}

fn expiries() -> Vec<Vector> {
    [59, 0, -1, 86_401, i64::MAX, i64::MIN]
        .into_iter()
        .map(|value| {
            let ask = pay(&with("expires_in_s", json!(value)));
            vector(&format!("expiry {value}"), 422, "expiry_invalid", ask)
        })
        .collect()
}

fn kinds() -> Vec<Vector> {
    let bare = || Ask::get("/v1/payments").method(Method::POST).raw(order("bad").to_string());
    let kind = |kind: &'static str| bare().header("content-type", kind);
    let cases = [
        ("no content type", bare()),
        ("a form", kind("application/x-www-form-urlencoded")),
        ("plain text", kind("text/plain")),
        ("another charset", kind("application/json; charset=latin1")),
        ("not quite JSON", kind("application/json-patch+json")),
        ("two kinds", kind("application/json").header("content-type", "text/plain")),
        ("compressed", pay(&order("bad")).header("content-encoding", "gzip")),
    ];
    cases.into_iter().map(|(name, ask)| vector(name, 415, "unsupported_media_type", ask)).collect()
}

fn sizes() -> Vec<Vector> {
    let big = |bytes: usize| text(format!("{{\"reference\":\"{}\"}}", "x".repeat(bytes)));
    let long = Ask::get(format!("/v1/payments?after={}", "x".repeat(3000)));
    let header = Ask::get("/v1/payments").header("x-padding", "x".repeat(17_000));
    vec![
        vector("65 KiB", 413, "body_too_large", big(65 * 1024)),
        vector("300 KiB", 413, "body_too_large", big(300 * 1024)),
        vector("10 MB", 413, "body_too_large", big(10_000_000)),
        vector("a long address", 414, "uri_too_long", long),
        vector("large headers", 431, "headers_too_large", header),
    ]
}

fn keys() -> Vec<Vector> {
    let long = "k".repeat(256);
    let cases = [
        ("an empty key", vec![""]),
        ("a space in the key", vec!["a b"]),
        ("256 characters", vec![long.as_str()]),
        ("a key beyond ASCII", vec!["é"]),
        ("two keys", vec!["a", "b"]),
    ];
    cases
        .into_iter()
        .map(|(name, keys)| {
            let ask = keys.iter().fold(pay(&order("bad")), |ask, key| ask.idempotent(key));
            vector(name, 400, "idempotency_key_invalid", ask)
        })
        .collect()
}
