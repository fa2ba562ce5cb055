//! The fleet's side of the socket: one connection, one line each way, one deadline.
//!
//! Invariant: only a whole answer that names the intent is an answer. Everything else (no socket,
//! silence, half a line, another's answer) is `Unavailable`, because it may have been signed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use chains::carrier::SignedTx;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time,
};

use crate::{Answer, Intent, MAX_LINE, Outcome, SignError, Signer};

/// A signer behind a local socket.
#[derive(Debug, Clone)]
pub struct SocketSigner {
    path: PathBuf,
    timeout: Duration,
}

impl SocketSigner {
    /// Nothing is opened yet: every intent has a connection of its own, so a signer that was
    /// started again is found again. `timeout` is for one intent, from connecting to the last byte.
    #[must_use]
    pub fn connect(path: impl Into<PathBuf>, timeout: Duration) -> Self {
        Self { path: path.into(), timeout }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn ask(&self, line: &[u8]) -> std::io::Result<Vec<u8>> {
        let (reading, mut writing) = UnixStream::connect(&self.path).await?.into_split();
        writing.write_all(line).await?;
        let bound = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let mut answer = Vec::new();
        BufReader::new(reading.take(bound)).read_until(b'\n', &mut answer).await?;
        Ok(answer)
    }
}

#[async_trait]
impl Signer for SocketSigner {
    async fn sign(&self, intent: &Intent) -> Result<SignedTx, SignError> {
        let mut line = serde_json::to_vec(intent)
            .map_err(|error| unavailable(format!("the intent cannot be written: {error}")))?;
        line.push(b'\n');
        if line.len() > MAX_LINE {
            // Nothing was sent, so this is certain.
            return Err(SignError::Refused {
                code: "malformed".to_owned(),
                reason: "the intent is longer than a line may be".to_owned(),
            });
        }
        match time::timeout(self.timeout, self.ask(&line)).await {
            Err(_) => Err(unavailable("not in time")),
            Ok(Err(error)) => Err(unavailable(error.to_string())),
            Ok(Ok(answer)) => read(intent, &answer),
        }
    }
}

fn read(intent: &Intent, line: &[u8]) -> Result<SignedTx, SignError> {
    let whole = line.strip_suffix(b"\n").ok_or_else(|| unavailable("the answer has no end"))?;
    let answer: Answer =
        serde_json::from_slice(whole).map_err(|_| unavailable("the answer cannot be read"))?;
    if answer.id != Some(intent.id) {
        return Err(unavailable(match answer.outcome {
            Outcome::Unavailable { reason } => reason,
            Outcome::Signed(_) | Outcome::Refused { .. } | Outcome::NotBefore { .. } => {
                "the answer is for something else".to_owned()
            }
        }));
    }
    match answer.outcome {
        Outcome::Signed(signed) if is_plausible(&signed) => Ok(signed),
        Outcome::Signed(_) => Err(unavailable("the answer holds no transaction")),
        Outcome::Refused { code, reason } => Err(SignError::Refused { code, reason }),
        Outcome::NotBefore { at, reason } => Err(SignError::NotBefore { at, reason }),
        Outcome::Unavailable { reason } => Err(unavailable(reason)),
    }
}

fn is_plausible(signed: &SignedTx) -> bool {
    let raw = signed.raw.as_bytes();
    let is_hex = raw.len().is_multiple_of(2) && raw.iter().all(u8::is_ascii_hexdigit);
    !signed.tx_id.is_empty() && !raw.is_empty() && is_hex
}

fn unavailable(reason: impl Into<String>) -> SignError {
    SignError::Unavailable(reason.into())
}

#[cfg(test)]
mod tests {
    use chains::carrier::Unsigned;
    use primitives::{Amount, Asset, NetworkId};
    use uuid::Uuid;

    use super::*;
    use crate::Purpose;

    fn intent() -> Intent {
        Intent {
            id: Uuid::from_u128(7),
            purpose: Purpose::FundVenue,
            network: NetworkId::new("bitcoin").unwrap(),
            to: "somewhere".to_owned(),
            amount: Amount::try_new(1, Asset::Btc).unwrap(),
            fee_max: Amount::try_new(1, Asset::Btc).unwrap(),
            to_index: None,
            unsigned: Unsigned::Bitcoin { psbt: String::new() },
        }
    }

    fn line(id: Option<Uuid>, outcome: Outcome) -> Vec<u8> {
        let mut line = serde_json::to_vec(&Answer { id, outcome }).unwrap();
        line.push(b'\n');
        line
    }

    fn is_unavailable(line: &[u8]) -> bool {
        matches!(read(&intent(), line), Err(SignError::Unavailable(_)))
    }

    #[test]
    fn only_a_whole_answer_for_this_intent_is_an_answer() {
        let signed = SignedTx { tx_id: "aa".to_owned(), raw: "00ff".to_owned() };
        let fine = line(Some(Uuid::from_u128(7)), Outcome::Signed(signed.clone()));
        assert_eq!(read(&intent(), &fine), Ok(signed.clone()));
        for end in 0..fine.len() {
            assert!(is_unavailable(&fine[..end]), "{end} bytes were taken for an answer");
        }
        assert!(is_unavailable(&line(Some(Uuid::from_u128(8)), Outcome::Signed(signed.clone()))));
        assert!(is_unavailable(&line(None, Outcome::Signed(signed))));
        for raw in ["", "0", "zz", "0x00"] {
            let odd = SignedTx { tx_id: "aa".to_owned(), raw: raw.to_owned() };
            assert!(is_unavailable(&line(Some(Uuid::from_u128(7)), Outcome::Signed(odd))));
        }
    }

    // A refusal ends an attempt; one that is not for this intent must not end it.
    #[test]
    fn a_strayed_refusal_is_no_refusal() {
        let refused = Outcome::Refused { code: "over_limit".to_owned(), reason: String::new() };
        let ours = read(&intent(), &line(Some(Uuid::from_u128(7)), refused.clone()));
        assert!(matches!(ours, Err(SignError::Refused { code, .. }) if code == "over_limit"));
        assert!(is_unavailable(&line(None, refused.clone())));
        assert!(is_unavailable(&line(Some(Uuid::nil()), refused)));
        let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let later = Outcome::NotBefore { at, reason: String::new() };
        let ours = read(&intent(), &line(Some(Uuid::from_u128(7)), later.clone()));
        assert_eq!(ours, Err(SignError::NotBefore { at, reason: String::new() }));
        assert!(is_unavailable(&line(Some(Uuid::nil()), later)));
    }
}
