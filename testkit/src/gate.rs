//! A door in front of PostgreSQL that counts commits, and can let a process die at one of them.
//!
//! Invariant: a struck gate lets nothing more through in either direction, and takes nobody new:
//! what the process behind it still believes does not matter any more, as with `kill -9`.
//! *Before* means the commit never reached the database; *after*, that it did and its answer was
//! lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The message sqlx ends a transaction with.
const COMMIT: &[u8] = b"COMMIT\0";

/// On which side of a commit the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// A running gate. Dropping it closes it.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    commits: AtomicUsize,
    armed: Mutex<Option<(usize, When)>>,
    struck: watch::Sender<bool>,
}

impl Gate {
    /// # Errors
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            commits: AtomicUsize::new(0),
            armed: Mutex::default(),
            struck: watch::Sender::new(false),
        });
        tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared })
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process dies at its n-th commit from now (1 is the next).
    pub fn arm(&self, nth: usize, when: When) {
        let at = self.commits().saturating_add(nth);
        *self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, when));
    }

    /// How many transactions were committed through this gate.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.shared.commits.load(Ordering::SeqCst)
    }

    /// Cuts every connection now, as a network that is gone.
    pub fn strike(&self) {
        self.shared.struck.send_replace(true);
    }

    /// Lets new connections through again.
    pub fn heal(&self) {
        self.shared.struck.send_replace(false);
    }

    #[must_use]
    pub fn is_struck(&self) -> bool {
        *self.shared.struck.borrow()
    }

    /// Waits until the process is dead.
    pub async fn struck(&self) {
        let mut struck = self.shared.struck.subscribe();
        // The sender lives as long as the gate.
        let _gone = struck.wait_for(|struck| *struck).await;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.strike();
    }
}

impl Shared {
    /// Counts the commit in this piece, if there is one; tells on which side of it to die.
    fn verdict(&self, piece: &[u8]) -> Option<When> {
        if !piece.windows(COMMIT.len()).any(|window| window == COMMIT) {
            return None;
        }
        let number = self.commits.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let armed = *self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        armed.filter(|(at, _)| *at == number).map(|(_, when)| when)
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if *shared.struck.borrow() {
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut struck = shared.struck.subscribe();
            tokio::select! {
                _ = struck.wait_for(|struck| *struck) => {}
                _ = carry(client, &shared) => {}
            }
        });
    }
}

async fn carry(client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let server = TcpStream::connect(shared.target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let last_words = AtomicBool::new(false);
    let there = async {
        let mut piece = vec![0; 64 * 1024];
        loop {
            let length = from_client.read(&mut piece).await?;
            let Some(said) = piece.get(..length).filter(|said| !said.is_empty()) else {
                return to_server.shutdown().await;
            };
            match shared.verdict(said) {
                Some(When::Before) => {
                    shared.struck.send_replace(true);
                    return Ok(());
                }
                Some(When::After) => last_words.store(true, Ordering::SeqCst),
                None => {}
            }
            to_server.write_all(said).await?;
        }
    };
    let back = async {
        let mut piece = vec![0; 64 * 1024];
        loop {
            let length = from_server.read(&mut piece).await?;
            let Some(said) = piece.get(..length).filter(|said| !said.is_empty()) else {
                return to_client.shutdown().await;
            };
            if last_words.load(Ordering::SeqCst) {
                shared.struck.send_replace(true);
                return Ok(());
            }
            to_client.write_all(said).await?;
        }
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}
