//! Coins on chains in the vendor's words.

use primitives::{Amount, Asset, NetworkId};

use super::{
    super::{wallet, wallet_wire as wire},
    client_ref, fixture,
};
use crate::custody::Passage;

fn network(name: &str) -> NetworkId {
    NetworkId::new(name).unwrap()
}

#[test]
fn a_reference_makes_one_uuid() {
    let idem = wallet::idem(&client_ref("w-0001-1"));
    assert_eq!(idem, wallet::idem(&client_ref("w-0001-1")));
    assert_ne!(idem, wallet::idem(&client_ref("w-0001-2")));
    let lengths: Vec<usize> = idem.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!((&idem[14..15], &idem[19..20]), ("4", "a"), "version and variant");
}

#[test]
fn the_wallet_is_no_vault_and_the_address_the_oldest() {
    let told: wire::Many<wire::Account> = fixture(include_str!("../fixtures/wallets.some.json"));
    let id = wallet::wallet(&told.data, Asset::Eth).unwrap().unwrap();
    assert_eq!(id, "2bbf394c-193b-5b2a-9155-3b4732659ede");
    assert_eq!(wallet::wallet(&told.data, Asset::Sol), Ok(None));
    let told: wire::Many<wire::Address> = fixture(include_str!("../fixtures/addresses.some.json"));
    let of = |theirs: &str| {
        let found = wallet::oldest(&told.data, theirs, (Asset::Eth, &network("x1")));
        found.unwrap().map(|address| address.address)
    };
    assert_eq!(of("ethereum").unwrap(), "0x788cabe9236ce061e5a892e1a59395a81fc8d62c");
    assert_eq!(of("base").unwrap(), "0x2222222222222222222222222222222222222222");
    assert_eq!(of("solana"), None);
}

#[test]
fn credits_are_told_and_unknown_words_are_pending() {
    let json = include_str!("../fixtures/transactions.every_status.json");
    let told: wire::Many<wire::Transaction> = fixture(json);
    let ours = |name: &str| (name == "ethereum").then(|| network("ethereum"));
    let deposits: Vec<_> =
        told.data.iter().filter_map(|of| wallet::deposit(of, Asset::Eth, ours).unwrap()).collect();
    use Passage::{Done, Failed, Pending};
    let passages: Vec<_> = deposits.iter().map(|deposit| deposit.passage).collect();
    let by_status = [Done, Pending, Failed, Failed, Failed, Pending, Pending];
    assert_eq!(passages[..7], by_status);
    assert_eq!(passages[7..], [Done; 3], "no debit, no execution, nothing below a minor unit");
    let networks: Vec<_> = deposits[7..].iter().map(|deposit| deposit.network.as_str()).collect();
    assert_eq!(networks, ["polygon", "ethereum", "ethereum"]);
    assert_eq!(deposits[9].tx_id, "", "within the venue");
    assert!(told.data.iter().all(|of| of.kind != "receive"
        || of.amount.amount.0.is_zero()
        || wallet::deposit(of, Asset::Btc, ours).is_err()));
}

#[test]
fn a_send_is_whole_from_asking_to_its_end() {
    let of = |json: &str, fee: Option<i128>| {
        let told: wire::One<wire::Transaction> = fixture(json);
        let fee = fee.map(|fee| Amount::try_new(fee, Asset::Eth).unwrap());
        wallet::withdrawal(&told.data, Asset::Eth, &client_ref("w-0001-1"), fee)
    };
    let expected = 960_000_000_000_000;
    let pending = include_str!("../fixtures/send.pending.json");
    let completed = include_str!("../fixtures/send.completed.json");
    let asked = of(pending, Some(expected)).unwrap();
    let done = of(completed, Some(expected)).unwrap();
    assert_eq!((asked.passage, done.passage), (Passage::Pending, Passage::Done));
    assert_eq!((asked.net, asked.fee), (done.net, done.fee), "as expected");
    assert_eq!(done.net.minor() + done.fee.minor(), 250_000_000_000_000_000);
    assert!(asked.tx_id.is_none() && done.tx_id.is_some());
    let dearer = completed.replace("0.00096", "0.002");
    assert_eq!(of(&dearer, Some(expected)).unwrap().fee.minor(), 2_000_000_000_000_000, "told");
    let elsewhere = completed
        .replace("\"0.00096\", \"currency\": \"ETH\"", "\"0.00096\", \"currency\": \"SOL\"");
    assert_ne!(elsewhere, completed);
    assert_eq!(of(&elsewhere, None).unwrap().fee.minor(), 0, "from another balance");
    for (what, other) in [
        ("\"0.00096\"", "\"0.25\""),
        ("\"-0.25\"", "\"0\""),
        ("\"currency\": \"ETH\"}, \"native", "\"currency\": \"BTC\"}, \"native"),
    ] {
        assert!(completed.contains(what), "{what}");
        assert!(of(&completed.replace(what, other), None).is_err(), "{other}");
    }
}
