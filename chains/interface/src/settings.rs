//! What the settings of every family have in common: the addresses of nodes.
//!
//! Invariant: an address of a node carries a login or a key, so neither an error nor a line of a
//! log shows more of it than its host.

use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

/// Reads a list of URLs; an error does not repeat them.
///
/// # Errors
/// When one of them is none.
pub fn urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Url>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    // The text itself stays out of the error: it may carry a login or a key.
    let parse = |text: String| Url::parse(&text).map_err(|_| D::Error::custom("not a URL"));
    texts.into_iter().map(parse).collect()
}

/// The part of a node's address that may be shown.
#[must_use]
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Settings {
        #[serde(deserialize_with = "urls")]
        nodes: Vec<Url>,
    }

    #[test]
    fn no_more_than_the_host_is_ever_shown() {
        let good =
            r#"{"nodes":["http://reader:secret@node.example:8332/v2/key","wss://b.example"]}"#;
        let settings: Settings = serde_json::from_str(good).unwrap();
        let shown: Vec<String> = settings.nodes.iter().map(host_of).collect();
        assert_eq!(shown, ["node.example:8332", "b.example"]);
        for bad in [r#"{"nodes":["//reader:secret@node"]}"#, r#"{"nodes":["", "secret"]}"#] {
            let error = serde_json::from_str::<Settings>(bad).unwrap_err().to_string();
            assert!(error.contains("not a URL") && !error.contains("secret"), "{error}");
        }
    }
}
