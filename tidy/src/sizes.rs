//! How long things may be: files, functions and lines of Rust, files in `primitives`, folders below
//! `src`. Limits, not habits; the habits are half of them.

use anyhow::{Context, Result};
use syn::{Block, spanned::Spanned, visit::Visit};

use crate::{Violation, repository::Source};

pub const FILE_LINES: usize = 600;
pub const TEST_FILE_LINES: usize = 800;
pub const FUNCTION_LINES: usize = 70;
pub const COLUMNS: usize = 100;
pub const PRIMITIVES_FILES: usize = 14;
pub const FOLDERS_BELOW_SRC: usize = 2;

const CODE: [&str; 6] = ["rs", "sql", "sh", "py", "js", "ts"];

pub fn long_files(source: &Source) -> Option<Violation> {
    if !source.extension().is_some_and(|extension| CODE.contains(&extension)) {
        return None;
    }
    let limit = if source.is_test() { TEST_FILE_LINES } else { FILE_LINES };
    let lines = source.text.lines().count();
    let reason = format!("{lines} lines; the limit is {limit}: split by meaning");
    (lines > limit).then(|| Violation::new(&source.path, reason))
}

pub fn long_lines(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| line.chars().count() > COLUMNS)
        .map(|(index, line)| {
            let reason = format!("{} columns; the limit is {COLUMNS}", line.chars().count());
            Violation::at(&source.path, index.saturating_add(1), reason)
        })
        .collect()
}

/// Functions whose body holds too many lines of code; blank lines and comments are free. In tests
/// a table of cases may be longer, if it says so to clippy and gives the reason there.
pub fn long_functions(source: &Source) -> Result<Vec<Violation>> {
    let file = syn::parse_file(&source.text).with_context(|| format!("parsing {}", source.path))?;
    let mut visitor = Functions { source, lines: source.text.lines().collect(), found: Vec::new() };
    visitor.visit_file(&file);
    Ok(visitor.found)
}

struct Functions<'a> {
    source: &'a Source,
    lines: Vec<&'a str>,
    found: Vec<Violation>,
}

impl Functions<'_> {
    fn judge(&mut self, name: &syn::Ident, attributes: &[syn::Attribute], block: &Block) {
        if self.source.is_test() && attributes.iter().any(says_long) {
            return;
        }
        let (start, end) = (block.span().start().line, block.span().end().line);
        let is_code = |line: &&&str| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with("//")
        };
        let inside = self.lines.get(start..end.saturating_sub(1)).unwrap_or_default();
        let count = inside.iter().filter(is_code).count();
        if count > FUNCTION_LINES {
            let reason = format!("{name} has {count} lines of code; the limit is {FUNCTION_LINES}");
            self.found.push(Violation::at(&self.source.path, start, reason));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.judge(&function.sig.ident, &function.attrs, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.judge(&function.sig.ident, &function.attrs, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.judge(&function.sig.ident, &function.attrs, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

fn says_long(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("expect") && list.tokens.to_string().contains("too_many_lines")
}

/// The room of nouns everybody shares must not become a drawer for everything.
pub fn crowded_primitives(paths: &[&str]) -> Option<Violation> {
    let is_source = |path: &&&str| path.starts_with("primitives/src/") && path.ends_with(".rs");
    let count = paths.iter().filter(is_source).count();
    let reason = format!("{count} source files; the limit is {PRIMITIVES_FILES}");
    (count > PRIMITIVES_FILES).then(|| Violation::new("primitives", reason))
}

pub fn deep_folders(path: &str) -> Option<Violation> {
    let below = path.split_once("/src/").filter(|_| path.ends_with(".rs"))?.1;
    let depth = below.matches('/').count();
    let reason = format!("{depth} folders below src; the limit is {FOLDERS_BELOW_SRC}");
    (depth > FOLDERS_BELOW_SRC).then(|| Violation::new(path, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_its_limit_is_caught() {
        let text = "x\n".repeat(FILE_LINES + 1);
        assert!(long_files(&Source::new("ledger/src/lib.rs", &*text)).is_some());
        assert!(long_files(&Source::new("ledger/tests/it/main.rs", &*text)).is_none());
        assert!(long_files(&Source::new("docs/LEDGER.md", text)).is_none());
    }

    #[test]
    fn a_long_line_is_caught_by_columns_not_bytes() {
        let fine = Source::new("a.rs", "₹".repeat(COLUMNS));
        assert_eq!(long_lines(&fine), []);
        let planted = Source::new("a.rs", format!("\n{}\n", "x".repeat(COLUMNS + 1)));
        assert_eq!(long_lines(&planted)[0].place, "a.rs:2");
    }

    #[test]
    fn a_long_function_is_caught_wherever_it_stands() {
        let body = "    work();\n".repeat(FUNCTION_LINES + 1);
        for text in [
            format!("fn f() {{\n{body}}}\n"),
            format!("impl A {{ fn f() {{\n{body}}} }}\n"),
            format!("trait A {{ fn f() {{\n{body}}} }}\n"),
            format!("mod tests {{ async fn f() {{\n{body}}} }}\n"),
        ] {
            assert_eq!(long_functions(&Source::new("a.rs", text)).unwrap().len(), 1);
        }
    }

    #[test]
    fn a_long_table_of_cases_is_excused_in_tests_only() {
        let body = "    work();\n".repeat(FUNCTION_LINES + 1);
        let text = format!(
            "#[expect(clippy::too_many_lines, reason = \"a table\")]\nfn f() {{\n{body}}}\n"
        );
        let test = Source::new("api/tests/it/bad_input.rs", &*text);
        assert_eq!(long_functions(&test).unwrap(), []);
        let product = Source::new("api/src/bad_input.rs", text);
        assert_eq!(long_functions(&product).unwrap().len(), 1);
    }

    #[test]
    fn comments_and_blank_lines_are_free() {
        let body = "    work();\n    // Why.\n\n".repeat(FUNCTION_LINES);
        let text = format!("fn f() {{\n{body}}}\n");
        assert_eq!(long_functions(&Source::new("a.rs", text)).unwrap(), []);
    }

    #[test]
    fn a_crowded_primitives_is_caught() {
        let names: Vec<String> = (0..15).map(|n| format!("primitives/src/f{n}.rs")).collect();
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(crowded_primitives(&paths).is_some());
        assert!(crowded_primitives(&paths[1..]).is_none());
    }

    #[test]
    fn a_deep_folder_is_caught() {
        assert!(deep_folders("a/src/b/c/d/e.rs").is_some());
        assert!(deep_folders("chains/evm/src/b/c/e.rs").is_none());
    }
}
