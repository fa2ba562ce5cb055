//! A node that lies: a real one behind somebody who rewrites its answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[derive(Deserialize)]
struct Question {
    method: String,
}

#[derive(Deserialize, Serialize)]
struct Answer {
    result: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
    id: Box<RawValue>,
}

/// What the node answered to a method becomes what is answered; an error is that of a node: its
/// code and words.
type Rewrite = dyn Fn(&str, &str) -> Result<String, (i32, String)> + Send + Sync;

/// The address of a node that answers like the one at `url`, rewritten.
pub(crate) async fn liar(
    url: &str,
    rewrite: impl Fn(&str, &str) -> Result<String, (i32, String)> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shown = format!("http://{}", listener.local_addr().unwrap());
    let (url, rewrite): (Arc<str>, Arc<Rewrite>) = (Arc::from(url), Arc::new(rewrite));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, http.clone(), Arc::clone(&url), Arc::clone(&rewrite)));
        }
    });
    shown
}

/// The same with other words for one method.
pub(crate) async fn liar_about(
    url: &str,
    method: &'static str,
    answer: impl Into<String>,
) -> String {
    let answer = answer.into();
    liar(url, move |asked, real| Ok(if asked == method { answer.clone() } else { real.to_owned() }))
        .await
}

async fn serve(mut socket: TcpStream, http: reqwest::Client, url: Arc<str>, rewrite: Arc<Rewrite>) {
    let Some(body) = read(&mut socket).await else { return };
    let asked = http.post(&*url).header("content-type", "application/json").body(body.clone());
    let real = asked.send().await.unwrap().text().await.unwrap();
    let reply = if body.starts_with('[') {
        let questions: Vec<Question> = serde_json::from_str(&body).unwrap();
        let answers: Vec<Answer> = serde_json::from_str(&real).unwrap();
        let both = questions.iter().zip(answers);
        let all: Vec<Answer> = both.map(|(q, a)| rewritten(q, a, &*rewrite)).collect();
        serde_json::to_string(&all).unwrap()
    } else {
        let question: Question = serde_json::from_str(&body).unwrap();
        let answer: Answer = serde_json::from_str(&real).unwrap();
        serde_json::to_string(&rewritten(&question, answer, &*rewrite)).unwrap()
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
    let reply = format!("{head}: {}\r\n\r\n{reply}", reply.len());
    let _ = socket.write_all(reply.as_bytes()).await;
}

fn rewritten(question: &Question, answer: Answer, rewrite: &Rewrite) -> Answer {
    if answer.error.is_some() {
        return answer;
    }
    let raw = |text: String| Some(RawValue::from_string(text).unwrap());
    let real = answer.result.as_ref().map_or("null", |raw| raw.get());
    match rewrite(&question.method, real) {
        Ok(result) => Answer { result: raw(result), ..answer },
        Err((code, words)) => {
            let error = serde_json::json!({ "code": code, "message": words });
            Answer { result: None, error: raw(error.to_string()), id: answer.id }
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0_u8; 65_536];
        let length = socket.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        request.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let size = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() >= size.trim().parse::<usize>().ok()? {
            return Some(body.to_owned());
        }
    }
}
