//! The webhook sender: what each answer means, and that the guard stands in the way of the
//! connection itself, not only of the text of an address.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use outbound::webhook::{Message, Outcome, Policy, Sender, SigningSecret};
use primitives::Secret;
use tokio::net::TcpListener;

use crate::rude_server::{Manners, answer, nobody, serve};

const BODY: &str = r#"{"type":"payment.settled"}"#;

async fn send(policy: Policy, url: &str) -> Outcome {
    let secret = SigningSecret::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let secrets = [secret.unwrap()];
    let at = "2026-01-05T10:00:00Z".parse().unwrap();
    let message = Message { url, id: "evt_1", at, body: BODY, secrets: &secrets };
    Sender::try_new(policy).unwrap().send(&message).await
}

fn sandbox() -> Policy {
    Policy { allow_loopback: true, ..Policy::default() }
}

type Seen = Arc<Mutex<Vec<(HeaderMap, String)>>>;

async fn receive(State(seen): State<Seen>, headers: HeaderMap, body: String) -> StatusCode {
    seen.lock().unwrap().push((headers, body));
    StatusCode::NO_CONTENT
}

#[tokio::test]
async fn delivers_signed_bytes_with_the_original_host() {
    let seen = Seen::default();
    let app = Router::new().fallback(receive).with_state(Arc::clone(&seen));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let outcome = send(sandbox(), &format!("http://localhost:{port}/hook?x=1")).await;
    assert_eq!(outcome, Outcome::Delivered(204));
    let (headers, body) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(body, BODY);
    assert_eq!(headers["host"], format!("localhost:{port}").as_str());
    assert_eq!(headers["webhook-id"], "evt_1");
    assert_eq!(headers["webhook-timestamp"], "1767607200");
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn says_what_each_answer_means() {
    let refused = |status, permanent| Outcome::Refused { status, permanent };
    let location = "location: http://169.254.169.254/\r\n";
    let table = [
        (answer("200 OK", "", "ok"), Outcome::Delivered(200)),
        (answer("200 OK", "", &"x".repeat(200_000)), Outcome::Delivered(200)),
        (answer("301 Moved Permanently", location, ""), refused(301, false)),
        (answer("307 Temporary Redirect", location, ""), refused(307, false)),
        (answer("400 Bad Request", "", ""), refused(400, false)),
        (answer("410 Gone", "", ""), refused(410, true)),
        (answer("500 Internal Server Error", "", ""), refused(500, false)),
    ];
    for (manners, expected) in table {
        let address = serve(manners.clone()).await;
        let outcome = send(sandbox(), &format!("http://{address}/")).await;
        assert_eq!(outcome, expected, "{manners:?}");
    }
    for manners in [Manners::HangUp, Manners::Say(b"nonsense".to_vec())] {
        let outcome = send(sandbox(), &format!("http://{}/", serve(manners).await)).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }
    let outcome = send(sandbox(), &format!("http://{}/", nobody().await)).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}

// A public-looking name that leads home is stopped by the resolver, before any connection.
#[tokio::test]
async fn the_guard_stands_before_the_connection() {
    let address = serve(answer("200 OK", "", "")).await;
    for url in [format!("http://{address}/"), format!("https://127.0.0.1:{}/", address.port())] {
        let outcome = send(Policy::default(), &url).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{url}: {outcome:?}");
    }
    let outcome = send(Policy::default(), "https://app.localhost/").await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}
