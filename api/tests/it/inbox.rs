//! A provider's webhook is stored as it came, once, and nothing else changes.

use reqwest::Method;
use sqlx::Row;

use crate::shop::{Ask, Shop};

fn letter(body: impl Into<Vec<u8>>) -> Ask {
    Ask::get("/webhooks/razorpayx").method(Method::POST).raw(body)
}

#[tokio::test]
async fn bytes_and_signatures_are_kept() {
    let shop = Shop::open().await;
    let body = vec![0, 159, 146, 150, b'{'];
    let ask = letter(body.clone())
        .header("x-razorpay-signature", "abc")
        .header("x-razorpay-signature", vec![b'x', 0xe9]);
    let reply = shop.bare(ask).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, r#"{"received":true}"#));
    let row = sqlx::query("SELECT rail, signatures, body, state FROM inbox")
        .fetch_one(&shop.db.owner)
        .await
        .unwrap();
    assert_eq!(row.get::<Vec<u8>, _>("body"), body);
    assert_eq!(row.get::<Vec<String>, _>("signatures"), ["abc", "xé"]);
    assert_eq!((row.get("rail"), row.get("state")), ("razorpayx", "new"));
    let jobs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM apalis.jobs WHERE job_type LIKE '%inbox%'")
            .fetch_one(&shop.db.owner)
            .await
            .unwrap();
    assert_eq!(jobs, 1, "a worker is asked to read it");
}

#[tokio::test]
async fn the_same_letter_is_stored_once_and_others_are_bounded() {
    let shop = Shop::open().await;
    for _ in 0..3 {
        let reply = shop.bare(letter("{}").header("x-razorpay-signature", "abc")).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(shop.count("inbox").await, 1);
    assert_eq!(shop.bare(letter("{}")).await.status, 200, "without a signature, too");
    let before = shop.everything().await;
    let unknown = shop.bare(Ask::get("/webhooks/stripe").method(Method::POST).raw("{}")).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "rail_unknown"));
    let big = shop.bare(letter(vec![b'x'; 256 * 1024 + 1])).await;
    assert_eq!((big.status, big.code().as_str()), (413, "body_too_large"));
    let wrong = shop.bare(Ask::get("/webhooks/razorpayx")).await;
    assert_eq!(wrong.status, 405);
    assert_eq!(shop.everything().await, before);

    assert_eq!(shop.bare(letter(vec![b'x'; 256 * 1024])).await.status, 200);
    let mut many = letter("{\"a\":1}");
    for n in 0..30_u8 {
        many = many.header("x-razorpay-signature", vec![b'a' + n % 26; 390]);
    }
    assert_eq!(shop.bare(many).await.status, 200);
    let kept: i64 = sqlx::query_scalar(
        "SELECT max(cardinality(signatures))::bigint * max(length(signatures[1])) FROM inbox",
    )
    .fetch_one(&shop.db.owner)
    .await
    .unwrap();
    assert!(kept <= 4 * 200, "{kept}");
}
