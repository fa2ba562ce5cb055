//! What operators see of rates, exposure and venues, and freezing one, from outside.

use serde_json::Value;
use testkit_db::TestDb;

use crate::binary::{chukta, text};

/// A database of our own, and settings that name one network without any node.
struct Desk {
    db: TestDb,
    settings: tempfile::NamedTempFile,
}

const SETTINGS: &str = r#"
[settlement.networks.nowhere]
assets = ["ETH", "USDC"]
confirm = { rule = "finalized" }
poll_ms = 1000
batch_blocks = 10
reorg_limit = 32
[settlement.exposure_max_paise]
ETH = 1000000
"#;

impl Desk {
    async fn open() -> Self {
        let settings = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(settings.path(), SETTINGS).unwrap();
        Self { db: TestDb::create().await.unwrap(), settings }
    }

    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = chukta();
        command.args(arguments).arg("--config").arg(self.settings.path());
        command.env("CHUKTA_DATABASE_URL", self.db.app_url()).env("USER", "asha");
        let output = command.output().unwrap();
        let (said, complained) = text(&output);
        (output.status.success(), said, complained)
    }

    fn said(&self, arguments: &[&str]) -> String {
        let (well, said, complained) = self.run(arguments);
        assert!(well, "{arguments:?}: {said}{complained}");
        said
    }

    fn refused(&self, arguments: &[&str], why: &str) {
        let (well, _, complained) = self.run(arguments);
        assert!(!well && complained.contains(why), "{arguments:?}: {complained}");
    }

    async fn tick(&self, verdict: &str, reason: Option<&str>, price: Option<i64>, age_s: i32) {
        let sources = serde_json::json!([
            { "source": "binance×wazirx", "origins": ["binance", "wazirx"], "bid": "199990",
              "ask": "200010", "at": "2026-01-01T00:00:00Z", "refused": null },
            { "source": "coinbase", "origins": ["coinbase"], "bid": "150000", "ask": "150010",
              "at": "2026-01-01T00:00:00Z", "refused": "outlier" },
        ]);
        sqlx::query(
            "insert into rate_ticks (base, at, verdict, reason, bid, ask, sources, bids)
             values ('ETH', now() - make_interval(secs => $1), $2, $3, $4::bigint, $4::bigint, $5,
               '[{\"price\": \"199900.50\", \"quantity\": \"3\"}]')",
        )
        .bind(f64::from(age_s))
        .bind(verdict)
        .bind(reason)
        .bind(price)
        .bind(sources)
        .execute(&self.db.owner)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn rates_say_who_counted_and_why_not() {
    let desk = Desk::open().await;
    assert_eq!(desk.said(&["rates"]), "ETH   missing\nUSDC  missing\n");
    desk.tick("degraded", Some("only two sources"), Some(200_000), 5).await;
    let said = desk.said(&["rates"]);
    let line = "ETH   degraded (only two sources)  bid ₹200000  ask ₹200000  venue bid ₹199900.5  ";
    assert!(said.starts_with(line), "{said}");
    assert!(said.contains("      coinbase             bid ₹150000  ask ₹150010  "), "{said}");
    assert!(said.contains("refused: outlier"), "{said}");
    let all: Value = serde_json::from_str(&desk.said(&["rates", "--json"])).unwrap();
    assert_eq!(all[0]["verdict"], "degraded");
    assert_eq!(all[0]["sources"][1]["refused"], "outlier");
    assert_eq!(all[0]["sources"][0]["refused"], Value::Null);
    assert!(all[0]["age_s"].as_i64().unwrap() >= 5);
    desk.tick("good", None, Some(200_000), 600).await;
    assert!(desk.said(&["rates"]).starts_with("ETH   stale (older than 90 s)"));
    desk.tick("unusable", Some("the book is crossed"), None, 1).await;
    let said = desk.said(&["rates"]);
    assert!(said.starts_with("ETH   unusable (the book is crossed)  venue bid"), "{said}");
}

#[tokio::test]
async fn rates_tell_what_changed() {
    let desk = Desk::open().await;
    desk.tick("good", None, Some(200_000), 5).await;
    assert_eq!(desk.said(&["rates", "--events"]), "", "nothing did");
    // Shortly before midnight what happens is the coming day's: the day may turn before it is read.
    sqlx::query(
        "insert into rate_events (asset, from_verdict, to_verdict, reason, tick_id, at)
         select 'ETH', before, after, reason, tick, at
         from greatest(now(), date_trunc('day', now() + interval '10 minutes', 'UTC')) t(today),
           lateral (values
             ('good', 'unusable', 'crossed', 1, today - interval '3 days'),
             ('unusable', 'degraded', 'without coinbase', 2, today),
             ('degraded', 'unusable', 'stale', 3, today)) v(before, after, reason, tick, at)
         order by tick",
    )
    .execute(&desk.db.owner)
    .await
    .unwrap();
    let said = desk.said(&["rates"]);
    assert!(said.contains("today 2 anomalies, 1 of them without a price\n"), "{said}");
    assert!(said.ends_with("ETH   good → unusable (crossed)\n"), "{said}");
    let events: Value = serde_json::from_str(&desk.said(&["rates", "--events", "--json"])).unwrap();
    assert_eq!((&events[0]["to"], &events[0]["reason"]), (&"unusable".into(), &"stale".into()));
}

#[tokio::test]
async fn spreads_are_versions_of_data() {
    let desk = Desk::open().await;
    let settings = "everybody, every asset: 50 bps (the settings)\n";
    assert!(desk.said(&["spread", "list"]).starts_with(settings));
    let signed = ["--by", "ops", "--reason", "a thin week"];
    let set = |what: &[&str]| {
        let arguments: Vec<&str> =
            ["spread", "set"].iter().chain(what).chain(&signed).copied().collect();
        desk.said(&arguments)
    };
    assert_eq!(set(&["--asset", "ETH", "--bps", "80"]), "everybody, ETH: 80 bps (rule 1)\n");
    assert_eq!(set(&["--bps", "60"]), "everybody, every asset: 60 bps (rule 2)\n");
    assert_eq!(set(&["--asset", "ETH", "--withdraw"]), "everybody, ETH: withdrawn (rule 3)\n");
    let counts = desk.said(&["spread", "list"]);
    assert!(counts.contains("60 bps (rule 2)") && !counts.contains("(rule 1)"), "{counts}");
    let all = desk.said(&["spread", "list", "--history"]);
    assert!(all.contains("(rule 1)") && all.contains("by ops: a thin week  (past)"), "{all}");
    desk.refused(&["spread", "set", "--bps", "60"], "--by");
    let wide = ["spread", "set", "--bps", "1001", "--by", "ops", "--reason", "why"];
    desk.refused(&wide, "a spread is 0 to 1000 bps");
    let nobody = ["--merchant", "mer_01930000-0000-7000-8000-000000000000"];
    let arguments: Vec<&str> =
        wide[..2].iter().chain(&nobody).chain(&["--bps", "1"]).chain(&signed).copied().collect();
    let (well, ..) = desk.run(&arguments);
    assert!(!well, "a merchant that is not there");
}

#[tokio::test]
async fn exposure_names_limit_and_rate() {
    let desk = Desk::open().await;
    let said = desk.said(&["exposure"]);
    let unknown = "unknown in rupees: there never was a rate  limit ₹10000.00: NO QUOTES\n";
    assert!(said.starts_with("ETH   open 0."), "{said}");
    assert!(said.contains(unknown), "{said}");
    desk.tick("good", None, Some(200_000), 5).await;
    let said = desk.said(&["exposure"]);
    assert!(said.contains("₹0.00 at ₹200000, "), "{said}");
    assert!(said.contains("limit ₹10000.00: quotes as usual"), "{said}");
    assert!(said.contains("USDC  open 0.") && said.contains("no limit"), "{said}");
    let all: Value = serde_json::from_str(&desk.said(&["exposure", "--json"])).unwrap();
    assert_eq!((&all[0]["asset"], &all[0]["room"]), (&"ETH".into(), &"open".into()));
}

#[tokio::test]
async fn a_venue_is_frozen_and_thawed_by_name() {
    let desk = Desk::open().await;
    assert!(desk.said(&["venues"]).starts_with("wazirx  takes orders  no answer on record"));
    desk.refused(&["venue", "freeze", "wazirx"], "--reason");
    desk.refused(&["venue", "freeze", "wazirx", "--reason", " "], "--reason takes 1 to 500");
    desk.refused(&["venue", "freeze", "nowhere", "--reason", "why"], "there is wazirx");
    let freeze = ["venue", "freeze", "wazirx", "--reason", "withdrawals are kept back"];
    assert!(desk.said(&freeze).starts_with("wazirx  frozen: no new orders"));
    assert_eq!(desk.said(&freeze), "wazirx  was frozen already; noted\n");
    let said = desk.said(&["venues"]);
    assert!(said.contains(" by asha: withdrawals are kept back"), "{said}");
    let all: Value = serde_json::from_str(&desk.said(&["venues", "--json"])).unwrap();
    assert_eq!(all[0]["decision"]["frozen"], true);
    assert!(desk.said(&["cases"]).contains("venue_frozen"));
    let thaw = ["venue", "thaw", "wazirx", "--reason", "they pay again", "--by", "ravi"];
    assert_eq!(desk.said(&thaw), "wazirx  takes orders again\n");
    assert_eq!(desk.said(&thaw), "wazirx  was not frozen; noted\n");
    assert!(desk.said(&["venues"]).starts_with("wazirx  takes orders"));
    assert_eq!(desk.said(&["cases"]), "");
}
