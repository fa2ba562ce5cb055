//! The guard against being sent to our own doorstep.
//!
//! Invariants: HTTPS, ports 443 and 8443, no credentials, no address literals; every answer of
//! the name service must be a public address, and the connection uses those answers and no others.
//! Literals are refused here because connectors do not ask a resolver about them.

use std::{
    error::Error as _,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;
use url::{Host, Url};

/// Where webhooks may go besides the public internet. Both are for a sandbox only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Loopback names and literals, on any port and over plain HTTP.
    pub allow_loopback: bool,
    /// Host names of our own network, named by the operator, under the same relaxed rules.
    pub trusted_hosts: Vec<String>,
}

/// Why an address gets no webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    #[error("not an address we can read")]
    Malformed,
    #[error("webhooks go over https only")]
    NotHttps,
    #[error("webhooks go to the ports 443 and 8443 only")]
    Port,
    #[error("credentials in the address")]
    Credentials,
    #[error("an address literal instead of a name")]
    Literal,
    #[error("a name without a domain")]
    NotPublicName,
    #[error("the name leads to an address that is not public")]
    NotPublicAddress,
    #[error("the name cannot be resolved")]
    Unresolved,
}

const URL_BYTES_MAX: usize = 2_048;

/// Whether an address may be stored as a webhook endpoint. Where its name leads is checked at
/// every sending.
///
/// # Errors
/// The reason of the refusal.
pub fn check_url(text: &str, policy: &Policy) -> Result<(), UrlRefusal> {
    check(text, policy).map(drop)
}

pub(super) fn check(text: &str, policy: &Policy) -> Result<Url, UrlRefusal> {
    if text.len() > URL_BYTES_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(UrlRefusal::Malformed);
    }
    let url = Url::parse(text).map_err(|_| UrlRefusal::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::Credentials);
    }
    let relaxed = match url.host().ok_or(UrlRefusal::Malformed)? {
        Host::Domain(name) => policy.relaxes(name),
        Host::Ipv4(ip) => policy.relaxes_literal(IpAddr::V4(ip))?,
        Host::Ipv6(ip) => policy.relaxes_literal(IpAddr::V6(ip))?,
    };
    match (url.scheme(), relaxed) {
        ("http" | "https", true) => return Ok(url),
        ("https", false) => {}
        _ => return Err(UrlRefusal::NotHttps),
    }
    if !matches!(url.port_or_known_default(), Some(443 | 8443)) {
        return Err(UrlRefusal::Port);
    }
    let name = url.host_str().unwrap_or_default().trim_end_matches('.');
    if !name.contains('.') {
        return Err(UrlRefusal::NotPublicName);
    }
    Ok(url)
}

impl Policy {
    fn relaxes(&self, name: &str) -> bool {
        (self.allow_loopback && name.eq_ignore_ascii_case("localhost")) || self.trusts(name)
    }

    fn trusts(&self, name: &str) -> bool {
        self.trusted_hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    fn relaxes_literal(&self, ip: IpAddr) -> Result<bool, UrlRefusal> {
        if self.allow_loopback && ip.is_loopback() { Ok(true) } else { Err(UrlRefusal::Literal) }
    }

    /// Every answer must be fit: one private address among public ones is an attack, not luck.
    pub(super) fn vet(&self, name: &str, answers: &[IpAddr]) -> Result<(), UrlRefusal> {
        let fit = |ip: &IpAddr| {
            is_public(*ip) || self.trusts(name) || (self.relaxes(name) && ip.is_loopback())
        };
        match answers {
            [] => Err(UrlRefusal::Unresolved),
            answers if answers.iter().all(fit) => Ok(()),
            _ => Err(UrlRefusal::NotPublicAddress),
        }
    }
}

/// Globally reachable unicast, by the special-purpose registries of IANA. Whatever wraps an IPv4
/// address in an IPv6 one is not public: it is a second door to the first.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

const fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = matches!(
        ip.octets(),
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 31, 196, _]
            | [192, 52, 193, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [192, 175, 48, _]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [224..=255, ..]
    );
    !special
}

const fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // Protocol assignments (Teredo, benchmarking, ORCHID), documentation, 6to4.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] => false,
        // Direct delegation AS112 and the newer documentation block.
        [0x2620, 0x004f, 0x8000, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Global unicast; everything outside 2000::/3 (mapped, NAT64, SRv6, ULA, local) is not.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

/// Asks the machine's name service and hands out nothing that was not vetted.
pub(super) struct Resolver {
    policy: Policy,
}

impl Resolver {
    pub(super) const fn new(policy: Policy) -> Self {
        Self { policy }
    }
}

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            let name = name.as_str();
            let lookup = tokio::net::lookup_host((name, 0));
            let answers: Vec<IpAddr> = match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
                Ok(Ok(answers)) => answers.map(|address| address.ip()).collect(),
                Ok(Err(_)) | Err(_) => Vec::new(),
            };
            policy.vet(name, &answers).map_err(io::Error::other)?;
            let vetted = answers.into_iter().map(|ip| SocketAddr::new(ip, 0));
            let vetted: Addrs = Box::new(vetted);
            Ok(vetted)
        })
    }
}

/// The guard's own refusal, dug out of the client's error.
pub(super) fn refusal_in(error: &reqwest::Error) -> Option<UrlRefusal> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<UrlRefusal>() {
            return Some(*refusal);
        }
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(refusal) = inner.and_then(|inner| inner.downcast_ref::<UrlRefusal>()) {
            return Some(*refusal);
        }
        source = cause.source();
    }
    None
}
