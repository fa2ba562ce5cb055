//! A server killed in the middle of everything: after the restart the audit is empty, every
//! transfer that was acknowledged is there, and repeating all of them creates exactly the missing
//! ones.
//!
//! The server is a throw-away one of this test. It is this process's own child and is waited for:
//! an unreaped postmaster keeps its lock file "alive" and the next start refuses.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection, PgPool};
use testkit_db::TestDb;

use crate::book::{Book, transfer};

const WRITERS: usize = 8;
const ROUNDS: usize = 2;
/// The kill comes after this many acknowledgements, in the middle of the next ones.
const UNTIL_KILL: usize = 60;
const PATIENCE: Duration = Duration::from_secs(30);

/// A private PostgreSQL in a temporary folder; killed and removed when dropped.
struct Server {
    bin: PathBuf,
    home: PathBuf,
    port: u16,
    postmaster: Option<Child>,
}

impl Server {
    /// Makes the cluster with the binaries of the test server, as that server's user when this
    /// process is root (PostgreSQL refuses to run as root).
    async fn create(db: &TestDb) -> Self {
        let bin: String = sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'")
            .fetch_one(&db.owner)
            .await
            .unwrap();
        let home = std::env::temp_dir().join(db.name());
        fs::create_dir(&home).unwrap();
        let server = Self { bin: bin.into(), home, port: free_port(), postmaster: None };
        if let Some((uid, gid)) = unprivileged() {
            chown(&server.home, Some(uid), Some(gid)).unwrap();
        }
        let made = server
            .command("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"])
            .arg("--pgdata")
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        command.current_dir(&self.home).stdin(Stdio::null());
        command
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts the server and waits until it answers, recovery included.
    async fn start(&mut self) {
        let log = fs::File::create(self.home.join("log")).unwrap();
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        self.postmaster = Some(child);
        for _ in 0..600 {
            // A single attempt: a pool would go on trying with ever longer pauses.
            let url = self.url("postgres", "postgres");
            if let Ok(conn) = PgConnection::connect(&url).await {
                conn.close().await.unwrap();
                return;
            }
            let child = self.postmaster.as_mut().unwrap();
            if child.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no start: {}", fs::read_to_string(self.home.join("log")).unwrap_or_default());
    }

    /// SIGKILL for the postmaster and all its children (each is a process group of its own), then
    /// reaps the one and waits for the others to be gone.
    fn kill(&mut self) {
        let Some(mut postmaster) = self.postmaster.take() else {
            return;
        };
        let children = children_of(postmaster.id());
        postmaster.kill().unwrap();
        for pid in &children {
            let _gone = Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status();
        }
        postmaster.wait().unwrap();
        for _ in 0..200 {
            if children.iter().all(|pid| is_dead(pid)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _left = fs::remove_dir_all(&self.home);
    }
}

/// A port nobody has, below those the kernel hands out: it is bound much later, and bound again
/// after the kill, and no connection may be given it meanwhile.
fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = (0..100).map(|_| rand::random_range(20_000..32_000));
    ports.find(is_free).expect("no free port between 20000 and 32000")
}

/// Who to run as: nobody special when this process is not root.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> Option<u32> {
        let out = Command::new("id").args(args).output().ok()?;
        String::from_utf8(out.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}

fn children_of(parent: u32) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| parent_of(pid).is_some_and(|found| found == parent.to_string())).collect()
}

/// The fields after the closing bracket of the name: state, then the parent.
fn stat(pid: &str) -> Option<Vec<String>> {
    let text = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn parent_of(pid: &str) -> Option<String> {
    stat(pid)?.get(1).cloned()
}

/// Gone, or a zombie that only waits for its new parent to notice.
fn is_dead(pid: &str) -> bool {
    stat(pid).is_none_or(|fields| fields[0] == "Z")
}

fn nth(round: usize, writer: usize, n: usize) -> ledger::Transfer {
    let key = format!("crash:{round}:{writer}:{n}");
    let lines = format!("escrow:x:ETH > dep:{writer}:ETH 3\nescrow:y:ETH > dep:m:ETH {}", n + 1);
    transfer(
        &key,
        "deposit",
        if n.is_multiple_of(2) { &lines } else { lines.lines().next().unwrap() },
    )
}

/// Posts until the server is gone; returns how many were acknowledged.
async fn write_until_killed(
    pool: PgPool,
    total: Arc<AtomicUsize>,
    round: usize,
    writer: usize,
) -> usize {
    // One connection for good: the pool would wait for a new one until the server is back.
    let mut conn = pool.acquire().await.unwrap();
    for n in 0.. {
        let t = nth(round, writer, n);
        let Ok(mut tx) = conn.begin().await else {
            return n;
        };
        if n % 3 == 2 {
            let held = format!("{}:held", t.key);
            let hold = transfer(&held, "deposit", "escrow:x:ETH > dep:m:ETH 1");
            if ledger::hold(&mut tx, &hold).await.is_err() {
                return n;
            }
        }
        if ledger::post(&mut tx, &t).await.is_err() || tx.commit().await.is_err() {
            return n;
        }
        total.fetch_add(1, Ordering::Relaxed);
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_it_acknowledged() {
    let db = TestDb::create().await.unwrap();
    let mut server = Server::create(&db).await;
    server.start().await;
    let owner = ledger::connect_pool(&server.url("postgres", "postgres"), 2).await.unwrap();
    migrations::MIGRATOR.run(&owner).await.unwrap();
    owner.close().await;

    for round in 0..ROUNDS {
        let url = server.url("chukta_app", "postgres");
        let pool = ledger::connect_pool(&url, u32::try_from(WRITERS).unwrap()).await.unwrap();
        let total = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                tokio::spawn(write_until_killed(pool.clone(), Arc::clone(&total), round, writer))
            })
            .collect();
        let started = Instant::now();
        while total.load(Ordering::Relaxed) < UNTIL_KILL && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill();
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.push(writer.await.unwrap());
        }
        pool.close().await;
        server.start().await;

        let pool = ledger::connect_pool(&url, 2).await.unwrap();
        let book = Book(&pool);
        book.is_sound().await;
        let total = total.load(Ordering::Relaxed);
        assert!(total >= UNTIL_KILL, "only {total} transfers before the kill: nothing was shown");
        for (writer, count) in acknowledged.into_iter().enumerate() {
            for n in 0..count {
                let again = book.post(&nth(round, writer, n)).await.unwrap();
                assert!(!again.created, "round {round}: writer {writer} lost transfer {n}");
            }
            // The one in flight may be there or not; either way it is posted once.
            book.post(&nth(round, writer, count)).await.unwrap();
            assert!(!book.post(&nth(round, writer, count)).await.unwrap().created);
        }
        book.is_sound().await;
        pool.close().await;
    }
}
