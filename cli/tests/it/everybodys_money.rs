//! The commands for money that does not fit, from outside: what they print, and that what they
//! refuse is a sentence and changes nothing.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use chains_evm_sandbox::{Anvil, AnvilOptions, Payer, dev_payer_key, dev_xpub};
use primitives::{Amount, Asset, Clock as _, Entropy, NetworkId, SystemClock};
use serde_json::{Value, json};
use settlement::{
    Base,
    deposit::{self, Depth, Seen},
    policy::{Finding, Said, Word},
};
use testkit_db::TestDb;

use crate::binary::{chukta, given, text};

/// The outside world and a database of our own; both end with it.
struct Stage {
    db: TestDb,
    sims: Child,
    settings: tempfile::NamedTempFile,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.sims.kill().unwrap();
        self.sims.wait().unwrap();
    }
}

impl Stage {
    async fn open() -> Self {
        let mut sims =
            chukta().arg("simulate").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(sims.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let of = |simulator: &str, field: &str| said[simulator][field].as_str().unwrap().to_owned();
        let mut settings = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        write!(
            settings,
            r#"[[connectors]]
kind = "wazirx"
base_url = "{}"
api_key = "{}"
secret = "{}"
[[rails]]
kind = "razorpayx"
base_url = "{}"
key_id = "{}"
key_secret = "{}"
account_number = "{}"
webhook_secrets = ["{}"]
"#,
            of("wazirx", "base_url"),
            of("wazirx", "api_key"),
            of("wazirx", "secret"),
            of("razorpayx", "base_url"),
            of("razorpayx", "key_id"),
            of("razorpayx", "key_secret"),
            of("razorpayx", "account_number"),
            of("razorpayx", "webhook_secret"),
        )
        .unwrap();
        Self { db: TestDb::create().await.unwrap(), sims, settings }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = chukta();
        command.args(arguments).arg("--config").arg(self.settings.path());
        command.env("CHUKTA_DATABASE_URL", self.db.app_url());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (said, complained) = text(&output);
        assert!(output.status.success(), "{arguments:?}: {said}{complained}");
        said
    }

    fn refused(&self, arguments: &[&str], why: &str) {
        let output = self.run(arguments);
        let (_, complained) = text(&output);
        assert!(
            !output.status.success() && complained.contains(why),
            "{arguments:?}: {complained}"
        );
    }

    fn shop(&self) -> String {
        let seeded = self.said(&["seed", "--name", "Shop", "--vpa", "shop@okaxis"]);
        let seeded: Value = serde_json::from_str(&seeded).unwrap();
        seeded["merchant"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_policy_is_shown_and_set_as_versions() {
    let stage = Stage::open().await;
    let shop = stage.shop();
    let shown = stage.said(&["merchant-policy", "show", &shop]);
    assert!(shown.starts_with("version 0  late review  short topup  surplus refund"), "{shown}");
    let set =
        ["merchant-policy", "set", &shop, "--late", "requote", "--note", "the owner, by phone"];
    assert!(stage.said(&set).starts_with("version 1  late requote  short topup"));
    assert!(stage.said(&set).starts_with("version 1 "), "the same again is no new version");
    let more = ["merchant-policy", "set", &shop, "--topup-s", "900", "--note", "and more time"];
    assert!(stage.said(&more).starts_with("version 2  late requote"));
    let all = stage.said(&["merchant-policy", "show", &shop]);
    assert_eq!(all.lines().count(), 3, "{all}");
    let wrong = ["merchant-policy", "set", &shop, "--late", "topup", "--note", "no"];
    stage.refused(&wrong, "late cannot be answered by topup");
    let wrong = ["merchant-policy", "set", &shop, "--late", "keep", "--note", "no"];
    stage.refused(&wrong, "honour, requote, topup, refund or review");
    let wrong = ["merchant-policy", "set", &shop, "--topup-s", "100000", "--note", "no"];
    stage.refused(&wrong, "topup_s is outside 0 to 86400");
    let nobody = "mer_00000000000000000000000000000001";
    stage.refused(&["merchant-policy", "set", nobody, "--note", "none"], "no such merchant");
}

#[tokio::test]
async fn what_is_not_there_is_a_sentence() {
    let stage = Stage::open().await;
    let id = "00000000000000000000000000000001";
    let (deposit, payment) = (format!("dep_{id}"), format!("pay_{id}"));
    let (refund, payout) = (format!("ref_{id}"), format!("pout_{id}"));
    stage.refused(&["attribute", &deposit, &payment], "no such deposit");
    stage.refused(&["attribute", &payment, &deposit], "not an id of the kind dep_");
    stage.refused(&["refund", "promise", &deposit], "no such deposit");
    stage.refused(&["refund", "address", &refund, "0x00", "--proof", "none"], "no refund");
    stage.refused(&["refund", "sent", &refund, "--tx", "0x00"], "no refund");
    stage.refused(&["retry", &payout, "--note", "try it"], "no such payout");
    stage.refused(&["retry", &payment, "--note", "try it"], "no payment");
    stage.refused(&["retry", "elsewhere", "--note", "try it"], "is not a payout, a sale or");
    stage.refused(&["retry", &payout, "--note", "x"], "4 to 500 characters");
    assert_eq!(stage.said(&["refund", "list"]), "");
}

fn pay_in(amount: &str) -> Vec<&str> {
    let into = ["pay-in", "--into", "bank:razorpayx", "--reference", "UTR000111222333"];
    [&into[..], &["--amount", amount]].concat()
}

/// Only what the rail itself holds more than the books say, and once per reference.
#[tokio::test]
async fn what_the_owners_paid_in_is_booked_once() {
    let stage = Stage::open().await;
    stage.refused(&pay_in("0"), "more than nothing");
    stage.refused(&pay_in("12.345"), "--amount");
    stage.refused(&pay_in("1"), "is not booked yet, not");
    let said = text(&stage.run(&pay_in("1"))).1;
    let held = said.split("the place holds ").nth(1).unwrap();
    let held = held.split(" INR").next().unwrap().to_owned();
    assert!(
        stage.said(&pay_in(&held)).starts_with(&format!("booked {held} INR into bank:razorpayx"))
    );
    assert!(stage.said(&pay_in(&held)).starts_with("was booked before"));
    stage.refused(&pay_in("1"), "is booked with another amount");
    let twice = ["pay-in", "--into", "bank:razorpayx", "--reference", "UTR999", "--amount", &held];
    stage.refused(&twice, "0.00 INR is not booked yet");
    let wrong = ["pay-in", "--into", "cellar", "--reference", "UTR999", "--amount", "5"];
    stage.refused(&wrong, "bank:<rail>, venue:<venue>");
    let crypto = ["pay-in", "--into", "bank:razorpayx", "--asset", "BTC"];
    let crypto = [&crypto[..], &["--reference", "UTR999", "--amount", "5"]].concat();
    stage.refused(&crypto, "a bank holds INR");
    assert!(stage.said(&["ledgerck"]).contains("the books are in order"));
}

/// The product's rules on the stage's database, as a worker would have them.
fn base(stage: &Stage) -> Base {
    let settings = json!({
        "networks": { "anvil": {
            "assets": ["ETH"], "confirm": { "rule": "depth", "blocks": 3 }, "poll_ms": 1000,
            "batch_blocks": 100, "reorg_limit": 32,
        } },
        "venue": "wazirx", "rail": "razorpayx",
        "payment_min_paise": 10_000, "payment_max_paise": 10_000_000,
        "payment_expiry_s": 900, "payment_expiry_min_s": 60, "payment_expiry_max_s": 86_400,
        "quote_validity_s": 900, "fee_bps": 100, "gst_bps": 1800, "spread_bps": 50,
        "rate_max_age_s": 90, "source_max_age_s": 60, "outlier_bps": 200,
        "book_spread_max_bps": 200, "jump_max_bps": 1000, "address_pool": 6,
        "conversion_age_s": 1, "slippage_bps": 100, "order_wait_s": 4, "order_fence_s": 20,
        "absence_gap_s": 6, "order_attempts_max": 6, "payout_attempts_max": 4,
        "repay_max_paise": 2_500_000, "payout_final_s": 432_000, "payout_key_life_s": 518_400,
        "narration": "Chukta", "webhook_loopback": true, "webhook_hosts": [],
    });
    Base {
        pool: stage.db.app.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Entropy::seeded(1)),
        settings: Arc::new(serde_json::from_value(settings).unwrap()),
    }
}

/// Final money that names no payment; answers the deposit's id.
async fn stray(stage: &Stage, amount: Amount) -> String {
    let base = base(stage);
    let seen = Seen {
        network: NetworkId::new("anvil").unwrap(),
        tx_id: "0xstray".to_owned(),
        ordinal: 0,
        address: "0xours".to_owned(),
        amount,
        block_hash: "0xblock".to_owned(),
        height: 1,
        block_time: SystemClock.now(),
    };
    let mut tx = base.pool.begin().await.unwrap();
    deposit::seen_in(&mut tx, &base, &seen).await.unwrap();
    let id: uuid::Uuid =
        sqlx::query_scalar("select id from deposits").fetch_one(&mut *tx).await.unwrap();
    let id = primitives::DepositId::from_uuid(id);
    let finding = Finding {
        block_hash: seen.block_hash,
        depth: Depth { latest: 99, safe: None, finalized: None },
        witnesses: vec![Word { node: "one".to_owned(), says: Said::Same }],
    };
    deposit::confirm_in(&mut tx, &base, id, &finding).await.unwrap();
    tx.commit().await.unwrap();
    id.to_string()
}

/// From stray money to a transaction on a real node that gives it back: nothing but the chain's own
/// word counts.
#[tokio::test]
async fn a_refund_is_what_the_chain_shows() {
    given("CHUKTA_ANVIL");
    let node = Anvil::start(AnvilOptions::default()).await.unwrap();
    let payer = Payer::connect(node.rpc_url(), dev_payer_key()).await.unwrap();
    let mut stage = Stage::open().await;
    write!(
        stage.settings,
        r#"[settlement.networks.anvil]
assets = ["ETH"]
confirm = {{ rule = "depth", blocks = 3 }}
poll_ms = 1000
batch_blocks = 10
reorg_limit = 32
[[evm]]
network = "anvil"
chain_id = 31337
rpc_urls = ["{}"]
xpub = "{}"
"#,
        node.rpc_url(),
        dev_xpub()
    )
    .unwrap();
    let half = Amount::parse_units("0.5", Asset::Eth).unwrap();
    let theirs = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    let deposit = stray(&stage, half).await;
    stage.said(&["refund", "promise", &deposit]);
    stage.refused(&["refund", "promise", &deposit], "promised back already");
    let listed = stage.said(&["refund", "list"]);
    assert!(listed.contains("no payment") && listed.contains("no address yet"), "{listed}");
    let id = listed.split_whitespace().find(|word| word.starts_with("ref_")).unwrap().to_owned();
    let proof = ["--proof", "a signed message"];
    let to = ["refund", "address", &id, "bc1qnotofthisnetwork"];
    stage.refused(&[&to[..], &proof].concat(), "is not an address of anvil");
    let lower = theirs.to_lowercase();
    let to = ["refund", "address", &id, &lower];
    stage.said(&[&to[..], &proof].concat());

    let less = Amount::parse_units("0.4999", Asset::Eth).unwrap();
    let wrong = payer.send_native(theirs, less).await.unwrap();
    let right = payer.send_native(theirs, half).await.unwrap();
    assert!(payer.wait(&right).await.unwrap());
    stage.refused(&["refund", "sent", &id, "--tx", &right], "is not final yet");
    payer.mine(3).await.unwrap();
    stage.refused(&["refund", "sent", &id, "--tx", &wrong], "does not bring");
    let nowhere = format!("0x{}", "ab".repeat(32));
    stage.refused(&["refund", "sent", &id, "--tx", &nowhere], "is not in a block");
    assert!(stage.said(&["refund", "sent", &id, "--tx", &right]).contains("was sent in"));
    stage.said(&["refund", "sent", &id, "--tx", &right]);
    assert_eq!(stage.said(&["refund", "list"]), "");
    assert_eq!(stage.said(&["cases"]), "");
    assert!(stage.said(&["ledgerck"]).contains("the books are in order"));
}
