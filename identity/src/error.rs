//! What can go wrong in this room, by what the caller can do about it.

/// A refusal the caller can act on, or weather.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a name has 1 to 100 visible characters")]
    NameRefused,
    #[error("a key needs at least one scope")]
    NoScope,
    #[error("the database did not answer as expected")]
    Database(#[from] sqlx::Error),
}

/// Names are shown to people, so nothing in them may be invisible or turn the text around. The
/// joiners stay: Indic scripts are written with them.
pub(crate) fn checked_name(name: &str) -> Result<&str, Error> {
    let trimmed = name.trim();
    let visible = |c: char| {
        !c.is_control()
            && !matches!(
                c,
                '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            )
            && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if trimmed.is_empty() || trimmed.chars().count() > 100 || !trimmed.chars().all(visible) {
        return Err(Error::NameRefused);
    }
    Ok(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_visible() {
        assert_eq!(checked_name(" Ravi Stores ").unwrap(), "Ravi Stores");
        assert_eq!(checked_name("रवि स्टोर्स").unwrap(), "रवि स्टोर्स");
        let long = "x".repeat(101);
        for bad in ["", "  ", "a\0b", "a\nb", "a\u{202e}b", "\u{2066}a", long.as_str()] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
    }
}
