//! Migrations: named by time and sentence, in order, and only ever adding. A running older binary
//! must survive the newer schema; what is to go away goes in a later release.

use crate::Violation;

/// `YYYYMMDDHHMMSS_sentence.sql`, and no two with the same time.
pub fn bad_names(names: &[&str]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut versions: Vec<&str> = Vec::new();
    for name in names {
        let parts = name.strip_suffix(".sql").and_then(|stem| stem.split_once('_'));
        let Some((version, sentence)) = parts else {
            violations.push(Violation::new(*name, "is not YYYYMMDDHHMMSS_sentence.sql"));
            continue;
        };
        let dated = version.len() == 14 && version.chars().all(|c| c.is_ascii_digit());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !dated || sentence.is_empty() || !sentence.chars().all(plain) {
            violations.push(Violation::new(*name, "is not YYYYMMDDHHMMSS_sentence.sql"));
        }
        if versions.contains(&version) {
            violations.push(Violation::new(*name, "has the time of another migration"));
        }
        versions.push(version);
    }
    violations
}

const REMOVALS: [&str; 9] = [
    "drop table",
    "drop column",
    "drop schema",
    "drop type",
    "drop view",
    "truncate table",
    "rename to",
    "rename column",
    "set data type",
];

/// Statements that take something away. The text of comments does not count.
pub fn removals(path: &str, sql: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in sql.lines().enumerate() {
        let statement = line.split("--").next().unwrap_or_default().to_ascii_lowercase();
        let words: Vec<&str> = statement.split_whitespace().collect();
        let spoken = words.join(" ");
        for removal in REMOVALS.iter().filter(|removal| spoken.contains(**removal)) {
            let reason = format!("takes something away: {removal}");
            violations.push(Violation::at(path, index.saturating_add(1), reason));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_time_or_with_the_same_are_caught() {
        let fine = "20261121090000_ledger_accounts.sql";
        assert_eq!(bad_names(&[fine]), []);
        assert_eq!(bad_names(&["1_ledger.sql"]).len(), 1);
        assert_eq!(bad_names(&["20261121090000_Ledger.sql"]).len(), 1);
        assert_eq!(bad_names(&[fine, "20261121090000_more.sql"]).len(), 1);
    }

    #[test]
    fn a_removal_is_caught_outside_comments() {
        assert_eq!(removals("a.sql", "alter table a\n  DROP  COLUMN b;")[0].place, "a.sql:2");
        assert_eq!(removals("a.sql", "-- never drop table a\ncreate table a ();"), []);
    }
}
