//! A vendor that answers each call with the next scripted answer and remembers what it was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One scripted answer.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Status(&'static str, String),
    /// Status, headers as they stand in the answer (`name: value\r\n`…), body.
    Headed(&'static str, &'static str, String),
    /// Bytes as they are, then the connection closes.
    Raw(&'static [u8]),
    Hang,
    HangUp,
}

/// How long a scripted vendor is waited for: what hangs costs a test three seconds, and what
/// answers is not taken for silence on a busy machine.
pub(crate) fn http(response_bytes_max: usize) -> Value {
    json!({
        "connect_timeout_ms": 2_500, "read_timeout_ms": 3_000, "total_timeout_ms": 6_000,
        "response_bytes_max": response_bytes_max,
    })
}

pub(crate) fn ok(body: impl Into<String>) -> Say {
    Say::Status("200 OK", body.into())
}

/// What is said next.
enum Script {
    /// One answer after the other, whatever was asked.
    InOrder(VecDeque<Say>),
    /// The answers of each call (`GET /api/v3/time`); the last of them stands.
    ByCall(BTreeMap<String, VecDeque<Say>>),
}

impl Script {
    fn next(&mut self, request: &[u8]) -> Say {
        match self {
            Self::InOrder(answers) => answers.pop_front().unwrap_or(Say::HangUp),
            Self::ByCall(calls) => {
                let request = String::from_utf8_lossy(request);
                let call = request.split(['?', '\r']).next().unwrap_or_default();
                let call = call.trim_end_matches(" HTTP/1.1");
                let Some(answers) = calls.get_mut(call) else { return Say::HangUp };
                let next = answers.pop_front().unwrap_or(Say::HangUp);
                if answers.is_empty() {
                    answers.push_back(next.clone());
                }
                next
            }
        }
    }
}

pub(crate) struct Vendor {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Vendor {
    pub(crate) async fn start(script: Vec<Say>) -> Self {
        Self::serve(Script::InOrder(script.into())).await
    }

    pub(crate) async fn replay(calls: BTreeMap<String, VecDeque<Say>>) -> Self {
        Self::serve(Script::ByCall(calls)).await
    }

    async fn serve(script: Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    let _gone = answer(socket, &log, &script).await;
                });
            }
        });
        Self { address, asked }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, head and body.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    mut socket: TcpStream,
    log: &Mutex<Vec<String>>,
    script: &Mutex<Script>,
) -> std::io::Result<()> {
    let request = whole(&mut socket).await?;
    log.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    let next = script.lock().unwrap().next(&request);
    match next {
        Say::Status(status, body) => said(&mut socket, status, "", &body).await,
        Say::Headed(status, headers, body) => said(&mut socket, status, headers, &body).await,
        Say::Raw(bytes) => socket.write_all(bytes).await,
        Say::Hang => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
        Say::HangUp => Ok(()),
    }
}

/// A request with its body, in however many pieces it comes.
async fn whole(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if socket.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    Ok(request)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

async fn said(
    socket: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all((head + body).as_bytes()).await
}
