//! Vendor text made fit for our errors, logs and rows.
//!
//! Invariant: bounded, one line, without addresses of people and without account numbers. What a
//! text means is never decided from the redacted form.

const CHARS_MAX: usize = 200;
/// Account numbers in this trade have nine digits and more; codes, ports and times of day less.
const DIGITS_MAX: usize = 8;

/// A vendor's message with everything that looks like a VPA, an e-mail address, a number of an
/// account or a phone replaced by stars.
#[must_use]
pub fn vendor_text(text: &str) -> String {
    let mut out = String::new();
    for word in text.chars().take(4 * CHARS_MAX).collect::<String>().split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if word.contains('@') || digits > DIGITS_MAX {
            out.push_str("***");
        } else {
            out.extend(word.chars().filter(|c| !c.is_control() && !is_bidi(*c)));
        }
    }
    out.chars().take(CHARS_MAX).collect()
}

const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_people_and_accounts() {
        assert_eq!(
            vendor_text("VPA ravi@okaxis of\n account 7878780080316316 is bad (2005)"),
            "VPA *** of account *** is bad (2005)"
        );
        assert_eq!(vendor_text("a\u{202e}b\u{0}c"), "abc");
        assert_eq!(vendor_text(&"x ".repeat(10_000)).chars().count(), CHARS_MAX);
    }
}
