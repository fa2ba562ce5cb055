//! The socket: honest clients are served whatever the others send.

use std::{path::PathBuf, sync::Arc, time::Duration};

use signer::{LocalSigner, Server};
use signing::{Answer, Outcome, SignError, Signer as _, SocketSigner};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::oneshot,
    task::JoinHandle,
};

use crate::world::{Move, World};

const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
    service: Arc<LocalSigner>,
}

fn serve(world: &World) -> Running {
    let path = world.run_folder().join("signer.sock");
    let server = Server::bind(&path, None).unwrap();
    let service = Arc::new(world.start());
    let (stop, stopped) = oneshot::channel();
    let served = Arc::clone(&service);
    let task = tokio::spawn(async move {
        let stop = async move {
            stopped.await.ok();
        };
        server.serve(served, stop).await
    });
    Running { path, stop, task, service }
}

impl Running {
    fn client(&self) -> SocketSigner {
        SocketSigner::connect(&self.path, PATIENCE)
    }

    /// Sends bytes, ends, and reads what comes.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        // It may be closed on us before all is sent.
        stream.write_all(bytes).await.ok();
        stream.shutdown().await.ok();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        answer
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        assert!(!self.path.exists());
    }
}

fn refusal(line: &str) -> (Option<uuid::Uuid>, String) {
    let answer: Answer = serde_json::from_str(line.trim_end()).unwrap();
    match answer.outcome {
        Outcome::Refused { code, .. } => (answer.id, code),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_client_gets_what_the_service_says() {
    let world = World::new();
    let running = serve(&world);
    let wish = Move::new(1, 500_000, 1_000);
    let signed = running.client().sign(&wish.intent(1)).await.unwrap();
    assert_eq!(running.service.sign(&wish.intent(1)).await, Ok(signed));
    let large = Move::new(2, 1_200_000, 1_000).intent(2);
    let answer = running.client().sign(&large).await;
    assert!(matches!(answer, Err(SignError::Refused { code, .. }) if code == "over_limit"));
    running.end().await;
}

#[tokio::test]
async fn garbage_is_malformed_and_the_next_one_is_served() {
    let world = World::new();
    let running = serve(&world);
    for garbage in [&b"\n"[..], b"hello\n", b"{}\n", b"[1,2]\n", b"\xff\xfe\n", b"null\n"] {
        assert_eq!(refusal(&running.say(garbage).await), (None, "malformed".to_owned()));
    }
    assert_eq!(running.say(b"").await, "");
    assert_eq!(running.say(b"half a line").await, "");
    // Deeper than any intent.
    let deep = format!("{}\n", "[".repeat(100_000));
    assert_eq!(refusal(&running.say(deep.as_bytes()).await).1, "malformed");
    let unknown = {
        let mut intent = serde_json::to_value(Move::new(1, 1_000, 300).intent(1)).unwrap();
        intent["approve"] = true.into();
        format!("{intent}\n")
    };
    assert_eq!(refusal(&running.say(unknown.as_bytes()).await).1, "malformed");
    running.client().sign(&Move::new(1, 500_000, 1_000).intent(1)).await.unwrap();
    running.end().await;
}

#[tokio::test]
async fn a_line_of_ten_megabytes_is_not_read() {
    let world = World::new();
    let running = serve(&world);
    let long = vec![b' '; 10 * 1024 * 1024];
    let answer = running.say(&long).await;
    // The refusal, unless the connection was reset under it.
    assert!(answer.is_empty() || refusal(&answer).1 == "malformed", "{answer}");
    running.client().sign(&Move::new(1, 500_000, 1_000).intent(1)).await.unwrap();
    running.end().await;
}

#[tokio::test]
async fn one_connection_may_ask_more_than_once() {
    let world = World::new();
    let running = serve(&world);
    let mut text = Vec::new();
    for number in [1_u8, 2] {
        let intent = Move::new(number, 300_000, 1_000).intent(u128::from(number));
        text.extend_from_slice(&serde_json::to_vec(&intent).unwrap());
        text.push(b'\n');
    }
    let answers = running.say(&text).await;
    let signed = |line: &&str| line.contains("\"signed\"");
    assert_eq!(answers.lines().filter(signed).count(), 2);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forty_clients_at_once_are_all_answered() {
    let world = World::new();
    let running = serve(&world);
    let ask = |number: u8| {
        let client = running.client();
        let wish = Move::new(number, 10_000, 1_000);
        tokio::spawn(async move { client.sign(&wish.intent(u128::from(number))).await })
    };
    let asked: Vec<_> = (1..=40).map(ask).collect();
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    running.end().await;
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_unavailable() {
    let world = World::new();
    let folder = world.run_folder();
    let intent = Move::new(1, 500_000, 1_000).intent(1);
    let nobody = SocketSigner::connect(folder.join("none.sock"), PATIENCE);
    assert!(matches!(nobody.sign(&intent).await, Err(SignError::Unavailable(_))));
    let path = folder.join("silent.sock");
    let _silent = tokio::net::UnixListener::bind(&path).unwrap();
    let silent = SocketSigner::connect(&path, Duration::from_millis(50));
    assert!(matches!(silent.sign(&intent).await, Err(SignError::Unavailable(_))));
}

// Whatever a broken signer sends, nobody takes it for a decision.
#[tokio::test]
async fn a_broken_answer_is_unavailable_and_never_refused() {
    let world = World::new();
    let path = world.run_folder().join("broken.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let intent = Move::new(1, 500_000, 1_000).intent(1);
    let refused = r#"{"id":null,"outcome":{"refused":{"code":"malformed","reason":""}}}"#;
    let half = format!(r#"{{"id":"{}","outcome":{{"refused":{{"code":"ov"#, intent.id);
    let long = "x".repeat(2 * 1024 * 1024);
    for answer in ["", "\n", "no\n", &format!("{refused}\n"), &half, &long] {
        let client = SocketSigner::connect(&path, PATIENCE);
        let asked = client.sign(&intent);
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = [0; 16];
            stream.read_exact(&mut first).await.unwrap();
            stream.write_all(answer.as_bytes()).await.ok();
        };
        let (asked, ()) = tokio::join!(asked, answering);
        assert!(matches!(asked, Err(SignError::Unavailable(_))), "{asked:?}");
    }
}
