//! Servers between an adapter and its node: one that counts and bends answers, one that answers
//! whatever it was told to, and a port that refuses everybody.
//!
//! For the tests of adapters only: what cannot be here ends the test.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "only tests use it")]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

/// Given the method and the node's answer, the answer to pass on; `None` hangs up.
pub type Bend = dyn Fn(&str, Value) -> Option<Value> + Send + Sync;

pub struct Proxy {
    pub url: String,
    calls: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub async fn start(
        upstream: &str,
        bend: impl Fn(&str, Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (seen, bend): (_, Arc<Bend>) = (Arc::clone(&calls), Arc::new(bend));
        let (url, task) = serve(move |mut socket| {
            let (upstream, seen, bend) = (upstream.clone(), Arc::clone(&seen), Arc::clone(&bend));
            async move {
                let request = read_body(&mut socket).await?;
                let call: Value = serde_json::from_slice(&request).ok()?;
                let method = call["method"].as_str()?.to_owned();
                seen.lock().unwrap().push(method.clone());
                let answer = forward(&upstream, &request).await?;
                let answer = bend(&method, answer)?;
                answer_with(&mut socket, "200 OK", answer.to_string().as_bytes()).await
            }
        })
        .await;
        Self { url, calls, task }
    }

    /// The calls since the last time this was asked, sorted.
    pub fn take_calls(&self) -> Vec<String> {
        let mut calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.sort();
        calls
    }
}

/// An answer with the same id and another result.
pub fn with_result(mut answer: Value, result: Value) -> Value {
    answer["result"] = result;
    answer
}

/// An answer with the same id and an error.
pub fn with_error(answer: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": answer["id"], "error": {"code": code, "message": message}})
}

/// What nodes say of a method they do not have.
pub fn no_method(answer: &Value) -> Value {
    with_error(answer, -32601, "no")
}

/// An address that refuses every connection for as long as the socket is kept: nobody else can take
/// the port meanwhile.
pub fn refusing() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}

/// Serves each connection with `handle` on loopback.
pub async fn serve<F, Fut>(handle: F) -> (String, JoinHandle<()>)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(handle(socket));
        }
    });
    (url, task)
}

pub async fn answer_with(socket: &mut TcpStream, status: &str, body: &[u8]) -> Option<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.ok()?;
    socket.write_all(body).await.ok()?;
    socket.shutdown().await.ok()
}

/// The body of one HTTP message with a `content-length`.
pub async fn read_body(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let count = socket.read(&mut buffer).await.ok()?;
        read.extend_from_slice(&buffer[..count]);
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1)?.lines().next()?;
            let wanted = end + 4 + length.trim().parse::<usize>().ok()?;
            if read.len() >= wanted {
                return Some(read[end + 4..wanted].to_vec());
            }
        }
        if count == 0 {
            return None;
        }
    }
}

async fn forward(upstream: &str, request: &[u8]) -> Option<Value> {
    let mut socket = TcpStream::connect(upstream).await.ok()?;
    let length = request.len();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {upstream}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.ok()?;
    socket.write_all(request).await.ok()?;
    serde_json::from_slice(&read_body(&mut socket).await?).ok()
}
