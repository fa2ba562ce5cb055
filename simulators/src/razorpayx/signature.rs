//! The vendor's signatures: lower-case hex HMAC-SHA256 over exact bytes.
//!
//! Invariant: what is signed is what is sent; nobody re-serialises in between. The merchant
//! endpoint's Standard Webhooks signatures live in `merchant/`.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Hex HMAC-SHA256 of `message` under `secret`, as in `X-Razorpay-Signature`.
#[must_use]
pub fn sign(secret: &str, message: &[u8]) -> String {
    // HMAC takes keys of any length, so the error arm is empty text that verifies nowhere.
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mut mac| {
            mac.update(message);
            hex::encode(mac.finalize().into_bytes())
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::sign;

    /// The vendor's published vectors, as the handbook lists them.
    #[test]
    fn published_vectors() {
        let secret = "EnLs21M47BllR3X8PSFtjtbd";
        for (text, expected) in [
            (
                "order_IEIaMR65cu6nz3|pay_IH4NVgf4Dreq1l",
                "0d4e745a1838664ad6c9c9902212a32d627d68e917290b0ad5f08ff4561bc50f",
            ),
            (
                "pay_IDZNwZZFtnjyym|sub_ID6MOhgkcoHj9I",
                "601f383334975c714c91a7d97dd723eb56520318355863dcf3821c0d07a17693",
            ),
            (
                "plink_IH3cNucfVEgV68|TSsd1989|paid|pay_IH3d0ara9bSsjQ",
                "07ae18789e35093e51d0a491eb9922646f3f82773547e5b0f67ee3f2d3bf7d5b",
            ),
        ] {
            assert_eq!(sign(secret, text.as_bytes()), expected, "{text}");
        }
        assert_eq!(
            sign("key_secret", b"fake_order_id|fake_payment_id"),
            "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89",
        );
    }
}
