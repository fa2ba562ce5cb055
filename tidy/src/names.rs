//! Names of files. A file is called after the thing in it; a name that fits anything says nothing.

use crate::Violation;

const EMPTY_WORDS: [&str; 12] = [
    "utils", "util", "helpers", "helper", "common", "misc", "types", "models", "manager",
    "service", "shared", "new",
];

/// Names that fit anything, as a file or as a folder.
pub fn empty_names(path: &str) -> Option<Violation> {
    let stem = path.strip_suffix(".rs")?;
    let empty = stem.split('/').find(|part| EMPTY_WORDS.contains(part))?;
    Some(Violation::new(path, format!("\"{empty}\" says nothing: name the thing")))
}

/// A folder module has its door inside (`x/mod.rs`), never beside it (`x.rs` and `x/`).
pub fn doors_beside_folders(paths: &[&str]) -> Vec<Violation> {
    let beside = |path: &&&str| {
        path.strip_suffix(".rs").is_some_and(|stem| {
            let folder = format!("{stem}/");
            paths.iter().any(|other| other.starts_with(&folder))
        })
    };
    let found = paths.iter().filter(beside);
    found.map(|path| Violation::new(*path, "belongs into its folder as mod.rs")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_caught() {
        assert!(empty_names("api/src/utils.rs").is_some());
        assert!(empty_names("api/src/common/mod.rs").is_some());
        assert!(empty_names("api/src/money_column.rs").is_none());
    }

    #[test]
    fn a_door_beside_its_folder_is_caught() {
        let found = doors_beside_folders(&["a/src/b.rs", "a/src/b/c.rs", "a/src/bc.rs"]);
        assert_eq!(found.len(), 1);
    }
}
