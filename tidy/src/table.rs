//! Who may import whom: the dependency table of the house, as data. A crate without a row is a
//! violation, so a new room begins here.

/// One crate and the crates of ours its product code may name.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub name: &'static str,
    pub may_import: &'static [&'static str],
}

const fn room(name: &'static str, may_import: &'static [&'static str]) -> Room {
    Room { name, may_import }
}

/// The safety argument in one list: connectors never see the database, the API never calls the
/// outside, the ledger never hears the word payment.
pub const ROOMS: &[Room] = &[
    room("primitives", &[]),
    room("migrations", &[]),
    room("ledger", &["primitives"]),
    room("identity", &["primitives"]),
    room("queue", &["primitives"]),
    room("settlement", &["primitives", "ledger", "queue"]),
    room("outbound", &["primitives"]),
    room("chains", &["primitives"]),
    room("chains-bitcoin", &["primitives", "chains"]),
    room("chains-bitcoin-sandbox", &["primitives", "chains", "chains-bitcoin"]),
    room("chains-conformance", &["primitives", "chains"]),
    room("chains-evm", &["primitives", "chains"]),
    room("chains-evm-sandbox", &["primitives", "chains", "chains-evm"]),
    room("chains-solana", &["primitives", "chains"]),
    room("chains-solana-sandbox", &["primitives", "chains", "chains-solana"]),
    room("exchanges", &["primitives", "outbound"]),
    room("payouts", &["primitives", "outbound"]),
    room(
        "workers",
        &[
            "primitives",
            "ledger",
            "identity",
            "queue",
            "settlement",
            "outbound",
            "chains",
            "exchanges",
            "payouts",
            "signing",
        ],
    ),
    room("api", &["primitives", "identity", "settlement", "queue"]),
    room("web", &["primitives", "identity", "settlement", "queue"]),
    room("simulators", &["primitives"]),
    room("signing", &["primitives", "chains"]),
    room("signer", &["primitives", "chains", "signing"]),
    room("chukta", EVERYTHING),
    room("sandbox", THE_SANDBOX),
    room("testkit-db", &["migrations", "ledger", "queue"]),
    room("testkit", EVERYTHING_AND_DATABASES),
    room("tidy", &[]),
];

const EVERYTHING: &[&str] = &[
    "primitives",
    "migrations",
    "ledger",
    "identity",
    "queue",
    "settlement",
    "outbound",
    "chains",
    "chains-bitcoin",
    "chains-evm",
    "chains-solana",
    "exchanges",
    "payouts",
    "workers",
    "api",
    "web",
    "simulators",
    "signing",
];

/// What pays on local nodes, and the parts of the product it shows.
const THE_SANDBOX: &[&str] = &[
    "primitives",
    "ledger",
    "queue",
    "settlement",
    "outbound",
    "chains",
    "chains-bitcoin-sandbox",
    "chains-evm",
    "chains-evm-sandbox",
    "chains-solana-sandbox",
    "workers",
    "chukta",
];

const EVERYTHING_AND_DATABASES: &[&str] = &[
    "primitives",
    "migrations",
    "ledger",
    "identity",
    "queue",
    "settlement",
    "outbound",
    "chains",
    "chains-bitcoin",
    "chains-bitcoin-sandbox",
    "chains-evm",
    "chains-evm-sandbox",
    "chains-solana",
    "chains-solana-sandbox",
    "exchanges",
    "payouts",
    "workers",
    "api",
    "web",
    "simulators",
    "testkit-db",
    "signing",
    "signer",
];

/// What any room's tests may import beside the room's own row.
pub const FOR_TESTS: &[&str] = &[
    "testkit",
    "testkit-db",
    "simulators",
    "migrations",
    "chains-conformance",
    "chains-bitcoin-sandbox",
    "chains-evm-sandbox",
    "chains-solana-sandbox",
];

/// A third-party crate (`name`, or `name*` for a family) and the rooms it stays in.
#[derive(Clone, Copy, Debug)]
pub struct Owned {
    pub pattern: &'static str,
    pub rooms: &'static [&'static str],
    /// Whether any room's tests may use it as well.
    pub free_in_tests: bool,
}

const fn owned(
    pattern: &'static str,
    rooms: &'static [&'static str],
    free_in_tests: bool,
) -> Owned {
    Owned { pattern, rooms, free_in_tests }
}

/// The testkit exists only in tests; it stands in lists where product rooms would not.
pub const OWNERS: &[Owned] = &[
    owned("apalis*", &["queue"], false),
    owned(
        "reqwest",
        &["outbound", "chains-bitcoin", "chains-solana", "simulators", "testkit"],
        true,
    ),
    owned("alloy*", &["chains-evm", "chains-evm-sandbox", "signer"], false),
    owned(
        "bitcoin",
        &["chains-evm", "chains-evm-sandbox", "chains-bitcoin", "chains-bitcoin-sandbox", "signer"],
        false,
    ),
    owned("bitcoincore-rpc", &["chains-bitcoin", "chains-bitcoin-sandbox"], false),
    owned("solana-*", &["chains-solana", "chains-solana-sandbox", "signer"], false),
    owned("spl-*", &["chains-solana", "chains-solana-sandbox", "signer"], false),
    owned("axum", &["api", "web", "simulators", "testkit"], true),
    owned("utoipa*", &["api"], false),
    owned("askama*", &["web"], false),
    owned("hmac", &["exchanges", "payouts", "outbound", "identity", "simulators"], true),
    owned("tokio-tungstenite", &["exchanges"], true),
    owned(
        "rustls",
        &["outbound", "chains-bitcoin", "chains-evm", "chains-solana", "simulators", "chukta"],
        true,
    ),
    owned("redis", &["settlement", "workers", "chukta"], true),
    owned(
        "sqlx",
        &[
            "ledger",
            "identity",
            "queue",
            "settlement",
            "migrations",
            "workers",
            "api",
            "web",
            "chukta",
            "sandbox",
            "testkit",
            "testkit-db",
        ],
        true,
    ),
    owned("clap", &["chukta", "sandbox", "signer"], false),
    owned("bip39", &["signer"], false),
    // Signatures that move coins. The curves themselves come with the crates of the chains; what
    // may use them there is judged file by file, in `keys.rs`.
    owned("k256", &[], false),
    owned("secp256k1*", &[], false),
    owned("ed25519*", &[], false),
    owned("alloy-signer*", &[], false),
    // Venue API keys (Ed25519, ES256), and the simulated venues that check them.
    owned("ring", &["exchanges", "simulators"], true),
    owned("p256", &["simulators"], true),
    owned("argon2", &["signer"], false),
    owned("chacha20poly1305", &["signer"], false),
    owned("figment", &["chukta"], false),
    owned(
        "anyhow",
        &["chukta", "sandbox", "chains-conformance", "simulators", "testkit", "testkit-db", "tidy"],
        true,
    ),
];

/// Crates that must not be in the lock file at all, and why.
pub const BANNED: &[(&str, &str)] = &[
    ("backoff", "unmaintained (RUSTSEC-2025-0012): queue::backoff uses backon"),
    ("openssl", "one TLS: rustls with ring"),
    ("openssl-sys", "one TLS: rustls with ring"),
    ("native-tls", "one TLS: rustls with ring"),
    ("aws-lc-rs", "two rustls providers in one binary make the first wss connection panic"),
];

/// The Cargo features the repository may have, and the only crates that may have them.
pub const FEATURES: &[(&str, &[&str])] = &[
    ("evm", &["chukta"]),
    ("solana", &["chukta"]),
    ("conformance", &["chains", "exchanges", "payouts"]),
    ("sqlx", &["primitives"]),
];
