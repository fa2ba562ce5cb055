//! The API as a test sees it: a server on a free port, a database of its own, merchants with keys,
//! a rate on the board and addresses in the pool.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use api::{ApiSettings, ApiState};
use chrono::{DateTime, Utc};
use identity::{KeyKind, NewApiKey, Scope, Scopes};
use primitives::{Asset, Entropy, ManualClock, MerchantId, Vpa};
use reqwest::{Method, header::HeaderMap};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use settlement::{
    Base,
    rates::{Board, Judgement, Level, Verdict},
};
use sqlx::{AssertSqlSafe, PgPool};
use testkit_db::TestDb;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::document;

/// A running API.
pub(crate) struct Shop {
    pub(crate) db: TestDb,
    pub(crate) base: Base,
    pub(crate) clock: ManualClock,
    pub(crate) address: String,
    pub(crate) merchant: MerchantId,
    pub(crate) key: String,
    pub(crate) http: reqwest::Client,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

/// One answer, already checked against the document.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn replayed(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }
}

/// One request to be.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        let (method, path) = (Method::GET, path.into());
        Self { method, path, key: None, headers: Vec::new(), body: None }
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::get(path).method(Method::POST).json(body)
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").raw(body.to_string())
    }

    pub(crate) fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn idempotent(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn by(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }
}

pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 123_456_789).unwrap()
}

fn settings() -> settlement::Settings {
    let network = json!({
        "assets": ["ETH", "USDC"], "confirm": { "rule": "depth", "blocks": 2 }, "poll_ms": 1000,
        "batch_blocks": 100, "reorg_limit": 64,
    });
    serde_json::from_value(json!({
        "networks": { "anvil": network },
        "venue": "wazirx", "rail": "razorpayx",
        "payment_min_paise": 100, "payment_max_paise": 10_000_000, "payment_expiry_s": 1800,
        "payment_expiry_min_s": 60, "payment_expiry_max_s": 86_400,
        "quote_validity_s": 900, "fee_bps": 50, "gst_bps": 1800,
        "spread_bps": 100, "rate_max_age_s": 90, "source_max_age_s": 60, "outlier_bps": 100,
        "book_spread_max_bps": 200, "jump_max_bps": 500, "address_pool": 20,
        "conversion_age_s": 0, "slippage_bps": 50, "order_wait_s": 20, "order_fence_s": 90,
        "absence_gap_s": 30, "order_attempts_max": 5, "payout_attempts_max": 5,
        "repay_max_paise": 10_000_000, "payout_final_s": 259_200, "payout_key_life_s": 518_400,
        "narration": "Chukta", "webhook_loopback": false, "webhook_hosts": [],
    }))
    .unwrap()
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(ApiSettings { stream_poll_ms: 20, ..ApiSettings::default() }).await
    }

    pub(crate) async fn open_with(limits: ApiSettings) -> Self {
        Self::open_by(limits, |base| Board::new(base, None)).await
    }

    pub(crate) async fn open_by(limits: ApiSettings, board: impl FnOnce(Base) -> Board) -> Self {
        // Several tests share a process and only the first installs the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let _ = tracing_subscriber::fmt().with_test_writer().try_init();
        let db = TestDb::create().await.unwrap();
        let clock = ManualClock::new(noon());
        let base = Base {
            pool: db.app.clone(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(Entropy::seeded(11)),
            settings: Arc::new(settings()),
        };
        let migrations = migrations(&db.owner).await;
        let board = board(base.clone());
        let state = ApiState { base: base.clone(), board, settings: limits, migrations };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, shutdown) = watch::channel(false);
        let served = tokio::spawn(api::serve(listener, state, shutdown));
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        let merchant = MerchantId::from_uuid(primitives::derived_uuid(&["not yet"]));
        let mut shop =
            Self { db, base, clock, address, merchant, key: String::new(), http, stop, served };
        (shop.merchant, shop.key) = shop.merchant(&Scope::ALL).await;
        shop.stock().await;
        shop
    }

    /// A new merchant with a destination and a key with these scopes.
    pub(crate) async fn merchant(&self, scopes: &[Scope]) -> (MerchantId, String) {
        let mut conn = self.base.pool.acquire().await.unwrap();
        let entropy = &self.base.entropy;
        let merchant =
            identity::create_merchant_in(&mut conn, entropy, noon(), "Ravi Stores").await.unwrap();
        let vpa = Vpa::parse("ravi.stores@okaxis").unwrap();
        settlement::destination::set_in(&mut conn, &self.base, merchant, &vpa, "Ravi Stores")
            .await
            .unwrap();
        drop(conn);
        (merchant, self.key_of(merchant, scopes).await)
    }

    pub(crate) async fn key_of(&self, merchant: MerchantId, scopes: &[Scope]) -> String {
        let mut conn = self.base.pool.acquire().await.unwrap();
        let new = NewApiKey {
            merchant,
            name: "test".to_owned(),
            kind: KeyKind::Test,
            scopes: Scopes::new(scopes),
            expires_at: None,
        };
        let (_, secret) =
            identity::create_api_key_in(&mut conn, &self.base.entropy, noon(), &new).await.unwrap();
        secret.expose().to_owned()
    }

    /// A price for ETH, ways to pay and addresses to pay to.
    async fn stock(&self) {
        self.price(noon()).await;
        for statement in [
            "INSERT INTO payment_methods (network, asset, uri_template, updated_at) VALUES
               ('anvil', 'ETH', 'ethereum:{address}@31337?value={minor}', now()),
               ('anvil', 'USDC',
                'ethereum:0xtoken@31337/transfer?address={address}&uint256={minor}', now())",
            "INSERT INTO deposit_addresses (network, path_index, address, path)
             SELECT 'anvil', n, '0x' || lpad(n::text, 40, '0'), 'm/0/' || n
             FROM generate_series(1, 50) n",
        ] {
            sqlx::query(statement).execute(&self.db.owner).await.unwrap();
        }
    }

    pub(crate) async fn price(&self, at: DateTime<Utc>) {
        self.clock.advance(at - self.base.now());
        let mut conn = self.base.pool.acquire().await.unwrap();
        let price = Decimal::new(250_000, 0);
        let judged = Judgement {
            verdict: Verdict::Good,
            bid: Some(price),
            ask: Some(price),
            sources: Vec::new(),
        };
        let bids = vec![Level { price, quantity: Decimal::new(100, 0) }];
        settlement::rates::record_in(&mut conn, &self.base, Asset::Eth, judged, bids)
            .await
            .unwrap();
    }

    /// Sends with the shop's own key, unless the request brings one, and checks the answer.
    pub(crate) async fn ask(&self, ask: Ask) -> Reply {
        let key = ask.key.clone().unwrap_or_else(|| self.key.clone());
        self.bare(ask.header("authorization", format!("Bearer {key}"))).await
    }

    /// Sends exactly this, without a key, and checks the answer against the document.
    pub(crate) async fn bare(&self, ask: Ask) -> Reply {
        let url = format!("http://{}{}", self.address, ask.path);
        let mut request = self.http.request(ask.method.clone(), url);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(body) = ask.body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let kind = headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
        document::check(ask.method.as_str(), &ask.path, status, kind, &text);
        for (name, value) in [("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
        {
            assert_eq!(headers[name], value, "{} {}", ask.method, ask.path);
        }
        Reply { status, headers, text }
    }

    /// A payment of this merchant, made through the API.
    pub(crate) async fn payment(&self, reference: &str) -> Value {
        let reply = self.ask(Ask::post("/v1/payments", &order(reference))).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json()
    }

    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.db.owner).await.unwrap()
    }

    /// A digest of every row of every table but the keys' (whose use is noted).
    pub(crate) async fn everything(&self) -> BTreeMap<String, String> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema') \
             AND tablename NOT IN ('api_keys', '_sqlx_migrations')",
        )
        .fetch_all(&self.db.owner)
        .await
        .unwrap();
        let mut all = BTreeMap::new();
        for table in tables {
            let query = format!(
                "SELECT count(*) || ':' || md5(coalesce(string_agg(t::text, ';' ORDER BY t::text), \
                 '')) FROM {table} t"
            );
            let digest: String =
                sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.db.owner).await.unwrap();
            all.insert(table, digest);
        }
        all
    }
}

pub(crate) async fn migrations(owner: &PgPool) -> Vec<i64> {
    sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
        .fetch_all(owner)
        .await
        .unwrap()
}

/// A good request for a payment.
pub(crate) fn order(reference: &str) -> Value {
    json!({
        "amount": { "amount_minor": "149900", "asset": "INR" },
        "reference": reference,
        "metadata": { "till": "3" },
    })
}
