//! Everything a client can get wrong: each vector is refused with a 4xx and its stable code, and
//! not one row of the database is different afterwards.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::{Ask, Shop, order};

/// One way to be wrong, the status and the code it must get.
struct Vector {
    name: &'static str,
    ask: Ask,
    status: u16,
    code: &'static str,
}

fn vector(name: &'static str, status: u16, code: &'static str, ask: Ask) -> Vector {
    Vector {
        name,
        ask,
        status,
        code,
    }
}

/// A good order with one member replaced (`a.b` reaches inside).
fn with(path: &str, value: Value) -> Value {
    let mut order = order("bad");
    let pointer = format!("/{}", path.replace('.', "/"));
    match order.pointer_mut(&pointer) {
        Some(member) => *member = value,
        None => order[path] = value,
    }
    order
}

fn pay(body: Value) -> Ask {
    Ask::post("/v1/payments", &body)
}

fn text(body: impl Into<Vec<u8>>) -> Ask {
    let ask = Ask::get("/v1/payments").method(Method::POST);
    ask.header("content-type", "application/json").raw(body)
}

fn shapes() -> Vec<Vector> {
    let not_json = |name, body: &str| vector(name, 400, "invalid_json", text(body));
    let shape = |name, body: Value| vector(name, 422, "invalid_request", pay(body));
    let depth = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let twice =
        r#"{"amount":{"amount_minor":"1","amount_minor":"2","asset":"INR"},"reference":"a"}"#;
    let meta = r#"{"amount":{"amount_minor":"100","asset":"INR"},"reference":"a","metadata":{"a":"1","a":"2"}}"#;
    let deep = format!(r#"{{"amount":{depth},"reference":"a"}}"#);
    vec![
        not_json("empty body", ""),
        not_json("half an object", "{\"amount\":"),
        not_json("single quotes", "{'amount':1}"),
        not_json("trailing comma", "{\"reference\":\"a\",}"),
        vector(
            "two values",
            400,
            "invalid_json",
            text(format!("{} {{}}", order("bad"))),
        ),
        not_json("a bare word", "nonsense"),
        not_json("NaN", "{\"amount\":NaN}"),
        not_json("a comment", "{/* hi */}"),
        not_json("a byte order mark", "\u{feff}{}"),
        not_json("a lone surrogate", r#"{"reference":"\ud800"}"#),
        not_json("a raw control character", "{\"reference\":\"a\nb\"}"),
        vector(
            "not UTF-8",
            400,
            "invalid_json",
            text(vec![b'{', b'"', 0xff, b'"', b'}']),
        ),
        vector(
            "UTF-16",
            400,
            "invalid_json",
            text(vec![0xff, 0xfe, b'{', 0, b'}', 0]),
        ),
        vector("deep nesting", 422, "invalid_request", text(deep)),
        vector(
            "deep nesting at the root",
            422,
            "invalid_request",
            text(depth),
        ),
        vector("a member twice", 422, "invalid_request", text(twice)),
        vector("a metadata key twice", 422, "invalid_request", text(meta)),
        shape("nothing", json!({})),
        shape("an array", json!([])),
        shape("null", json!(null)),
        shape("a number", json!(1)),
        shape(
            "no reference",
            json!({ "amount": { "amount_minor": "1", "asset": "INR" } }),
        ),
        shape("no amount", json!({ "reference": "a" })),
        shape("an unknown member", with("merchant_id", json!("mer_1"))),
        shape(
            "an unknown member inside",
            json!({
                "amount": { "amount_minor": "100", "asset": "INR", "scale": 0 }, "reference": "a",
            }),
        ),
        shape("a state of its own", with("state", json!("settled"))),
        shape("amount as a number", with("amount", json!(149_900))),
        shape(
            "amount_minor as a number",
            with("amount.amount_minor", json!(149_900)),
        ),
        shape(
            "amount_minor as a float",
            with("amount.amount_minor", json!(1.5)),
        ),
        shape(
            "amount_minor null",
            with("amount.amount_minor", json!(null)),
        ),
        shape(
            "amount without asset",
            with("amount", json!({ "amount_minor": "1" })),
        ),
        shape("reference as a number", with("reference", json!(7))),
        shape("metadata as a list", with("metadata", json!(["a"]))),
        shape("metadata null", with("metadata", json!(null))),
        shape(
            "metadata value a number",
            with("metadata", json!({ "a": 1 })),
        ),
        shape(
            "metadata value nested",
            with("metadata", json!({ "a": { "b": "c" } })),
        ),
        shape("expiry as text", with("expires_in_s", json!("60"))),
        shape("expiry as a float", with("expires_in_s", json!(60.5))),
        shape("expiry beyond 64 bits", with("expires_in_s", json!(1e30))),
    ]
}

fn amounts() -> Vec<Vector> {
    let minor = |name, code, value: &str| {
        vector(
            name,
            422,
            code,
            pay(with("amount.amount_minor", json!(value))),
        )
    };
    let asset =
        |name, code, value: &str| vector(name, 422, code, pay(with("amount.asset", json!(value))));
    vec![
        minor("zero", "amount_not_positive", "0"),
        minor("many zeros", "amount_not_positive", "000"),
        minor("minus zero", "amount_not_positive", "-0"),
        minor("negative", "amount_not_positive", "-149900"),
        minor(
            "very negative",
            "amount_not_positive",
            &format!("-{}", "9".repeat(60)),
        ),
        minor("below the least", "amount_too_small", "99"),
        minor("above the most", "amount_too_large", "10000001"),
        minor("beyond 64 bits", "amount_too_large", "18446744073709551616"),
        minor("beyond 128 bits", "amount_too_large", &"9".repeat(60)),
        minor("a thousand digits", "amount_too_large", &"9".repeat(1000)),
        minor("a fraction", "amount_invalid", "1499.00"),
        minor("an exponent", "amount_invalid", "1e5"),
        minor("a plus sign", "amount_invalid", "+149900"),
        minor("a space", "amount_invalid", " 149900"),
        minor("a separator", "amount_invalid", "1,49,900"),
        minor("hexadecimal", "amount_invalid", "0x249"),
        minor("Devanagari digits", "amount_invalid", "१४९९००"),
        minor("full-width digits", "amount_invalid", "１４９９"),
        minor("empty", "amount_invalid", ""),
        minor("NUL", "amount_invalid", "1\u{0}"),
        minor("infinity", "amount_invalid", "Infinity"),
        asset("unknown asset", "asset_unknown", "XAU"),
        asset("empty asset", "asset_unknown", ""),
        asset("lower case", "asset_unknown", "inr"),
        asset("SQL", "asset_unknown", "INR'; DROP TABLE payments; --"),
        asset("crypto", "asset_not_accepted", "ETH"),
    ]
}

fn texts() -> Vec<Vector> {
    let reference = |name, value: &str| {
        vector(
            name,
            422,
            "reference_invalid",
            pay(with("reference", json!(value))),
        )
    };
    let metadata =
        |name, value: Value| vector(name, 422, "metadata_invalid", pay(with("metadata", value)));
    let many: serde_json::Map<_, _> = (0..21).map(|n| (n.to_string(), json!("x"))).collect();
    let expiry = |name, value: i64| {
        vector(
            name,
            422,
            "expiry_invalid",
            pay(with("expires_in_s", json!(value))),
        )
    };
    vec![
        reference("empty reference", ""),
        reference("a blank reference", " "),
        reference("65 characters", &"x".repeat(65)),
        reference("NUL in the reference", "a\u{0}b"),
        reference("a line break", "a\nb"),
        reference("a space at the end", "a "),
        reference("right-to-left override", "a\u{202e}b"),
        reference("isolates", "\u{2066}a\u{2069}"),
        reference("zero width", "a\u{200b}b"),
        reference("a byte order mark inside", "a\u{feff}"),
        reference("tags", "a\u{e0041}"),
        metadata("21 members", Value::Object(many)),
        metadata("an empty key", json!({ "": "a" })),
        metadata("a long key", json!({ "k".repeat(41): "a" })),
        metadata("a long value", json!({ "a": "v".repeat(257) })),
        metadata("NUL in a value", json!({ "a": "\u{0}" })),
        metadata("NUL in a key", json!({ "\u{0}": "a" })),
        metadata("bidi in a value", json!({ "a": "\u{202d}" })),
        expiry("too soon", 59),
        expiry("at once", 0),
        expiry("before", -1),
        expiry("too late", 86_401),
        expiry("the largest number", i64::MAX),
    ]
}

fn wrappings() -> Vec<Vector> {
    let kind = |name, kind: &'static str| {
        let ask = Ask::get("/v1/payments")
            .method(Method::POST)
            .header("content-type", kind);
        vector(
            name,
            415,
            "unsupported_media_type",
            ask.raw(order("bad").to_string()),
        )
    };
    let key = |name, key: &str| {
        vector(
            name,
            400,
            "idempotency_key_invalid",
            pay(order("bad")).idempotent(key),
        )
    };
    let bare = Ask::get("/v1/payments")
        .method(Method::POST)
        .raw(order("bad").to_string());
    let two = pay(order("bad")).idempotent("a").idempotent("b");
    let big = |bytes: usize| format!("{{\"reference\":\"{}\"}}", "x".repeat(bytes));
    let long = format!("/v1/payments?after={}", "x".repeat(3000));
    let header = Ask::get("/v1/payments").header("x-padding", "x".repeat(17_000));
    vec![
        vector("no content type", 415, "unsupported_media_type", bare),
        kind("a form", "application/x-www-form-urlencoded"),
        kind("plain text", "text/plain"),
        kind("another charset", "application/json; charset=latin1"),
        kind("not quite JSON", "application/json-patch+json"),
        vector(
            "compressed",
            415,
            "unsupported_media_type",
            pay(order("bad")).header("content-encoding", "gzip"),
        ),
        vector("65 KiB", 413, "body_too_large", text(big(65 * 1024))),
        vector("300 KiB", 413, "body_too_large", text(big(300 * 1024))),
        vector("10 MB", 413, "body_too_large", text(big(10_000_000))),
        vector("a long address", 414, "uri_too_long", Ask::get(long)),
        vector("large headers", 431, "headers_too_large", header),
        key("an empty key", ""),
        key("a space in the key", "a b"),
        key("256 characters", &"k".repeat(256)),
        vector(
            "a key beyond ASCII",
            400,
            "idempotency_key_invalid",
            pay(order("bad")).header("idempotency-key", "é"),
        ),
        vector("two keys", 400, "idempotency_key_invalid", two),
    ]
}

fn addresses(payment: &str) -> Vec<Vector> {
    let get = |name, status, code, path: &str| vector(name, status, code, Ask::get(path));
    let id = |name, id: &str| {
        vector(
            name,
            400,
            "invalid_id",
            Ask::get(format!("/v1/payments/{id}")),
        )
    };
    let hex = payment.strip_prefix("pay_").unwrap();
    let method = |name, method: Method, path: &str| {
        vector(
            name,
            405,
            "method_not_allowed",
            Ask::get(path).method(method),
        )
    };
    let last = |name, value: &str| {
        let ask = Ask::get(format!("/v1/payments/{payment}/events"));
        vector(
            name,
            400,
            "last_event_id_invalid",
            ask.header("last-event-id", value),
        )
    };
    vec![
        get("nothing here", 404, "route_not_found", "/v1/nothing"),
        get("no version", 404, "route_not_found", "/payments"),
        get("a slash too many", 404, "route_not_found", "/v1/payments/"),
        get(
            "dots",
            404,
            "route_not_found",
            "/v1/payments/../../etc/passwd",
        ),
        get(
            "a path that is not UTF-8",
            400,
            "invalid_path",
            "/v1/payments/%ff",
        ),
        id("no id", "1"),
        id("an id of another kind", &format!("quo_{hex}")),
        id("a bare UUID", hex),
        id("an id too long", &format!("{payment}0")),
        id("an id with a quote", "pay_'--"),
        id("an id with NUL", "pay_%00"),
        get(
            "nobody's id",
            404,
            "payment_not_found",
            "/v1/payments/pay_00000000000070008000000000000000",
        ),
        get("limit zero", 400, "invalid_query", "/v1/payments?limit=0"),
        get(
            "limit negative",
            400,
            "invalid_query",
            "/v1/payments?limit=-1",
        ),
        get(
            "limit too large",
            400,
            "invalid_query",
            "/v1/payments?limit=101",
        ),
        get(
            "limit a word",
            400,
            "invalid_query",
            "/v1/payments?limit=many",
        ),
        get(
            "limit overflowing",
            400,
            "invalid_query",
            "/v1/payments?limit=99999999999999999999",
        ),
        get(
            "limit twice",
            400,
            "invalid_query",
            "/v1/payments?limit=1&limit=2",
        ),
        get(
            "an unknown member",
            400,
            "invalid_query",
            "/v1/payments?merchant=mer_1",
        ),
        get(
            "a cursor of another kind",
            400,
            "invalid_query",
            "/v1/payments?after=mer_1",
        ),
        get(
            "a cursor not UTF-8",
            400,
            "invalid_query",
            "/v1/payments?after=%ff%fe",
        ),
        get(
            "an unknown state",
            400,
            "invalid_query",
            "/v1/payments?state=lost",
        ),
        get(
            "a state with NUL",
            400,
            "invalid_query",
            "/v1/payments?state=%00",
        ),
        method(
            "delete a payment",
            Method::DELETE,
            &format!("/v1/payments/{payment}"),
        ),
        method(
            "put a payment",
            Method::PUT,
            &format!("/v1/payments/{payment}"),
        ),
        method("patch", Method::PATCH, "/v1/payments"),
        method(
            "get a cancellation",
            Method::GET,
            &format!("/v1/payments/{payment}/cancel"),
        ),
        method("post rates", Method::POST, "/v1/rates"),
        last("a word as last event", "first"),
        last("a negative last event", "-1"),
        last("a last event beyond 64 bits", "99999999999999999999"),
    ]
}

fn others(payment: &str) -> Vec<Vector> {
    let quote = |name, status, code, body: Value| {
        vector(
            name,
            status,
            code,
            Ask::post(format!("/v1/payments/{payment}/quotes"), &body),
        )
    };
    let method = |network: &str, asset: &str| json!({ "network": network, "asset": asset });
    let place = |name, code, vpa: &str, payee: &str| {
        let body = json!({ "vpa": vpa, "name": payee });
        vector(name, 422, code, Ask::post("/v1/payout_destinations", &body))
    };
    let hook = |name, code, body: Value| {
        let ask = Ask::get("/v1/webhook_endpoint")
            .method(Method::PUT)
            .json(&body);
        vector(name, 422, code, ask)
    };
    let cancel = format!("/v1/payments/{payment}/cancel");
    vec![
        quote(
            "unknown network",
            422,
            "network_unknown",
            method("dogecoin", "ETH"),
        ),
        quote(
            "no network at all",
            422,
            "network_unknown",
            method("", "ETH"),
        ),
        quote(
            "network with NUL",
            422,
            "network_unknown",
            method("\u{0}", "ETH"),
        ),
        quote(
            "unknown asset",
            422,
            "asset_unknown",
            method("anvil", "DOGE"),
        ),
        quote(
            "rupees as crypto",
            422,
            "asset_not_accepted",
            method("anvil", "INR"),
        ),
        quote(
            "asset not on the network",
            422,
            "method_not_accepted",
            method("anvil", "BTC"),
        ),
        quote(
            "a missing asset",
            422,
            "invalid_request",
            json!({ "network": "anvil" }),
        ),
        quote(
            "a price of its own",
            422,
            "invalid_request",
            json!({
                "network": "anvil", "asset": "ETH", "price": "1",
            }),
        ),
        vector(
            "a body with a cancellation",
            422,
            "invalid_request",
            Ask::post(cancel.as_str(), &json!({ "force": true })),
        ),
        vector(
            "a cancellation that is not JSON",
            400,
            "invalid_json",
            Ask::post(cancel.as_str(), &json!({})).raw("{"),
        ),
        place("no at sign", "vpa_invalid", "ravi", "Ravi Stores"),
        place("two at signs", "vpa_invalid", "ravi@ok@axis", "Ravi Stores"),
        place(
            "a look-alike letter",
            "vpa_invalid",
            "rаvi@okaxis",
            "Ravi Stores",
        ),
        place(
            "a digit in the handle",
            "vpa_invalid",
            "ravi@ok1",
            "Ravi Stores",
        ),
        place(
            "a long address",
            "vpa_invalid",
            &format!("{}@ok", "r".repeat(100)),
            "Ravi Stores",
        ),
        place(
            "NUL in the address",
            "vpa_invalid",
            "ra\u{0}vi@okaxis",
            "Ravi Stores",
        ),
        place("a short name", "name_invalid", "ravi@okaxis", "Ra"),
        place(
            "a long name",
            "name_invalid",
            "ravi@okaxis",
            &"R".repeat(51),
        ),
        place(
            "NUL in the name",
            "name_invalid",
            "ravi@okaxis",
            "Ra\u{0}vi",
        ),
        place(
            "a turned name",
            "name_invalid",
            "ravi@okaxis",
            "Ravi \u{202e}Stores",
        ),
        hook("no address", "invalid_request", json!({})),
        hook(
            "an inner address",
            "url_invalid",
            json!({ "url": "https://169.254.169.254/" }),
        ),
        hook(
            "no TLS",
            "url_invalid",
            json!({ "url": "http://shop.example/" }),
        ),
        hook(
            "NUL in the address",
            "url_invalid",
            json!({ "url": "https://shop.example/\u{0}" }),
        ),
    ]
}

#[tokio::test]
async fn every_mistake_has_a_code_and_changes_nothing() {
    let shop = Shop::open().await;
    let payment = shop.payment("good").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let groups = [
        shapes(),
        amounts(),
        texts(),
        wrappings(),
        addresses(&payment),
        others(&payment),
    ];
    let before = shop.everything().await;
    let mut count = 0;
    for vector in groups.into_iter().flatten() {
        let Vector {
            name,
            ask,
            status,
            code,
        } = vector;
        let reply = shop.ask(ask).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{name}: {}",
            reply.text
        );
        let document = reply.json();
        assert_eq!(document["status"], status, "{name}");
        assert_eq!(
            document["type"],
            format!("urn:chukta:problem:{code}"),
            "{name}"
        );
        assert!(reply.text.len() < 1000, "{name}");
        count += 1;
    }
    assert!(count >= 120, "{count} vectors");
    assert_eq!(shop.everything().await, before);
}

#[tokio::test]
async fn what_the_state_forbids_has_a_code_and_changes_nothing() {
    let shop = Shop::open().await;
    let made = shop.payment("once").await;
    let path = format!("/v1/payments/{}", made["id"].as_str().unwrap());
    let cancelled = shop
        .ask(Ask::post(format!("{path}/cancel"), &json!({})))
        .await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let late = shop.payment("late").await;
    let late = format!("/v1/payments/{}/quotes", late["id"].as_str().unwrap());

    let eth = json!({ "network": "anvil", "asset": "ETH" });
    let before = shop.everything().await;
    let reused = shop.ask(Ask::post("/v1/payments", &order("once"))).await;
    assert_eq!(
        (reused.status, reused.code().as_str()),
        (409, "reference_reused")
    );
    let quote = shop.ask(Ask::post(format!("{path}/quotes"), &eth)).await;
    assert_eq!(
        (quote.status, quote.code().as_str()),
        (409, "payment_not_payable")
    );

    shop.price(crate::shop::noon() + chrono::TimeDelta::hours(2))
        .await;
    let rated = shop.everything().await;
    let expired = shop.ask(Ask::post(late, &eth)).await;
    assert_eq!(
        (expired.status, expired.code().as_str()),
        (409, "payment_expired")
    );
    assert_eq!(shop.everything().await, rated);
    assert_ne!(
        rated["public.rate_ticks"], before["public.rate_ticks"],
        "only the rate is new"
    );
    assert_eq!(rated["public.payments"], before["public.payments"]);
}

#[tokio::test]
async fn the_same_reference_at_once_is_one_payment() {
    let shop = Shop::open().await;
    let body = order("same");
    let asks = (0..12).map(|_| shop.ask(Ask::post("/v1/payments", &body)));
    let replies = futures::future::join_all(asks).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    let refused = replies.iter().filter(|reply| reply.status == 409).count();
    assert_eq!((made, refused), (1, 11));
    assert_eq!(shop.count("payments").await, 1);
}
