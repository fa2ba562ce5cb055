//! Payment URIs: what a QR carries. Whole base units and an explicit chain id on EVM, plain decimals
//! elsewhere, always: wallets parse scientific notation unevenly (ERC-681 allows it, we never write
//! it).

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
    let is_address = |text: &str| {
        text.strip_prefix("0x")
            .is_some_and(|hex| hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    if !is_address(to) || !token.is_none_or(is_address) {
        return Err(UriError::BadAddress);
    }
    let minor = payable.minor();
    Ok(match token {
        None => format!("ethereum:{to}@{chain_id}?value={minor}"),
        Some(token) => format!("ethereum:{token}@{chain_id}/transfer?address={to}&uint256={minor}"),
    })
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
}
