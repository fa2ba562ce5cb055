//! The published signature vectors, and what the servers accept and refuse.

use simulators::signature::{hmac_hex, is_signed, without_signature};

use crate::venue_bench::{Venues, ed25519, ed25519_of};

const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

// The vendor's example pair: REST, REST with a percent-encoded symbol, query and body joined
// without a separator, and the two WebSocket texts.
#[test]
fn published_vectors_agree() {
    let tail = "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
    let head = "side=BUY&type=LIMIT&timeInForce=GTC";
    let encoded = "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96";
    let key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    let vectors = [
        (
            format!("symbol=LTCBTC&{head}&{tail}"),
            "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        ),
        (
            format!("symbol={encoded}&{head}&{tail}"),
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
        (
            format!("symbol=LTCBTC&{head}{tail}"),
            "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
        ),
        (
            format!(
                "apiKey={key}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL\
                 &symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
            ),
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            format!(
                "apiKey={key}&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY\
                 &symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
            ),
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
    ];
    for (text, expected) in vectors {
        assert_eq!(hmac_hex(SECRET, &text), expected, "{text}");
        assert!(is_signed(SECRET, &text, &expected.to_uppercase()));
        assert!(!is_signed(SECRET, &text, &expected[1..]));
    }
    assert_eq!(without_signature("a=1&signature=x&b=2"), "a=1&b=2");
    assert_eq!(without_signature("signature=x"), "");
}

// The signature covers the text as sent: any order, in the query or in the form body.
#[tokio::test]
async fn wazirx_takes_the_raw_string_wherever_it_stands() {
    let venues = Venues::new();
    let keys = venues.wazirx.credentials().clone();
    let key = Some(keys.api_key.as_str());
    let now = venues.timestamp();
    let unsorted = format!("timestamp={now}&recvWindow=10000");
    let signature = hmac_hex(keys.secret.expose(), &unsorted);
    let signed = format!("{unsorted}&signature={signature}");
    let uri = format!("/sapi/v1/funds?{signed}");
    venues.raw_wazirx("GET", &uri, "", key).await.ok();
    let in_body = venues.raw_wazirx("POST", "/sapi/v1/create_auth_token", &signed, key).await;
    assert_eq!(in_body.ok()["timeout_duration"], 900);
    let resorted = format!("/sapi/v1/funds?recvWindow=10000&timestamp={now}&signature={signature}");
    assert_eq!(venues.raw_wazirx("GET", &resorted, "", key).await.refusal(), (400, 2005));
    let bare = format!("/sapi/v1/funds?timestamp={now}");
    assert_eq!(venues.raw_wazirx("GET", &bare, "", key).await.refusal(), (400, 2115));
    assert_eq!(venues.raw_wazirx("GET", &uri, "", Some("nobody")).await.refusal(), (401, 2078));
    assert_eq!(venues.raw_wazirx("GET", &uri, "", None).await.refusal(), (401, 2078));
}

#[tokio::test]
async fn wazirx_keeps_its_receiving_window() {
    let venues = Venues::new();
    let secret = venues.wazirx.credentials().clone();
    let ask = async |params: String| {
        let signature = hmac_hex(secret.secret.expose(), &params);
        let uri = format!("/sapi/v1/funds?{params}&signature={signature}");
        venues.raw_wazirx("GET", &uri, "", Some(&secret.api_key)).await
    };
    let now = venues.timestamp();
    assert_eq!(ask(format!("timestamp={}", now - 5000)).await.status.as_u16(), 200);
    assert_eq!(ask(format!("timestamp={}", now + 999)).await.status.as_u16(), 200);
    assert_eq!(ask(format!("timestamp={}", now - 5001)).await.refusal(), (400, 2098));
    assert_eq!(ask(format!("timestamp={}", now + 1000)).await.refusal(), (400, 2098));
    let wide = format!("recvWindow=60000&timestamp={}", now - 59_000);
    assert_eq!(ask(wide).await.status.as_u16(), 200);
    for window in ["0", "60001", "x"] {
        let odd = format!("recvWindow={window}&timestamp={now}");
        assert_eq!(ask(odd).await.refusal(), (400, 2113), "{window}");
    }
}

// Query and body joined bare, the vendor's two texts for a bad clock, and the key errors.
#[tokio::test]
async fn binance_checks_signature_window_and_key() {
    let venues = Venues::new();
    let keys = venues.binance.credentials().clone();
    let key = Some(keys.api_key.as_str());
    let now = venues.timestamp();
    let query = "symbol=BTCUSDT&side=SELL&type=MARKET";
    let body = format!("quantity=0.01&timestamp={now}");
    let signature = hmac_hex(keys.secret.expose(), &format!("{query}{body}"));
    let uri = format!("/api/v3/order/test?{query}");
    let split = format!("{body}&signature={}", signature.to_uppercase());
    venues.raw_binance("POST", &uri, &split, key).await.ok();
    let joined = hmac_hex(keys.secret.expose(), &format!("{query}&{body}"));
    let wrong = venues.raw_binance("POST", &uri, &format!("{body}&signature={joined}"), key).await;
    assert_eq!(wrong.refusal(), (400, -1022));
    assert_eq!(wrong.body["msg"], "Signature for this request is not valid.");
    let account = "/api/v3/account";
    let unsigned = format!("{account}?timestamp={now}");
    let missing = venues.raw_binance("GET", &unsigned, "", key).await;
    assert_eq!(missing.refusal(), (400, -1102));
    let text = "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.";
    assert_eq!(missing.body["msg"], text);
    assert_eq!(venues.raw_binance("GET", &unsigned, "", None).await.refusal(), (401, -2014));
    assert_eq!(venues.raw_binance("GET", &unsigned, "", Some("x")).await.refusal(), (401, -2015));
    let at = async |params: String| {
        let signature = hmac_hex(keys.secret.expose(), &params);
        let uri = format!("{account}?{params}&signature={signature}");
        venues.raw_binance("GET", &uri, "", key).await
    };
    let late = at(format!("timestamp={}", now - 5001)).await;
    assert_eq!(late.refusal(), (400, -1021));
    assert_eq!(late.body["msg"], "Timestamp for this request is outside of the recvWindow.");
    let early = at(format!("timestamp={}", now + 1000)).await;
    let text = "Timestamp for this request was 1000ms ahead of the server's time.";
    assert_eq!(early.body["msg"], text);
    assert_eq!(at(format!("timestamp={now}000")).await.status.as_u16(), 200, "microseconds");
    let wide = format!("recvWindow=60000.001&timestamp={now}");
    assert_eq!(at(wide).await.refusal(), (400, -1131));
}

// The own vector of the handbook's set: the RFC 8032 key in PKCS#8, over the first published text.
#[test]
fn ed25519_signs_as_the_standard_says() {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
               -----END PRIVATE KEY-----\n";
    let empty =
        "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==";
    assert_eq!(ed25519_of(pem, ""), empty);
}

#[tokio::test]
async fn binance_takes_ed25519_in_base64_percent_encoded() {
    let venues = Venues::new();
    let keys = venues.binance.ed25519().clone();
    assert_ne!(keys.api_key, venues.binance.credentials().api_key);
    venues.binance_ed25519("GET", "/api/v3/account", "omitZeroBalances=true").await.ok();
    let order = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.01";
    venues.binance_ed25519("POST", "/api/v3/order", order).await.ok();
    let key = Some(keys.api_key.as_str());
    let now = venues.timestamp();
    let invalid = (400, -1022);
    // Query and body are joined bare.
    let (query, body) =
        ("symbol=BTCUSDT&side=SELL&type=MARKET", format!("quantity=0.01&timestamp={now}"));
    let signature = ed25519(&keys, &format!("{query}{body}"));
    let encoded = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let uri = format!("/api/v3/order/test?{query}");
    let signed = format!("{body}&signature={encoded}");
    venues.raw_binance("POST", &uri, &signed, key).await.ok();
    // Hex, the wrong case, the other key's method, the other key, an RSA signature: all invalid.
    let text = format!("timestamp={now}");
    let ask = async |signature: &str, key: &str| {
        let uri = format!("/api/v3/account?{text}&signature={signature}");
        venues.raw_binance("GET", &uri, "", Some(key)).await.refusal()
    };
    let own = ed25519(&keys, &text);
    let encoded = own.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let secret = venues.binance.credentials().secret.expose();
    assert_eq!(ask(&hmac_hex(secret, &text), &keys.api_key).await, invalid);
    assert_eq!(ask(&encoded.to_lowercase(), &keys.api_key).await, invalid);
    assert_eq!(ask(&encoded, &venues.binance.credentials().api_key).await, invalid);
    let rsa = "A".repeat(342) + "%3D%3D";
    assert_eq!(ask(&rsa, &keys.api_key).await, invalid);
    assert_eq!(ask(&rsa, &venues.binance.credentials().api_key).await, invalid);
}

// Since January 2026 the text has to be percent-encoded before it is signed.
#[tokio::test]
async fn binance_refuses_what_was_signed_before_encoding() {
    let venues = Venues::new();
    let keys = venues.binance.credentials().clone();
    let now = venues.timestamp();
    let raw = format!("symbol=BTCUSDT&newClientOrderId=a|b&timestamp={now}");
    let signature = hmac_hex(keys.secret.expose(), &raw);
    let body = format!("{raw}&signature={signature}");
    let key = Some(keys.api_key.as_str());
    let refused = venues.raw_binance("POST", "/api/v3/order/test", &body, key).await;
    assert_eq!(refused.refusal(), (400, -1022));
    let encoded = raw.replace('|', "%7C");
    let signature = hmac_hex(keys.secret.expose(), &encoded);
    let body = format!("{encoded}&signature={signature}");
    let refused = venues.raw_binance("POST", "/api/v3/order/test", &body, key).await;
    assert_ne!(refused.refusal().1, -1022, "signed as it was sent");
}
