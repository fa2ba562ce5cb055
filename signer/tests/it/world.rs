//! A signer in a folder of its own, with the sandboxes' keys and a clock that is moved by hand; and
//! honest intents, for tests to spoil.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Arc, LazyLock, Mutex},
};

use bitcoin::{
    Address, Amount as Coins, CompressedPublicKey, Network, NetworkKind, OutPoint, Psbt, Sequence,
    Transaction, TxIn, TxOut, Txid,
    absolute::LockTime,
    bip32::{ChildNumber, DerivationPath, Fingerprint, Xpriv, Xpub},
    hashes::Hash as _,
    secp256k1::{All, PublicKey, Secp256k1},
    transaction::Version,
};
use chains::carrier::{
    EvmTransfer, KeyRef, SignedTx, SolanaToken, SolanaTransfer, Source, Unsigned,
};
use chrono::{DateTime, TimeDelta};
use primitives::{Amount, Asset, ManualClock, NetworkId};
use signer::{Config, FileKeys, LocalSigner, SANDBOX_SECRETS, Secrets};
use signing::{Intent, Purpose, SignError, Signer as _};
use tempfile::TempDir;
use uuid::Uuid;

pub const BTC_VENUE: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
pub const EVM_VENUE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
pub const EVM_COLD: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
pub const USDC: &str = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";
/// m/44'/60'/0'/0/0 of the sandbox's words.
pub const EVM_FIRST: &str = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94";
pub const SOL_VENUE: &str = "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk";
pub const MINT: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
pub const TOKEN_PROGRAM: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const SEED: &str = concat!(
    "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1",
    "9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4",
);

const SETTINGS: &str = r#"
socket = "run/signer.sock"
keys = "keys.json"
passphrase_file = "passphrase"
log = "signer.log"
allow_list = "allow.toml"
activation_delay_s = DELAY

[[networks]]
kind = "bitcoin"
network = "bitcoin"
chain = "regtest"
path = "m/84'/0'/0'"
fee = { per_tx = "20000", per_hour = "1000000", per_day = "2000000" }

[[networks]]
kind = "evm"
network = "ethereum"
chain_id = 31337
tokens = [{ asset = "USDC", contract = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48" }]
fee = { per_tx = "10000000000000000", per_hour = "WEI", per_day = "WEI" }

[[networks]]
kind = "solana"
network = "solana"
tokens = [{ asset = "USDC", mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", decimals = 6 }]
fee = { per_tx = "3000000", per_hour = "10000000", per_day = "10000000" }

[[limits]]
purpose = "fund_venue"
asset = "BTC"
per_tx = "1000000"
per_hour = "2000000"
per_day = "3000000"

[[limits]]
purpose = "fund_venue"
asset = "ETH"
per_tx = "1000000000000000000"
per_hour = "5000000000000000000"
per_day = "5000000000000000000"

[[limits]]
purpose = "gas"
asset = "ETH"
per_tx = "10000000000000000"
per_hour = "100000000000000000"
per_day = "100000000000000000"

[[limits]]
purpose = "fund_venue"
asset = "USDC"
per_tx = "1000000000"
per_hour = "5000000000"
per_day = "5000000000"

[[limits]]
purpose = "fund_venue"
asset = "SOL"
per_tx = "1000000000"
per_hour = "5000000000"
per_day = "5000000000"
"#;

pub struct World {
    pub folder: TempDir,
    pub clock: ManualClock,
    /// Time that really passes.
    pub running: ManualClock,
    pub config: Config,
}

impl World {
    /// Every address of the list counts at once.
    pub fn new() -> Self {
        Self::waiting(0)
    }

    pub fn waiting(delay_s: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("signer.toml");
        let settings = SETTINGS.replace("DELAY", &delay_s.to_string());
        write(&file, &settings.replace("WEI", "1000000000000000000"));
        let config = Config::load(&file).unwrap();
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let (clock, running) = (ManualClock::new(start), ManualClock::new(start));
        let world = Self { folder, clock, running, config };
        world.allow(1, &venues());
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Each row with every asset of its network.
    pub fn allow(&self, version: u64, rows: &[(&str, &str, &str)]) {
        write(&self.config.allow_list, &Self::list(version, rows));
    }

    pub fn list(version: u64, rows: &[(&str, &str, &str)]) -> String {
        let mut text = format!("version = {version}\n");
        for (network, purpose, address) in rows {
            text.push_str(&format!(
                "[[allow]]\nnetwork = \"{network}\"\npurpose = \"{purpose}\"\n\
                 address = \"{address}\"\nassets = [{}]\n",
                assets(network)
            ));
        }
        text
    }

    pub fn keys(&self) -> FileKeys {
        FileKeys::new(&Secrets::parse(SANDBOX_SECRETS).unwrap(), &self.config.networks).unwrap()
    }

    pub fn try_start(&self) -> Result<LocalSigner, signer::StartError> {
        let (clock, running) = (Arc::new(self.clock.clone()), Arc::new(self.running.clone()));
        LocalSigner::start_beside(&self.config, Arc::new(self.keys()), clock, running)
    }

    pub fn start(&self) -> LocalSigner {
        self.try_start().unwrap()
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.running.advance(TimeDelta::seconds(seconds.max(0)));
    }

    /// Somebody sets the clock.
    pub fn leap(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// A folder for a socket, closed to others.
    pub fn run_folder(&self) -> PathBuf {
        let path = self.path("run");
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&path).unwrap();
        path
    }
}

/// A file nobody else may write, whatever this machine's habit is.
pub fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn assets(network: &str) -> &'static str {
    match network {
        "bitcoin" => "\"BTC\"",
        "ethereum" => "\"ETH\", \"USDC\"",
        _ => "\"SOL\", \"USDC\"",
    }
}

pub fn venues() -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        ("bitcoin", "fund_venue", BTC_VENUE),
        ("ethereum", "fund_venue", EVM_VENUE),
        ("ethereum", "to_cold", EVM_COLD),
        ("solana", "fund_venue", SOL_VENUE),
    ]
}

pub fn amount(minor: i128, asset: Asset) -> Amount {
    Amount::try_new(minor, asset).unwrap()
}

/// The same number is the same id.
pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub fn network(name: &str) -> NetworkId {
    NetworkId::new(name).unwrap()
}

/// The code of a refusal; anything else fails the test.
pub fn code(answer: Result<SignedTx, SignError>) -> String {
    match answer {
        Err(SignError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn refused(service: &LocalSigner, intent: &Intent) -> String {
    code(service.sign(intent).await)
}

fn account(curve: &Secp256k1<All>, path: &str, kind: NetworkKind) -> Xpub {
    let master = Xpriv::new_master(kind, &hex::decode(SEED).unwrap()).unwrap();
    let path = DerivationPath::from_str(path).unwrap();
    Xpub::from_priv(curve, &master.derive_priv(curve, &path).unwrap())
}

/// Derived once: unoptimised, each takes milliseconds.
fn child(path: &'static str, kind: NetworkKind, branch: u32, index: u32) -> PublicKey {
    type Known = (Secp256k1<All>, HashMap<(&'static str, u32, u32), PublicKey>);
    static KNOWN: LazyLock<Mutex<Known>> =
        LazyLock::new(|| Mutex::new((Secp256k1::new(), HashMap::new())));
    let mut known = KNOWN.lock().unwrap();
    let (curve, known) = &mut *known;
    *known.entry((path, branch, index)).or_insert_with(|| {
        let steps = [ChildNumber::Normal { index: branch }, ChildNumber::Normal { index }];
        account(curve, path, kind).derive_pub(curve, &steps).unwrap().public_key
    })
}

/// A key of ours on Bitcoin, as the words give it.
pub fn btc_key(branch: u32, index: u32) -> PublicKey {
    child("m/84'/0'/0'", NetworkKind::Test, branch, index)
}

pub fn btc_script(branch: u32, index: u32) -> bitcoin::ScriptBuf {
    Address::p2wpkh(&CompressedPublicKey(btc_key(branch, index)), Network::Regtest).script_pubkey()
}

pub fn evm_address(branch: u32, index: u32) -> String {
    let point = child("m/44'/60'/0'", NetworkKind::Main, branch, index);
    let point = point.serialize_uncompressed();
    alloy::primitives::Address::from_raw_public_key(&point[1..]).to_string()
}

/// A move of bitcoins. Each coin is (branch, index, sats); what is left over goes to 1/0, which no
/// honest one does.
pub struct Move {
    pub coins: Vec<(u32, u32, u64)>,
    pub pays: u64,
    pub fee: u64,
    /// Makes the coins of two moves differ.
    pub salt: u8,
}

impl Move {
    pub fn new(salt: u8, pays: u64, fee: u64) -> Self {
        let first = (pays + fee) / 3;
        let coins = vec![(0, 3, first), (0, 70_000, pays + fee - first)];
        Self { coins, pays, fee, salt }
    }

    pub fn psbt(&self) -> Psbt {
        let held: u64 = self.coins.iter().map(|coin| coin.2).sum();
        let place = |index: usize| TxIn {
            previous_output: OutPoint {
                txid: Txid::from_byte_array([self.salt; 32]),
                vout: u32::try_from(index).unwrap(),
            },
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            ..TxIn::default()
        };
        let venue = Address::from_str(BTC_VENUE).unwrap().assume_checked().script_pubkey();
        let mut output = vec![TxOut { value: Coins::from_sat(self.pays), script_pubkey: venue }];
        let change = held - self.pays - self.fee;
        if change > 0 {
            let script_pubkey = btc_script(1, 0);
            output.push(TxOut { value: Coins::from_sat(change), script_pubkey });
        }
        let tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: (0..self.coins.len()).map(place).collect(),
            output,
        };
        let mut psbt = Psbt::from_unsigned_tx(tx).unwrap();
        for (input, (branch, index, sats)) in psbt.inputs.iter_mut().zip(&self.coins) {
            let (branch, index) = (*branch, *index);
            let script_pubkey = btc_script(branch, index);
            input.witness_utxo = Some(TxOut { value: Coins::from_sat(*sats), script_pubkey });
            input.bip32_derivation.insert(btc_key(branch, index), origin(branch, index));
        }
        if let Some(output) = psbt.outputs.get_mut(1) {
            output.bip32_derivation.insert(btc_key(1, 0), origin(1, 0));
        }
        psbt
    }

    pub fn intent(&self, number: u128) -> Intent {
        Intent {
            id: id(number),
            purpose: Purpose::FundVenue,
            network: network("bitcoin"),
            to: BTC_VENUE.to_owned(),
            amount: amount(i128::from(self.pays), Asset::Btc),
            fee_max: amount(i128::from(self.fee), Asset::Btc),
            to_index: None,
            unsigned: Unsigned::Bitcoin { psbt: self.psbt().to_string() },
        }
    }
}

pub fn origin(branch: u32, index: u32) -> (Fingerprint, DerivationPath) {
    let path = [ChildNumber::Normal { index: branch }, ChildNumber::Normal { index }];
    (Fingerprint::default(), DerivationPath::from(path.to_vec()))
}

/// With another PSBT.
pub fn with_psbt(intent: &Intent, psbt: &Psbt) -> Intent {
    Intent { unsigned: Unsigned::Bitcoin { psbt: psbt.to_string() }, ..intent.clone() }
}

pub fn evm_transfer(nonce: u64, minor: i128, token: Option<&str>) -> EvmTransfer {
    EvmTransfer {
        chain_id: 31_337,
        from: Source { address: EVM_FIRST.to_owned(), key: KeyRef::Deposit(0) },
        nonce,
        to: EVM_VENUE.to_owned(),
        token: token.map(str::to_owned),
        minor: minor.to_string(),
        gas_limit: 60_000,
        fee_per_gas_max: "2000000000".to_owned(),
        priority_fee_per_gas: "1000000000".to_owned(),
    }
}

pub fn evm_intent(number: u128, transfer: &EvmTransfer) -> Intent {
    let asset = if transfer.token.is_some() { Asset::Usdc } else { Asset::Eth };
    Intent {
        id: id(number),
        purpose: Purpose::FundVenue,
        network: network("ethereum"),
        to: transfer.to.clone(),
        amount: amount(transfer.minor.parse().unwrap(), asset),
        fee_max: amount(120_000_000_000_000, Asset::Eth),
        to_index: None,
        unsigned: Unsigned::Evm(transfer.clone()),
    }
}

pub fn solana_transfer(minor: u64, token: bool) -> SolanaTransfer {
    let wallet = solana_keypair::Keypair::new_from_array([0x77; 32]);
    SolanaTransfer {
        from: Source {
            address: solana_signer::Signer::pubkey(&wallet).to_string(),
            key: KeyRef::Deposit(0),
        },
        to: SOL_VENUE.to_owned(),
        token: token.then(|| SolanaToken {
            mint: MINT.to_owned(),
            program: TOKEN_PROGRAM.to_owned(),
            decimals: 6,
            create_account: true,
        }),
        minor,
        blockhash: "4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn".to_owned(),
        blockhash_slot: 1,
        unit_price: 1_000,
        unit_limit: 100_000,
    }
}

pub fn solana_intent(number: u128, transfer: &SolanaTransfer) -> Intent {
    let asset = if transfer.token.is_some() { Asset::Usdc } else { Asset::Sol };
    Intent {
        id: id(number),
        purpose: Purpose::FundVenue,
        network: network("solana"),
        to: transfer.to.clone(),
        amount: amount(i128::from(transfer.minor), asset),
        fee_max: amount(5_100, Asset::Sol),
        to_index: None,
        unsigned: Unsigned::Solana(transfer.clone()),
    }
}
