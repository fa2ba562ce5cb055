//! The name of a network, and nothing else about networks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A configured network, such as `ethereum` or `anvil`: 2–32 of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkId(String);

impl NetworkId {
    /// `None` when the text is not a network name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (2..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits.then(|| Self(name.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NetworkId {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name).ok_or("not a network name")
    }
}

impl From<NetworkId> for String {
    fn from(network: NetworkId) -> Self {
        network.0
    }
}
