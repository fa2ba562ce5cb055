//! Deposit addresses that are well formed on their network and depend on the seed alone.
//!
//! Nobody holds a key to them. Networks without an address form here have no address.

use sha2::{Digest, Sha256};

use crate::keys;

const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The address of `venue` on the main network of `bitcoin`, `ethereum`, `base` or `solana`.
#[must_use]
pub fn deposit_address(seed: u64, venue: &str, network: &str) -> Option<String> {
    address_on(seed, venue, network, "bc")
}

/// As [`deposit_address`]; `hrp` begins a segwit address of the chain at hand.
#[must_use]
pub fn address_on(seed: u64, venue: &str, network: &str, hrp: &str) -> Option<String> {
    // One wallet for every EVM network, as at the vendors.
    let wallet = if network == "base" { "ethereum" } else { network };
    let label = format!("deposit/{venue}/{wallet}");
    let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(&label).finalize();
    let twenty = digest.get(..20)?;
    match wallet {
        "bitcoin" => Some(segwit(hrp, twenty)),
        "ethereum" => Some(format!("0x{}", hex::encode(twenty))),
        // A point of the curve: wallets refuse to own tokens at any other 32 bytes.
        "solana" => Some(base58(&keys::public_key(seed, &label))),
        _ => None,
    }
}

/// A transaction's id as that network writes it.
pub(crate) fn transaction_id(network: &str, random: [u8; 64]) -> String {
    let half = random.get(..32).unwrap_or_default();
    match network {
        "bitcoin" => hex::encode(half),
        "solana" => base58(&random),
        _ => format!("0x{}", hex::encode(half)),
    }
}

/// Whether this could be an address of the network: its letters, its length, its beginning. The
/// checksums are the sender's business here.
pub(crate) fn is_address(network: &str, text: &str) -> bool {
    let base58 = || text.bytes().all(|b| BASE58.contains(&b));
    match network {
        "bitcoin" => {
            let segwit = ["bc1", "tb1", "bcrt1"].iter().any(|hrp| {
                text.strip_prefix(hrp).is_some_and(|data| data.bytes().all(|b| BECH32.contains(&b)))
            });
            (14..=90).contains(&text.len()) && (segwit || base58())
        }
        "solana" => (32..=44).contains(&text.len()) && base58(),
        _ => text.strip_prefix("0x").is_some_and(|digits| {
            digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit())
        }),
    }
}

/// BIP 173: a version 0 witness program, of 20 bytes for a key or 32 for a script.
pub(crate) fn segwit(hrp: &str, program: &[u8]) -> String {
    let mut data = vec![0_u8];
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in program {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            data.push(u8::try_from((held >> bits) & 31).unwrap_or(0));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        data.push(u8::try_from((held << (5 - bits)) & 31).unwrap_or(0));
    }
    let mut checked: Vec<u8> = hrp.bytes().map(|b| b >> 5).collect();
    checked.push(0);
    checked.extend(hrp.bytes().map(|b| b & 31));
    checked.extend_from_slice(&data);
    checked.extend_from_slice(&[0; 6]);
    let sum = polymod(&checked) ^ 1;
    data.extend((0..6_u32).map(|i| u8::try_from((sum >> (5 * (5 - i))) & 31).unwrap_or(0)));
    let letter = |five: u8| BECH32.get(usize::from(five)).copied().map_or('q', char::from);
    format!("{hrp}1{}", data.into_iter().map(letter).collect::<String>())
}

fn polymod(values: &[u8]) -> u32 {
    const GENERATORS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.iter().fold(1, |sum: u32, value| {
        let top = sum >> 25;
        let shifted = ((sum & 0x01ff_ffff) << 5) ^ u32::from(*value);
        GENERATORS
            .iter()
            .enumerate()
            .filter(|(bit, _)| (top >> bit) & 1 == 1)
            .fold(shifted, |sum, (_, generator)| sum ^ generator)
    })
}

/// The bytes that [`base58`] writes so; `None` for other letters.
pub(crate) fn from_base58(text: &str) -> Option<Vec<u8>> {
    let mut bytes: Vec<u32> = Vec::new();
    for letter in text.bytes() {
        let mut carry = u32::try_from(BASE58.iter().position(|known| *known == letter)?).ok()?;
        for byte in &mut bytes {
            carry += *byte * 58;
            *byte = carry & 255;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry & 255);
            carry >>= 8;
        }
    }
    let zeros = text.bytes().take_while(|letter| *letter == b'1').count();
    let rest = bytes.iter().rev().map(|byte| u8::try_from(*byte).ok());
    std::iter::repeat_n(Some(0), zeros).chain(rest).collect()
}

pub(crate) fn base58(bytes: &[u8]) -> String {
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let letter = |digit: &u32| {
        let at = usize::try_from(*digit).unwrap_or(0);
        BASE58.get(at).copied().map_or('1', char::from)
    };
    "1".repeat(zeros) + &digits.iter().rev().map(letter).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    // BIP 173's own example, and a known Base58 pair.
    #[test]
    fn encodes_as_the_standards_say() {
        let program = hex::decode("751e76e8199196d454941c45d1b3a323f1433bd6").unwrap();
        assert_eq!(segwit("bc", &program), "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
        let test = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
        assert_eq!(segwit("tb", &program), test);
        assert!(is_address("bitcoin", test) && !is_address("bitcoin", "0x00"));
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(base58(&[0, 0, 1]), "112");
        for bytes in [&b"Hello World!"[..], &[0, 0, 1], &[0; 32], &[255; 32], &[]] {
            assert_eq!(from_base58(&base58(bytes)).unwrap(), bytes);
        }
        assert_eq!(from_base58("0OIl"), None);
        // BIP 173's script of 32 bytes.
        let script = "1863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262";
        let expected = "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7";
        assert_eq!(segwit("tb", &hex::decode(script).unwrap()), expected);
    }
}
