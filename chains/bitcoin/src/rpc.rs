//! The wire: bitcoincore-rpc's client over HTTP that is bounded in bytes and in time.
//!
//! Invariants: no answer larger than the limit is ever held; one clock covers connecting, headers
//! and body; no redirect and no proxy of the environment is followed; an error carries neither the
//! node's address nor the login in it. The crate's own transport gives no bound on size, knows no
//! TLS and one time limit for all calls: that is why it is replaced here.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bitcoincore_rpc::{
    Client,
    jsonrpc::{self, Request, Response, client::Transport},
};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use url::Url;

/// How long and how large an answer may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub timeout: Duration,
    pub max_bytes: usize,
}

/// A client that must be called from a thread that may block, inside a tokio runtime.
///
/// # Errors
/// A sentence when the address is none a node could have.
pub fn client(url: &Url, limits: Limits, calls: Arc<AtomicU64>) -> Result<Client, &'static str> {
    let transport = BoundedHttp::try_new(url, limits, calls)?;
    Ok(Client::from_jsonrpc(jsonrpc::client::Client::with_transport(transport)))
}

struct BoundedHttp {
    http: reqwest::Client,
    url: Url,
    login: Option<(String, String)>,
    max_bytes: usize,
    calls: Arc<AtomicU64>,
}

const NO_CONNECTION: &str = "no connection";
const NO_LOGIN: &str = "the node refuses the login";
const NO_ROOM: &str = "the node's queue of calls is full";

/// Why an exchange failed, in words that name no address.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) &'static str);

impl Lost {
    /// True where the call was certainly not carried out.
    pub(crate) fn is_unheard(&self) -> bool {
        matches!(self.0, NO_CONNECTION | NO_LOGIN | NO_ROOM)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Lost {}

impl BoundedHttp {
    fn try_new(url: &Url, limits: Limits, calls: Arc<AtomicU64>) -> Result<Self, &'static str> {
        // Building a TLS client panics where no provider is installed; somebody's own stays.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .timeout(limits.timeout)
            // Shorter than the whole: otherwise nobody can tell a question that was not heard.
            .connect_timeout(limits.timeout / 2)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|_| "no HTTP client")?;
        let mut bare = url.clone();
        let decoded = |text: &str| {
            let bytes = percent_encoding::percent_decode_str(text);
            bytes.decode_utf8().map(|text| text.into_owned()).map_err(|_| "a login in no text")
        };
        let login = match url.username() {
            "" => None,
            user => Some((decoded(user)?, decoded(url.password().unwrap_or(""))?)),
        };
        bare.set_username("")
            .and_then(|()| bare.set_password(None))
            .map_err(|()| "a URL that can have no login")?;
        Ok(Self { http, url: bare, login, max_bytes: limits.max_bytes, calls })
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<Vec<u8>, Lost> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let lost = |error: reqwest::Error| {
            Lost(if error.is_connect() {
                NO_CONNECTION
            } else if error.is_timeout() {
                "no answer in time"
            } else {
                "the connection broke"
            })
        };
        let mut request =
            self.http.post(self.url.clone()).header("content-type", "application/json").body(body);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        let mut response = request.send().await.map_err(lost)?;
        match response.status().as_u16() {
            401 | 403 => return Err(Lost(NO_LOGIN)),
            503 => return Err(Lost(NO_ROOM)),
            _ => {}
        }
        let mut answer: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if answer.len().saturating_add(chunk.len()) > self.max_bytes {
                return Err(Lost("answer too large"));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn converse<T: DeserializeOwned>(&self, body: Vec<u8>) -> Result<T, jsonrpc::Error> {
        let lost = |lost: Lost| jsonrpc::Error::Transport(Box::new(lost));
        let runtime = Handle::try_current().map_err(|_| lost(Lost("no runtime to call from")))?;
        let answer = runtime.block_on(self.exchange(body)).map_err(lost)?;
        serde_json::from_slice(&answer).map_err(|_| lost(Lost("not a JSON-RPC answer")))
    }
}

impl Transport for BoundedHttp {
    fn send_request(&self, request: Request<'_>) -> Result<Response, jsonrpc::Error> {
        self.converse(serde_json::to_vec(&request)?)
    }

    fn send_batch(&self, requests: &[Request<'_>]) -> Result<Vec<Response>, jsonrpc::Error> {
        self.converse(serde_json::to_vec(requests)?)
    }

    fn fmt_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chains::settings::host_of(&self.url))
    }
}
