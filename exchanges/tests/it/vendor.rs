//! A vendor that answers each call with the next scripted answer and remembers what it was asked.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One scripted answer.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Status(&'static str, String),
    /// Bytes as they are, then the connection closes.
    Raw(&'static [u8]),
    Hang,
    HangUp,
}

pub(crate) fn ok(body: impl Into<String>) -> Say {
    Say::Status("200 OK", body.into())
}

pub(crate) struct Vendor {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Vendor {
    pub(crate) async fn start(script: Vec<Say>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script)));
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
    script: &Mutex<VecDeque<Say>>,
) -> std::io::Result<()> {
    let mut request = vec![0; 16_384];
    let read = socket.read(&mut request).await?;
    log.lock().unwrap().push(String::from_utf8_lossy(&request[..read]).into_owned());
    let next = script.lock().unwrap().pop_front().unwrap_or(Say::HangUp);
    match next {
        Say::Status(status, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            socket.write_all((head + &body).as_bytes()).await
        }
        Say::Raw(bytes) => socket.write_all(bytes).await,
        Say::Hang => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
        Say::HangUp => Ok(()),
    }
}
