//! No edge that nobody uses: each declared dependency is named in the code of its crate, as
//! `name::…` or in a `use`. A dependency that only its tests name belongs to the tests.

use anyhow::{Context, Result};

use crate::{
    Violation,
    graph::Package,
    repository::Source,
    tokens::{Token, tokens, without_tests},
};

/// The names a crate's code reaches through: in its product code, and anywhere at all.
#[derive(Debug, Default)]
pub struct Reached {
    product: Vec<String>,
    anywhere: Vec<String>,
}

impl Reached {
    pub fn read(package: &Package, sources: &[Source]) -> Result<Self> {
        let mut reached = Self::default();
        let prefix = format!("{}/", package.folder);
        for source in sources.iter().filter(|source| source.has_extension("rs")) {
            let Some(inside) = source.path.strip_prefix(&prefix) else {
                continue;
            };
            // A crate inside another crate's folder (testkit/db) has a manifest of its own.
            if !["src/", "tests/", "benches/", "build.rs"]
                .iter()
                .any(|part| inside.starts_with(part))
            {
                continue;
            }
            reached.add(source).with_context(|| source.path.clone())?;
        }
        Ok(reached)
    }

    fn add(&mut self, source: &Source) -> Result<()> {
        let all = tokens(&source.text)?;
        if !source.is_test() {
            collect(&without_tests(&all), &mut self.product);
        }
        collect(&all, &mut self.anywhere);
        Ok(())
    }
}

fn collect(tokens: &[Token], names: &mut Vec<String>) {
    for (index, token) in tokens.iter().enumerate() {
        let Some(word) = token.word() else { continue };
        let next = |ahead: usize| index.checked_add(ahead).and_then(|at| tokens.get(at));
        let path =
            next(1).is_some_and(|t| t.is_sign(':')) && next(2).is_some_and(|t| t.is_sign(':'));
        let before = index.checked_sub(1).and_then(|at| tokens.get(at));
        let imported = before.is_some_and(|t| t.is_word("use") || t.is_word("crate"));
        if (path || imported) && !names.iter().any(|name| name == word) {
            names.push(word.to_owned());
        }
    }
}

pub fn unused_edges(package: &Package, reached: &Reached) -> Vec<Violation> {
    let mut violations = Vec::new();
    for edge in &package.edges {
        let name = edge.called.replace('-', "_");
        let names = if edge.for_tests { &reached.anywhere } else { &reached.product };
        if names.contains(&name) {
            continue;
        }
        let reason = if reached.anywhere.contains(&name) {
            format!("only tests use {}: it is a dev-dependency", edge.to)
        } else {
            format!("declares {} and never uses it", edge.to)
        };
        violations.push(Violation::new(&package.name, reason));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Edge;

    fn judge(edges: &[(&str, bool)], files: &[(&str, &str)]) -> Vec<Violation> {
        let edge = |(to, for_tests): &(&str, bool)| Edge {
            to: (*to).to_owned(),
            called: (*to).to_owned(),
            for_tests: *for_tests,
            ours: false,
        };
        let package = Package {
            name: "room".to_owned(),
            folder: "room".to_owned(),
            edges: edges.iter().map(edge).collect(),
            features: Vec::new(),
            test_binaries: 0,
        };
        let sources: Vec<Source> = files.iter().map(|(p, t)| Source::new(*p, *t)).collect();
        unused_edges(&package, &Reached::read(&package, &sources).unwrap())
    }

    #[test]
    fn a_dependency_nobody_names_is_caught() {
        let file = ("room/src/lib.rs", "// uses url\nlet hex = 1; use chrono::Utc;");
        let found = judge(&[("url", false), ("hex", false), ("chrono", false)], &[file]);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|violation| violation.reason.contains("never uses it")));
    }

    #[test]
    fn a_dependency_that_only_tests_name_is_caught() {
        let file = ("room/src/lib.rs", "#[cfg(test)] mod tests { use proptest::prelude::*; }");
        let found = judge(&[("proptest", false)], &[file]);
        assert_eq!(found[0].reason, "only tests use proptest: it is a dev-dependency");
        assert_eq!(judge(&[("proptest", true)], &[file]), []);
    }

    #[test]
    fn derives_attributes_and_dashes_count() {
        let file =
            ("room/src/lib.rs", "#[derive(serde::Serialize)] struct A; pub use async_trait;");
        assert_eq!(judge(&[("serde", false), ("async-trait", false)], &[file]), []);
    }
}
