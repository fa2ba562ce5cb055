//! `solana:` transfer requests (Solana Pay): what a QR carries and a wallet reads.
//!
//! Invariants: amounts are units with a dot, never scientific; every key is base58 of 32 bytes; a
//! transaction request (a link instead of a wallet) is refused: we never write one.

use percent_encoding::percent_decode_str;
use primitives::{Amount, Asset};

use crate::UriError;

/// Longer than any honest request.
const LONGEST: usize = 2_000;

/// What a transfer request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SolanaPay {
    /// The wallet, not its token account.
    pub recipient: String,
    /// Units of the coin or token, in digits.
    pub amount: Option<String>,
    /// The mint; the network's coin without one.
    pub spl_token: Option<String>,
    pub references: Vec<String>,
    pub label: Option<String>,
    pub message: Option<String>,
    pub memo: Option<String>,
}

/// # Errors
/// `NotPositive` for zero or less, `BadAddress` unless all keys are keys, `UnknownAsset` when a
/// coin that is not SOL has no mint.
pub fn write(
    recipient: &str,
    payable: Amount,
    mint: Option<&str>,
    reference: &str,
) -> Result<String, UriError> {
    if !payable.is_positive() {
        return Err(UriError::NotPositive);
    }
    if mint.is_none() && payable.asset() != Asset::Sol {
        return Err(UriError::UnknownAsset);
    }
    if !is_key(recipient) || !is_key(reference) || !mint.is_none_or(is_key) {
        return Err(UriError::BadAddress);
    }
    let token = mint.map(|mint| format!("&spl-token={mint}")).unwrap_or_default();
    Ok(format!("solana:{recipient}?amount={}{token}&reference={reference}", payable.to_units()))
}

/// # Errors
/// `Malformed` with what is wrong.
pub fn parse(uri: &str) -> Result<SolanaPay, UriError> {
    let wrong = |why| Err(UriError::Malformed(why));
    if uri.len() > LONGEST {
        return wrong("too long");
    }
    let rest = uri.strip_prefix("solana:").ok_or(UriError::Malformed("no solana: in front"))?;
    let (recipient, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !is_key(recipient) {
        return Err(UriError::BadAddress);
    }
    let mut parsed = SolanaPay {
        recipient: recipient.to_owned(),
        amount: None,
        spl_token: None,
        references: Vec::new(),
        label: None,
        message: None,
        memo: None,
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key {
            "reference" if is_key(value) => parsed.references.push(value.to_owned()),
            "reference" => return wrong("a reference that is no key"),
            "spl-token" if !is_key(value) => return wrong("a token that is no key"),
            "spl-token" => once(&mut parsed.spl_token, value.to_owned())?,
            "amount" => once(&mut parsed.amount, amount(value)?)?,
            "label" => once(&mut parsed.label, decoded(value)?)?,
            "message" => once(&mut parsed.message, decoded(value)?)?,
            "memo" => once(&mut parsed.memo, decoded(value)?)?,
            _ => {}
        }
    }
    let fraction = parsed.amount.as_deref().and_then(|text| text.split_once('.'));
    if parsed.spl_token.is_none() && fraction.is_some_and(|(_, f)| f.len() > SOL_DECIMALS) {
        return wrong("more decimals than SOL has");
    }
    Ok(parsed)
}

fn once(field: &mut Option<String>, value: String) -> Result<(), UriError> {
    if field.replace(value).is_some() {
        return Err(UriError::Malformed("a parameter given twice"));
    }
    Ok(())
}

/// What the standard calls malformed: more decimals than the coin has. How many a token has, only
/// its mint knows: see [`SolanaPay::payable`].
const SOL_DECIMALS: usize = 9;

impl SolanaPay {
    /// The amount, if this asks for `asset` by the `mint` it has here, none for SOL.
    ///
    /// # Errors
    /// `UnknownAsset` when it asks for something else, `NotPositive` for an open or zero amount,
    /// `Malformed` when the asset has fewer decimals or the amount is beyond all books.
    pub fn payable(&self, asset: Asset, mint: Option<&str>) -> Result<Amount, UriError> {
        if self.spl_token.as_deref() != mint || mint.is_none() != (asset == Asset::Sol) {
            return Err(UriError::UnknownAsset);
        }
        let text = self.amount.as_deref().ok_or(UriError::NotPositive)?;
        let amount = Amount::parse_units(text, asset)
            .map_err(|_| UriError::Malformed("an amount this asset cannot have"))?;
        if amount.is_positive() { Ok(amount) } else { Err(UriError::NotPositive) }
    }
}

/// The standard: digits, a zero before the dot, no scientific notation.
fn amount(text: &str) -> Result<String, UriError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || text.len() > 40 {
        return Err(UriError::Malformed("an amount that is no number of units"));
    }
    Ok(text.to_owned())
}

fn decoded(text: &str) -> Result<String, UriError> {
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text).decode_utf8();
    text.map(|text| text.into_owned()).map_err(|_| UriError::Malformed("text that is no text"))
}

const BASE58: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Base58 of exactly 32 bytes. Whether it is a point of the curve is for the chain to say.
fn is_key(text: &str) -> bool {
    if !(32..=44).contains(&text.len()) {
        return false;
    }
    // The number, least byte first; leading ones are leading zero bytes.
    let mut number = [0_u8; 32];
    for letter in text.chars() {
        let Some(digit) = BASE58.find(letter) else { return false };
        let mut carry = digit;
        for byte in &mut number {
            let value = usize::from(*byte) * 58 + carry;
            let Ok(low) = u8::try_from(value & 0xff) else { return false };
            (*byte, carry) = (low, value >> 8);
        }
        if carry > 0 {
            return false;
        }
    }
    let zeros = text.bytes().take_while(|byte| *byte == b'1').count();
    let significant = number.iter().rev().skip_while(|byte| **byte == 0).count();
    zeros + significant == number.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALLET: &str = "mvines9iiHiQTysrwkJjGf2gb9Ex9jXJX8ns3qwf2kN";
    const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
    const REFERENCE: &str = "82ZJ7nbGpixjeDCmEhUcmwXYfvurzAgGdtSMuHnUgyny";

    // The examples of the Solana Pay specification.
    #[test]
    fn reads_the_published_examples() {
        let one = format!(
            "solana:{WALLET}?amount=1&label=Michael&message=Thanks%20for%20all\
             %20the%20fish&memo=OrderId12345"
        );
        let parsed = parse(&one).unwrap();
        assert_eq!(parsed.recipient, WALLET);
        assert_eq!(parsed.amount.as_deref(), Some("1"));
        assert_eq!(parsed.message.as_deref(), Some("Thanks for all the fish"));
        assert_eq!(parsed.memo.as_deref(), Some("OrderId12345"));
        assert_eq!(parsed.spl_token, None);
        let usdc = format!("solana:{WALLET}?amount=0.01&spl-token={USDC}");
        let parsed = parse(&usdc).unwrap();
        assert_eq!(
            (parsed.amount.as_deref(), parsed.spl_token.as_deref()),
            (Some("0.01"), Some(USDC))
        );
        let open = parse(&format!("solana:{WALLET}?label=Michael")).unwrap();
        assert_eq!(open.amount, None);
    }

    // The vectors of the reference implementation's own tests, @solana/pay `parseURL.test.ts`.
    #[test]
    fn reads_the_vectors_of_the_reference_implementation() {
        let words = "label=Michael&message=Thanks%20for%20all%20the%20fish&memo=OrderId5678";
        let uri = format!("solana:{WALLET}?amount=0.000000001&reference={REFERENCE}&{words}");
        let parsed = parse(&uri).unwrap();
        assert_eq!(parsed.payable(Asset::Sol, None), Ok(Amount::try_new(1, Asset::Sol).unwrap()));
        assert_eq!(parsed.references, [REFERENCE]);
        assert_eq!(
            (parsed.label.as_deref(), parsed.memo.as_deref()),
            (Some("Michael"), Some("OrderId5678"))
        );
        let uri = format!("solana:{WALLET}?amount=1.01&spl-token={REFERENCE}&{words}");
        let parsed = parse(&uri).unwrap();
        let payable = parsed.payable(Asset::Usdc, Some(REFERENCE)).unwrap();
        assert_eq!(payable.minor(), 1_010_000);
        assert_eq!(parsed.payable(Asset::Usdc, Some(USDC)), Err(UriError::UnknownAsset));
        assert_eq!(parsed.payable(Asset::Sol, None), Err(UriError::UnknownAsset));
        let open = parse(&format!("solana:{WALLET}?reference={REFERENCE}&{words}")).unwrap();
        assert_eq!((open.amount.as_ref(), open.spl_token.as_ref()), (None, None));
        assert_eq!(open.payable(Asset::Sol, None), Err(UriError::NotPositive));
        let bad = [
            "X".repeat(2_049),
            "eth:0xffff".to_owned(),
            "solana:0xffff".to_owned(),
            format!("solana:{WALLET}?amount=1milliondollars"),
            format!("solana:{WALLET}?amount=-0.1"),
            format!("solana:{WALLET}?amount=-100"),
            format!("solana:{WALLET}?amount=1&spl-token=0xffff"),
            format!("solana:{WALLET}?amount=1&reference=0xffff"),
        ];
        for uri in bad {
            assert!(parse(&uri).is_err(), "{uri}");
        }
        let two = format!("solana:{WALLET}?amount=12345&reference={USDC}&reference={REFERENCE}");
        assert_eq!(parse(&two).unwrap().references, [USDC, REFERENCE]);
    }

    #[test]
    fn a_key_is_base58_of_32_bytes_and_amounts_have_the_places_of_their_asset() {
        let zeros = "1".repeat(32);
        for good in [WALLET, USDC, REFERENCE, zeros.as_str()] {
            assert!(is_key(good), "{good}");
        }
        // 31 and 33 bytes, too large a number, letters that are none.
        let bad = ["1".repeat(31), "1".repeat(33), "z".repeat(44), format!("{}0", &WALLET[1..])];
        for text in bad {
            assert!(!is_key(&text), "{text}");
        }
        let fine = |amount: &str| parse(&format!("solana:{WALLET}?amount={amount}"));
        assert!(fine("1.000000001").is_ok() && fine("1.0000000001").is_err());
        let cents = parse(&format!("solana:{WALLET}?amount=1.0000001&spl-token={USDC}")).unwrap();
        assert!(matches!(cents.payable(Asset::Usdc, Some(USDC)), Err(UriError::Malformed(_))));
    }

    #[test]
    fn refuses_what_the_standard_refuses() {
        for amount in ["1e3", ".5", "-1", "1,5", "", "0x1", "1.", "١"] {
            assert!(parse(&format!("solana:{WALLET}?amount={amount}")).is_err(), "{amount}");
        }
        let bad = [
            "solana:https%3A%2F%2Fexample.com%2Fsolana-pay".to_owned(),
            "bitcoin:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2".to_owned(),
            format!("solana:{WALLET}?amount=1&amount=2"),
            format!("solana:{WALLET}?spl-token=USDC"),
            format!("solana:{WALLET}?reference=order-42"),
            format!("solana:{WALLET}?label={}", "x".repeat(3_000)),
            "solana:".to_owned(),
        ];
        for uri in bad {
            assert!(parse(&uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let sol = Amount::parse_units("0.25", Asset::Sol).unwrap();
        let uri = write(WALLET, sol, None, REFERENCE).unwrap();
        assert_eq!(uri, format!("solana:{WALLET}?amount=0.250000000&reference={REFERENCE}"));
        assert_eq!(parse(&uri).unwrap().references, [REFERENCE]);
        let usdc = Amount::parse_units("2.5", Asset::Usdc).unwrap();
        let uri = write(WALLET, usdc, Some(USDC), REFERENCE).unwrap();
        assert_eq!(parse(&uri).unwrap().spl_token.as_deref(), Some(USDC));
        assert_eq!(write(WALLET, usdc, None, REFERENCE), Err(UriError::UnknownAsset));
        let nothing = Amount::zero(Asset::Sol);
        assert_eq!(write(WALLET, nothing, None, REFERENCE), Err(UriError::NotPositive));
        assert_eq!(write("0x12", sol, None, REFERENCE), Err(UriError::BadAddress));
    }
}
