//! Payment URIs: what a QR carries. Whole base units and an explicit chain id on EVM, plain
//! decimals elsewhere, always: wallets parse scientific notation unevenly (ERC-681 allows it, we
//! never write it).

use primitives::Amount;

/// Why no URI can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("the asset does not exist on this network")]
    UnknownAsset,
    #[error("not an address of this network")]
    BadAddress,
    #[error("a payment URI needs a positive amount")]
    NotPositive,
    #[error("not a payment URI: {0}")]
    Malformed(&'static str),
}

/// An ERC-681 request. `token` is the contract for an ERC-20 transfer, `None` for the native coin.
///
/// # Errors
/// `BadAddress` unless both are `0x` and 40 hex digits; `NotPositive` for zero or less.
pub fn eip681(
    chain_id: u64,
    to: &str,
    token: Option<&str>,
    payable: Amount,
) -> Result<String, UriError> {
    if !payable.is_positive() {
        return Err(UriError::NotPositive);
    }
    if !is_evm_address(to) || !token.is_none_or(is_evm_address) {
        return Err(UriError::BadAddress);
    }
    let minor = payable.minor();
    Ok(match token {
        None => format!("ethereum:{to}@{chain_id}?value={minor}"),
        Some(token) => format!("ethereum:{token}@{chain_id}/transfer?address={to}&uint256={minor}"),
    })
}

/// What an ERC-681 request asks for, as far as payments go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eip681 {
    pub chain_id: u64,
    pub to: String,
    /// The contract for an ERC-20 transfer, none for the native coin.
    pub token: Option<String>,
    /// Base units, in digits.
    pub minor: Option<String>,
}

/// Reads a request the way a careful wallet does: a payment of the native coin or an ERC-20
/// transfer, digits only, to plain addresses (names are not resolved here).
///
/// # Errors
/// `Malformed` with what is wrong, `BadAddress`.
pub fn parse_eip681(uri: &str) -> Result<Eip681, UriError> {
    let wrong = |why| Err(UriError::Malformed(why));
    if uri.len() > 500 {
        return wrong("too long");
    }
    let rest = uri.strip_prefix("ethereum:").ok_or(UriError::Malformed("no ethereum: in front"))?;
    let rest = rest.strip_prefix("pay-").unwrap_or(rest);
    let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (target, function) =
        target.split_once('/').map_or((target, None), |(target, name)| (target, Some(name)));
    let (target, chain) = target.split_once('@').unwrap_or((target, "1"));
    let chain_id = chain.parse().map_err(|_| UriError::Malformed("a chain id that is none"))?;
    if !is_evm_address(target) {
        return Err(UriError::BadAddress);
    }
    let mut given: [Option<&str>; 3] = [None; 3];
    let [value, address, units] = &mut given;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, text) = parameter.split_once('=').unwrap_or((parameter, ""));
        let field = match key {
            "value" => &mut *value,
            "address" => &mut *address,
            "uint256" => &mut *units,
            _ => continue,
        };
        if field.replace(text).is_some() {
            return wrong("a parameter given twice");
        }
    }
    let digits = |text: &str| {
        let plain = !text.is_empty() && text.len() <= 78;
        plain && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !value.iter().chain(units.iter()).all(|text| digits(text)) {
        return wrong("an amount that is not in digits");
    }
    let minor = |text: Option<&str>| text.map(str::to_owned);
    match function {
        None if address.is_none() && units.is_none() => {
            Ok(Eip681 { chain_id, to: target.to_owned(), token: None, minor: minor(*value) })
        }
        Some("transfer") if value.is_none() => {
            let to = address.filter(|to| is_evm_address(to)).ok_or(UriError::BadAddress)?;
            let token = Some(target.to_owned());
            Ok(Eip681 { chain_id, to: to.to_owned(), token, minor: minor(*units) })
        }
        _ => wrong("something else than a payment"),
    }
}

fn is_evm_address(text: &str) -> bool {
    text.strip_prefix("0x")
        .is_some_and(|hex| hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use primitives::Asset;

    use super::*;

    // The examples of ERC-681 itself, in base units.
    #[test]
    fn writes_the_standard_examples() {
        let to = "0xfb6916095ca1df60bb79Ce92ce3ea74c37c5d359";
        let ether = Amount::try_new(2_014_000_000_000_000_000, Asset::Eth).unwrap();
        assert_eq!(
            eip681(1, to, None, ether).unwrap(),
            format!("ethereum:{to}@1?value=2014000000000000000")
        );
        let token = "0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7";
        let payee = "0x8e23ee67d1332ad560396262c48ffbb01f93d052";
        let one = Amount::try_new(1, Asset::Usdc).unwrap();
        assert_eq!(
            eip681(1, payee, Some(token), one).unwrap(),
            format!("ethereum:{token}@1/transfer?address={payee}&uint256=1")
        );
        assert_eq!(eip681(1, "0x12", None, ether), Err(UriError::BadAddress));
        assert_eq!(eip681(1, to, None, Amount::zero(Asset::Eth)), Err(UriError::NotPositive));
    }

    #[test]
    fn reads_the_standard_examples() {
        let to = "0xfb6916095ca1df60bb79Ce92ce3ea74c37c5d359";
        let ether = parse_eip681(&format!("ethereum:{to}?value=2014000000000000000")).unwrap();
        assert_eq!((ether.chain_id, ether.to.as_str(), ether.token), (1, to, None));
        assert_eq!(ether.minor.as_deref(), Some("2014000000000000000"));
        let token = "0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7";
        let payee = "0x8e23ee67d1332ad560396262c48ffbb01f93d052";
        let uri = format!("ethereum:{token}/transfer?address={payee}&uint256=1");
        let transfer = parse_eip681(&uri).unwrap();
        assert_eq!((transfer.to.as_str(), transfer.token.as_deref()), (payee, Some(token)));
        let bad = [
            // The standard allows scientific notation and names; we neither write nor follow them.
            format!("ethereum:{to}?value=2.014e18"),
            "ethereum:unicorns.eth?value=1".to_owned(),
            format!("ethereum:{to}@x?value=1"),
            format!("ethereum:{to}?value=-1"),
            format!("ethereum:{to}?value=1&value=2"),
            format!("ethereum:{token}/approve?address={payee}&uint256=1"),
            format!("ethereum:{token}/transfer?address=0x12&uint256=1"),
            format!("bitcoin:{to}?value=1"),
        ];
        for uri in bad {
            assert!(parse_eip681(&uri).is_err(), "{uri}");
        }
    }
}
