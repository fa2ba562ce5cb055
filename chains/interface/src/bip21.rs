//! `bitcoin:` payment URIs (BIP21): what a QR carries and a wallet reads.
//!
//! Invariant: amounts are whole units with a dot and at most eight decimals, nothing else; a URI
//! with a required parameter that is not understood is refused whole, as the standard says.

use percent_encoding::percent_decode_str;
use primitives::{Amount, Asset};

use crate::UriError;

/// Longer than any honest request.
const LONGEST: usize = 2_000;

/// What a `bitcoin:` URI asks for. The address is not checked: which network it is of is for the
/// chain to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bip21 {
    pub address: String,
    pub amount: Option<Amount>,
    pub label: Option<String>,
    pub message: Option<String>,
}

/// # Errors
/// `UnknownAsset` for anything but BTC, `NotPositive` for zero or less, `BadAddress` unless the
/// address is letters and digits.
pub fn write(address: &str, payable: Amount) -> Result<String, UriError> {
    if payable.asset() != Asset::Btc {
        return Err(UriError::UnknownAsset);
    }
    if !payable.is_positive() {
        return Err(UriError::NotPositive);
    }
    if !is_plain(address) {
        return Err(UriError::BadAddress);
    }
    Ok(format!("bitcoin:{address}?amount={}", payable.to_units()))
}

/// # Errors
/// `Malformed` with what is wrong.
pub fn parse(uri: &str) -> Result<Bip21, UriError> {
    let wrong = |why| Err(UriError::Malformed(why));
    if uri.len() > LONGEST {
        return wrong("too long");
    }
    let (scheme, rest) = uri.split_once(':').ok_or(UriError::Malformed("no scheme"))?;
    if !scheme.eq_ignore_ascii_case("bitcoin") {
        return wrong("another scheme than bitcoin");
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !is_plain(address) {
        return Err(UriError::BadAddress);
    }
    let mut parsed =
        Bip21 { address: address.to_owned(), amount: None, label: None, message: None };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key.to_ascii_lowercase().as_str() {
            "amount" if parsed.amount.is_some() => return wrong("two amounts"),
            "amount" => parsed.amount = Some(amount(value)?),
            "label" => parsed.label = Some(decoded(value)?),
            "message" => parsed.message = Some(decoded(value)?),
            key if key.starts_with("req-") => return wrong("requires what is not understood"),
            _ => {}
        }
    }
    Ok(parsed)
}

fn amount(text: &str) -> Result<Amount, UriError> {
    let wrong = UriError::Malformed("an amount that is no number of bitcoins");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(wrong);
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let text = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    let amount = Amount::parse_units(&text, Asset::Btc).map_err(|_| wrong)?;
    if amount.is_positive() { Ok(amount) } else { Err(UriError::NotPositive) }
}

fn decoded(text: &str) -> Result<String, UriError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(|text| text.into_owned()).map_err(|_| UriError::Malformed("text that is no text"))
}

fn is_plain(address: &str) -> bool {
    (14..=90).contains(&address.len()) && address.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "175tWpb8K1S7NmH4Zx6rewF9WQrcZv245W";

    fn btc(units: &str) -> Option<Amount> {
        Some(Amount::parse_units(units, Asset::Btc).unwrap())
    }

    // The examples of BIP21.
    #[test]
    fn reads_the_published_examples() {
        let plain = Bip21 { address: ADDRESS.to_owned(), amount: None, label: None, message: None };
        assert_eq!(parse(&format!("bitcoin:{ADDRESS}")).unwrap(), plain);
        let labelled = Bip21 { label: Some("Luke-Jr".into()), ..plain.clone() };
        assert_eq!(parse(&format!("bitcoin:{ADDRESS}?label=Luke-Jr")).unwrap(), labelled);
        assert_eq!(
            parse(&format!("bitcoin:{ADDRESS}?amount=20.3&label=Luke-Jr")).unwrap(),
            Bip21 { amount: btc("20.3"), ..labelled.clone() }
        );
        let request = "amount=50&label=Luke-Jr&message=Donation%20for%20project%20xyz";
        assert_eq!(
            parse(&format!("bitcoin:{ADDRESS}?{request}")).unwrap(),
            Bip21 {
                amount: btc("50"),
                message: Some("Donation for project xyz".into()),
                ..labelled
            }
        );
        let required = "req-somethingyoudontunderstand=50&req-somethingelseyoudontget=999";
        assert!(parse(&format!("bitcoin:{ADDRESS}?{required}")).is_err());
        let optional = "somethingyoudontunderstand=50&somethingelseyoudontget=999";
        assert_eq!(parse(&format!("bitcoin:{ADDRESS}?{optional}")).unwrap(), plain);
    }

    #[test]
    fn refuses_amounts_that_are_none() {
        for amount in ["1e3", "1,5", "-1", "+1", "0", "0.000000001", "", ".", "0x10", "1.2.3", "١"]
        {
            assert!(parse(&format!("bitcoin:{ADDRESS}?amount={amount}")).is_err(), "{amount}");
        }
        assert!(parse(&format!("bitcoin:{ADDRESS}?amount=1&amount=2")).is_err());
        assert!(parse(&format!("litecoin:{ADDRESS}")).is_err());
        assert!(parse("bitcoin:?amount=1").is_err());
        assert!(parse(&format!("bitcoin:{ADDRESS}?label={}", "x".repeat(3_000))).is_err());
    }

    #[test]
    fn writes_what_it_reads() {
        let amount = btc("0.00123456").unwrap();
        let uri = write(ADDRESS, amount).unwrap();
        assert_eq!(uri, format!("bitcoin:{ADDRESS}?amount=0.00123456"));
        assert_eq!(parse(&uri).unwrap().amount, Some(amount));
        let ether = Amount::try_new(1, Asset::Eth).unwrap();
        assert_eq!(write(ADDRESS, ether), Err(UriError::UnknownAsset));
        assert_eq!(write("an address", amount), Err(UriError::BadAddress));
    }
}
