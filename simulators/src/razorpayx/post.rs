//! One HTTP POST over a plain socket, and the status that came back.
//!
//! Invariant: redirects are not followed and bodies not read: a webhook sender only wants to know
//! whether it was a 2xx. No TLS and no pool on purpose, so that simulators need no process-wide
//! crypto provider.

use axum::http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A status line fits in here many times over.
const READ_MAX: usize = 4 * 1024;

/// Where a URL leads, when it is one this module can call.
pub(super) fn check(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
        return Err("only http targets with a host are supported".to_owned());
    }
    Ok(uri)
}

/// Posts JSON. The caller bounds the time.
pub(super) async fn post(url: &str, headers: &[(&str, String)], body: &str) -> Result<u16, String> {
    let uri = check(url)?;
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(80);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n\
         User-Agent: Razorpay-Webhook/v1\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len(),
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let mut stream =
        TcpStream::connect((address, port)).await.map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::with_capacity(512);
    while !answer.contains(&b'\n') && answer.len() < READ_MAX {
        let read = stream.read_buf(&mut answer).await.map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line)
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok())
        .ok_or_else(|| "not an HTTP answer".to_owned())
}
