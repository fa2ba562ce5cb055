//! What Rust code must not hold: unfinished work, tests that are skipped, floats in product code;
//! and what each file must begin with.

use anyhow::{Context, Result};

use crate::{
    Violation,
    repository::Source,
    tokens::{Kind, Token, tokens, without_tests},
};

/// Rooms that are no part of the product; `simulators` counts as product, money passes through it.
const FLOATS_ALLOWED: [&str; 2] = ["testkit", "tidy"];

/// A crate whose README is its documentation begins with that instead.
const HEADERS: [&str; 2] = ["//!", "#![doc = include_str!("];

pub fn missing_header(source: &Source) -> Option<Violation> {
    let judged = source.has_extension("rs") && source.path.contains("/src/");
    let missing = judged && !HEADERS.iter().any(|header| source.text.starts_with(header));
    missing.then(|| Violation::new(&source.path, "does not begin with //! and what lives here"))
}

/// Macros that stand for work not done.
pub fn unfinished(source: &Source) -> Result<Vec<Violation>> {
    let tokens = read(source)?;
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    let found = pairs.filter(|(word, sign)| {
        sign.is_sign('!') && (word.is_word("todo") || word.is_word("unimplemented"))
    });
    Ok(found.map(|(word, _)| Violation::at(&source.path, word.line, "unfinished")).collect())
}

/// Tests that do not run. A test that cannot run is a test that fails.
pub fn ignored_tests(source: &Source) -> Result<Vec<Violation>> {
    let tokens = read(source)?;
    let mut violations = Vec::new();
    for window in tokens.windows(3) {
        if let [sign, open, word] = window
            && sign.is_sign('#')
            && open.kind == Kind::Open('[')
            && word.is_word("ignore")
        {
            violations.push(Violation::at(&source.path, word.line, "a test that never runs"));
        }
    }
    Ok(violations)
}

/// Floats in product code: money is integers, prices are decimals, nothing else needs a fraction.
pub fn floats(source: &Source) -> Result<Vec<Violation>> {
    if FLOATS_ALLOWED.contains(&source.room()) || source.is_test() {
        return Ok(Vec::new());
    }
    let tokens = without_tests(&read(source)?);
    let mut violations = Vec::new();
    let mut before: Option<&Token> = None;
    for token in &tokens {
        let float = match &token.kind {
            Kind::Word(word) => word == "f32" || word == "f64",
            // In `pair.0.1` the lexer reads `0.1` as one literal, after a dot.
            Kind::Literal(text) => {
                is_float(text) && !before.is_some_and(|token| token.is_sign('.'))
            }
            _ => false,
        };
        if float {
            violations.push(Violation::at(&source.path, token.line, "a float in product code"));
        }
        before = Some(token);
    }
    Ok(violations)
}

fn is_float(literal: &str) -> bool {
    let number = literal.starts_with(|first: char| first.is_ascii_digit());
    let plain = !["0x", "0b", "0o"].iter().any(|prefix| literal.starts_with(prefix));
    let integer = literal.chars().all(|c| c.is_ascii_digit() || c == '_');
    let suffix = literal.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    number && plain && !integer && !suffix.starts_with(['i', 'u'])
}

fn read(source: &Source) -> Result<Vec<Token>> {
    tokens(&source.text).with_context(|| source.path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("ledger/src/post.rs", text)
    }

    #[test]
    fn a_file_without_a_header_is_caught() {
        assert!(missing_header(&source("use std::fmt;")).is_some());
        assert!(missing_header(&source("//! Posting.")).is_none());
        assert!(missing_header(&source("#![doc = include_str!(\"../README.md\")]")).is_none());
    }

    #[test]
    fn unfinished_work_is_caught_but_not_the_word() {
        assert_eq!(
            unfinished(&source("fn f() {\n todo!() }")).unwrap()[0].place,
            "ledger/src/post.rs:2"
        );
        assert_eq!(unfinished(&source("unimplemented!(\"x\")")).unwrap().len(), 1);
        assert_eq!(unfinished(&source("// todo!\nlet todo = !\"todo!()\";")).unwrap(), []);
    }

    #[test]
    fn an_ignored_test_is_caught() {
        assert_eq!(ignored_tests(&source("#[test]\n#[ignore] fn f() {}")).unwrap().len(), 1);
        assert_eq!(ignored_tests(&source("#[ignore = \"slow\"] fn f() {}")).unwrap().len(), 1);
        assert_eq!(ignored_tests(&source("fn ignore() {}")).unwrap(), []);
    }

    #[test]
    fn floats_are_caught_in_product_code() {
        for planted in ["let a: f64 = b;", "let a = 1.5;", "let a = 1e3;", "let a = 2_f32;"] {
            assert_eq!(floats(&source(planted)).unwrap().len(), 1, "{planted}");
        }
    }

    #[test]
    fn what_only_looks_like_a_float_is_not() {
        for fine in ["pair.0.1", "0x1e3", "1_000u64", "1i128", "0..10", "\"1.5\"", "b\"1.5\""] {
            assert_eq!(floats(&source(fine)).unwrap(), [], "{fine}");
        }
        let test = source("#[cfg(test)] mod tests { fn f() { let a = 1.5; } }");
        assert_eq!(floats(&test).unwrap(), []);
    }
}
