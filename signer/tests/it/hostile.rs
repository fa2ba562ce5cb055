//! A worker in somebody else's hands asks ten thousand things. Whatever he gets signed is read
//! again here, from its bytes and by other code: it pays listed addresses only, and in any hour no
//! more than the limits of an hour.

use std::collections::BTreeMap;

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
};
use bitcoin::{Address, Network, Psbt, TxOut, consensus};
use chains::carrier::{EvmTransfer, KeyRef, SignedTx, Source, Unsigned};
use primitives::{Asset, Clock as _, Entropy};
use signing::{Intent, Purpose, SignError, Signer as _};
use solana_pubkey::Pubkey;

use crate::world::{
    BTC_VENUE, EVM_COLD, EVM_FIRST, EVM_VENUE, MINT, Move, SOL_VENUE, TOKEN_PROGRAM, USDC, World,
    amount, btc_key, btc_script, evm_address, evm_intent, evm_transfer, origin, solana_intent,
    solana_transfer, with_psbt,
};

const ASKED: u64 = 10_000;
const HOUR: i64 = 3_600;
const ETHER: i128 = 1_000_000_000_000_000_000;
const STRANGER: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
const BTC_STRANGER: &str = "bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9t";

struct Thief {
    dice: Entropy,
    number: u64,
}

/// What a signed transaction moves, read from its bytes. What excludes another shares its fence.
#[derive(Debug)]
struct Moved {
    at: i64,
    purpose: Purpose,
    asset: Asset,
    minor: i128,
    fence: String,
}

impl Thief {
    fn one_in(&self, many: u64) -> bool {
        self.dice.below(many) == 0
    }

    fn pick<T: Clone>(&self, from: &[T]) -> T {
        let at = self.dice.below(u64::try_from(from.len()).unwrap());
        from[usize::try_from(at).unwrap()].clone()
    }

    /// An id is usually new, at times one that was used.
    fn id(&self) -> u128 {
        u128::from(if self.one_in(20) { self.dice.below(self.number + 1) } else { self.number })
    }

    fn next(&mut self) -> Intent {
        self.number += 1;
        let mut intent = match self.dice.below(3) {
            0 => self.bitcoin(),
            1 => self.evm(),
            _ => self.solana(),
        };
        if self.one_in(4) {
            intent.purpose = self.pick(&[Purpose::FundVenue, Purpose::ToCold, Purpose::Gas]);
        }
        if self.one_in(8) {
            let other = self.pick(&[BTC_VENUE, BTC_STRANGER, EVM_VENUE, STRANGER, SOL_VENUE]);
            intent.to = other.to_owned();
        }
        if self.one_in(8) {
            intent.amount = amount(i128::from(self.dice.below(u64::MAX)), intent.amount.asset());
        }
        if self.one_in(6) {
            let more = intent.fee_max.minor().saturating_mul(1_000);
            intent.fee_max = amount(more, intent.fee_max.asset());
        }
        intent
    }

    fn bitcoin(&self) -> Intent {
        let pays = self.pick(&[1, 600, 250_000, 999_999, 1_000_000, 1_000_001, 90_000_000]);
        let salt = u8::try_from(self.dice.below(40)).unwrap();
        let mut wish = Move::new(salt, pays, self.pick(&[300, 19_000, 20_001]));
        if self.one_in(3) {
            wish.coins.push((1, 7, self.pick(&[1_000, 5_000_000_000])));
        }
        let intent = wish.intent(self.id());
        let mut psbt = wish.psbt();
        for _ in 0..self.dice.below(3) {
            self.spoil(&mut psbt);
        }
        with_psbt(&intent, &psbt)
    }

    fn spoil(&self, psbt: &mut Psbt) {
        let value = bitcoin::Amount::from_sat(self.pick(&[1, 1_000, 4_999_000_000]));
        let stranger: Address<_> = BTC_STRANGER.parse().unwrap();
        let stranger = stranger.assume_checked().script_pubkey();
        let index = self.pick(&[0, 1, 1_999_999_999]);
        if psbt.unsigned_tx.output.is_empty() {
            return;
        }
        match self.dice.below(7) {
            0 => psbt.unsigned_tx.output[0].script_pubkey = stranger,
            1 => psbt.unsigned_tx.output[0].value += value,
            2 => {
                psbt.unsigned_tx.output.push(TxOut { value, script_pubkey: stranger });
                psbt.outputs.push(bitcoin::psbt::Output::default());
            }
            3 => {
                let mut told = bitcoin::psbt::Output::default();
                told.bip32_derivation.insert(btc_key(1, index), origin(1, index));
                let script_pubkey = btc_script(1, index);
                psbt.unsigned_tx.output.push(TxOut { value, script_pubkey });
                psbt.outputs.push(told);
            }
            4 => psbt.inputs[0].witness_utxo.as_mut().unwrap().value += value,
            5 => psbt.inputs[0].sighash_type = Some(bitcoin::EcdsaSighashType::None.into()),
            _ => {
                psbt.unsigned_tx.output.pop();
                psbt.outputs.pop();
            }
        }
    }

    fn evm(&self) -> Intent {
        let token = self.pick(&[None, None, Some(USDC), Some(USDC), Some(EVM_COLD)]);
        let minor = if token.is_some() {
            self.pick(&[1, 999_000_000, 1_000_000_000, 1_000_000_001, i128::from(u64::MAX)])
        } else {
            self.pick(&[1, ETHER / 2, ETHER, ETHER + 1, 1_000 * ETHER])
        };
        let mut transfer = evm_transfer(self.dice.below(60), minor, token);
        let index = self.pick(&[0, 7, 19_999, 20_000, 29_999]);
        transfer.to = match self.dice.below(6) {
            0 => STRANGER.to_owned(),
            1 => EVM_COLD.to_owned(),
            2 => evm_address(0, index),
            3 => evm_address(1, 0),
            _ => EVM_VENUE.to_owned(),
        };
        if self.one_in(3) {
            self.spoil_evm(&mut transfer);
        }
        let is_gas = transfer.from.key == KeyRef::Gas || self.one_in(10);
        let mut intent = evm_intent(self.id(), &transfer);
        if is_gas {
            intent.purpose = Purpose::Gas;
            intent.to_index = self.pick(&[None, Some(0), Some(index)]);
        }
        intent
    }

    fn spoil_evm(&self, transfer: &mut EvmTransfer) {
        let gas = Source { address: evm_address(1, 0), key: KeyRef::Gas };
        match self.dice.below(6) {
            0 => transfer.chain_id = 1,
            1 | 2 => {
                transfer.from = gas;
                transfer.minor = self.pick(&[1, ETHER / 100, ETHER]).to_string();
            }
            3 => transfer.gas_limit = self.pick(&[21_000, 60_001, u64::MAX]),
            4 => transfer.from.key = KeyRef::Deposit(self.pick(&[1, 1 << 31, u32::MAX])),
            _ => transfer.priority_fee_per_gas = self.dice.below(3_000_000_000).to_string(),
        }
    }

    fn solana(&self) -> Intent {
        let is_token = self.one_in(2);
        let minor = self.pick(&[1, 900_000_000, 1_000_000_000, 1_000_000_001, u64::MAX]);
        let mut transfer = solana_transfer(minor, is_token);
        if self.one_in(3) {
            transfer.to = self.pick(&[MINT, TOKEN_PROGRAM, EVM_FIRST]).to_owned();
        }
        if self.one_in(4) {
            transfer.unit_price = self.dice.below(u64::MAX);
        }
        if self.one_in(6)
            && let Some(token) = &mut transfer.token
        {
            token.mint = SOL_VENUE.to_owned();
        }
        transfer.blockhash = Pubkey::from(self.dice.bytes::<32>()).to_string();
        solana_intent(self.id(), &transfer)
    }
}

/// What a transaction moves and to whom, from nothing but its bytes and what was asked for.
fn read(intent: &Intent, signed: &SignedTx, at: i64) -> Moved {
    let raw = hex::decode(&signed.raw).unwrap();
    let asset = intent.amount.asset();
    let moved = |minor, fence| Moved { at, purpose: intent.purpose, asset, minor, fence };
    match &intent.unsigned {
        Unsigned::Bitcoin { .. } => {
            let tx: bitcoin::Transaction = consensus::encode::deserialize(&raw).unwrap();
            assert_eq!((asset, tx.output.len()), (Asset::Btc, 1));
            let to = Address::from_script(&tx.output[0].script_pubkey, Network::Regtest).unwrap();
            assert_eq!((intent.purpose, to.to_string().as_str()), (Purpose::FundVenue, BTC_VENUE));
            let mut spent: Vec<_> = tx.input.iter().map(|i| i.previous_output).collect();
            spent.sort();
            moved(i128::from(tx.output[0].value.to_sat()), format!("{spent:?}"))
        }
        Unsigned::Evm(_) => {
            let tx = TxEnvelope::decode_2718(&mut raw.as_slice()).unwrap();
            assert_eq!(tx.chain_id(), Some(31_337));
            let from = tx.as_eip1559().unwrap();
            let from = from.signature().recover_address_from_prehash(&from.signature_hash());
            let called = tx.to().unwrap().to_string();
            let (to, minor) = if asset == Asset::Usdc {
                let input = tx.input();
                assert_eq!((called.as_str(), input.len(), tx.value().is_zero()), (USDC, 68, true));
                assert_eq!(hex::encode(&input[..4]), "a9059cbb");
                let minor = u128::from_be_bytes(input[52..].try_into().unwrap());
                (alloy::primitives::Address::from_slice(&input[16..36]).to_string(), minor)
            } else {
                assert!(asset == Asset::Eth && tx.input().is_empty());
                (called, tx.value().to())
            };
            match intent.purpose {
                Purpose::FundVenue => assert_eq!(to, EVM_VENUE),
                Purpose::ToCold => assert_eq!(to, EVM_COLD),
                Purpose::Gas => assert_eq!(to, evm_address(0, intent.to_index.unwrap())),
            }
            moved(i128::try_from(minor).unwrap(), format!("{}:{}", from.unwrap(), tx.nonce()))
        }
        Unsigned::Solana(transfer) => {
            assert_eq!(intent.purpose, Purpose::FundVenue);
            // One signature, then the message: three counts, and the accounts it may touch.
            let message = &raw[65..];
            let account = |n: usize| Pubkey::try_from(&message[4 + 32 * n..36 + 32 * n]).unwrap();
            let touched: Vec<String> =
                (0..usize::from(message[3])).map(|n| account(n).to_string()).collect();
            let purse = |owner: &str| {
                let key = |text: &str| text.parse().unwrap();
                spl_associated_token_account_interface::address::
                    get_associated_token_address_with_program_id(
                        &key(owner), &key(MINT), &key(TOKEN_PROGRAM)).to_string()
            };
            let wallet = transfer.from.address.as_str();
            let known = [
                wallet.to_owned(),
                SOL_VENUE.to_owned(),
                purse(wallet),
                purse(SOL_VENUE),
                MINT.to_owned(),
                TOKEN_PROGRAM.to_owned(),
                "11111111111111111111111111111111".to_owned(),
                "ComputeBudget111111111111111111111111111111".to_owned(),
                "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL".to_owned(),
            ];
            assert!(touched.iter().all(|account| known.contains(account)), "{touched:?}");
            moved(i128::from(transfer.minor), signed.tx_id.clone())
        }
    }
}

/// The most that may leave in an hour.
fn cap(moved: &Moved) -> i128 {
    match (moved.purpose, moved.asset) {
        (Purpose::FundVenue, Asset::Btc) => 2_000_000,
        (Purpose::FundVenue, Asset::Eth) => 5 * ETHER,
        (Purpose::Gas, Asset::Eth) => ETHER / 10,
        (Purpose::FundVenue, Asset::Usdc | Asset::Sol) => 5_000_000_000,
        other => panic!("{other:?} has no limit"),
    }
}

/// Of every hour that ends with a signature.
fn check(all: &[Moved]) {
    for last in all {
        let same = |m: &&Moved| (m.purpose, m.asset) == (last.purpose, last.asset);
        let inside = |m: &&Moved| m.at <= last.at && m.at > last.at - HOUR;
        let mut largest: BTreeMap<&str, i128> = BTreeMap::new();
        for moved in all.iter().filter(same).filter(inside) {
            let most = largest.entry(&moved.fence).or_insert(0);
            *most = moved.minor.max(*most);
        }
        let sum: i128 = largest.values().sum();
        assert!(sum <= cap(last), "{sum} of {} in an hour", last.asset);
    }
}

#[tokio::test]
async fn ten_thousand_askings_of_a_thief_move_an_hours_limit_and_no_more() {
    let world = World::new();
    let mut service = world.start();
    let mut thief = Thief { dice: Entropy::seeded(20), number: 0 };
    let (mut all, mut known) = (Vec::new(), BTreeMap::new());
    let (mut refused, mut undecided) = (0, 0);
    for _ in 0..ASKED {
        let intent = thief.next();
        match service.sign(&intent).await {
            Ok(signed) => {
                // One id is one transaction, for ever.
                let first = known.entry(intent.id).or_insert_with(|| signed.clone());
                assert_eq!(*first, signed);
                all.push(read(&intent, &signed, world.clock.now().timestamp()));
            }
            Err(SignError::Refused { .. }) => refused += 1,
            Err(_) => undecided += 1,
        }
        world.pass(i64::try_from(thief.dice.below(30)).unwrap());
        if thief.one_in(1_000) {
            drop(service);
            service = world.start();
        }
    }
    check(&all);
    // He was heard, and he got something: else nothing was shown.
    assert!(all.len() > 200, "only {} were signed", all.len());
    assert!(refused > 5_000 && undecided < 3_000, "{refused} refused, {undecided} not decided");
    for asset in [Asset::Btc, Asset::Eth, Asset::Usdc, Asset::Sol] {
        assert!(all.iter().any(|moved| moved.asset == asset), "nothing of {asset}");
    }
    assert!(all.iter().any(|moved| moved.purpose == Purpose::Gas), "no gas");
}
