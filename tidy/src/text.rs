//! Words and characters no written file may hold: marks of unfinished work, paths of somebody's
//! machine, tabs, tests that switch off all others, download addresses in lock files.

use crate::{Violation, repository::Source};

// Put together here, so that this file does not break its own rules.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Marks of work somebody meant to come back to.
pub fn marks(source: &Source) -> Vec<Violation> {
    found(
        source,
        |line| MARKS.iter().any(|mark| holds_word(line, mark)),
        "a mark of unfinished work",
    )
}

fn holds_word(line: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at.saturating_add(word.len())..).and_then(|text| text.chars().next());
        boundary(before) && boundary(after)
    })
}

/// Absolute paths that exist on one machine only. A longer path that merely contains the words
/// (an address, a relative path) is not one.
pub fn machine_paths(source: &Source) -> Vec<Violation> {
    let absolute = |line: &str, path: &str| {
        line.match_indices(path).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || "._-~}/$".contains(c))
        })
    };
    let judge = |line: &str| MACHINE_PATHS.iter().any(|path| absolute(line, path));
    found(source, judge, "a path of one machine")
}

/// Tabs, except where the format asks for them.
pub fn tabs(source: &Source) -> Vec<Violation> {
    if source.path.ends_with("Makefile") {
        return Vec::new();
    }
    found(source, |line| line.contains('\t'), "a tab")
}

/// In JavaScript test runners `.only` silently switches off every other test.
pub fn only_tests(source: &Source) -> Vec<Violation> {
    let script = source.extension().is_some_and(|e| ["js", "mjs", "cjs", "ts"].contains(&e));
    if !script {
        return Vec::new();
    }
    found(source, |line| line.contains(concat!(".on", "ly(")), "runs this test only")
}

/// A lock file of npm names versions and checksums, never the host a package came from.
pub fn download_addresses(path: &str, lock: &str) -> Vec<Violation> {
    let source = Source::new(path, lock);
    found(&source, |line| line.contains("\"resolved\""), "an address of a download host")
}

fn found(source: &Source, judge: impl Fn(&str) -> bool, reason: &str) -> Vec<Violation> {
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| judge(line))
        .map(|(index, _)| Violation::at(&source.path, index.saturating_add(1), reason))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_caught_as_words() {
        for mark in MARKS {
            assert_eq!(marks(&Source::new("a.rs", format!("x\n// {mark}: later"))).len(), 1);
            assert_eq!(marks(&Source::new("a.rs", format!("{mark}X{mark}"))), []);
        }
    }

    #[test]
    fn machine_paths_are_caught() {
        for path in MACHINE_PATHS {
            let planted = format!("read(\"{path}me/file\")");
            assert_eq!(machine_paths(&Source::new("a.sh", planted)).len(), 1);
            let fine = format!("cd \"..{path}x\" && get \"$HOST{path}x\"");
            assert_eq!(machine_paths(&Source::new("a.sh", fine)), []);
        }
    }

    #[test]
    fn tabs_are_caught_outside_a_makefile() {
        assert_eq!(tabs(&Source::new("a.sql", "\tselect 1")).len(), 1);
        assert_eq!(tabs(&Source::new("Makefile", "\tcargo build")), []);
    }

    #[test]
    fn a_lonely_test_is_caught() {
        let planted = concat!("test.on", "ly('pays', () => {})");
        assert_eq!(only_tests(&Source::new("web/e2e/pay.ts", planted)).len(), 1);
        assert_eq!(only_tests(&Source::new("docs/A.md", planted)), []);
    }

    #[test]
    fn a_download_address_is_caught() {
        let lock = "{\n  \"resolved\": \"https://example.org/a.tgz\"\n}";
        assert_eq!(download_addresses("package-lock.json", lock).len(), 1);
    }
}
