//! Text from outside that is stored and shown to people.
//!
//! Invariant: nothing passes that PostgreSQL cannot store (NUL) or that a screen would hide or turn
//! around (control, zero-width and bidirectional characters).

/// False for control, zero-width, bidirectional and other invisible characters.
pub(crate) fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'
                | '\u{ffff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// As [`is_visible`], and the joiners and variation selectors that Indic scripts and emoji need.
pub(crate) fn is_written(c: char) -> bool {
    is_visible(c) || matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// True when `text` is a name for machines to compare: `min..=max` characters, all of them
/// visible, no space but the plain one and none at either end.
pub(crate) fn is_label(text: &str, min: usize, max: usize) -> bool {
    is_line(text, min, max, is_visible)
}

/// True when `text` is a name for people to read: as a label, with joiners.
pub(crate) fn is_name(text: &str, min: usize, max: usize) -> bool {
    is_line(text, min, max, is_written) && text.chars().any(is_visible)
}

fn is_line(text: &str, min: usize, max: usize, fits: fn(char) -> bool) -> bool {
    (min..=max).contains(&text.chars().count())
        && text.trim() == text
        && text.chars().all(|c| fits(c) && (c == ' ' || !c.is_whitespace()))
}

/// True when `text` may be kept as it is: at most `max` characters, line breaks and tabs included.
pub(crate) fn is_note(text: &str, max: usize) -> bool {
    text.chars().count() <= max && text.chars().all(|c| is_written(c) || matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_they_look_like() {
        for good in ["a", "order 12/a", "रवि", "प्रिया 🛒", "É"] {
            assert!(is_label(good, 1, 16), "{good}");
        }
        let bad = [
            "",
            " ",
            " a",
            "a ",
            "a\0b",
            "a\nb",
            "a\u{202e}b",
            "a\u{200d}b",
            "\u{feff}a",
            "a\u{a0}b",
            "a\u{2066}b",
            "12345678901234567",
        ];
        for bad in bad {
            assert!(!is_label(bad, 1, 16), "{bad:?}");
        }
    }

    #[test]
    fn people_write_more_than_machines_compare() {
        for good in ["क्\u{200d}ष", "Ravi \u{1f6cd}\u{fe0f}", "രവി"] {
            assert!(is_name(good, 1, 16) && is_note(good, 16), "{good}");
        }
        assert!(is_note("", 16) && is_note("two\nlines\tand a tab", 32));
        for bad in ["\u{200d}", "a\u{202e}b", "a\0b", "a\u{2066}b"] {
            assert!(!is_name(bad, 1, 16), "{bad:?}");
        }
        for bad in ["a\u{202e}b", "a\0b", "a\u{1b}b", "12345678901234567"] {
            assert!(!is_note(bad, 16), "{bad:?}");
        }
    }
}
