//! Every failure is sorted by whether it may have happened: the same failure is `Unknown` for a
//! call with an effect and never `Unknown` for a read.

use std::{net::SocketAddr, sync::Arc};

use outbound::{BaseUrl, Body, Client, Effect, Response, Settings, Target};
use primitives::{CallError, CallResult, SystemClock};

use crate::rude_server::{Manners, answer, nobody, serve};

fn client() -> Client {
    let settings = Settings {
        connect_timeout_ms: 150,
        read_timeout_ms: 300,
        total_timeout_ms: 600,
        response_bytes_max: 64 * 1024,
        ..Settings::default()
    };
    Client::try_new("vendor", &settings, Arc::new(SystemClock)).unwrap()
}

async fn post(scheme: &str, address: SocketAddr) -> CallResult<Response> {
    let base = BaseUrl::parse(&format!("{scheme}://{address}")).unwrap();
    let target = Target::new(&base, "/v1/orders").query("signature=secret");
    client().post(target, Body::Form("a=1".into()), Effect::Money).await
}

async fn get(address: SocketAddr) -> CallResult<Response> {
    let base = BaseUrl::parse(&format!("http://{address}")).unwrap();
    client().get(Target::new(&base, "/v1/orders").query("signature=secret")).await
}

#[test]
fn http_client_builds() {
    drop(client());
    for broken in [
        Settings { total_timeout_ms: 0, ..Settings::default() },
        Settings { connect_timeout_ms: 3_600_000, ..Settings::default() },
        Settings { response_bytes_max: 0, ..Settings::default() },
        Settings { burst: 0, ..Settings::default() },
    ] {
        assert!(Client::try_new("vendor", &broken, Arc::new(SystemClock)).is_err());
    }
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let address = nobody().await;
    assert!(matches!(post("http", address).await, Err(CallError::NotSent(_))));
    assert!(matches!(get(address).await, Err(CallError::NotSent(_))));
}

// The TLS handshake comes before the request: nothing was sent however it fails.
#[tokio::test]
async fn a_failed_handshake_sent_nothing() {
    for manners in [Manners::Hang, Manners::HangUp, answer("200 OK", "", "{}")] {
        let outcome = post("https", serve(manners.clone()).await).await;
        assert!(matches!(outcome, Err(CallError::NotSent(_))), "{manners:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_only_where_there_is_an_effect() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"id".to_vec();
    let table = [
        ("hang", Manners::Hang),
        ("hang up", Manners::HangUp),
        ("drip", Manners::Drip),
        ("flood", Manners::Flood),
        ("garbage", Manners::Say(b"\x00\x01 not http".to_vec())),
        ("half a head", Manners::Say(b"HTTP/1.1 200".to_vec())),
        ("half a body", Manners::Say(cut)),
        ("half a chunk", Manners::Say(chunked)),
        ("500", answer("500 Internal Server Error", "", "{}")),
        ("502 html", answer("502 Bad Gateway", "content-type: text/html\r\n", "<html>")),
        ("503", answer("503 Service Unavailable", "retry-after: 1\r\n", "")),
        ("504", answer("504 Gateway Timeout", "", "")),
        ("408", answer("408 Request Timeout", "", "")),
        ("302", answer("302 Found", "location: http://127.0.0.1:1/\r\n", "")),
        ("huge", answer("200 OK", "", &"x".repeat(65 * 1024))),
        ("huge refusal", answer("400 Bad Request", "", &"x".repeat(65 * 1024))),
    ];
    for (name, manners) in table {
        let address = serve(manners).await;
        let money = post("http", address).await.unwrap_err();
        assert!(money.may_have_happened(), "{name}: {money}");
        let read = get(address).await.unwrap_err();
        assert!(matches!(read, CallError::NotSent(_)), "{name}: {read}");
        for text in [money.to_string(), read.to_string()] {
            assert!(!text.contains("secret") && !text.contains("127.0.0.1"), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn refusals_and_answers_arrive_whole() {
    let refused = post("http", serve(answer("400 Bad Request", "", "{\"code\":1}")).await).await;
    assert_eq!(refused.unwrap().body, b"{\"code\":1}");
    let headers =
        "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nx-mbx-used-weight-1m: 7\r\nset-cookie: a\r\n";
    let fine = get(serve(answer("200 OK", headers, "{\"a\":[1]}")).await).await.unwrap();
    assert!(fine.is_success());
    assert_eq!(fine.header("x-mbx-used-weight-1m"), Some("7"));
    assert!(fine.header("date").is_some() && fine.header("set-cookie").is_none());
    let value: Vec<u32> = fine
        .json::<std::collections::BTreeMap<String, Vec<u32>>>(Effect::None)
        .unwrap()
        .remove("a")
        .unwrap();
    assert_eq!(value, [1]);
}

// The text of a body stays out of the error that says it cannot be read.
#[tokio::test]
async fn an_unreadable_body_is_not_quoted() {
    let address = serve(answer("200 OK", "", "{\"id\":\"ravi@okaxis\"}")).await;
    let response = post("http", address).await.unwrap();
    #[derive(Debug, serde::Deserialize)]
    struct Wanted {
        #[expect(dead_code, reason = "only its shape matters")]
        id: u64,
    }
    let error = response.json::<Wanted>(Effect::Money).unwrap_err();
    assert!(error.may_have_happened() && !error.to_string().contains("ravi"), "{error}");
    assert!(!format!("{response:?}").contains("ravi"));
    let html = Response::clone(&get(serve(answer("200 OK", "", "<html>")).await).await.unwrap());
    assert!(matches!(html.json::<Wanted>(Effect::None), Err(CallError::NotSent(_))));
}

// After "slow down" nothing more is sent until the named time has passed.
#[tokio::test]
async fn retry_after_is_obeyed_without_asking_again() {
    for (status, seconds) in [("429 Too Many Requests", "30"), ("418 I'm a teapot", "600")] {
        let address = serve(answer(status, &format!("retry-after: {seconds}\r\n"), "{}")).await;
        let base = BaseUrl::parse(&format!("http://{address}")).unwrap();
        let client = client();
        let retry_after_s = seconds.parse().unwrap();
        let money =
            client.post(Target::new(&base, "/"), Body::Json("{}".into()), Effect::Money).await;
        assert_eq!(money.unwrap_err(), CallError::RateLimited { retry_after_s });
        let elsewhere = BaseUrl::parse(&format!("http://{}", nobody().await)).unwrap();
        let next = client.delete(Target::new(&elsewhere, "/"), Effect::Money).await;
        assert!(matches!(next, Err(CallError::RateLimited { .. })), "{next:?}");
    }
}
