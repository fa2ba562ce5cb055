//! House rules as code. Each rule is a pure function from text (or from cargo's own description of
//! the workspace) to a list of violations; `tests/it` runs every rule over the repository, and each
//! rule's own tests show that it catches a planted violation.
//!
//! Not here: what clippy and rustfmt already judge (arguments, panics, casts, layout), see the root
//! `Cargo.toml` and `clippy.toml`.

pub mod code;
pub mod documents;
pub mod graph;
pub mod keys;
pub mod migrations;
pub mod names;
pub mod owners;
pub mod repository;
pub mod sizes;
pub mod table;
pub mod text;
pub mod tokens;
pub mod usage;

use std::fmt;

/// Something that breaks a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub place: String,
    pub reason: String,
}

impl Violation {
    pub fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    pub fn at(path: &str, line: usize, reason: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), reason)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// What a failing test prints: the rule in words, then every place that breaks it.
pub fn report(rule: &str, violations: &[Violation]) -> String {
    let mut lines = vec![format!("{rule} ({} found)", violations.len())];
    lines.extend(violations.iter().map(|violation| format!("  {violation}")));
    lines.join("\n")
}
