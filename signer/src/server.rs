//! The socket: a bounded number of connections, a line each way, nobody but those the settings
//! name.
//!
//! Invariants: a peer with another user id is closed before a byte is read; a line has a bound and
//! a deadline; whoever hangs up does not stop a decision that has begun.

use std::{
    io,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use signing::{Answer, MAX_LINE, Outcome};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::Semaphore,
    task::JoinSet,
    time,
};

use crate::{config::Clients, local::LocalSigner};

const CONNECTIONS: usize = 32;
/// For a line to come, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the allow-list.
const LIST_EVERY: Duration = Duration::from_secs(5);

/// A bound socket, not served yet.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    allowed: Vec<u32>,
}

impl Server {
    /// Makes the socket, for this user and for `clients` if there are any.
    ///
    /// # Errors
    /// When the folder is open to others, or somebody serves there already.
    pub fn bind(path: &Path, clients: Option<Clients>) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.ok_or_else(|| io::Error::other("the socket needs a folder"))?;
        prepare_folder(folder, clients)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        let mode = if clients.is_some() { 0o660 } else { 0o600 };
        if let Some(clients) = clients {
            std::os::unix::fs::chown(path, None, Some(clients.gid))?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        // We just made it, so its owner is who we are.
        let own = std::fs::metadata(path)?.uid();
        let allowed = [own].into_iter().chain(clients.map(|clients| clients.uid)).collect();
        Ok(Self { listener, path: path.to_owned(), allowed })
    }

    /// Answers until `stop` is done or the log cannot be written, then lets what has begun end.
    ///
    /// # Errors
    /// When the log cannot be written: only a new start tells what is on the disk.
    pub async fn serve(
        self,
        service: Arc<LocalSigner>,
        stop: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut running = JoinSet::new();
        let mut list = time::interval(LIST_EVERY);
        tokio::pin!(stop);
        while !service.is_broken() {
            while running.try_join_next().is_some() {}
            let place = Arc::clone(&places).acquire_owned();
            tokio::select! {
                () = &mut stop => break,
                _ = list.tick() => service.look_at_list().await,
                accepted = accept(&self.listener, place) => {
                    let (stream, place) = accepted?;
                    if !self.is_allowed(&stream) {
                        tracing::warn!("refused a peer with another user id");
                        continue;
                    }
                    let service = Arc::clone(&service);
                    running.spawn(async move {
                        // How a conversation ends is its peer's business.
                        converse(stream, &service).await.ok();
                        drop(place);
                    });
                }
            }
        }
        drop(self.listener);
        std::fs::remove_file(&self.path).ok();
        while running.join_next().await.is_some() {}
        if service.is_broken() {
            return Err(io::Error::other("the log cannot be written"));
        }
        Ok(())
    }

    fn is_allowed(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|peer| self.allowed.contains(&peer.uid()))
    }
}

/// First a place, then a connection: whoever finds no place waits in the socket's own queue.
async fn accept<P, E: std::error::Error + Send + Sync + 'static>(
    listener: &UnixListener,
    place: impl Future<Output = Result<P, E>>,
) -> io::Result<(UnixStream, P)> {
    let place = place.await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Lines until the peer ends, is silent for long, or sends one that is too long.
async fn converse(stream: UnixStream, service: &LocalSigner) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let bound = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reading).take(bound);
        time::timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
        let Some(line) = line.strip_suffix(b"\n") else {
            if line.len() >= MAX_LINE {
                say(&mut writing, &too_long()).await?;
            }
            return Ok(());
        };
        let answer = service.answer(line).await;
        say(&mut writing, &answer).await?;
        if service.is_broken() {
            return Ok(());
        }
    }
}

async fn say(writing: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    time::timeout(PATIENCE, writing.write_all(&line)).await?
}

fn too_long() -> Answer {
    let reason = format!("a line has at most {MAX_LINE} bytes");
    Answer { id: None, outcome: Outcome::Refused { code: "malformed".to_owned(), reason } }
}

fn prepare_folder(folder: &Path, clients: Option<Clients>) -> io::Result<()> {
    let mode = if clients.is_some() { 0o710 } else { 0o700 };
    if !folder.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(folder)?;
        if let Some(clients) = clients {
            std::os::unix::fs::chown(folder, None, Some(clients.gid))?;
        }
    }
    let found = std::fs::metadata(folder)?.permissions().mode() & 0o777;
    if found & !mode != 0 {
        let folder = folder.display();
        return Err(io::Error::other(format!("{folder} is open to others: chmod {mode:o}")));
    }
    Ok(())
}

/// A socket that nobody serves is what a crash left behind.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::other(format!("{} is no socket", path.display())))
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            Err(io::Error::other(format!("{} is served by another process", path.display())))
        }
        Ok(_) => std::fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger() -> Clients {
        Clients { uid: u32::MAX - 1, gid: 0 }
    }

    #[tokio::test]
    async fn only_named_users_are_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/signer.sock");
        let mut server = Server::bind(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let _peer = UnixStream::connect(&path).await.unwrap();
        let (ours, _) = server.listener.accept().await.unwrap();
        assert!(server.is_allowed(&ours));
        server.allowed = vec![stranger().uid];
        assert!(!server.is_allowed(&ours));
    }

    // The fleet under another user: the group may come in, nobody else.
    #[tokio::test]
    async fn clients_come_in_by_their_group() {
        let folder = tempfile::tempdir().unwrap();
        let gid = std::fs::metadata(folder.path()).unwrap().gid();
        let path = folder.path().join("run/signer.sock");
        let clients = Clients { uid: stranger().uid, gid };
        let server = Server::bind(&path, Some(clients)).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder.path().join("run"))), (0o660, 0o710));
        assert!(server.allowed.contains(&stranger().uid) && server.allowed.len() == 2);
    }

    #[tokio::test]
    async fn a_folder_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = Server::bind(&open.join("signer.sock"), None).unwrap_err();
        assert!(error.to_string().contains("open to others"), "{error}");
    }

    // A socket a crash left is taken; a live one, or a file somebody wants to keep, is not.
    #[tokio::test]
    async fn only_a_dead_socket_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/signer.sock");
        let live = Server::bind(&path, None).unwrap();
        assert!(Server::bind(&path, None).unwrap_err().to_string().contains("another process"));
        drop(live);
        assert!(path.exists());
        drop(Server::bind(&path, None).unwrap());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        assert!(Server::bind(&path, None).unwrap_err().to_string().contains("no socket"));
    }
}
