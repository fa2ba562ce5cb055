//! Ids in the vendor's form (prefix and 14 alphanumerics) and bank references (UTR).
//!
//! Invariant: every character comes from the world's entropy, so a seed replays the same ids.

use primitives::Entropy;

use super::mode::Mode;

const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `prefix` followed by 14 alphanumerics: `pout_`, `fa_`, …
pub(super) fn id(entropy: &Entropy, prefix: &str) -> String {
    format!("{prefix}{}", alphanumeric(entropy, 14))
}

pub(super) fn alphanumeric(entropy: &Entropy, length: usize) -> String {
    pick(entropy, LETTERS, length)
}

fn pick(entropy: &Entropy, letters: &str, length: usize) -> String {
    let bound = u64::try_from(letters.len()).unwrap_or(1);
    (0..length)
        .filter_map(|_| {
            let at = usize::try_from(entropy.below(bound)).unwrap_or(0);
            letters.chars().nth(at)
        })
        .collect()
}

/// The bank's reference: a 12-digit RRN for UPI and IMPS, 16 characters for NEFT, 22 for RTGS.
pub(super) fn utr(entropy: &Entropy, mode: Mode) -> String {
    let digits = |length| pick(entropy, "0123456789", length);
    match mode {
        Mode::Upi | Mode::Imps => format!("5{}", digits(11)),
        Mode::Neft => format!("RATNN5{}", digits(10)),
        Mode::Rtgs => format!("RATNR5{}", digits(16)),
    }
}
