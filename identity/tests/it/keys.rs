//! A key opens for its merchant until it is revoked, expires or the merchant is disabled; what is
//! stored opens nothing; the application's role can neither delete nor rewrite a key.

use chrono::{DateTime, TimeDelta, Utc};
use identity::{KeyKind, NewApiKey, Scope, Scopes};
use primitives::{ApiKeyId, Entropy, MerchantId, Secret};
use sqlx::PgConnection;
use testkit_db::TestDb;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

async fn merchant_with_key(
    conn: &mut PgConnection,
    entropy: &Entropy,
    scopes: &[Scope],
    expires_at: Option<DateTime<Utc>>,
) -> (MerchantId, ApiKeyId, Secret) {
    let merchant =
        identity::create_merchant_in(conn, entropy, noon(), "Ravi Stores").await.unwrap();
    let new = NewApiKey {
        merchant,
        name: "till".to_owned(),
        kind: KeyKind::Test,
        scopes: Scopes::new(scopes),
        expires_at,
    };
    let (id, secret) = identity::create_api_key_in(conn, entropy, noon(), &new).await.unwrap();
    (merchant, id, secret)
}

#[tokio::test]
async fn a_key_opens_for_its_merchant_with_its_scopes() {
    let db = TestDb::create().await.unwrap();
    let mut conn = db.app.acquire().await.unwrap();
    let entropy = Entropy::seeded(1);
    let (merchant, id, secret) =
        merchant_with_key(&mut conn, &entropy, &[Scope::PaymentsRead], None).await;
    assert!(identity::is_key_shaped(secret.expose()));
    assert_eq!(format!("{secret:?}"), "Secret(…)");

    let found = identity::authenticate(&mut conn, secret.expose(), noon()).await.unwrap().unwrap();
    assert_eq!((found.merchant, found.key), (merchant, id));
    assert!(found.scopes.contains(Scope::PaymentsRead));
    assert!(!found.scopes.contains(Scope::PaymentsWrite));

    // The database holds a hash and the public part; neither they nor a changed letter opens.
    let (hash, public): (Vec<u8>, String) =
        sqlx::query_as("SELECT hash, public_id FROM api_keys").fetch_one(&mut *conn).await.unwrap();
    assert!(!secret.expose().as_bytes().windows(hash.len()).any(|part| part == hash));
    let last = if secret.expose().ends_with('a') { 'b' } else { 'a' };
    let mut changed = secret.expose().to_owned();
    changed.pop();
    changed.push(last);
    let unknown = secret.expose().replace(&public, "zzzzzzzz");
    let live = secret.expose().replace("test", "live");
    for wrong in [changed.as_str(), unknown.as_str(), live.as_str(), "sk_test_x", ""] {
        assert_eq!(identity::authenticate(&mut conn, wrong, noon()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_key_ends_by_time_revocation_or_with_its_merchant() {
    let db = TestDb::create().await.unwrap();
    let mut conn = db.app.acquire().await.unwrap();
    let entropy = Entropy::seeded(2);
    let end = noon() + TimeDelta::days(1);
    let (merchant, id, secret) =
        merchant_with_key(&mut conn, &entropy, &Scope::ALL, Some(end)).await;
    let opens = async |conn: &mut PgConnection, at| {
        identity::authenticate(conn, secret.expose(), at).await.unwrap().is_some()
    };
    assert!(opens(&mut conn, end - TimeDelta::seconds(1)).await);
    assert!(!opens(&mut conn, end).await);

    let (other, _, _) = merchant_with_key(&mut conn, &entropy, &Scope::ALL, None).await;
    assert!(!identity::revoke(&mut conn, other, id, noon()).await.unwrap(), "not theirs");
    assert!(opens(&mut conn, noon()).await);
    assert!(identity::revoke(&mut conn, merchant, id, noon()).await.unwrap());
    assert!(!identity::revoke(&mut conn, merchant, id, noon()).await.unwrap(), "ended already");
    assert!(!opens(&mut conn, noon()).await);

    let (merchant, _, secret) = merchant_with_key(&mut conn, &entropy, &Scope::ALL, None).await;
    assert!(identity::disable_merchant_in(&mut conn, merchant, noon()).await.unwrap());
    let found = identity::authenticate(&mut conn, secret.expose(), noon()).await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn a_use_is_noted_once_a_minute() {
    let db = TestDb::create().await.unwrap();
    let mut conn = db.app.acquire().await.unwrap();
    let (_, _, secret) = merchant_with_key(&mut conn, &Entropy::seeded(3), &Scope::ALL, None).await;
    for (after, noted) in [(0, 0), (59, 0), (60, 60), (90, 60), (3600, 3600)] {
        let at = noon() + TimeDelta::seconds(after);
        identity::authenticate(&mut conn, secret.expose(), at).await.unwrap().unwrap();
        let last: DateTime<Utc> = sqlx::query_scalar("SELECT last_used_at FROM api_keys")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        assert_eq!(last, noon() + TimeDelta::seconds(noted), "after {after} s");
    }
}

#[tokio::test]
async fn what_must_not_be_made_is_refused() {
    let db = TestDb::create().await.unwrap();
    let mut conn = db.app.acquire().await.unwrap();
    let entropy = Entropy::seeded(4);
    for bad in ["", " ", "a\0b", "a\u{202e}b"] {
        let made = identity::create_merchant_in(&mut conn, &entropy, noon(), bad).await;
        assert!(matches!(made, Err(identity::Error::NameRefused)), "{bad:?}");
    }
    let merchant = identity::create_merchant_in(&mut conn, &entropy, noon(), "Ravi").await.unwrap();
    let none = NewApiKey {
        merchant,
        name: "till".to_owned(),
        kind: KeyKind::Test,
        scopes: Scopes::new(&[]),
        expires_at: None,
    };
    let made = identity::create_api_key_in(&mut conn, &entropy, noon(), &none).await;
    assert!(matches!(made, Err(identity::Error::NoScope)));
}

#[tokio::test]
async fn the_role_can_neither_delete_nor_rewrite_a_key() {
    let db = TestDb::create().await.unwrap();
    let mut conn = db.app.acquire().await.unwrap();
    merchant_with_key(&mut conn, &Entropy::seeded(5), &Scope::ALL, None).await;
    for forbidden in [
        "DELETE FROM api_keys",
        "DELETE FROM merchants",
        "UPDATE api_keys SET hash = hash",
        "UPDATE api_keys SET scopes = '{}'",
        "UPDATE merchants SET name = 'x'",
        "TRUNCATE api_keys",
    ] {
        let refused = sqlx::query(forbidden).execute(&mut *conn).await.unwrap_err();
        let code = refused.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{forbidden}");
    }
    let unknown =
        sqlx::query("UPDATE api_keys SET scopes = '{root}'").execute(&db.owner).await.unwrap_err();
    let error = unknown.as_database_error().unwrap().constraint().unwrap().to_owned();
    assert_eq!(error, "api_keys_scopes_are_known");
}
