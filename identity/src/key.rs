//! API keys: `sk_test_<8-char id>_<32 base62 characters>` (or `sk_live_…`).
//!
//! Invariants: the secret has 190 bits, so a plain SHA-256 of the whole key is what is stored; the
//! row is found by the public part and the hash is compared in constant time; an unknown public
//! part is compared too, with a hash nothing has. Rate limits of a key are the API's.

use chrono::{DateTime, TimeDelta, Utc};
use primitives::{ApiKeyId, Entropy, MerchantId, Secret};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row};
use subtle::ConstantTimeEq;

use crate::{
    Scopes,
    error::{Error, checked_name},
};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PUBLIC_LEN: usize = 8;
const SECRET_LEN: usize = 32;
/// A use is noted at most this often, so that reading does not mean writing.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Which world a key opens. Only its first letters differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Test,
    Live,
}

impl KeyKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Test => "sk_test_",
            Self::Live => "sk_live_",
        }
    }
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub merchant: MerchantId,
    pub name: String,
    pub kind: KeyKind,
    pub scopes: Scopes,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Who is asking, and what they may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub merchant: MerchantId,
    pub key: ApiKeyId,
    pub scopes: Scopes,
}

/// Makes a key in the caller's transaction. The secret is in this answer and nowhere else.
///
/// # Errors
/// `NameRefused`, `NoScope`, or weather.
pub async fn create_api_key_in(
    conn: &mut PgConnection,
    entropy: &Entropy,
    now: DateTime<Utc>,
    new: &NewApiKey,
) -> Result<(ApiKeyId, Secret), Error> {
    let name = checked_name(&new.name)?;
    if new.scopes.is_empty() {
        return Err(Error::NoScope);
    }
    let id = ApiKeyId::from_uuid(entropy.uuid(now));
    let public_id = base62(entropy, PUBLIC_LEN);
    let text = format!("{}{public_id}_{}", new.kind.prefix(), base62(entropy, SECRET_LEN));
    sqlx::query(
        "INSERT INTO api_keys \
         (id, merchant_id, public_id, name, hash, scopes, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.uuid())
    .bind(new.merchant.uuid())
    .bind(&public_id)
    .bind(name)
    .bind(hash(&text).as_slice())
    .bind(new.scopes.names())
    .bind(now)
    .bind(new.expires_at)
    .execute(conn)
    .await?;
    Ok((id, Secret::new(text)))
}

/// Who presented this key; `None` for a key that is wrong, revoked, expired or whose merchant is
/// disabled, without saying which.
///
/// # Errors
/// Weather only.
pub async fn authenticate(
    conn: &mut PgConnection,
    presented: &str,
    now: DateTime<Utc>,
) -> Result<Option<Principal>, Error> {
    let Some(public_id) = public_part(presented) else {
        return Ok(None);
    };
    let row = sqlx::query(
        "SELECT k.id, k.merchant_id, k.hash, k.scopes, k.last_used_at, \
                k.revoked_at IS NULL AND m.disabled_at IS NULL \
                    AND (k.expires_at IS NULL OR k.expires_at > $2) AS live \
         FROM api_keys k JOIN merchants m ON m.id = k.merchant_id WHERE k.public_id = $1",
    )
    .bind(public_id)
    .bind(now)
    .fetch_optional(&mut *conn)
    .await?;
    let stored = match &row {
        Some(row) => row.try_get::<Vec<u8>, _>("hash")?,
        None => vec![0; 32],
    };
    let matches = bool::from(hash(presented).as_slice().ct_eq(&stored));
    let Some(row) = row.filter(|_| matches) else {
        return Ok(None);
    };
    if !row.try_get::<bool, _>("live")? {
        return Ok(None);
    }
    let key = ApiKeyId::from_uuid(row.try_get("id")?);
    note_use(conn, key, row.try_get("last_used_at")?, now).await?;
    Ok(Some(Principal {
        merchant: MerchantId::from_uuid(row.try_get("merchant_id")?),
        key,
        scopes: Scopes::from_names(&row.try_get::<Vec<String>, _>("scopes")?),
    }))
}

/// Ends a key of this merchant. `false` when it is not theirs or has ended already.
///
/// # Errors
/// Weather only.
pub async fn revoke(
    conn: &mut PgConnection,
    merchant: MerchantId,
    key: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE api_keys SET revoked_at = $3 \
         WHERE id = $1 AND merchant_id = $2 AND revoked_at IS NULL",
    )
    .bind(key.uuid())
    .bind(merchant.uuid())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// True for text that could be a key: anything else need not reach the database.
#[must_use]
pub fn is_key_shaped(presented: &str) -> bool {
    public_part(presented).is_some()
}

async fn note_use(
    conn: &mut PgConnection,
    key: ApiKeyId,
    last: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let since = now.checked_sub_signed(USE_NOTED_EVERY).unwrap_or(now);
    if last.is_some_and(|last| last > since) {
        return Ok(());
    }
    // Whoever comes second finds the row noted, or locked by somebody noting it, and moves on.
    sqlx::query(
        "UPDATE api_keys SET last_used_at = $2 WHERE id = \
         (SELECT id FROM api_keys WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3) \
          FOR UPDATE SKIP LOCKED)",
    )
    .bind(key.uuid())
    .bind(now)
    .bind(since)
    .execute(conn)
    .await?;
    Ok(())
}

fn public_part(presented: &str) -> Option<&str> {
    let rest = [KeyKind::Test, KeyKind::Live]
        .into_iter()
        .find_map(|kind| presented.strip_prefix(kind.prefix()))?;
    let (public_id, secret) = rest.split_once('_')?;
    let fits = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    (fits(public_id, PUBLIC_LEN) && fits(secret, SECRET_LEN)).then_some(public_id)
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Letters without bias: a byte at or above the largest multiple of 62 is thrown away.
fn base62(entropy: &Entropy, len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let [byte] = entropy.bytes::<1>();
        let letter = (byte < 248).then(|| BASE62.get(usize::from(byte % 62))).flatten();
        text.extend(letter.map(|letter| char::from(*letter)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_keys_are_looked_up() {
        let secret = "a".repeat(32);
        let good = format!("sk_test_Ab3dEf9h_{secret}");
        assert_eq!(public_part(&good), Some("Ab3dEf9h"));
        assert_eq!(public_part(&good.replace("test", "live")), Some("Ab3dEf9h"));
        let bad = [
            String::new(),
            "sk_test_".to_owned(),
            good.replace("sk_", "pk_"),
            good.replace("Ab3dEf9h", "Ab3dEf9"),
            good.replace("Ab3dEf9h", "Ab3dEf9é"),
            format!("{good}a"),
            format!(" {good}"),
            good.replace('a', "'"),
        ];
        for bad in bad {
            assert_eq!(public_part(&bad), None, "{bad}");
        }
    }

    #[test]
    fn letters_come_from_entropy() {
        let text = base62(&Entropy::seeded(7), 1000);
        assert_eq!(text.len(), 1000);
        assert_eq!(text, base62(&Entropy::seeded(7), 1000));
        assert!(BASE62.iter().all(|letter| text.contains(char::from(*letter))));
    }
}
