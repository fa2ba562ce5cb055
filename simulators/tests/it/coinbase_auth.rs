//! Coinbase: who passes, who does not, and how often.

use axum::http::StatusCode;
use serde_json::{Value, json};
use simulators::coinbase::Settings;

use crate::{
    coinbase_bench::{HOST, Token},
    venue_bench::{Answer, Venues, ed25519_of},
};

const ACCOUNTS: &str = "/api/v3/brokerage/accounts";

async fn with(venues: &Venues, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    venues.cb_with("GET", ACCOUNTS, &Value::Null, &[("authorization", &bearer)]).await
}

#[tokio::test]
async fn both_keys_open_the_account() {
    let venues = Venues::new();
    let now = venues.timestamp() / 1000;
    let (es256, edwards) = (venues.coinbase.key(), venues.coinbase.ed25519());
    assert!(es256.name.starts_with("organizations/") && es256.name.contains("/apiKeys/"));
    assert_eq!((edwards.name.len(), edwards.secret.expose().len()), (36, 88));
    for key in [es256, edwards] {
        let token = Token::new(key, "GET", ACCOUNTS, now);
        let accounts = with(&venues, &token.signed(key)).await.ok();
        assert_eq!(accounts["accounts"].as_array().unwrap().len(), 6);
        // The generator of the newer kit writes a list.
        let mut listed = token.clone();
        listed.claims["uris"] = json!([listed.claims["uri"]]);
        listed.claims.as_object_mut().unwrap().remove("uri");
        with(&venues, &listed.signed(key)).await.ok();
        // The one before it names another issuer, and its audience.
        let mut older = token.clone();
        older.claims["iss"] = json!("coinbase-cloud");
        older.claims["aud"] = json!(["retail_rest_api_proxy"]);
        with(&venues, &older.signed(key)).await.ok();
    }
    let debug = format!("{:?}", venues.coinbase);
    assert!(!debug.contains(edwards.secret.expose()), "a secret is not shown");
}

#[tokio::test]
async fn a_token_is_for_one_call_of_one_key_for_two_minutes() {
    let venues = Venues::new();
    let now = venues.timestamp() / 1000;
    let (key, other) = (venues.coinbase.key(), venues.coinbase.ed25519());
    let good = Token::new(key, "GET", ACCOUNTS, now);
    type Bend = fn(&mut Token, i64);
    let bends: [(&str, Bend); 20] = [
        ("no such key", |t, _| t.header["kid"] = json!("organizations/x/apiKeys/y")),
        ("another algorithm", |t, _| t.header["alg"] = json!("EdDSA")),
        ("no algorithm", |t, _| t.header["alg"] = json!("none")),
        ("not a token's type", |t, _| t.header["typ"] = json!("JWS")),
        ("an empty nonce", |t, _| t.header["nonce"] = json!("")),
        ("no nonce", |t, _| drop(t.header.as_object_mut().unwrap().remove("nonce"))),
        ("no kid", |t, _| drop(t.header.as_object_mut().unwrap().remove("kid"))),
        ("another subject", |t, _| t.claims["sub"] = json!("somebody")),
        ("another issuer", |t, _| t.claims["iss"] = json!("me")),
        ("expired", |t, now| {
            t.claims["nbf"] = json!(now - 126);
            t.claims["exp"] = json!(now - 6);
        }),
        ("not yet", |t, now| {
            t.claims["nbf"] = json!(now + 6);
            t.claims["exp"] = json!(now + 60);
        }),
        ("for too long", |t, now| t.claims["exp"] = json!(now + 121)),
        ("for no time", |t, now| t.claims["exp"] = json!(now)),
        ("no end", |t, _| drop(t.claims.as_object_mut().unwrap().remove("exp"))),
        ("no beginning", |t, _| drop(t.claims.as_object_mut().unwrap().remove("nbf"))),
        ("no uri", |t, _| drop(t.claims.as_object_mut().unwrap().remove("uri"))),
        ("another method", |t, _| t.claims["uri"] = json!(format!("POST {HOST}{ACCOUNTS}"))),
        ("another path", |t, _| t.claims["uri"] = json!(format!("GET {HOST}/api/v3/brokerage"))),
        ("another host", |t, _| t.claims["uri"] = json!(format!("GET evil.example{ACCOUNTS}"))),
        ("no host", |t, _| t.claims["uri"] = json!(format!("GET {ACCOUNTS}"))),
    ];
    for (name, bend) in bends {
        let mut token = good.clone();
        bend(&mut token, now);
        let refused = with(&venues, &token.signed(key)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{name}");
        assert_eq!(refused.text.as_deref(), Some("Unauthorized\n"), "{name}: never why");
    }
    // Signed with one key under the name of the other.
    let mut swapped = Token::new(other, "GET", ACCOUNTS, now);
    swapped.header["alg"] = json!("ES256");
    assert_eq!(with(&venues, &swapped.signed(key)).await.status.as_u16(), 401);
    let signed = good.signed(key);
    let (text, signature) = signed.rsplit_once('.').unwrap();
    let claims = Token::new(key, "GET", ACCOUNTS, now + 1).signed(key);
    let foreign = claims.split('.').nth(1).unwrap();
    let header = text.split('.').next().unwrap();
    let broken = [
        String::new(),
        "abc".to_owned(),
        "a.b.c".to_owned(),
        text.to_owned(),
        format!("{text}."),
        format!("{text}.{}", &signature[..signature.len() - 4]),
        format!("{header}.{foreign}.{signature}"),
        "x".repeat(9_000),
    ];
    for token in broken {
        assert_eq!(with(&venues, &token).await.status.as_u16(), 401, "{token}");
    }
    let bare = venues.cb_with("GET", ACCOUNTS, &Value::Null, &[]).await;
    assert_eq!(bare.status.as_u16(), 401);
    let basic = [("authorization", "Basic YTpi")];
    assert_eq!(venues.cb_with("GET", ACCOUNTS, &Value::Null, &basic).await.status.as_u16(), 401);
    // The older API words it as a list.
    let app = venues.cb_with("GET", "/v2/accounts", &Value::Null, &[]).await;
    assert_eq!((app.status.as_u16(), &app.body["errors"][0]["id"]), (401, &json!("unauthorized")));
    with(&venues, &signed).await.ok();
}

#[tokio::test]
async fn clocks_may_be_five_seconds_apart_and_the_host_may_be_the_one_that_was_called() {
    let venues = Venues::new();
    let (now, key) = (venues.timestamp() / 1000, venues.coinbase.key());
    for moved in [-124, -5, 5] {
        let token = Token::new(key, "GET", ACCOUNTS, now + moved).signed(key);
        with(&venues, &token).await.ok();
    }
    for moved in [-125, 6] {
        let token = Token::new(key, "GET", ACCOUNTS, now + moved).signed(key);
        assert_eq!(with(&venues, &token).await.status.as_u16(), 401, "{moved}");
    }
    for uri in ["GET 127.0.0.1:8080", "GET http://127.0.0.1:8080"] {
        let mut token = Token::new(key, "GET", ACCOUNTS, now);
        token.claims["uri"] = json!(format!("{uri}{ACCOUNTS}"));
        let bearer = format!("Bearer {}", token.signed(key));
        let headers = [("authorization", bearer.as_str()), ("host", "127.0.0.1:8080")];
        let query = format!("{ACCOUNTS}?limit=2");
        venues.cb_with("GET", &query, &Value::Null, &headers).await.ok();
        let elsewhere = [("authorization", bearer.as_str()), ("host", "127.0.0.1:9090")];
        let refused = venues.cb_with("GET", ACCOUNTS, &Value::Null, &elsewhere).await;
        assert_eq!(refused.status.as_u16(), 401);
    }
    // The venue's own clock counts.
    let settings = Settings { clock_offset_ms: 60_000, ..venues.coinbase.settings() };
    assert!(venues.coinbase.set_settings(settings));
    assert_eq!(venues.cb_get(ACCOUNTS).await.status.as_u16(), 200, "sixty of two minutes are left");
    venues.pass(-70_000);
    let told = venues.coinbase("/api/v3/brokerage/time").await.ok();
    assert_eq!(told["epochSeconds"], (venues.timestamp() / 1000 + 60).to_string());
}

#[tokio::test]
async fn private_calls_have_thirty_a_second_and_public_ones_ten() {
    let venues = Venues::new();
    for _ in 0..30 {
        venues.cb_get(ACCOUNTS).await.ok();
    }
    let refused = venues.cb_get(ACCOUNTS).await;
    assert_eq!(refused.status.as_u16(), 429);
    assert_eq!(refused.body["errors"][0]["id"], "rate_limit_exceeded");
    assert!(refused.header("retry-after").is_some());
    let book = "/api/v3/brokerage/market/product_book?product_id=BTC-USDT";
    for _ in 0..10 {
        venues.coinbase(book).await.ok();
    }
    assert_eq!(venues.coinbase(book).await.status.as_u16(), 429);
    venues.cb_get("/v2/accounts").await.ok();
    venues.pass(100);
    for _ in 0..3 {
        venues.cb_get(ACCOUNTS).await.ok();
    }
    assert_eq!(venues.cb_get(ACCOUNTS).await.status.as_u16(), 429, "three more in a tenth");
    // Who does not listen is refused again, never banned.
    for _ in 0..40 {
        assert_eq!(venues.cb_get(ACCOUNTS).await.status.as_u16(), 429);
    }
    venues.pass(1_000);
    venues.cb_get(ACCOUNTS).await.ok();
    let settings = Settings { limits: false, ..venues.coinbase.settings() };
    assert!(venues.coinbase.set_settings(settings));
    for _ in 0..60 {
        venues.cb_get(ACCOUNTS).await.ok();
    }
}

// A call without a good token costs the account nothing.
#[tokio::test]
async fn strangers_do_not_use_up_the_accounts_calls() {
    let venues = Venues::new();
    for _ in 0..50 {
        let bare = venues.cb_with("GET", ACCOUNTS, &Value::Null, &[]).await;
        assert_eq!(bare.status.as_u16(), 401);
    }
    venues.cb_get(ACCOUNTS).await.ok();
    // Binance's key is another one than Coinbase's.
    let theirs = venues.binance.ed25519().private_key_pem.expose();
    let ours = venues.coinbase.ed25519();
    let token = Token::new(ours, "GET", ACCOUNTS, venues.timestamp() / 1000).signed(ours);
    let text = token.rsplit_once('.').unwrap().0;
    let forged = ed25519_of(theirs, text).replace('+', "-").replace('/', "_");
    let token = format!("{text}.{}", forged.trim_end_matches('='));
    assert_eq!(with(&venues, &token).await.status.as_u16(), 401);
}
