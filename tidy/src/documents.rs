//! Markdown: one title, at the top, and references that lead somewhere. A document that names a
//! file which is gone is worse than none.

use crate::{Violation, repository::Source};

/// Lines outside fenced code, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((index.saturating_add(1), line));
        }
    }
    lines
}

pub fn titles(source: &Source) -> Vec<Violation> {
    let lines = prose(&source.text);
    let titles: Vec<usize> = lines
        .iter()
        .filter(|(_, line)| line.starts_with("# "))
        .map(|(number, _)| *number)
        .collect();
    let first = lines.iter().find(|(_, line)| !line.trim().is_empty()).map(|(number, _)| *number);
    match titles.as_slice() {
        [only] if Some(*only) == first => Vec::new(),
        [] => vec![Violation::new(&source.path, "has no title")],
        [only] => vec![Violation::at(&source.path, *only, "the title is not at the top")],
        [_, rest @ ..] => {
            let second = |line: &usize| Violation::at(&source.path, *line, "a second title");
            rest.iter().map(second).collect()
        }
    }
}

/// References to files that do not exist: links, and paths between back-ticks. `exists` answers for
/// a path relative to the root.
pub fn dead_references(source: &Source, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut violations = Vec::new();
    for (number, line) in prose(&source.text) {
        let links = links(line).filter(|target| !exists(&join(folder, target)));
        let paths = quoted_paths(line).filter(|path| !exists(path) && !exists(&join(folder, path)));
        for target in links.chain(paths) {
            let reason = format!("{target} does not exist");
            violations.push(Violation::at(&source.path, number, reason));
        }
    }
    violations
}

fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?;
        let target = target.split('#').next()?;
        let outside = target.contains("://") || target.starts_with("mailto:");
        (!target.is_empty() && !outside).then_some(target)
    })
}

const FILES: [&str; 8] = ["rs", "sql", "sh", "md", "toml", "json", "yml", "py"];

fn quoted_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|quoted| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let extension = quoted.rsplit_once('.').map(|(_, extension)| extension);
        quoted.contains('/')
            && !quoted.starts_with('.')
            && quoted.chars().all(plain)
            && extension.is_some_and(|extension| FILES.contains(&extension))
    })
}

fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title_problems(text: &str) -> usize {
        titles(&Source::new("docs/A.md", text)).len()
    }

    #[test]
    fn a_document_has_one_title_at_the_top() {
        assert_eq!(title_problems("# One\n\ntext\n\n```sh\n# a comment\n```\n"), 0);
        assert_eq!(title_problems("text\n# One\n"), 1);
        assert_eq!(title_problems("# One\n# Two\n# Three\n"), 2);
        assert_eq!(title_problems("## Only a part\n"), 1);
    }

    #[test]
    fn dead_references_are_caught() {
        let exists = |path: &str| ["README.md", "api/src/lib.rs", "docs/B.md"].contains(&path);
        let fine = "[b](B.md#part) [up](../README.md) [web](https://example.org) `api/src/lib.rs`";
        assert_eq!(dead_references(&Source::new("docs/A.md", fine), exists), []);
        let planted = "[b](C.md) and `api/src/gone.rs` but not `gone.rs` or `GET /a/b`";
        assert_eq!(dead_references(&Source::new("docs/A.md", planted), exists).len(), 2);
    }
}
