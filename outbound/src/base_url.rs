//! Where a vendor lives: scheme, host and port.
//!
//! Invariant: no credentials, path, query or fragment in it, and plain HTTP only where it cannot
//! leave our own machines, so that a mistyped scheme never sends a key over the open network.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Deserializer, de::Error as _};
use url::{Host, Url};

/// `https://api.razorpay.com`, without a path.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    #[error("not an address of the form https://host:port")]
    Malformed,
    #[error("plain http is allowed only inside our own network")]
    Insecure,
}

impl BaseUrl {
    /// # Errors
    /// `Malformed` for anything beyond scheme, host and port; `Insecure` for public plain HTTP.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let url = Url::parse(text).map_err(|_| BaseUrlError::Malformed)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let host = url.host().filter(|_| bare).ok_or(BaseUrlError::Malformed)?;
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_ours(&host) => Ok(Self(url)),
            "http" => Err(BaseUrlError::Insecure),
            _ => Err(BaseUrlError::Malformed),
        }
    }

    /// The name or number of the host, lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Host and, where it is not the scheme's own, port: what the `host` header says.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }
}

/// Loopback, a private address, or a name without a dot: a service beside us.
fn is_ours(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => !name.contains('.'),
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_private(),
        Host::Ipv6(ip) => IpAddr::V6(*ip).is_loopback() || ip.is_unique_local(),
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_scheme_host_and_port_only() {
        for good in
            ["https://api.wazirx.com", "http://127.0.0.1:8080", "http://[::1]:1", "http://sim:9/"]
        {
            assert!(BaseUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "api.wazirx.com",
            "ftp://api.wazirx.com",
            "https://key:secret@api.wazirx.com",
            "https://api.wazirx.com/sapi",
            "https://api.wazirx.com?x=1",
            "https://api.wazirx.com#x",
        ] {
            assert_eq!(BaseUrl::parse(bad), Err(BaseUrlError::Malformed), "{bad}");
        }
        for open in ["http://api.wazirx.com", "http://8.8.8.8:80"] {
            assert_eq!(BaseUrl::parse(open), Err(BaseUrlError::Insecure), "{open}");
        }
    }
}
