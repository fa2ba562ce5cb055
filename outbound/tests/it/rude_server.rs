//! A TCP server that answers with exactly the bytes it was given, or not at all.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What the server does once it has read the request.
#[derive(Debug, Clone)]
pub(crate) enum Manners {
    /// Writes these bytes and closes.
    Say(Vec<u8>),
    /// Keeps the connection open and says nothing.
    Hang,
    /// Closes without a word.
    HangUp,
    /// Writes the head, then a byte now and then.
    Drip,
    /// Writes an endless body.
    Flood,
}

/// Serves every connection in the same manner until the runtime ends.
pub(crate) async fn serve(manners: Manners) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let manners = manners.clone();
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _read = socket.read(&mut request).await;
                let _done = behave(&mut socket, manners).await;
            });
        }
    });
    address
}

async fn behave(socket: &mut tokio::net::TcpStream, manners: Manners) -> std::io::Result<()> {
    match manners {
        Manners::Say(bytes) => socket.write_all(&bytes).await,
        Manners::Hang => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        }
        Manners::HangUp => Ok(()),
        Manners::Drip => {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
            loop {
                socket.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Manners::Flood => {
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                socket.write_all(&[b'x'; 4_096]).await?;
            }
        }
    }
}

/// A complete answer with a status line, headers and a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Manners {
    let length = body.len();
    Manners::Say(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
            .into_bytes(),
    )
}

/// A port nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap()
}
