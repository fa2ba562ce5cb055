//! `PUT /v1/webhook_endpoint`: where a merchant wants to be told of events, and the secret that
//! signs them. Each call makes a new secret and shows it once.
//!
//! Only addresses on the public internet are taken. The name may still lead inside by the time it
//! is used: whoever sends checks again, after resolving it.

use std::net::IpAddr;

use axum::{Json, extract::State};
use base64::{Engine, prelude::BASE64_STANDARD};
use primitives::Secret;
use serde::{Deserialize, Serialize};
use settlement::notice;
use sqlx::Acquire;
use url::{Host, Url};
use utoipa::ToSchema;

use crate::{
    auth::{Guarded, WebhooksWrite},
    extract::JsonBody,
    problem::{Code, Problem},
    state::Api,
};

const URL_MAX: usize = 2048;
const PORTS: [u16; 2] = [443, 8443];
/// Names that never leave the machine or the house.
const INNER_NAMES: [&str; 6] = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test"];

/// Where to send events; `null` stops them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint)]
pub(crate) struct Request {
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, example = "https://shop.example/chukta", max_length = 2048)]
    url: Option<String>,
}

/// The endpoint as it is now.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookEndpoint {
    url: Option<String>,
    /// Signs every message, as Standard Webhooks describes. It is shown here and never again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw3ZtcYt0kHDk=")]
    secret: Option<String>,
}

#[utoipa::path(
    put, path = "/v1/webhook_endpoint", tag = "webhooks", operation_id = "set_webhook_endpoint",
    summary = "Set where events are sent",
    request_body = Request,
    responses((status = 200, description = "The endpoint and its new secret",
        body = WebhookEndpoint))
)]
pub(crate) async fn handler(
    State(api): State<Api>,
    caller: Guarded<WebhooksWrite>,
    JsonBody(request): JsonBody<Request>,
) -> Result<Json<WebhookEndpoint>, Problem> {
    let base = &api.given.base;
    let opened =
        Opened { loopback: base.settings.webhook_loopback, hosts: &base.settings.webhook_hosts };
    let url = request.url.as_deref().map(|url| checked(url, opened)).transpose()?;
    let secret = url.is_some().then(|| {
        let bytes: [u8; 32] = base.entropy.bytes();
        Secret::new(format!("whsec_{}", BASE64_STANDARD.encode(bytes)))
    });
    let mut conn = api.connection().await?;
    let mut tx = conn.begin().await?;
    let address = url.as_ref().map(Url::as_str);
    notice::set_endpoint_in(&mut tx, base, caller.merchant, address, secret.as_ref()).await?;
    tx.commit().await?;
    Ok(Json(WebhookEndpoint {
        url: url.map(String::from),
        secret: secret.map(|secret| secret.expose().to_owned()),
    }))
}

/// What the operator of a sandbox has opened: this machine, or hosts named one by one.
#[derive(Debug, Clone, Copy)]
struct Opened<'a> {
    loopback: bool,
    hosts: &'a [String],
}

fn checked(text: &str, opened: Opened<'_>) -> Result<Url, Problem> {
    const REFUSED: Problem = Problem::new(
        Code::UrlInvalid,
        "Send a public https address with a host name, on port 443 or 8443.",
    )
    .field("url");
    // The parser forgives spaces and control characters by dropping them; we do not.
    let plain = text.len() <= URL_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    let url = plain.then(|| Url::parse(text).ok()).flatten().ok_or(REFUSED)?;
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let host = url.host().ok_or(REFUSED)?;
    let fits = url.as_str().len() <= URL_MAX
        && bare
        && (is_public(&url, &host) || is_of_the_house(&url, &host, opened));
    if fits { Ok(url) } else { Err(REFUSED) }
}

fn is_public(url: &Url, host: &Host<&str>) -> bool {
    let Host::Domain(name) = host else {
        return false;
    };
    let name = name.trim_end_matches('.');
    url.scheme() == "https"
        && url.port_or_known_default().is_some_and(|port| PORTS.contains(&port))
        && name.contains('.')
        && !INNER_NAMES.iter().any(|inner| name.ends_with(inner))
}

fn is_of_the_house(url: &Url, host: &Host<&str>, opened: Opened<'_>) -> bool {
    let loopback = match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => IpAddr::V4(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).is_loopback(),
    };
    let trusted = url
        .host_str()
        .is_some_and(|name| opened.hosts.iter().any(|host| host.eq_ignore_ascii_case(name)));
    (trusted || (loopback && opened.loopback)) && matches!(url.scheme(), "http" | "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let strict = Opened { loopback: false, hosts: &[] };
        for good in ["https://shop.example/chukta", "https://a.b.co:8443/x?y=z"] {
            assert!(checked(good, strict).is_ok(), "{good}");
        }
        let bad = [
            "",
            "shop.example",
            "http://shop.example/",
            "ftp://shop.example/",
            "https://shop.example:22/",
            "https://user@shop.example/",
            "https://user:pass@shop.example/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://169.254.169.254/latest",
            "https://localhost/",
            "https://localhost./",
            "https://a.localhost/",
            "https://db.internal/",
            "https://intranet/",
            "https://shop.example/#x",
            "https://shop.example/\u{202e}",
            "https://shop.example/a b",
            "https://sh\0p.example/",
            "javascript:alert(1)",
            "file:///etc/passwd",
        ];
        for bad in bad {
            assert!(checked(bad, strict).is_err(), "{bad}");
        }
        let long = format!("https://shop.example/{}", "a".repeat(URL_MAX));
        assert!(checked(&long, strict).is_err());
    }

    #[test]
    fn the_sandbox_may_name_this_machine_and_no_other() {
        let hosts = ["simulators".to_owned()];
        let sandbox = Opened { loopback: true, hosts: &hosts };
        for good in [
            "http://127.0.0.1:4000/hook",
            "http://localhost:4000/",
            "http://[::1]:80/",
            "http://simulators:9000/x",
        ] {
            assert!(checked(good, sandbox).is_ok(), "{good}");
        }
        for bad in ["http://10.0.0.1/", "http://169.254.169.254/", "http://shop.example/"] {
            assert!(checked(bad, sandbox).is_err(), "{bad}");
        }
    }
}
